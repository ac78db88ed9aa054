/* CONTRACT.md 3, system-unavailable: one row and one event per line and outage (issue 4, point 2). */
#include "change/shared.h"

#include "pcs/core/clock.h"

#include <check.h>
#include <stdlib.h>

#define LINE_A "01011110001"
#define LINE_B "01011110002"

static struct change_shared *shared;
static struct outage_clock now;

static void setup(void)
{
    shared = change_shared_new(NULL, NULL);
    ck_assert_ptr_nonnull(shared);
    now = (struct outage_clock){.now_ns = 1000 * NS_PER_SEC};
}

static void teardown(void)
{
    change_shared_free(shared);
}

static bool first(const char *line, bool orders)
{
    now.now_ns += NS_PER_SEC;
    return outage_first(shared, line, orders, &now);
}

START_TEST(once_a_line_and_outage)
{
    ck_assert(first(LINE_A, true));
    ck_assert(first(LINE_B, true));
    ck_assert(!first(LINE_A, true));
    outage_over(shared, false); /* an inquiry was answered: orders are still out */
    ck_assert(!first(LINE_A, true));
    outage_over(shared, true);
    ck_assert(first(LINE_A, false));
    ck_assert(!first(LINE_A, false));
    outage_over(shared, false);
    ck_assert(first(LINE_A, false));
}
END_TEST

/* Nobody ordered between two outages: the breaker has closed, or ten minutes were quiet. */
START_TEST(another_outage_without_an_order_between)
{
    ck_assert(first(LINE_A, true));
    now.inquiries_closed++; /* does not end an outage of orders */
    ck_assert(!first(LINE_A, true));
    now.orders_closed++;
    ck_assert(first(LINE_A, true));
    now.now_ns += 599 * NS_PER_SEC - 1;
    ck_assert(!first(LINE_A, true));
    now.now_ns += 600 * NS_PER_SEC;
    ck_assert(first(LINE_A, true));
}
END_TEST

/* Two reactors: the one that comes second has looked at the clock, or at the breakers, before the other. A storm of
 * retries on several reactors was a storm of rows. */
START_TEST(whoever_looked_earlier_begins_no_other_outage)
{
    now.orders_closed = now.inquiries_closed = 1;
    ck_assert(first(LINE_A, true));
    struct outage_clock earlier = now;
    ck_assert(!first(LINE_A, true));
    earlier.now_ns -= 1;
    ck_assert(outage_first(shared, LINE_B, true, &earlier));
    ck_assert(!first(LINE_A, true));
    earlier.orders_closed = earlier.inquiries_closed = 0;
    ck_assert(!outage_first(shared, LINE_B, true, &earlier));
    ck_assert(!first(LINE_A, true));
    ck_assert(!first(LINE_B, true));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("change.outage");
    TCase *t = tcase_create("outage");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, once_a_line_and_outage);
    tcase_add_test(t, another_outage_without_an_order_between);
    tcase_add_test(t, whoever_looked_earlier_begins_no_other_outage);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
