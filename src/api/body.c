/* body.c - the body of a change request: strict JSON, then every field, each error naming its field. */
#include "api/common.h"

#include "pcs/core/clock.h"
#include "pcs/core/json.h"

#include <stdio.h>
#include <string.h>

#define FIELDS_MAX 8

struct reading {
    struct http_request *rq;
    cJSON *root;
    struct http_field_error errors[FIELDS_MAX];
    size_t count;
};

static void wrong(struct reading *r, const char *field, const char *ko, const char *en)
{
    if (r->count < FIELDS_MAX) {
        r->errors[r->count++] = (struct http_field_error){field, say(r->rq, ko, en)};
    }
}

/* A required text; NULL when it is missing or of another type, and then it is noted. */
static const char *required_text(struct reading *r, const char *field)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(r->root, field);
    if (!item || cJSON_IsNull(item)) {
        wrong(r, field, "필수 항목입니다", "is required");
        return NULL;
    }
    if (!cJSON_IsString(item)) {
        wrong(r, field, "문자열이어야 합니다", "must be text");
        return NULL;
    }
    return item->valuestring;
}

static const char *read_code(struct reading *r, const char *field)
{
    const char *text = required_text(r, field);
    if (text && !product_code_valid(text, strlen(text))) {
        wrong(r, field, "영문, 숫자, '_', '.', '-'로 된 50자 이내의 코드여야 합니다",
              "must be 1 to 50 letters, digits, '_', '.' or '-'");
        return NULL;
    }
    return text ? arena_strdup(&r->rq->arena, text) : NULL;
}

/* A date or time; no zone = Seoul. *day_ms: midnight in Seoul of its day, 0 when absent. */
static void read_day(struct reading *r, const char *field, int64_t *day_ms)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(r->root, field);
    int64_t at;
    *day_ms = 0;
    if (!item || cJSON_IsNull(item)) {
        return;
    }
    const char *text = cJSON_GetStringValue(item);
    if (!text ||
        !(clock_parse_seoul_date(text, strlen(text), &at) || clock_parse_rfc3339(text, strlen(text), &at))) {
        wrong(r, field, "yyyy-MM-dd 또는 RFC 3339 형식이어야 합니다", "must be yyyy-MM-dd or RFC 3339");
        return;
    }
    *day_ms = clock_seoul_midnight(at);
}

static void read_fields(struct reading *r, struct change_body *out)
{
    int64_t requested, effective;
    const char *line = required_text(r, "lineNumber");
    if (line && !line_parse(line, strlen(line), out->line)) {
        wrong(r, "lineNumber", "010으로 시작하는 11자리 번호여야 합니다", "must be 010 followed by 8 digits");
    }
    out->current = read_code(r, "currentProductCode");
    out->target = read_code(r, "targetProductCode");
    read_day(r, "requestDate", &requested);
    read_day(r, "changeEffectiveDate", &effective);
    if (effective > clock_seoul_midnight(clock_wall_ms())) {
        wrong(r, "changeEffectiveDate",
              "예약 변경은 제공하지 않습니다. 내일 이후의 날짜는 지정할 수 없습니다",
              "a future day is not offered: changes take effect at once");
    }
    out->dates = arena_printf(&r->rq->arena, "%lld|%lld", (long long)requested, (long long)effective);
    if (r->count == 0 && (!out->current || !out->target || !out->dates)) {
        wrong(r, "body", "처리할 수 없습니다", "could not be taken: no memory");
    }
}

/* details keeps the parser's words, for whoever writes the client. */
static void fail_json(struct http_request *rq, const struct json_error *error)
{
    char text[160], ko[160], en[192];
    bool twice = strcmp(error->reason, "duplicate member") == 0;
    snprintf(text, sizeof text, "%s (line %u, column %u)", error->reason, error->line, error->column);
    snprintf(ko, sizeof ko, "%s (%u행 %u열)",
             twice ? "같은 이름의 항목이 두 번 있습니다" : "올바른 JSON이 아닙니다", error->line,
             error->column);
    snprintf(en, sizeof en, "is not valid JSON: %s", text);
    struct http_field_error bad = {"body", say(rq, ko, en)};
    if (rq->body_len == 0) {
        bad.message = say(rq, "본문이 비어 있습니다", "must not be empty");
    }
    http_fail(rq, &http_problem_invalid_request,
              &(struct http_error_extra){
                  .details = text, .fields = &bad, .field_count = 1, .reason = "body is not JSON"});
}

bool body_read(struct http_request *rq, struct change_body *out)
{
    struct json_limits limits = {.max_bytes = HTTP_BODY_MAX, .max_depth = 8, .max_members = 64};
    struct json_error error;
    struct reading r = {.rq = rq};
    memset(out, 0, sizeof *out);
    r.root = json_parse(rq->body ? rq->body : "", rq->body_len, &limits, &error);
    if (!r.root) {
        fail_json(rq, &error);
        return false;
    }
    if (!cJSON_IsObject(r.root)) {
        cJSON_Delete(r.root);
        fail_field(rq, "body", "JSON 객체여야 합니다", "must be a JSON object");
        return false;
    }
    read_fields(&r, out);
    cJSON_Delete(r.root);
    if (r.count) {
        http_fail(rq, &http_problem_invalid_request,
                  &(struct http_error_extra){
                      .fields = r.errors, .field_count = r.count, .reason = r.errors[0].field});
        return false;
    }
    return true;
}
