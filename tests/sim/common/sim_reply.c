/* Answers of the simulators: whole, in pieces, slowly, cut off, or not at all. */
#include "sim_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define JSON_TYPE "application/json;charset=UTF-8"

/* An answer that is produced piece by piece. It belongs to the response, which may outlive the request. */
struct stream {
    struct sim_req *req; /* valid while the reader is called: its connection is alive then */
    struct sim_server *server;
    char *data;
    size_t length;
    size_t end; /* bytes that are sent at all */
    size_t piece;
    int interval_ms;
    bool due;
    enum sim_way way;
};

void sim_answer_free(struct sim_answer *a)
{
    sim_buf_free(&a->body);
    free(a->headers);
    *a = (struct sim_answer){0};
}

/* connect(AF_UNSPEC) makes the kernel send RST now; the linger setting covers kernels that refuse it. */
void sim_reset_socket(struct sim_req *req)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    int fd = sim_req_fd(req);

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    if (connect(fd, &none, sizeof none) != 0)
        return; /* the close that follows sends the reset */
}

void sim_abort(struct sim_req *req, bool reset)
{
    if (!req->connection || req->state != SIM_HANDLED)
        return;
    req->state = SIM_ABORTED;
    if (reset)
        sim_reset_socket(req);
    sim_resume(req); /* held: the handler is called again and ends the connection */
}

static void stream_due(void *arg)
{
    struct stream *st = arg;

    st->due = true;
    sim_resume(st->req);
}

static void stream_free(void *cls)
{
    struct stream *st = cls;

    free(st->data);
    free(st);
}

static ssize_t stream_read(void *cls, uint64_t position, char *out, size_t max)
{
    struct stream *st = cls;
    size_t left = st->end - (size_t)position;

    if (st->req->gone)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (left == 0 && (st->way == SIM_CUT_CLOSE || st->way == SIM_CUT_RESET)) {
        if (st->way == SIM_CUT_RESET)
            sim_reset_socket(st->req);
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    if (left == 0)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (st->way == SIM_DRIP && !st->due) {
        sim_hold(st->req);
        sim_timer_start(&st->server->timers, &st->req->drip, sim_mono_ms() + st->interval_ms, stream_due, st);
        return 0;
    }
    st->due = false;
    if (left > max)
        left = max;
    if (st->piece && left > st->piece)
        left = st->piece;
    memcpy(out, st->data + position, left);
    return (ssize_t)left;
}

static struct MHD_Response *make_stream(struct sim_req *req, struct sim_answer *a, enum sim_way way,
                                        size_t piece, int interval_ms)
{
    struct stream *st = sim_alloc(sizeof *st);
    bool cut = way == SIM_CUT_CLOSE || way == SIM_CUT_RESET;
    struct MHD_Response *response;

    st->req = req;
    st->server = req->server;
    st->data = a->body.data;
    st->length = a->body.length;
    st->end = cut ? st->length / 2 : st->length;
    st->piece = cut ? 0 : (piece ? piece : 1);
    st->interval_ms = interval_ms > 0 ? interval_ms : 1;
    st->way = way;
    a->body = (struct sim_buf){0};
    response =
        MHD_create_response_from_callback(way == SIM_CHUNKED ? MHD_SIZE_UNKNOWN : st->length,
                                          way == SIM_DRIP ? 1024 : 65536, stream_read, st, stream_free);
    if (!response)
        sim_die("cannot make an answer");
    return response;
}

/* "Name: value\n" each; libmicrohttpd refuses empty values and control characters, which we skip. */
static void add_headers(struct MHD_Response *response, char *headers)
{
    char *save = NULL;
    char *line;

    for (line = strtok_r(headers, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *colon = strstr(line, ": ");

        if (!colon)
            continue;
        *colon = '\0';
        MHD_add_response_header(response, line, colon + 2);
    }
}

void sim_send(struct sim_req *req, struct sim_answer *a, enum sim_way way, size_t piece, int interval_ms)
{
    struct MHD_Response *response;

    if (!req->connection || req->gone || req->state != SIM_HANDLED) {
        sim_answer_free(a);
        return;
    }
    if (a->status == 204 || a->status == 304)
        a->body.length = 0;
    if (way == SIM_PLAIN || (a->body.length == 0 && way != SIM_CHUNKED)) {
        response = MHD_create_response_from_buffer(a->body.length, a->body.data, MHD_RESPMEM_MUST_FREE);
        if (!response)
            sim_die("cannot make an answer");
        a->body = (struct sim_buf){0};
    } else {
        response = make_stream(req, a, way, piece, interval_ms);
    }
    if (a->type)
        MHD_add_response_header(response, "Content-Type", a->type);
    if (a->headers)
        add_headers(response, a->headers);
    req->state = SIM_REPLIED;
    req->whole = way == SIM_PLAIN || way == SIM_CHUNKED || way == SIM_DRIP;
    if (MHD_queue_response(req->connection, a->status, response) != MHD_YES)
        req->state = SIM_ABORTED;
    MHD_destroy_response(response);
    sim_answer_free(a);
    sim_resume(req);
}

void sim_reply_json(struct sim_req *req, unsigned status, struct sim_buf *body)
{
    struct sim_answer a = {.status = status, .type = JSON_TYPE, .body = *body};

    *body = (struct sim_buf){0};
    sim_send(req, &a, SIM_PLAIN, 0, 0);
}

void sim_reply_error(struct sim_req *req, unsigned status, const char *format, ...)
{
    struct sim_buf body = {0};
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    sim_buf_str(&body, "{\"error\":");
    sim_buf_json(&body, text);
    sim_buf_str(&body, "}");
    sim_reply_json(req, status, &body);
}

void sim_reply_ok(struct sim_req *req)
{
    struct sim_buf body = {0};

    sim_buf_str(&body, "{\"ok\":true}");
    sim_reply_json(req, 200, &body);
}

cJSON *sim_req_json(struct sim_req *req)
{
    cJSON *tree =
        req->body.length ? cJSON_ParseWithLength(req->body.data, req->body.length) : cJSON_CreateObject();

    if (cJSON_IsObject(tree))
        return tree;
    cJSON_Delete(tree);
    sim_reply_error(req, 400, "the body is not a JSON object");
    return NULL;
}

void sim_stats_json(struct sim_buf *out, const char *name, const struct sim_stats *s, const char *more)
{
    sim_buf_fmt(out,
                "\"%s\":{\"received\":%llu,\"answered\":%llu,\"aborted\":%llu,\"faulted\":%llu,"
                "\"concurrent\":%llu,\"maxConcurrent\":%llu%s%s}",
                name, (unsigned long long)s->received, (unsigned long long)s->answered,
                (unsigned long long)s->aborted, (unsigned long long)s->faulted,
                (unsigned long long)s->concurrent, (unsigned long long)s->max_concurrent, *more ? "," : "",
                more);
}
