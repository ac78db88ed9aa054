/* rig.h - for the tests of the Redis module: a loop with end-of-turn hooks in the test's own thread, a
 * private redis-server, and a fake one that says what a test wants. */
#ifndef TESTS_REDIS_RIG_H
#define TESTS_REDIS_RIG_H

#include "pcs/core/clock.h"
#include "pcs/core/log.h"
#include "pcs/redis/lease.h"
#include "redis/link.h"

#include <arpa/inet.h>
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct reactor reactor;
static uv_prepare_t turn_end;
static uv_timer_t guard;
static bool guard_fired;

static void run_hooks(uv_prepare_t *handle)
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
    static bool once;
    signal(SIGPIPE, SIG_IGN);
    log_set_threshold(LOG_LEVEL_OFF);
    if (!once) {
        metrics_register(redis_metrics, redis_metrics_count);
        metrics_thread_init();
        once = true;
    }
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
        usleep(1000); /* a look-up that runs on libuv's own thread cannot be cancelled */
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

/* ---- a real Redis ---- */

static inline redisContext *client(int port)
{
    redisContext *c = redisConnectWithTimeout("127.0.0.1", port, (struct timeval){.tv_sec = 1});
    if (c && c->err) {
        redisFree(c);
        return NULL;
    }
    return c;
}

static inline pid_t start_redis(int port, const char *password)
{
    char p[16];
    snprintf(p, sizeof p, "%d", port);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        FILE *null = freopen("/dev/null", "w", stdout);
        (void)null;
        execlp("redis-server", "redis-server", "--port", p, "--bind", "127.0.0.1", "--save", "",
               "--appendonly", "no", "--dir", "/tmp", password ? "--requirepass" : NULL, password, NULL);
        _exit(127);
    }
    ck_assert_int_gt(pid, 0);
    for (int i = 0; i < 500; i++) {
        redisContext *c = client(port);
        if (c) {
            redisFree(c);
            return pid;
        }
        usleep(10000);
    }
    ck_abort_msg("redis-server did not start");
    return pid;
}

static inline void stop_redis(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* ---- a fake one, on the same loop ---- */

struct fake {
    uv_tcp_t listener;
    uv_tcp_t *peer; /* the newest connection, NULL: none */
    int port;
    unsigned accepted;
    size_t received;
    char input[65536];
    unsigned reads; /* pieces in which the input came */
    /* called for each piece; answers with fake_say() */
    void (*on_data)(struct fake *f, const char *data, size_t len);
};

static inline void fake_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    static char memory[65536];
    (void)h;
    (void)suggested;
    *buf = uv_buf_init(memory, sizeof memory);
}

static inline void fake_free_peer(uv_handle_t *h)
{
    free(h);
}

static inline void fake_close_peer(struct fake *f, bool reset)
{
    if (f->peer) {
        uv_tcp_t *peer = f->peer;
        f->peer = NULL;
        peer->data = NULL;
        if (reset) {
            uv_tcp_close_reset(peer, fake_free_peer);
        } else {
            uv_close((uv_handle_t *)peer, fake_free_peer);
        }
    }
}

static inline void fake_say(struct fake *f, const char *data, size_t len)
{
    uv_buf_t b = uv_buf_init((char *)(uintptr_t)data, (unsigned)len);
    if (f->peer) {
        (void)uv_try_write((uv_stream_t *)f->peer, &b, 1);
    }
}

static inline void fake_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    struct fake *f = s->data;
    if (!f) {
        return;
    }
    if (n < 0) {
        fake_close_peer(f, false);
        return;
    }
    if (n > 0) {
        f->reads++;
        if (f->received + (size_t)n < sizeof f->input) {
            memcpy(f->input + f->received, buf->base, (size_t)n);
            f->input[f->received + (size_t)n] = '\0';
        }
        f->received += (size_t)n;
        if (f->on_data) {
            f->on_data(f, buf->base, (size_t)n);
        }
    }
}

static inline void fake_accept(uv_stream_t *listener, int status)
{
    struct fake *f = listener->data;
    ck_assert_int_eq(status, 0);
    f->accepted++;
    f->received = 0;
    fake_close_peer(f, false);
    f->peer = calloc(1, sizeof *f->peer);
    uv_tcp_init(&reactor.loop, f->peer);
    f->peer->data = f;
    ck_assert_int_eq(uv_accept(listener, (uv_stream_t *)f->peer), 0);
    uv_read_start((uv_stream_t *)f->peer, fake_alloc, fake_read);
}

static inline void fake_start(struct fake *f, void (*on_data)(struct fake *, const char *, size_t))
{
    struct sockaddr_in a;
    int len = sizeof a;
    memset(f, 0, sizeof *f);
    f->on_data = on_data;
    uv_ip4_addr("127.0.0.1", 0, &a);
    uv_tcp_init(&reactor.loop, &f->listener);
    f->listener.data = f;
    uv_tcp_bind(&f->listener, (struct sockaddr *)&a, 0);
    ck_assert_int_eq(uv_listen((uv_stream_t *)&f->listener, 16, fake_accept), 0);
    uv_tcp_getsockname(&f->listener, (struct sockaddr *)&a, &len);
    f->port = ntohs(a.sin_port);
}

static inline void fake_stop(struct fake *f)
{
    fake_close_peer(f, false);
    uv_close((uv_handle_t *)&f->listener, NULL);
}

/* ---- a link, and what was heard of a command ---- */

static inline struct redis_config test_config(int port)
{
    return (struct redis_config){.host = "127.0.0.1",
                                 .port = port,
                                 .password = "",
                                 .deadline_ms = 200,
                                 .connect_timeout_ms = 500,
                                 .max_in_flight = 4096};
}

static inline struct redis_link *open_link(const struct redis_config *config, struct breaker *breaker)
{
    char err[128];
    struct redis_link *link = redis_link_create(&reactor, config, breaker, err, sizeof err);
    ck_assert_msg(link != NULL, "%s", err);
    return link;
}

struct heard {
    unsigned count;
    enum redis_outcome outcome;
    int type;
    long long integer;
    char text[256];
};

static inline void hear(void *arg, enum redis_outcome outcome, const redisReply *reply)
{
    struct heard *h = arg;
    h->count++;
    h->outcome = outcome;
    h->type = reply ? reply->type : 0;
    h->integer = reply ? reply->integer : 0;
    snprintf(h->text, sizeof h->text, "%s", reply && reply->str ? reply->str : "");
}

static inline struct redis_call *command(struct redis_link *link, redis_done done, void *arg, const char *a,
                                         const char *b, const char *c)
{
    const char *words[] = {a, b, c};
    struct redis_arg args[3];
    size_t n = 0;
    while (n < 3 && words[n]) {
        args[n].data = words[n];
        args[n].len = strlen(words[n]);
        n++;
    }
    return redis_command(link, 0, done, arg, args, n);
}

static inline struct breaker *test_breaker(int wait_ms)
{
    struct breaker_config config = breaker_config_default();
    char err[128];
    config.slow_duration_ns = (int64_t)NS_PER_SEC;
    config.minimum_calls = 5;
    config.wait_ms = wait_ms;
    config.wait_max_ms = wait_ms;
    config.wait_jitter = 0;
    struct breaker *b = breaker_create("redis", &config, err, sizeof err);
    ck_assert_msg(b != NULL, "%s", err);
    return b;
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
