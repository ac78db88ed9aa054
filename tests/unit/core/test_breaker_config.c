/* Circuit breaker: validation, back-off and jitter, new settings at run time, listener. */
#include <math.h>

#include "breaker_fixture.h"

/* BREAKER table of options: each wrong value is refused with a sentence that names the field. */
START_TEST(wrong_values_are_refused_by_name)
{
    static const struct {
        const char *field;
        size_t offset;
        bool is_double;
        double value;
    } bad[] = {
#define INT(f, v) {#f, offsetof(struct breaker_config, f), false, v}
#define DBL(f, v)                                                                                            \
    {                                                                                                        \
#f, offsetof(struct breaker_config, f), true, v                                                      \
    }
        INT(window_size, 0),
        INT(window_size, 1000001),
        INT(minimum_calls, 0),
        INT(slow_duration_ns, 0),
        INT(half_open_permits, 0),
        INT(half_open_permits, 65537),
        INT(wait_ms, 0),
        INT(wait_max_ms, -1),
        INT(half_open_max_ms, -1),
        INT(consecutive_failures, -1),
        INT(lease_grace_ms, -2),
        DBL(failure_rate, 0),
        DBL(failure_rate, 100.5),
        DBL(failure_rate, NAN),
        DBL(failure_rate, INFINITY),
        DBL(failure_rate, 1e-60),
        DBL(slow_call_rate, -1),
        DBL(slow_call_rate, NAN),
        DBL(wait_multiplier, 0.5),
        DBL(wait_multiplier, NAN),
        DBL(wait_multiplier, INFINITY),
        DBL(wait_jitter, -0.1),
        DBL(wait_jitter, 1.1),
        DBL(wait_jitter, NAN),
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct breaker_config c = plain_config();
        char err[200] = "";
        if (bad[i].is_double)
            *(double *)(void *)((char *)&c + bad[i].offset) = bad[i].value;
        else
            *(int64_t *)(void *)((char *)&c + bad[i].offset) = (int64_t)bad[i].value;
        ck_assert_msg(breaker_create("x", &c, err, sizeof err) == NULL, "%s", bad[i].field);
        ck_assert_msg(strncmp(err, bad[i].field, strlen(bad[i].field)) == 0, "%s: %s", bad[i].field, err);
    }
}
END_TEST

START_TEST(wrong_states_and_names_are_refused)
{
    struct breaker_config c = plain_config();
    char err[200] = "";

    c.half_open_max_to = BREAKER_HALF_OPEN;
    ck_assert(!breaker_config_check(&c, err, sizeof err));
    ck_assert_str_eq(err, "half_open_max_to must be OPEN or CLOSED, not HALF_OPEN");
    c = plain_config();
    c.initial_state = BREAKER_STATE_COUNT;
    ck_assert(!breaker_config_check(&c, NULL, 0));
    c = plain_config();
    ck_assert(breaker_create("", &c, err, sizeof err) == NULL);
    ck_assert(breaker_create("a name that is much longer than any name of a neighbour ought to be", &c, err,
                             sizeof err) == NULL);
    c.slow_duration_ns = 0;
    ck_assert(!breaker_config_check(&c, err, sizeof err));
    ck_assert_str_eq(err, "slow_duration_ns must be at least 1, not 0");
    enum breaker_state s;
    for (int i = 0; i < BREAKER_STATE_COUNT; i++)
        ck_assert(breaker_state_parse(breaker_state_name((enum breaker_state)i), &s) && (int)s == i);
    ck_assert(!breaker_state_parse("open", &s));
    ck_assert_str_eq(breaker_state_name((enum breaker_state)99), "?");
}
END_TEST

static uint64_t open_again(struct breaker *b)
{
    go(b, BREAKER_OPEN);
    return look(b).open_for_ns;
}

/* initial * m^(n-1), truncated to ms at each step, capped. */
START_TEST(backoff_grows_to_its_cap)
{
    struct breaker_config c = plain_config();
    c.wait_ms = 7;
    c.wait_multiplier = 1.5;
    c.wait_max_ms = 40;
    struct breaker *b = make(&c);
    static const uint64_t wanted[] = {7, 10, 15, 22, 33, 40, 40};

    for (int i = 0; i < 7; i++)
        ck_assert_uint_eq(open_again(b), wanted[i] * MS);
    breaker_reset(b);
    ck_assert_uint_eq(open_again(b), 7 * MS);
    breaker_destroy(b);
}
END_TEST

/* Overflow is clamped, never wrapped: the wait stays within its limit and time stays readable. */
START_TEST(overflow_is_clamped)
{
    struct breaker_config c = plain_config();
    c.wait_ms = INT64_MAX;
    c.wait_multiplier = 1e300;
    c.wait_jitter = 1;
    c.half_open_max_ms = INT64_MAX;
    c.lease_grace_ms = INT64_MAX;
    struct breaker *b = make(&c);

    for (int i = 0; i < 5; i++)
        ck_assert_uint_le(open_again(b), (uint64_t)BREAKER_WAIT_LIMIT_MS * MS);
    go(b, BREAKER_HALF_OPEN);
    take(b, UINT64_MAX);
    assert_state(b, HALF_OPEN);
    breaker_destroy(b);
}
END_TEST

