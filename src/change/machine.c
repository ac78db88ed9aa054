/* machine.c - one change of plan, from the request to its end.
 *
 *   submit ─> CLAIM ─> HOLD ──────────────> LOAD ─> CHECK ─┬─ sync ──> ADMIT ─> INTENT ─┬─> ORDER ─┬─>
 * OUTCOME ─> DROP ─> END │        └> ELSEWHERE ─> END  ^       │    └─ async ─> INTENT(ACCEPTED) │    ^     │
 * ^ └─ replay, busy ─> END        │       └> RECORD ─> END      │           │    │     └> DOUBT <─> ASK │ v
 * │    └── REPEAT <───────┘ reload (journal) ────┤                           ADMIT ─> SEND ┘   (KOS
 * recognises repeats) take up ACCEPTED ─────────────────────────┤                             │ take up
 * SENDING ─> DOUBT                  └────────────── RETRY <───────┘ (accepted, KOS not to be had: later)
 *
 * Durable before sent: ORDER is entered from an INTENT or SEND that the journal has committed, and from
 * nowhere else. Outcome before answer: "completed" and "refused" are told from DROP, after OUTCOME is on
 * disk. Each phase has a begin function, which starts its work, and a finish function, which a library
 * callback drives once the work's result is stored; both return the next phase, or WAIT. Nobody else writes
 * c->phase. */
#include "change/machine.h"

#include "pcs/change/result.h"
#include "pcs/core/clock.h"
#include "pcs/core/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT PHASES /* not a phase: the answer of a begin or finish whose work goes on */

#define RELOADS_MAX 3

static const char *const phase_names[PHASES] = {
    "CLAIM", "HOLD",    "ELSEWHERE", "LOAD",  "CHECK", "RECORD", "ADMIT",  "INTENT", "SEND",
    "ORDER", "OUTCOME", "DROP",      "RETRY", "DOUBT", "ASK",    "REPEAT", "END",
};

#define TO(p) (1u << PHASE_##p)
/* From which phase to which: the drawing above, as data. END is reachable from everywhere that nothing was
 * sent. */
static const unsigned legal_next[PHASES] = {
    [PHASE_CLAIM] = TO(HOLD) | TO(END),
    [PHASE_HOLD] = TO(LOAD) | TO(ELSEWHERE) | TO(END),
    [PHASE_ELSEWHERE] = TO(END),
    [PHASE_LOAD] = TO(CHECK) | TO(RETRY) | TO(END),
    [PHASE_CHECK] = TO(ADMIT) | TO(INTENT) | TO(RECORD) | TO(OUTCOME) | TO(END),
    [PHASE_RECORD] = TO(END),
    [PHASE_ADMIT] = TO(INTENT) | TO(SEND) | TO(RETRY) | TO(OUTCOME) | TO(END),
    [PHASE_INTENT] = TO(ORDER) | TO(ADMIT) | TO(LOAD) | TO(OUTCOME) | TO(END),
    [PHASE_SEND] = TO(ORDER) | TO(LOAD) | TO(RETRY) | TO(END),
    [PHASE_ORDER] = TO(OUTCOME) | TO(DOUBT),
    [PHASE_OUTCOME] = TO(DROP) | TO(DOUBT) | TO(RETRY) | TO(OUTCOME),
    [PHASE_DROP] = TO(END),
    [PHASE_RETRY] = TO(LOAD) | TO(OUTCOME) | TO(END),
    [PHASE_DOUBT] = TO(ASK) | TO(END),
    [PHASE_ASK] = TO(OUTCOME) | TO(DOUBT) | TO(REPEAT) | TO(END),
    [PHASE_REPEAT] = TO(ORDER) | TO(DOUBT) | TO(END),
};

struct phase_row {
    enum phase (*begin)(struct change *c);
    enum phase (*finish)(struct change *c);
};
static const struct phase_row rows[PHASES];

static void set_phase(struct change *c, enum phase next)
{
    if (!(legal_next[c->phase] & (1u << next))) {
        log_error("change.illegal_transition", log_str("requestId", c->rec.request_id),
                  log_str("from", phase_names[c->phase]), log_str("to", phase_names[next]));
        abort(); /* our bug, and about somebody's money: stop before doing it twice; the journal knows where
                    we were */
    }
    log_debug("change.phase", log_str("requestId", c->rec.request_id), log_str("from", phase_names[c->phase]),
              log_str("to", phase_names[next]));
    c->phase = next;
}

