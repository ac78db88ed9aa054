/* What is written, and that no call has anything of the one before it: the calls of a client share a model, parsed URLs,
 * buffers and connections. */
#include "unit/call/client_rig.h"

#define AGENT "User-Agent: product-change-service/" PCS_VERSION "\r\n"

static char url[128];

static struct call_request request_to(const char *method, const char *path)
{
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", server.port, path);
    return (struct call_request){.method = method,
                                 .url = url,
                                 .deadline_ns = clock_mono_ns() + 2 * NS_PER_SEC,
                                 .connect_timeout_ms = 1000,
                                 .max_answer = 1000};
}

/* The request that came is this one, to the last byte; %HOST stands for the server's address. */
static void came(const char *expected)
{
    char text[2048], host[64];
    const char *at = strstr(expected, "%HOST");
    ck_assert_ptr_nonnull(at);
    snprintf(host, sizeof host, "127.0.0.1:%d", server.port);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - expected), expected, host, at + 5);
    ck_assert_str_eq(server.last, text);
}

static void ok(struct peer *p)
{
    peer_says(p, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
}

static void hundred_bytes(struct peer *p)
{
    char text[256];
    snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n%0100d", 1);
    peer_says(p, text);
}

static void silent(struct peer *p)
{
    (void)p;
}

static const char *const traced[] = {"Content-Type: application/json", "Accept: application/json",
                                     "traceparent: 00-1-2-01", NULL};

static void order(void)
{
    struct call_request r = request_to("POST", "/same");
    r.headers = traced;
    r.body = "{\"a\":1}";
    r.body_len = 7;
    r.once = true;
    ck_assert_int_eq(run(&r).error, CALL_OK);
    came("POST /same HTTP/1.1\r\nHost: %HOST\r\n" AGENT
         "Content-Type: application/json\r\nAccept: application/json\r\ntraceparent: 00-1-2-01\r\n"
         "Content-Length: 7\r\n\r\n{\"a\":1}");
}

/* Each kind of call after an order, on the same URL and the same connection. */
START_TEST(nothing_of_the_call_before)
{
    static const char *const other[] = {"X-Request-ID: b", NULL};
    server_start(&server, ok);
    order();
    struct call_request r = request_to("GET", "/same");
    ck_assert_int_eq(run(&r).error, CALL_OK);
    came("GET /same HTTP/1.1\r\nHost: %HOST\r\nAccept: */*\r\n" AGENT "\r\n");

    order();
    r = request_to("POST", "/same");
    r.headers = other;
    r.body = "longer than the order's";
    r.body_len = strlen(r.body);
    ck_assert_int_eq(run(&r).error, CALL_OK);
    came("POST /same HTTP/1.1\r\nHost: %HOST\r\nAccept: */*\r\n" AGENT
         "X-Request-ID: b\r\nContent-Length: 23\r\n"
         "Content-Type: application/x-www-form-urlencoded\r\n\r\nlonger than the order's");

    order();
    r = request_to("PUT", "/same");
    r.headers = traced;
    ck_assert_int_eq(run(&r).error, CALL_OK);
    came("PUT /same HTTP/1.1\r\nHost: %HOST\r\n" AGENT
         "Content-Type: application/json\r\nAccept: application/json\r\ntraceparent: 00-1-2-01\r\n"
         "Content-Length: 0\r\n\r\n");
    order();
    ck_assert_uint_eq(server.accepted, 1);
}
END_TEST

START_TEST(limits_are_each_calls_own)
{
    server_start(&server, hundred_bytes);
    struct call_request small = request_to("GET", "/same"), large = small, cut = small;
    small.max_answer = 10;
    cut.max_answer = 20;
    cut.cut = true;
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(run(&small).error, CALL_TOO_LARGE);
        struct outcome o = run(&large);
        ck_assert_int_eq(o.error, CALL_OK);
        ck_assert_uint_eq(o.len, 100);
        ck_assert_str_eq(o.reason, "");
        o = run(&cut);
        ck_assert_int_eq(o.error, CALL_OK);
        ck_assert_uint_eq(o.len, 20);
    }
}
END_TEST

static void on_late(uv_timer_t *timer)
{
    for (struct peer *p = server.peers, *next; p; p = next) {
        next = p->next;
        ok(p);
    }
    uv_close((uv_handle_t *)timer, NULL);
}

