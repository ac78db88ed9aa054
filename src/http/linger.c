/* linger.c - lets a client finish sending what we have refused to read.
 *
 * An answer given before the body (413, 411, a refused head) ends the connection. Closing a socket with unread bytes
 * makes the kernel send a reset, which can overtake the answer: a client that writes all before it reads, or a gateway,
 * then sees a broken pipe instead of 413. So such a socket is kept a moment longer: our side is closed, the rest is
 * read and thrown away, until the client closes, or LINGER_MS or LINGER_BYTES are over (RFC 9112 9.6). */
#include "http/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINGER_MS    2000
#define LINGER_BYTES (4U << 20)
#define LINGER_MAX   64 /* sockets of one server; further ones are closed at once */

struct linger_socket {
    struct linger_socket *next;
    uint64_t deadline_ms;
    size_t bytes;
    int fd; /* -1: done, waits to be taken out of the list */
};

/* c's socket stays open under a second descriptor when libmicrohttpd closes its own. */
void linger_take(struct conn *c)
{
    struct http_server *s = c->server;
    struct linger_socket *l;
    if (!c->unread || s->stopping || s->linger_count >= LINGER_MAX || !(l = calloc(1, sizeof *l))) {
        return;
    }
    l->fd = fcntl(c->fd, F_DUPFD_CLOEXEC, 3);
    if (l->fd < 0) {
        free(l);
        return;
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP,
                                .data.ptr = (void *)((uintptr_t)l | WATCH_LINGER)};
    epoll_ctl(s->gone_fd, EPOLL_CTL_DEL, c->fd, NULL); /* the socket outlives the connection object */
    if (epoll_ctl(s->gone_fd, EPOLL_CTL_ADD, l->fd, &event) != 0) {
        close(l->fd);
        free(l);
        return;
    }
    shutdown(l->fd, SHUT_WR);
    l->deadline_ms = uv_now(&s->reactor->loop) + LINGER_MS;
    *s->linger_tail = l;
    s->linger_tail = &l->next;
    s->linger_count++;
}

static void finish(struct linger_socket *l)
{
    close(l->fd);
    l->fd = -1;
}

void linger_event(struct linger_socket *l)
{
    char waste[16384];
    ssize_t n = 0;
    while (l->fd >= 0 && (n = recv(l->fd, waste, sizeof waste, MSG_DONTWAIT)) > 0) {
        l->bytes += (size_t)n;
        if (l->bytes > LINGER_BYTES) {
            finish(l);
        }
    }
    if (l->fd >= 0 && (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))) {
        finish(l);
    }
}

/* now_ms: UINT64_MAX ends all. */
void linger_sweep(struct http_server *s, uint64_t now_ms)
{
    struct linger_socket **p = &s->lingers, *l;
    while ((l = *p) != NULL) {
        if (l->fd >= 0 && l->deadline_ms <= now_ms) {
            finish(l);
        }
        if (l->fd < 0) {
            *p = l->next;
            free(l);
            s->linger_count--;
        } else {
            p = &l->next;
        }
    }
    s->linger_tail = p;
}
