/* problem.c - errors as CONTRACT.md 1 wants them: the envelope, or problem+json (RFC 9457). */
#include "http/internal.h"

#include "pcs/core/buf.h"
#include "pcs/core/clock.h"

#include <stdio.h>
#include <string.h>

#define ERROR_MAX         65536
#define ERROR_HEADERS_MAX 16

const struct http_problem http_problem_invalid_request = {"INVALID_REQUEST", 400, "잘못된 요청입니다",
                                                          "The request is not valid"};
const struct http_problem http_problem_length_required = {
    "LENGTH_REQUIRED", 411, "요청 본문의 길이(Content-Length)가 필요합니다", "A Content-Length is required"};
const struct http_problem http_problem_payload_too_large = {"PAYLOAD_TOO_LARGE", 413,
                                                            "요청 본문이 너무 큽니다 (최대 16KiB)",
                                                            "The request body is too large (16 KiB at most)"};
const struct http_problem http_problem_unsupported_media_type = {"UNSUPPORTED_MEDIA_TYPE", 415,
                                                                 "요청 본문은 application/json이어야 합니다",
                                                                 "The request body must be application/json"};
const struct http_problem http_problem_headers_too_large = {"HEADERS_TOO_LARGE", 431,
                                                            "요청 헤더가 너무 큽니다 (최대 6KiB)",
                                                            "The request head is too large (6 KiB at most)"};
const struct http_problem http_problem_not_found = {"NOT_FOUND", 404, "요청하신 경로를 찾을 수 없습니다",
                                                    "There is nothing at this path"};
const struct http_problem http_problem_method_not_allowed = {
    "METHOD_NOT_ALLOWED", 405, "허용되지 않는 요청 방식입니다", "This path does not take this method"};
const struct http_problem http_problem_internal_error = {
    "INTERNAL_ERROR", 500, "처리 중 오류가 발생하였습니다", "An error occurred while handling the request"};
const struct http_problem http_problem_service_unavailable = {
    "SERVICE_UNAVAILABLE", 503, "시스템 일시 장애, 잠시 후 재시도",
    "The system is temporarily out of order, please try again shortly"};

const struct http_problem http_problem_too_many_requests = {
    "TOO_MANY_REQUESTS", 429, "요청이 너무 많습니다. 잠시 후 다시 시도해 주세요",
    "Too many requests, please try again shortly"};

static const char no_memory_body[] = "{\"success\":false,\"error\":{\"code\":\"INTERNAL_ERROR\",\"message\":"
                                     "\"처리 중 오류가 발생하였습니다\"}}";

/* 429 and 503 always say when to come back (CONTRACT.md 1). */
static int retry_after(const struct http_problem *problem, const struct http_error_extra *extra)
{
    bool needed = problem->status == 429 || problem->status == 503;
    return extra->retry_after > 0 ? extra->retry_after : needed ? 1 : 0;
}

static void put_fields(struct buf *b, const struct http_error_extra *extra)
{
    buf_json_open(b, "fields", '[');
    for (size_t i = 0; i < extra->field_count; i++) {
        buf_json_open(b, NULL, '{');
        buf_json_str(b, "field", extra->fields[i].field);
        buf_json_str(b, "message", extra->fields[i].message);
        buf_json_close(b, '}');
    }
    buf_json_close(b, ']');
}

/* The members of `error`, in the contract's order. */
static void put_members(struct buf *b, const struct http_request *rq, const struct http_problem *problem,
                        const struct http_error_extra *extra)
{
    int seconds = retry_after(problem, extra);
    buf_json_str(b, "code", problem->code);
    buf_json_str(b, "message", rq->english ? problem->en : problem->ko);
    buf_json_str(b, "details", extra->details);
    if (extra->field_count) {
        put_fields(b, extra);
    }
    if (extra->checks_json) {
        buf_json_raw(b, "checks", extra->checks_json, strlen(extra->checks_json));
    }
    buf_json_str(b, "resultCode", extra->result_code);
    if (extra->next_actions_json) {
        buf_json_raw(b, "nextActions", extra->next_actions_json, strlen(extra->next_actions_json));
    }
    buf_json_time(b, "timestamp", clock_wall_ms());
    buf_json_str(b, "path", rq->path);
    buf_json_str(b, "correlationId", rq->correlation_id);
    buf_json_str(b, "requestId", extra->request_id);
    if (seconds) {
        buf_json_int(b, "retryAfterSeconds", seconds);
    }
}

