/* Outgoing calls against servers that misbehave: each ends once, by its deadline, with an exact account of
 * how far it went (CONTRACT.md 2, Order: not sent is 503, everything unclear is in doubt). */
#include "unit/call/client_rig.h"

#include <dlfcn.h>
#include <netdb.h>

/* curl asks this one. "two.test" has two addresses, of which only the second has a server; "slow.test" takes long. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (name && strcmp(name, "slow.test") == 0) {
        usleep(400000);
        return EAI_AGAIN;
    }
    if (!name || strcmp(name, "two.test") != 0) {
        return real(name, service, hints, out);
    }
    int rc = real("127.0.0.2", service, hints, out);
    return rc ? rc : real("127.0.0.1", service, hints, &(*out)->ai_next);
}

static char url[128];

static struct call_request request_to(const char *method, int port)
{
    snprintf(url, sizeof url, "http://127.0.0.1:%d/api/v1/kos/product/change", port);
    return (struct call_request){.method = method,
                                 .url = url,
                                 .deadline_ns = clock_mono_ns() + 500 * NS_PER_MS,
                                 .connect_timeout_ms = 200,
                                 .max_answer = 1000};
}

static struct call_request order_to(int port)
{
    struct call_request r = request_to("POST", port);
    r.body = "{\"lineNumber\":\"01012345678\"}";
    r.body_len = strlen(r.body);
    r.once = true;
    return r;
}

static void ok(struct peer *p)
{
    peer_says(p, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
}

START_TEST(answered)
{
    static const char *const headers[] = {"Content-Type: application/json", "X-Request-ID: abc", NULL};
    server_start(&server, ok);
    struct call_request r = request_to("POST", server.port);
    r.headers = headers;
    r.body = "{\"a\":1}";
    r.body_len = 7;
    struct outcome o = run(&r);
    ck_assert_int_eq(o.reach, CALL_ANSWERED);
    ck_assert_int_eq(o.status, 200);
    ck_assert_str_eq(o.body, "{}");
    ck_assert_str_eq(o.type, "application/json");
    ck_assert_int_eq((int)o.retry_after_s, -1);
    ck_assert_ptr_nonnull(strstr(server.last, "POST /api/v1/kos/product/change HTTP/1.1\r\n"));
    ck_assert_ptr_nonnull(strstr(server.last, "X-Request-ID: abc\r\n"));
    ck_assert_ptr_nonnull(strstr(server.last, "Content-Length: 7\r\n"));
    ck_assert_ptr_nonnull(strstr(server.last, "\r\n\r\n{\"a\":1}"));
    ck_assert_ptr_null(strstr(server.last, "Expect"));
    ck_assert_ptr_null(strstr(server.last, "Accept-Encoding"));
}
END_TEST

START_TEST(order_is_the_same_on_the_wire)
{
    server_start(&server, ok);
    struct call_request r = order_to(server.port);
    struct outcome o = run(&r);
    ck_assert_int_eq(o.reach, CALL_ANSWERED);
    ck_assert_ptr_nonnull(strstr(server.last, "POST /api/v1/kos/product/change HTTP/1.1\r\n"));
    ck_assert_ptr_nonnull(strstr(server.last, "Content-Length: 28\r\n"));
    ck_assert_ptr_nonnull(strstr(server.last, "\r\n\r\n{\"lineNumber\":\"01012345678\"}"));
    ck_assert_ptr_null(strstr(server.last, "Expect"));
    ck_assert_ptr_null(strstr(server.last, "chunked"));
}
END_TEST

/* Kept connections are used again, also by calls of another method. */
START_TEST(connections_are_kept)
{
    server_start(&server, ok);
    for (int i = 0; i < 6; i++) {
        struct call_request r = i % 2 ? order_to(server.port) : request_to("GET", server.port);
        ck_assert_int_eq(run(&r).status, 200);
    }
    ck_assert_uint_eq(server.accepted, 1);
    ck_assert_uint_eq(server.requests, 6);
}
END_TEST

