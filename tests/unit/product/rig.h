/* rig.h - for the tests of KOS client and store: a loop in the test's own thread, a private redis-server, and
 * a KOS on the same loop that answers what the test wants, when it wants. */
#ifndef TESTS_PRODUCT_RIG_H
#define TESTS_PRODUCT_RIG_H

#include "pcs/core/clock.h"
#include "pcs/core/log.h"
#include "product/kos_internal.h"
#include "product/store_internal.h"

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

#define LINE  "01012345678"
#define OTHER "01099998888"
#define WAIT  5000 /* ms that a condition is given */

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

/* ---- KOS ---- */

#define REQUESTS_MAX 512

struct peer {
    uv_tcp_t tcp;
    struct peer *next;
    size_t len;
    char input[16384];
};

struct asked {
    struct peer *peer; /* NULL: answered, or gone */
    enum kos_operation op;
    char line[16], head[2048], body[2048];
};

/* What KOS says when it is not held: NULL closes the connection without an answer. */
typedef const char *(*kos_says)(const struct asked *a, int *status);

static struct {
    uv_tcp_t listener;
    int port;
    struct peer *peers;
    struct asked asked[REQUESTS_MAX];
    unsigned count[KOS_OPERATIONS], total;
    bool held; /* answers wait for kos_release() */
    kos_says says;
} fake_kos;

static inline void peer_freed(uv_handle_t *h)
{
    free(h);
}

static inline void peer_close(struct peer *p)
{
    struct peer **at = &fake_kos.peers;
    while (*at && *at != p) {
        at = &(*at)->next;
    }
    if (*at) {
        *at = p->next;
        for (unsigned i = 0; i < fake_kos.total; i++) {
            if (fake_kos.asked[i].peer == p) {
                fake_kos.asked[i].peer = NULL;
            }
        }
        uv_close((uv_handle_t *)&p->tcp, peer_freed);
    }
}

static inline void kos_reply(struct asked *a)
{
    char head[160];
    int status = 200;
    struct peer *p = a->peer;
    const char *body = fake_kos.says(a, &status);
    if (!p) {
        return;
    }
    a->peer = NULL;
    if (!body) {
        peer_close(p);
        return;
    }
    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", status,
                     strlen(body));
    uv_buf_t b[2] = {uv_buf_init(head, (unsigned)n),
                     uv_buf_init((char *)(uintptr_t)body, (unsigned)strlen(body))};
    ck_assert_int_eq(uv_try_write((uv_stream_t *)&p->tcp, b, 2), n + (int)strlen(body));
}

/* Answers everything that waits. */
static inline void kos_release(void)
{
    for (unsigned i = 0; i < fake_kos.total; i++) {
        if (fake_kos.asked[i].peer) {
            kos_reply(&fake_kos.asked[i]);
        }
    }
}

static inline void peer_request(struct peer *p, size_t head_len, size_t body_len)
{
    ck_assert_uint_lt(fake_kos.total, REQUESTS_MAX);
    struct asked *a = &fake_kos.asked[fake_kos.total++];
    memset(a, 0, sizeof *a);
    a->peer = p;
    snprintf(a->head, sizeof a->head, "%.*s", (int)head_len, p->input);
    snprintf(a->body, sizeof a->body, "%.*s", (int)body_len, p->input + head_len);
    a->op = strstr(a->head, "/inquiry ") ? KOS_INQUIRY : strstr(a->head, "/list ") ? KOS_LIST : KOS_CHANGE;
    const char *line = strstr(a->body, "\"lineNumber\":\"");
    if (line) {
        snprintf(a->line, sizeof a->line, "%.11s", line + 14);
    }
    fake_kos.count[a->op]++;
    memmove(p->input, p->input + head_len + body_len, p->len - head_len - body_len + 1);
    p->len -= head_len + body_len;
    if (!fake_kos.held) {
        kos_reply(a);
    }
}

static inline void peer_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    struct peer *p = (struct peer *)s;
    (void)buf;
    if (n < 0) {
        peer_close(p);
        return;
    }
    p->len += (size_t)n;
    p->input[p->len] = '\0';
    const char *end = strstr(p->input, "\r\n\r\n");
    if (end) {
        size_t head = (size_t)(end - p->input) + 4;
        const char *length = strstr(p->input, "Content-Length: ");
        size_t body = length && length < end ? strtoul(length + 16, NULL, 10) : 0;
        if (p->len >= head + body) {
            peer_request(p, head, body);
        }
    }
}

