/* watch.c - notices that a client has closed its side.
 *
 * libmicrohttpd does not look at a suspended connection; and when a FIN arrives together with the last bytes of a
 * request, its edge-triggered reading misses it, and the connection would stay until its deadline. So every connection
 * is also in an epoll set of ours, from accept to close: one system call a connection, none a request, no loop handle
 * to open and close.
 *
 *   waiting request, watched   → on_gone(), once
 *   anything not suspended     → after libmicrohttpd's next run: shutdown(SHUT_RD), which makes a new edge for it
 *
 * A client that only closes its sending side looks gone too; so the notice may stop work for the client, never a
 * durable write. What it had sent before stays readable, and it still gets its answers. */
#include "http/internal.h"

#include "pcs/core/log.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define EVENTS_MAX 64

int watch_open(struct http_server *s)
{
    s->gone_fd = epoll_create1(EPOLL_CLOEXEC);
    return s->gone_fd;
}

static void watch_socket(const struct conn *c, int operation)
{
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLET, .data.ptr = (void *)(uintptr_t)c};
    if (epoll_ctl(c->server->gone_fd, operation, c->fd, &event) != 0) {
        log_warn("http.watch_failed", log_str("cause", strerror(errno)));
    }
}

void watch_add(struct conn *c)
{
    watch_socket(c, EPOLL_CTL_ADD); /* the kernel takes it out when the socket is closed */
}

void http_watch_client(struct http_request *pub, void (*on_gone)(struct http_request *rq))
{
    struct request *rq = (struct request *)pub;
    if (rq->status || rq->watched || !on_gone) {
        return;
    }
    pub->on_gone = on_gone;
    rq->watched = true;
    if (rq->conn && rq->conn->peer_closed) {
        watch_socket(rq->conn, EPOLL_CTL_MOD); /* it came before: ask for the event again */
    }
}

void watch_cut(struct conn *c)
{
    struct http_server *s = c->server;
    if (c->to_kick) {
        return;
    }
    c->to_kick = true;
    c->kick_prev = NULL;
    c->kick_next = s->kicks;
    if (s->kicks) {
        s->kicks->kick_prev = c;
    }
    s->kicks = c;
    s->need_run = true;
}

void watch_forget(struct conn *c)
{
    if (!c->to_kick) {
        return;
    }
    c->to_kick = false;
    if (c->kick_prev) {
        c->kick_prev->kick_next = c->kick_next;
    } else {
        c->server->kicks = c->kick_next;
    }
    if (c->kick_next) {
        c->kick_next->kick_prev = c->kick_prev;
    }
}

static bool suspended(const struct conn *c)
{
    return c->request && c->request->phase == PHASE_WAIT && c->request->suspended;
}

/* Right after a run: whoever libmicrohttpd has noticed by itself is no longer in the list. A suspended connection is
 * looked at anew when it is resumed. */
void watch_kick(struct http_server *s)
{
    while (s->kicks) {
        struct conn *c = s->kicks;
        watch_forget(c);
        if (!suspended(c)) {
            shutdown(c->fd, SHUT_RD);
        }
    }
}

void watch_events(uv_poll_t *poll, int status, int events)
{
    struct http_server *s = poll->data;
    struct epoll_event found[EVENTS_MAX];
    (void)status;
    (void)events;
    int n = epoll_wait(s->gone_fd, found, EVENTS_MAX, 0);
    for (int i = 0; i < n; i++) {
        if ((uintptr_t)found[i].data.ptr & WATCH_LINGER) {
            linger_event((struct linger_socket *)((uintptr_t)found[i].data.ptr & ~WATCH_LINGER));
            continue;
        }
        struct conn *c = found[i].data.ptr; /* connections are freed in runs only, never in between */
        struct request *rq = c->request;
        c->peer_closed = true;
        if (rq && rq->watched) {
            rq->watched = false;
            rq->pub.on_gone(&rq->pub);
        }
        if (!suspended(c)) {
            watch_cut(c);
        }
    }
}
