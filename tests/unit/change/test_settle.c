/* DESIGN.md, "In doubt is a state, not a failure": what each answer of an inquiry means. */
#include "change/settle.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define MINUTE INT64_C(60000)
#define SENT   INT64_C(1000000)

static const struct settle_rules plain = {false, 10 * MINUTE, 1000, MINUTE};
static const struct settle_rules dedup = {true, 10 * MINUTE, 1000, MINUTE};

static struct change_record doubt(void)
{
    return (struct change_record){.state = CHANGE_SENDING,
                                  .in_doubt = true,
                                  .current_code = "BASE",
                                  .target_code = "TARGET",
                                  .sent_at = SENT};
}

static enum settle_step ask(struct change_record *c, const char *product, int64_t now,
                            const struct settle_rules *rules)
{
    struct customer customer = {.line = "01012345678", .product = {.code = product}};
    struct kos_read read = {.answer = product ? KOS_READ_OK : KOS_NO_PRODUCT,
                            .customer = product ? &customer : NULL};
    return settle_judge(c, &read, now, rules);
}

START_TEST(target_is_completed)
{
    struct change_record c = doubt();
    ck_assert_int_eq(ask(&c, "TARGET", SENT + 1, &plain), SETTLE_COMPLETED);
    ck_assert_int_eq(c.checks, 1);
}
END_TEST

/* A line that is not in use any more still shows its product: that is an answer too. */
START_TEST(target_of_inactive_line_is_completed)
{
    struct change_record c = doubt();
    struct customer customer = {.status = LINE_SUSPENDED, .product = {.code = "TARGET"}};
    struct kos_read read = {.answer = KOS_NOT_ACTIVE, .customer = &customer};
    ck_assert_int_eq(settle_judge(&c, &read, SENT + 1, &plain), SETTLE_COMPLETED);
}
END_TEST

START_TEST(baseline_asks_again_until_the_horizon)
{
    struct change_record c = doubt();
    ck_assert_int_eq(ask(&c, "BASE", SENT + 1000, &plain), SETTLE_ASK_AGAIN);
    ck_assert_int_gt(c.next_check_at, SENT + 1000);
    ck_assert_int_eq(ask(&c, "BASE", SENT + 10 * MINUTE - 1, &plain), SETTLE_ASK_AGAIN);
    ck_assert_int_eq(ask(&c, "BASE", SENT + 10 * MINUTE, &plain), SETTLE_NOT_APPLIED);
}
END_TEST

/* "at least two inquiries, a minute or a tenth of the horizon apart, whichever is less" */
START_TEST(one_late_inquiry_is_not_enough)
{
    struct change_record c = doubt();
    ck_assert_int_eq(ask(&c, "BASE", SENT + 60 * MINUTE, &plain), SETTLE_ASK_AGAIN);
    ck_assert_int_eq(ask(&c, "BASE", SENT + 61 * MINUTE - 1, &plain), SETTLE_ASK_AGAIN);
    ck_assert_int_eq(ask(&c, "BASE", SENT + 61 * MINUTE, &plain), SETTLE_NOT_APPLIED);
    const struct settle_rules quick = {false, 10000, 1000, MINUTE};
    c = doubt();
    ck_assert_int_eq(ask(&c, "BASE", SENT + 20000, &quick), SETTLE_ASK_AGAIN);
    ck_assert_int_eq(ask(&c, "BASE", SENT + 21000, &quick), SETTLE_NOT_APPLIED);
}
END_TEST

START_TEST(baseline_is_repeated_only_if_kos_recognises_repeats)
{
    struct change_record c = doubt();
    ck_assert_int_eq(ask(&c, "BASE", SENT + 1000, &dedup), SETTLE_REPEAT);
}
END_TEST

START_TEST(third_product_needs_a_person)
{
    struct change_record c = doubt();
    ck_assert_int_eq(ask(&c, "OTHER", SENT + 1000, &plain), SETTLE_OPERATOR);
    ck_assert(c.on_operator_list);
}
END_TEST

START_TEST(no_product_needs_a_person_only_past_the_horizon)
{
    struct change_record c = doubt();
    ck_assert_int_eq(ask(&c, NULL, SENT + 1000, &plain), SETTLE_ASK_AGAIN);
    ck_assert(!c.on_operator_list);
    ck_assert_int_eq(ask(&c, NULL, SENT + 10 * MINUTE, &plain), SETTLE_OPERATOR);
}
END_TEST

/* A carrier that is out says nothing about the order, however long it lasts. */
START_TEST(outage_decides_nothing)
{
    struct change_record c = doubt();
    struct kos_read out = {.answer = KOS_UNAVAILABLE};
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(settle_judge(&c, &out, SENT + 60 * MINUTE + i * MINUTE, &plain), SETTLE_ASK_AGAIN);
    }
    ck_assert_int_eq(c.first_baseline_at, 0);
}
END_TEST

START_TEST(backs_off_from_a_second_to_a_minute)
{
    ck_assert_int_eq(settle_delay_ms(0, &plain, 0.5), 1000);
    ck_assert_int_eq(settle_delay_ms(1, &plain, 0.5), 2000);
    ck_assert_int_eq(settle_delay_ms(5, &plain, 0.5), 32000);
    ck_assert_int_eq(settle_delay_ms(6, &plain, 0.5), MINUTE);
    ck_assert_int_eq(settle_delay_ms(1000000, &plain, 0.5), MINUTE);
    ck_assert_int_eq(settle_delay_ms(0, &plain, 0), 900);
    ck_assert_int_eq(settle_delay_ms(0, &plain, 1), 1100);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("settle");
    TCase *t = tcase_create("in doubt");
    tcase_add_test(t, target_is_completed);
    tcase_add_test(t, target_of_inactive_line_is_completed);
    tcase_add_test(t, baseline_asks_again_until_the_horizon);
    tcase_add_test(t, one_late_inquiry_is_not_enough);
    tcase_add_test(t, baseline_is_repeated_only_if_kos_recognises_repeats);
    tcase_add_test(t, third_product_needs_a_person);
    tcase_add_test(t, no_product_needs_a_person_only_past_the_horizon);
    tcase_add_test(t, outage_decides_nothing);
    tcase_add_test(t, backs_off_from_a_second_to_a_minute);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