static void drive(struct change *c, enum phase next)
{
    while (next != WAIT) {
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
    drive(c, rows[first].begin(c));
}

/* A child's work is done and its result stored: on with it. */
void change_advance(struct change *c)
{
    drive(c, rows[c->phase].finish(c));
}

/* ---- the one answer ---- */

static void answer(struct change *c, enum change_verdict verdict, const char *reason)
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
    c->done(c->arg, a);
}

/* Nothing was ordered: say so, and end. */
static enum phase end_with(struct change *c, enum change_verdict verdict, const char *reason)
{
    answer(c, verdict, reason);
    return PHASE_END;
}

/* KOS is out: answered first, recorded after, once per line and outage. */
static enum phase end_unavailable(struct change *c, const char *reason)
{
    bool tell = !c->answered && !c->abandoned;
    answer(c, VERDICT_KOS_UNAVAILABLE, reason);
    if (tell) {
        tell_outage(c->svc, &c->rec);
    }
    return PHASE_END;
}

static enum phase submit(struct change *c, enum journal_verb verb)
{
    c->op.verb = verb;
    c->op.change = c->rec;
    c->op.event = c->event.event_id ? &c->event : NULL;
    if (!journal_submit(&c->op)) {
        c->op.status = JOURNAL_FULL;
        change_wait_start(c, 0); /* the answer never comes before the call has returned */
        return WAIT;
    }
    c->in_flight = true;
    return WAIT;
}

void change_on_journal(struct journal_op *op)
{
    struct change *c = op->arg;
    c->in_flight = false;
    if (c->svc->destroying) {
        change_let_go(c); /* the process ends; the journal has it */
        return;
    }
    change_advance(c);
}

/* ---- CLAIM: the line and the key in this journal, before anything is read (a double click must not order
 * twice) ---- */

static enum phase claim_begin(struct change *c)
{
    return submit(c, JOURNAL_CLAIM);
}

/* A replay repeats the first answer; of a change that is still open it tells the present state. */
static enum phase replay(struct change *c, const struct change_record *found)
{
    bool refused = found->state == CHANGE_REFUSED && !found->frontend;
    bool error = found->first_status ? found->first_status == 409 : refused || found->state == CHANGE_INVALID;
    struct change_answer a = {
        .record = found, .recorded = true, .replayed = true, .reason = "idempotency key"};
    if (error) {
        a.verdict = found->state == CHANGE_INVALID ? VERDICT_INVALID : VERDICT_DENIED;
    } else {
        bool accepted =
            found->first_status == 202 || (!found->first_status && !change_state_final(found->state));
        a.verdict = accepted ? VERDICT_ACCEPTED : VERDICT_COMPLETED;
    }
    change_answer_with(c, &a);
    return PHASE_END;
}

static enum phase busy(struct change *c, const struct change_record *found, bool recorded, const char *reason)
{
    struct change_answer a = {
        .verdict = VERDICT_IN_PROGRESS, .record = found, .recorded = recorded, .reason = reason};
    change_answer_with(c, &a);
    return PHASE_END;
}

static enum phase claim_finish(struct change *c)
{
    enum journal_status status = c->op.status;
    if (status == JOURNAL_OK) {
        c->claimed = true;
        return c->abandoned ? PHASE_END : PHASE_HOLD;
    }
    if (status == JOURNAL_REPLAY) {
        return replay(c, &c->op.found);
    }
    if (status == JOURNAL_KEY_REUSED) {
        return end_with(c, VERDICT_KEY_REUSED, "idempotency key used with another body");
    }
    if (status == JOURNAL_KEY_BUSY || status == JOURNAL_LINE_BUSY) {
        return busy(c, &c->op.found, c->op.found_recorded,
                    status == JOURNAL_KEY_BUSY ? "first request of the key is unanswered" : "line is busy");
    }
    return end_with(c, VERDICT_UNAVAILABLE, journal_status_name(status));
}

/* ---- HOLD: the same between instances, best effort, in Redis ---- */

static enum phase hold_begin(struct change *c)
{
    return change_hold_start(c) ? WAIT : rows[PHASE_HOLD].finish(c);
}

static bool same_product(const struct change *c)
{
    return strcmp(c->rec.current_code, c->rec.target_code) == 0;
}

