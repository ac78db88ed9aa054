/*
 * Circuit breaker: the points in which ours is stricter than Resilience4j, and the options beyond it. The
 * common rules are held by the recorded cases (breaker-replay).
 */
#include "breaker_fixture.h"

/* "Permits belong to the state that gave them": late is counted and changes nothing else. */
START_TEST(outcome_of_an_older_state_is_late)
{
    struct breaker_config c = plain_config();
    struct breaker *b = make(&c);
    struct breaker_permit slow_one = take(b, 0), other = take(b, 0);

    calls(b, 4, BREAKER_FAILURE);
    assert_state(b, OPEN);
    breaker_complete(b, &slow_one, BREAKER_SUCCESS, 0, NULL);
    ck_assert_uint_eq(look(b).buffered, 4);
    ck_assert_uint_eq(look(b).late, 1);
    test_now_ns += SEC + 1;
    calls(b, 2, BREAKER_SUCCESS);
    assert_state(b, HALF_OPEN);
    breaker_complete(b, &other, BREAKER_FAILURE, 0, "late");
    ck_assert_uint_eq(look(b).buffered, 2);
    ck_assert_uint_eq(look(b).late, 2);
    ck_assert_str_eq(look(b).last_cause, "refused by test");
    breaker_destroy(b);
}
END_TEST

/* A permit of another state, released or ignored in HALF_OPEN, must not add to the budget. */
START_TEST(stranger_does_not_grow_the_budget)
{
    struct breaker_config c = plain_config();
    struct breaker *b = make(&c);
    struct breaker_permit old1 = take(b, 0), old2 = take(b, 0), p[3];

    calls(b, 4, BREAKER_FAILURE);
    test_now_ns += SEC + 1;
    for (int i = 0; i < 3; i++)
        p[i] = take(b, 0);
    breaker_release(b, &old1);
    breaker_complete(b, &old2, BREAKER_IGNORED, 0, NULL);
    ck_assert(rejected(b));
    breaker_complete(b, &p[0], BREAKER_IGNORED, 0, NULL);
    ck_assert_int_eq(look(b).half_open_permits_left, 1);
    breaker_release(b, &p[0]); /* consumed: nothing is given back twice */
    ck_assert_int_eq(look(b).half_open_permits_left, 1);
    breaker_destroy(b);
}
END_TEST

/* "A lost probe is not for ever": not back within deadline + 1 s is a failure, and late afterwards. */
START_TEST(lost_probe_is_a_failure)
{
    struct breaker_config c = plain_config();
    struct breaker *b = make(&c);

    go(b, BREAKER_OPEN);
    go(b, BREAKER_HALF_OPEN);
    struct breaker_permit lost = take(b, test_now_ns + 2 * SEC);
    test_now_ns += 3 * SEC - 1;
    ck_assert_uint_eq(look(b).lost, 0);
    ck_assert_uint_eq(breaker_next_due_ns(b), test_now_ns + 1);
    test_now_ns += 1;
    ck_assert_uint_eq(look(b).lost, 1);
    ck_assert_uint_eq(look(b).failed, 1);
    ck_assert_uint_eq(look(b).slow_failed, 1); /* it took 3 s of 1 s */
    ck_assert_str_eq(look(b).last_cause, "lost");
    breaker_complete(b, &lost, BREAKER_SUCCESS, 0, NULL);
    ck_assert_uint_eq(look(b).buffered, 1);
    ck_assert_uint_eq(look(b).late, 1);
    breaker_destroy(b);
}
END_TEST

START_TEST(breaker_with_all_probes_lost_opens_again)
{
    struct breaker_config c = plain_config();
    struct breaker *b = make(&c);

    go(b, BREAKER_OPEN);
    go(b, BREAKER_HALF_OPEN);
    for (unsigned i = 0; i < 3; i++)
        take(b, test_now_ns + i * SEC);
    test_now_ns += 10 * SEC;
    breaker_tick(b);
    struct breaker_snapshot s = look(b);
    ck_assert_str_eq(breaker_state_name(s.state), "OPEN");
    ck_assert_uint_eq(s.lost, 3);
    ck_assert_uint_eq(s.attempt, 2);
    /* OPEN began when the last one was due, not when somebody looked. */
    ck_assert_uint_eq(s.since_ns, 1003 * SEC);
    breaker_destroy(b);
}
END_TEST