/* A connection idle for longer than allowed is not used again. */
START_TEST(old_connections_are_not_used)
{
    server_start(&server, ok);
    call_client_set_idle(client, 1);
    struct call_request r = request_to("GET", server.port);
    run(&r);
    rig_run(2100);
    r = request_to("GET", server.port);
    run(&r);
    ck_assert_uint_eq(server.accepted, 2);
}
END_TEST

static void odd_answers(struct peer *p)
{
    static const char *const answers[] = {
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        ("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: "
         "chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
        "HTTP/1.0 200 OK\r\n\r\nuntil the end",
    };
    peer_says(p, answers[p->server->requests - 1]);
    if (p->server->requests == 5) {
        peer_close(p, false);
    }
}

START_TEST(whole_answers)
{
    static const int status[] = {204, 503, 302, 200, 200};
    static const char *const body[] = {"", "", "", "abc", "until the end"};
    server_start(&server, odd_answers);
    for (int i = 0; i < 5; i++) {
        struct call_request r = order_to(server.port);
        struct outcome o = run(&r);
        ck_assert_int_eq(o.reach, CALL_ANSWERED);
        ck_assert_int_eq(o.status, status[i]);
        ck_assert_str_eq(o.body, body[i]);
        ck_assert_int_eq((int)o.retry_after_s, i == 1 ? 7 : -1);
    }
    ck_assert_uint_eq(server.requests, 5);
}
END_TEST

/* ---- not sent ---- */

START_TEST(refused)
{
    struct call_request r = order_to(free_port());
    struct outcome o = run(&r);
    ck_assert_int_eq(o.reach, CALL_NOT_SENT);
    ck_assert_int_eq(o.error, CALL_REFUSED);
    ck_assert_uint_gt(strlen(o.reason), 0);
}
END_TEST

/* A listener with a full backlog: connecting to it takes for ever. */
struct hole {
    int listener, filler[4];
    int port;
};

static void hole_open(struct hole *h, const char *address, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t len = sizeof a;
    inet_pton(AF_INET, address, &a.sin_addr);
    h->listener = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(h->listener, (struct sockaddr *)&a, sizeof a), 0);
    getsockname(h->listener, (struct sockaddr *)&a, &len);
    listen(h->listener, 0);
    for (int i = 0; i < 4; i++) {
        h->filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(h->filler[i], (struct sockaddr *)&a, sizeof a);
    }
    h->port = ntohs(a.sin_port);
}

static void hole_close(struct hole *h)
{
    for (int i = 0; i < 4; i++) {
        close(h->filler[i]);
    }
    close(h->listener);
}

START_TEST(black_hole)
{
    struct hole hole;
    hole_open(&hole, "127.0.0.1", 0);
    struct call_request r = order_to(hole.port);
    struct outcome o = run(&r);
    ck_assert_int_eq(o.reach, CALL_NOT_SENT);
    ck_assert_int_eq(o.error, CALL_CONNECT_TIMEOUT);
    ck_assert_uint_ge(o.elapsed_ms, 199);
    ck_assert_uint_lt(o.elapsed_ms, 400);
    hole_close(&hole);
}
END_TEST

/* A name with two addresses, the first of which refuses, or never answers: the second is used. curl closes the first
 * attempt's descriptor without a word, and the second gets its number. */
START_TEST(second_address)
{
    struct hole hole;
    server_start(&server, ok);
    if (_i == 1) {
        hole_open(&hole, "127.0.0.2", server.port);
    }
    for (unsigned i = 0; i < 3; i++) {
        struct call_request r = order_to(server.port);
        r.connect_timeout_ms = 1000; /* of which the first address gets half */
        r.deadline_ns = clock_mono_ns() + 2 * NS_PER_SEC;
        snprintf(url, sizeof url, "http://two.test:%d/", server.port);
        struct outcome o = run(&r);
        ck_assert_msg(o.reach == CALL_ANSWERED, "%s", o.reason);
        peer_close(server.peers, false);
        rig_run(5);
    }
    ck_assert_uint_eq(server.requests, 3);
    if (_i == 1) {
        hole_close(&hole);
    }
}
END_TEST

