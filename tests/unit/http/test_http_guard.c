/* The guard against request smuggling: every vector of PITFALLS.md 1 through a real server. */
#include "unit/http/harness.h"

static void on_plain(struct http_request *rq)
{
    const struct http_header headers[] = {
        {"Location", "/product/request/01234567-89ab-7def-8123-456789abcdef"},
        {"Retry-After", "10"},
        {"Preference-Applied", "respond-async"},
        {"RateLimit-Policy", "\"default\";q=20;w=4"},
        {"RateLimit", "\"default\";r=19;t=1"},
        {"X-Total-Count", "1000000"},
        {"Idempotent-Replayed", "true"},
        {"Age", "3600"},
    };
    http_reply(rq, 200, "application/json", strdup("{}"), 2, headers, sizeof headers / sizeof *headers);
}

static _Atomic int echoed;

static void on_echo(struct http_request *rq)
{
    atomic_fetch_add(&echoed, 1);
    char *copy = malloc(rq->body_len + 1);
    memcpy(copy, rq->body, rq->body_len);
    http_reply(rq, 200, "application/json", copy, rq->body_len, NULL, 0);
}

static const struct http_route routes[] = {
    {.method = "GET", .path = "/plain", .handler = on_plain, .flags = HTTP_OPEN},
    {.method = "POST", .path = "/echo", .handler = on_echo, .flags = HTTP_OPEN | HTTP_BODY},
};

static struct fixture f;

static const char *const any_origin[] = {"*"};

static void setup(void)
{
    f = (struct fixture){.config = default_config(), .routes = routes, .route_count = 2};
    f.config.cors_allowed_origins = (struct config_list){.items = any_origin, .count = 1};
    fixture_start(&f);
}

static void teardown(void)
{
    fixture_stop(&f);
}

#define H    "Host: x\r\n"
#define JSON "Content-Type: application/json\r\n"
#define POST "POST /echo HTTP/1.1\r\n" H JSON
#define V(text)                                                                                              \
    {                                                                                                        \
        text, sizeof(text) - 1                                                                               \
    }

