/* The server on its loop: keep-alive, pipelining, suspension, clients that leave or dawdle, the end. */
#include "unit/http/harness.h"

#include <sys/resource.h>
#include <sys/wait.h>

#define H "Host: x\r\n"

static _Atomic int arrived, gone;
static struct http_request *parked[4096];
static int parked_count;

static void reply_ok(struct http_request *rq)
{
    http_reply(rq, 200, "application/json", strdup("{\"ok\":true}"), 11, NULL, 0);
}

static void on_plain(struct http_request *rq)
{
    reply_ok(rq);
}

/* Suspended; answered in a later turn of the loop. */
struct later {
    struct msg msg;
    struct http_request *rq;
};

static void later_deliver(struct msg *m)
{
    struct later *l = (struct later *)m;
    reply_ok(l->rq);
    free(l);
}

static void on_later(struct http_request *rq)
{
    struct later *l = malloc(sizeof *l);
    *l = (struct later){.msg.deliver = later_deliver, .rq = rq};
    mailbox_reply(&rq->reactor->inbox, &l->msg);
}

/* Suspended until the test releases it. */
static void on_hang(struct http_request *rq)
{
    parked[parked_count++] = rq;
    atomic_fetch_add(&arrived, 1);
}

static void release_all(struct fixture *f)
{
    (void)f;
    while (parked_count) {
        reply_ok(parked[--parked_count]);
    }
}

static void client_gone(struct http_request *rq)
{
    atomic_fetch_add(&gone, 1);
    (void)rq;
}

static void on_watch(struct http_request *rq)
{
    http_watch_client(rq, client_gone);
    on_hang(rq);
}

static void on_body(struct http_request *rq)
{
    char *copy = malloc(rq->body_len + 1);
    memcpy(copy, rq->body, rq->body_len);
    http_reply(rq, 200, "application/json", copy, rq->body_len, NULL, 0);
}

static void on_big(struct http_request *rq)
{
    size_t len = 64 << 20;
    char *body = malloc(len);
    memset(body, 'x', len);
    http_reply(rq, 200, "text/plain", body, len, NULL, 0);
    atomic_fetch_add(&arrived, 1);
}

static void on_twice(struct http_request *rq)
{
    reply_ok(rq);
    reply_ok(rq);
}

static const struct http_problem denied = {"UNAUTHORIZED", 401, "인증이 필요합니다",
                                           "Authentication is required"};

static bool gate(struct http_request *rq)
{
    if (http_header(rq, "Authorization")) {
        return true;
    }
    http_fail(rq, &denied, NULL);
    return false;
}

static const struct http_route routes[] = {
    {.method = "GET", .path = "/plain", .handler = on_plain, .flags = HTTP_OPEN},
    {.method = "GET", .path = "/later", .handler = on_later, .flags = HTTP_OPEN | HTTP_QUIET},
    {.method = "GET", .path = "/hang", .handler = on_hang, .flags = HTTP_OPEN},
    {.method = "GET", .path = "/watch", .handler = on_watch, .flags = HTTP_OPEN},
    {.method = "GET", .path = "/big", .handler = on_big, .flags = HTTP_OPEN},
    {.method = "GET", .path = "/twice", .handler = on_twice, .flags = HTTP_OPEN},
    {.method = "GET", .path = "/gated", .handler = on_plain},
    {.method = "POST", .path = "/gated", .handler = on_body, .flags = HTTP_BODY},
    {.method = "POST", .path = "/body", .handler = on_body, .flags = HTTP_OPEN | HTTP_BODY},
    {.method = "POST", .path = "/body/later", .handler = on_later, .flags = HTTP_OPEN | HTTP_BODY},
};

static struct fixture f;

static void prepare(void)
{
    f = (struct fixture){.config = default_config(),
                         .routes = routes,
                         .route_count = sizeof routes / sizeof *routes,
                         .gate = gate};
}

static void setup(void)
{
    prepare();
    fixture_start(&f);
}

static void teardown(void)
{
    fixture_stop(&f);
}

static void expect(int fd, int status)
{
    struct answer a;
    ck_assert_msg(client_read(fd, &a, false), "the connection ended instead of %d", status);
    ck_assert_int_eq(a.status, status);
}

