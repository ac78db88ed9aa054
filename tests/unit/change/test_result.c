/* CONTRACT.md 1, Result: status, codes and words of every state (UFR-PROD-040, SCR-008), and the shared form. */
#include "change/record_json.h"
#include "pcs/change/result.h"
#include "pcs/core/json.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define ID "0192f3a1-0000-7000-8000-000000000001"

static struct change_record record(enum change_state state)
{
    return (struct change_record){.request_id = ID,
                                  .line = "01012345678",
                                  .state = state,
                                  .current_code = "BASE",
                                  .target_code = "TARGET",
                                  .requested_at = 1767225600000,
                                  .processed_at = change_state_final(state) ? 1767225601000 : 0};
}

static cJSON *told(const struct change_record *c, bool english, bool frontend)
{
    struct result_view view = {.english = english, .frontend = frontend, .prefix = "/product"};
    struct buf b;
    buf_init(&b, 65536);
    result_json(&b, NULL, c, &view);
    ck_assert(buf_ok(&b));
    cJSON *root = cJSON_ParseWithLength(b.data, b.len);
    ck_assert_ptr_nonnull(root);
    buf_free(&b);
    return root;
}

static const struct {
    enum change_state state;
    const char *status, *code;
} expected[] = {
    {CHANGE_ACCEPTED, "PROCESSING", "PROCESSING"},   {CHANGE_SENDING, "PROCESSING", "PROCESSING"},
    {CHANGE_COMPLETED, "COMPLETED", "0000"},         {CHANGE_REFUSED, "FAILED", "2004"},
    {CHANGE_NOT_SENT, "FAILED", "KOS_UNAVAILABLE"},  {CHANGE_NOT_APPLIED, "FAILED", "NOT_APPLIED"},
    {CHANGE_INVALID, "FAILED", "VALIDATION_FAILED"}, {CHANGE_CANCELLED, "FAILED", "CANCELLED"},
    {CHANGE_EXPIRED, "FAILED", "EXPIRED"},
};

START_TEST(every_state_has_its_status_and_code)
{
    ck_assert_int_eq(sizeof expected / sizeof expected[0], CHANGE_STATES);
    struct change_record c = record(expected[_i].state);
    result_finish(&c, "2004", NULL);
    for (int language = 0; language < 2; language++) {
        cJSON *r = told(&c, language, false);
        ck_assert_str_eq(json_text(r, "processStatus"), expected[_i].status);
        ck_assert_str_eq(json_text(r, "resultCode"), expected[_i].code);
        ck_assert_ptr_nonnull(json_text(r, "resultMessage"));
        bool failed = strcmp(expected[_i].status, "FAILED") == 0 && expected[_i].state != CHANGE_INVALID;
        ck_assert_int_eq(json_text(r, "failureReason") != NULL, failed);
        ck_assert(cJSON_GetArraySize(json_array(r, "nextActions")) > 0);
        ck_assert_int_eq(cJSON_IsTrue(cJSON_GetObjectItem(r, "cancellable")),
                         expected[_i].state == CHANGE_ACCEPTED);
        cJSON_Delete(r);
    }
}
END_TEST

START_TEST(held_is_pending_with_its_end)
{
    struct change_record c = record(CHANGE_ACCEPTED);
    c.held = true;
    c.expires_at = 1767225660000;
    cJSON *r = told(&c, false, false);
    ck_assert_str_eq(json_text(r, "processStatus"), "PENDING");
    ck_assert_str_eq(json_text(r, "resultCode"), "PENDING");
    ck_assert_str_eq(json_text(r, "expiresAt"), "2026-01-01T00:01:00.000Z");
    cJSON_Delete(r);
}
END_TEST

START_TEST(doubt_says_do_not_ask_again)
{
    struct change_record c = record(CHANGE_SENDING);
    c.in_doubt = true;
    c.next_check_at = 1767225660000;
    cJSON *r = told(&c, false, false);
    ck_assert_str_eq(json_text(r, "resultMessage"),
                     "처리 중입니다. 다시 신청하지 마시고 변경 이력에서 결과를 확인해 주세요");
    ck_assert(cJSON_IsTrue(cJSON_GetObjectItem(r, "inDoubt")));
    ck_assert_str_eq(json_text(r, "nextCheckAt"), "2026-01-01T00:01:00.000Z");
    cJSON_Delete(r);
}
END_TEST

