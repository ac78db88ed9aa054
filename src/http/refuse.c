/* refuse.c - a last word where libmicrohttpd ends a connection without any, or with an HTML page of its own.
 *
 * It closes silently when a request line makes no sense to it, or when its pool has no room left for the head
 * of an answer (many tiny headers). The contract wants 400 and 431 there. The notice of the closed connection
 * comes before the socket is closed, so a refusal can still be written by hand; only for the first request of
 * a connection, when the kernel says that bytes came in and none went out; not under TLS, where only the library may
 * write.
 *
 * A head that outgrows its pool, a Content-Length that is no number, another HTTP version: those it answers itself, in
 * HTML. There is no hook for it, but it queues its pages through its own public function, and a program's definition
 * of that goes before a shared library's: see MHD_queue_response() below. A library that binds its calls to itself
 * (-Bsymbolic) keeps its pages; one that is linked statically defines the name a second time, which the linker refuses.
 *
 * And a first word: a connection too many is answered before it has asked (under TLS just closed). */
#include "http/internal.h"
#include "http/tcp.h"

#include "pcs/core/buf.h"
#include "pcs/core/clock.h"
#include "pcs/core/log.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <threads.h>

#define REFUSAL_MAX 2048
#define LARGE_HEAD  1024 /* a silent end after so many bytes is one for want of room */

static void put_body(struct buf *body, char id[UUID_LEN + 1], const struct http_problem *problem,
                     const char *details, int retry_s)
{
    uuid_v7(id);
    buf_init(body, REFUSAL_MAX);
    buf_lit(body, "{\"success\":false,\"error\":{");
    buf_json_str(body, "code", problem->code);
    buf_json_str(body, "message", problem->ko);
    buf_json_str(body, "details", details);
    buf_json_time(body, "timestamp", clock_wall_ms());
    buf_json_str(body, "path", "");
    buf_json_str(body, "correlationId", id);
    if (retry_s) {
        buf_json_int(body, "retryAfterSeconds", retry_s);
    }
    buf_lit(body, "}}");
}

static void put_refusal(struct buf *out, const struct http_problem *problem, const char *reason,
                        const char *details, int retry_s)
{
    struct buf body;
    char id[UUID_LEN + 1];
    put_body(&body, id, problem, details, retry_s);
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

/* What the contract says in place of the library's page of that status. */
static const struct refusal {
    int status;
    const struct http_problem *problem;
    const char *reason, *details;
    enum reject_reason counted;
} refusals[] = {
    {400, &http_problem_invalid_request, "Bad Request", "the request head could not be read",
     REJECT_MALFORMED},
    {413, &http_problem_payload_too_large, "Content Too Large", "the body is over 16 KiB", REJECT_TOO_LARGE},
    {414, &http_problem_headers_too_large, "Request Header Fields Too Large",
     "the request head is over 6 KiB, or holds too many headers", REJECT_HEAD_TOO_LARGE},
    {431, &http_problem_headers_too_large, "Request Header Fields Too Large",
     "the request head is over 6 KiB, or holds too many headers", REJECT_HEAD_TOO_LARGE},
    {500, &http_problem_internal_error, "Internal Server Error", NULL, REJECT_OVERLOAD},
    {505, &http_problem_invalid_request, "Bad Request", "the request is not HTTP/1.0 or HTTP/1.1",
     REJECT_MALFORMED},
};

static const struct refusal *refusal_of(int status)
{
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        if (refusals[i].status == status) {
            return &refusals[i];
        }
    }
    return NULL;
}

/* What is to be said at c's end; NULL: nothing, or it has been said. */
static const struct refusal *last_word(const struct conn *c)
{
    uint64_t received;
    if (c->page_status) {
        return refusal_of(c->page_status);
    }
    if (c->server->tls || c->served || c->refused || c->waiting_for == DEADLINE_BODY || c->expired ||
        (received = tcp_unanswered_bytes(c->fd)) == 0) {
        return NULL;
    }
    if (c->lost_status) {
        return c->lost_status == 431 || c->lost_status == 400 ? refusal_of(c->lost_status) : NULL;
    }
    return refusal_of(c->too_large || received > LARGE_HEAD ? 431 : 400);
}

static void note_refusal(const struct refusal *r)
{
    log_info("http.refused", log_int("status", r->problem->status), log_str("reason", r->details));
    metrics_rejected(r->counted);
}

void refuse_silent_end(const struct conn *c)
{
    const struct refusal *r = last_word(c);
    if (!r) {
        return;
    }
    struct buf out;
    buf_init(&out, REFUSAL_MAX);
    put_refusal(&out, r->problem, r->reason, r->details, 0);
    send_refusal(c, &out);
    buf_free(&out);
    note_refusal(r);
}

/* ---- the library's own pages ---- */

typedef enum MHD_Result queue_response(struct MHD_Connection *, unsigned int, struct MHD_Response *);
static queue_response *library_queue;
static once_flag library_found = ONCE_FLAG_INIT;

static void find_library(void)
{
    *(void **)&library_queue = dlsym(RTLD_NEXT, "MHD_queue_response"); /* as dlsym(3) has it */
}

static struct MHD_Response *our_page(const struct refusal *r)
{
    struct buf body;
    char id[UUID_LEN + 1];
    size_t len;
    put_body(&body, id, r->problem, r->details, 0);
    char *text = buf_steal(&body, &len);
    struct MHD_Response *page =
        text ? MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE) : NULL;
    if (!page) {
        free(text);
        return NULL;
    }
    (void)MHD_add_response_header(page, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    (void)MHD_add_response_header(page, "X-Request-ID", id);
    (void)MHD_add_response_header(page, "X-Content-Type-Options", "nosniff");
    (void)MHD_add_response_header(page, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    return page;
}

/* Goes before libmicrohttpd's function of that name, for its own calls too. An answer of ours goes on to it; in place of
 * a page of its own it gets one of ours. After one about Content-Length, or for want of room for cookies, it goes on as
 * if it had said nothing and sends the head a second time (PITFALLS.md 1). In the first of these it looks whether the
 * connection was closed meanwhile, and only there: so that page is refused, which closes, and the word is said at the
 * end. */
__attribute__((visibility("default"))) /* whatever the build's flags say: hidden, it would be ours alone */
enum MHD_Result
MHD_queue_response(struct MHD_Connection *mhd, unsigned int status, struct MHD_Response *response)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct conn *c = info ? info->socket_context : NULL;
    const struct refusal *r = c && !c->queueing ? refusal_of((int)status) : NULL;
    struct MHD_Response *page = NULL;
    call_once(&library_found, find_library);
    if (!library_queue) {
        return MHD_NO;
    }
    if (r && c->server->page_about_length && !c->server->tls) {
        c->page_status = (int)status;
        return MHD_NO;
    }
    if (!r || c->server->page_about_length || !(page = our_page(r))) {
        return library_queue(mhd, status, response);
    }
    enum MHD_Result queued = library_queue(mhd, (unsigned)r->problem->status, page);
    MHD_destroy_response(page);
    c->unread = true;
    note_refusal(r);
    return queued;
}

/* The same text for everybody: an overloaded server has better things to do than to make one for each. Logged once a
 * second, counted always. */
void refuse_now(struct conn *c, const struct http_problem *problem, const char *why)
{
    struct http_server *s = c->server;
    if (!s->tls) {
        struct buf out;
        buf_init(&out, REFUSAL_MAX);
        put_refusal(&out, problem, problem->status == 429 ? "Too Many Requests" : "Service Unavailable", NULL,
                    1);
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