/* PITFALLS 1: an answer queued in the first call closes; so errors wait for the final one. */
START_TEST(keep_alive_survives_errors)
{
    int fd = client_connect(&f);
    for (int round = 0; round < 3; round++) {
        client_puts(fd, "GET /nowhere HTTP/1.1\r\n" H "\r\n");
        expect(fd, 404);
        client_puts(fd, "DELETE /plain HTTP/1.1\r\n" H "\r\n");
        expect(fd, 405);
        client_puts(fd, "GET /gated HTTP/1.1\r\n" H "\r\n");
        expect(fd, 401);
        client_puts(fd, "POST /gated HTTP/1.1\r\n" H
                        "Content-Type: application/json\r\nContent-Length: 5\r\n\r\n12345");
        expect(fd, 401);
        client_puts(fd,
                    "POST /body HTTP/1.1\r\n" H "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\n12345");
        expect(fd, 415);
        client_puts(fd, "POST /body HTTP/1.1\r\n" H "\r\n");
        expect(fd, 411);
        client_puts(fd,
                    "GET /gated HTTP/1.1\r\n" H "Authorization: Bearer x\r\nContent-Length: 3\r\n\r\nabc");
        expect(fd, 200);
    }
    close(fd);
}
END_TEST

/* A body that arrives in pieces is whole for the handler, at every size up to the limit. */
START_TEST(body_in_pieces)
{
    static char body[HTTP_BODY_MAX];
    static const size_t sizes[] = {0, 1, 4095, 4096, 8000, 8192, 16383, 16384};
    struct answer a;
    char head[200];
    int fd = client_connect(&f);
    for (size_t i = 0; i < sizeof body; i++) {
        body[i] = (char)('a' + i % 26);
    }
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        snprintf(head, sizeof head,
                 "POST /body HTTP/1.1\r\n" H "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                 sizes[s]);
        client_puts(fd, head);
        for (size_t sent = 0; sent < sizes[s]; sent += 3001) {
            client_send(fd, body + sent, sizes[s] - sent < 3001 ? sizes[s] - sent : 3001);
            poll(NULL, 0, 1);
        }
        ck_assert(client_read(fd, &a, false));
        ck_assert_int_eq(a.status, 200);
        ck_assert_uint_eq(a.body_len, sizes[s]);
        ck_assert(memcmp(a.body, body, sizes[s]) == 0);
    }
    close(fd);
}
END_TEST

/* CONTRACT 1, 413 and 411: said at once, without waiting for the body; Expect: 100-continue gets no 100
 * first. */
START_TEST(refusals_before_the_body)
{
    static const struct {
        const char *head;
        int status;
    } cases[] = {
        {"POST /body HTTP/1.1\r\n" H "Content-Type: application/json\r\nContent-Length: 16385\r\n\r\n", 413},
        {"POST /body HTTP/1.1\r\n" H
         "Content-Type: application/json\r\nContent-Length: 9223372036854775807\r\n\r\n",
         413},
        {"POST /body HTTP/1.1\r\n" H "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
         411},
        {"GET /plain HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n", 411},
        {"GET /plain HTTP/1.1\r\n" H "Content-Length: 16385\r\n\r\n", 413},
        {"POST /gated HTTP/1.1\r\n" H "Content-Type: application/json\r\nContent-Length: 16385\r\n\r\n", 401},
        {"POST /gated HTTP/1.1\r\n" H
         "Expect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n",
         401},
        {"POST /nowhere HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n", 404},
    };
    struct answer a;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int fd = client_connect(&f);
        client_puts(fd, cases[i].head);
        ck_assert_msg(client_read(fd, &a, false), "no answer to %s", cases[i].head);
        ck_assert_msg(a.status == cases[i].status, "status %d for %s", a.status, cases[i].head);
        ck_assert(client_ended(fd));
        close(fd);
    }
}
END_TEST

/* RFC 9110 10.1.1: a body that is wanted is asked for. */
START_TEST(expect_continue_is_answered)
{
    struct answer a;
    int fd = client_connect(&f);
    client_puts(fd, "POST /body HTTP/1.1\r\n" H
                    "Expect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n");
    ck_assert(client_read(fd, &a, true));
    ck_assert_int_eq(a.status, 100);
    client_puts(fd, "{}");
    expect(fd, 200);
    close(fd);
}
END_TEST

