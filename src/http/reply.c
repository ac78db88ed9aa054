/* reply.c - the one exit: every answer passes answer(), exactly once (STYLE.md 2.2). */
#include "http/internal.h"

#include "pcs/core/log.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define JSON_TYPE "application/json"

static const char data_head[] = "{\"success\":true,\"data\":";
static const char data_tail[] = "}";

static void add_header(struct MHD_Response *response, const char *name, const char *value)
{
    if (!value || !*value || MHD_add_response_header(response, name, value) != MHD_YES) {
        log_warn("http.header_dropped", log_str("name", name), log_str("value", value));
    }
}

void reply_queue(struct request *rq)
{
    struct http_server *s = rq->pub.server;
    bool waiting = rq->phase == PHASE_WAIT;
    bool ok = rq->response != NULL;
    if (!rq->conn) { /* nobody is there any more; hover_sweep_orphans() ends it */
        request_enter(rq, PHASE_SENT);
        return;
    }
    if (ok) {
        if (s->quiesced || rq->close) {
            add_header(rq->response, MHD_HTTP_HEADER_CONNECTION, "close");
        }
        rq->conn->queueing = true;
        ok = MHD_queue_response(rq->mhd, (unsigned)rq->status, rq->response) == MHD_YES;
        rq->conn->queueing = false;
        MHD_destroy_response(rq->response);
        rq->response = NULL;
    }
    if (!ok) {
        log_error("http.answer_lost", log_int("status", rq->status),
                  log_str("correlationId", rq->pub.correlation_id));
        rq->lost = true;
    }
    request_enter(rq, PHASE_SENT);
    s->pending--;
    rq->counted = false;
    deadline_set(rq->conn, DEADLINE_WRITE);
    s->to_send++;
    if (waiting) {
        hover_end(rq);
    }
}

/* False: it has been answered before, which is a bug of the caller's. */
static bool first_answer(const struct request *rq, int status)
{
    if (rq->status == 0) {
        return true;
    }
    log_error("http.answered_twice", log_int("first", rq->status), log_int("second", status),
              log_str("route", rq->pub.route ? rq->pub.route->path : NULL),
              log_str("correlationId", rq->pub.correlation_id));
    assert(!"a request was answered twice");
    return false;
}

static void answer(struct request *rq, int status, const char *content_type, struct MHD_Response *response,
                   const struct http_header *headers, size_t header_count)
{
    rq->status = status;
    rq->response = response;
    if (response) {
        if (content_type) {
            add_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
        }
        add_header(response, "X-Request-ID", rq->pub.correlation_id);
        add_header(response, "X-Content-Type-Options", "nosniff");
        add_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
        cors_add_headers(rq, response);
        for (size_t i = 0; i < header_count; i++) {
            add_header(response, headers[i].name, headers[i].value);
        }
    }
    switch (rq->phase) {
    case PHASE_LINE: /* the gate and its neighbours: held back, see admit.c */
    case PHASE_BODY:
        break;
    case PHASE_RUN:
    case PHASE_WAIT:
        rq->watched = false;
        reply_queue(rq);
        break;
    default:
        assert(!"a request was answered after its end");
        break;
    }
}

void http_reply(struct http_request *pub, int status, const char *content_type, char *body, size_t len,
                const struct http_header *headers, size_t header_count)
{
    static char empty[1];
    struct request *rq = (struct request *)pub;
    if (!first_answer(rq, status)) {
        free(body);
        return;
    }
    struct MHD_Response *response = body ? MHD_create_response_from_buffer(len, body, MHD_RESPMEM_MUST_FREE)
                                         : MHD_create_response_from_buffer(0, empty, MHD_RESPMEM_PERSISTENT);
    if (!response) {
        free(body);
    }
    answer(rq, status, content_type, response, headers, header_count);
}

void http_body_open(struct http_request *pub, struct buf *body, size_t max)
{
    struct request *rq = (struct request *)pub;
    buf_init(body, max);
    body->data = rq->answer;
    body->cap = rq->answer_cap;
    rq->answer = NULL;
    rq->answer_cap = 0;
    buf_reserve(body, ANSWER_FIRST);
}

void http_reply_body(struct http_request *pub, int status, const char *content_type, struct buf *body,
                     const struct http_header *headers, size_t header_count)
{
    struct request *rq = (struct request *)pub;
    if (!buf_ok(body) || !body->data) {
        buf_free(body);
        http_fail(pub, &http_problem_internal_error,
                  &(struct http_error_extra){.reason = "the answer does not fit or there is no memory"});
        return;
    }
    if (!first_answer(rq, status)) {
        buf_free(body);
        return;
    }
    rq->answer = body->data;
    rq->answer_cap = body->cap;
    answer(rq, status, content_type,
           MHD_create_response_from_buffer(body->len, rq->answer, MHD_RESPMEM_PERSISTENT), headers,
           header_count);
    buf_init(body, 0);
}

void http_reply_static(struct http_request *pub, int status, const char *content_type, const char *body,
                       size_t len)
{
    struct request *rq = (struct request *)pub;
    if (first_answer(rq, status)) {
        answer(rq, status, content_type,
               MHD_create_response_from_buffer(len, (void *)(uintptr_t)body, MHD_RESPMEM_PERSISTENT), NULL,
               0);
    }
}

void http_reply_data(struct http_request *pub, int status, struct buf *data,
                     const struct http_header *headers, size_t header_count)
{
    size_t len, head = sizeof data_head - 1, tail = sizeof data_tail - 1;
    char *text = buf_steal(data, &len);
    char *body = text ? malloc(head + len + tail) : NULL;
    if (!body) {
        free(text);
        http_fail(pub, &http_problem_internal_error,
                  &(struct http_error_extra){.reason = "the answer does not fit or there is no memory"});
        return;
    }
    memcpy(body, data_head, head);
    memcpy(body + head, text, len);
    memcpy(body + head + len, data_tail, tail);
    free(text);
    http_reply(pub, status, JSON_TYPE, body, head + len + tail, headers, header_count);
}
