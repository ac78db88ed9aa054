/* request.c - the life of a request.
 *
 *        URI seen          head complete              body complete          handler returned unanswered
 *   ── LINE ───────────────► BODY ───────────────────────► RUN ──────────────────► WAIT (hovering, suspended: hover.c)
 *                             │ answer that cannot wait     │ answered               │ answered
 *                             │ (413, chunked, bad head)    ▼                        ▼
 *                             └──────────────────────────► SENT ◄────────────────────┘
 *
 * LINE → BODY: admit.c decides (CONTRACT.md 1); an error found there is normally held back until the body was
 * taken, since libmicrohttpd closes the connection after an answer queued in its first call, even for a GET.
 * Suspension happens in the final call only: anywhere else the body would be lost (PITFALLS.md 1). A
 * connection may break in any phase; then request_finish() comes from where we are, but in WAIT, where somebody is
 * going to answer: hover_orphan(). */
#include "http/internal.h"

#include "pcs/core/clock.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const unsigned char legal[PHASE_COUNT] = {
    [PHASE_LINE] = 1 << PHASE_BODY,
    [PHASE_BODY] = 1 << PHASE_RUN | 1 << PHASE_SENT,
    [PHASE_RUN] = 1 << PHASE_WAIT | 1 << PHASE_SENT,
    [PHASE_WAIT] = 1 << PHASE_SENT,
};

void request_enter(struct request *rq, enum request_phase phase)
{
    static const char *const names[PHASE_COUNT] = {"line", "body", "run", "wait", "sent"};
    log_at(LOG_LEVEL_TRACE, "http.phase", log_str("correlationId", rq->pub.correlation_id),
           log_str("from", names[rq->phase]), log_str("to", names[phase]));
    if (!(legal[rq->phase] & 1 << phase)) {
        log_error("http.illegal_phase", log_str("correlationId", rq->pub.correlation_id),
                  log_str("from", names[rq->phase]), log_str("to", names[phase]));
        assert(!"an illegal change of phase");
    }
    rq->phase = phase;
}

static struct request *take_object(struct http_server *s)
{
    struct request *rq = s->spares;
    if (rq) {
        s->spares = rq->next;
        s->spare_count--;
    } else if ((rq = malloc(sizeof *rq)) != NULL) {
        rq->answer = NULL;
        rq->answer_cap = 0;
    } else {
        return NULL;
    }
    memset(rq, 0, offsetof(struct request, inline_memory));
    arena_init(&rq->pub.arena, rq->inline_memory, sizeof rq->inline_memory, REQUEST_ARENA_MAX);
    return rq;
}

static void give_object(struct http_server *s, struct request *rq)
{
    if (rq->answer_cap > ANSWER_KEPT) {
        free(rq->answer);
        rq->answer = NULL;
        rq->answer_cap = 0;
    }
    if (s->spare_count >= REQUEST_SPARES) {
        free(rq->answer);
        free(rq);
        return;
    }
    rq->next = s->spares;
    s->spares = rq;
    s->spare_count++;
}

void request_spares_free(struct http_server *s)
{
    while (s->spares) {
        struct request *rq = s->spares;
        s->spares = rq->next;
        free(rq->answer);
        free(rq);
    }
    s->spare_count = 0;
}

/* uri is only valid now, and is cut at '?' afterwards: keep a copy. */
struct request *request_create(struct conn *conn, struct MHD_Connection *mhd, const char *uri)
{
    struct http_server *s = conn->server;
    struct request *rq = take_object(s);
    if (!rq) {
        return NULL;
    }
    size_t len = strlen(uri);
    char *copy = arena_strndup(&rq->pub.arena, uri, len);
    if (!copy) {
        arena_free(&rq->pub.arena);
        give_object(s, rq);
        return NULL;
    }
    char *question = memchr(copy, '?', len);
    if (question) {
        *question = '\0';
        rq->query = question + 1;
    }
    rq->pub.server = s;
    rq->pub.reactor = s->reactor;
    rq->pub.context = s->context;
    rq->pub.path = copy;
    rq->uri_len = len;
    rq->raw_uri = (size_t)(uintptr_t)uri;
    rq->conn = conn;
    rq->mhd = mhd;
    rq->series = METRICS_UNMATCHED;
    rq->next = s->live;
    if (s->live) {
        s->live->prev = rq;
    }
    s->live = rq;
    conn->request = rq;
    return rq;
}

