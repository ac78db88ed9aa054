/* The server on its loop: keep-alive, pipelining, suspension, clients that leave. */
#include "unit/http/handlers.h"

#include "http/internal.h"

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

/* A client that writes its whole body before it reads still gets the 413, not a broken pipe (RFC 9112 9.6). */
START_TEST(refusal_survives_a_long_body)
{
    enum { LEN = 1000000 };
    static char body[LEN];
    struct answer a;
    for (int i = 0; i < 20; i++) {
        int fd = client_connect(&f);
        client_puts(fd, "POST /body HTTP/1.1\r\n" H
                        "Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n");
        for (size_t sent = 0; sent < LEN;) {
            ssize_t n = send(fd, body + sent, LEN - sent < 50000 ? LEN - sent : 50000, MSG_NOSIGNAL);
            ck_assert_msg(n > 0, "send failed after %zu bytes: %s", sent, strerror(errno));
            sent += (size_t)n;
        }
        ck_assert(client_read(fd, &a, false));
        ck_assert_int_eq(a.status, 413);
        ck_assert(client_ended(fd));
        close(fd);
    }
    /* one that never closes is let go, also at the end of the server */
    int fd = client_connect(&f);
    client_puts(fd, "POST /body HTTP/1.1\r\n" H "Content-Length: 1000000\r\n\r\n");
    expect(fd, 413);
    ck_assert(client_ended(fd));
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

static int orphans;

static void release_orphans(struct fixture *fx)
{
    for (int i = 0; i < parked_count; i++) {
        orphans += !((struct request *)parked[i])->conn;
    }
    release_all(fx);
}

/* hover.c: a request that has only just begun to wait is not suspended, so its connection can break. What works for it
 * goes on, is told once that nobody listens any more, and may answer. */
START_TEST(reset_while_hovering)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    orphans = 0;
    for (int i = 0; i < 3000 && orphans < 20; i++) {
        int fd = client_connect(&f);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        client_puts(fd, "GET /watch HTTP/1.1\r\n" H "Origin: https://a.example\r\n\r\n");
        wait_for(&arrived, i + 1);
        close(fd);
        wait_for(&gone, i + 1);
        on_reactor(&f, release_orphans);
    }
    ck_assert_int_ge(orphans, 1);
    int fd = client_connect(&f);
    client_puts(fd, "GET /plain HTTP/1.1\r\n" H "\r\n");
    expect(fd, 200);
    ck_assert_uint_eq(http_server_pending(f.server), 0);
    ck_assert_int_eq(atomic_load(&gone), atomic_load(&arrived));
    close(fd);
}
END_TEST

/* An orphan that nobody answers does not hold up the end. */
START_TEST(end_while_hovering)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    for (int i = 0; i < 50; i++) {
        int fd = client_connect(&f);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        client_puts(fd, "GET /watch HTTP/1.1\r\n" H "\r\n");
        wait_for(&arrived, i + 1);
        close(fd);
    }
    fixture_stop(&f);
    ck_assert_int_eq(atomic_load(&gone), 50);
    parked_count = 0;
    fixture_start(&f);
}
END_TEST

/* A FIN right behind the last bytes is not overlooked: the answer still comes, and the connection ends at once, not at
 * its deadline (75 s here). */
START_TEST(half_closing_clients)
{
    static const struct {
        const char *text;
        int status; /* 0: nothing is promised but the end */
    } cases[] = {
        {"GET /plain HTTP/1.1\r\n" H "\r\n", 200},
        {"GET /later HTTP/1.1\r\n" H "\r\n", 200},
        {"GET /plain HTTP/1.1\r\n" H "\r\nGET /la", 200},
        {"POST /body HTTP/1.1\r\n" H "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", 200},
        {"POST /body HTTP/1.1\r\n" H "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{", 0},
        {"GET /plain HTTP/1.1\r\nHo", 0},
        {"GET /pl", 0},
        {"", 0},
    };
    struct answer a;
    for (int i = 0; i < 400; i++) {
        size_t n = (size_t)i % (sizeof cases / sizeof *cases);
        int fd = client_connect(&f);
        client_puts(fd, cases[n].text);
        shutdown(fd, SHUT_WR);
        if (cases[n].status) {
            ck_assert(client_read(fd, &a, false));
            ck_assert_int_eq(a.status, cases[n].status);
        }
        while (client_read(fd, &a, false)) {
        }
        ck_assert_msg(client_ended(fd), "left open after: %s", cases[n].text);
        close(fd);
    }
    /* watched, and half-closed before it was: told in a later turn */
    int fd = client_connect(&f);
    client_puts(fd, "GET /watch HTTP/1.1\r\n" H "\r\n");
    shutdown(fd, SHUT_WR);
    wait_for(&gone, 1);
    on_reactor(&f, release_all);
    expect(fd, 200);
    ck_assert(client_ended(fd));
    close(fd);
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

int main(void)
{
    Suite *suite = suite_create("http server");
    TCase *tc = tcase_create("server");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, keep_alive_survives_errors);
    tcase_add_test(tc, body_in_pieces);
    tcase_add_test(tc, refusals_before_the_body);
    tcase_add_test(tc, refusal_survives_a_long_body);
    tcase_add_test(tc, expect_continue_is_answered);
    tcase_add_test(tc, pipelining);
    tcase_add_test(tc, ten_thousand_requests);
    tcase_add_test(tc, many_suspended_at_once);
    tcase_add_test(tc, client_that_leaves_is_noticed);
    tcase_add_test(tc, reset_while_hovering);
    tcase_add_test(tc, end_while_hovering);
    tcase_add_test(tc, half_closing_clients);
    tcase_add_test(tc, answer_to_nobody);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