/* A look-up that fails, or that lasts longer than the deadline: not sent, and the loop does not wait for it.
 */
START_TEST(unknown_host)
{
    struct call_request r = order_to(1);
    r.url = "http://no-such-host.invalid:8080/";
    uint64_t start = clock_mono_ns();
    struct outcome o = run(&r);
    ck_assert_int_eq(o.reach, CALL_NOT_SENT);
    ck_assert_int_eq(o.error, CALL_DNS);
    ck_assert_uint_lt((clock_mono_ns() - start) / NS_PER_MS, 700);
}
END_TEST

/* A look-up that takes longer than the deadline: not sent, in time, and the loop does not wait for the resolver. */
START_TEST(slow_look_up)
{
    struct call_request r = order_to(1);
    r.url = "http://slow.test/";
    r.deadline_ns = clock_mono_ns() + 100 * NS_PER_MS;
    uint64_t start = clock_mono_ns();
    struct outcome o = run(&r);
    ck_assert_uint_lt((clock_mono_ns() - start) / NS_PER_MS, 250);
    ck_assert_int_eq(o.reach, CALL_NOT_SENT);
    ck_assert_msg(o.error == CALL_DNS, "%s: %s", call_error_name(o.error), o.reason);
    rig_run(500);
}
END_TEST