/* Requests sent without waiting are answered in order, suspended or not. */
START_TEST(pipelining)
{
    static const char four[] =
        "GET /later HTTP/1.1\r\n" H "\r\nGET /nowhere HTTP/1.1\r\n" H "\r\n"
        "POST /body/later HTTP/1.1\r\n" H "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        "GET /plain HTTP/1.1\r\n" H "\r\n";
    int fd = client_connect(&f);
    for (int i = 0; i < 50; i++) {
        client_send(fd, four, sizeof four - 1);
    }
    for (int i = 0; i < 50; i++) {
        expect(fd, 200);
        expect(fd, 404);
        expect(fd, 200);
        expect(fd, 200);
    }
    close(fd);
}
END_TEST

/* 10 000 requests over 20 connections, half of them suspended: each is answered, none is left pending. */
START_TEST(ten_thousand_requests)
{
    int fds[20];
    for (int i = 0; i < 20; i++) {
        fds[i] = client_connect(&f);
    }
    for (int round = 0; round < 500; round++) {
        for (int i = 0; i < 20; i++) {
            client_puts(fds[i], (i + round) % 2 ? "GET /later HTTP/1.1\r\n" H "\r\n"
                                                : "GET /plain HTTP/1.1\r\n" H "\r\n");
        }
        for (int i = 0; i < 20; i++) {
            expect(fds[i], 200);
        }
    }
    ck_assert_uint_eq(http_server_pending(f.server), 0);
    for (int i = 0; i < 20; i++) {
        close(fds[i]);
    }
}
END_TEST

/* Many wait at once; all are released in one turn. */
START_TEST(many_suspended_at_once)
{
    enum { N = 500 };
    int fds[N];
    for (int i = 0; i < N; i++) {
        fds[i] = client_connect(&f);
        client_puts(fds[i], "GET /hang HTTP/1.1\r\n" H "\r\n");
    }
    wait_for(&arrived, N);
    ck_assert_uint_eq(http_server_pending(f.server), N);
    on_reactor(&f, release_all);
    for (int i = 0; i < N; i++) {
        expect(fds[i], 200);
        close(fds[i]);
    }
}
END_TEST

/* PITFALLS 1, disconnect watch: FIN and RST are both noticed, once, while suspended; the request is still
 * answered. */
START_TEST(client_that_leaves_is_noticed)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    int fin = client_connect(&f), rst = client_connect(&f), stays = client_connect(&f);
    client_puts(fin, "GET /watch HTTP/1.1\r\n" H "\r\n");
    client_puts(rst, "GET /watch HTTP/1.1\r\n" H "\r\n");
    client_puts(stays, "GET /watch HTTP/1.1\r\n" H "\r\n");
    wait_for(&arrived, 3);
    setsockopt(rst, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fin);
    close(rst);
    wait_for(&gone, 2);
    on_reactor(&f, release_all);
    expect(stays, 200);
    client_puts(stays, "GET /plain HTTP/1.1\r\n" H "\r\n");
    expect(stays, 200);
    ck_assert_int_eq(atomic_load(&gone), 2);
    close(stays);
}
END_TEST

/* A client that leaves unwatched does no harm either: its answer goes nowhere. */
START_TEST(answer_to_nobody)
{
    for (int i = 0; i < 50; i++) {
        int fd = client_connect(&f);
        client_puts(fd, "GET /hang HTTP/1.1\r\n" H "\r\n");
        wait_for(&arrived, i + 1);
        close(fd);
    }
    on_reactor(&f, release_all);
    int fd = client_connect(&f);
    client_puts(fd, "GET /plain HTTP/1.1\r\n" H "\r\n");
    expect(fd, 200);
    close(fd);
    ck_assert_uint_eq(http_server_pending(f.server), 0);
}
END_TEST

static uint64_t drip_until_cut(int fd, const char *text, int step_ms)
{
    uint64_t start = clock_mono_ns();
    for (size_t i = 0; clock_mono_ns() - start < PATIENCE_S * NS_PER_SEC; i++) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        client_send(fd, text[i % strlen(text)] ? &text[i % strlen(text)] : "x", 1);
        if (poll(&p, 1, step_ms) > 0) {
            ck_assert(client_ended(fd));
            return (clock_mono_ns() - start) / NS_PER_MS;
        }
    }
    ck_abort_msg("a slow connection was not cut");
    return 0;
}

/* PITFALLS 1, slowloris: a byte now and then does not keep a connection; neither the first nor a later
 * request. */
