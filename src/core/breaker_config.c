/* Circuit breaker: defaults, validation and the length of an OPEN period. */
#include <math.h>
#include <stdio.h>

#include "core/breaker_impl.h"

struct breaker_config breaker_config_default(void)
{
    return (struct breaker_config){
        .window_type = BREAKER_WINDOW_COUNT,
        .window_size = 20,
        .minimum_calls = 10,
        .failure_rate = 50,
        .slow_call_rate = 80,
        .half_open_permits = 3,
        .wait_ms = 10000,
        .wait_multiplier = 2,
        .wait_max_ms = 60000,
        .wait_jitter = 0.2,
        .automatic_half_open = true,
        .half_open_max_ms = 30000,
        .half_open_max_to = BREAKER_OPEN,
        .initial_state = BREAKER_CLOSED,
        .lease_grace_ms = 1000,
    };
}

/* Writes "<field> must be <what>, not <value>" and returns false. */
static bool refuse(char *err, size_t errlen, const char *field, const char *what, double value)
{
    if (err != NULL && errlen > 0)
        snprintf(err, errlen, "%s must be %s, not %.15g", field, what, value);
    return false;
}

/* Compared as the rates are: in single precision. NaN fails both comparisons. */
static bool percent_ok(double x)
{
    return (float)x > 0.0f && (float)x <= 100.0f;
}

static bool window_ok(const struct breaker_config *c, char *err, size_t errlen)
{
    if (c->window_type != BREAKER_WINDOW_COUNT && c->window_type != BREAKER_WINDOW_TIME)
        return refuse(err, errlen, "window_type", "COUNT_BASED (0) or TIME_BASED (1)",
                      (double)c->window_type);
    bool timed = c->window_type == BREAKER_WINDOW_TIME;
    if (c->window_size < 1 || c->window_size > (timed ? BREAKER_MAX_TIME_WINDOW : BREAKER_MAX_COUNT_WINDOW))
        return refuse(err, errlen, "window_size", timed ? "1 to 86400 seconds" : "1 to 1000000 calls",
                      (double)c->window_size);
    if (c->minimum_calls < 1)
        return refuse(err, errlen, "minimum_calls", "at least 1", (double)c->minimum_calls);
    return true;
}

static bool thresholds_ok(const struct breaker_config *c, char *err, size_t errlen)
{
    static const char percent[] = "more than 0 and at most 100 (percent)";

    if (!percent_ok(c->failure_rate))
        return refuse(err, errlen, "failure_rate", percent, c->failure_rate);
    if (!percent_ok(c->slow_call_rate))
        return refuse(err, errlen, "slow_call_rate", percent, c->slow_call_rate);
    if (c->slow_duration_ns < 1)
        return refuse(err, errlen, "slow_duration_ns", "at least 1", (double)c->slow_duration_ns);
    if (c->consecutive_failures < 0)
        return refuse(err, errlen, "consecutive_failures", "0 (off) or more",
                      (double)c->consecutive_failures);
    return true;
}

static bool waits_ok(const struct breaker_config *c, char *err, size_t errlen)
{
    if (c->wait_ms < 1)
        return refuse(err, errlen, "wait_ms", "at least 1", (double)c->wait_ms);
    if (!(c->wait_multiplier >= 1.0) || isinf(c->wait_multiplier))
        return refuse(err, errlen, "wait_multiplier", "a number of at least 1", c->wait_multiplier);
    if (c->wait_max_ms < 0)
        return refuse(err, errlen, "wait_max_ms", "0 (no cap) or more", (double)c->wait_max_ms);
    if (!(c->wait_jitter >= 0.0 && c->wait_jitter <= 1.0))
        return refuse(err, errlen, "wait_jitter", "0 to 1", c->wait_jitter);
    if (c->half_open_max_ms < 0)
        return refuse(err, errlen, "half_open_max_ms", "0 (for ever) or more", (double)c->half_open_max_ms);
    if (c->lease_grace_ms < -1)
        return refuse(err, errlen, "lease_grace_ms", "-1 (off) or more", (double)c->lease_grace_ms);
    return true;
}

static bool states_ok(const struct breaker_config *c, char *err, size_t errlen)
{
    if (c->half_open_permits < 1 || c->half_open_permits > BREAKER_MAX_HALF_OPEN_PERMITS)
        return refuse(err, errlen, "half_open_permits", "1 to 65536", (double)c->half_open_permits);
    if (c->half_open_max_to != BREAKER_OPEN && c->half_open_max_to != BREAKER_CLOSED) {
        if (err != NULL && errlen > 0)
            snprintf(err, errlen, "half_open_max_to must be OPEN or CLOSED, not %s",
                     breaker_state_name(c->half_open_max_to));
        return false;
    }
    if ((unsigned)c->initial_state >= BREAKER_STATE_COUNT)
        return refuse(err, errlen, "initial_state", "one of the six states", (double)c->initial_state);
    return true;
}

bool breaker_config_check(const struct breaker_config *cfg, char *err, size_t errlen)
{
    return window_ok(cfg, err, errlen) && thresholds_ok(cfg, err, errlen) && waits_ok(cfg, err, errlen) &&
           states_ok(cfg, err, errlen);
}

uint64_t breaker_add_ns(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

uint64_t breaker_ms_to_ns(int64_t ms)
{
    if (ms < 0)
        return 0;
    return (uint64_t)(ms > BREAKER_WAIT_LIMIT_MS ? BREAKER_WAIT_LIMIT_MS : ms) * NS_PER_MS;
}

/* initial * m^(attempt-1), truncated to ms at each multiplication; clamped before it becomes an integer. */
static int64_t backoff_base_ms(const struct breaker_config *c, uint32_t attempt, int64_t cap)
{
    int64_t ms = c->wait_ms < cap ? c->wait_ms : cap;
    for (uint32_t n = 1; n < attempt; n++) {
        double next = (double)ms * c->wait_multiplier;
        if (!(next < (double)cap))
            return cap;
        if ((int64_t)next == ms)
            return ms; /* truncation holds it for ever */
        ms = (int64_t)next;
    }
    return ms;
}

/* xorshift64*: spreads retries of several instances; nothing secret depends on it. */
static double own_random01(struct breaker *b)
{
    uint64_t x = b->random_state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    b->random_state = x;
    return (double)((x * UINT64_C(2685821657736338717)) >> 11) / 9007199254740992.0;
}

/* The cap is a cap: at it the jitter only shortens, so that instances still spread. */
uint64_t breaker_backoff_ns(struct breaker *b, uint32_t attempt)
{
    const struct breaker_config *c = &b->cfg;
    int64_t cap =
        c->wait_max_ms > 0 && c->wait_max_ms < BREAKER_WAIT_LIMIT_MS ? c->wait_max_ms : BREAKER_WAIT_LIMIT_MS;
    int64_t ms = backoff_base_ms(c, attempt, cap);
    if (c->wait_jitter > 0) {
        double low = (double)ms * (1.0 - c->wait_jitter);
        double high = (double)ms * (1.0 + c->wait_jitter);
        if (high > (double)cap)
            high = (double)cap;
        double r = c->random01 != NULL ? c->random01(c->random_arg) : own_random01(b);
        if (!(r >= 0.0 && r < 1.0))
            r = 0.5;
        ms = (int64_t)(low + r * (high - low));
        if (ms < 1)
            ms = 1;
    }
    return breaker_ms_to_ns(ms);
}