static inline void peer_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    struct peer *p = (struct peer *)h;
    (void)suggested;
    *buf = uv_buf_init(p->input + p->len, (unsigned)(sizeof p->input - p->len - 1));
}

static inline void peer_accept(uv_stream_t *listener, int status)
{
    struct peer *p = calloc(1, sizeof *p);
    ck_assert_int_eq(status, 0);
    uv_tcp_init(&reactor.loop, &p->tcp);
    ck_assert_int_eq(uv_accept(listener, (uv_stream_t *)&p->tcp), 0);
    p->next = fake_kos.peers;
    fake_kos.peers = p;
    uv_read_start((uv_stream_t *)&p->tcp, peer_alloc, peer_read);
}

static inline void fake_kos_start(kos_says says)
{
    struct sockaddr_in a;
    int len = sizeof a;
    memset(&fake_kos, 0, sizeof fake_kos);
    fake_kos.says = says;
    uv_ip4_addr("127.0.0.1", 0, &a);
    uv_tcp_init(&reactor.loop, &fake_kos.listener);
    uv_tcp_bind(&fake_kos.listener, (struct sockaddr *)&a, 0);
    ck_assert_int_eq(uv_listen((uv_stream_t *)&fake_kos.listener, 512, peer_accept), 0);
    uv_tcp_getsockname(&fake_kos.listener, (struct sockaddr *)&a, &len);
    fake_kos.port = ntohs(a.sin_port);
}

/* No connection any more: from now on KOS refuses. */
static inline void fake_kos_stop(void)
{
    while (fake_kos.peers) {
        peer_close(fake_kos.peers);
    }
    if (!uv_is_closing((uv_handle_t *)&fake_kos.listener)) {
        uv_close((uv_handle_t *)&fake_kos.listener, NULL);
    }
}

/* ---- what a healthy KOS says ---- */

static const char *kos_product = "A"; /* every line's present product */
static const char *kos_name = "이름";

static inline const char *healthy(const struct asked *a, int *status)
{
    static char body[4096];
    (void)status;
    if (a->op == KOS_LIST) {
        return "{\"success\":true,\"resultCode\":\"0000\",\"data\":{\"result_code\":\"0000\",\"products\":["
               "{\"product_code\":\"A\",\"product_name\":\"에이\",\"monthly_fee\":1000,\"status\":\"ACTIVE\","
               "\"network_type\":\"LTE\"},"
               "{\"product_code\":\"B\",\"product_name\":\"비\",\"monthly_fee\":2000,\"status\":\"ACTIVE\"}]}"
               "}";
    }
    if (a->op == KOS_CHANGE) {
        return "{\"success\":true,\"resultCode\":\"0000\",\"data\":null}";
    }
    snprintf(body, sizeof body,
             "{\"success\":true,\"resultCode\":\"0000\",\"data\":{\"resultCode\":\"0000\",\"productInfo\":{"
             "\"lineNumber\":\"%s\",\"currentProductCode\":\"%s\",%s%s%s\"monthlyFee\":%s},"
             "\"customerInfo\":{\"customerId\":\"C1\",\"customerName\":\"홍길동\",\"operatorCode\":\"M1\"}}}",
             a->line, kos_product, kos_name ? "\"currentProductName\":\"" : "", kos_name ? kos_name : "",
             kos_name ? "\"," : "", kos_name ? "1000" : "null");
    return body;
}

static inline const char *system_error(const struct asked *a, int *status)
{
    (void)a;
    (void)status;
    return "{\"success\":false,\"resultCode\":\"9999\",\"data\":null}";
}

static inline const char *hang_up(const struct asked *a, int *status)
{
    (void)a;
    (void)status;
    return NULL;
}

/* ---- Redis ---- */

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

static inline redisContext *redis_client(int port)
{
    redisContext *c = redisConnectWithTimeout("127.0.0.1", port, (struct timeval){.tv_sec = 1});
    if (c && c->err) {
        redisFree(c);
        return NULL;
    }
    return c;
}