START_TEST(slow_heads_and_bodies_are_cut)
{
    prepare();
    f.config.header_timeout_ms = 300;
    f.config.body_timeout_ms = 300;
    f.config.idle_timeout_ms = 1500;
    fixture_start(&f);
    int fd = client_connect(&f);
    client_puts(fd, "GET /plain HTTP/1.1\r\nX-Slow: ");
    ck_assert_uint_lt(drip_until_cut(fd, "y", 20), 1200);
    close(fd);

    fd = client_connect(&f);
    client_puts(fd, "GET /plain HTTP/1.1\r\n" H "\r\n");
    expect(fd, 200);
    client_puts(fd, "GET /plain HTTP/1.1\r\nX-Slow: ");
    ck_assert_uint_lt(drip_until_cut(fd, "y", 20), 1200);
    close(fd);

    fd = client_connect(&f);
    client_puts(fd, "POST /body HTTP/1.1\r\n" H
                    "Content-Type: application/json\r\nContent-Length: 10000\r\n\r\n");
    ck_assert_uint_lt(drip_until_cut(fd, "y", 20), 1200);
    close(fd);
    /* a waiting request has no deadline here, however long it takes */
    fd = client_connect(&f);
    client_puts(fd, "GET /hang HTTP/1.1\r\n" H "\r\n");
    wait_for(&arrived, 1);
    poll(NULL, 0, 700);
    on_reactor(&f, release_all);
    expect(fd, 200);
    /* idle: kept for idle_timeout, then closed */
    uint64_t start = clock_mono_ns();
    ck_assert(client_ended(fd));
    ck_assert_uint_ge((clock_mono_ns() - start) / NS_PER_MS, 1300);
    close(fd);
    /* silent from the start */
    fd = client_connect(&f);
    ck_assert(client_ended(fd));
    close(fd);
    fixture_stop(&f);
}
END_TEST

/* A client that does not read its answer is cut as well. */
START_TEST(slow_reader_is_cut)
{
    prepare();
    f.config.idle_timeout_ms = 300;
    fixture_start(&f);
    int fd = client_connect(&f), ended = 0;
    char bytes[65536];
    ssize_t n;
    client_puts(fd, "GET /big HTTP/1.1\r\n" H "\r\n");
    wait_for(&arrived, 1);
    poll(NULL, 0, 900);
    size_t total = 0;
    while ((n = recv(fd, bytes, sizeof bytes, 0)) > 0) {
        total += (size_t)n;
    }
    ended = n <= 0;
    ck_assert(ended);
    ck_assert_uint_lt(total, 64 << 20);
    close(fd);
    fixture_stop(&f);
}
END_TEST

/* Shutdown, phase 1: nobody new; who is there is served to the end and told to go. */
START_TEST(quiesce_closes_the_listener)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)f.port)};
    struct answer a;
    int hanging = client_connect(&f), idle = client_connect(&f);
    client_puts(hanging, "GET /hang HTTP/1.1\r\n" H "\r\n");
    client_puts(idle, "GET /plain HTTP/1.1\r\n" H "\r\n");
    expect(idle, 200);
    wait_for(&arrived, 1);
    on_reactor(&f, do_quiesce);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_ne(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    ck_assert_int_eq(errno, ECONNREFUSED);
    close(fd);
    client_puts(idle, "GET /plain HTTP/1.1\r\n" H "\r\n");
    ck_assert(client_read(idle, &a, false));
    ck_assert_int_eq(a.status, 200);
    ck_assert_str_eq(answer_header(&a, "Connection"), "close");
    ck_assert(client_ended(idle));
    on_reactor(&f, release_all);
    ck_assert(client_read(hanging, &a, false));
    ck_assert_int_eq(a.status, 200);
    ck_assert_str_eq(answer_header(&a, "Connection"), "close");
    ck_assert(client_ended(hanging));
    close(idle);
    close(hanging);
}
END_TEST

