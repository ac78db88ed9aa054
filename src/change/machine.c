/* machine.c - one change of plan, from the request to its end.
 *
 *   submit
 *     |
 *   CLAIM -------> HOLD --------> LOAD -----> CHECK --(async)--> INTENT(ACCEPTED) --.
 *     |             |              ^ ^          |                                  NOTE
 *     | replay,     | another      | |          |(sync)                             |  202 is answered here
 *     | busy        | instance     | |          v                                   v
 *    END        ELSEWHERE -> END   | |        ADMIT --> INTENT(SENDING)  .------ ADMIT <-------.
 *                                  | |reload <---------------'|          |         |           |
 *   take up ACCEPTED --------------' |                        |          |       SEND          |
 *                                    |                        |          |         |           |
 *   RECORD <-- CHECK failed          '-- RETRY <--------------|----------'         |           |
 *     |                                  (accepted, but KOS   v                    |           |
 *    END                                  is not to be had) ORDER <----------------'           |
 *                                                             |                                |
 *                         clear answer, or nothing was sent   |   no clear answer              |
 *                     .-------------------------------------- + ------------.                  |
 *                     v                                                     v                  |
 *                  OUTCOME --> DROP --> END         take up SENDING ----> DOUBT <--> ASK --> REPEAT
 *                     ^          |                                                    |    (KOS recognises
 *                     |          | told here                     settled              |     repeats) -> ORDER
 *                     '---------------------------------------------------------------'
 *
 * CLAIM asks Redis, too, so that HOLD mostly finds the answer there.
 *
 * Not drawn: CHECK -> OUTCOME (an accepted change fails when it is looked at again), LOAD -> LOAD (OUTAGE_MODE=hold:
 * on what is cached) and LOAD -> RETRY, NOTE -> RETRY (held), RETRY -> OUTCOME (expired), INTENT -> OUTCOME (told 503
 * meanwhile), SEND -> LOAD and SEND -> RETRY, REPEAT -> DOUBT, NOTE -> NOTE and OUTCOME -> OUTCOME (the journal could not
 * take it); and the ends of what somebody else has ended (SEND, OUTCOME, DOUBT -> END) or the process puts down (RETRY,
 * DOUBT, ASK, REPEAT -> END).
 *
 * Durable before sent: ORDER is entered from an INTENT or SEND that the journal has committed (or, as a repeat of
 * such an order, from REPEAT), and from nowhere else. Outcome before answer: "completed" and "refused" are told from
 * DROP, after OUTCOME is on disk. Each phase has a begin function, which starts its work, and a finish function,
 * which a library callback drives once the work's result is stored; both return the next phase, or PHASE_WAIT.
 * Nobody else writes c->phase. The phases: phases_ask.c, phases_order.c, phases_doubt.c. */
#include "change/phases.h"

#include "pcs/change/result.h"
#include "pcs/core/clock.h"
#include "pcs/core/failpoint.h"
#include "pcs/core/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const phase_names[PHASES] = {
    "CLAIM", "HOLD",  "ELSEWHERE", "LOAD", "CHECK", "RECORD", "ADMIT", "INTENT", "NOTE",
    "SEND",  "ORDER", "OUTCOME",   "DROP", "RETRY", "DOUBT",  "ASK",   "REPEAT", "END",
};

#define TO(p) (1u << PHASE_##p)
/* From which phase to which: the drawing above, as data. END is reachable from everywhere that nothing was
 * sent. */