START_TEST(completed_permits_are_not_lost)
{
    struct breaker_config c = plain_config();
    struct breaker *b = make(&c);
    struct breaker_permit p[100];

    for (unsigned i = 0; i < 100; i++)
        p[i] = take(b, test_now_ns + (i * 37 % 100) * MS);
    for (unsigned i = 0; i < 99; i++)
        breaker_complete(b, &p[i * 53 % 99], i % 2 ? BREAKER_IGNORED : BREAKER_SUCCESS, 0, NULL);
    test_now_ns += 60 * SEC;
    ck_assert_uint_eq(look(b).lost, 1);
    ck_assert_uint_eq(breaker_next_due_ns(b), UINT64_MAX);
    breaker_destroy(b);
}
END_TEST

/* A lost permit that comes back late must not end the lease of the one given after it. */
START_TEST(lost_permit_does_not_touch_its_successor)
{
    struct breaker_config c = plain_config();
    struct breaker *b = make(&c);
    struct breaker_permit first = take(b, test_now_ns), second;

    test_now_ns += SEC;
    ck_assert_uint_eq(look(b).lost, 1);
    second = take(b, test_now_ns);
    breaker_complete(b, &first, BREAKER_SUCCESS, 0, NULL);
    ck_assert_uint_eq(look(b).late, 1);
    test_now_ns += SEC;
    ck_assert_uint_eq(look(b).lost, 2);
    breaker_release(b, &second);
    breaker_destroy(b);
}
END_TEST

/* Nothing of an older state is taken back in a newer one. */
START_TEST(permit_of_an_older_state_is_never_lost)
{
    struct breaker_config c = plain_config();
    struct breaker *b = make(&c);

    take(b, test_now_ns);
    breaker_reset(b);
    test_now_ns += 10 * SEC;
    ck_assert_uint_eq(look(b).lost, 0);
    ck_assert_uint_eq(look(b).buffered, 0);
    breaker_destroy(b);
}
END_TEST

/* Monotonic only: a clock that steps back neither prolongs OPEN nor empties a time window. */
START_TEST(clock_that_steps_back_is_held)
{
    struct breaker_config c = plain_config();
    c.window_type = BREAKER_WINDOW_TIME;
    c.window_size = 5;
    struct breaker *b = make(&c);

    calls(b, 3, BREAKER_FAILURE);
    test_now_ns -= 500 * SEC;
    ck_assert_uint_eq(look(b).buffered, 3);
    call(b, BREAKER_FAILURE);
    assert_state(b, OPEN);
    test_now_ns -= 100 * SEC;
    ck_assert_uint_eq(look(b).open_for_ns, SEC);
    test_now_ns = 1001 * SEC + 1;
    ck_assert(!rejected(b));
    breaker_destroy(b);
}
END_TEST

/* "reset and every transition cancel what was armed" */
START_TEST(reset_cancels_the_half_open_limit_and_the_wait)
{
    struct breaker_config c = plain_config();
    c.automatic_half_open = true;
    c.half_open_max_ms = 500;
    struct breaker *b = make(&c);

    go(b, BREAKER_OPEN);
    test_now_ns += SEC;
    assert_state(b, HALF_OPEN);
    breaker_reset(b);
    ck_assert_uint_eq(breaker_next_due_ns(b), UINT64_MAX);
    test_now_ns += 10 * SEC;
    assert_state(b, CLOSED);
    go(b, BREAKER_OPEN);
    test_now_ns += SEC / 2;
    breaker_reset(b);
    go(b, BREAKER_OPEN);
    test_now_ns += SEC - 1;
    assert_state(b, OPEN);
    test_now_ns += 1;
    assert_state(b, HALF_OPEN);
    breaker_destroy(b);
}
END_TEST

