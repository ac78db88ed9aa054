/* handlers.h - routes that answer at once, later, or when the test says so. */
#ifndef PCS_TEST_HTTP_HANDLERS_H
#define PCS_TEST_HTTP_HANDLERS_H

#include "unit/http/harness.h"

#define H "Host: x\r\n"

static _Atomic int arrived, gone;
static struct http_request *parked[4096];
static int parked_count;

UNUSED static void reply_ok(struct http_request *rq)
{
    http_reply(rq, 200, "application/json", strdup("{\"ok\":true}"), 11, NULL, 0);
}

UNUSED static void on_plain(struct http_request *rq)
{
    reply_ok(rq);
}

/* Suspended; answered in a later turn of the loop. */
struct later {
    struct msg msg;
    struct http_request *rq;
};

UNUSED static void later_deliver(struct msg *m)
{
    struct later *l = (struct later *)m;
    reply_ok(l->rq);
    free(l);
}

UNUSED static void on_later(struct http_request *rq)
{
    struct later *l = malloc(sizeof *l);
    *l = (struct later){.msg.deliver = later_deliver, .rq = rq};
    mailbox_reply(&rq->reactor->inbox, &l->msg);
}

/* Suspended until the test releases it. */
UNUSED static void on_hang(struct http_request *rq)
{
    parked[parked_count++] = rq;
    atomic_fetch_add(&arrived, 1);
}

UNUSED static void release_all(struct fixture *f)
{
    (void)f;
    while (parked_count) {
        reply_ok(parked[--parked_count]);
    }
}

UNUSED static void client_gone(struct http_request *rq)
{
    atomic_fetch_add(&gone, 1);
    (void)rq;
}

UNUSED static void on_watch(struct http_request *rq)
{
    http_watch_client(rq, client_gone);
    on_hang(rq);
}

UNUSED static void on_body(struct http_request *rq)
{
    char *copy = malloc(rq->body_len + 1);
    memcpy(copy, rq->body, rq->body_len);
    http_reply(rq, 200, "application/json", copy, rq->body_len, NULL, 0);
}

UNUSED static void on_big(struct http_request *rq)
{
    size_t len = 64 << 20;
    char *body = malloc(len);
    memset(body, 'x', len);
    http_reply(rq, 200, "text/plain", body, len, NULL, 0);
    atomic_fetch_add(&arrived, 1);
}

UNUSED static void on_twice(struct http_request *rq)
{
    reply_ok(rq);
    reply_ok(rq);
}

static const struct http_problem denied = {"UNAUTHORIZED", 401, "인증이 필요합니다",
                                           "Authentication is required"};

UNUSED static bool gate(struct http_request *rq)
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

UNUSED static void prepare(void)
{
    atomic_store(&arrived, 0);
    atomic_store(&gone, 0);
    parked_count = 0;
    f = (struct fixture){.config = default_config(),
                         .routes = routes,
                         .route_count = sizeof routes / sizeof *routes,
                         .gate = gate};
}

UNUSED static void setup(void)
{
    prepare();
    fixture_start(&f);
}

UNUSED static void teardown(void)
{
    fixture_stop(&f);
}

UNUSED static void expect(int fd, int status)
{
    struct answer a;
    ck_assert_msg(client_read(fd, &a, false), "the connection ended instead of %d", status);
    ck_assert_int_eq(a.status, status);
}

#endif