/* Only looked at, no permit taken: when the carrier is out, everyone is told within a millisecond. */
static bool kos_looks_out(struct change *c)
{
    uint64_t wait = 0, longest = 0;
    bool out = false;
    const enum kos_operation needed[] = {KOS_INQUIRY, KOS_CHANGE};
    for (size_t i = 0; i < 2; i++) {
        if (!gate_looks_open(kos_gate(c->svc->kos, needed[i]), &wait)) {
            out = true;
            longest = wait > longest ? wait : longest;
        }
    }
    c->retry_after_ns = longest;
    return out;
}

static enum phase hold_finish(struct change *c)
{
    if (c->abandoned) {
        return PHASE_END;
    }
    if (c->foreign_id[0]) {
        return PHASE_ELSEWHERE;
    }
    if (c->hold_answer == HOLD_UNKNOWN) {
        metric_add(&change_unguarded, 0, 1);
    }
    if (same_product(c)) {
        return end_with(c, VERDICT_SAME_PRODUCT, "current and target are the same product");
    }
    if (kos_looks_out(c)) {
        return end_unavailable(c, "breaker open");
    }
    return PHASE_LOAD;
}

/* ---- ELSEWHERE: another instance has the line, or knows the key ---- */

static enum phase elsewhere_begin(struct change *c)
{
    return change_foreign_start(c) ? WAIT : busy(c, NULL, false, "line is busy on another instance");
}

static enum phase elsewhere_finish(struct change *c)
{
    const struct change_record *found = c->foreign.request_id ? &c->foreign : NULL;
    if (c->abandoned) {
        return PHASE_END;
    }
    if (!c->foreign_is_key || !found) {
        return busy(c, found, found != NULL, "busy on another instance");
    }
    if (!found->body_hash || strcmp(found->body_hash, c->rec.body_hash) != 0) {
        return end_with(c, VERDICT_KEY_REUSED, "idempotency key used with another body");
    }
    return replay(c, found);
}

/* ---- LOAD: the customer afresh from KOS, the catalogue from the cache ---- */

static enum phase load_begin(struct change *c)
{
    return change_load_start(c) ? WAIT : end_with(c, VERDICT_UNAVAILABLE, "no memory");
}

static enum phase load_finish(struct change *c)
{
    if (c->customer_load || c->catalogue_load) {
        return WAIT;
    }
    if (c->abandoned) {
        return PHASE_END;
    }
    if (c->customer_answer == STORE_UNAVAILABLE || c->catalogue_failed) {
        return c->durable ? PHASE_RETRY : end_unavailable(c, c->load_reason);
    }
    return PHASE_CHECK;
}

/* ---- CHECK: UFR-PROD-030 ---- */

/* An accepted change that fails when it is looked at again ends as what a fresh request would have been told.
 */
static enum phase fail_accepted(struct change *c, const char *why)
{
    c->rec.state = CHANGE_INVALID;
    c->rec.failure_reason = why;
    result_finish(&c->rec, NULL, NULL);
    return PHASE_OUTCOME;
}

static enum phase check_begin(struct change *c)
{
    const struct product *target = catalogue_find(c->catalogue, c->rec.target_code);
    if (c->customer_answer == STORE_UNKNOWN_LINE) {
        return c->durable ? fail_accepted(c, "확인되지 않는 회선입니다")
                          : end_with(c, VERDICT_LINE_NOT_FOUND, "KOS does not know the line");
    }
    if (c->customer_answer == STORE_NO_PRODUCT) {
        return c->durable ? fail_accepted(c, "현재 이용 중인 상품을 확인할 수 없습니다")
                          : end_with(c, VERDICT_NO_PRODUCT, "KOS does not know the line's product");
    }
    change_take_facts(c, target);
    bool line_active = c->checks.reason[CHECK_LINE_STATUS] == CHECK_PASS;
    if (line_active && c->loaded_code && strcmp(c->loaded_code, c->rec.current_code) != 0) {
        return c->durable ? fail_accepted(c, "현재 이용 중인 상품이 신청 시점과 다릅니다")
                          : end_with(c, VERDICT_MISMATCH, "current product differs");
    }
    if (!precheck_passed(&c->checks)) {
        return c->durable ? fail_accepted(c, c->rec.failure_reason) : PHASE_RECORD;
    }
    if (c->in.async && !c->durable) {
        return PHASE_INTENT;
    }
    return PHASE_ADMIT;
}

