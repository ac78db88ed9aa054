/* Circuit breaker: what operators do and read: transitions, reset, new thresholds, snapshot, names. */
#include <stdio.h>
#include <string.h>

#include "core/breaker_impl.h"

static const char *const state_names[BREAKER_STATE_COUNT] = {
    [BREAKER_CLOSED] = "CLOSED",
    [BREAKER_OPEN] = "OPEN",
    [BREAKER_HALF_OPEN] = "HALF_OPEN",
    [BREAKER_DISABLED] = "DISABLED",
    [BREAKER_METRICS_ONLY] = "METRICS_ONLY",
    [BREAKER_FORCED_OPEN] = "FORCED_OPEN",
};

static const char *const event_names[BREAKER_EVENT_COUNT] = {
    [BREAKER_EVENT_SUCCESS] = "SUCCESS",
    [BREAKER_EVENT_ERROR] = "ERROR",
    [BREAKER_EVENT_IGNORED_ERROR] = "IGNORED_ERROR",
    [BREAKER_EVENT_NOT_PERMITTED] = "NOT_PERMITTED",
    [BREAKER_EVENT_FAILURE_RATE_EXCEEDED] = "FAILURE_RATE_EXCEEDED",
    [BREAKER_EVENT_SLOW_CALL_RATE_EXCEEDED] = "SLOW_CALL_RATE_EXCEEDED",
    [BREAKER_EVENT_STATE_TRANSITION] = "STATE_TRANSITION",
    [BREAKER_EVENT_RESET] = "RESET",
    [BREAKER_EVENT_CONSECUTIVE_FAILURES_EXCEEDED] = "CONSECUTIVE_FAILURES_EXCEEDED",
    [BREAKER_EVENT_LATE] = "LATE",
};

const char *breaker_state_name(enum breaker_state state)
{
    return (unsigned)state < BREAKER_STATE_COUNT ? state_names[state] : "?";
}

const char *breaker_event_name(enum breaker_event_type type)
{
    return (unsigned)type < BREAKER_EVENT_COUNT ? event_names[type] : "?";
}

bool breaker_state_parse(const char *name, enum breaker_state *out)
{
    for (int i = 0; i < BREAKER_STATE_COUNT; i++) {
        if (strcmp(name, state_names[i]) == 0) {
            *out = (enum breaker_state)i;
            return true;
        }
    }
    return false;
}

bool breaker_transition(struct breaker *b, enum breaker_state to, int64_t wait_ms, char *err, size_t errlen)
{
    struct breaker_outbox box;

    if ((unsigned)to >= BREAKER_STATE_COUNT) {
        if (err != NULL && errlen > 0)
            snprintf(err, errlen, "no such breaker state");
        return false;
    }
    uint64_t now_ns = breaker_enter(b, &box);
    enum breaker_state from = b->state;
    bool allowed = breaker_state_may_go(from, to);
    if (allowed)
        breaker_state_enter(b, &box, to, "operator", wait_ms < 0 ? UINT64_MAX : breaker_ms_to_ns(wait_ms),
                            now_ns);
    breaker_leave(b, &box);
    if (!allowed && err != NULL && errlen > 0)
        snprintf(err, errlen, "breaker %s is %s and cannot go to %s from there", b->name,
                 breaker_state_name(from), breaker_state_name(to));
    return allowed;
}

void breaker_reset(struct breaker *b)
{
    struct breaker_outbox box;
    uint64_t now_ns = breaker_enter(b, &box);

    breaker_state_enter(b, &box, BREAKER_CLOSED, "reset", 0, now_ns);
    breaker_outbox_add(b, &box, BREAKER_EVENT_RESET, now_ns);
    breaker_leave(b, &box);
}

static bool same_window(const struct breaker_window *a, const struct breaker_window *b)
{
    return a->timed == b->timed && a->size == b->size;
}

/* Leaves the old buffers in `fresh`, to be freed outside the mutex. */
static void swap_window(struct breaker_window *old, struct breaker_window *fresh, uint64_t second)
{
    if (same_window(old, fresh))
        return;
    breaker_window_carry(fresh, old, second);
    struct breaker_window t = *old;
    *old = *fresh;
    *fresh = t;
}