static const char *href_of(const cJSON *result, const char *action)
{
    const cJSON *a;
    cJSON_ArrayForEach(a, json_array(result, "nextActions"))
    {
        if (strcmp(json_text(a, "action"), action) == 0) {
            return json_text(a, "href");
        }
    }
    return NULL;
}

/* "Location and href are absolute paths of the family that was called, on the core family preceded by the prefix." */
START_TEST(hrefs_follow_the_family)
{
    struct change_record c = record(CHANGE_SENDING);
    cJSON *core = told(&c, false, false), *frontend = told(&c, false, true);
    ck_assert_str_eq(href_of(core, "WAIT"), "/product/request/" ID);
    ck_assert_str_eq(href_of(frontend, "WAIT"), "/api/v1/products/change/" ID);
    ck_assert_str_eq(href_of(core, "VIEW_HISTORY"), "/product/history");
    ck_assert_str_eq(href_of(frontend, "VIEW_HISTORY"), "/api/v1/products/history");
    cJSON_Delete(core);
    cJSON_Delete(frontend);
}
END_TEST

START_TEST(kos_reason_is_told_and_every_code_has_guidance)
{
    static const char *const codes[] = {"2001", "2002", "2003", "2004", "2005", "2099"};
    struct change_record c = record(CHANGE_REFUSED);
    result_finish(&c, "2004", "판매 종료");
    ck_assert_str_eq(c.failure_reason, "판매 종료");
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        ck_assert_ptr_nonnull(result_kos_guidance(codes[i], false));
        ck_assert_ptr_nonnull(result_kos_guidance(codes[i], true));
    }
    ck_assert_ptr_null(result_kos_guidance("2000", false));
}
END_TEST

START_TEST(shared_form_round_trip_and_garbage)
{
    struct change_record c = record(CHANGE_COMPLETED), back;
    struct arena arena;
    struct buf b;
    c.changed_product_json = "{\"productCode\":\"TARGET\"}";
    c.failure_reason = "\"따옴표\"";
    c.first_status = 202;
    c.frontend = true;
    buf_init(&b, 65536);
    arena_init(&arena, NULL, 0, 65536);
    record_encode(&b, &c);
    ck_assert(record_decode(b.data, b.len, &arena, &back));
    ck_assert_str_eq(back.request_id, c.request_id);
    ck_assert_str_eq(back.changed_product_json, c.changed_product_json);
    ck_assert_str_eq(back.failure_reason, c.failure_reason);
    ck_assert_int_eq(back.state, CHANGE_COMPLETED);
    ck_assert_int_eq(back.first_status, 202);
    ck_assert(back.frontend);
    for (size_t cut = 0; cut < b.len; cut++) { /* never a half record */
        ck_assert(!record_decode(b.data, cut, &arena, &back));
        arena_free(&arena);
        arena_init(&arena, NULL, 0, 65536);
    }
    const char *bad[] = {"",
                         "null",
                         "[]",
                         "{}",
                         "{\"state\":\"COMPLETED\"}",
                         "\x01\x02",
                         "{\"state\":\"NO_SUCH\",\"request_id\":\"" ID "\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert(!record_decode(bad[i], strlen(bad[i]), &arena, &back));
    }
    arena_free(&arena);
    buf_free(&b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("result");
    TCase *t = tcase_create("SCR-008");
    tcase_add_loop_test(t, every_state_has_its_status_and_code, 0, sizeof expected / sizeof expected[0]);
    tcase_add_test(t, held_is_pending_with_its_end);
    tcase_add_test(t, doubt_says_do_not_ask_again);
    tcase_add_test(t, hrefs_follow_the_family);
    tcase_add_test(t, kos_reason_is_told_and_every_code_has_guidance);
    tcase_add_test(t, shared_form_round_trip_and_garbage);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