static double fixed_random(void *arg)
{
    return *(double *)arg;
}

/* Default: 10 s x2 to 60 s +-20 %; at the cap the jitter only shortens. */
START_TEST(jitter_spreads_within_the_cap)
{
    static const uint64_t low[] = {8, 16, 32, 48, 48}, high[] = {12, 24, 48, 60, 60};
    double r;
    struct breaker_config c = breaker_config_default();
    c.slow_duration_ns = 1;
    c.mono_ns = test_clock;
    c.random01 = fixed_random;
    c.random_arg = &r;

    for (int side = 0; side < 2; side++) {
        struct breaker *b = make(&c);
        r = side == 0 ? 0.0 : 0.999999999;
        for (int i = 0; i < 5; i++) {
            uint64_t wait = open_again(b), edge = (side == 0 ? low[i] : high[i]) * SEC;
            ck_assert_uint_le(wait > edge ? wait - edge : edge - wait, MS);
            ck_assert_uint_le(wait, 60 * SEC);
        }
        breaker_destroy(b);
    }
}
END_TEST

START_TEST(own_generator_differs_between_breakers)
{
    struct breaker_config c = breaker_config_default();
    uint64_t first = 0;
    int same = 0;

    c.slow_duration_ns = 1;
    c.mono_ns = test_clock;
    for (int i = 0; i < 20; i++) {
        struct breaker *b = make(&c);
        uint64_t wait = open_again(b);
        ck_assert(wait >= 8 * SEC && wait <= 12 * SEC);
        first = i == 0 ? wait : first;
        same += wait == first ? 1 : 0;
        breaker_destroy(b);
    }
    ck_assert_int_lt(same, 10);
}
END_TEST

static void reconfigure(struct breaker *b, const struct breaker_config *c)
{
    char err[200];
    ck_assert_msg(breaker_reconfigure(b, c, err, sizeof err), "%s", err);
}

/* "thresholds reloaded without losing counts or state" */
START_TEST(new_thresholds_keep_counts_and_state)
{
    struct breaker_config c = plain_config();
    c.window_size = c.minimum_calls = 10;
    struct breaker *b = make(&c);
    char err[200] = "";

    calls(b, 3, BREAKER_SUCCESS);
    calls(b, 2, BREAKER_FAILURE);
    struct breaker_permit before = take(b, 0);
    c.failure_rate = 40;
    c.minimum_calls = 5;
    reconfigure(b, &c);
    ck_assert_uint_eq(look(b).buffered, 5);
    assert_state(b, CLOSED); /* judged at the next completion, not by the reload */
    breaker_complete(b, &before, BREAKER_SUCCESS, 0, NULL);
    ck_assert_uint_eq(look(b).late, 0);
    call(b, BREAKER_FAILURE);
    assert_state(b, OPEN);
    c.wait_ms = 77000;
    reconfigure(b, &c);
    ck_assert_uint_eq(look(b).open_for_ns, SEC); /* the running wait is kept */
    ck_assert_uint_eq(look(b).failed, 3);
    c.wait_ms = 0;
    ck_assert(!breaker_reconfigure(b, &c, err, sizeof err));
    ck_assert_str_eq(err, "wait_ms must be at least 1, not 0");
    ck_assert_uint_eq(open_again(b), 77 * SEC);
    breaker_destroy(b);
}
END_TEST

START_TEST(window_keeps_the_newest_when_it_changes)
{
    struct breaker_config c = plain_config();
    c.window_size = c.minimum_calls = 10;
    struct breaker *b = make(&c);

    calls(b, 4, BREAKER_FAILURE);
    calls(b, 5, BREAKER_SUCCESS);
    c.window_size = 7; /* the two oldest failures go */
    reconfigure(b, &c);
    ck_assert_uint_eq(look(b).buffered, 7);
    ck_assert_uint_eq(look(b).failed, 2);
    call(b, BREAKER_SUCCESS);
    ck_assert_uint_eq(look(b).failed, 1);
    c.window_type = BREAKER_WINDOW_TIME; /* into the present second */
    c.window_size = 3;
    reconfigure(b, &c);
    ck_assert_uint_eq(look(b).buffered, 7);
    test_now_ns += SEC;
    calls(b, 2, BREAKER_FAILURE);
    c.window_size = 2;
    reconfigure(b, &c);
    ck_assert_uint_eq(look(b).buffered, 9);
    test_now_ns += SEC;
    ck_assert_uint_eq(look(b).buffered, 2);
    c.window_type = BREAKER_WINDOW_COUNT;
    c.window_size = 10;
    reconfigure(b, &c);
    ck_assert_uint_eq(look(b).failed, 2);
    test_now_ns += 100 * SEC;
    ck_assert_uint_eq(look(b).failed, 2);
    breaker_destroy(b);
}
END_TEST

