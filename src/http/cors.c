/* cors.c - cross-origin access for browsers, off unless origins are configured (CONTRACT.md 1, CORS). */
#include "http/internal.h"

#include <string.h>

#define PREFLIGHT_SECONDS "600"

static const struct config_list *origins(const struct request *rq)
{
    return &rq->pub.server->config->cors_allowed_origins;
}

static bool origin_allowed(const struct request *rq)
{
    const char *origin = rq->known[KNOWN_ORIGIN];
    for (size_t i = 0; origin && i < origins(rq)->count; i++) {
        if (strcmp(origins(rq)->items[i], "*") == 0 || strcmp(origins(rq)->items[i], origin) == 0) {
            return true;
        }
    }
    return false;
}

bool cors_is_preflight(const struct request *rq)
{
    return origins(rq)->count && strcmp(rq->pub.method, "OPTIONS") == 0 && origin_allowed(rq) &&
           http_header(&rq->pub, "Access-Control-Request-Method");
}

void cors_answer_preflight(struct request *rq)
{
    char methods[ROUTER_ALLOW_MAX];
    const struct http_header headers[] = {
        {"Access-Control-Allow-Methods", router_allow(rq->allowed, methods)},
        {"Access-Control-Allow-Headers",
         "Authorization, Content-Type, Prefer, Idempotency-Key, X-Request-ID"},
        {"Access-Control-Max-Age", PREFLIGHT_SECONDS},
    };
    http_reply(&rq->pub, 204, NULL, NULL, 0, headers, sizeof headers / sizeof *headers);
}

void cors_add_headers(struct request *rq, struct MHD_Response *response)
{
    if (!origins(rq)->count) {
        return;
    }
    MHD_add_response_header(response, "Vary", "Origin");
    if (origin_allowed(rq)) {
        MHD_add_response_header(response, "Access-Control-Allow-Origin", rq->known[KNOWN_ORIGIN]);
        MHD_add_response_header(response, "Access-Control-Expose-Headers",
                                "Location, Retry-After, X-Total-Count");
    }
}
