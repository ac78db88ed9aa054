/* The event, exactly as the contract writes it (UFR-PROD-040, CONTRACT.md 3). */
#include "pcs/core/id.h"
#include "pcs/core/json.h"
#include "pcs/delivery/delivery.h"

#include <check.h>
#include <string.h>

static struct arena arena;

static void setup(void)
{
    arena_init(&arena, NULL, 0, 65536);
}

static void teardown(void)
{
    arena_free(&arena);
}

static struct change_record change_of(enum change_state state, const char *code, const char *reason)
{
    return (struct change_record){.request_id = "0192c3a4-0000-7000-8000-000000000001",
                                  .line = "01012345678",
                                  .state = state,
                                  .traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                                  .current_code = "5GX_STANDARD",
                                  .current_name = "5GX 스탠다드",
                                  .target_code = "LTE_PLUS",
                                  .customer_id = "CUST001",
                                  .result_code = code,
                                  .failure_reason = reason,
                                  .processed_at = 1700000000123};
}

static const struct expected {
    enum change_state state;
    enum delivery_type type;
    const char *given, *reason;                       /* of the record */
    const char *event_type, *result, *message, *code; /* of the event */
} cases[] = {
    {CHANGE_COMPLETED, DELIVERY_COMPLETED, "0000", NULL, "product-change.completed", "정상",
     "상품 변경이 완료되었습니다", "0000"},
    {CHANGE_REFUSED, DELIVERY_FAILED, "2004", "판매가 종료된 상품입니다", "product-change.failed", "실패",
     "상품 변경에 실패하였습니다", "2004"},
    {CHANGE_NOT_APPLIED, DELIVERY_FAILED, "NOT_APPLIED", "적용되지 않음", "product-change.failed", "실패",
     "상품 변경에 실패하였습니다", "NOT_APPLIED"},
    {CHANGE_CANCELLED, DELIVERY_FAILED, "CANCELLED", "취소", "product-change.failed", "실패",
     "상품 변경에 실패하였습니다", "CANCELLED"},
    {CHANGE_EXPIRED, DELIVERY_FAILED, "EXPIRED", "만료", "product-change.failed", "실패",
     "상품 변경에 실패하였습니다", "EXPIRED"},
    {CHANGE_INVALID, DELIVERY_FAILED, "VALIDATION_FAILED", "사용 중이 아닌 회선", "product-change.failed",
     "실패", "상품 변경에 실패하였습니다", "VALIDATION_FAILED"},
    {CHANGE_NOT_SENT, DELIVERY_SYSTEM_UNAVAILABLE, "KOS_UNAVAILABLE", "연결할 수 없음",
     "product-change.system-unavailable", "장애", "시스템 일시 장애, 잠시 후 재시도", "KOS_UNAVAILABLE"},
    /* a record whose maker left the code out still gets the Result's */
    {CHANGE_COMPLETED, DELIVERY_COMPLETED, NULL, NULL, "product-change.completed", "정상",
     "상품 변경이 완료되었습니다", "0000"},
    {CHANGE_SENDING, DELIVERY_SYSTEM_UNAVAILABLE, NULL, NULL, "product-change.system-unavailable", "장애",
     "시스템 일시 장애, 잠시 후 재시도", "KOS_UNAVAILABLE"},
    {CHANGE_CANCELLED, DELIVERY_FAILED, NULL, NULL, "product-change.failed", "실패",
     "상품 변경에 실패하였습니다", "CANCELLED"},
};

