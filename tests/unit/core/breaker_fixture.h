/* A breaker on a clock the test owns, and what the tests of the breaker share. */
#ifndef TESTS_BREAKER_FIXTURE_H
#define TESTS_BREAKER_FIXTURE_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "pcs/core/breaker.h"

#define MS  UINT64_C(1000000)
#define SEC (1000 * MS)

static uint64_t test_now_ns;

static inline uint64_t test_clock(void *arg)
{
    (void)arg;
    return __atomic_load_n(&test_now_ns, __ATOMIC_RELAXED);
}

/* Resilience4j's plain rules: constant wait of 1 s, lazy, half-open for ever; count window of 4. */
static inline struct breaker_config plain_config(void)
{
    struct breaker_config c = breaker_config_default();
    c.window_size = 4;
    c.minimum_calls = 4;
    c.failure_rate = 50;
    c.slow_call_rate = 100;
    c.slow_duration_ns = (int64_t)SEC;
    c.wait_ms = 1000;
    c.wait_multiplier = 1;
    c.wait_max_ms = 0;
    c.wait_jitter = 0;
    c.automatic_half_open = false;
    c.half_open_max_ms = 0;
    c.mono_ns = test_clock;
    return c;
}

static inline struct breaker *make(const struct breaker_config *c)
{
    char err[200] = "";
    test_now_ns = 1000 * SEC;
    struct breaker *b = breaker_create("test", c, err, sizeof err);
    ck_assert_msg(b != NULL, "%s", err);
    return b;
}

static inline struct breaker_permit take(struct breaker *b, uint64_t deadline_ns)
{
    struct breaker_permit p;
    ck_assert(breaker_acquire(b, deadline_ns, &p, NULL));
    return p;
}

static inline bool rejected(struct breaker *b)
{
    struct breaker_permit p;
    bool ok = breaker_acquire(b, 0, &p, NULL);
    breaker_release(b, &p);
    return !ok;
}

static inline void call(struct breaker *b, enum breaker_outcome outcome)
{
    struct breaker_permit p = take(b, 0);
    breaker_complete(b, &p, outcome, 0, "refused by test");
}

static inline void calls(struct breaker *b, int n, enum breaker_outcome outcome)
{
    for (int i = 0; i < n; i++)
        call(b, outcome);
}

static inline struct breaker_snapshot look(struct breaker *b)
{
    struct breaker_snapshot s;
    breaker_snapshot(b, &s);
    return s;
}

static inline void go(struct breaker *b, enum breaker_state to)
{
    char err[200];
    ck_assert_msg(breaker_transition(b, to, BREAKER_WAIT_CONFIGURED, err, sizeof err), "%s", err);
}

#define assert_state(b, wanted) ck_assert_str_eq(breaker_state_name(look(b).state), #wanted)

#endif