static const struct vector {
    const char *text;
    size_t len;
} refused[] = {
    /* body framing that two parsers read differently */
    V(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    V(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    V(POST "Content-Length: 2\r\nContent-Length: 5\r\n\r\n{}GET"),
    V(POST "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}"),
    V(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
    V(POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    V(POST "Transfer-Encoding: identity\r\n\r\n{}"),
    V(POST "Transfer-Encoding: chunked \r\n\r\n0\r\n\r\n"),
    V(POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    V(POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    V(POST "Content-Length : 2\r\n\r\n{}"),
    V("POST /echo HTTP/1.0\r\n" H JSON "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    /* folding: the continuation is glued to the header's name */
    V(POST "Content-: 5\r\n Length\r\n\r\n{}GET"),
    V(POST "X-A: 1\r\n Content-Length: 2\r\n\r\n{}"),
    V(POST "Content-Length:\r\n 2\r\n\r\n{}"),
    /* a blank too many and a CR too few: the sum of bytes is right (found by tests/fuzz) */
    V("GET  /plain HTTP/1.1\r\nHost: x\r\n\n"),
    V("GET /plain  HTTP/1.1\r\nHost: x\r\n\n"),
    /* what Content-Length may look like */
    V(POST "Content-Length: 2\0junk\r\n\r\n{}"),
    V(POST "Content-Length: +2\r\n\r\n{}"),
    V(POST "Content-Length: 0x2\r\n\r\n{}"),
    V(POST "Content-Length: -2\r\n\r\n{}"),
    V(POST "Content-Length: 2, 2\r\n\r\n{}"),
    V(POST "Content-Length: \r\n\r\n{}"),
    /* line ends, control characters */
    V("GET /plain HTTP/1.1\r\n" H "X-A: a\rb\r\n\r\n"),
    V("GET /plain HTTP/1.1\nHost: x\n\n"),
    V("GET /plain HTTP/1.1\r\nHost: x\n\r\n"),
    V("GET /plain HTTP/1.1\r\n" H "X-A: a\0b\r\n\r\n"),
    V("GET /plain HTTP/1.1\r\n" H "X-A: a\x01\r\n\r\n"),
    V("GET /plain HTTP/1.1\r\n" H "X-A: a\x7f\r\n\r\n"),
    V(" GET /plain HTTP/1.1\r\n" H "\r\n"),
    /* names and doubles */
    V("GET /plain HTTP/1.1\r\n" H "Host: y\r\n\r\n"),
    V("GET /plain HTTP/1.1\r\nHost: x y\r\n\r\n"),
    V("GET /plain HTTP/1.1\r\nHost: x/plain\r\n\r\n"),
    V("GET /plain HTTP/1.1\r\nHost: u@x\r\n\r\n"),
    V("GET /plain HTTP/1.1\r\nHost: x\xc3\xbc\r\n\r\n"),
    V("GET /plain HTTP/1.1\r\n\r\n"),
    V("GET /plain HTTP/1.1\r\n" H "X A: 1\r\n\r\n"),
    V("GET /plain HTTP/1.1\r\n" H "X(A): 1\r\n\r\n"),
    V("GET /plain HTTP/1.1\r\n" H ": 1\r\n\r\n"),
    V("GET /plain HTTP/1.1\r\n" H "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n"),
    V("GET /plain HTTP/1.1\r\n" H "Idempotency-Key: a\r\nIdempotency-Key: b\r\n\r\n"),
    /* spacing that is not canonical */
    V("GET  /plain HTTP/1.1\r\n" H "\r\n"),
    V("GET /plain  HTTP/1.1\r\n" H "\r\n"),
    V("GET\t/plain HTTP/1.1\r\n" H "\r\n"),
    /* request line */
    V("GET http://x/plain HTTP/1.1\r\n" H "\r\n"),
    V("GET plain HTTP/1.1\r\n" H "\r\n"),
    V("OPTIONS * HTTP/1.1\r\n" H "\r\n"),
    V("CONNECT x:80 HTTP/1.1\r\n" H "\r\n"),
    V("G(T /plain HTTP/1.1\r\n" H "\r\n"),
    V("GET /plain?a=%zz HTTP/1.1\r\n" H "\r\n"),
    V("GET /plain?a=%0 HTTP/1.1\r\n" H "\r\n"),
    V("GET /plain%00 HTTP/1.1\r\n" H "\r\n"),
    V("GET /plain?\xff HTTP/1.1\r\n" H "\r\n"),
    V("GET /pla in HTTP/1.1\r\n" H "\r\n"),
    V("GET /plain HTTP/1.2\r\n" H "\r\n"),
    V("GET /plain\r\n" H "\r\n"),
};

/* PITFALLS 1: each is refused with 400 (some by the library itself), the connection ends, and what follows is
 * never taken for a request. */
START_TEST(smuggling_vector_is_refused)
{
    static const char next[] = "GET /plain HTTP/1.1\r\n" H "\r\n";
    const struct vector *v = &refused[_i];
    struct answer a;
    int fd = client_connect(&f);
    client_send(fd, v->text, v->len);
    client_send(fd, next, sizeof next - 1);
    ck_assert_msg(client_read(fd, &a, false), "no answer to: %s", v->text);
    ck_assert_msg(a.status == 400 || a.status == 505, "status %d for: %s", a.status, v->text);
    while (
        client_read(fd, &a, false)) { /* a bad Content-Length gets two heads from the library (PITFALLS 1) */
        ck_assert_msg(a.status == 400, "status %d after: %s", a.status, v->text);
    }
    ck_assert_int_eq(atomic_load(&echoed), 0);
    close(fd);
}
END_TEST

/* A refusal by the guard (here: no Host) speaks the contract's form and echoes the caller's id. */
START_TEST(refusal_has_the_error_form)
{
    struct answer a;
    ask(&f, "GET /plain HTTP/1.1\r\nX-Request-ID: abc-1\r\nAccept-Language: en\r\n\r\n", &a);
    ck_assert_int_eq(a.status, 400);
    ck_assert_str_eq(answer_header(&a, "Connection"), "close");
    ck_assert_str_eq(answer_header(&a, "X-Request-ID"), "abc-1");
    ck_assert_ptr_nonnull(
        strstr(a.body, "\"code\":\"INVALID_REQUEST\",\"message\":\"The request is not valid\""));
    ck_assert_ptr_nonnull(strstr(a.body, "needs a Host"));
}
END_TEST

/* What ordinary clients send passes. */
START_TEST(ordinary_heads_pass)
{
    static const char *const good[] = {
        "GET /plain HTTP/1.1\r\nHost: 127.0.0.1:80\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n",
        "GET /plain?a=1&b=%20&c HTTP/1.1\r\nHost: x\r\nX-Tab: a\tb\r\nCookie: a=b; c=d\r\n\r\n",
        "GET /plain HTTP/1.0\r\n\r\n",
        "\r\nGET /plain HTTP/1.1\r\nHost: x\r\n\r\n", /* RFC 9112 2.2 */
        "GET /plain HTTP/1.1\r\nHost: x \r\n\r\n",
        "GET /plain HTTP/1.1\r\nHost: [::1]:8083\r\n\r\n",
        "GET /plain HTTP/1.1\r\nHost: a_b-1.example.\r\n\r\n",
        "GET /plain HTTP/1.1\r\nHost:\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json \r\nContent-Length: 2\r\n\r\n{}",
        "GET /plain HTTP/1.1\r\nhost: x\r\naccept: a/b\r\naccept: c/d\r\nx-utf8: \xEA\xB0\x80\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json;q=1\r\nContent-Length: 2\r\n\r\n{}",
    };
    struct answer a;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        ask(&f, good[i], &a);
        ck_assert_msg(a.status == 200, "status %d for %s", a.status, good[i]);
    }
}
END_TEST

/* RFC 9112 5.1: a colon may be followed by no blank or by many ("people with curl" write -H 'Name:value'); but what
 * one oddity adds to the head must not pay for what another takes away. */
START_TEST(blanks_after_the_colon_are_free)
{
    static const char *const good[] = {
        "GET /plain HTTP/1.1\r\nHost:x\r\nAccept:*/*\r\n\r\n",
        "GET /plain HTTP/1.1\r\nHost: x\r\nX-A:   b\r\nX-B:\tc\r\n\r\n",
        "GET /plain HTTP/1.1\r\nHost:x\r\nX-A:  b\r\n\r\n",
    };
    static const char *const bad[] = {
        "GET /plain HTTP/1.1\r\nHost: x\r\nX-A:\r\n  b\r\n\r\n",
        "GET /plain HTTP/1.1\r\nHost: x\nX-A:  b\r\n\r\n",
        "GET /plain HTTP/1.1\r\nHost:  x\r\nX-A: b\nX-B: c\r\n\r\n",
        "GET /plain HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\nX-B: d\nX-C: e\nX-D: f\n\r\n",
        "GET /plain HTTP/1.1\r\nHost:   x\n\n",
    };
    struct answer a;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        ask(&f, good[i], &a);
        ck_assert_msg(a.status == 200, "status %d for %s", a.status, good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ask(&f, bad[i], &a);
        ck_assert_msg(a.status == 400, "status %d for %s", a.status, bad[i]);
    }
}
END_TEST

/* CONTRACT 1: a request head over 6 KiB is 431; and whatever the mixture of headers, there is an answer: the
 * head of the answer still fits into the connection's memory (PITFALLS 1). */
START_TEST(every_head_size_gets_an_answer)
{
    static char text[16384];
    struct answer a;
    int served = 0, refused_431 = 0;
    for (size_t each = 8; each <= 4096; each *= 2) {
        for (size_t total = 500; total <= 9500; total += total > 5500 && total < 7900 ? 50 : 500) {
            size_t n =
                (size_t)sprintf(text, "GET /plain HTTP/1.1\r\nHost: x\r\nOrigin: https://shop.example\r\n");
            for (int i = 0; n + 2 < total; i++) {
                size_t room = total - n - 2, take = room < each + 8 || room < each * 2 ? room : each;
                if (take < 8) {
                    break;
                }
                n += (size_t)sprintf(text + n, "x%02d: ", i % 100);
                memset(text + n, 'v', take - 7);
                n += take - 7;
                n += (size_t)sprintf(text + n, "\r\n");
            }
            n += (size_t)sprintf(text + n, "\r\n");
            int fd = client_connect(&f);
            client_send(fd, text, n);
            ck_assert_msg(client_read(fd, &a, false), "no answer: %zu bytes in headers of %zu", n, each);
            ck_assert_msg(a.status == 200 || a.status == 431, "status %d: %zu bytes", a.status, n);
            ck_assert_msg(a.status == 431 || n <= HTTP_HEAD_MAX, "%zu bytes were served", n);
            /* few headers: the limit is exactly 6 KiB */
            ck_assert_msg(a.status == 200 || n > HTTP_HEAD_MAX || each < 512, "%zu bytes, each %zu: refused",
                          n, each);
            served += a.status == 200;
            refused_431 += a.status == 431;
            close(fd);
        }
    }
    ck_assert_int_gt(served, 50);
    ck_assert_int_gt(refused_431, 50);
}
END_TEST

/* The same with a body behind the head, with many arguments and with cookies. */
START_TEST(large_heads_with_body_query_and_cookies)
{
    static char text[40000];
    struct answer a;
    for (size_t args = 0; args <= 56; args += 4) {
        size_t n = (size_t)sprintf(text, "POST /echo?");
        for (size_t i = 0; i < args; i++) {
            n += (size_t)sprintf(text + n, "&a=%zu", i);
        }
        n += (size_t)sprintf(text + n, " HTTP/1.1\r\n" H JSON "Cookie: ");
        for (size_t i = 0; i < args; i++) {
            n += (size_t)sprintf(text + n, "%sc%zu=x", i ? "; " : "", i);
        }
        n += (size_t)sprintf(text + n, "%s\r\nContent-Length: 16384\r\n\r\n", args ? "" : "a=b");
        memset(text + n, ' ', 16384);
        int fd = client_connect(&f);
        client_send(fd, text, n + 16384);
        ck_assert_msg(client_read(fd, &a, false), "no answer: %zu arguments", args);
        ck_assert_msg(a.status == 200 || a.status == 431 || a.status == 400, "status %d", a.status);
        ck_assert_msg(a.status != 200 || a.body_len == 16384, "body of %zu", a.body_len);
        close(fd);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http guard");
    TCase *tc = tcase_create("guard");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, smuggling_vector_is_refused, 0, (int)(sizeof refused / sizeof *refused));
    tcase_add_test(tc, refusal_has_the_error_form);
    tcase_add_test(tc, ordinary_heads_pass);
    tcase_add_test(tc, blanks_after_the_colon_are_free);
    tcase_add_test(tc, every_head_size_gets_an_answer);
    tcase_add_test(tc, large_heads_with_body_query_and_cookies);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
