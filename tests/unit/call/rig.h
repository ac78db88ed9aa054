/* rig.h - for the tests of the call module: a loop with end-of-turn hooks in the test's own thread, and small
 * HTTP servers on it that misbehave as a test wants. */
#ifndef TESTS_CALL_RIG_H
#define TESTS_CALL_RIG_H

#include "call/client.h"
#include "pcs/core/clock.h"
#include "pcs/core/log.h"

#include <arpa/inet.h>
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct reactor reactor;
static uv_prepare_t turn_end;
static uv_timer_t guard;
static bool guard_fired;

static inline void run_hooks(uv_prepare_t *handle)
{
    (void)handle;
    bool again = true;
    for (int round = 0; again && round < 16; round++) {
        again = false;
        for (struct reactor_hook *h = reactor.hooks; h; h = h->next) {
            again |= h->end_of_turn(h);
        }
    }
}

static inline void rig_setup(void)
{
    char err[128];
    signal(SIGPIPE, SIG_IGN);
    log_set_threshold(LOG_LEVEL_OFF);
    ck_assert_msg(reactor_init(&reactor, 0, err, sizeof err), "%s", err);
    uv_prepare_init(&reactor.loop, &turn_end);
    uv_prepare_start(&turn_end, run_hooks);
    uv_unref((uv_handle_t *)&turn_end);
    uv_timer_init(&reactor.loop, &guard);
}

/* Every handle of the module must be closed by then: the loop proves it. */
static inline void rig_teardown(void)
{
    uv_close((uv_handle_t *)&turn_end, NULL);
    uv_close((uv_handle_t *)&guard, NULL);
    reactor_stop(&reactor);
    for (int i = 0; i < 5000 && uv_run(&reactor.loop, UV_RUN_NOWAIT); i++) {
        usleep(1000);
    }
    ck_assert_msg(!uv_loop_alive(&reactor.loop), "handles were left open");
    ck_assert_ptr_null(reactor.hooks);
    reactor_destroy(&reactor);
}

static inline void on_guard(uv_timer_t *t)
{
    (void)t;
    guard_fired = true;
}

/* Runs the loop until condition or ms have passed; false: the latter. */
#define rig_until(condition, ms)                                                                             \
    __extension__({                                                                                          \
        guard_fired = false;                                                                                 \
        uv_update_time(&reactor.loop);                                                                       \
        uv_timer_start(&guard, on_guard, (ms), 0);                                                           \
        while (!(condition) && !guard_fired) {                                                               \
            uv_run(&reactor.loop, UV_RUN_ONCE);                                                              \
        }                                                                                                    \
        uv_timer_stop(&guard);                                                                               \
        (condition);                                                                                         \
    })
#define rig_run(ms) (void)rig_until(false, ms)

static inline int free_port(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    close(fd);
    return ntohs(a.sin_port);
}

/* ---- a server ---- */

struct server;

struct peer {
    uv_tcp_t tcp;
    struct server *server;
    struct peer *next;
    unsigned number;   /* of the connection, from 1 */
    unsigned requests; /* whole ones that came on it */
    char input[65536];
    size_t len;
};

struct server {
    uv_tcp_t listener;
    struct peer *peers;
    int port;
    unsigned accepted, requests;
    size_t bytes;
    char last[8192]; /* the latest whole request */
    void (*on_request)(struct peer *p);
};

static inline void peer_freed(uv_handle_t *h)
{
    free(h);
}

static inline void peer_unlink(struct peer *p)
{
    struct peer **at = &p->server->peers;
    while (*at && *at != p) {
        at = &(*at)->next;
    }
    if (*at) {
        *at = p->next;
    }
}

static inline void peer_close(struct peer *p, bool reset)
{
    if (uv_is_closing((uv_handle_t *)&p->tcp)) {
        return;
    }
    peer_unlink(p);
    if (!reset || uv_tcp_close_reset(&p->tcp, peer_freed) != 0) {
        uv_close((uv_handle_t *)&p->tcp, peer_freed);
    }
}

static inline void peer_say(struct peer *p, const char *data, size_t len)
{
    uv_buf_t b = uv_buf_init((char *)(uintptr_t)data, (unsigned)len);
    if (!uv_is_closing((uv_handle_t *)&p->tcp)) {
        (void)uv_try_write((uv_stream_t *)&p->tcp, &b, 1);
    }
}

static inline void peer_says(struct peer *p, const char *text)
{
    peer_say(p, text, strlen(text));
}

static inline void peer_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    struct peer *p = (struct peer *)h;
    (void)suggested;
    *buf = uv_buf_init(p->input + p->len, (unsigned)(sizeof p->input - 1 - p->len));
}

static inline void peer_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    struct peer *p = (struct peer *)s;
    char *end, *length;
    (void)buf;
    if (n < 0) {
        peer_close(p, false);
        return;
    }
    p->len += (size_t)n;
    p->server->bytes += (size_t)n;
    p->input[p->len] = '\0';
    while (!uv_is_closing((uv_handle_t *)s) && (end = strstr(p->input, "\r\n\r\n")) != NULL) {
        size_t whole = (size_t)(end + 4 - p->input);
        length = strcasestr(p->input, "\r\nContent-Length:");
        whole += length && length < end ? strtoul(length + 17, NULL, 10) : 0;
        if (p->len < whole) {
            return;
        }
        snprintf(p->server->last, sizeof p->server->last, "%.*s", (int)whole, p->input);
        memmove(p->input, p->input + whole, p->len - whole + 1);
        p->len -= whole;
        p->requests++;
        p->server->requests++;
        p->server->on_request(p);
    }
}

static inline void server_accept(uv_stream_t *listener, int status)
{
    struct server *s = listener->data;
    struct peer *p = calloc(1, sizeof *p);
    ck_assert_int_eq(status, 0);
    uv_tcp_init(&reactor.loop, &p->tcp);
    uv_tcp_nodelay(&p->tcp, 1); /* what it says is there at once */
    p->server = s;
    p->number = ++s->accepted;
    p->next = s->peers;
    s->peers = p;
    ck_assert_int_eq(uv_accept(listener, (uv_stream_t *)&p->tcp), 0);
    uv_read_start((uv_stream_t *)&p->tcp, peer_alloc, peer_read);
}

static inline void server_start(struct server *s, void (*on_request)(struct peer *))
{
    struct sockaddr_in a;
    int len = sizeof a;
    memset(s, 0, sizeof *s);
    s->on_request = on_request;
    uv_ip4_addr("127.0.0.1", 0, &a);
    uv_tcp_init(&reactor.loop, &s->listener);
    s->listener.data = s;
    uv_tcp_bind(&s->listener, (struct sockaddr *)&a, 0);
    ck_assert_int_eq(uv_listen((uv_stream_t *)&s->listener, 1024, server_accept), 0);
    uv_tcp_getsockname(&s->listener, (struct sockaddr *)&a, &len);
    s->port = ntohs(a.sin_port);
}

static inline void server_stop(struct server *s)
{
    while (s->peers) {
        peer_close(s->peers, false);
    }
    uv_close((uv_handle_t *)&s->listener, NULL);
}

static inline int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}

#endif
