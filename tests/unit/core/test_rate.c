/* CONTRACT.md 1, 429: a token bucket per caller (limits.rate, limits.burst), in bounded memory. */
#include "pcs/core/rate.h"

#include "pcs/core/clock.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rate_limiter *limiter(int64_t rate, int64_t burst, int64_t callers)
{
    struct rate_limiter *l = rate_limiter_new(rate, burst, callers);
    ck_assert_ptr_nonnull(l);
    return l;
}

static struct rate_answer take(struct rate_limiter *l, const char *key, uint64_t now_ns)
{
    return rate_take(l, key, strlen(key), now_ns);
}

START_TEST(burst_then_rate)
{
    struct rate_limiter *l = limiter(5, 20, 100);
    uint64_t now = NS_PER_SEC;
    for (int i = 0; i < 20; i++) {
        ck_assert(take(l, "anna", now).allowed);
    }
    struct rate_answer refused = take(l, "anna", now);
    ck_assert(!refused.allowed);
    ck_assert_int_eq(refused.remaining, 0);
    ck_assert_int_ge(refused.retry_after_s, 1);
    ck_assert(!take(l, "anna", now + NS_PER_SEC / 5 - 1).allowed);
    ck_assert(take(l, "anna", now + NS_PER_SEC / 5).allowed); /* one token each fifth of a second */
    ck_assert(!take(l, "anna", now + NS_PER_SEC / 5).allowed);
    rate_limiter_free(l);
}
END_TEST

START_TEST(callers_do_not_share)
{
    struct rate_limiter *l = limiter(1, 1, 100);
    ck_assert(take(l, "anna", 1).allowed);
    ck_assert(!take(l, "anna", 1).allowed);
    ck_assert(take(l, "ben", 1).allowed);
    rate_limiter_free(l);
}
END_TEST

START_TEST(never_more_than_the_burst)
{
    struct rate_limiter *l = limiter(5, 3, 100);
    ck_assert(take(l, "anna", 1).allowed);
    uint64_t later = 3600 * NS_PER_SEC;
    for (int i = 0; i < 3; i++) {
        ck_assert(take(l, "anna", later).allowed);
    }
    ck_assert(!take(l, "anna", later).allowed);
    rate_limiter_free(l);
}
END_TEST

/* Whoever is longest unseen makes room; who has just been refused stays refused. */
START_TEST(memory_is_bounded)
{
    struct rate_limiter *l = limiter(1, 1, 2);
    char name[16];
    ck_assert(take(l, "anna", 1).allowed);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "c%d", i);
        ck_assert(take(l, name, 1).allowed);
        ck_assert(!take(l, name, 1).allowed);
    }
    ck_assert(take(l, "anna", 1).allowed); /* forgotten long ago */
    rate_limiter_free(l);
}
END_TEST

START_TEST(time_going_backwards_gives_nothing)
{
    struct rate_limiter *l = limiter(5, 1, 2);
    ck_assert(take(l, "anna", 100 * NS_PER_SEC).allowed);
    ck_assert(!take(l, "anna", 1).allowed);
    ck_assert(take(l, "anna", 101 * NS_PER_SEC).allowed);
    rate_limiter_free(l);
}
END_TEST

/* What holds something is not forgotten, however many others come; what it has given back may be. */
START_TEST(holders_are_remembered)
{
    struct rate_limiter *l = limiter(1, 1, 4);
    char name[16];
    ck_assert(rate_hold(l, "anna", 4, 2, 1));
    ck_assert(rate_hold(l, "anna", 4, 2, 1));
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "c%d", i);
        ck_assert(take(l, name, 1).allowed);
        if (i % 100 == 0) {
            ck_assert(!rate_hold(l, "anna", 4, 2, 1));
        }
    }
    ck_assert(rate_hold(l, "an", 2, 2, 1)); /* another key, though it begins alike */
    rate_release(l, "anna", 4);
    ck_assert(rate_hold(l, "anna", 4, 2, 1));
    ck_assert(!rate_hold(l, "anna", 4, 2, 1));
    rate_limiter_free(l);
}
END_TEST

/* When all hold something there is no room for more: nobody is turned away for it, nothing grows. */
START_TEST(full_of_holders)
{
    struct rate_limiter *l = limiter(1, 1, 20);
    char name[16];
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "h%d", i);
        ck_assert(rate_hold(l, name, strlen(name), 1, 1));
    }
    for (int i = 0; i < 100; i++) {
        ck_assert(take(l, "anna", 1).allowed);
        ck_assert(rate_hold(l, "anna", 4, 1, 1));
        rate_release(l, "anna", 4);
    }
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "h%d", i);
        ck_assert(!rate_hold(l, name, strlen(name), 1, 1));
        rate_release(l, name, strlen(name));
    }
    ck_assert(take(l, "anna", 1).allowed);
    ck_assert(!take(l, "anna", 1).allowed);
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
    tcase_add_test(t, holders_are_remembered);
    tcase_add_test(t, full_of_holders);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