static const unsigned legal_next[PHASES] = {
    [PHASE_CLAIM] = TO(HOLD) | TO(END),
    [PHASE_HOLD] = TO(LOAD) | TO(ELSEWHERE) | TO(END),
    [PHASE_ELSEWHERE] = TO(HOLD) | TO(END),
    [PHASE_LOAD] = TO(LOAD) | TO(CHECK) | TO(RETRY) | TO(END),
    [PHASE_CHECK] = TO(ADMIT) | TO(INTENT) | TO(RECORD) | TO(OUTCOME) | TO(END),
    [PHASE_RECORD] = TO(END),
    [PHASE_ADMIT] = TO(INTENT) | TO(SEND) | TO(RETRY) | TO(END),
    [PHASE_INTENT] = TO(ORDER) | TO(NOTE) | TO(LOAD) | TO(OUTCOME) | TO(END),
    [PHASE_NOTE] = TO(NOTE) | TO(ADMIT) | TO(RETRY),
    [PHASE_SEND] = TO(ORDER) | TO(LOAD) | TO(RETRY) | TO(END),
    [PHASE_ORDER] = TO(OUTCOME) | TO(DOUBT),
    [PHASE_OUTCOME] = TO(DROP) | TO(OUTCOME) | TO(END),
    [PHASE_DROP] = TO(END),
    [PHASE_RETRY] = TO(RETRY) | TO(LOAD) | TO(OUTCOME) | TO(END),
    [PHASE_DOUBT] = TO(ASK) | TO(END),
    [PHASE_ASK] = TO(OUTCOME) | TO(DOUBT) | TO(REPEAT) | TO(END),
    [PHASE_REPEAT] = TO(ORDER) | TO(DOUBT) | TO(END),
};

struct phase_row {
    enum phase (*begin)(struct change *c);
    enum phase (*finish)(struct change *c);
};
static const struct phase_row rows[PHASES];

/* Where the crash tests may end the process: on entering each phase, before its work begins. No default, so
 * that the compiler asks for the point of a new phase. */
static void pass_failpoint(enum phase p)
{
    switch (p) {
    case PHASE_CLAIM:
        FAILPOINT("change.claim");
        break;
    case PHASE_HOLD:
        FAILPOINT("change.hold");
        break;
    case PHASE_ELSEWHERE:
        FAILPOINT("change.elsewhere");
        break;
    case PHASE_LOAD:
        FAILPOINT("change.load");
        break;
    case PHASE_CHECK:
        FAILPOINT("change.check");
        break;
    case PHASE_RECORD:
        FAILPOINT("change.record");
        break;
    case PHASE_ADMIT:
        FAILPOINT("change.admit");
        break;
    case PHASE_INTENT:
        FAILPOINT("change.intent");
        break;
    case PHASE_NOTE:
        FAILPOINT("change.note");
        break;
    case PHASE_SEND:
        FAILPOINT("change.send");
        break;
    case PHASE_ORDER:
        FAILPOINT("change.order");
        break;
    case PHASE_OUTCOME:
        FAILPOINT("change.outcome");
        break;
    case PHASE_DROP:
        FAILPOINT("change.drop");
        break;
    case PHASE_RETRY:
        FAILPOINT("change.retry");
        break;
    case PHASE_DOUBT:
        FAILPOINT("change.doubt");
        break;
    case PHASE_ASK:
        FAILPOINT("change.ask");
        break;
    case PHASE_REPEAT:
        FAILPOINT("change.repeat");
        break;
    case PHASE_END:
        FAILPOINT("change.end");
        break;
    case PHASES:
        break;
    }
}

static void set_phase(struct change *c, enum phase next)
{
    if (!(legal_next[c->phase] & (1u << next))) {
        log_error("change.illegal_transition", log_str("requestId", c->rec.request_id),
                  log_str("from", phase_names[c->phase]), log_str("to", phase_names[next]));
        log_drain(200);
        abort(); /* our bug, and about somebody's money: stop before doing it twice; the journal knows where we were */
    }
    log_debug("change.phase", log_str("requestId", c->rec.request_id), log_str("from", phase_names[c->phase]),
              log_str("to", phase_names[next]));
    c->phase = next;
    pass_failpoint(next);
}

static void drive(struct change *c, enum phase next)
{
    while (next != PHASE_WAIT) {
        if (c->phase == PHASE_END) {
            return;
        }
        set_phase(c, next);
        if (next == PHASE_END) {
            change_let_go(c);
            return;
        }
        next = rows[next].begin(c);
    }
}

void change_run(struct change *c, enum phase first)
{
    c->phase = first;
    pass_failpoint(first);
    drive(c, rows[first].begin(c));
}

/* A child's work is done and its result stored: on with it. */
void change_advance(struct change *c)
{
    drive(c, rows[c->phase].finish(c));
}

/* ---- the one answer ---- */

