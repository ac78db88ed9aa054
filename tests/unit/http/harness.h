/* harness.h - a real server on a loopback port, its reactor in a thread of the test, driven by raw sockets.
 */
#ifndef PCS_TEST_HTTP_HARNESS_H
#define PCS_TEST_HTTP_HARNESS_H

#include "pcs/core/clock.h"
#include "pcs/http/http.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define UNUSED     __attribute__((unused))
#define PATIENCE_S 10 /* a wait for a condition gives up after this long */

struct fixture {
    struct reactor reactor;
    struct http_config config;
    const struct http_route *routes;
    size_t route_count;
    http_gate gate;
    void *context;
    struct http_server *server;
    int64_t port;
    int listen_fd;
};

UNUSED static struct http_config default_config(void)
{
    return (struct http_config){.bind = "127.0.0.1",
                                .public_prefix = "",
                                .threads = 1,
                                .connection_limit = 4000,
                                .header_timeout_ms = 10000,
                                .body_timeout_ms = 10000,
                                .idle_timeout_ms = 75000};
}

static bool fixture_on_start(struct reactor *r, void *arg)
{
    struct fixture *f = arg;
    char err[200];
    f->server = http_server_create(r, &f->config, f->listen_fd, f->routes, f->route_count, f->gate,
                                   f->context, err, sizeof err);
    if (!f->server) {
        fprintf(stderr, "%s\n", err);
    }
    return f->server != NULL;
}

UNUSED static void fixture_start(struct fixture *f)
{
    char err[200];
    signal(SIGPIPE, SIG_IGN);
    ck_assert_msg(reactor_init(&f->reactor, 0, err, sizeof err), "%s", err);
    f->port = 0;
    f->listen_fd = http_listen(f->config.bind, &f->port, err, sizeof err);
    ck_assert_msg(f->listen_fd >= 0, "%s", err);
    ck_assert(reactor_start(&f->reactor, "test", fixture_on_start, f));
}

/* Runs fn on the reactor and waits for it. */
struct call {
    struct msg msg;
    struct fixture *f;
    void (*fn)(struct fixture *f);
    uv_sem_t done;
};

static void call_deliver(struct msg *m)
{
    struct call *c = (struct call *)m;
    c->fn(c->f);
    uv_sem_post(&c->done);
}

UNUSED static void on_reactor(struct fixture *f, void (*fn)(struct fixture *f))
{
    struct call c = {.msg.deliver = call_deliver, .f = f, .fn = fn};
    uv_sem_init(&c.done, 0);
    ck_assert(reactor_post(&f->reactor, &c.msg));
    uv_sem_wait(&c.done);
    uv_sem_destroy(&c.done);
}

UNUSED static void do_stop(struct fixture *f)
{
    http_server_stop(f->server);
    reactor_stop(&f->reactor);
}

UNUSED static void do_quiesce(struct fixture *f)
{
    http_server_quiesce(f->server);
}

/* Ends in order and proves that the loop is empty. */
UNUSED static void fixture_stop(struct fixture *f)
{
    on_reactor(f, do_stop);
    ck_assert(reactor_join(&f->reactor));
    reactor_destroy(&f->reactor);
}

/* ---- client ---- */

UNUSED static int client_connect(const struct fixture *f)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)f->port)};
    struct timeval limit = {.tv_sec = PATIENCE_S};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    ck_assert_msg(connect(fd, (struct sockaddr *)&to, sizeof to) == 0, "connect: %s", strerror(errno));
    return fd;
}

UNUSED static void client_send(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n <= 0) {
            return; /* refused early: the answer tells */
        }
        data += n;
        len -= (size_t)n;
    }
}

UNUSED static void client_puts(int fd, const char *text)
{
    client_send(fd, text, strlen(text));
}

struct answer {
    int status;
    size_t len, body_len;
    char *body;
    char head[8192]; /* NUL-terminated after the blank line */
    char content[70000];
};

/* One answer; false at the end of the stream before its first byte. no_body: it answers a HEAD. */
UNUSED static bool client_read(int fd, struct answer *a, bool no_body)
{
    size_t n = 0;
    memset(a, 0, offsetof(struct answer, head));
    a->content[0] = '\0';
    while (n < 4 || memcmp(a->head + n - 4, "\r\n\r\n", 4) != 0) {
        ssize_t got = n < sizeof a->head - 1 ? recv(fd, a->head + n, 1, 0) : -1;
        if (got <= 0) {
            a->head[n] = '\0';
            return false;
        }
        n++;
    }
    a->head[n] = '\0';
    ck_assert_int_eq(sscanf(a->head, "HTTP/1.%*d %d", &a->status), 1);
    const char *length = strcasestr(a->head, "\r\nContent-Length:");
    a->body = a->content;
    a->len = length && !no_body ? (size_t)strtoul(length + 17, NULL, 10) : 0;
    ck_assert_uint_lt(a->len, sizeof a->content);
    while (a->body_len < a->len) {
        ssize_t got = recv(fd, a->content + a->body_len, a->len - a->body_len, 0);
        ck_assert_int_gt(got, 0);
        a->body_len += (size_t)got;
    }
    a->content[a->body_len] = '\0';
    return true;
}

/* The connection ends (orderly or reset) within the patience. */
UNUSED static bool client_ended(int fd)
{
    char byte;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, PATIENCE_S * 1000) <= 0) {
        return false;
    }
    ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN);
}

/* A header's value in the answer, copied into a static buffer; NULL: absent. */
UNUSED static const char *answer_header(const struct answer *a, const char *name)
{
    static char value[2048];
    char want[128];
    snprintf(want, sizeof want, "\r\n%s: ", name);
    const char *at = strcasestr(a->head, want);
    if (!at) {
        return NULL;
    }
    at += strlen(want);
    size_t len = strcspn(at, "\r");
    snprintf(value, sizeof value, "%.*s", (int)len, at);
    return value;
}

/* Sends a request on a connection of its own and reads the answer. */
UNUSED static void ask(const struct fixture *f, const char *text, struct answer *a)
{
    int fd = client_connect(f);
    client_puts(fd, text);
    ck_assert_msg(client_read(fd, a, strncmp(text, "HEAD", 4) == 0), "no answer to %s", text);
    close(fd);
}

/* Waits until a counter reaches a value. */
UNUSED static void wait_for(_Atomic int *counter, int value)
{
    uint64_t until = clock_mono_ns() + PATIENCE_S * NS_PER_SEC;
    while (atomic_load(counter) < value) {
        ck_assert_msg(clock_mono_ns() < until, "waited in vain for %d", value);
        poll(NULL, 0, 1);
    }
}

UNUSED static int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
