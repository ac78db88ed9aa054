/* gate.c - who may come in: token, permission, rate; before anything is looked up (UFR-AUTH-020). */
#include "api/common.h"

#include "pcs/core/clock.h"
#include "pcs/core/rate.h"

#include <inttypes.h>
#include <string.h>

static void release_identity(void *identity)
{
    identity_release(identity);
}

static bool within_rate(struct http_request *rq)
{
    struct api *api = api_of(rq);
    if (!(rq->route->flags & HTTP_RATED) || api->config->rate == 0) {
        return true;
    }
    const char *subject = caller_of(rq)->subject;
    struct rate_answer r = rate_take(api->shared->limiter, subject, strlen(subject), clock_mono_ns());
    if (!r.allowed) {
        http_fail_rate(rq, "caller", api->config->rate, api->config->burst, &r);
    }
    return r.allowed;
}

bool api_gate(struct http_request *rq)
{
    struct api *api = api_of(rq);
    const char *header = http_header(rq, "Authorization"), *reason = NULL;
    const struct identity *identity = NULL;
    if (change_service_ending(api->changes)) { /* its answer would come to a request that has been freed */
        fail_unavailable(rq, &http_problem_service_unavailable, 0, "the service is ending");
        return false;
    }
    enum identity_result result = identity_authenticate(api->identities, header, header ? strlen(header) : 0,
                                                        clock_wall_ms() / 1000, &identity, &reason);
    if (result == IDENTITY_OK) {
        rq->identity = identity;
        if (!arena_on_free(&rq->arena, release_identity, (void *)(uintptr_t)identity)) {
            identity_release(identity);
            result = IDENTITY_ERROR;
        }
    }
    switch (result) {
    case IDENTITY_OK:
        return within_rate(rq);
    case IDENTITY_FORBIDDEN:
        fail_plain(rq, &problem_forbidden, reason);
        return false;
    case IDENTITY_ERROR:
        fail_plain(rq, &http_problem_internal_error, "no memory");
        return false;
    case IDENTITY_MISSING:
    case IDENTITY_INVALID:
        break;
    }
    fail_plain(rq, &problem_unauthorized, reason);
    return false;
}