/* With all results in after the reload nobody else would come to judge them. */
START_TEST(fewer_half_open_permits_are_judged_at_once)
{
    struct breaker_config c = plain_config();
    c.minimum_calls = 100;
    c.half_open_permits = 5;
    struct breaker *b = make(&c);

    go(b, BREAKER_OPEN);
    go(b, BREAKER_HALF_OPEN);
    calls(b, 3, BREAKER_SUCCESS);
    assert_state(b, HALF_OPEN);
    c.half_open_permits = 2;
    reconfigure(b, &c);
    assert_state(b, CLOSED);
    breaker_destroy(b);
}
END_TEST

/* A limit given while HALF_OPEN (for ever until then) holds from the entry on. */
START_TEST(half_open_limit_may_be_added_while_half_open)
{
    struct breaker_config c = plain_config();
    struct breaker *b = make(&c);

    go(b, BREAKER_OPEN);
    go(b, BREAKER_HALF_OPEN);
    test_now_ns += 5 * SEC;
    c.half_open_max_ms = 6000;
    reconfigure(b, &c);
    assert_state(b, HALF_OPEN);
    test_now_ns += SEC;
    assert_state(b, OPEN);
    breaker_destroy(b);
}
END_TEST

struct heard {
    struct breaker *b;
    char log[600];
    uint64_t last_seq;
    const char *reason;
    bool reset_on_open;
};

static void hear(const struct breaker_event *ev, void *arg)
{
    struct heard *h = arg;

    ck_assert_uint_eq(ev->seq, h->last_seq + 1);
    h->last_seq = ev->seq;
    strcat(h->log, breaker_event_name(ev->type));
    if (ev->type == BREAKER_EVENT_STATE_TRANSITION) {
        strcat(h->log, ">");
        strcat(h->log, breaker_state_name(ev->to));
        h->reason = ev->reason;
    }
    strcat(h->log, " ");
    look(h->b); /* would hang if the mutex were held */
    if (h->reset_on_open && ev->type == BREAKER_EVENT_STATE_TRANSITION && ev->to == BREAKER_OPEN)
        breaker_reset(h->b);
}

/* Section 9: outcome, rates, transition; none but transitions and resets in DISABLED. */
START_TEST(listener_hears_in_order)
{
    struct breaker_config c = plain_config();
    c.window_size = 2;
    struct breaker *b = make(&c);
    struct heard h = {.b = b};

    call(b, BREAKER_SUCCESS); /* nobody listens: no event, no number */
    breaker_set_listener(b, hear, &h);
    call(b, BREAKER_IGNORED);
    struct breaker_permit p = take(b, 0), old = take(b, 0);
    breaker_complete(b, &p, BREAKER_FAILURE, 2 * SEC, "x");
    ck_assert(rejected(b));
    breaker_complete(b, &old, BREAKER_SUCCESS, 0, NULL);
    ck_assert_str_eq(h.log, "IGNORED_ERROR ERROR FAILURE_RATE_EXCEEDED STATE_TRANSITION>OPEN NOT_PERMITTED "
                            "LATE ");
    ck_assert_str_eq(h.reason, "failure_rate");
    h.log[0] = '\0';
    go(b, BREAKER_DISABLED);
    calls(b, 2, BREAKER_FAILURE);
    breaker_reset(b);
    ck_assert_str_eq(h.log, "STATE_TRANSITION>DISABLED STATE_TRANSITION>CLOSED RESET ");
    breaker_destroy(b);
}
END_TEST

START_TEST(listener_may_call_the_breaker)
{
    struct breaker_config c = plain_config();
    struct breaker *b = make(&c);
    struct heard h = {.b = b, .reset_on_open = true};

    breaker_set_listener(b, hear, &h);
    calls(b, 4, BREAKER_FAILURE);
    assert_state(b, CLOSED);
    ck_assert(strstr(h.log, "STATE_TRANSITION>OPEN STATE_TRANSITION>CLOSED RESET ") != NULL);
    breaker_destroy(b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("breaker_config");
    TCase *t = tcase_create("config");

    tcase_add_test(t, wrong_values_are_refused_by_name);
    tcase_add_test(t, wrong_states_and_names_are_refused);
    tcase_add_test(t, backoff_grows_to_its_cap);
    tcase_add_test(t, overflow_is_clamped);
    tcase_add_test(t, jitter_spreads_within_the_cap);
    tcase_add_test(t, own_generator_differs_between_breakers);
    tcase_add_test(t, new_thresholds_keep_counts_and_state);
    tcase_add_test(t, window_keeps_the_newest_when_it_changes);
    tcase_add_test(t, fewer_half_open_permits_are_judged_at_once);
    tcase_add_test(t, half_open_limit_may_be_added_while_half_open);
    tcase_add_test(t, listener_hears_in_order);
    tcase_add_test(t, listener_may_call_the_breaker);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
