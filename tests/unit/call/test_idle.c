/* Kept connections that were not left in peace: on one that has said something, or ended, since its last answer nothing
 * is written, and what it said is nobody's answer (CONTRACT.md 2, Order). curl 7.88 sees only that it ended. */
#include "unit/call/client_rig.h"

static struct call_request request_to(bool order)
{
    static char url[128];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", server.port);
    return (struct call_request){.method = order ? "POST" : "GET",
                                 .url = url,
                                 .body = order ? "{}" : NULL,
                                 .body_len = order ? 2 : 0,
                                 .once = order,
                                 .deadline_ns = clock_mono_ns() + 2 * NS_PER_SEC,
                                 .connect_timeout_ms = 1000,
                                 .max_answer = 1000};
}

static struct outcome call(bool order)
{
    struct call_request r = request_to(order);
    return run(&r);
}

static void numbered(struct peer *p)
{
    char text[128];
    snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%u", p->server->requests);
    peer_says(p, text);
}

static const char *const unasked[] = {
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstale",                              /* a second answer */
    "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", /* it was idle too long */
    "}", /* longer than it said */
};

/* The first answer's connection says more while it is idle: the next request does not take that for its answer. */
START_TEST(unasked_bytes)
{
    server_start(&server, numbered);
    for (int order = 0; order < 2; order++) {
        ck_assert_str_eq(call(order).body, order ? "3" : "1");
        peer_says(server.peers, unasked[_i]);
        rig_run(20);
        struct outcome o = call(order);
        ck_assert_msg(o.reach == CALL_ANSWERED && o.status == 200, "%d %s", o.status, o.reason);
        ck_assert_str_eq(o.body, order ? "4" : "2");
    }
    ck_assert_uint_eq(server.requests, 4);
    ck_assert_uint_eq(server.accepted, 3); /* the third request found a connection that was left in peace */
}
END_TEST

static struct outcome next;

/* Said at the same time as the next request begins: no turn of the loop has seen the bytes. */
static void start_next(void *arg, const struct call_result *result)
{
    struct call_request r = request_to(true);
    on_done(arg, result);
    peer_says(server.peers, unasked[0]);
    ck_assert_ptr_nonnull(call_start(client, &r, on_done, &next));
}

START_TEST(unasked_bytes_of_this_moment)
{
    server_start(&server, numbered);
    struct call_request r = request_to(true);
    struct outcome o = {0};
    next = (struct outcome){0};
    ck_assert_ptr_nonnull(call_start(client, &r, start_next, &o));
    ck_assert(rig_until(next.count, 5000));
    ck_assert_msg(next.reach == CALL_ANSWERED, "%s", next.reason);
    ck_assert_str_eq(next.body, "2");
    ck_assert_uint_eq(server.requests, 2);
}
END_TEST

/* Nobody listens any more: nothing was written, so nothing was sent. */
START_TEST(nobody_there_any_more)
{
    server_start(&server, numbered);
    call(true);
    peer_says(server.peers, unasked[0]);
    uv_close((uv_handle_t *)&server.listener, NULL);
    rig_run(20);
    struct outcome o = call(true);
    ck_assert_int_eq(o.reach, CALL_NOT_SENT);
    ck_assert_int_eq(o.error, CALL_REFUSED);
    ck_assert_uint_eq(server.requests, 1);
    server_start(&server, numbered); /* for teardown */
}
END_TEST

/* Many at once, each on a connection that has stirred: each is answered with its own. */
START_TEST(all_of_them)
{
    enum { N = 20 };
    struct outcome o[2][N] = {{{0}}};
    server_start(&server, numbered);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < N; i++) {
            struct call_request r = request_to(true);
            ck_assert_ptr_nonnull(call_start(client, &r, on_done, &o[round][i]));
        }
        ck_assert(rig_until(call_client_in_flight(client) == 0, 5000));
        for (struct peer *p = server.peers; p; p = p->next) {
            peer_says(p, unasked[0]);
        }
    }
    for (int i = 0; i < N; i++) {
        ck_assert_msg(o[1][i].reach == CALL_ANSWERED, "%s", o[1][i].reason);
        ck_assert_str_ne(o[1][i].body, "stale");
    }
    ck_assert_uint_eq(server.requests, 2 * N);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("idle connections");
    TCase *c = tcase_create("idle connections");
    tcase_set_timeout(c, 30);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, unasked_bytes, 0, 3);
    tcase_add_test(c, unasked_bytes_of_this_moment);
    tcase_add_test(c, nobody_there_any_more);
    tcase_add_test(c, all_of_them);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
