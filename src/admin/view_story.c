/* view_story.c - the whole story of one change as JSON. */
#include "admin/view_parts.h"
#include "pcs/core/json.h"

#include <string.h>

#define SPLICED_MAX ((size_t)64 * 1024)

/* JSON that was kept as text: spliced if it still is JSON, else told as text. */
void view_json(struct buf *b, const char *name, const char *text)
{
    static const struct json_limits limits = {SPLICED_MAX, 16, 256, true};
    struct json_error error;
    if (text && json_check(text, strlen(text), &limits, &error)) {
        buf_json_raw(b, name, text, strlen(text));
    } else {
        buf_json_str(b, name, text);
    }
}

static void put_settling(struct buf *b, const struct change_record *r)
{
    buf_json_bool(b, "inDoubt", r->in_doubt);
    if (!r->doubt_since) {
        return;
    }
    buf_json_bool(b, "onOperatorList", r->on_operator_list);
    buf_json_time(b, "doubtSince", r->doubt_since);
    buf_json_int(b, "checks", r->checks);
    buf_json_time(b, "firstBaselineAt", r->first_baseline_at);
    buf_json_time(b, "lastBaselineAt", r->last_baseline_at);
    buf_json_time(b, "nextCheckAt", r->next_check_at);
}

void view_record(struct buf *b, const char *name, const struct change_record *r)
{
    buf_json_open(b, name, '{');
    buf_json_str(b, "requestId", r->request_id);
    buf_json_str(b, "lineNumber", r->line);
    buf_json_str(b, "state", change_state_name(r->state));
    buf_json_str(b, "customerId", r->customer_id);
    buf_json_str(b, "subject", r->subject);
    buf_json_str(b, "actor", r->actor);
    buf_json_str(b, "correlationId", r->correlation_id);
    buf_json_str(b, "traceparent", r->traceparent);
    buf_json_str(b, "family", r->frontend ? "frontend" : "core");
    buf_json_bool(b, "held", r->held);
    buf_json_str(b, "currentProductCode", r->current_code);
    buf_json_str(b, "currentProductName", r->current_name);
    buf_json_str(b, "targetProductCode", r->target_code);
    buf_json_str(b, "targetProductName", r->target_name);
    buf_json_time(b, "requestedAt", r->requested_at);
    buf_json_time(b, "loadedAt", r->loaded_at);
    buf_json_time(b, "validatedAt", r->validated_at);
    buf_json_time(b, "sentAt", r->sent_at);
    buf_json_time(b, "processedAt", r->processed_at);
    buf_json_time(b, "expiresAt", r->expires_at);
    buf_json_str(b, "resultCode", r->result_code);
    buf_json_str(b, "resultMessage", r->result_message);
    buf_json_str(b, "failureReason", r->failure_reason);
    view_json(b, "validation", r->validation_json);
    buf_json_str(b, "checkCodes", r->check_codes);
    view_json(b, "changedProduct", r->changed_product_json);
    buf_json_str(b, "kosOrderNumber", r->kos_order_number);
    put_settling(b, r);
    if (r->first_status) {
        buf_json_int(b, "firstStatus", r->first_status);
    }
    buf_json_str(b, "idempotencyKeyHash", r->idem_key);
    buf_json_str(b, "bodyHash", r->body_hash);
    buf_json_close(b, '}');
}

static void put_state(struct buf *b, const char *state, int64_t at)
{
    buf_json_open(b, NULL, '{');
    buf_json_str(b, "state", state);
    buf_json_time(b, "at", at);
    buf_json_close(b, '}');
}

/* The states with their times, as the record has them. The journal keeps no time of ACCEPTED. */
static void put_states(struct buf *b, const struct change_record *r)
{
    buf_json_open(b, "states", '[');
    put_state(b, "RECEIVED", r->requested_at);
    if (r->expires_at) {
        put_state(b, r->held ? "ACCEPTED (held)" : "ACCEPTED", 0);
    }
    if (r->validated_at) {
        put_state(b, "CHECKED", r->validated_at);
    }
    if (r->sent_at) {
        put_state(b, "SENDING", r->sent_at);
    }
    if (r->doubt_since) {
        put_state(b, "IN_DOUBT", r->doubt_since);
    }
    if (r->first_baseline_at) {
        put_state(b, "BASELINE_SEEN", r->first_baseline_at);
    }
    if (change_state_final(r->state)) {
        put_state(b, change_state_name(r->state), r->processed_at);
    }
    buf_json_close(b, ']');
}

static void put_calls(struct buf *b, const struct journal_op *op)
{
    buf_json_open(b, "kosCalls", '[');
    for (size_t i = 0; i < op->call_count; i++) {
        const struct journal_call *c = &op->calls[i];
        buf_json_open(b, NULL, '{');
        buf_json_time(b, "at", c->at);
        buf_json_str(b, "operation", c->operation);
        buf_json_int(b, "attempt", c->attempt);
        buf_json_int(b, "httpStatus", c->http_status);
        buf_json_str(b, "resultCode", c->result_code && *c->result_code ? c->result_code : NULL);
        buf_json_str(b, "outcome", c->outcome);
        buf_json_int(b, "milliseconds", c->milliseconds);
        buf_json_str(b, "breakerState", c->breaker_state);
        buf_json_close(b, '}');
    }
    buf_json_close(b, ']');
}

static void put_events(struct buf *b, const struct journal_op *op)
{
    buf_json_open(b, "events", '[');
    for (size_t i = 0; i < op->event_count; i++) {
        const struct journal_event *e = &op->events[i];
        buf_json_open(b, NULL, '{');
        view_event(b, e);
        view_json(b, "body", e->body);
        buf_json_open(b, "attempts", '[');
        for (size_t a = op->attempt_count; a > 0; a--) { /* the ledger is newest first */
            if (op->attempts[a - 1].seq == e->seq) {
                view_attempt(b, NULL, &op->attempts[a - 1]);
            }
        }
        buf_json_close(b, ']');
        buf_json_close(b, '}');
    }
    buf_json_close(b, ']');
}

void view_story(struct buf *b, const struct journal_op *op)
{
    static const char *const forwarding[] = {[FORWARD_NONE] = "open",
                                             [FORWARD_PENDING] = "pending",
                                             [FORWARD_DEAD] = "refused",
                                             [FORWARD_DONE] = "forwarded"};
    bool here = op->status == JOURNAL_OK;
    buf_json_bool(b, "inJournal", here);
    if (!here) {
        return;
    }
    view_record(b, "change", &op->found);
    put_states(b, &op->found);
    put_calls(b, op);
    put_events(b, op);
    buf_json_open(b, "invalidation", '{');
    buf_json_bool(b, "pending", op->invalid_count > 0);
    buf_json_close(b, '}');
    buf_json_open(b, "forwarding", '{');
    buf_json_str(b, "state", forwarding[op->forwarding]);
    buf_json_str(b, "reason", op->forward_reason);
    buf_json_close(b, '}');
}