START_TEST(deadlines_are_each_calls_own)
{
    static uv_timer_t timer;
    server_start(&server, silent);
    struct call_request r = request_to("POST", "/same");
    r.deadline_ns = clock_mono_ns() + 100 * NS_PER_MS;
    struct outcome o = run(&r);
    ck_assert_int_eq(o.error, CALL_TIMEOUT);
    ck_assert_uint_lt(o.elapsed_ms, 1000);

    uv_timer_init(&reactor.loop, &timer);
    uv_timer_start(&timer, on_late, 300, 0);
    r.deadline_ns = clock_mono_ns() + 3 * NS_PER_SEC;
    o = run(&r);
    ck_assert_int_eq(o.error, CALL_OK);
    ck_assert_uint_ge(o.elapsed_ms, 200);

    r.deadline_ns = clock_mono_ns() + 100 * NS_PER_MS;
    o = run(&r);
    ck_assert_int_eq(o.error, CALL_TIMEOUT);
    ck_assert_uint_lt(o.elapsed_ms, 1000);
}
END_TEST

/* The files of one endpoint are nothing to a call without. */
START_TEST(endpoints_are_each_calls_own)
{
    static const struct call_endpoint none = {.ca_file = "/nonexistent/authorities"};
    server_start(&server, ok);
    struct call_request r = request_to("GET", "/");
    snprintf(url, sizeof url, "https://127.0.0.1:%d/", server.port);
    r.endpoint = &none;
    struct outcome o = run(&r);
    ck_assert_int_eq(o.error, CALL_TLS);
    ck_assert_ptr_nonnull(strstr(o.reason, none.ca_file));
    r.endpoint = NULL;
    r.deadline_ns = clock_mono_ns() + 200 * NS_PER_MS; /* this server never greets */
    o = run(&r);
    ck_assert_int_ne(o.error, CALL_OK);
    ck_assert_ptr_null(strstr(o.reason, none.ca_file));
}
END_TEST

/* More URLs than are kept, twice: each call comes to its own, as it was given. */
START_TEST(urls_are_each_calls_own)
{
    char path[64], expected[256];
    server_start(&server, ok);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < CALL_URLS_MAX + 3; i++) {
            snprintf(path, sizeof path, "/a/../%d?b=%%20%d", i, i + 1);
            struct call_request r = request_to("GET", path);
            ck_assert_int_eq(run(&r).error, CALL_OK);
            snprintf(expected, sizeof expected,
                     "GET %s HTTP/1.1\r\nHost: %%HOST\r\nAccept: */*\r\n" AGENT "\r\n", path);
            came(expected);
        }
    }
    ck_assert_uint_eq(client->url_count, CALL_URLS_MAX);
}
END_TEST

/* What is no URL is not kept, and no way to another one. */
START_TEST(bad_urls_are_not_kept)
{
    static const char *const bad[] = {"", "http://", "http://a b/", "http://[::1", "http://h:99999/"};
    server_start(&server, ok);
    struct call_request r = request_to("GET", "/");
    r.url = bad[_i];
    ck_assert_int_ne(run(&r).error, CALL_OK);
    ck_assert_uint_eq(client->url_count, 0);
    r.url = url;
    ck_assert_int_eq(run(&r).error, CALL_OK);
    ck_assert_uint_eq(client->url_count, 1);
}
END_TEST

static void folded(struct peer *p)
{
    peer_says(p, p->server->requests % 2 ? "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
                                         : "HTTP/1.1 200 OK\r\n folded\r\nContent-Length: 2\r\n\r\n{}");
}

/* An answer that begins with a folded line does not go on with the last line of the answer before: a handle of 7.88 that
 * is used again has that line in mind, after it has been freed. */
START_TEST(no_line_of_the_answer_before)
{
    server_start(&server, folded);
    struct call_request r = request_to("GET", "/");
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(run(&r).error, CALL_OK);
        ck_assert_int_eq(run(&r).error, CALL_PROTOCOL);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("call request");
    TCase *c = tcase_create("requests");
    tcase_set_timeout(c, 30);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, nothing_of_the_call_before);
    tcase_add_test(c, limits_are_each_calls_own);
    tcase_add_test(c, deadlines_are_each_calls_own);
    tcase_add_test(c, endpoints_are_each_calls_own);
    tcase_add_test(c, urls_are_each_calls_own);
    tcase_add_loop_test(c, bad_urls_are_not_kept, 0, 5);
    tcase_add_test(c, no_line_of_the_answer_before);
    suite_add_tcase(s, c);
    return run_suite(s);
}
