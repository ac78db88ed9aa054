/* Start, deadlines, overload and the end of a server. */
#include "unit/http/handlers.h"

#include <sys/resource.h>
#include <sys/wait.h>

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
    f.config.idle_timeout_ms = 20000; /* not what cuts here */
    fixture_start(&f);
    int fd = client_connect(&f);
    client_puts(fd, "GET /plain HTTP/1.1\r\nX-Slow: ");
    ck_assert_uint_lt(drip_until_cut(fd, "y", 20), 5000);
    close(fd);

    fd = client_connect(&f);
    client_puts(fd, "GET /plain HTTP/1.1\r\n" H "\r\n");
    expect(fd, 200);
    client_puts(fd, "GET /plain HTTP/1.1\r\nX-Slow: ");
    ck_assert_uint_lt(drip_until_cut(fd, "y", 20), 5000);
    close(fd);

    fd = client_connect(&f);
    client_puts(fd, "POST /body HTTP/1.1\r\n" H
                    "Content-Type: application/json\r\nContent-Length: 10000\r\n\r\n");
    ck_assert_uint_lt(drip_until_cut(fd, "y", 20), 5000);
    close(fd);
    /* a waiting request has no deadline here, however long it takes */
    fd = client_connect(&f);
    client_puts(fd, "GET /hang HTTP/1.1\r\n" H "\r\n");
    wait_for(&arrived, 1);
    poll(NULL, 0, 700);
    on_reactor(&f, release_all);
    expect(fd, 200);
    close(fd);
    /* silent from the start */
    fd = client_connect(&f);
    ck_assert(client_ended(fd));
    close(fd);
    fixture_stop(&f);
}
END_TEST

/* An idle connection is kept for server.idle_timeout, then closed. */
START_TEST(idle_connections_end)
{
    prepare();
    f.config.idle_timeout_ms = 600;
    fixture_start(&f);
    int fd = client_connect(&f);
    client_puts(fd, "GET /plain HTTP/1.1\r\n" H "\r\n");
    expect(fd, 200);
    uint64_t start = clock_mono_ns();
    ck_assert(client_ended(fd));
    ck_assert_uint_ge((clock_mono_ns() - start) / NS_PER_MS, 500);
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
    struct sockaddr_in to = {.sin_family = AF_INET};
    struct answer a;
    setup();
    to.sin_port = htons((uint16_t)f.port);
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
    teardown();
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
        log_set_threshold(LOG_LEVEL_OFF);
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
    Suite *suite = suite_create("http life");
    TCase *tc = tcase_create("life");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, slow_heads_and_bodies_are_cut);
    tcase_add_test(tc, idle_connections_end);
    tcase_add_test(tc, slow_reader_is_cut);
    tcase_add_test(tc, quiesce_closes_the_listener);
    tcase_add_test(tc, stop_answers_the_suspended);
    tcase_add_test(tc, bad_routes_do_not_start);
    tcase_add_test(tc, second_answer);
    tcase_add_test(tc, overload_is_shed);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
