/* BREAKER.md 1 to 9, what the recorded cases hardly touch: every forced transition, attempts, single precision, the
 * edges of a wait and of a second, what a counter is carried over. */
#include "unit/core/breaker_fixture.h"

#define STATES BREAKER_STATE_COUNT

static unsigned heard[BREAKER_EVENT_COUNT];

static void count(const struct breaker_event *ev, void *arg)
{
    (void)arg;
    heard[ev->type]++;
}

static struct breaker *start_in(enum breaker_state state, struct breaker_config c)
{
    c.initial_state = state;
    memset(heard, 0, sizeof heard);
    struct breaker *b = make(&c);
    breaker_set_listener(b, count, NULL);
    return b;
}

/* Section 2: all but three pairs; the same state again is silent; an error changes nothing. */
START_TEST(every_forced_transition)
{
    enum breaker_state from = (enum breaker_state)(_i / STATES), to = (enum breaker_state)(_i % STATES);
    bool illegal = (from == BREAKER_CLOSED && to == BREAKER_HALF_OPEN) ||
                   (from == BREAKER_METRICS_ONLY && (to == BREAKER_OPEN || to == BREAKER_HALF_OPEN));
    struct breaker *b = start_in(from, plain_config());
    ck_assert_int_eq(look(b).state, from);
    ck_assert(breaker_transition(b, to, BREAKER_WAIT_CONFIGURED, NULL, 0) == !illegal);
    ck_assert_int_eq(look(b).state, illegal ? from : to);
    ck_assert_uint_eq(heard[BREAKER_EVENT_STATE_TRANSITION], !illegal && from != to);
    breaker_reset(b);
    ck_assert_int_eq(look(b).state, BREAKER_CLOSED);
    ck_assert_uint_eq(heard[BREAKER_EVENT_RESET], 1);
    breaker_destroy(b);
}
END_TEST

/* Section 1: one more with each OPEN, and with FORCED_OPEN; carried by HALF_OPEN; 1 where a breaker begins so. */
START_TEST(attempts_are_counted)
{
    struct breaker_config c = plain_config();
    c.wait_multiplier = 2;
    struct breaker *b = start_in(BREAKER_HALF_OPEN, c);
    ck_assert_uint_eq(look(b).attempt, 1);
    go(b, BREAKER_OPEN);
    ck_assert_uint_eq(look(b).attempt, 2);
    ck_assert_uint_eq(look(b).open_for_ns, 2 * SEC);
    go(b, BREAKER_OPEN); /* again: restarted */
    ck_assert_uint_eq(look(b).open_for_ns, 4 * SEC);
    ck_assert(breaker_transition(b, BREAKER_OPEN, 700, NULL, 0)); /* "open for" adds none */
    ck_assert_uint_eq(look(b).attempt, 3);
    ck_assert_uint_eq(look(b).open_for_ns, 700 * MS);
    go(b, BREAKER_DISABLED);
    go(b, BREAKER_FORCED_OPEN);
    ck_assert_uint_eq(look(b).attempt, 1);
    go(b, BREAKER_OPEN);
    ck_assert_uint_eq(look(b).open_for_ns, 2 * SEC);
    go(b, BREAKER_HALF_OPEN);
    ck_assert_uint_eq(look(b).attempt, 2);
    breaker_reset(b);
    go(b, BREAKER_OPEN);
    ck_assert_uint_eq(look(b).open_for_ns, SEC);
    breaker_destroy(b);
    b = start_in(BREAKER_OPEN, c);
    ck_assert_uint_eq(look(b).attempt, 1);
    ck_assert_uint_eq(look(b).open_for_ns, SEC);
    breaker_destroy(b);
}
END_TEST

/* Sections 2 and 3: 1 of 3 is 33.333332 in single precision, and compared so. */
START_TEST(rates_are_single_precision)
{
    const struct {
        double threshold;
        bool trips;
    } cases[] = {{33.333333, true}, {33.33333, true}, {33.3334, false}, {33.34, false}, {0.5, true}};
    struct breaker_config c = plain_config();
    c.window_size = c.minimum_calls = 3;
    c.failure_rate = cases[_i].threshold;
    struct breaker *b = start_in(BREAKER_CLOSED, c);
    calls(b, 1, BREAKER_FAILURE);
    calls(b, 1, BREAKER_SUCCESS);
    assert_state(b, CLOSED);
    call(b, BREAKER_SUCCESS); /* a success can be the call that opens */
    ck_assert_int_eq(look(b).state, cases[_i].trips ? BREAKER_OPEN : BREAKER_CLOSED);
    breaker_destroy(b);
}
END_TEST

