/* common.c - what the endpoints share: problems, parameters, bodies, answers. */
#include "admin/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROBLEM(name, c, s, k, e)                                                                            \
    const struct http_problem admin_##name = {.code = c, .status = s, .ko = k, .en = e}

PROBLEM(unauthorized, "UNAUTHORIZED", 401, "관리자 인증이 필요합니다", "The admin API's token is required");
PROBLEM(forbidden, "FORBIDDEN", 403, "관리 API 이용 권한이 없습니다",
        "You are not allowed to use the admin API");
PROBLEM(request_not_found, "REQUEST_NOT_FOUND", 404, "상품 변경 신청을 찾을 수 없습니다",
        "The change was not found here");
PROBLEM(breaker_not_found, "BREAKER_NOT_FOUND", 404, "차단기를 찾을 수 없습니다",
        "There is no breaker of this name");
PROBLEM(event_not_found, "EVENT_NOT_FOUND", 404, "전송 이벤트를 찾을 수 없습니다",
        "There is no event of this number");
PROBLEM(slot_not_found, "SLOT_NOT_FOUND", 404, "저널 슬롯을 찾을 수 없습니다",
        "There is no journal in this slot");
PROBLEM(not_in_doubt, "NOT_IN_DOUBT", 409, "결과 미확인 상태의 변경이 아닙니다",
        "The change is not in doubt");
PROBLEM(busy, "CHANGE_BUSY", 409, "변경이 처리되는 중입니다. 잠시 후 다시 시도해 주세요",
        "The change is being worked on at this moment, try again shortly");
PROBLEM(already_pending, "ALREADY_PENDING", 409, "아직 전송되지 않은 이벤트입니다",
        "The event has not been delivered yet and will be sent by itself");
PROBLEM(out_of_order, "OUT_OF_ORDER", 409, "같은 회선의 이후 이벤트가 이미 전송되었습니다",
        "A later event of the line has been delivered; out of order it is sent when asked for (outOfOrder, "
        "--out-of-order)");
PROBLEM(backup_busy, "BACKUP_BUSY", 409, "백업이 이미 진행 중입니다", "A copy is being made already");
PROBLEM(line_busy, "LINE_BUSY", 409, "회선에 끝나지 않은 처리가 있습니다",
        "Something of the line is not over yet");
PROBLEM(slot_in_use, "SLOT_IN_USE", 409, "다른 프로세스가 사용 중인 슬롯입니다",
        "The slot is in use by a process");
PROBLEM(ending, "ALREADY_ENDING", 409, "이미 종료되는 중입니다", "The instance is ending already");

void admin_fail(struct http_request *rq, const struct http_problem *problem, const char *details)
{
    const char *kept = details ? arena_strdup(&rq->arena, details) : NULL;
    http_fail(rq, problem, &(struct http_error_extra){.details = kept, .reason = kept});
}

void admin_fail_field(struct http_request *rq, const char *field, const char *ko, const char *en)
{
    struct http_field_error error = {field, rq->english ? en : ko};
    http_fail(rq, &http_problem_invalid_request,
              &(struct http_error_extra){.fields = &error, .field_count = 1, .reason = field});
}

void admin_unavailable(struct http_request *rq, const char *reason)
{
    const char *kept = arena_strdup(&rq->arena, reason);
    http_fail(rq, &http_problem_service_unavailable,
              &(struct http_error_extra){.details = kept, .retry_after = 1, .reason = kept});
}

void admin_data_open(struct buf *b)
{
    buf_init(b, ADMIN_ANSWER_MAX);
    buf_reserve(b, 4096);
    buf_lit(b, "{\"success\":true,\"data\":{");
}

void admin_data_send(struct http_request *rq, struct buf *b, int status)
{
    size_t len;
    buf_lit(b, "}}");
    char *body = buf_steal(b, &len);
    if (!body) {
        admin_fail(rq, &http_problem_internal_error, "no memory for the answer, or it is too large");
        return;
    }
    http_reply(rq, status, "application/json; charset=utf-8", body, len, NULL, 0);
}

bool admin_query_int(struct http_request *rq, const char *name, int64_t low, int64_t high, int64_t fallback,
                     int64_t *out)
{
    bool twice = false;
    char ko[96], en[96], *end = NULL;
    const char *text = http_query(rq, name, &twice);
    *out = fallback;
    if (!text) {
        return true;
    }
    errno = 0;
    long long n = *text >= '0' && *text <= '9' ? strtoll(text, &end, 10) : -1;
    if (!twice && !errno && end && !*end && n >= low && n <= high) {
        *out = n;
        return true;
    }
    snprintf(ko, sizeof ko, "%lld에서 %lld 사이의 정수여야 합니다", (long long)low, (long long)high);
    snprintf(en, sizeof en, "must be a whole number from %lld to %lld", (long long)low, (long long)high);
    admin_fail_field(rq, name, ko, en);
    return false;
}

bool admin_query_line(struct http_request *rq, const char **line)
{
    bool twice = false;
    const char *text = http_query(rq, "line", &twice);
    char *parsed = arena_alloc(&rq->arena, LINE_LEN + 1);
    *line = NULL;
    if (!text) {
        return true;
    }
    if (twice || !parsed || !line_parse(text, strlen(text), parsed)) {
        admin_fail_field(rq, "line", "010으로 시작하는 11자리 번호여야 합니다",
                         "must be 010 followed by 8 digits");
        return false;
    }
    *line = rq->log_line = parsed;
    return true;
}

bool admin_path_id(struct http_request *rq, char id[UUID_LEN + 1])
{
    const char *text = http_param(rq, "requestId");
    if (!uuid_parse(text, strlen(text), id)) {
        admin_fail(rq, &admin_request_not_found, "not a UUID");
        return false;
    }
    rq->log_change = arena_strdup(&rq->arena, id);
    return true;
}

cJSON *admin_body(struct http_request *rq)
{
    struct json_limits limits = {.max_bytes = HTTP_BODY_MAX, .max_depth = 4, .max_members = 16};
    struct json_error error;
    cJSON *root = json_parse(rq->body ? rq->body : "", rq->body_len, &limits, &error);
    if (!root || !cJSON_IsObject(root)) {
        admin_fail_field(rq, "body", "JSON 객체여야 합니다", root ? "must be a JSON object" : error.reason);
        cJSON_Delete(root);
        return NULL;
    }
    return root;
}

const char *admin_body_text(struct http_request *rq, const cJSON *body, const char *name, size_t max,
                            bool required, bool *ok)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(body, name);
    const char *text = cJSON_GetStringValue(item);
    if (!*ok || (!item && !required)) {
        return NULL;
    }
    bool sound = text && *text && strlen(text) <= max;
    for (const unsigned char *p = (const unsigned char *)text; sound && *p; p++) {
        sound = *p >= ' ' && *p != 0x7f;
    }
    const char *copy = sound ? arena_strdup(&rq->arena, text) : NULL;
    if (!copy) {
        char ko[96], en[96];
        snprintf(ko, sizeof ko, "제어 문자 없는 1~%zu바이트의 문자열이어야 합니다", max);
        snprintf(en, sizeof en, "must be text of 1 to %zu bytes without control characters", max);
        admin_fail_field(rq, name, ko, en);
        *ok = false;
    }
    return copy;
}