bool breaker_reconfigure(struct breaker *b, const struct breaker_config *cfg, char *err, size_t errlen)
{
    struct breaker_outbox box;
    struct breaker_window closed = {0}, probes = {0};

    if (!breaker_config_check(cfg, err, errlen))
        return false;
    bool ok = breaker_window_init(&closed, cfg->window_type == BREAKER_WINDOW_TIME,
                                  (uint32_t)cfg->window_size, 0) &&
              breaker_window_init(&probes, false, (uint32_t)cfg->half_open_permits, 0);
    if (ok) {
        uint64_t now_ns = breaker_enter(b, &box);
        struct breaker_config old = b->cfg;
        b->cfg = *cfg;
        b->cfg.mono_ns = old.mono_ns;
        b->cfg.mono_arg = old.mono_arg;
        b->cfg.random01 = old.random01;
        b->cfg.random_arg = old.random_arg;
        swap_window(&b->closed, &closed, now_ns / NS_PER_SEC);
        swap_window(&b->probes, &probes, now_ns / NS_PER_SEC);
        /* With fewer permits all results may be in already, and no other would come to judge them. */
        if (b->state == BREAKER_HALF_OPEN && b->probes.sum.total >= breaker_state_minimum(b))
            breaker_state_judge_half_open(b, &box, now_ns);
        breaker_leave(b, &box);
    } else if (err != NULL && errlen > 0) {
        snprintf(err, errlen, "out of memory");
    }
    breaker_window_free(&closed);
    breaker_window_free(&probes);
    return ok;
}

void breaker_set_listener(struct breaker *b, void (*fn)(const struct breaker_event *ev, void *arg), void *arg)
{
    pthread_mutex_lock(&b->lock);
    b->listener = fn;
    b->listener_arg = arg;
    pthread_mutex_unlock(&b->lock);
}

/* Counts and rates of the window shown; none is shown in DISABLED and FORCED_OPEN. */
static void snapshot_window(struct breaker *b, uint64_t now_ns, struct breaker_snapshot *out)
{
    out->failure_rate = out->slow_call_rate = -1.0f;
    if (b->shown == NULL)
        return;
    breaker_window_age(b->shown, now_ns / NS_PER_SEC);
    const struct breaker_counts *c = &b->shown->sum;
    out->buffered = c->total;
    out->failed = c->failed;
    out->successful = c->total - c->failed;
    out->slow = c->slow;
    out->slow_failed = c->slow_failed;
    out->slow_successful = c->slow - c->slow_failed;
    if (c->total == 0 || c->total < breaker_state_minimum(b))
        return;
    out->failure_rate = breaker_window_rate(c->failed, c->total);
    out->slow_call_rate = breaker_window_rate(c->slow, c->total);
}

void breaker_snapshot(struct breaker *b, struct breaker_snapshot *out)
{
    struct breaker_outbox box;
    uint64_t now_ns = breaker_enter(b, &box);

    memset(out, 0, sizeof *out);
    breaker_copy_text(out->name, sizeof out->name, b->name);
    out->state = b->state;
    snapshot_window(b, now_ns, out);
    out->consecutive = b->consecutive;
    out->not_permitted = b->not_permitted;
    if (b->state == BREAKER_OPEN && b->open_until_ns > now_ns)
        out->open_for_ns = b->open_until_ns - now_ns;
    out->since_ns = b->entered_ns;
    out->epoch = b->epoch;
    out->attempt = b->attempt;
    if (b->state == BREAKER_HALF_OPEN && (uint64_t)b->cfg.half_open_permits > b->permits_taken)
        out->half_open_permits_left = b->cfg.half_open_permits - (int64_t)b->permits_taken;
    memcpy(out->calls, b->calls, sizeof out->calls);
    memcpy(out->duration_ns, b->duration_ns, sizeof out->duration_ns);
    memcpy(out->slow_calls, b->slow_calls, sizeof out->slow_calls);
    out->rejected = b->rejected;
    out->late = b->late;
    out->lost = b->lost;
    memcpy(out->transitions, b->transitions, sizeof out->transitions);
    breaker_copy_text(out->last_cause, sizeof out->last_cause, b->last_cause);
    out->last_cause_at_ns = b->last_cause_at_ns;
    breaker_copy_text(out->trip_cause, sizeof out->trip_cause, b->trip_cause);
    breaker_leave(b, &box);
}