/* Section 4: at exactly the wait it still rejects, lazily; a timer fires at exactly the wait. */
START_TEST(wait_ends_strictly_after)
{
    struct breaker_config c = plain_config();
    struct breaker *b = start_in(BREAKER_OPEN, c);
    test_now_ns += SEC;
    ck_assert(rejected(b));
    test_now_ns += 1;
    ck_assert(!rejected(b));
    assert_state(b, HALF_OPEN);
    breaker_destroy(b);
    c.automatic_half_open = true;
    b = start_in(BREAKER_OPEN, c);
    test_now_ns += SEC - 1;
    assert_state(b, OPEN);
    test_now_ns += 1;
    assert_state(b, HALF_OPEN);
    breaker_destroy(b);
}
END_TEST

/* Section 7: the live seconds are the clock's own; OPEN shows them going. A minimum over the size is not lowered. */
START_TEST(time_window_ages_at_the_second)
{
    struct breaker_config c = plain_config();
    c.window_type = BREAKER_WINDOW_TIME;
    c.window_size = 2;
    c.minimum_calls = 5;
    struct breaker *b = start_in(BREAKER_CLOSED, c);
    test_now_ns += 999 * MS;
    calls(b, 4, BREAKER_FAILURE);
    ck_assert(look(b).failure_rate == -1.0f);
    test_now_ns += SEC;
    ck_assert_uint_eq(look(b).buffered, 4);
    call(b, BREAKER_SUCCESS);
    assert_state(b, OPEN);
    ck_assert(look(b).failure_rate == 80.0f);
    test_now_ns += MS; /* the third second: the first is gone, the rate with it */
    ck_assert_uint_eq(look(b).buffered, 1);
    ck_assert(look(b).failure_rate == -1.0f);
    test_now_ns += UINT64_C(100) * 365 * 86400 * SEC;
    ck_assert_uint_eq(look(b).buffered, 0);
    breaker_destroy(b);
}
END_TEST

/* Section 3.6: rejections are counted on through HALF_OPEN -> OPEN, from 0 everywhere else. */
START_TEST(rejections_are_carried_into_open_only)
{
    struct breaker_config c = plain_config();
    c.half_open_permits = 1;
    struct breaker *b = start_in(BREAKER_HALF_OPEN, c);
    struct breaker_permit p = take(b, 0);
    ck_assert(rejected(b));
    ck_assert(rejected(b));
    breaker_complete(b, &p, BREAKER_FAILURE, 0, NULL);
    assert_state(b, OPEN);
    ck_assert(rejected(b));
    ck_assert_uint_eq(look(b).not_permitted, 3);
    ck_assert_uint_eq(look(b).failed, 1); /* the half-open numbers */
    go(b, BREAKER_FORCED_OPEN);
    ck_assert(rejected(b));
    ck_assert_uint_eq(look(b).not_permitted, 1);
    ck_assert_uint_eq(heard[BREAKER_EVENT_NOT_PERMITTED], 3); /* FORCED_OPEN publishes none */
    breaker_destroy(b);
}
END_TEST

/* Section 1: the answer that closes HALF_OPEN may open at once again; it is CLOSED that is asked, after recording. */
START_TEST(answer_that_closes_may_open_again)
{
    struct breaker_config c = plain_config();
    c.half_open_permits = 1;
    struct breaker *b = start_in(BREAKER_HALF_OPEN, c);
    struct breaker_permit p = take(b, 0);
    breaker_complete_open_for(b, &p, BREAKER_SUCCESS, 0, NULL, 5 * SEC);
    assert_state(b, OPEN);
    ck_assert_uint_eq(look(b).open_for_ns, 5 * SEC);
    ck_assert_uint_eq(look(b).attempt, 0);
    ck_assert_uint_eq(heard[BREAKER_EVENT_STATE_TRANSITION], 2);
    breaker_destroy(b);
}
END_TEST

/* Section 5: the limit of HALF_OPEN may lead to CLOSED; then a lost probe changes nothing. */
START_TEST(half_open_limit_may_close)
{
    struct breaker_config c = plain_config();
    c.half_open_max_ms = 1;
    c.half_open_max_to = BREAKER_CLOSED;
    struct breaker *b = start_in(BREAKER_HALF_OPEN, c);
    struct breaker_permit p = take(b, 0);
    test_now_ns += MS;
    assert_state(b, CLOSED);
    breaker_complete(b, &p, BREAKER_FAILURE, 0, NULL);
    ck_assert_uint_eq(look(b).buffered, 0);
    ck_assert_uint_eq(look(b).late, 1);
    breaker_destroy(b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("breaker rules");
    TCase *t = tcase_create("rules");
    tcase_add_loop_test(t, every_forced_transition, 0, STATES * STATES);
    tcase_add_test(t, attempts_are_counted);
    tcase_add_loop_test(t, rates_are_single_precision, 0, 5);
    tcase_add_test(t, wait_ends_strictly_after);
    tcase_add_test(t, time_window_ages_at_the_second);
    tcase_add_test(t, rejections_are_carried_into_open_only);
    tcase_add_test(t, answer_that_closes_may_open_again);
    tcase_add_test(t, half_open_limit_may_close);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
