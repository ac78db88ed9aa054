/* delivery.c - the machine: which event goes out when (CONTRACT.md 3; DESIGN.md, "The journal").
 *
 * The destination's state is its circuit breaker's, read after every event. One answer of its own making does
 * not bring it down: the event waits for its next turn, and the other lines go on.
 *
 *             `consecutive` failures in a row, half of the last 20, or one refused connection
 *        UP ─────────────────────────────────────────────────────────────────────────► DOWN (breaker OPEN)
 *        ▲ as fast as events come;                                                      │ nothing goes out
 *        │ after DOWN, and at start: at `rate` until the backlog is gone                │ wait: 1 s, x2 up to
 *        │ 429, or 503 with Retry-After: a pause, then half the pace                    │ `probe`, +-20 %
 *        │ (PUSH_BACK_ROUNDS pauses without a delivery count as failures)               ▼
 *        └──────── an answer: everything undelivered becomes due ──────────────── PROBING (breaker HALF_OPEN)
 *                                                                                   │  ▲ one event, the one that
 *                                                                     failure: DOWN ┘  │ was due first; an event
 *                                                              Retry-After: a pause ───┘ that failed goes behind
 *
 * An event:  in the journal ─pull─► READY ─► CALLING ─► STORING ─► out of the journal (2xx; 400, 410, 422: aside)
 *                  ▲                                        └────► due again: 1 s, half its age, up to `probe`
 *                  └────────────────────────────────────────┘      (no attempt consumed; DOWN -> UP: at once)
 *
 * What is READY or under way is remembered by line (lane.c), and a line's next event is not looked at before
 * the attempt is stored. A crash between the answer and the storing repeats the event with the same id. */
#include "delivery/internal.h"
#include "pcs/core/clock.h"
#include "pcs/core/id.h"
#include "pcs/core/log.h"

#include <stdio.h>
#include <string.h>

static const struct settlement {
    enum journal_verdict verdict;
    bool counted; /* is an attempt of the event consumed? */
    enum breaker_outcome breaker;
} settlements[POST_OUTCOMES] = {
    [POST_DELIVERED] = {VERDICT_DELIVERED, true, BREAKER_SUCCESS},
    [POST_DEAD] = {VERDICT_DEAD, true, BREAKER_SUCCESS},
    [POST_PUSHED_BACK] = {VERDICT_AGAIN, false, BREAKER_IGNORED},
    [POST_STATUS] = {VERDICT_AGAIN, false, BREAKER_FAILURE},
    [POST_TIMEOUT] = {VERDICT_AGAIN, false, BREAKER_FAILURE},
    [POST_TRANSPORT] = {VERDICT_AGAIN, false, BREAKER_FAILURE},
    [POST_UNREACHED] = {VERDICT_AGAIN, false, BREAKER_FAILURE},
};

/* ---- the destination ---- */

static bool breaker_says_up(const struct breaker_snapshot *s)
{
    return s->state == BREAKER_CLOSED || s->state == BREAKER_DISABLED || s->state == BREAKER_METRICS_ONLY;
}

/* UP <-> DOWN, whoever moved the breaker: outcomes, time or an operator. */
static void review_destination(struct delivery *d)
{
    struct breaker_snapshot s;
    breaker_snapshot(d->breaker, &s);
    bool up = breaker_says_up(&s);
    if (up == d->up) {
        return;
    }
    d->up = up;
    atomic_store(&d->up_seen, up);
    metric_set(&delivery_metric_up, 0, up);
    if (up) {
        log_info("delivery.up");
        d->due_wanted = true;
        pace_backlog(&d->pace, true, clock_mono_ns());
    } else {
        log_warn("delivery.down", log_str("state", breaker_state_name(s.state)),
                 log_str("cause", s.trip_cause), log_ms("waitMs", s.open_for_ns));
        lanes_drop_ready(d);
        d->want = true; /* somebody must probe */
    }
}

