/*
 * Circuit breaker: the state machine.
 *
 *                rate >= threshold, k failures in a row, or "open for" from an answer
 *      ┌────────┐ ─────────────────────────────────────────────────────────────► ┌──────┐
 *      │ CLOSED │                                                                │ OPEN │ ◄─┐
 *      └────────┘ ◄──┐                                                           └──┬───┘   │
 *                    │                      wait over: by itself (automatic) or     │       │
 *                    │                      on the next acquire (lazy)              ▼       │
 *                    │  enough results, rates below the thresholds           ┌───────────┐  │
 *                    └────────────────────────────────────────────────────── │ HALF_OPEN │ ─┘
 *                                                                            └───────────┘
 *                                   enough results, a rate at its threshold; or half_open_max_ms is over
 *
 * DISABLED, METRICS_ONLY, FORCED_OPEN: entered and left by an operator only. reset: any -> CLOSED. An operator may
 * not go CLOSED -> HALF_OPEN, METRICS_ONLY -> OPEN, METRICS_ONLY -> HALF_OPEN.
 *
 * There are no armed timers: the due time follows from the state, its entry and the configuration, so a
 * transition or reset cannot leave one behind.
 */
#include <assert.h>
#include <string.h>

#include "core/breaker_impl.h"

/* Cycles of OPEN and HALF_OPEN that nobody looked at are made up for in their own time up to here; the next
 * one starts now. Bounds the work of the first call after a long silence. */
#define CATCH_UP_MAX 64

static const char reason_failure_rate[] = "failure_rate";
static const char reason_slow_rate[] = "slow_call_rate";
static const char reason_consecutive[] = "consecutive_failures";

bool breaker_state_may_go(enum breaker_state from, enum breaker_state to)
{
    if (from == BREAKER_CLOSED)
        return to != BREAKER_HALF_OPEN;
    if (from == BREAKER_METRICS_ONLY)
        return to != BREAKER_HALF_OPEN && to != BREAKER_OPEN;
    return true;
}

static bool publishes(enum breaker_state state, enum breaker_event_type type)
{
    if (type == BREAKER_EVENT_STATE_TRANSITION || type == BREAKER_EVENT_RESET)
        return true;
    return state != BREAKER_DISABLED && state != BREAKER_FORCED_OPEN;
}

struct breaker_event *breaker_outbox_add(struct breaker *b, struct breaker_outbox *box,
                                         enum breaker_event_type type, uint64_t at_ns)
{
    if (b->listener == NULL || !publishes(b->state, type))
        return NULL;
    assert(box->count < OUTBOX_SIZE);
    box->listener = b->listener;
    box->listener_arg = b->listener_arg;
    struct breaker_event *ev = &box->event[box->count++];
    memset(ev, 0, sizeof *ev);
    ev->type = type;
    ev->seq = ++b->event_seq;
    ev->at_ns = at_ns;
    ev->breaker = b->name;
    ev->from = ev->to = b->state;
    return ev;
}

/* What each state starts with: window, counter, attempt, wait. */
static void state_prepare(struct breaker *b, enum breaker_state to, uint64_t open_for_ns, uint64_t at_ns)
{
    switch (to) {
    case BREAKER_OPEN: /* keeps its predecessor's window and counter */
        if (open_for_ns == UINT64_MAX) {
            b->attempt += b->attempt < UINT32_MAX ? 1 : 0;
            open_for_ns = breaker_backoff_ns(b, b->attempt);
        }
        b->open_until_ns = breaker_add_ns(at_ns, open_for_ns);
        breaker_copy_text(b->trip_cause, sizeof b->trip_cause, b->last_cause);
        return;
    case BREAKER_HALF_OPEN:
        breaker_window_clear(&b->probes, at_ns / NS_PER_SEC);
        b->shown = &b->probes;
        b->permits_taken = 0;
        break;
    case BREAKER_CLOSED:
    case BREAKER_METRICS_ONLY:
        breaker_window_clear(&b->closed, at_ns / NS_PER_SEC);
        b->shown = &b->closed;
        b->attempt = 0;
        break;
    case BREAKER_FORCED_OPEN:
        b->shown = NULL;
        b->attempt += b->attempt < UINT32_MAX ? 1 : 0;
        break;
    default:
        b->shown = NULL;
        b->attempt = 0;
        break;
    }
    b->not_permitted = 0;
}

