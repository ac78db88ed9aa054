/* view.c - doubts, events and slots as JSON. */
#include "admin/view_parts.h"

#include <string.h>

static const char *const event_states[] = {
    [EVENT_PENDING] = "pending", [EVENT_DEAD] = "dead", [EVENT_DELIVERED] = "delivered"};

const char *view_event_state(enum journal_event_state s)
{
    return (size_t)s < sizeof event_states / sizeof event_states[0] ? event_states[s] : "unknown";
}

bool view_event_state_parse(const char *text, enum journal_event_state *s)
{
    *s = EVENT_ANY;
    if (!text || !*text) {
        return true;
    }
    for (size_t i = 0; i < sizeof event_states / sizeof event_states[0]; i++) {
        if (strcmp(text, event_states[i]) == 0) {
            *s = (enum journal_event_state)i;
            return true;
        }
    }
    return false;
}

static int64_t age_s(int64_t since, int64_t now_ms)
{
    return since && now_ms > since ? (now_ms - since) / 1000 : 0;
}

static void put_doubt(struct buf *b, const struct change_record *r, int64_t now_ms)
{
    buf_json_open(b, NULL, '{');
    buf_json_str(b, "requestId", r->request_id);
    buf_json_str(b, "lineNumber", r->line);
    buf_json_str(b, "customerId", r->customer_id);
    buf_json_str(b, "currentProductCode", r->current_code); /* the baseline */
    buf_json_str(b, "currentProductName", r->current_name);
    buf_json_str(b, "targetProductCode", r->target_code);
    buf_json_str(b, "targetProductName", r->target_name);
    buf_json_time(b, "requestedAt", r->requested_at);
    buf_json_time(b, "sentAt", r->sent_at);
    buf_json_time(b, "doubtSince", r->doubt_since);
    buf_json_int(b, "ageSeconds", age_s(r->doubt_since, now_ms));
    buf_json_int(b, "checks", r->checks);
    buf_json_time(b, "firstBaselineAt", r->first_baseline_at);
    buf_json_time(b, "lastBaselineAt", r->last_baseline_at);
    buf_json_time(b, "nextCheckAt", r->next_check_at);
    buf_json_bool(b, "onOperatorList", r->on_operator_list);
    buf_json_close(b, '}');
}

void view_doubts(struct buf *b, const struct journal_op *op, int64_t now_ms)
{
    buf_json_open(b, "doubts", '[');
    for (size_t i = 0; i < op->list_count; i++) {
        put_doubt(b, &op->list[i], now_ms);
    }
    buf_json_close(b, ']');
}

static const char *verdict_name(enum journal_verdict v)
{
    return v == VERDICT_DELIVERED ? "delivered" : v == VERDICT_DEAD ? "dead" : "again";
}

void view_attempt(struct buf *b, const char *name, const struct journal_attempt *a)
{
    buf_json_open(b, name, '{');
    buf_json_time(b, "at", a->at);
    buf_json_int(b, "status", a->status); /* 0: no answer */
    buf_json_int(b, "milliseconds", a->milliseconds);
    buf_json_str(b, "verdict", verdict_name(a->verdict));
    buf_json_bool(b, "counted", a->counted);
    buf_json_str(b, "error", a->error);
    buf_json_str(b, "answer", a->answer);
    buf_json_time(b, "nextDueAt", a->verdict == VERDICT_AGAIN ? a->next_due : 0);
    buf_json_close(b, '}');
}

void view_event(struct buf *b, const struct journal_event *e)
{
    buf_json_int(b, "seq", e->seq);
    buf_json_str(b, "eventId", e->event_id);
    buf_json_str(b, "eventType", e->type);
    buf_json_str(b, "state", view_event_state(e->state));
    buf_json_str(b, "requestId", e->request_id);
    buf_json_str(b, "lineNumber", e->line);
    buf_json_time(b, "createdAt", e->created_at);
    buf_json_time(b, "dueAt", e->due_at);
    buf_json_time(b, "diedAt", e->died_at);
    if (e->state != EVENT_DELIVERED) {
        buf_json_int(b, "attemptsCounted", e->attempts);
    }
}

void view_deliveries(struct buf *b, const struct journal_op *op)
{
    buf_json_open(b, "deliveries", '[');
    for (size_t i = 0, a = 0; i < op->event_count; i++) {
        buf_json_open(b, NULL, '{');
        view_event(b, &op->events[i]);
        for (; a < op->attempt_count && op->attempts[a].seq == op->events[i].seq; a++) {
            view_attempt(b, "lastAttempt", &op->attempts[a]);
        }
        buf_json_close(b, '}');
    }
    buf_json_close(b, ']');
    if (op->seq) {
        buf_json_int(b, "nextBefore", op->seq);
    }
}

static void put_slot(struct buf *b, const struct journal_slot *s, int64_t now_ms)
{
    const struct journal_stats *st = &s->stats;
    buf_json_open(b, NULL, '{');
    buf_json_int(b, "slot", s->number);
    buf_json_str(b, "state", journal_slot_state_name(s->state));
    buf_json_str(b, "instance", *s->instance ? s->instance : NULL);
    if (s->counted) {
        buf_json_int(b, "open", st->open);
        buf_json_int(b, "inDoubt", st->in_doubt);
        buf_json_int(b, "oldestDoubtSeconds", age_s(st->oldest_doubt_at, now_ms));
        buf_json_int(b, "historyPending", st->history_pending);
        buf_json_int(b, "historyDead", st->history_dead);
        buf_json_int(b, "callsPending", st->calls_pending);
        buf_json_int(b, "linksPending", st->links_pending);
        buf_json_int(b, "eventsPending", st->events_pending);
        buf_json_int(b, "eventsDead", st->events_dead);
        buf_json_int(b, "invalidations", st->invalidations);
        buf_json_int(b, "bytes", st->bytes);
    }
    buf_json_str(b, "reason", *s->reason ? s->reason : NULL);
    buf_json_close(b, '}');
}

void view_slots(struct buf *b, const struct journal_slot *slots, size_t count, int64_t now_ms)
{
    buf_json_open(b, "slots", '[');
    for (size_t i = 0; i < count; i++) {
        put_slot(b, &slots[i], now_ms);
    }
    buf_json_close(b, ']');
}