static void put_body(struct buf *b, const struct http_request *rq, const struct http_problem *problem,
                     const struct http_error_extra *extra)
{
    buf_reserve(b, 511);
    if (rq->problem_json) {
        buf_lit(b, "{\"type\":\"urn:pcs:");
        buf_puts(b, problem->code);
        buf_lit(b, "\"");
        buf_json_str(b, "title", rq->english ? problem->en : problem->ko);
        buf_json_int(b, "status", problem->status);
        buf_json_str(b, "detail", extra->details);
        put_members(b, rq, problem, extra);
        buf_lit(b, "}");
    } else {
        buf_lit(b, "{\"success\":false,\"error\":{");
        put_members(b, rq, problem, extra);
        buf_lit(b, "}}");
    }
}

void http_fail(struct http_request *rq, const struct http_problem *problem,
               const struct http_error_extra *extra)
{
    static const struct http_error_extra nothing = {0};
    struct http_header headers[ERROR_HEADERS_MAX];
    char allow[ROUTER_ALLOW_MAX], seconds[16];
    size_t count = 0, len;
    extra = extra ? extra : &nothing;
    if (extra->reason) {
        rq->log_reason = extra->reason;
    }
    if (extra->request_id && !rq->log_change) {
        rq->log_change = arena_strdup(&rq->arena, extra->request_id);
    }
    if (retry_after(problem, extra)) {
        snprintf(seconds, sizeof seconds, "%d", retry_after(problem, extra));
        headers[count++] = (struct http_header){"Retry-After", seconds};
    }
    if (problem->status == 401) {
        headers[count++] = (struct http_header){"WWW-Authenticate", "Bearer"};
    }
    if (problem == &http_problem_method_not_allowed) {
        router_allow(((struct request *)rq)->allowed, allow);
        headers[count++] = (struct http_header){"Allow", allow};
    }
    if (extra->location) {
        headers[count++] = (struct http_header){"Location", extra->location};
    }
    if (extra->replayed) {
        headers[count++] = (struct http_header){"Idempotent-Replayed", "true"};
    }
    for (size_t i = 0; i < extra->header_count && count < ERROR_HEADERS_MAX; i++) {
        headers[count++] = extra->headers[i];
    }
    struct buf b;
    buf_init(&b, ERROR_MAX);
    put_body(&b, rq, problem, extra);
    char *body = buf_steal(&b, &len);
    if (!body) {
        http_reply_static(rq, 500, "application/json", no_memory_body, sizeof no_memory_body - 1);
        return;
    }
    http_reply(rq, problem->status, rq->problem_json ? "application/problem+json" : "application/json", body,
               len, headers, count);
}

/* CONVENTIONS.md 10: what the limit is, and what is left of it. */
void http_fail_rate(struct http_request *rq, const char *policy, int64_t rate, int64_t burst,
                    const struct rate_answer *answer)
{
    char limit[64], state[64];
    long long window = burst / rate + 1;
    snprintf(limit, sizeof limit, "\"%s\";q=%lld;w=%lld", policy, (long long)burst, window);
    snprintf(state, sizeof state, "\"%s\";r=%lld;t=%lld", policy, (long long)answer->remaining,
             (long long)answer->reset_s);
    struct http_header headers[] = {{"RateLimit-Policy", limit}, {"RateLimit", state}};
    const char *reason = arena_printf(&rq->arena, "the %s's rate", policy);
    http_fail(rq, &http_problem_too_many_requests,
              &(struct http_error_extra){.retry_after = (int)answer->retry_after_s,
                                         .headers = headers,
                                         .header_count = 2,
                                         .reason = reason});
}
