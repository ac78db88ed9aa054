/* common.c - parameters in, answers out. */
#include "api/common.h"

#include "pcs/core/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JSON_TYPE "application/json; charset=utf-8"

struct result_view view_of(const struct http_request *rq)
{
    return (struct result_view){.english = rq->english,
                                .frontend = rq->route->family == HTTP_FRONTEND,
                                .prefix = api_of(rq)->public_prefix};
}

void fail_field(struct http_request *rq, const char *field, const char *ko, const char *en)
{
    struct http_field_error error = {field, say(rq, ko, en)};
    http_fail(rq, &http_problem_invalid_request,
              &(struct http_error_extra){.fields = &error, .field_count = 1, .reason = field});
}

void fail_plain(struct http_request *rq, const struct http_problem *problem, const char *reason)
{
    http_fail(rq, problem, &(struct http_error_extra){.reason = reason});
}

int retry_after_seconds(uint64_t ns)
{
    uint64_t s = (ns + NS_PER_SEC - 1) / NS_PER_SEC;
    return s < 1 ? 1 : s > 3600 ? 3600 : (int)s;
}

void fail_unavailable(struct http_request *rq, const struct http_problem *problem, uint64_t retry_after_ns,
                      const char *reason)
{
    const char *kept = reason ? arena_strdup(&rq->arena, reason) : NULL;
    http_fail(rq, problem,
              &(struct http_error_extra){.retry_after = retry_after_seconds(retry_after_ns), .reason = kept});
}

bool query_once(struct http_request *rq, const char *name, const char **value)
{
    bool twice = false;
    *value = http_query(rq, name, &twice);
    if (twice) {
        fail_field(rq, name, "한 번만 지정할 수 있습니다", "may be given only once");
        return false;
    }
    return true;
}

bool query_int(struct http_request *rq, const char *name, int64_t low, int64_t high, int64_t fallback,
               int64_t *out)
{
    const char *text;
    char *end, ko[96], en[96];
    if (!query_once(rq, name, &text)) {
        return false;
    }
    *out = fallback;
    if (!text) {
        return true;
    }
    errno = 0;
    long long n = text[0] >= '0' && text[0] <= '9' ? strtoll(text, &end, 10) : -1;
    if (errno || n < low || n > high || *end || strlen(text) > 18) {
        if (high == INT64_MAX) {
            snprintf(ko, sizeof ko, "%lld 이상의 정수여야 합니다", (long long)low);
            snprintf(en, sizeof en, "must be a whole number, at least %lld", (long long)low);
        } else {
            snprintf(ko, sizeof ko, "%lld에서 %lld 사이의 정수여야 합니다", (long long)low, (long long)high);
            snprintf(en, sizeof en, "must be a whole number from %lld to %lld", (long long)low,
                     (long long)high);
        }
        fail_field(rq, name, ko, en);
        return false;
    }
    *out = n;
    return true;
}

bool line_for_read(struct http_request *rq, const char *given, const char **line)
{
    char *parsed = arena_alloc(&rq->arena, LINE_LEN + 1);
    if (!parsed) {
        fail_plain(rq, &http_problem_internal_error, "no memory");
        return false;
    }
    if (given && !line_parse(given, strlen(given), parsed)) {
        fail_field(rq, "lineNumber", "010으로 시작하는 11자리 번호여야 합니다",
                   "must be 010 followed by 8 digits");
        return false;
    }
    const char *chosen = NULL;
    switch (identity_pick_line(caller_of(rq), given ? parsed : NULL, &chosen)) {
    case LINE_OK:
        memcpy(parsed, chosen, LINE_LEN + 1);
        *line = rq->log_line = parsed;
        return true;
    case LINE_REQUIRED:
        fail_field(rq, "lineNumber", "회선 번호를 지정해야 합니다", "must be given");
        return false;
    case LINE_FOREIGN:
        break;
    }
    rq->log_line = given ? parsed : NULL;
    fail_plain(rq, &problem_forbidden, "somebody else's line");
    return false;
}