/* May one more go out? If not, *wait_ns is when to ask again; UINT64_MAX: when something else has ended. */
static bool may_send(struct delivery *d, uint64_t now, uint64_t *wait_ns)
{
    uint64_t open_for = 0;
    *wait_ns = UINT64_MAX;
    if (d->count[LANE_CALLING] >= (d->up ? (size_t)d->config.concurrency : 1)) {
        return false;
    }
    if (!breaker_would_permit(d->breaker, &open_for)) {
        *wait_ns = open_for && open_for < LOOK_NS ? open_for : LOOK_NS;
        return false;
    }
    *wait_ns = pace_wait(&d->pace, now);
    return *wait_ns == 0;
}

/* ---- one attempt ---- */

static void start_lane(struct delivery *d, struct lane *lane, uint64_t now)
{
    uint64_t deadline = now + (uint64_t)d->config.deadline_ms * NS_PER_MS;
    if (!breaker_acquire(d->breaker, deadline, &lane->permit, NULL) || !post_start(lane)) {
        breaker_release(d->breaker, &lane->permit);
        lane_free(lane);
        d->want = true; /* it is still in the journal */
        d->pull_after_ns = now + RETRY_MIN_NS;
        return;
    }
    pace_spend(&d->pace);
    lane_set(lane, LANE_CALLING);
}

static void start_ready(struct delivery *d)
{
    struct lane *lane;
    uint64_t now = clock_mono_ns(), wait;
    while (d->life == DELIVERY_RUNNING && (lane = TAILQ_FIRST(&d->ready)) && may_send(d, now, &wait)) {
        start_lane(d, lane, now);
    }
}

/* The longer an event has been failing, the less often it is tried: that needs no memory. */
static int64_t next_turn_ms(const struct delivery *d, const struct lane *lane, int64_t now_ms)
{
    int64_t wait = (now_ms - lane->created_at) / 2;
    wait = wait < d->config.breaker_wait_ms ? d->config.breaker_wait_ms : wait;
    wait = wait > d->config.probe_ms ? d->config.probe_ms : wait;
    return now_ms + wait - (int64_t)(random_u64() % (uint64_t)(wait / 5 + 1));
}

/* Returns when the event's next turn is. Too many pauses in a row count as a failure. */
static int64_t push_back(struct delivery *d, const struct call_result *result, int64_t now_ms,
                         enum breaker_outcome *outcome)
{
    uint64_t now = clock_mono_ns(), asked = 0;
    if (now >= d->pace.pause_until_ns) {
        d->push_backs++;
        log_info("delivery.pushed_back", log_int("status", result->status),
                 log_int("retryAfterSeconds", result->retry_after_s));
    }
    if (d->push_backs > PUSH_BACK_ROUNDS) {
        *outcome = BREAKER_FAILURE;
    }
    if (result->retry_after_s > 0) {
        asked = (uint64_t)result->retry_after_s > PACE_PAUSE_MAX_NS / NS_PER_SEC
                    ? PACE_PAUSE_MAX_NS
                    : (uint64_t)result->retry_after_s * NS_PER_SEC;
    }
    return now_ms + (int64_t)((pace_pushed_back(&d->pace, asked, now) - now) / NS_PER_MS);
}

static void describe(struct lane *lane, const struct call_result *result, enum post_outcome outcome)
{
    struct journal_attempt *a = &lane->op.attempt;
    size_t n = result->len < ANSWER_KEPT ? result->len : ANSWER_KEPT;
    if (result->reach != CALL_ANSWERED) {
        snprintf(lane->error, sizeof lane->error, "%s", call_error_name(result->error));
    } else if (outcome != POST_DELIVERED) {
        snprintf(lane->error, sizeof lane->error, "http %d", result->status);
    }
    memcpy(lane->answer, result->body, n);
    lane->answer[n] = '\0';
    a->status = result->status;
    a->milliseconds = (int64_t)(result->elapsed_ns / NS_PER_MS);
    a->error = lane->error[0] ? lane->error : NULL;
    a->answer = n ? lane->answer : NULL;
    a->verdict = settlements[outcome].verdict;
    a->counted = settlements[outcome].counted;
}