void change_answer(struct change *c, enum change_verdict verdict, const char *reason)
{
    struct change_answer a = {.verdict = verdict,
                              .record = &c->rec,
                              .recorded = c->durable || c->phase == PHASE_RECORD,
                              .checks = verdict == VERDICT_INVALID ? &c->checks : NULL,
                              .retry_after_ns = c->retry_after_ns,
                              .reason = reason};
    change_answer_with(c, &a);
}

void change_answer_with(struct change *c, const struct change_answer *a)
{
    if (c->answered) {
        return;
    }
    c->answered = true;
    uv_timer_stop(&c->deadline);
    metric_observe_ns(&change_seconds, 0, clock_mono_ns() - c->started_ns);
    FAILPOINT("change.before_answer");
    c->done(c->arg, a);
    FAILPOINT("change.after_answer");
}

/* Nothing was ordered: say so, and end. */
enum phase change_end_with(struct change *c, enum change_verdict verdict, const char *reason)
{
    change_answer(c, verdict, reason);
    return PHASE_END;
}

/* KOS is out: answered first, recorded after, once per line and outage. */
enum phase change_end_unavailable(struct change *c, const char *reason)
{
    bool tell = !c->answered && !c->abandoned;
    change_answer(c, VERDICT_KOS_UNAVAILABLE, reason);
    if (tell) {
        tell_outage(c->svc, &c->rec, c->phase == PHASE_ADMIT || c->order_looks_out);
    }
    return PHASE_END;
}

enum phase change_submit_op(struct change *c, enum journal_verb verb)
{
    c->op.verb = verb;
    c->op.change = c->rec;
    c->op.event = c->event.event_id ? &c->event : NULL;
    if (!journal_submit(&c->op)) {
        c->op.status = JOURNAL_FULL;
        change_wait_start(c, 0); /* the answer never comes before the call has returned */
        return PHASE_WAIT;
    }
    c->in_flight = true;
    return PHASE_WAIT;
}

void change_on_journal(struct journal_op *op)
{
    struct change *c = op->arg;
    c->in_flight = false;
    if (c->svc->destroying) {
        /* the process ends; the journal has it, and whoever still waits is told how it stands */
        c->durable |= op->verb == JOURNAL_INTENT && op->status == JOURNAL_OK;
        change_time_up(c);
        change_let_go(c);
        return;
    }
    change_advance(c);
}

void change_answer_outcome(struct change *c)
{
    static const enum change_verdict verdicts[CHANGE_STATES] = {
        [CHANGE_COMPLETED] = VERDICT_COMPLETED,      [CHANGE_REFUSED] = VERDICT_DENIED,
        [CHANGE_NOT_SENT] = VERDICT_KOS_UNAVAILABLE, [CHANGE_NOT_APPLIED] = VERDICT_DENIED,
        [CHANGE_INVALID] = VERDICT_INVALID,          [CHANGE_CANCELLED] = VERDICT_DENIED,
        [CHANGE_EXPIRED] = VERDICT_DENIED,
    };
    change_answer(c, verdicts[c->rec.state], c->outcome_reason);
}

/* A timer that was set by RETRY, DOUBT, or an OUTCOME or NOTE that was refused has run out. */
void change_on_wait(uv_timer_t *timer)
{
    struct change *c = timer->data;
    if (c->phase == PHASE_DOUBT) {
        drive(c, PHASE_ASK);
    } else if (c->phase == PHASE_OUTCOME || (c->phase == PHASE_NOTE && !c->answered)) {
        drive(c, c->phase);
    } else {
        change_advance(c);
    }
}

