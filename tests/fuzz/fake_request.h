/* fake_request.h - a request that no connection has brought: for handlers' readers of bodies and parameters. Answers are
 * held back as in PHASE_BODY, so that nothing but the request itself is needed. One at a time. */
#ifndef TESTS_FUZZ_FAKE_REQUEST_H
#define TESTS_FUZZ_FAKE_REQUEST_H

#include "fuzz/fuzz.h"
#include "http/internal.h"

#define FAKE_ARENA ((size_t)1 << 20)

static const struct http_config fake_config = {.bind = "127.0.0.1", .public_prefix = ""};
static struct http_server fake_server = {.config = &fake_config};
static const struct http_route fake_route = {.method = "POST", .path = "/request"};

/* query: raw, NULL for none. body: with a NUL behind it, as the server gives it. */
FUZZ_UNUSED static struct request *fake_request(const char *query, const char *body, size_t body_len)
{
    struct request *rq = calloc(1, sizeof *rq);
    FUZZ_CHECK(rq);
    arena_init(&rq->pub.arena, rq->inline_memory, sizeof rq->inline_memory, FAKE_ARENA);
    rq->pub.server = &fake_server;
    rq->pub.route = &fake_route;
    rq->pub.method = "POST";
    rq->pub.path = "/request";
    rq->pub.body = body;
    rq->pub.body_len = body_len;
    rq->query = query;
    rq->phase = PHASE_BODY;
    memcpy(rq->pub.correlation_id, "fuzz", 5);
    return rq;
}

/* The status it was answered with, 0: none. Frees it. */
FUZZ_UNUSED static int fake_end(struct request *rq)
{
    int status = rq->status;
    FUZZ_CHECK(!status == !rq->response);
    if (rq->response) {
        MHD_destroy_response(rq->response);
    }
    arena_free(&rq->pub.arena);
    free(rq);
    return status;
}

#endif