START_TEST(contract_3_members_and_texts)
{
    const struct expected *e = &cases[_i];
    struct change_record change = change_of(e->state, e->given, e->reason);
    struct journal_event event;
    struct json_error error;
    static const struct json_limits limits = {.max_bytes = 32768, .max_depth = 4, .max_members = 32};
    ck_assert(delivery_event(&event, e->type, &change, &arena));
    ck_assert_str_eq(event.type, e->event_type);
    ck_assert_str_eq(event.line, change.line);
    ck_assert_str_eq(event.request_id, change.request_id);
    ck_assert_str_eq(event.traceparent, change.traceparent);
    ck_assert_int_gt(event.created_at, 0);
    cJSON *body = json_parse(event.body, strlen(event.body), &limits, &error);
    ck_assert_msg(body != NULL, "%s in %s", error.reason, event.body);
    ck_assert_str_eq(json_text(body, "eventId"), event.event_id);
    ck_assert_str_eq(json_text(body, "eventType"), e->event_type);
    ck_assert_str_eq(json_text(body, "requestId"), change.request_id);
    ck_assert_str_eq(json_text(body, "lineNumber"), "01012345678");
    ck_assert_str_eq(json_text(body, "currentProductCode"), "5GX_STANDARD");
    ck_assert_str_eq(json_text(body, "targetProductCode"), "LTE_PLUS");
    ck_assert_str_eq(json_text(body, "processResult"), e->result);
    ck_assert_str_eq(json_text(body, "resultCode"), e->code);
    ck_assert_str_eq(json_text(body, "message"), e->message);
    ck_assert_str_eq(json_text(body, "occurredAt"), "2023-11-14T22:13:20.123Z");
    if (e->reason) {
        ck_assert_str_eq(json_text(body, "failureReason"), e->reason);
    }
    ck_assert_int_eq(cJSON_GetArraySize(body), e->reason ? 11 : 10); /* and nothing else */
    cJSON_Delete(body);
}
END_TEST

START_TEST(contract_3_a_completed_change_has_no_failure_reason)
{
    struct change_record change = change_of(CHANGE_COMPLETED, "0000", "an earlier attempt's");
    struct journal_event event;
    ck_assert(delivery_event(&event, DELIVERY_COMPLETED, &change, &arena));
    ck_assert_ptr_null(strstr(event.body, "failureReason"));
}
END_TEST

START_TEST(event_ids_are_uuid_v7_and_ascend)
{
    struct change_record change = change_of(CHANGE_COMPLETED, "0000", NULL);
    struct journal_event first, second;
    int64_t at;
    ck_assert(delivery_event(&first, DELIVERY_COMPLETED, &change, &arena));
    ck_assert(delivery_event(&second, DELIVERY_COMPLETED, &change, &arena));
    ck_assert(uuid_v7_time(first.event_id, &at));
    ck_assert_int_gt(strcmp(second.event_id, first.event_id), 0);
}
END_TEST

/* KOS's own words go into failureReason: whatever they are, the body stays JSON. */
START_TEST(hostile_reasons_stay_inside_their_text)
{
    struct change_record change = change_of(CHANGE_REFUSED, "20\"04", "\",\"resultCode\":\"0000\n\x01\xff");
    struct journal_event event;
    struct json_error error;
    static const struct json_limits limits = {.max_bytes = 32768, .max_depth = 4, .max_members = 32};
    ck_assert(delivery_event(&event, DELIVERY_FAILED, &change, &arena));
    cJSON *body = json_parse(event.body, strlen(event.body), &limits, &error);
    ck_assert_msg(body != NULL, "%s in %s", error.reason, event.body);
    ck_assert_str_eq(json_text(body, "resultCode"), "20\"04");
    cJSON_Delete(body);
}
END_TEST

START_TEST(no_memory_is_told)
{
    struct arena small;
    char memory[64];
    struct change_record change = change_of(CHANGE_COMPLETED, "0000", NULL);
    struct journal_event event;
    for (size_t limit = 0; limit <= 300; limit += 50) {
        arena_init(&small, memory, sizeof memory, limit);
        ck_assert(!delivery_event(&event, DELIVERY_COMPLETED, &change, &small));
        arena_free(&small);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("event");
    TCase *tc = tcase_create("event");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, contract_3_members_and_texts, 0, sizeof cases / sizeof cases[0]);
    tcase_add_test(tc, contract_3_a_completed_change_has_no_failure_reason);
    tcase_add_test(tc, event_ids_are_uuid_v7_and_ascend);
    tcase_add_test(tc, hostile_reasons_stay_inside_their_text);
    tcase_add_test(tc, no_memory_is_told);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