void breaker_state_enter(struct breaker *b, struct breaker_outbox *box, enum breaker_state to,
                         const char *reason, uint64_t open_for_ns, uint64_t at_ns)
{
    enum breaker_state from = b->state;

    assert(from == to || breaker_state_may_go(from, to));
    state_prepare(b, to, open_for_ns, at_ns);
    b->state = to;
    b->epoch++;
    b->entered_ns = at_ns;
    b->consecutive = 0;
    b->failure_alarm = b->slow_alarm = b->consecutive_alarm = false;
    breaker_lease_clear(&b->leases);
    if (from == to)
        return;
    b->transitions[to]++;
    struct breaker_event *ev = breaker_outbox_add(b, box, BREAKER_EVENT_STATE_TRANSITION, at_ns);
    if (ev != NULL) {
        ev->from = from;
        ev->reason = reason;
        ev->open_for_ns = to == BREAKER_OPEN ? b->open_until_ns - at_ns : 0;
    }
}

uint64_t breaker_state_minimum(const struct breaker *b)
{
    uint64_t minimum = (uint64_t)b->cfg.minimum_calls;
    if (b->shown != NULL && !b->shown->timed && b->shown->size < minimum)
        return b->shown->size; /* a time window never lowers it */
    return minimum;
}

static void publish_rate(struct breaker *b, struct breaker_outbox *box, enum breaker_event_type type,
                         float rate, uint64_t at_ns)
{
    struct breaker_event *ev = breaker_outbox_add(b, box, type, at_ns);
    if (ev != NULL)
        ev->rate = rate;
}

/* CLOSED and METRICS_ONLY: the rates after a completion. METRICS_ONLY publishes each alarm once per stay. */
static void judge_closed(struct breaker *b, struct breaker_outbox *box, uint64_t at_ns)
{
    const struct breaker_counts *c = &b->closed.sum;
    bool trips = b->state == BREAKER_CLOSED;
    const char *reason = NULL;

    if (c->total >= breaker_state_minimum(b)) {
        float failed = breaker_window_rate(c->failed, c->total),
              slow = breaker_window_rate(c->slow, c->total);
        if (failed >= (float)b->cfg.failure_rate && !b->failure_alarm) {
            b->failure_alarm = true;
            reason = reason_failure_rate;
            publish_rate(b, box, BREAKER_EVENT_FAILURE_RATE_EXCEEDED, failed, at_ns);
        }
        if (slow >= (float)b->cfg.slow_call_rate && !b->slow_alarm) {
            b->slow_alarm = true;
            reason = reason != NULL ? reason : reason_slow_rate;
            publish_rate(b, box, BREAKER_EVENT_SLOW_CALL_RATE_EXCEEDED, slow, at_ns);
        }
    }
    uint64_t run = (uint64_t)b->cfg.consecutive_failures;
    if (run > 0 && b->consecutive >= run && !b->consecutive_alarm) {
        b->consecutive_alarm = true;
        reason = reason != NULL ? reason : reason_consecutive;
        breaker_outbox_add(b, box, BREAKER_EVENT_CONSECUTIVE_FAILURES_EXCEEDED, at_ns);
    }
    if (trips && reason != NULL)
        breaker_state_enter(b, box, BREAKER_OPEN, reason, UINT64_MAX, at_ns);
}

/* The reason to reopen once `total` results of which so many were bad, NULL = to close. */
static const char *half_open_fault(const struct breaker *b, uint64_t failed, uint64_t slow, uint64_t total)
{
    if (breaker_window_rate(failed, total) >= (float)b->cfg.failure_rate)
        return reason_failure_rate;
    if (breaker_window_rate(slow, total) >= (float)b->cfg.slow_call_rate)
        return reason_slow_rate;
    return NULL;
}

