/* watch.c - notices that a waiting client has gone.
 *
 * libmicrohttpd does not look at a suspended connection. Requests that wait for the carrier put their socket
 * into an epoll set of their own: one system call in, one out, no loop handle to open and close a request.
 * The socket leaves the set before the connection is resumed (PITFALLS.md 1). A client that only closes its
 * sending side looks gone too; so the notice may stop work for the client, never a durable write. */
#include "http/internal.h"

#include "pcs/core/log.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#define EVENTS_MAX 64

int watch_open(struct http_server *s)
{
    s->gone_fd = epoll_create1(EPOLL_CLOEXEC);
    return s->gone_fd;
}

void http_watch_client(struct http_request *pub, void (*on_gone)(struct http_request *rq))
{
    struct request *rq = (struct request *)pub;
    struct epoll_event event = {.events = EPOLLRDHUP, .data.ptr = rq};
    if (rq->status || rq->watched) {
        return;
    }
    pub->on_gone = on_gone;
    if (epoll_ctl(pub->server->gone_fd, EPOLL_CTL_ADD, rq->conn->fd, &event) != 0) {
        log_warn("http.watch_failed", log_str("cause", strerror(errno)));
        return;
    }
    rq->watched = true;
}

void watch_remove(struct request *rq)
{
    if (rq->watched) {
        rq->watched = false;
        epoll_ctl(rq->pub.server->gone_fd, EPOLL_CTL_DEL, rq->conn->fd, NULL);
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
        struct request *rq = found[i].data.ptr;
        if (!rq->watched) {
            continue; /* answered by an on_gone of this very batch; requests are freed only when MHD runs */
        }
        watch_remove(rq);
        rq->pub.on_gone(&rq->pub);
    }
}
