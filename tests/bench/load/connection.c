/* connection.c - one keep-alive connection: a request out, an answer with Content-Length in. */
#include "load.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

void connection_open(struct connection *c, uint32_t address, uint16_t port, int epoll_fd)
{
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = address};
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        die("socket: %s", strerror(errno));
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(c->fd, (struct sockaddr *)&peer, sizeof peer) != 0 && errno != EINPROGRESS) {
        die("connect: %s", strerror(errno));
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) != 0) {
        die("epoll_ctl: %s", strerror(errno));
    }
    c->fresh = true;
    c->filled = c->expected = c->done = 0;
}

void connection_close(struct connection *c)
{
    if (c->fd >= 0) {
        close(c->fd);
    }
    c->fd = -1;
}

bool connection_write(struct connection *c, const struct request_file *f)
{
    const char *text = f->texts[c->request];
    size_t len = f->lengths[c->request];
    while (c->written < len) {
        ssize_t n = send(c->fd, text + c->written, len - c->written, MSG_NOSIGNAL);
        if (n < 0) {
            return errno == EAGAIN || errno == ENOTCONN || errno == EINTR;
        }
        c->written += (size_t)n;
    }
    return true;
}

/* The head is whole: its status and the answer's length. False: no answer of the expected kind. */
static bool read_head(struct connection *c, size_t head_len)
{
    size_t length = 0;
    if (c->filled < 12 || memcmp(c->buffer, "HTTP/1.1 ", 9) != 0) {
        return false;
    }
    c->status = (int)strtol(c->buffer + 9, NULL, 10);
    bool found = c->status == 204 || c->status == 304;
    for (const char *p = c->buffer, *end = p + head_len; p < end; p++) {
        if (*p == '\n' && strncasecmp(p + 1, "content-length:", 15) == 0) {
            length = strtoul(p + 16, NULL, 10);
            found = true;
            break;
        }
    }
    c->expected = head_len + length;
    return found && c->expected <= ANSWER_MAX;
}

enum progress connection_read(struct connection *c, size_t *bytes)
{
    for (;;) {
        if (c->expected && c->filled == sizeof c->buffer) { /* the rest of a long body is not kept */
            c->done += c->filled;
            c->filled = 0;
        }
        ssize_t n = recv(c->fd, c->buffer + c->filled, sizeof c->buffer - c->filled, 0);
        if (n <= 0) {
            return n < 0 && (errno == EAGAIN || errno == EINTR) ? PROGRESS_WAIT : PROGRESS_BROKEN;
        }
        c->filled += (size_t)n;
        if (!c->busy) {
            return PROGRESS_BROKEN; /* an answer that nobody asked for */
        }
        if (!c->expected) {
            char *end = memmem(c->buffer, c->filled, "\r\n\r\n", 4);
            if (!end) {
                if (c->filled == sizeof c->buffer) {
                    return PROGRESS_BROKEN;
                }
                continue;
            }
            if (!read_head(c, (size_t)(end - c->buffer) + 4)) {
                return PROGRESS_BROKEN;
            }
        }
        if (c->done + c->filled >= c->expected) {
            *bytes = c->expected;
            bool exact = c->done + c->filled == c->expected;
            c->filled = c->expected = c->done = 0;
            c->fresh = false;
            return exact ? PROGRESS_ANSWERED : PROGRESS_BROKEN;
        }
    }
}
