/* phases_doubt.c - RETRY to REPEAT: what waits, and how a doubt is settled (the drawing is in machine.c). */
#include "change/phases.h"

#include "pcs/change/result.h"
#include "pcs/core/clock.h"
#include "pcs/core/log.h"

#include <string.h>

/* ---- RETRY: accepted, but it cannot be sent now; or an outcome that the journal could not take ---- */

enum phase phase_retry_begin(struct change *c)
{
    change_give_pass_back(c);
    change_tell_notes(c);
    if (c->refused) {
        return change_not_sent(c, "its caller may have been told that nothing was ordered");
    }
    if (c->svc->draining) {
        return PHASE_END;
    }
    if (clock_wall_ms() >= c->rec.expires_at) {
        c->rec.state = CHANGE_EXPIRED;
        result_finish(&c->rec, NULL, NULL);
        return PHASE_OUTCOME;
    }
    int64_t delay = change_retry_delay_ms(c), left = c->rec.expires_at - clock_wall_ms();
    change_wait_start(c, delay < left ? delay : left);
    return PHASE_WAIT;
}

/* Held changes do not trample a carrier that has just come back: each takes its turn. */
enum phase phase_retry_finish(struct change *c)
{
    c->on_cached = false;
    if (change_kos_looks_out(c)) {
        c->paced = false;
        return PHASE_RETRY;
    }
    if (c->rec.held && !c->paced) {
        c->paced = true;
        int64_t turn = pace_take(c->svc->shared, c->svc->config->release_rate, clock_mono_ns());
        int64_t left = c->rec.expires_at - clock_wall_ms();
        if (turn > 0) {
            change_wait_start(c, turn < left ? turn : left);
            return PHASE_WAIT;
        }
    }
    c->paced = false;
    return PHASE_LOAD;
}

/* ---- DOUBT: the line stays closed, no event; ask when it is time ---- */

enum phase phase_doubt_begin(struct change *c)
{
    change_tell_notes(c); /* above all of the order; goes into the same commit */
    if (!c->rec.in_doubt) {
        c->rec.in_doubt = true;
        c->rec.doubt_since = change_now_ms(c);
        c->rec.next_check_at = c->rec.doubt_since + change_first_ask_ms(c);
    } else if (!c->rec.on_operator_list && c->rec.next_check_at <= change_now_ms(c)) {
        c->rec.next_check_at = change_now_ms(c) + change_next_ask_ms(c); /* after a repeat, or a restart */
    }
    if (c->svc->draining) {
        change_time_up(c);
    }
    if (c->rec.on_operator_list) {
        change_time_up(c);
    }
    return change_submit_op(c, JOURNAL_DOUBT);
}

enum phase phase_doubt_finish(struct change *c)
{
    if (c->op.status == JOURNAL_NOT_FOUND || c->op.status == JOURNAL_CONFLICT) {
        return change_settled_elsewhere(c);
    }
    bool listed = c->rec.on_operator_list && c->op.status == JOURNAL_OK;
    if (listed || c->svc->draining) {
        change_time_up(c);
        return PHASE_END;
    }
    if (c->rec.on_operator_list) { /* no operator can see it: asked again, and put on the list then */
        c->rec.next_check_at = change_now_ms(c) + change_next_ask_ms(c);
    }
    tell_shared(c->svc, &c->rec, true); /* so that every instance tells of the doubt */
    int64_t wait = c->rec.next_check_at - change_now_ms(c), longest = 2 * c->svc->config->settle_max_ms;
    change_wait_start(c, wait < longest ? wait : longest); /* noted before the clock was set back */
    return PHASE_WAIT;
}

/* ---- ASK: the customer's product at KOS ---- */

enum phase phase_ask_begin(struct change *c)
{
    return change_ask_start(c) ? PHASE_WAIT : PHASE_DOUBT;
}

enum phase phase_ask_finish(struct change *c)
{
    switch (c->settle_step) {
    case SETTLE_COMPLETED:
        c->rec.state = CHANGE_COMPLETED;
        break;
    case SETTLE_NOT_APPLIED:
        c->rec.state = CHANGE_NOT_APPLIED;
        break;
    case SETTLE_REPEAT:
        return PHASE_REPEAT;
    case SETTLE_OPERATOR:
        log_error("change.operator_needed", log_str("requestId", c->rec.request_id),
                  log_str("reason", "the line's product is neither the baseline nor the target"));
        return PHASE_DOUBT;
    case SETTLE_ASK_AGAIN:
        return PHASE_DOUBT;
    }
    c->outcome_reason = "settled by inquiry";
    metric_observe_ns(&change_settle_seconds, 0,
                      (uint64_t)(change_now_ms(c) - c->rec.doubt_since) * NS_PER_MS);
    result_finish(&c->rec, NULL, NULL);
    return PHASE_OUTCOME;
}

/* ---- REPEAT: still the baseline, and KOS recognises a repeated requestId ---- */

enum phase phase_repeat_begin(struct change *c)
{
    return change_admit_start(c) ? PHASE_WAIT : PHASE_DOUBT;
}

enum phase phase_repeat_finish(struct change *c)
{
    if (!c->pass) {
        c->rec.next_check_at = change_now_ms(c) + change_retry_delay_ms(c);
        return PHASE_DOUBT;
    }
    return PHASE_ORDER;
}
