/* refuse.c - a last word where libmicrohttpd ends a connection without any.
 *
 * It closes silently when a request line makes no sense to it, or when its pool has no room left for the head
 * of an answer (many tiny headers). The contract wants 400 and 431 there. The notice of the closed connection
 * comes before the socket is closed, so a refusal can still be written by hand; only for the first request of
 * a connection, when the kernel says that bytes came in and none went out; not under TLS, where only the library may
 * write.
 *
 * And a first word: a connection too many is answered before it has asked (under TLS just closed). */
#include "http/internal.h"
#include "http/tcp.h"

#include "pcs/core/buf.h"
#include "pcs/core/clock.h"
#include "pcs/core/log.h"

#include <sys/socket.h>

#define REFUSAL_MAX 2048
#define LARGE_HEAD  1024 /* a silent end after so many bytes is one for want of room */

static void put_refusal(struct buf *out, const struct http_problem *problem, const char *reason, int retry_s)
{
    struct buf body;
    char id[UUID_LEN + 1];
    uuid_v7(id);
    buf_init(&body, REFUSAL_MAX);
    buf_lit(&body, "{\"success\":false,\"error\":{");
    buf_json_str(&body, "code", problem->code);
    buf_json_str(&body, "message", problem->ko);
    buf_json_time(&body, "timestamp", clock_wall_ms());
    buf_json_str(&body, "path", "");
    buf_json_str(&body, "correlationId", id);
    if (retry_s) {
        buf_json_int(&body, "retryAfterSeconds", retry_s);
    }
    buf_lit(&body, "}}");
    buf_printf(out,
               "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Type: application/json\r\nX-Request-ID: %s\r\n"
               "X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n",
               problem->status, reason, id);
    if (retry_s) {
        buf_printf(out, "Retry-After: %d\r\n", retry_s);
    }
    buf_printf(out, "Content-Length: %zu\r\n\r\n", body.len);
    buf_put(out, body.data, body.len);
    buf_free(&body);
}

static void send_refusal(const struct conn *c, const struct buf *out)
{
    if (!buf_ok(out) || send(c->fd, out->data, out->len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        log_debug("http.refusal_lost");
    }
}

void refuse_silent_end(const struct conn *c)
{
    uint64_t received;
    if (c->server->tls || c->served || c->refused || c->waiting_for == DEADLINE_BODY || c->expired ||
        (received = tcp_unanswered_bytes(c->fd)) == 0) {
        return;
    }
    bool large = c->lost_status ? c->lost_status == 431 : c->too_large || received > LARGE_HEAD;
    if (c->lost_status && c->lost_status != 431 && c->lost_status != 400) {
        return;
    }
    struct buf out;
    buf_init(&out, REFUSAL_MAX);
    put_refusal(&out, large ? &http_problem_headers_too_large : &http_problem_invalid_request,
                large ? "Request Header Fields Too Large" : "Bad Request", 0);
    send_refusal(c, &out);
    buf_free(&out);
    log_info("http.refused", log_int("status", large ? 431 : 400),
             log_str("reason", "the request head could not be read"));
    metrics_rejected(large ? REJECT_HEAD_TOO_LARGE : REJECT_MALFORMED);
}

/* The same text for everybody: an overloaded server has better things to do than to make one for each. Logged once a
 * second, counted always. */
void refuse_now(struct conn *c, const struct http_problem *problem, const char *why)
{
    struct http_server *s = c->server;
    if (!s->tls) {
        struct buf out;
        buf_init(&out, REFUSAL_MAX);
        put_refusal(&out, problem, problem->status == 429 ? "Too Many Requests" : "Service Unavailable", 1);
        send_refusal(c, &out);
        buf_free(&out);
    }
    c->refused = true;
    c->unread = !s->tls; /* what it has sent, or will, is thrown away (linger.c) */
    shutdown(c->fd, SHUT_RD);
    uint64_t second = clock_mono_ns() / NS_PER_SEC;
    s->refused_count++;
    if (second != s->refused_second) {
        s->refused_second = second;
        log_warn("http.connections_refused", log_int("status", problem->status), log_str("reason", why),
                 log_int("connections", s->refused_count));
        s->refused_count = 0;
    }
}
