/* breakers.c - GET /admin/breakers and PUT /admin/breakers/{name} (issue 4, point 3): KOS's three operations, MVNO AP
 * and Redis, with their bulkheads. */
#include "admin/internal.h"

#include "pcs/core/clock.h"
#include "pcs/core/log.h"

#include <string.h>

#define BREAKERS_MAX (KOS_OPERATIONS + 2)

struct seat {
    struct breaker *breaker;
    struct bulkhead *bulkhead; /* NULL: none */
};

static size_t all_breakers(const struct admin_parts *p, struct seat out[BREAKERS_MAX])
{
    size_t n = 0;
    for (int op = 0; op < KOS_OPERATIONS; op++) {
        out[n++] = (struct seat){p->gates->gate[op].breaker, p->gates->gate[op].bulkhead};
    }
    if (p->delivery) {
        out[n++] = (struct seat){delivery_breaker(p->delivery), NULL};
    }
    out[n++] = (struct seat){p->redis_breaker, NULL};
    return n;
}

/* A moment of the monotonic clock as people read it. */
static int64_t wall_of(uint64_t mono_ns)
{
    uint64_t now = clock_mono_ns();
    return mono_ns && mono_ns <= now ? clock_wall_ms() - (int64_t)((now - mono_ns) / NS_PER_MS) : 0;
}

static void put_rate(struct buf *b, const char *name, float rate)
{
    if (rate >= 0) { /* -1: too few calls to tell */
        buf_json_int(b, name, (int64_t)(rate + 0.5f));
    }
}

static void put_window(struct buf *b, const struct breaker_snapshot *s)
{
    put_rate(b, "failureRatePercent", s->failure_rate);
    put_rate(b, "slowCallRatePercent", s->slow_call_rate);
    buf_json_open(b, "window", '{');
    buf_json_int(b, "calls", (int64_t)s->buffered);
    buf_json_int(b, "failed", (int64_t)s->failed);
    buf_json_int(b, "slow", (int64_t)s->slow);
    buf_json_int(b, "notPermitted", (int64_t)s->not_permitted);
    buf_json_close(b, '}');
}

static void put_totals(struct buf *b, const struct breaker_snapshot *s)
{
    buf_json_open(b, "totals", '{');
    buf_json_int(b, "successful", (int64_t)s->calls[BREAKER_SUCCESS]);
    buf_json_int(b, "failed", (int64_t)s->calls[BREAKER_FAILURE]);
    buf_json_int(b, "ignored", (int64_t)s->calls[BREAKER_IGNORED]);
    buf_json_int(b, "rejected", (int64_t)s->rejected);
    buf_json_int(b, "late", (int64_t)s->late);
    buf_json_int(b, "lost", (int64_t)s->lost);
    buf_json_int(b, "opened", (int64_t)s->transitions[BREAKER_OPEN]);
    buf_json_close(b, '}');
}

static void put_bulkhead(struct buf *b, struct bulkhead *bulkhead)
{
    struct bulkhead_snapshot s;
    bulkhead_snapshot(bulkhead, &s);
    buf_json_open(b, "bulkhead", '{');
    buf_json_int(b, "inFlight", s.in_flight);
    buf_json_int(b, "maxInFlight", s.max_in_flight);
    buf_json_int(b, "queued", s.queued);
    buf_json_int(b, "maxQueue", s.max_queue);
    buf_json_int(b, "granted", (int64_t)s.granted_total);
    buf_json_int(b, "waited", (int64_t)s.queued_total);
    buf_json_int(b, "refused", (int64_t)s.refused_total);
    buf_json_int(b, "cancelled", (int64_t)s.cancelled_total);
    buf_json_close(b, '}');
}