/* "OPEN ends by itself, and a rejection says how long is left" (the Retry-After of the 503). */
START_TEST(rejection_tells_the_time_left)
{
    struct breaker_config c = plain_config();
    c.automatic_half_open = true;
    struct breaker *b = make(&c);
    struct breaker_permit p;
    uint64_t left = 0;

    calls(b, 4, BREAKER_FAILURE);
    test_now_ns += 300 * MS;
    ck_assert(!breaker_acquire(b, 0, &p, &left));
    ck_assert_uint_eq(left, 700 * MS);
    ck_assert(!breaker_would_permit(b, &left));
    ck_assert_uint_eq(left, 700 * MS);
    ck_assert_uint_eq(look(b).open_for_ns, 700 * MS);
    ck_assert_uint_eq(look(b).not_permitted, 1); /* looking is not asking */
    test_now_ns += 700 * MS;
    assert_state(b, HALF_OPEN);
    for (int i = 0; i < 3; i++)
        take(b, 0);
    ck_assert(breaker_would_permit(b, &left));
    ck_assert(!breaker_acquire(b, 0, &p, &left));
    ck_assert_uint_eq(left, 0);
    go(b, BREAKER_FORCED_OPEN);
    ck_assert(!breaker_would_permit(b, &left));
    ck_assert_uint_eq(left, 0);
    breaker_destroy(b);
}
END_TEST

/* Lazy: reads OPEN until somebody acquires, strictly after the wait; looking does not move it. */
START_TEST(lazy_open_waits_for_an_acquire)
{
    struct breaker_config c = plain_config();
    struct breaker *b = make(&c);
    uint64_t left = 0;

    calls(b, 4, BREAKER_FAILURE);
    test_now_ns += SEC;
    ck_assert(!breaker_would_permit(b, &left));
    ck_assert_uint_gt(left, 0);
    test_now_ns += 3600 * SEC;
    ck_assert(breaker_would_permit(b, &left));
    assert_state(b, OPEN);
    take(b, 0);
    assert_state(b, HALF_OPEN);
    breaker_destroy(b);
}
END_TEST

/* Our defaults: OPEN 10 s, then 20 s after a half-open time of 30 s without a verdict. */
START_TEST(defaults_bound_half_open)
{
    struct breaker_config c = breaker_config_default();
    c.mono_ns = test_clock;
    c.slow_duration_ns = 1;
    c.wait_jitter = 0;
    struct breaker *b = make(&c);

    calls(b, 10, BREAKER_FAILURE);
    ck_assert_uint_eq(look(b).open_for_ns, 10 * SEC);
    test_now_ns += 10 * SEC;
    ck_assert_int_eq(look(b).half_open_permits_left, 3);
    test_now_ns += 30 * SEC - 1;
    assert_state(b, HALF_OPEN);
    test_now_ns += 1;
    assert_state(b, OPEN);
    ck_assert_uint_eq(look(b).open_for_ns, 20 * SEC);
    breaker_destroy(b);
}
END_TEST

/* The first call after a long silence must not replay years of cycles one by one. */
START_TEST(long_silence_is_bounded_work)
{
    struct breaker_config c = plain_config();
    c.automatic_half_open = true;
    c.wait_ms = c.half_open_max_ms = 1;
    struct breaker *b = make(&c);

    go(b, BREAKER_OPEN);
    test_now_ns += 10 * 365 * 86400 * SEC;
    breaker_tick(b);
    ck_assert_uint_gt(breaker_next_due_ns(b), test_now_ns);
    ck_assert_uint_lt(look(b).transitions[BREAKER_OPEN], 100);
    breaker_destroy(b);
}
END_TEST