static void tell_log(const struct lane *lane, const struct call_result *result, enum post_outcome outcome)
{
    if (outcome == POST_DEAD) {
        log_error("delivery.dead_letter", log_str("eventId", lane->event_id),
                  log_str("eventType", lane->type), log_str("requestId", lane->request_id),
                  log_line("line", lane->line),
                  log_int("status", result->status)); /* its words are in the ledger */
    } else if (outcome == POST_DELIVERED) {
        log_debug("delivery.delivered", log_str("eventId", lane->event_id),
                  log_str("requestId", lane->request_id), log_ms("milliseconds", result->elapsed_ns));
    } else {
        log_info("delivery.failed", log_str("eventId", lane->event_id),
                 log_str("requestId", lane->request_id), log_str("error", lane->error),
                 log_str("reason", result->reason), log_ms("milliseconds", result->elapsed_ns));
    }
}

static void tell_breaker(struct delivery *d, struct lane *lane, const struct call_result *result,
                         enum post_outcome outcome, enum breaker_outcome verdict)
{
    if (result->error == CALL_NO_MEMORY || result->error == CALL_SHUTDOWN) {
        breaker_release(d->breaker, &lane->permit); /* says nothing about the destination */
    } else if (outcome == POST_UNREACHED) {
        uint64_t wait = (uint64_t)d->config.breaker_wait_ms * NS_PER_MS;
        breaker_complete_open_for(d->breaker, &lane->permit, verdict, result->elapsed_ns, lane->error, wait);
    } else {
        breaker_complete(d->breaker, &lane->permit, verdict, result->elapsed_ns, lane->error);
    }
}

void delivery_called(struct lane *lane, const struct call_result *result)
{
    struct delivery *d = lane->d;
    enum post_outcome outcome = post_judge(result);
    enum breaker_outcome verdict = settlements[outcome].breaker;
    int64_t now_ms = clock_wall_ms();
    describe(lane, result, outcome);
    metric_add(&delivery_metric_attempts, outcome, 1);
    tell_log(lane, result, outcome);
    if (outcome == POST_PUSHED_BACK) {
        lane->op.attempt.next_due = push_back(d, result, now_ms, &verdict);
    } else if (settlements[outcome].verdict == VERDICT_AGAIN) {
        lane->op.attempt.next_due = next_turn_ms(d, lane, now_ms);
    } else {
        d->push_backs = 0;
        pace_succeeded(&d->pace, clock_mono_ns());
    }
    if (outcome == POST_DELIVERED && now_ms >= lane->created_at) {
        metric_observe_ns(&delivery_metric_lag, 0, (uint64_t)(now_ms - lane->created_at) * NS_PER_MS);
    }
    tell_breaker(d, lane, result, outcome, verdict);
    ledger_store(lane);
    delivery_drive(d);
}

/* ---- pulling ---- */

void delivery_due_at(struct delivery *d, int64_t due_ms)
{
    if (!d->next_due_ms || due_ms < d->next_due_ms) {
        d->next_due_ms = due_ms;
    }
    d->want |= !d->up; /* a probe is whatever was due first, now or not */
}

/* Nobody defers an event for so long: then the wall clock was set back. */
static bool is_due(const struct delivery *d, const struct journal_event *e, int64_t now_ms)
{
    int64_t furthest = d->config.probe_ms + (int64_t)(PACE_PAUSE_MAX_NS / NS_PER_MS) + 60000;
    return e->due_at <= now_ms || e->due_at > now_ms + furthest;
}

static size_t lanes_max(const struct delivery *d)
{
    return (size_t)d->config.concurrency * LANES_PER_CALL;
}

/* The events come in order of their due time. */
void delivery_pulled(struct delivery *d)
{
    int64_t now_ms = clock_wall_ms();
    bool more = d->pull.event_count >= d->pull_limit;
    for (size_t i = 0; i < d->pull.event_count; i++) {
        const struct journal_event *e = &d->pull.events[i];
        if (lane_find(d, e->line ? e->line : "")) {
            continue;
        }
        if (d->up && !is_due(d, e, now_ms)) {
            delivery_due_at(d, e->due_at);
            more = false;
            break;
        }
        if (lanes_in_hand(d) >= lanes_max(d) || (!d->up && d->count[LANE_READY] > 0)) {
            more = true;
            break;
        }
        if (!lane_new(d, e)) {
            d->pull_after_ns = clock_mono_ns() + RETRY_MIN_NS;
            more = true;
            break;
        }
    }
    d->want |= more;
    if (d->pace.backlog && d->up && !more && !d->due_wanted && lanes_caught_up(d, now_ms)) {
        pace_backlog(&d->pace, false, clock_mono_ns());
    }
}

