/* UFR-PROD-030: the three checks, their words, and how they are kept. */
#include "pcs/change/precheck.h"

#include <check.h>
#include <stdlib.h>

static const struct product on_sale = {.code = "5GX", .name = "5GX", .monthly_fee = 1, .available = true};
static const struct customer active = {
    .line = "01012345678", .status = LINE_ACTIVE, .operator_code = "MVNO-A"};

START_TEST(everything_passes)
{
    struct precheck p = precheck_run(&on_sale, &active, "");
    ck_assert(precheck_passed(&p));
    ck_assert_int_eq(precheck_first_failure(&p), CHECKS);
}
END_TEST

/* "Unknown target: FAIL for both product checks." */
START_TEST(unknown_target_fails_both_product_checks)
{
    struct precheck p = precheck_run(NULL, &active, "");
    ck_assert_int_eq(p.reason[CHECK_PRODUCT_AVAILABLE], CHECK_UNKNOWN_PRODUCT);
    ck_assert_int_eq(p.reason[CHECK_OPERATOR_MATCH], CHECK_UNKNOWN_PRODUCT);
    ck_assert_int_eq(p.reason[CHECK_LINE_STATUS], CHECK_PASS);
    struct buf b;
    buf_init(&b, 1024);
    precheck_failure_text(&b, &p, true);
    ck_assert_str_eq(b.data, "There is no such plan"); /* one sentence, said once */
    buf_free(&b);
}
END_TEST

START_TEST(not_on_sale_and_line_states)
{
    struct product ended = on_sale;
    struct customer suspended = active, terminated = active;
    ended.available = false;
    suspended.status = LINE_SUSPENDED;
    terminated.status = LINE_TERMINATED;
    struct precheck p = precheck_run(&ended, &suspended, "");
    ck_assert_int_eq(p.reason[CHECK_PRODUCT_AVAILABLE], CHECK_NOT_ON_SALE);
    ck_assert_int_eq(p.reason[CHECK_LINE_STATUS], CHECK_LINE_SUSPENDED);
    p = precheck_run(&on_sale, &terminated, "");
    ck_assert_int_eq(p.reason[CHECK_LINE_STATUS], CHECK_LINE_TERMINATED);
    p = precheck_run(&on_sale, NULL, "");
    ck_assert_int_eq(p.reason[CHECK_LINE_STATUS], CHECK_LINE_UNKNOWN);
}
END_TEST

/* "A product's operator is the catalogue's, else the default; if it or the line's is unknown it matches." */
START_TEST(operators)
{
    struct product other = on_sale;
    struct customer unknown = active;
    other.operator_code = "MVNO-B";
    unknown.operator_code = NULL;
    struct precheck p = precheck_run(&other, &active, "");
    ck_assert_int_eq(p.reason[CHECK_OPERATOR_MATCH], CHECK_OTHER_OPERATOR);
    p = precheck_run(&other, &unknown, "");
    ck_assert(precheck_passed(&p));
    p = precheck_run(&on_sale, &active, "MVNO-B");
    ck_assert_int_eq(p.reason[CHECK_OPERATOR_MATCH], CHECK_OTHER_OPERATOR);
    p = precheck_run(&on_sale, &active, "MVNO-A");
    ck_assert(precheck_passed(&p));
}
END_TEST

START_TEST(kept_and_read_back)
{
    struct precheck p = {{CHECK_NOT_ON_SALE, CHECK_PASS, CHECK_LINE_TERMINATED}}, back;
    char text[128];
    precheck_encode(&p, text, sizeof text);
    ck_assert_str_eq(text, "NOT_ON_SALE,PASS,LINE_TERMINATED");
    ck_assert(precheck_decode(text, &back));
    ck_assert_mem_eq(&p, &back, sizeof p);
    ck_assert(!precheck_decode("PASS,PASS", &back));
    ck_assert(!precheck_decode("PASS,PASS,PASS,PASS", &back));
    ck_assert(!precheck_decode("PASS,SOMETHING,PASS", &back));
    ck_assert(!precheck_decode("", &back));
    ck_assert(!precheck_decode(NULL, &back));
}
END_TEST

/* "always PRODUCT_AVAILABLE, OPERATOR_MATCH, LINE_STATUS in that order" */
START_TEST(details_in_order_and_language)
{
    struct precheck p = {{CHECK_PASS, CHECK_OTHER_OPERATOR, CHECK_PASS}};
    struct buf b;
    buf_init(&b, 4096);
    precheck_json(&b, NULL, &p, true);
    ck_assert_str_eq(
        b.data,
        "[{\"checkType\":\"PRODUCT_AVAILABLE\",\"result\":\"PASS\",\"message\":\"The plan is on sale\"},"
        "{\"checkType\":\"OPERATOR_MATCH\",\"result\":\"FAIL\",\"message\":\"The plan is not offered by your "
        "operator\"},{\"checkType\":\"LINE_STATUS\",\"result\":\"PASS\",\"message\":\"The line is in "
        "use\"}]");
    buf_free(&b);
    ck_assert_str_eq(check_text(CHECK_PRODUCT_AVAILABLE, CHECK_NOT_ON_SALE, false),
                     "현재 판매 중인 상품이 아닙니다");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("precheck");
    TCase *t = tcase_create("UFR-PROD-030");
    tcase_add_test(t, everything_passes);
    tcase_add_test(t, unknown_target_fails_both_product_checks);
    tcase_add_test(t, not_on_sale_and_line_states);
    tcase_add_test(t, operators);
    tcase_add_test(t, kept_and_read_back);
    tcase_add_test(t, details_in_order_and_language);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
