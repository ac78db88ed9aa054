/* admit.c - from a complete head to an admitted request, in the order of CONTRACT.md 1:
 * malformed 400/431 → path 404 → method 405 → overload 429, 503 → gate (401, 403, 429) → body 411, 413, 415. */
#include "http/internal.h"

#include "pcs/core/log.h"

#include <string.h>

static void refuse(struct request *rq, const struct http_problem *problem, enum reject_reason reason,
                   const char *details)
{
    metrics_rejected(reason);
    rq->pub.log_reason = details;
    http_fail(&rq->pub, problem, &(struct http_error_extra){.details = details, .reason = details});
}

/* Identity and taste of the caller; needed even by a refusal. */
static void read_caller(struct request *rq)
{
    const char *id = rq->known[KNOWN_X_REQUEST_ID], *trace = rq->known[KNOWN_TRACEPARENT];
    size_t len = id ? strlen(id) : 0;
    if (id && request_id_valid(id, len)) {
        memcpy(rq->pub.correlation_id, id, len + 1);
    } else {
        uuid_v7(rq->pub.correlation_id);
    }
    traceparent_child(trace, trace ? strlen(trace) : 0, rq->pub.traceparent);
    rq->pub.english = rq->known[KNOWN_ACCEPT_LANGUAGE] && negotiate_english(rq->known[KNOWN_ACCEPT_LANGUAGE]);
    rq->pub.problem_json = rq->known[KNOWN_ACCEPT] && negotiate_problem_json(rq->known[KNOWN_ACCEPT]);
}

/* False: out of memory. */
static bool take_params(struct request *rq, const struct router_params *params)
{
    for (size_t i = 0; i < params->count; i++) {
        char *name = arena_strndup(&rq->pub.arena, params->items[i].name, params->items[i].name_len);
        char *value = arena_alloc(&rq->pub.arena, params->items[i].value_len + 1);
        if (!name || !value) {
            return false;
        }
        percent_decode(value, params->items[i].value, params->items[i].value_len, false);
        rq->pub.params[i].name = name;
        rq->pub.params[i].value = value;
    }
    return true;
}

static void find_route(struct request *rq)
{
    struct http_server *s = rq->pub.server;
    struct router_params params;
    const char *path = rq->pub.path;
    const struct http_route *route =
        router_find(&s->router, method_parse(rq->pub.method), path, strlen(path), &params, &rq->allowed);
    if (route) {
        rq->pub.route = route;
        rq->series = s->series_base == METRICS_UNMATCHED
                         ? METRICS_UNMATCHED
                         : s->series_base + (size_t)(route - s->router.routes);
        if (!take_params(rq, &params)) {
            refuse(rq, &http_problem_internal_error, REJECT_OVERLOAD, "no memory for the path");
        }
    } else if (!rq->allowed) {
        refuse(rq, &http_problem_not_found, REJECT_NOT_FOUND, NULL);
    } else if (cors_is_preflight(rq)) {
        cors_answer_preflight(rq);
    } else {
        refuse(rq, &http_problem_method_not_allowed, REJECT_METHOD, NULL);
    }
}

static void check_body_head(struct request *rq)
{
    bool takes_body = rq->pub.route->flags & HTTP_BODY;
    if (rq->chunked) {
        refuse(rq, &http_problem_length_required, REJECT_LENGTH, "chunked bodies are not taken");
    } else if (takes_body && !rq->has_length) {
        refuse(rq, &http_problem_length_required, REJECT_LENGTH, "Content-Length is absent");
    } else if (rq->content_length > HTTP_BODY_MAX) {
        refuse(rq, &http_problem_payload_too_large, REJECT_TOO_LARGE, "the body is over 16 KiB");
    } else if (takes_body && !negotiate_json_body(rq->known[KNOWN_CONTENT_TYPE])) {
        refuse(rq, &http_problem_unsupported_media_type, REJECT_MEDIA_TYPE,
               "Content-Type is not application/json");
    }
}

/* An answer can be held back until the body was taken, which keeps the connection, only if the body is small
 * and the client is sending it without asking first. */
static bool answer_now(const struct request *rq)
{
    return rq->status && (rq->chunked || rq->content_length > HTTP_BODY_MAX ||
                          (rq->content_length && rq->known[KNOWN_EXPECT]));
}

/* Every request counts for its address, the refused ones too. */
static void refuse_overload(struct request *rq, bool open)
{
    struct rate_answer rate;
    const struct http_config *config = rq->pub.server->config;
    const char *why;
    if (!limits_take(rq, &rate) && !rq->status) {
        metrics_rejected(REJECT_ADDRESS_RATE);
        http_fail_rate(&rq->pub, "address", config->address_rate, config->address_burst, &rate);
    }
    if (!rq->status && !open && (why = limits_shed(rq)) != NULL) {
        refuse(rq, &http_problem_service_unavailable, REJECT_OVERLOAD, NULL);
        rq->pub.log_reason = why;
    } else if (rq->conn->crowded) {
        rq->close = true;
    }
}

bool request_admit(struct request *rq, const char *version)
{
    struct http_server *s = rq->pub.server;
    bool too_large;
    const char *wrong = guard_check(rq, version, &too_large);
    read_caller(rq);
    if (wrong) {
        rq->close = true;
        refuse(rq, too_large ? &http_problem_headers_too_large : &http_problem_invalid_request,
               too_large ? REJECT_HEAD_TOO_LARGE : REJECT_MALFORMED, wrong);
        return true;
    }
    find_route(rq);
    bool open = rq->pub.route && (rq->pub.route->flags & HTTP_OPEN);
    refuse_overload(rq, open);
    if (!rq->status && !open && s->gate && !s->gate(&rq->pub)) {
        metrics_rejected(REJECT_GATE);
        if (!rq->status) {
            log_error("http.gate_without_answer", log_str("route", rq->pub.route->path));
            http_fail(&rq->pub, &http_problem_internal_error, NULL);
        }
    }
    if (!rq->status) {
        check_body_head(rq);
    }
    return answer_now(rq);
}