static void plain(struct peer *p)
{
    peer_says(p, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
}

static void tls_alert(uv_timer_t *t)
{
    struct server *s = t->data;
    if (s->peers && s->peers->len) {
        peer_say(s->peers, "\x15\x03\x01\x00\x02\x02\x28", 7);
        uv_close((uv_handle_t *)t, NULL);
    }
}

/* TLS fails before a byte of the request is written. */
START_TEST(tls_failure)
{
    static uv_timer_t timer;
    server_start(&server, plain);
    timer.data = &server;
    uv_timer_init(&reactor.loop, &timer);
    uv_timer_start(&timer, tls_alert, 5, 5);
    struct call_request r = order_to(server.port);
    r.connect_timeout_ms = 4000; /* the system's certificates are read first */
    r.deadline_ns = clock_mono_ns() + 4 * NS_PER_SEC;
    snprintf(url, sizeof url, "https://127.0.0.1:%d/", server.port);
    struct outcome o = run(&r);
    ck_assert_int_eq(o.reach, CALL_NOT_SENT);
    ck_assert_int_eq(o.error, CALL_TLS);
    rig_run(1);
}
END_TEST

/* A server that accepts and never answers the TLS greeting: the connect deadline. */
START_TEST(tls_silence)
{
    server_start(&server, plain);
    struct call_request r = order_to(server.port);
    snprintf(url, sizeof url, "https://127.0.0.1:%d/", server.port);
    struct outcome o = run(&r);
    ck_assert_int_eq(o.reach, CALL_NOT_SENT);
    ck_assert_int_eq(o.error, CALL_CONNECT_TIMEOUT);
}
END_TEST

START_TEST(bad_requests_are_not_sent)
{
    static const char *const urls[] = {"ftp://127.0.0.1/", "http://", "http://127.0.0.1:99999/", "gopher:x",
                                       "file:///etc/passwd"};
    struct call_request r = order_to(1);
    r.url = urls[_i];
    struct outcome o = run(&r);
    ck_assert_int_eq(o.reach, CALL_NOT_SENT);
    ck_assert_int_eq(o.error, CALL_PROTOCOL);
}
END_TEST

START_TEST(too_many_headers)
{
    const char *headers[CALL_HEADERS_MAX + 2];
    for (int i = 0; i <= CALL_HEADERS_MAX; i++) {
        headers[i] = "A: b";
    }
    headers[CALL_HEADERS_MAX + 1] = NULL;
    struct call_request r = order_to(1);
    r.headers = headers;
    struct outcome o = run(&r);
    ck_assert_int_eq(o.reach, CALL_NOT_SENT);
    ck_assert_int_eq(o.error, CALL_PROTOCOL);
}
END_TEST

START_TEST(deadline_already_past)
{
    server_start(&server, ok);
    struct call_request r = order_to(server.port);
    r.deadline_ns = clock_mono_ns() - 1;
    struct outcome o = run(&r);
    ck_assert_int_eq(o.reach, CALL_NOT_SENT);
    ck_assert_int_eq(o.error, CALL_TIMEOUT);
    ck_assert_uint_eq(server.accepted, 0);
}
END_TEST

/* ---- maybe sent ---- */

static void silent(struct peer *p)
{
    (void)p;
}

START_TEST(silent_server)
{
    server_start(&server, silent);
    struct call_request r = order_to(server.port);
    struct outcome o = run(&r);
    ck_assert_int_eq(o.reach, CALL_MAYBE_SENT);
    ck_assert_int_eq(o.error, CALL_TIMEOUT);
    ck_assert_uint_ge(o.elapsed_ms, 499);
    ck_assert_uint_lt(o.elapsed_ms, 700);
    ck_assert_uint_eq(server.requests, 1);
}
END_TEST

static void reset_in_the_body(struct peer *p)
{
    peer_says(p, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\npart of it");
    peer_close(p, true);
}

static void close_in_the_body(struct peer *p)
{
    peer_says(p, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\npart of it");
    peer_close(p, false);
}

static void close_in_a_chunk(struct peer *p)
{
    peer_says(p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nabc");
    peer_close(p, false);
}

static void close_in_the_head(struct peer *p)
{
    peer_says(p, "HTTP/1.1 200 OK\r\nContent-Len");
    peer_close(p, false);
}

static void close_at_once(struct peer *p)
{
    peer_close(p, false);
}

static void reset_at_once(struct peer *p)
{
    peer_close(p, true);
}

START_TEST(broken_answers)
{
    static void (*const ways[])(struct peer *) = {reset_in_the_body, close_in_the_body, close_in_a_chunk,
                                                  close_at_once, reset_at_once};
    server_start(&server, ways[_i]);
    struct call_request r = order_to(server.port);
    struct outcome o = run(&r);
    ck_assert_int_eq(o.reach, CALL_MAYBE_SENT);
    ck_assert_msg(o.error == CALL_RESET, "%s: %s", call_error_name(o.error), o.reason);
    ck_assert_uint_eq(server.requests, 1);
}
END_TEST

/* A head without an end: curl takes what it got for an answer without a body, which is no outcome of an
 * order. */
START_TEST(half_a_head)
{
    server_start(&server, close_in_the_head);
    struct call_request r = order_to(server.port);
    struct outcome o = run(&r);
    ck_assert_int_ne(o.reach, CALL_NOT_SENT);
    ck_assert_uint_eq(o.len, 0);
}
END_TEST

static void junk(struct peer *p)
{
    peer_says(p, "SSH-2.0-OpenSSH_9.2\r\n");
}

static void bad_chunk(struct peer *p)
{
    peer_says(p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n");
}

START_TEST(no_http)
{
    server_start(&server, _i ? bad_chunk : junk);
    struct call_request r = order_to(server.port);
    struct outcome o = run(&r);
    ck_assert_int_eq(o.reach, CALL_MAYBE_SENT);
    ck_assert_msg(o.error == CALL_PROTOCOL || o.error == CALL_RESET, "%s", o.reason);
}
END_TEST

static const char *const odd_status_lines[] = {
    "HTTP/1.1 4294967496 OK", /* cut to 32 bits it is 200 */
    "HTTP/1.1 18446744073709551816 OK",
    "HTTP/2 4294967496",
    "HTTP/2416666666666666619",
    "HTTP/21. 100 OK", /* to curl it is HTTP/2 with status 1 */
    "HTTP/1.1 20 OK",
    "HTTP/1.1 2000 OK",
    "HTTP/1.1 200OK",
    "HTTP/1.1 099 OK",
    "HTTP/1.1 -200 OK",
    "HTTP/1.1 OK",
};
static const char *odd_status_line;

static void odd_status(struct peer *p)
{
    char text[256];
    snprintf(text, sizeof text, "%s\r\nContent-Length: 2\r\n\r\n{}", odd_status_line);
    peer_says(p, text);
}

/* Such an answer is no answer: an order is in doubt. Found by the fuzz target "answer". */
START_TEST(a_status_that_is_none)
{
    odd_status_line = odd_status_lines[_i];
    server_start(&server, odd_status);
    struct call_request r = order_to(server.port);
    struct outcome o = run(&r);
    ck_assert_int_eq(o.reach, CALL_MAYBE_SENT);
    ck_assert_msg(o.error == CALL_PROTOCOL, "%s: %s", odd_status_line, o.reason);
}
END_TEST

static void drip_once(uv_timer_t *t)
{
    struct server *s = t->data;
    if (s->requests && s->peers) {
        peer_says(s->peers, "x");
    }
}

static void begin_dripping(struct peer *p)
{
    peer_says(p, "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n");
}

/* One byte now and then does not move the deadline. */
START_TEST(slow_drip)
{
    static uv_timer_t timer;
    server_start(&server, begin_dripping);
    timer.data = &server;
    uv_timer_init(&reactor.loop, &timer);
    uv_timer_start(&timer, drip_once, 20, 20);
    struct call_request r = order_to(server.port);
    struct outcome o = run(&r);
    ck_assert_int_eq(o.reach, CALL_MAYBE_SENT);
    ck_assert_int_eq(o.error, CALL_TIMEOUT);
    ck_assert_uint_lt(o.elapsed_ms, 700);
    uv_close((uv_handle_t *)&timer, NULL);
}
END_TEST

static void large_length(struct peer *p)
{
    peer_says(p, "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n");
}

static void large_chunks(struct peer *p)
{
    char block[512];
    memset(block, 'x', sizeof block);
    peer_says(p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 2; i++) {
        peer_says(p, "1f5\r\n");
        peer_say(p, block, 501);
        peer_says(p, "\r\n");
    }
}

static void large_head(struct peer *p)
{
    char line[1024];
    memset(line, 'x', sizeof line);
    memcpy(line, "X-Filler: ", 10);
    memcpy(line + sizeof line - 2, "\r\n", 2);
    peer_says(p, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 80; i++) {
        peer_say(p, line, sizeof line);
    }
}

START_TEST(too_large)
{
    static void (*const ways[])(struct peer *) = {large_length, large_chunks, large_head};
    server_start(&server, ways[_i]);
    struct call_request r = order_to(server.port);
    struct outcome o = run(&r);
    ck_assert_int_eq(o.reach, CALL_MAYBE_SENT);
    ck_assert_msg(o.error == CALL_TOO_LARGE, "%s: %s", call_error_name(o.error), o.reason);
}
END_TEST

/* Where only the status matters, an answer is cut, not refused; a head without end is no answer all the same. */
START_TEST(cut)
{
    static void (*const ways[])(struct peer *) = {large_chunks, large_head};
    server_start(&server, ways[_i]);
    struct call_request r = request_to("POST", server.port);
    r.cut = true;
    struct outcome o = run(&r);
    if (_i == 1) {
        ck_assert_msg(o.error == CALL_TOO_LARGE, "%s: %s", call_error_name(o.error), o.reason);
        return;
    }
    ck_assert_msg(o.reach == CALL_ANSWERED, "%s", o.reason);
    ck_assert_int_eq(o.status, 200);
    ck_assert_uint_eq(o.len, 1000);
}
END_TEST

static void exact(struct peer *p)
{
    char body[1000];
    memset(body, 'x', sizeof body);
    peer_says(p, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    peer_say(p, body, sizeof body);
}

START_TEST(exactly_as_large_as_allowed)
{
    server_start(&server, exact);
    struct call_request r = order_to(server.port);
    struct outcome o = run(&r);
    ck_assert_int_eq(o.reach, CALL_ANSWERED);
    ck_assert_uint_eq(o.len, 1000);
}
END_TEST

/* A whole answer that was followed by a reset is an answer. */
static void answer_and_reset(struct peer *p)
{
    ok(p);
    peer_close(p, true);
}

START_TEST(answer_before_reset)
{
    server_start(&server, answer_and_reset);
    for (int i = 0; i < 20; i++) {
        struct call_request r = order_to(server.port);
        struct outcome o = run(&r);
        ck_assert_msg(o.reach == CALL_ANSWERED, "%d: %s", i, o.reason);
    }
}
END_TEST

/* ---- written once ---- */

/* The first request of a connection is answered, the second is read whole and the connection then closed:
 * what happens when a kept connection dies silently (DESIGN.md, Failure). */
static void die_on_reuse(struct peer *p)
{
    if (p->requests == 1) {
        ok(p);
    } else {
        peer_close(p, p->server->requests % 2);
    }
}

START_TEST(order_is_written_once)
{
    server_start(&server, die_on_reuse);
    for (unsigned round = 0; round < 4; round++) {
        unsigned before = server.requests;
        struct call_request r = order_to(server.port);
        if (_i == 1) {
            r.body_len = 0; /* nothing that could fail to rewind */
        }
        if (_i == 2) {
            static char large[40000];
            memset(large, 'x', sizeof large);
            r.body = large;
            r.body_len = sizeof large;
        }
        struct outcome o = run(&r);
        rig_run(20);
        ck_assert_uint_eq(server.requests - before, 1);
        ck_assert_int_eq(o.reach, round % 2 ? CALL_MAYBE_SENT : CALL_ANSWERED);
        ck_assert_int_eq(o.error, round % 2 ? CALL_RESET : CALL_OK);
    }
}
END_TEST

/* The counter-proof: anything else is sent again by curl, and answered. */
START_TEST(others_are_sent_again)
{
    server_start(&server, die_on_reuse);
    struct call_request r = request_to("GET", server.port);
    run(&r);
    r = request_to("POST", server.port);
    r.body = "{}";
    r.body_len = 2;
    struct outcome o = run(&r);
    ck_assert_int_eq(o.reach, CALL_ANSWERED);
    ck_assert_uint_eq(server.requests, 3);
    ck_assert_uint_eq(server.accepted, 2);
}
END_TEST

/* Re-sent, and then refused: the first writing still counts. */
static void die_and_stop_listening(struct peer *p)
{
    if (p->requests == 1) {
        ok(p);
        return;
    }
    uv_close((uv_handle_t *)&p->server->listener, NULL);
    p->server->listener.data = NULL;
    peer_close(p, false);
}

START_TEST(refused_after_a_first_writing)
{
    server_start(&server, die_and_stop_listening);
    struct call_request r = request_to("GET", server.port);
    run(&r);
    r = request_to("POST", server.port);
    r.body = "{}";
    r.body_len = 2;
    struct outcome o = run(&r);
    ck_assert_int_eq(o.error, CALL_REFUSED);
    ck_assert_int_eq(o.reach, CALL_MAYBE_SENT);
}
END_TEST

/* A kept connection that the server has closed meanwhile is noticed before anything is written. */
START_TEST(closed_while_idle)
{
    server_start(&server, ok);
    struct call_request r = order_to(server.port);
    run(&r);
    peer_close(server.peers, false);
    rig_run(20);
    r = order_to(server.port);
    struct outcome o = run(&r);
    ck_assert_int_eq(o.reach, CALL_ANSWERED);
    ck_assert_uint_eq(server.requests, 2);
}
END_TEST

/* ---- cancel, destroy, many ---- */

START_TEST(cancelled)
{
    struct outcome o = {0}, past = {0};
    server_start(&server, silent);
    struct call_request r = order_to(server.port);
    struct call *call = call_start(client, &r, on_done, &o);
    if (_i == 1) {
        ck_assert(rig_until(server.requests, 1000));
    }
    call_cancel(call);
    ck_assert_uint_eq(call_client_in_flight(client), 0);
    r.deadline_ns = 1;
    call_cancel(call_start(client, &r, on_done, &past));
    rig_run(600);
    ck_assert_uint_eq(o.count, 0);
    ck_assert_uint_eq(past.count, 0);
    ck_assert_uint_eq(server.requests, _i == 1 ? 1 : 0);
}
END_TEST

/* During a look-up too. */
START_TEST(cancelled_while_resolving)
{
    struct outcome o = {0};
    struct call_request r = order_to(1);
    r.url = "http://slow.test/";
    struct call *call = call_start(client, &r, on_done, &o);
    uv_run(&reactor.loop, UV_RUN_NOWAIT);
    uint64_t start = clock_mono_ns();
    call_cancel(call);
    ck_assert_uint_lt((clock_mono_ns() - start) / NS_PER_MS, 200);
    rig_run(500); /* the resolver's thread ends by itself */
    ck_assert_uint_eq(o.count, 0);
}
END_TEST

START_TEST(destroyed_with_calls_in_flight)
{
    struct outcome sent = {0}, unsent = {0}, past = {0};
    server_start(&server, silent);
    struct call_request r = order_to(server.port);
    call_start(client, &r, on_done, &sent);
    ck_assert(rig_until(server.requests, 1000));
    call_start(client, &r, on_done, &unsent);
    r.deadline_ns = 1;
    call_start(client, &r, on_done, &past);
    call_client_destroy(client);
    ck_assert_uint_eq(sent.count + unsent.count + past.count, 3);
    ck_assert_int_eq(sent.error, CALL_SHUTDOWN);
    ck_assert_int_eq(sent.reach, CALL_MAYBE_SENT);
    ck_assert_int_eq(unsent.reach, CALL_NOT_SENT);
    ck_assert_int_eq(past.error, CALL_SHUTDOWN);
    ck_assert_ptr_null(call_start(client, &r, on_done, &past));
    client = NULL;
}
END_TEST

static void destroy_client(void *arg, const struct call_result *r)
{
    ++*(int *)arg;
    ck_assert_int_eq(r->status, 200);
    ck_assert_uint_eq(r->len, 2);
    call_client_destroy(client);
    ck_assert_mem_eq(r->body, "{}", 2);
    client = NULL;
}

START_TEST(destroyed_in_a_callback)
{
    struct outcome other = {0};
    int count = 0;
    server_start(&server, ok);
    struct call_request r = order_to(server.port);
    call_start(client, &r, destroy_client, &count);
    struct call_request slow = order_to(free_port());
    (void)slow;
    ck_assert(rig_until(count, 1000));
    ck_assert_uint_eq(other.count, 0);
}
END_TEST

static void start_another(void *arg, const struct call_result *r)
{
    int *left = arg;
    ck_assert_int_eq(r->status, 200);
    if (--*left > 0) {
        struct call_request again = order_to(server.port);
        again.deadline_ns = clock_mono_ns() + 2 * NS_PER_SEC;
        ck_assert_ptr_nonnull(call_start(client, &again, start_another, left));
    }
}

START_TEST(started_in_a_callback)
{
    int left = 100;
    server_start(&server, ok);
    struct call_request r = order_to(server.port);
    call_start(client, &r, start_another, &left);
    ck_assert(rig_until(left == 0, 5000));
    ck_assert_uint_eq(server.accepted, 1);
}
END_TEST

START_TEST(many_at_once)
{
    static struct outcome o[300];
    unsigned whole = 0;
    memset(o, 0, sizeof o);
    server_start(&server, ok);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 300; i++) {
            struct call_request r = i % 2 ? order_to(server.port) : request_to("GET", server.port);
            r.deadline_ns = clock_mono_ns() + 20 * NS_PER_SEC;
            r.connect_timeout_ms = 10000;
            ck_assert_ptr_nonnull(call_start(client, &r, on_done, &o[i]));
        }
        ck_assert(rig_until(call_client_in_flight(client) == 0, 20000));
        for (int i = 0; i < 300; i++) {
            ck_assert_msg(o[i].reach == CALL_ANSWERED, "%d: %s", i, o[i].reason);
            whole += o[i].count;
        }
    }
    ck_assert_uint_eq(whole, 300 + 600);
    ck_assert_uint_eq(server.requests, 600);
}
END_TEST

/* A reactor that stops runs its hooks no more: a call ends all the same. */
START_TEST(without_hooks)
{
    struct outcome o = {0}, past = {0};
    server_start(&server, ok);
    uv_prepare_stop(&turn_end);
    struct call_request r = order_to(server.port);
    call_start(client, &r, on_done, &o);
    r.deadline_ns = 1;
    call_start(client, &r, on_done, &past);
    ck_assert(rig_until(o.count && past.count, 1000));
    ck_assert_int_eq(o.reach, CALL_ANSWERED);
    uv_prepare_start(&turn_end, run_hooks);
}
END_TEST

/* http_proxy of the environment is not for us. */
START_TEST(no_proxy)
{
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    server_start(&server, ok);
    struct call_request r = order_to(server.port);
    struct outcome o = run(&r);
    unsetenv("http_proxy");
    ck_assert_int_eq(o.reach, CALL_ANSWERED);
}
END_TEST

START_TEST(names)
{
    ck_assert_str_eq(call_error_name(CALL_REFUSED), "refused");
    ck_assert_str_eq(call_error_name(CALL_SHUTDOWN), "shutdown");
    ck_assert_str_eq(call_error_name((enum call_error)99), "unknown");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("call");
    TCase *c = tcase_create("call");
    tcase_set_timeout(c, 30);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, answered);
    tcase_add_test(c, order_is_the_same_on_the_wire);
    tcase_add_test(c, connections_are_kept);
    tcase_add_test(c, old_connections_are_not_used);
    tcase_add_test(c, whole_answers);
    tcase_add_test(c, refused);
    tcase_add_test(c, black_hole);
    tcase_add_loop_test(c, second_address, 0, 2);
    tcase_add_test(c, unknown_host);
    tcase_add_test(c, slow_look_up);
    tcase_add_test(c, tls_failure);
    tcase_add_test(c, tls_silence);
    tcase_add_loop_test(c, bad_requests_are_not_sent, 0, 5);
    tcase_add_test(c, too_many_headers);
    tcase_add_test(c, deadline_already_past);
    tcase_add_test(c, silent_server);
    tcase_add_loop_test(c, broken_answers, 0, 5);
    tcase_add_loop_test(c, half_a_head, 0, 2);
    tcase_add_loop_test(c, no_http, 0, 2);
    tcase_add_loop_test(c, a_status_that_is_none, 0,
                        (int)(sizeof odd_status_lines / sizeof *odd_status_lines));
    tcase_add_test(c, slow_drip);
    tcase_add_loop_test(c, too_large, 0, 3);
    tcase_add_loop_test(c, cut, 0, 2);
    tcase_add_test(c, exactly_as_large_as_allowed);
    tcase_add_test(c, answer_before_reset);
    tcase_add_loop_test(c, order_is_written_once, 0, 3);
    tcase_add_test(c, others_are_sent_again);
    tcase_add_test(c, refused_after_a_first_writing);
    tcase_add_test(c, closed_while_idle);
    tcase_add_loop_test(c, cancelled, 0, 2);
    tcase_add_test(c, cancelled_while_resolving);
    tcase_add_test(c, destroyed_with_calls_in_flight);
    tcase_add_test(c, destroyed_in_a_callback);
    tcase_add_test(c, started_in_a_callback);
    tcase_add_test(c, many_at_once);
    tcase_add_test(c, without_hooks);
    tcase_add_test(c, no_proxy);
    tcase_add_test(c, names);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