START_TEST(early_verdict_comes_when_certain)
{
    struct breaker_config c = plain_config();
    c.half_open_permits = 4;
    c.early_verdict = true;
    struct breaker *b = make(&c);

    go(b, BREAKER_OPEN);
    go(b, BREAKER_HALF_OPEN);
    call(b, BREAKER_FAILURE);
    assert_state(b, HALF_OPEN);
    call(b, BREAKER_FAILURE); /* 2 of 4 are 50 % already */
    assert_state(b, OPEN);
    go(b, BREAKER_HALF_OPEN);
    calls(b, 2, BREAKER_SUCCESS); /* 2 of 4 may still fail: 50 % */
    assert_state(b, HALF_OPEN);
    call(b, BREAKER_SUCCESS);
    assert_state(b, CLOSED);
    breaker_destroy(b);
}
END_TEST

START_TEST(no_early_verdict_by_default)
{
    struct breaker_config c = plain_config();
    c.half_open_permits = 4;
    struct breaker *b = make(&c);

    go(b, BREAKER_OPEN);
    go(b, BREAKER_HALF_OPEN);
    calls(b, 3, BREAKER_FAILURE);
    assert_state(b, HALF_OPEN);
    call(b, BREAKER_SUCCESS);
    assert_state(b, OPEN);
    breaker_destroy(b);
}
END_TEST

START_TEST(consecutive_failures_trip)
{
    struct breaker_config c = plain_config();
    c.window_size = c.minimum_calls = 100;
    c.consecutive_failures = 3;
    struct breaker *b = make(&c);

    calls(b, 2, BREAKER_FAILURE);
    call(b, BREAKER_SUCCESS);
    calls(b, 2, BREAKER_FAILURE);
    call(b, BREAKER_IGNORED);
    assert_state(b, CLOSED);
    breaker_reset(b); /* a new state counts anew */
    calls(b, 2, BREAKER_FAILURE);
    assert_state(b, CLOSED);
    call(b, BREAKER_FAILURE);
    assert_state(b, OPEN);
    go(b, BREAKER_METRICS_ONLY);
    calls(b, 9, BREAKER_FAILURE);
    assert_state(b, METRICS_ONLY);
    breaker_destroy(b);
}
END_TEST

/* transitionOnResult: CLOSED only, not for ignored, no attempt counted; a late one changes nothing. */
START_TEST(answer_may_open_for_a_time)
{
    struct breaker_config c = plain_config();
    struct breaker *b = make(&c);
    struct breaker_permit p = take(b, 0), late = take(b, 0);

    breaker_complete_open_for(b, &p, BREAKER_IGNORED, 0, NULL, 5 * SEC);
    assert_state(b, CLOSED);
    p = take(b, 0);
    breaker_complete_open_for(b, &p, BREAKER_SUCCESS, 0, NULL, 5 * SEC);
    ck_assert_uint_eq(look(b).open_for_ns, 5 * SEC);
    ck_assert_uint_eq(look(b).attempt, 0);
    breaker_complete_open_for(b, &late, BREAKER_FAILURE, 0, NULL, 900 * SEC);
    ck_assert_uint_eq(look(b).open_for_ns, 5 * SEC);
    test_now_ns += 5 * SEC + 1;
    p = take(b, 0);
    breaker_complete_open_for(b, &p, BREAKER_SUCCESS, 0, NULL, 5 * SEC);
    assert_state(b, HALF_OPEN);
    go(b, BREAKER_CLOSED);
    p = take(b, 0);
    breaker_complete_open_for(b, &p, BREAKER_FAILURE, 0, NULL, UINT64_MAX); /* clamped */
    ck_assert_uint_le(look(b).open_for_ns, (uint64_t)BREAKER_WAIT_LIMIT_MS * MS);
    breaker_destroy(b);
}
END_TEST