static inline pid_t redis_start(int port)
{
    char p[16];
    snprintf(p, sizeof p, "%d", port);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        FILE *null = freopen("/dev/null", "w", stdout);
        (void)null;
        execlp("redis-server", "redis-server", "--port", p, "--bind", "127.0.0.1", "--save", "",
               "--appendonly", "no", "--dir", "/tmp", NULL);
        _exit(127);
    }
    ck_assert_int_gt(pid, 0);
    for (int i = 0; i < 500; i++) {
        redisContext *c = redis_client(port);
        if (c) {
            redisFree(c);
            return pid;
        }
        usleep(10000);
    }
    ck_abort_msg("redis-server did not start");
    return pid;
}

static inline void redis_stop(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* ---- loop, client, gates, KOS ---- */

static struct call_client *calls;
static struct kos_gates gates;
static struct kos_config kos_settings_used;
static struct kos *kos;
static char base_url[64];

static inline struct kos_config test_kos_config(void)
{
    struct kos_config c = {.base_url = base_url,
                           .default_operator = "",
                           .settle_horizon_ms = 600000,
                           .inquiry_deadline_ms = 3000,
                           .list_deadline_ms = 3000,
                           .change_deadline_ms = 5000,
                           .connect_timeout_ms = 1000,
                           .breaker_window = 20,
                           .breaker_minimum = 10,
                           .breaker_failure_rate = 50,
                           .breaker_slow_rate = 80,
                           .breaker_slow_share = 80,
                           .breaker_half_open_permits = 3,
                           .breaker_wait_ms = 10000,
                           .breaker_wait_max_ms = 60000,
                           .breaker_half_open_max_ms = 30000,
                           .ca_file = "",
                           .client_cert = "",
                           .client_key = ""};
    for (int op = 0; op < KOS_OPERATIONS; op++) {
        c.max_in_flight[op] = 256;
        c.max_queue[op] = 1024;
    }
    return c;
}

static inline void rig_setup_loop(void)
{
    static bool once;
    char err[256];
    signal(SIGPIPE, SIG_IGN);
    log_set_threshold(LOG_LEVEL_OFF);
    if (!once) {
        metrics_register(redis_metrics, redis_metrics_count);
        metrics_register(kos_metrics, kos_metrics_count);
        metrics_register(store_metrics, store_metrics_count);
        metrics_thread_init();
        once = true;
    }
    ck_assert_msg(reactor_init(&reactor, 0, err, sizeof err), "%s", err);
    uv_prepare_init(&reactor.loop, &turn_end);
    uv_prepare_start(&turn_end, run_hooks);
    uv_unref((uv_handle_t *)&turn_end);
    uv_timer_init(&reactor.loop, &guard);
    kos_product = "A";
    kos_name = "이름";
    fake_kos_start(healthy);
    snprintf(base_url, sizeof base_url, "http://127.0.0.1:%d/", fake_kos.port);
}

static inline void rig_setup_kos(struct kos_config config)
{
    char err[256];
    kos_settings_used = config;
    calls = call_client_create(&reactor, 512, err, sizeof err);
    ck_assert_msg(calls != NULL, "%s", err);
    ck_assert_msg(kos_gates_init(&gates, &kos_settings_used, err, sizeof err), "%s", err);
    kos = kos_create(&reactor, calls, &gates, &kos_settings_used, err, sizeof err);
    ck_assert_msg(kos != NULL, "%s", err);
}

/* Every handle must be closed by then: the loop proves it. */
static inline void rig_teardown(void)
{
    kos_destroy(kos);
    kos = NULL;
    call_client_destroy(calls);
    fake_kos_stop();
    uv_close((uv_handle_t *)&turn_end, NULL);
    uv_close((uv_handle_t *)&guard, NULL);
    reactor_stop(&reactor);
    for (int i = 0; i < 1000 && uv_run(&reactor.loop, UV_RUN_NOWAIT); i++) {
    }
    ck_assert_msg(!uv_loop_alive(&reactor.loop), "handles were left open");
    reactor_destroy(&reactor);
    kos_gates_free(&gates);
}

static const struct kos_caller caller = {
    .correlation_id = "corr-1",
    .traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
};

static inline uint64_t in_ms(uint64_t ms)
{
    return clock_mono_ns() + ms * NS_PER_MS;
}

static inline int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