/* ---- RECORD: a failed pre-check is a change that ended before it began ---- */

static enum phase record_begin(struct change *c)
{
    c->rec.state = CHANGE_INVALID;
    c->rec.processed_at = clock_wall_ms();
    c->rec.first_status = 409;
    result_finish(&c->rec, NULL, NULL);
    return submit(c, JOURNAL_RECORD);
}

static enum phase record_finish(struct change *c)
{
    bool stored = c->op.status == JOURNAL_OK;
    struct change_answer a = {.verdict = VERDICT_INVALID,
                              .record = &c->rec,
                              .recorded = stored,
                              .checks = &c->checks,
                              .reason = stored ? "pre-check failed" : "pre-check failed; not recorded"};
    change_answer_with(c, &a);
    change_count_result(&c->rec);
    if (stored) {
        tell_calls(c->svc, c->rec.request_id, c->notes, c->note_count, 0);
        tell_shared(c->svc, &c->rec, true);
        watch_notify(c->svc->shared, c->rec.request_id);
    }
    return PHASE_END;
}

/* ---- ADMIT: the breaker's permit and the bulkhead's slot, before anything is promised to the journal ----
 */

static enum phase admit_begin(struct change *c)
{
    return change_admit_start(c) ? WAIT : rows[PHASE_ADMIT].finish(c);
}

static enum phase admit_finish(struct change *c)
{
    if (c->abandoned) {
        return PHASE_END; /* the pass is given back with the other children */
    }
    if (!c->pass) {
        return c->durable ? PHASE_RETRY : end_unavailable(c, c->admit_reason);
    }
    return c->durable ? PHASE_SEND : PHASE_INTENT;
}

/* ---- INTENT: durable. SENDING for a synchronous change, ACCEPTED for an asynchronous one ---- */

static enum phase intent_begin(struct change *c)
{
    int64_t now = clock_wall_ms();
    if (c->svc->draining) {
        return end_with(c, VERDICT_UNAVAILABLE, "shutting down");
    }
    if (c->in.async) {
        c->rec.state = CHANGE_ACCEPTED;
        c->rec.expires_at = now + c->svc->config->max_hold_ms;
        c->rec.first_status = 202;
    } else {
        c->rec.state = CHANGE_SENDING;
        c->rec.sent_at = now;
    }
    change_drop_ahead(c);
    return submit(c, JOURNAL_INTENT);
}

static void give_pass_back(struct change *c)
{
    if (c->pass) {
        gate_return(c->pass);
        c->pass = NULL;
    }
}

static enum phase reload(struct change *c)
{
    give_pass_back(c);
    c->rec.state = c->durable ? CHANGE_ACCEPTED : CHANGE_SENDING;
    if (++c->reloads > RELOADS_MAX) {
        return c->durable ? PHASE_RETRY : end_with(c, VERDICT_UNAVAILABLE, "the line kept changing");
    }
    return PHASE_LOAD;
}

static enum phase intent_finish(struct change *c)
{
    enum journal_status status = c->op.status;
    if (status == JOURNAL_OK) {
        c->durable = true;
        c->generation = c->op.generation;
        change_opened(c);
        if (c->rec.state == CHANGE_ACCEPTED) {
            answer(c, VERDICT_ACCEPTED, "accepted");
            return PHASE_ADMIT;
        }
        if (c->abandoned) { /* told 503 while the journal was at it: keep the word, send nothing */
            return change_not_sent(c, "time was up before the intent was durable");
        }
        return PHASE_ORDER;
    }
    if (status == JOURNAL_RELOAD && !c->abandoned) {
        return reload(c);
    }
    give_pass_back(c);
    if (status == JOURNAL_LINE_BUSY || status == JOURNAL_KEY_BUSY) {
        return busy(c, &c->op.found, c->op.found_recorded, "line is busy");
    }
    return end_with(c, VERDICT_UNAVAILABLE, journal_status_name(status));
}

/* ---- SEND: ACCEPTED -> SENDING, unless it was cancelled meanwhile ---- */

static enum phase send_begin(struct change *c)
{
    if (c->svc->draining) {
        give_pass_back(c);
        return PHASE_END;
    }
    c->rec.sent_at = clock_wall_ms();
    return submit(c, JOURNAL_SEND);
}