/* Section 11: DISABLED or FORCED_OPEN -> OPEN and then a late result divided by zero elsewhere. */
START_TEST(open_after_a_state_without_window)
{
    static const enum breaker_state before[] = {BREAKER_DISABLED, BREAKER_FORCED_OPEN};
    struct breaker_config c = plain_config();

    for (int i = 0; i < 2; i++) {
        struct breaker *b = make(&c);
        struct breaker_permit old = take(b, 0);
        go(b, before[i]);
        go(b, BREAKER_OPEN);
        breaker_complete(b, &old, BREAKER_FAILURE, 0, NULL);
        ck_assert(look(b).failure_rate == -1.0f);
        test_now_ns += SEC + 1;
        calls(b, 3, BREAKER_SUCCESS);
        assert_state(b, CLOSED);
        breaker_destroy(b);
    }
}
END_TEST

/* The cause of the last failure is readable, cut between characters. */
START_TEST(last_cause_is_readable)
{
    struct breaker_config c = plain_config();
    struct breaker *b = make(&c);
    char longer[200] = "x";

    for (int i = 0; i < 60; i++)
        strcat(longer, "연");
    struct breaker_permit p = take(b, 0);
    breaker_complete(b, &p, BREAKER_FAILURE, 0, longer);
    ck_assert_uint_eq(strlen(look(b).last_cause), 94); /* 1 + 31 * 3 of at most 95 */
    ck_assert(memcmp(look(b).last_cause, longer, 94) == 0);
    calls(b, 3, BREAKER_FAILURE);
    ck_assert_str_eq(look(b).trip_cause, "refused by test");
    ck_assert_uint_eq(look(b).last_cause_at_ns, test_now_ns);
    breaker_destroy(b);
}
END_TEST

START_TEST(operator_is_told_what_is_not_allowed)
{
    struct breaker_config c = plain_config();
    struct breaker *b = make(&c);
    char err[200] = "";

    ck_assert(!breaker_transition(b, BREAKER_HALF_OPEN, BREAKER_WAIT_CONFIGURED, err, sizeof err));
    ck_assert_str_eq(err, "breaker test is CLOSED and cannot go to HALF_OPEN from there");
    go(b, BREAKER_METRICS_ONLY);
    ck_assert(!breaker_transition(b, BREAKER_OPEN, BREAKER_WAIT_CONFIGURED, err, sizeof err));
    ck_assert(!breaker_transition(b, BREAKER_HALF_OPEN, BREAKER_WAIT_CONFIGURED, NULL, 0));
    ck_assert(!breaker_transition(b, (enum breaker_state)77, BREAKER_WAIT_CONFIGURED, err, sizeof err));
    assert_state(b, METRICS_ONLY);
    breaker_destroy(b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("breaker");
    TCase *t = tcase_create("ours");

    tcase_add_test(t, outcome_of_an_older_state_is_late);
    tcase_add_test(t, stranger_does_not_grow_the_budget);
    tcase_add_test(t, lost_probe_is_a_failure);
    tcase_add_test(t, breaker_with_all_probes_lost_opens_again);
    tcase_add_test(t, completed_permits_are_not_lost);
    tcase_add_test(t, lost_permit_does_not_touch_its_successor);
    tcase_add_test(t, permit_of_an_older_state_is_never_lost);
    tcase_add_test(t, clock_that_steps_back_is_held);
    tcase_add_test(t, reset_cancels_the_half_open_limit_and_the_wait);
    tcase_add_test(t, rejection_tells_the_time_left);
    tcase_add_test(t, lazy_open_waits_for_an_acquire);
    tcase_add_test(t, defaults_bound_half_open);
    tcase_add_test(t, long_silence_is_bounded_work);
    tcase_add_test(t, early_verdict_comes_when_certain);
    tcase_add_test(t, no_early_verdict_by_default);
    tcase_add_test(t, consecutive_failures_trip);
    tcase_add_test(t, answer_may_open_for_a_time);
    tcase_add_test(t, open_after_a_state_without_window);
    tcase_add_test(t, last_cause_is_readable);
    tcase_add_test(t, operator_is_told_what_is_not_allowed);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
