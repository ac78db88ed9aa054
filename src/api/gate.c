/* gate.c - who may come in: token, permission, rate; before anything is looked up (UFR-AUTH-020). */
#include "api/common.h"

#include "pcs/core/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void release_identity(void *identity)
{
    identity_release(identity);
}

static bool within_rate(struct http_request *rq)
{
    struct api *api = api_of(rq);
    char policy[64], state[64];
    if (!(rq->route->flags & HTTP_RATED) || api->config->rate == 0) {
        return true;
    }
    struct rate_answer r = rate_take(api->shared->limiter, caller_of(rq)->subject, clock_mono_ns());
    if (r.allowed) {
        return true;
    }
    snprintf(policy, sizeof policy, "\"caller\";q=%" PRId64 ";w=%" PRId64, api->config->burst,
             api->config->burst / api->config->rate + 1);
    snprintf(state, sizeof state, "\"caller\";r=%lld;t=%lld", (long long)r.remaining, (long long)r.reset_s);
    struct http_header headers[] = {{"RateLimit-Policy", policy}, {"RateLimit", state}};
    http_fail(rq, &problem_too_many_requests,
              &(struct http_error_extra){.retry_after = (int)r.retry_after_s,
                                         .headers = headers,
                                         .header_count = 2,
                                         .reason = "caller's rate"});
    return false;
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