static enum phase send_finish(struct change *c)
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
    give_pass_back(c);
    if (status == JOURNAL_CONFLICT || status == JOURNAL_NOT_FOUND) {
        return PHASE_END; /* cancelled: whoever did it has told the rest */
    }
    return PHASE_RETRY;
}

/* ---- ORDER: the first byte may leave now, and nothing takes it back ---- */

static enum phase order_begin(struct change *c)
{
    if (!change_order_start(c)) {
        return change_not_sent(c, "no memory for the order");
    }
    return WAIT;
}

enum phase change_not_sent(struct change *c, const char *why)
{
    c->rec.state = CHANGE_NOT_SENT;
    c->outcome_reason = why;
    give_pass_back(c);
    result_finish(&c->rec, NULL, NULL);
    return PHASE_OUTCOME;
}

static enum phase order_finish(struct change *c)
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
        return PHASE_DOUBT;
    }
    result_finish(&c->rec, c->kos_code, c->kos_message);
    return PHASE_OUTCOME;
}

/* ---- OUTCOME: on disk before anybody hears of it ---- */

static enum phase outcome_begin(struct change *c)
{
    c->rec.in_doubt = false;
    c->rec.processed_at = clock_wall_ms();
    if (!c->rec.first_status && !c->answered) {
        bool refused = c->rec.state == CHANGE_REFUSED && !c->rec.frontend;
        c->rec.first_status = c->rec.state == CHANGE_NOT_SENT ? 503 : refused ? 409 : 200;
    }
    change_make_event(c);
    return submit(c, JOURNAL_OUTCOME);
}

static enum phase outcome_finish(struct change *c)
{
    c->event.event_id = NULL;
    if (c->op.status == JOURNAL_OK) {
        c->generation = c->op.generation;
        change_ended(c);
        return PHASE_DROP;
    }
    if (c->op.status == JOURNAL_CONFLICT || c->op.status == JOURNAL_NOT_FOUND) {
        return PHASE_DROP; /* somebody (an operator) has ended it: theirs is the outcome on disk */
    }
    /* Not stored: to the world it is in doubt. The outcome is kept and offered to the journal again. */
    log_error("change.outcome_not_stored", log_str("requestId", c->rec.request_id),
              log_str("status", journal_status_name(c->op.status)));
    change_time_up(c);
    return change_again_later(c, PHASE_OUTCOME);
}

/* ---- DROP: the cached customer is deleted before the answer, if Redis can be reached ---- */

static void answer_outcome(struct change *c)
{
    static const enum change_verdict verdicts[CHANGE_STATES] = {
        [CHANGE_COMPLETED] = VERDICT_COMPLETED,      [CHANGE_REFUSED] = VERDICT_DENIED,
        [CHANGE_NOT_SENT] = VERDICT_KOS_UNAVAILABLE, [CHANGE_NOT_APPLIED] = VERDICT_DENIED,
        [CHANGE_INVALID] = VERDICT_INVALID,          [CHANGE_CANCELLED] = VERDICT_DENIED,
        [CHANGE_EXPIRED] = VERDICT_DENIED,
    };
    answer(c, verdicts[c->rec.state], c->outcome_reason);
}

static enum phase drop_begin(struct change *c)
{
    if (c->rec.state == CHANGE_NOT_SENT || c->rec.state == CHANGE_INVALID) {
        answer_outcome(c); /* nothing changed at KOS: nobody has to wait for Redis */
    }
    return change_drop_start(c) ? WAIT : rows[PHASE_DROP].finish(c);
}

static enum phase drop_finish(struct change *c)
{
    answer_outcome(c);
    return PHASE_END;
}

/* ---- RETRY: accepted, but it cannot be sent now; or an outcome that the journal could not take ---- */

static enum phase retry_begin(struct change *c)
{
    give_pass_back(c);
    if (c->svc->draining) {
        return PHASE_END;
    }
    if (clock_wall_ms() >= c->rec.expires_at) {
        c->rec.state = CHANGE_EXPIRED;
        result_finish(&c->rec, NULL, NULL);
        return PHASE_OUTCOME;
    }
    change_wait_start(c, change_retry_delay_ms(c));
    return WAIT;
}

static enum phase retry_finish(struct change *c)
{
    (void)c;
    return PHASE_LOAD;
}

/* ---- DOUBT: the line stays closed, no event; ask when it is time ---- */