/* PITFALLS 1: stopping libmicrohttpd with a suspended connection would end the process; all get 503 first. */
START_TEST(stop_answers_the_suspended)
{
    enum { N = 50 };
    struct answer a;
    int fds[N], half = 0;
    prepare();
    fixture_start(&f);
    for (int i = 0; i < N; i++) {
        fds[i] = client_connect(&f);
        client_puts(fds[i], i % 2 ? "GET /hang HTTP/1.1\r\n" H "\r\n" : "GET /watch HTTP/1.1\r\n" H "\r\n");
    }
    half = client_connect(&f);
    client_puts(half, "POST /body HTTP/1.1\r\n" H
                      "Content-Type: application/json\r\nContent-Length: 10\r\n\r\nabc");
    int partial = client_connect(&f);
    client_puts(partial, "GET /pl");
    wait_for(&arrived, N);
    fixture_stop(&f);
    for (int i = 0; i < N; i++) {
        ck_assert(client_read(fds[i], &a, false));
        ck_assert_int_eq(a.status, 503);
        ck_assert_ptr_nonnull(strstr(a.body, "SERVICE_UNAVAILABLE"));
        ck_assert_str_eq(answer_header(&a, "Connection"), "close");
        ck_assert_ptr_nonnull(answer_header(&a, "Retry-After"));
        ck_assert(client_ended(fds[i]));
        close(fds[i]);
    }
    ck_assert_int_eq(atomic_load(&gone), N / 2);
    ck_assert(client_ended(half));
    close(half);
    close(partial);
}
END_TEST

/* A server that cannot start says why and leaves the loop clean. */
START_TEST(bad_routes_do_not_start)
{
    static const struct http_route bad[] = {{.method = "FETCH", .path = "/x", .handler = on_plain}};
    char err[200];
    prepare();
    f.routes = bad;
    f.route_count = 1;
    f.port = 0;
    f.listen_fd = http_listen("127.0.0.1", &f.port, err, sizeof err);
    ck_assert(reactor_init(&f.reactor, 0, err, sizeof err));
    ck_assert(!reactor_start(&f.reactor, "test", fixture_on_start, &f));
    ck_assert(reactor_join(&f.reactor));
    reactor_destroy(&f.reactor);
}
END_TEST

/* STYLE 2.2: a second answer is a bug: it ends a debug build, and is logged and ignored in a release. */
START_TEST(second_answer)
{
    prepare();
    pid_t child = fork();
    if (child == 0) {
        struct answer a;
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        freopen("/dev/null", "w", stderr);
        signal(SIGABRT, SIG_DFL);
        fixture_start(&f);
        ask(&f, "GET /twice HTTP/1.1\r\n" H "\r\n", &a);
        _exit(a.status == 200 ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
#ifdef NDEBUG
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
#else
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
#endif
}
END_TEST

/* More requests in flight than nine tenths of the connection limit: 503 at once, open routes still served. */
START_TEST(overload_is_shed)
{
    enum { LIMIT = 40, SHED = LIMIT - LIMIT / 10 };
    int fds[SHED];
    prepare();
    f.config.connection_limit = LIMIT;
    fixture_start(&f);
    for (int i = 0; i < SHED; i++) {
        fds[i] = client_connect(&f);
        client_puts(fds[i], "GET /hang HTTP/1.1\r\n" H "\r\n");
    }
    wait_for(&arrived, SHED);
    int fd = client_connect(&f);
    client_puts(fd, "GET /gated HTTP/1.1\r\n" H "Authorization: Bearer x\r\n\r\n");
    expect(fd, 503);
    client_puts(fd, "GET /plain HTTP/1.1\r\n" H "\r\n");
    expect(fd, 200);
    on_reactor(&f, release_all);
    for (int i = 0; i < SHED; i++) {
        expect(fds[i], 200);
        close(fds[i]);
    }
    client_puts(fd, "GET /gated HTTP/1.1\r\n" H "Authorization: Bearer x\r\n\r\n");
    expect(fd, 200);
    close(fd);
    fixture_stop(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http server");
    TCase *tc = tcase_create("server");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, keep_alive_survives_errors);
    tcase_add_test(tc, body_in_pieces);
    tcase_add_test(tc, refusals_before_the_body);
    tcase_add_test(tc, expect_continue_is_answered);
    tcase_add_test(tc, pipelining);
    tcase_add_test(tc, ten_thousand_requests);
    tcase_add_test(tc, many_suspended_at_once);
    tcase_add_test(tc, client_that_leaves_is_noticed);
    tcase_add_test(tc, answer_to_nobody);
    tcase_add_test(tc, quiesce_closes_the_listener);
    suite_add_tcase(suite, tc);
    TCase *own = tcase_create("own server");
    tcase_set_timeout(own, 60);
    tcase_add_test(own, slow_heads_and_bodies_are_cut);
    tcase_add_test(own, slow_reader_is_cut);
    tcase_add_test(own, stop_answers_the_suspended);
    tcase_add_test(own, bad_routes_do_not_start);
    tcase_add_test(own, second_answer);
    tcase_add_test(own, overload_is_shed);
    suite_add_tcase(suite, own);
    return run_suite(suite);
}