void breaker_state_judge_half_open(struct breaker *b, struct breaker_outbox *box, uint64_t at_ns)
{
    const struct breaker_counts *c = &b->probes.sum;
    uint64_t needed = breaker_state_minimum(b);
    const char *fault;

    if (c->total >= needed) {
        fault = half_open_fault(b, c->failed, c->slow, c->total);
    } else if (b->cfg.early_verdict) {
        uint64_t open = needed - c->total;
        fault = half_open_fault(b, c->failed, c->slow, needed);
        if (fault == NULL && half_open_fault(b, c->failed + open, c->slow + open, needed) != NULL)
            return; /* may still go either way */
    } else {
        return;
    }
    if (fault != NULL)
        breaker_state_enter(b, box, BREAKER_OPEN, fault, UINT64_MAX, at_ns);
    else
        breaker_state_enter(b, box, BREAKER_CLOSED, "probes_passed", 0, at_ns);
}

void breaker_state_record(struct breaker *b, struct breaker_outbox *box, enum breaker_outcome outcome,
                          uint64_t duration_ns, const char *cause, uint64_t at_ns)
{
    bool failed = outcome == BREAKER_FAILURE, slow = duration_ns > (uint64_t)b->cfg.slow_duration_ns;

    if (b->state != BREAKER_CLOSED && b->state != BREAKER_METRICS_ONLY && b->state != BREAKER_HALF_OPEN)
        return;
    struct breaker_event *ev =
        breaker_outbox_add(b, box, failed ? BREAKER_EVENT_ERROR : BREAKER_EVENT_SUCCESS, at_ns);
    if (ev != NULL) {
        ev->outcome = outcome;
        ev->duration_ns = duration_ns;
        ev->cause = failed ? cause : NULL;
    }
    b->calls[outcome]++;
    b->slow_calls[outcome] += slow ? 1 : 0;
    b->duration_ns[outcome] += duration_ns;
    b->consecutive = failed ? b->consecutive + 1 : 0;
    if (failed) {
        breaker_copy_text(b->last_cause, sizeof b->last_cause, cause);
        b->last_cause_at_ns = at_ns;
    }
    breaker_window_add(b->shown, at_ns / NS_PER_SEC, failed, slow);
    if (b->state == BREAKER_HALF_OPEN)
        breaker_state_judge_half_open(b, box, at_ns);
    else
        judge_closed(b, box, at_ns);
}

uint64_t breaker_state_due_ns(const struct breaker *b)
{
    if (b->state == BREAKER_OPEN && b->cfg.automatic_half_open)
        return b->open_until_ns;
    if (b->state == BREAKER_HALF_OPEN && b->cfg.half_open_max_ms > 0)
        return breaker_add_ns(b->entered_ns, breaker_ms_to_ns(b->cfg.half_open_max_ms));
    return UINT64_MAX;
}

bool breaker_state_fire_due(struct breaker *b, struct breaker_outbox *box, uint64_t now_ns, unsigned fired)
{
    uint64_t state_due = breaker_state_due_ns(b), lease_due = breaker_lease_next_due(&b->leases);

    if (state_due > now_ns && lease_due > now_ns)
        return false;
    if (lease_due < state_due) {
        uint64_t taken_ns = breaker_lease_expire(&b->leases);
        b->lost++;
        breaker_state_record(b, box, BREAKER_FAILURE, lease_due - taken_ns, "lost", lease_due);
        return true;
    }
    uint64_t at_ns = fired < CATCH_UP_MAX ? state_due : now_ns;
    if (b->state == BREAKER_OPEN)
        breaker_state_enter(b, box, BREAKER_HALF_OPEN, "wait_over", 0, at_ns);
    else
        breaker_state_enter(b, box, b->cfg.half_open_max_to, "half_open_timeout", UINT64_MAX, at_ns);
    return true;
}