static enum phase doubt_begin(struct change *c)
{
    if (!c->rec.in_doubt) {
        c->rec.in_doubt = true;
        c->rec.doubt_since = clock_wall_ms();
        c->rec.next_check_at = c->rec.doubt_since + change_first_ask_ms(c);
    }
    if (c->svc->draining) {
        change_time_up(c);
    }
    if (c->rec.on_operator_list) {
        change_time_up(c);
    }
    return submit(c, JOURNAL_DOUBT);
}

static enum phase doubt_finish(struct change *c)
{
    if (c->op.status == JOURNAL_NOT_FOUND || c->op.status == JOURNAL_CONFLICT) {
        return change_settled_elsewhere(c);
    }
    if (c->rec.on_operator_list || c->svc->draining) {
        change_time_up(c);
        return PHASE_END;
    }
    change_wait_start(c, c->rec.next_check_at - clock_wall_ms());
    return WAIT;
}

/* ---- ASK: the customer's product at KOS ---- */

static enum phase ask_begin(struct change *c)
{
    return change_ask_start(c) ? WAIT : PHASE_DOUBT;
}

static enum phase ask_finish(struct change *c)
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
                      (uint64_t)(clock_wall_ms() - c->rec.doubt_since) * NS_PER_MS);
    result_finish(&c->rec, NULL, NULL);
    return PHASE_OUTCOME;
}

/* ---- REPEAT: still the baseline, and KOS recognises a repeated requestId ---- */

static enum phase repeat_begin(struct change *c)
{
    return change_admit_start(c) ? WAIT : PHASE_DOUBT;
}

static enum phase repeat_finish(struct change *c)
{
    if (!c->pass) {
        c->rec.next_check_at = clock_wall_ms() + change_retry_delay_ms(c);
        return PHASE_DOUBT;
    }
    return PHASE_ORDER;
}

/* A timer that was set by RETRY, DOUBT or a refused OUTCOME has run out. */
void change_on_wait(uv_timer_t *timer)
{
    struct change *c = timer->data;
    if (c->phase == PHASE_DOUBT) {
        drive(c, PHASE_ASK);
    } else if (c->phase == PHASE_OUTCOME) {
        drive(c, PHASE_OUTCOME);
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
        answer_outcome(c);
    } else if (c->durable) {
        struct change_record shown = c->rec;
        shown.state = CHANGE_SENDING; /* an outcome that is not on disk is not told */
        shown.in_doubt = true;
        struct change_answer a = {.verdict = VERDICT_ACCEPTED,
                                  .record = &shown,
                                  .recorded = true,
                                  .reason = "in doubt when the time was up"};
        change_answer_with(c, &a);
        tell_answered(c->svc, c->rec.request_id, 202);
    } else {
        c->abandoned = true;
        answer(c,
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
void change_drain(struct change *c)
{
    bool waits = c->phase == PHASE_RETRY || c->phase == PHASE_DOUBT || c->phase == PHASE_ASK ||
                 c->phase == PHASE_REPEAT;
    if (waits && !c->in_flight) {
        change_time_up(c);
        drive(c, PHASE_END);
    }
}

const char *change_phase_name(enum phase p)
{
    return phase_names[p];
}

static const struct phase_row rows[PHASES] = {
    [PHASE_CLAIM] = {claim_begin, claim_finish},
    [PHASE_HOLD] = {hold_begin, hold_finish},
    [PHASE_ELSEWHERE] = {elsewhere_begin, elsewhere_finish},
    [PHASE_LOAD] = {load_begin, load_finish},
    [PHASE_CHECK] = {check_begin, NULL},
    [PHASE_RECORD] = {record_begin, record_finish},
    [PHASE_ADMIT] = {admit_begin, admit_finish},
    [PHASE_INTENT] = {intent_begin, intent_finish},
    [PHASE_SEND] = {send_begin, send_finish},
    [PHASE_ORDER] = {order_begin, order_finish},
    [PHASE_OUTCOME] = {outcome_begin, outcome_finish},
    [PHASE_DROP] = {drop_begin, drop_finish},
    [PHASE_RETRY] = {retry_begin, retry_finish},
    [PHASE_DOUBT] = {doubt_begin, doubt_finish},
    [PHASE_ASK] = {ask_begin, ask_finish},
    [PHASE_REPEAT] = {repeat_begin, repeat_finish},
};
