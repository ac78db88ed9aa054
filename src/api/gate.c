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

/* Who is calling: the token says it. A gateway of auth.header_peers may say it where there is no token, and must not say
 * otherwise where there is one; everybody else's identity headers are ignored. */
static enum identity_result identify(struct http_request *rq, const struct identity **identity,
                                     const char **reason)
{
    struct api *api = api_of(rq);
    const char *header = http_header(rq, "Authorization"), *user = http_header(rq, "X-User-ID");
    int64_t now = clock_wall_ms() / 1000;
    enum identity_result result =
        identity_authenticate(api->identities, header, header ? strlen(header) : 0, now, identity, reason);
    if (!user || !http_peers_hold(api->shared->header_peers, rq)) {
        return result;
    }
    if (result == IDENTITY_MISSING) {
        const struct identity_headers told = {.user_id = user,
                                              .user_role = http_header(rq, "X-User-Role"),
                                              .customer_id = http_header(rq, "X-Customer-ID"),
                                              .line_number = http_header(rq, "X-Line-Number"),
                                              .permissions = http_header(rq, "X-User-Permissions"),
                                              .expires_at = http_header(rq, "X-Token-Expires-At")};
        return identity_from_gateway(api->identities, &told, now, identity, reason);
    }
    if (result == IDENTITY_OK && !identity_agrees(*identity, user)) {
        identity_release(*identity);
        *identity = NULL;
        *reason = "the gateway's X-User-ID is not the token's subject";
        return IDENTITY_INVALID;
    }
    return result;
}

bool api_gate(struct http_request *rq)
{
    struct api *api = api_of(rq);
    const char *reason = NULL;
    const struct identity *identity = NULL;
    if (change_service_ending(api->changes)) { /* its answer would come to a request that has been freed */
        fail_unavailable(rq, &http_problem_service_unavailable, 0, "the service is ending");
        return false;
    }
    enum identity_result result = identify(rq, &identity, &reason);
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