bool line_from_query(struct http_request *rq, const char **line)
{
    const char *given;
    return query_once(rq, "lineNumber", &given) && line_for_read(rq, given, line);
}

void data_open(struct http_request *rq, struct buf *b)
{
    http_body_open(rq, b, ANSWER_MAX);
    buf_lit(b, "{\"success\":true,\"data\":{");
}

void data_send(struct http_request *rq, struct buf *b, int status, int64_t age_s)
{
    char age[24];
    struct http_header header = {"Age", age};
    if (age_s >= 0) {
        snprintf(age, sizeof age, "%lld", (long long)age_s);
        buf_json_bool(b, "stale", true);
        buf_json_int(b, "ageSeconds", age_s);
    }
    buf_lit(b, "}}");
    http_reply_body(rq, status, JSON_TYPE, b, age_s >= 0 ? &header : NULL, age_s >= 0);
}

const char *own_customer_id(const struct http_request *rq, const char *line)
{
    const struct identity *caller = caller_of(rq);
    for (unsigned i = 0; i < caller->line_count && *caller->customer_id; i++) {
        if (strcmp(caller->lines[i], line) == 0) {
            return caller->customer_id;
        }
    }
    return NULL;
}

void put_customer(struct http_request *rq, struct buf *b, const char *json, size_t len)
{
    static const char first[] = "\"customerId\":"; /* customer_json() begins with it, if it has one */
    const char *own;
    bool given = len >= sizeof first - 1 && memcmp(json, first, sizeof first - 1) == 0;
    if (!given && (own = own_customer_id(rq, rq->log_line)) != NULL) {
        buf_json_str(b, "customerId", own);
        buf_putc(b, ',');
    }
    buf_put(b, json, len);
}

bool load_failed(struct http_request *rq, const struct store_customer *c, const struct http_problem *screen)
{
    switch (c->answer) {
    case STORE_OK:
        return false;
    case STORE_UNKNOWN_LINE:
        fail_plain(rq, &problem_line_not_found, "KOS does not know the line");
        return true;
    case STORE_NOT_ACTIVE:
        fail_plain(rq, &problem_line_suspended, "line not active at KOS");
        return true;
    case STORE_NO_PRODUCT:
        fail_plain(rq, &problem_product_unknown, "KOS does not know the line's product");
        return true;
    case STORE_UNAVAILABLE:
        break;
    }
    fail_unavailable(rq, screen, c->retry_after_ns, c->reason);
    return true;
}

char *location_of(struct http_request *rq, const char *request_id)
{
    struct result_view view = view_of(rq);
    struct buf b;
    buf_init(&b, 512);
    result_href(&b, request_id, &view);
    char *location = buf_ok(&b) ? arena_strndup(&rq->arena, b.data, b.len) : NULL;
    buf_free(&b);
    return location;
}

void send_result(struct http_request *rq, int status, const struct change_record *c, bool replayed,
                 bool async)
{
    struct result_view view = view_of(rq);
    struct http_header headers[4]; /* Location, Retry-After, Preference-Applied, Idempotent-Replayed */
    size_t n = 0;
    struct buf b;
    char *location = status == 202 ? location_of(rq, c->request_id) : NULL;
    rq->log_change = arena_strdup(&rq->arena, c->request_id);
    if (location) {
        headers[n++] = (struct http_header){"Location", location};
        headers[n++] = (struct http_header){"Retry-After", "1"};
        view.retry_after = change_state_final(c->state) ? 0 : 1; /* a replay may tell the end */
    }
    if (async) {
        headers[n++] = (struct http_header){"Preference-Applied", "respond-async"};
    }
    if (replayed) {
        headers[n++] = (struct http_header){"Idempotent-Replayed", "true"};
    }
    http_body_open(rq, &b, ANSWER_MAX);
    buf_lit(&b, "{\"success\":true");
    result_json(&b, "data", c, &view);
    buf_putc(&b, '}');
    http_reply_body(rq, status, JSON_TYPE, &b, headers, n);
}
