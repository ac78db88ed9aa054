/* phases_order.c - ADMIT to DROP: durable before sent, outcome before answer (the drawing is in machine.c).
 */
#include "change/phases.h"

#include "pcs/change/result.h"
#include "pcs/core/clock.h"
#include "pcs/core/log.h"

#include <string.h>

#define RELOADS_MAX 3 /* the journal said "load again": how often it is believed */

/* ---- ADMIT: the breaker's permit and the bulkhead's slot, before anything is promised to the journal ----
 */

enum phase phase_admit_begin(struct change *c)
{
    return change_admit_start(c) ? PHASE_WAIT : phase_admit_finish(c);
}

enum phase phase_admit_finish(struct change *c)
{
    if (c->abandoned) {
        return PHASE_END; /* the pass is given back with the other children */
    }
    if (!c->pass) {
        return c->durable ? PHASE_RETRY : change_end_unavailable(c, c->admit_reason);
    }
    return c->durable ? PHASE_SEND : PHASE_INTENT;
}

/* ---- INTENT: durable. SENDING for a synchronous change, ACCEPTED for an asynchronous one ---- */

enum phase phase_intent_begin(struct change *c)
{
    int64_t now = clock_wall_ms();
    if (c->svc->draining) {
        return change_end_with(c, VERDICT_UNAVAILABLE, "shutting down");
    }
    if (c->in.async) {
        c->rec.state = CHANGE_ACCEPTED;
        c->rec.held = c->on_cached;
        c->rec.expires_at = now + c->svc->config->max_hold_ms;
        if (c->on_cached) {
            c->rec.loaded_at = now; /* nothing is sent on what was loaded: it is loaded again before SEND */
        }
    } else {
        c->rec.state = CHANGE_SENDING;
        c->rec.sent_at = change_now_ms(c);
    }
    /* before it can be listed as open: a recovery that is still reading pages must not take it up beside us */
    c->owned = c->owned || owned_add(c->svc->shared, c->rec.request_id, c->svc);
    change_drop_ahead(c);
    return change_submit_op(c, JOURNAL_INTENT);
}

void change_give_pass_back(struct change *c)
{
    if (c->pass) {
        gate_return(c->pass);
        c->pass = NULL;
    }
}

static enum phase reload(struct change *c)
{
    change_give_pass_back(c);
    c->rec.state = c->durable ? CHANGE_ACCEPTED : CHANGE_SENDING;
    if (++c->reloads > RELOADS_MAX) {
        return c->durable ? PHASE_RETRY : change_end_with(c, VERDICT_UNAVAILABLE, "the line kept changing");
    }
    return PHASE_LOAD;
}

enum phase phase_intent_finish(struct change *c)
{
    enum journal_status status = c->op.status;
    if (status == JOURNAL_OK) {
        c->durable = true;
        c->generation = c->op.generation;
        change_opened(c);
        if (c->abandoned) { /* told 503 while the journal was at it: keep the word, send nothing */
            c->rec.first_status = 503;
            return change_not_sent(c, "time was up before the intent was durable");
        }
        if (c->rec.state == CHANGE_ACCEPTED) {
            return PHASE_NOTE;
        }
        return PHASE_ORDER;
    }
    if (status == JOURNAL_RELOAD && !c->abandoned) {
        return reload(c);
    }
    change_give_pass_back(c);
    if (status == JOURNAL_LINE_BUSY || status == JOURNAL_KEY_BUSY) {
        return change_busy(c, &c->op.found, c->op.found_recorded, "line is busy");
    }
    return change_end_with(c, VERDICT_UNAVAILABLE, journal_status_name(status));
}

/* ---- NOTE: that 202 is told, on disk before it is. With the intent it could be there although its caller was told 503
 * (a disk that hangs); change_take_up() goes by it ---- */

enum phase phase_note_begin(struct change *c)
{
    c->rec.first_status = 202;
    c->op.soon = true;
    return change_submit_op(c, JOURNAL_ANSWERED);
}

enum phase phase_note_finish(struct change *c)
{
    bool stored = c->op.status == JOURNAL_OK || c->op.status == JOURNAL_NOT_FOUND;
    c->op.soon = false;
    if (!stored && !c->answered) {
        change_again_later(c);
        return PHASE_WAIT;
    }
    tell_shared(c->svc, &c->rec, true); /* to other instances too the key's request is answered now */
    change_answer(c, VERDICT_ACCEPTED, c->rec.held ? "held" : "accepted");
    return c->rec.held ? PHASE_RETRY : PHASE_ADMIT;
}

/* ---- SEND: ACCEPTED -> SENDING, unless it was cancelled meanwhile ---- */

enum phase phase_send_begin(struct change *c)
{
    if (c->svc->draining) {
        change_give_pass_back(c);
        return PHASE_END;
    }
    if (clock_wall_ms() >= c->rec.expires_at) {
        return PHASE_RETRY; /* while KOS was asked, or in the queue: as in LOAD */
    }
    c->rec.sent_at = change_now_ms(c);
    return change_submit_op(c, JOURNAL_SEND);
}