static void put_breaker(struct buf *b, const char *name, const struct seat *seat)
{
    struct breaker_snapshot s;
    breaker_snapshot(seat->breaker, &s);
    buf_json_open(b, name, '{');
    buf_json_str(b, "name", s.name);
    buf_json_str(b, "state", breaker_state_name(s.state));
    buf_json_time(b, "since", wall_of(s.since_ns));
    if (s.state == BREAKER_OPEN) {
        buf_json_int(b, "openForMilliseconds", (int64_t)(s.open_for_ns / NS_PER_MS));
        buf_json_int(b, "attempt", s.attempt);
    }
    if (s.state == BREAKER_HALF_OPEN) {
        buf_json_int(b, "halfOpenPermitsLeft", s.half_open_permits_left);
    }
    put_window(b, &s);
    put_totals(b, &s);
    buf_json_str(b, "lastCause", *s.last_cause ? s.last_cause : NULL);
    buf_json_time(b, "lastCauseAt", wall_of(s.last_cause_at_ns));
    buf_json_str(b, "tripCause", *s.trip_cause ? s.trip_cause : NULL);
    if (seat->bulkhead) {
        put_bulkhead(b, seat->bulkhead);
    }
    buf_json_close(b, '}');
}

void handle_breakers(struct http_request *rq)
{
    struct seat seats[BREAKERS_MAX];
    size_t n = all_breakers(&admin_of(rq)->parts, seats);
    struct buf b;
    admin_data_open(&b);
    buf_json_open(&b, "breakers", '[');
    for (size_t i = 0; i < n; i++) {
        put_breaker(&b, NULL, &seats[i]);
    }
    buf_json_close(&b, ']');
    admin_data_send(rq, &b, 200);
}

static const struct {
    const char *name;
    enum breaker_state to;
    bool reset; /* CLOSED with an empty window and a fresh back-off */
} actions[] = {
    {"forced-open", BREAKER_FORCED_OPEN, false},
    {"disabled", BREAKER_DISABLED, false},
    {"metrics-only", BREAKER_METRICS_ONLY, false},
    {"closed", BREAKER_CLOSED, false},
    {"reset", BREAKER_CLOSED, true},
};
#define ACTIONS (sizeof actions / sizeof actions[0])

static void act(struct http_request *rq, const struct seat *seat, size_t action, const char *actor,
                const char *reason)
{
    struct breaker_snapshot before;
    char err[256] = "";
    struct buf b;
    breaker_snapshot(seat->breaker, &before);
    if (actions[action].reset) {
        breaker_reset(seat->breaker);
    } else if (!breaker_transition(seat->breaker, actions[action].to, BREAKER_WAIT_CONFIGURED, err,
                                   sizeof err)) {
        admin_fail(rq, &http_problem_invalid_request, err);
        return;
    }
    log_warn("breaker.operator", log_str("breaker", before.name), log_str("action", actions[action].name),
             log_str("from", breaker_state_name(before.state)), log_str("actor", actor),
             log_str("reason", reason), log_str("correlationId", rq->correlation_id));
    if (admin_of(rq)->parts.delivery) {
        delivery_wake(admin_of(rq)->parts.delivery);
    }
    admin_data_open(&b);
    put_breaker(&b, "breaker", seat);
    admin_data_send(rq, &b, 200);
}

void handle_breaker_put(struct http_request *rq)
{
    struct seat seats[BREAKERS_MAX];
    struct breaker_snapshot s;
    size_t n = all_breakers(&admin_of(rq)->parts, seats), at = 0, action = 0;
    for (; at < n; at++) {
        breaker_snapshot(seats[at].breaker, &s);
        if (strcmp(s.name, http_param(rq, "name")) == 0) {
            break;
        }
    }
    if (at == n) {
        admin_fail(rq, &admin_breaker_not_found, NULL);
        return;
    }
    cJSON *body = admin_body(rq);
    if (!body) {
        return;
    }
    bool ok = true;
    const char *word = admin_body_text(rq, body, "action", 32, true, &ok);
    const char *actor = admin_body_text(rq, body, "actor", ACTOR_MAX, false, &ok);
    const char *reason = admin_body_text(rq, body, "reason", REASON_MAX, false, &ok);
    cJSON_Delete(body);
    while (ok && action < ACTIONS && strcmp(actions[action].name, word) != 0) {
        action++;
    }
    if (ok && action == ACTIONS) {
        admin_fail_field(rq, "action",
                         "forced-open, disabled, metrics-only, closed, reset 중 하나여야 합니다",
                         "must be forced-open, disabled, metrics-only, closed or reset");
    } else if (ok) {
        act(rq, &seats[at], action, actor ? actor : admin_caller(rq), reason);
    }
}