/* The request's time is up, or its caller is gone: tell the truth as far as it is known. */
void change_time_up(struct change *c)
{
    if (c->answered) {
        return;
    }
    if (c->phase == PHASE_DROP) {
        change_answer_outcome(c);
    } else if (c->durable) {
        struct change_record shown = c->rec;
        if (c->rec.state != CHANGE_ACCEPTED) {
            shown.state = CHANGE_SENDING; /* an outcome that is not on disk is not told */
            shown.in_doubt = true;
        }
        shown.processed_at = 0;
        shown.kos_order_number = shown.failure_reason = NULL;
        struct change_answer a = {.verdict = VERDICT_ACCEPTED,
                                  .record = &shown,
                                  .recorded = true,
                                  .reason = "not ended when the time was up"};
        change_answer_with(c, &a);
        c->rec.first_status = 202; /* also over what an outcome that was not stored had noted */
        tell_answered(c->svc, c->rec.request_id, 202);
        shown.first_status = 202;
        tell_shared(c->svc, &shown, true);
    } else if (c->phase == PHASE_RECORD) {
        /* the pre-check has failed: that is true whether it is on disk yet or not */
        struct change_answer a = {.verdict = VERDICT_INVALID,
                                  .record = &c->rec,
                                  .checks = &c->checks,
                                  .reason = "pre-check failed; not recorded when the time was up"};
        change_answer_with(c, &a);
    } else {
        c->abandoned = true;
        change_answer(c,
                      c->phase == PHASE_LOAD || c->phase == PHASE_ADMIT ? VERDICT_KOS_UNAVAILABLE
                                                                        : VERDICT_UNAVAILABLE,
                      "time was up before anything was ordered");
    }
}

void change_abandon(struct change *c)
{
    if (c->durable || c->phase == PHASE_END) {
        return;
    }
    c->abandoned = true;
    if (!c->in_flight && c->phase != PHASE_INTENT) {
        drive(c, PHASE_END);
    }
}

/* The process is asked to end: what only waits is left to the journal and the next start. */
bool change_put_down(struct change *c)
{
    bool waits = c->phase == PHASE_RETRY || c->phase == PHASE_DOUBT || c->phase == PHASE_ASK ||
                 c->phase == PHASE_REPEAT;
    if (waits && !c->in_flight) {
        change_time_up(c);
        drive(c, PHASE_END);
        return true;
    }
    return false;
}

void change_was_cancelled(struct change *c)
{
    if (c->phase == PHASE_RETRY && !c->in_flight) {
        c->rec.state = CHANGE_CANCELLED;
        drive(c, PHASE_END);
    }
}

bool change_ask_now(struct change *c)
{
    bool doubts = c->phase == PHASE_DOUBT || c->phase == PHASE_ASK || c->phase == PHASE_REPEAT;
    if (c->phase == PHASE_DOUBT) {
        c->rec.next_check_at = clock_wall_ms(); /* in case the journal is at it: then right after */
    }
    if (c->phase == PHASE_DOUBT && !c->in_flight) {
        uv_timer_stop(&c->wait);
        drive(c, PHASE_ASK);
    }
    return doubts;
}

const char *change_phase_name(enum phase p)
{
    return phase_names[p];
}

static const struct phase_row rows[PHASES] = {
    [PHASE_CLAIM] = {phase_claim_begin, phase_claim_finish},
    [PHASE_HOLD] = {phase_hold_begin, phase_hold_finish},
    [PHASE_ELSEWHERE] = {phase_elsewhere_begin, phase_elsewhere_finish},
    [PHASE_LOAD] = {phase_load_begin, phase_load_finish},
    [PHASE_CHECK] = {phase_check_begin, NULL},
    [PHASE_RECORD] = {phase_record_begin, phase_record_finish},
    [PHASE_ADMIT] = {phase_admit_begin, phase_admit_finish},
    [PHASE_INTENT] = {phase_intent_begin, phase_intent_finish},
    [PHASE_NOTE] = {phase_note_begin, phase_note_finish},
    [PHASE_SEND] = {phase_send_begin, phase_send_finish},
    [PHASE_ORDER] = {phase_order_begin, phase_order_finish},
    [PHASE_OUTCOME] = {phase_outcome_begin, phase_outcome_finish},
    [PHASE_DROP] = {phase_drop_begin, phase_drop_finish},
    [PHASE_RETRY] = {phase_retry_begin, phase_retry_finish},
    [PHASE_DOUBT] = {phase_doubt_begin, phase_doubt_finish},
    [PHASE_ASK] = {phase_ask_begin, phase_ask_finish},
    [PHASE_REPEAT] = {phase_repeat_begin, phase_repeat_finish},
};