enum phase phase_send_finish(struct change *c)
{
    enum journal_status status = c->op.status;
    if (status == JOURNAL_OK) {
        c->rec.state = CHANGE_SENDING;
        c->generation = c->op.generation;
        change_drop_ahead(c);
        return PHASE_ORDER;
    }
    if (status == JOURNAL_RELOAD) {
        return reload(c);
    }
    change_give_pass_back(c);
    if (status == JOURNAL_CONFLICT || status == JOURNAL_NOT_FOUND) {
        if (c->op.found.request_id) {
            c->rec.state = c->op.found.state; /* over: the line's keys are given back */
        }
        return PHASE_END; /* cancelled: whoever did it has told the rest */
    }
    return PHASE_RETRY;
}

/* ---- ORDER: the first byte may leave now, and nothing takes it back ---- */

enum phase phase_order_begin(struct change *c)
{
    if (!change_order_start(c)) {
        return c->attempts > 1 ? PHASE_DOUBT : change_not_sent(c, "no memory for the order");
    }
    return PHASE_WAIT;
}

enum phase change_not_sent(struct change *c, const char *why)
{
    c->rec.state = CHANGE_NOT_SENT;
    c->outcome_reason = why;
    change_give_pass_back(c);
    result_finish(&c->rec, NULL, NULL);
    return PHASE_OUTCOME;
}

enum phase phase_order_finish(struct change *c)
{
    switch (c->order_answer) {
    case KOS_APPLIED:
        c->rec.state = CHANGE_COMPLETED;
        break;
    case KOS_REFUSED:
        if (c->attempts > 1) { /* a refusal of a repeat is not an outcome: the first may have been applied */
            return PHASE_DOUBT;
        }
        c->rec.state = CHANGE_REFUSED;
        break;
    case KOS_NOT_SENT:
        if (c->attempts > 1) {
            return PHASE_DOUBT;
        }
        return change_not_sent(c, c->outcome_reason);
    case KOS_IN_DOUBT:
        if (c->attempts > 1) { /* may be applied late: the horizon counts from the last order */
            c->rec.sent_at = change_now_ms(c);
        }
        return PHASE_DOUBT;
    }
    result_finish(&c->rec, c->kos_code, c->kos_message);
    return PHASE_OUTCOME;
}

/* ---- OUTCOME: on disk before anybody hears of it ---- */

enum phase phase_outcome_begin(struct change *c)
{
    c->rec.in_doubt = false;
    c->rec.processed_at = clock_wall_ms();
    if (!c->rec.first_status && !c->answered) {
        bool denied = c->rec.state != CHANGE_COMPLETED && !c->rec.frontend; /* NOT_APPLIED too */
        c->rec.first_status = c->rec.state == CHANGE_NOT_SENT ? 503 : denied ? 409 : 200;
    }
    if (!change_make_event(c)) {
        change_again_later(c); /* nothing is settled untold */
        return PHASE_WAIT;
    }
    change_drop_start(c);
    return change_submit_op(c, JOURNAL_OUTCOME);
}

enum phase phase_outcome_finish(struct change *c)
{
    if (c->op.status == JOURNAL_OK) {
        c->generation = c->op.generation;
        change_ended(c);
        return PHASE_DROP;
    }
    if (c->op.status == JOURNAL_CONFLICT || c->op.status == JOURNAL_NOT_FOUND) {
        if (c->op.found.request_id && c->op.found.state == c->rec.state) {
            change_ended(c); /* an earlier attempt of ours, whose commit was reported as failed */
            return PHASE_DROP;
        }
        return change_settled_elsewhere(c); /* what is on disk is the outcome */
    }
    /* Not stored: to the world it is in doubt. The outcome is kept and offered to the journal again. */
    log_error("change.outcome_not_stored", log_str("requestId", c->rec.request_id),
              log_str("status", journal_status_name(c->op.status)));
    change_time_up(c);
    change_again_later(c);
    return PHASE_WAIT;
}

/* ---- DROP: the cached customer is deleted before the answer, if Redis can be reached ----
 *
 * The delete goes out with the outcome, side by side with its commit: KOS has answered, so whoever reads after the
 * delete asks KOS and is told the new product, whether the outcome is on disk yet or not. */

enum phase phase_drop_begin(struct change *c)
{
    if (c->rec.state == CHANGE_NOT_SENT || c->rec.state == CHANGE_INVALID) {
        change_answer_outcome(c); /* nothing changed at KOS: nobody has to wait for Redis */
    }
    return c->drop ? PHASE_WAIT : phase_drop_finish(c);
}

enum phase phase_drop_finish(struct change *c)
{
    change_tell_dropped(c);
    change_answer_outcome(c);
    return PHASE_END;
}