static enum MHD_Result head_complete(struct request *rq, const char *method, const char *version)
{
    struct http_server *s = rq->pub.server;
    rq->pub.method = method;
    rq->pub.started_ns = clock_mono_ns();
    s->pending++;
    rq->counted = true;
    bool now = request_admit(rq, version);
    request_enter(rq, PHASE_BODY);
    if (now) {
        rq->conn->unread = rq->chunked || rq->content_length;
        reply_queue(rq);
        return rq->lost ? MHD_NO : MHD_YES;
    }
    if (!rq->status && (rq->pub.route->flags & HTTP_BODY)) {
        rq->body = arena_alloc(&rq->pub.arena, rq->content_length + 1);
        if (!rq->body) {
            http_fail(&rq->pub, &http_problem_internal_error,
                      &(struct http_error_extra){.reason = "no memory for the body"});
        }
    }
    deadline_set(rq->conn, rq->content_length ? DEADLINE_BODY : DEADLINE_NONE);
    return MHD_YES;
}

static enum MHD_Result body_piece(struct request *rq, const char *data, size_t *size)
{
    if (rq->body) {
        if (*size > rq->content_length - rq->body_filled) {
            return MHD_NO;
        }
        memcpy(rq->body + rq->body_filled, data, *size);
        rq->body_filled += *size;
    }
    *size = 0;
    return MHD_YES;
}

static enum MHD_Result body_complete(struct request *rq)
{
    deadline_set(rq->conn, DEADLINE_NONE);
    request_enter(rq, PHASE_RUN);
    if (rq->status) { /* refused before: the body is out of the way now */
        reply_queue(rq);
        return rq->lost ? MHD_NO : MHD_YES;
    }
    if (rq->body) {
        rq->body[rq->body_filled] = '\0';
        rq->pub.body = rq->body;
        rq->pub.body_len = rq->body_filled;
    }
    if (rq->pub.server->stopping) {
        http_fail(&rq->pub, &http_problem_service_unavailable, NULL);
    } else {
        rq->pub.route->handler(&rq->pub);
    }
    if (!rq->status) {
        request_enter(rq, PHASE_WAIT);
        hover_begin(rq);
    }
    return rq->lost ? MHD_NO : MHD_YES;
}

enum MHD_Result request_access(struct request *rq, const char *method, const char *version, const char *data,
                               size_t *size)
{
    switch (rq->phase) {
    case PHASE_LINE:
        return head_complete(rq, method, version);
    case PHASE_BODY:
        return *size ? body_piece(rq, data, size) : body_complete(rq);
    case PHASE_WAIT:
        hover_again(rq);
        return MHD_YES;
    default:
        return MHD_NO; /* resumed without an answer, because it could not be queued: cut the connection */
    }
}

/* One line a finished request: the route's template, never the path, which can hold a line number; nor a method that the
 * client has made up. */
static void access_log(const struct request *rq, uint64_t ns, bool delivered)
{
    const struct http_request *pub = &rq->pub;
    bool quiet = pub->route && (pub->route->flags & HTTP_QUIET) && rq->status < 400;
    const char *reason = pub->log_reason;
    const char *method = method_parse(pub->method) == METHOD_OTHER ? "other" : pub->method;
    char trace_id[33];
    if ((quiet ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO) < log_threshold()) {
        return;
    }
    if (!reason && !delivered) {
        reason = rq->status ? "the client left during the answer" : "the client left before the answer";
    }
    memcpy(trace_id, pub->traceparent + 3, 32);
    trace_id[32] = '\0';
    log_write(quiet ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, "http.request",
              (const struct log_field[]){log_str("method", method),
                                         log_str("route", pub->route ? pub->route->path : NULL),
                                         log_int("status", rq->status),
                                         log_ms("milliseconds", ns),
                                         log_str("correlationId", pub->correlation_id),
                                         log_str("traceId", trace_id),
                                         log_str("requestId", pub->log_change),
                                         log_line("line", pub->log_line),
                                         log_str("reason", reason),
                                         {.kind = LOG_KIND_NONE}});
}

void request_finish(struct request *rq, bool delivered)
{
    struct http_server *s = rq->pub.server;
    if (rq->counted) {
        s->pending--;
    }
    if (rq->phase == PHASE_LINE) {
        metrics_rejected(REJECT_INCOMPLETE);
    } else {
        uint64_t ns = clock_mono_ns() - rq->pub.started_ns;
        metrics_request_done(rq, ns);
        access_log(rq, ns, delivered && rq->status && !rq->lost);
    }
    if (rq->response) {
        MHD_destroy_response(rq->response);
    }
    arena_free(&rq->pub.arena);
    if (rq->prev) {
        rq->prev->next = rq->next;
    } else {
        s->live = rq->next;
    }
    if (rq->next) {
        rq->next->prev = rq->prev;
    }
    if (rq->conn) {
        rq->conn->request = NULL;
    }
    give_object(s, rq);
}
