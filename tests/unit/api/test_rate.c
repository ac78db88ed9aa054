/* CONTRACT.md 1, 429: a token bucket per caller (limits.rate, limits.burst), in bounded memory. */
#include "api/common.h"

#include "pcs/core/clock.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static struct rate_limiter *limiter(int64_t rate, int64_t burst, int64_t callers)
{
    struct api_config config = {.rate = rate, .burst = burst, .rate_callers = callers};
    struct rate_limiter *l = rate_limiter_new(&config);
    ck_assert_ptr_nonnull(l);
    return l;
}

START_TEST(burst_then_rate)
{
    struct rate_limiter *l = limiter(5, 20, 100);
    uint64_t now = NS_PER_SEC;
    for (int i = 0; i < 20; i++) {
        ck_assert(rate_take(l, "anna", now).allowed);
    }
    struct rate_answer refused = rate_take(l, "anna", now);
    ck_assert(!refused.allowed);
    ck_assert_int_eq(refused.remaining, 0);
    ck_assert_int_ge(refused.retry_after_s, 1);
    ck_assert(!rate_take(l, "anna", now + NS_PER_SEC / 5 - 1).allowed);
    ck_assert(rate_take(l, "anna", now + NS_PER_SEC / 5).allowed); /* one token each fifth of a second */
    ck_assert(!rate_take(l, "anna", now + NS_PER_SEC / 5).allowed);
    rate_limiter_free(l);
}
END_TEST

START_TEST(callers_do_not_share)
{
    struct rate_limiter *l = limiter(1, 1, 100);
    ck_assert(rate_take(l, "anna", 1).allowed);
    ck_assert(!rate_take(l, "anna", 1).allowed);
    ck_assert(rate_take(l, "ben", 1).allowed);
    rate_limiter_free(l);
}
END_TEST

START_TEST(never_more_than_the_burst)
{
    struct rate_limiter *l = limiter(5, 3, 100);
    ck_assert(rate_take(l, "anna", 1).allowed);
    uint64_t later = 3600 * NS_PER_SEC;
    for (int i = 0; i < 3; i++) {
        ck_assert(rate_take(l, "anna", later).allowed);
    }
    ck_assert(!rate_take(l, "anna", later).allowed);
    rate_limiter_free(l);
}
END_TEST

/* Whoever is longest unseen makes room; who has just been refused stays refused. */
START_TEST(memory_is_bounded)
{
    struct rate_limiter *l = limiter(1, 1, 2);
    char name[16];
    ck_assert(rate_take(l, "anna", 1).allowed);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "c%d", i);
        ck_assert(rate_take(l, name, 1).allowed);
        ck_assert(!rate_take(l, name, 1).allowed);
    }
    ck_assert(rate_take(l, "anna", 1).allowed); /* forgotten long ago */
    rate_limiter_free(l);
}
END_TEST

START_TEST(time_going_backwards_gives_nothing)
{
    struct rate_limiter *l = limiter(5, 1, 2);
    ck_assert(rate_take(l, "anna", 100 * NS_PER_SEC).allowed);
    ck_assert(!rate_take(l, "anna", 1).allowed);
    ck_assert(rate_take(l, "anna", 101 * NS_PER_SEC).allowed);
    rate_limiter_free(l);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("rate");
    TCase *t = tcase_create("429");
    tcase_add_test(t, burst_then_rate);
    tcase_add_test(t, callers_do_not_share);
    tcase_add_test(t, never_more_than_the_burst);
    tcase_add_test(t, memory_is_bounded);
    tcase_add_test(t, time_going_backwards_gives_nothing);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