/* How many events to ask for; 0: not now. *wait_ns as in may_send(). Lanes are read again by every pull, so
 * they are asked for on top, and pulls are spaced by their number. */
static size_t pull_size(struct delivery *d, uint64_t now, uint64_t *wait_ns)
{
    size_t lanes = lanes_in_hand(d), room = lanes_max(d) > lanes ? lanes_max(d) - lanes : 0;
    size_t batch = (size_t)d->config.concurrency * PULL_PER_CALL;
    *wait_ns = UINT64_MAX;
    if (room == 0 || d->count[LANE_READY] >= (d->up ? (size_t)d->config.concurrency : 1)) {
        return 0;
    }
    if (now < d->pull_after_ns) {
        *wait_ns = d->pull_after_ns - now;
        return 0;
    }
    if (!d->up) {
        return may_send(d, now, wait_ns) ? lanes + 1 : 0;
    }
    return lanes + (batch < room ? batch : room);
}

static void pull(struct delivery *d, uint64_t now)
{
    uint64_t wait;
    if (d->life != DELIVERY_RUNNING || d->pulling || d->due_asked) {
        return;
    }
    if (now >= d->sweep_at_ns) {
        d->want = true;
        d->sweep_at_ns = now + SWEEP_NS;
    }
    if (d->next_due_ms && d->up && clock_wall_ms() >= d->next_due_ms) {
        d->want = true;
        d->next_due_ms = 0;
    }
    if (d->due_wanted && now >= d->pull_after_ns) {
        ledger_due_now(d);
        return;
    }
    size_t size = d->want && !d->due_wanted ? pull_size(d, now, &wait) : 0;
    if (size == 0) {
        return;
    }
    d->pull_after_ns = now + PULL_REST_NS + lanes_in_hand(d) * PULL_SPACE_NS;
    d->next_due_ms = 0;
    ledger_pull(d, size);
}

/* ---- the driver ---- */

static void sooner(uint64_t *at, uint64_t wait)
{
    if (wait < *at) {
        *at = wait;
    }
}

static void on_timer(uv_timer_t *timer)
{
    delivery_drive(timer->data);
}

/* Time has passed since the driver looked: what may be done by now is done by the next turn. */
static void arm_timer(struct delivery *d, uint64_t now)
{
    uint64_t at = SWEEP_NS, wait;
    if (d->count[LANE_RETRY]) {
        sooner(&at, d->retry_at_ns > now ? d->retry_at_ns - now : 0);
    }
    if (d->life == DELIVERY_RUNNING) {
        sooner(&at, d->sweep_at_ns > now ? d->sweep_at_ns - now : 0);
        if (d->count[LANE_READY]) {
            sooner(&at, may_send(d, now, &wait) ? 0 : wait);
        }
        if (d->want && !d->pulling && !d->due_asked) {
            sooner(&at, pull_size(d, now, &wait) ? 0 : wait);
        }
        if (d->due_wanted && !d->due_asked) {
            sooner(&at, d->pull_after_ns > now ? d->pull_after_ns - now : 0);
        }
        if (d->next_due_ms && d->up) {
            int64_t left = d->next_due_ms - clock_wall_ms();
            sooner(&at, left > 0 ? (uint64_t)left * NS_PER_MS : 0);
        }
        if (!d->up || d->count[LANE_CALLING] == 0) {
            sooner(&at, LOOK_NS); /* an operator may have moved the breaker: nobody tells us */
        }
    }
    uv_timer_start(&d->timer, on_timer, at / NS_PER_MS + 1, 0);
}

void delivery_drive(struct delivery *d)
{
    if (!d->url || d->life == DELIVERY_STOPPING) {
        return;
    }
    review_destination(d);
    if (d->count[LANE_RETRY] && clock_mono_ns() >= d->retry_at_ns) {
        ledger_retry(d);
    }
    start_ready(d);
    pull(d, clock_mono_ns());
    arm_timer(d, clock_mono_ns());
}
