/* phases_ask.c - CLAIM to RECORD: before anything is promised (the drawing is in machine.c). */
#include "change/phases.h"

#include "pcs/change/result.h"
#include "pcs/core/clock.h"
#include "pcs/core/log.h"

#include <string.h>

/* ---- CLAIM: the line and the key in this journal, before anything is read (a double click must not order
 * twice) ---- */

/* Redis is asked meanwhile (HOLD): neither needs the other's answer, and nothing is read before both are there. What the
 * journal says counts first. */
enum phase phase_claim_begin(struct change *c)
{
    enum phase next = change_submit_op(c, JOURNAL_CLAIM);
    if (c->in_flight) {
        change_hold_start(c);
        c->hold_asked = true;
    }
    return next;
}

/* A replay repeats the first answer; of a change that is still open it tells the present state. */
static enum phase replay(struct change *c, const struct change_record *found)
{
    int64_t first =
        found->first_status == 503 ? 0 : found->first_status; /* perhaps (change_take_up): as it stands now */
    bool refused = found->state == CHANGE_REFUSED && !found->frontend;
    bool error = first ? first == 409 : refused || found->state == CHANGE_INVALID;
    struct change_answer a = {
        .record = found, .recorded = true, .replayed = true, .reason = "idempotency key"};
    if (error) {
        a.verdict = found->state == CHANGE_INVALID ? VERDICT_INVALID : VERDICT_DENIED;
    } else {
        bool accepted = first == 202 || (!first && !change_state_final(found->state));
        a.verdict = accepted ? VERDICT_ACCEPTED : VERDICT_COMPLETED;
    }
    change_answer_with(c, &a);
    return PHASE_END;
}

enum phase change_busy(struct change *c, const struct change_record *found, bool recorded, const char *reason)
{
    struct change_answer a = {
        .verdict = VERDICT_IN_PROGRESS, .record = found, .recorded = recorded, .reason = reason};
    change_answer_with(c, &a);
    return PHASE_END;
}

enum phase phase_claim_finish(struct change *c)
{
    enum journal_status status = c->op.status;
    if (c->in_flight) {
        return PHASE_WAIT; /* Redis was quicker */
    }
    if (status == JOURNAL_OK) {
        c->claimed = true;
        return c->abandoned ? PHASE_END : PHASE_HOLD;
    }
    if (status == JOURNAL_REPLAY) {
        return replay(c, &c->op.found);
    }
    if (status == JOURNAL_KEY_REUSED) {
        return change_end_with(c, VERDICT_KEY_REUSED, "idempotency key used with another body");
    }
    if (status == JOURNAL_KEY_BUSY || status == JOURNAL_LINE_BUSY) {
        return change_busy(c, &c->op.found, c->op.found_recorded,
                           status == JOURNAL_KEY_BUSY ? "first request of the key is unanswered"
                                                      : "line is busy");
    }
    return change_end_with(c, VERDICT_UNAVAILABLE, journal_status_name(status));
}

/* ---- HOLD: the same between instances, best effort, in Redis; asked with CLAIM, and again after ELSEWHERE ---- */

enum phase phase_hold_begin(struct change *c)
{
    if (!c->hold_asked) {
        change_hold_start(c);
    }
    c->hold_asked = false;
    return change_hold_asks(c) ? PHASE_WAIT : phase_hold_finish(c);
}

/* OUTAGE_MODE=hold: an asynchronous request is taken on what is cached, and sent when KOS is back. */
static bool may_hold(const struct change *c)
{
    return !c->durable && outage_holds(c->svc, c->in.async);
}

static bool same_product(const struct change *c)
{
    return strcmp(c->rec.current_code, c->rec.target_code) == 0;
}

/* Only looked at, no permit taken: when the carrier is out, everyone is told within a millisecond. */
bool change_kos_looks_out(struct change *c)
{
    struct kos_outage outage;
    bool out = kos_looks_out(c->svc, &outage);
    c->order_looks_out = outage.orders;
    c->retry_after_ns = outage.left_ns;
    return out;
}

enum phase phase_hold_finish(struct change *c)
{
    if (c->abandoned) {
        return PHASE_END;
    }
    if (c->foreign_id[0]) {
        return PHASE_ELSEWHERE;
    }
    if (c->line_key == LINE_KEY_UNKNOWN) {
        metric_add(&change_unguarded, 0, 1);
    }
    if (same_product(c)) {
        return change_end_with(c, VERDICT_SAME_PRODUCT, "current and target are the same product");
    }
    if (change_kos_looks_out(c)) {
        if (!may_hold(c)) {
            return change_end_unavailable(c, "breaker open");
        }
        c->on_cached = true;
    }
    return PHASE_LOAD;
}

/* ---- ELSEWHERE: another instance has the line, or knows the key ---- */

enum phase phase_elsewhere_begin(struct change *c)
{
    return change_foreign_start(c) ? PHASE_WAIT
                                   : change_busy(c, NULL, false, "line is busy on another instance");
}

/* Of this line, caller, key and body: anything else would be told to somebody whom it does not concern, or who asked
 * for something else. */
static bool same_request(const struct change *c, const struct change_record *found)
{
    return strcmp(found->line, c->rec.line) == 0 && found->body_hash &&
           strcmp(found->body_hash, c->rec.body_hash) == 0 && found->idem_key &&
           strcmp(found->idem_key, c->rec.idem_key) == 0;
}

/* What Redis says is not taken at its word: of another line's change nothing is told. */
enum phase phase_elsewhere_finish(struct change *c)
{
    const struct change_record *found = c->foreign.request_id ? &c->foreign : NULL;
    bool ours = found && strcmp(found->line, c->rec.line) == 0;
    if (c->abandoned) {
        return PHASE_END;
    }
    if (!c->foreign_is_key && found && change_state_final(found->state) && !c->hold_cleared) {
        change_clear_stale_hold(c);
        return PHASE_HOLD;
    }
    if (!c->foreign_is_key || !found) {
        return change_busy(c, ours ? found : NULL, ours, "busy on another instance");
    }
    if (!same_request(c, found)) {
        return change_end_with(c, VERDICT_KEY_REUSED, "idempotency key used with another body");
    }
    if (!found->first_status && !change_state_final(found->state)) {
        return change_busy(c, found, true, "first request of the key is unanswered, on another instance");
    }
    return replay(c, found);
}

/* ---- LOAD: the customer afresh from KOS, the catalogue from the cache ---- */

enum phase phase_load_begin(struct change *c)
{
    if (c->durable && clock_wall_ms() >= c->rec.expires_at) {
        return PHASE_RETRY; /* it expires there: nothing is sent after the time that the customer was told */
    }
    if (!change_load_start(c)) {
        return c->durable ? PHASE_RETRY : change_end_with(c, VERDICT_UNAVAILABLE, "no memory");
    }
    return PHASE_WAIT;
}

enum phase phase_load_finish(struct change *c)
{
    if (c->customer_load || c->catalogue_load) {
        return PHASE_WAIT;
    }
    if (c->abandoned) {
        return PHASE_END;
    }
    if (c->load_lost) {
        return c->durable ? PHASE_RETRY : change_end_with(c, VERDICT_UNAVAILABLE, "no memory");
    }
    if (c->on_cached) {
        return PHASE_CHECK; /* as far as what is cached allows */
    }
    if (c->customer_answer == STORE_UNAVAILABLE || c->catalogue_failed) {
        if (may_hold(c)) {
            c->on_cached = true;
            return PHASE_LOAD;
        }
        return c->durable ? PHASE_RETRY : change_end_unavailable(c, c->load_reason);
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

enum phase phase_check_begin(struct change *c)
{
    const struct product *target = c->catalogue ? catalogue_find(c->catalogue, c->rec.target_code) : NULL;
    if (c->on_cached && (c->customer_answer == STORE_UNAVAILABLE || c->catalogue_failed)) {
        return PHASE_INTENT; /* nothing cached to check it against: it is checked before it is sent */
    }
    if (c->customer_answer == STORE_UNKNOWN_LINE) {
        return c->durable ? fail_accepted(c, "확인되지 않는 회선입니다")
                          : change_end_with(c, VERDICT_LINE_NOT_FOUND, "KOS does not know the line");
    }
    if (c->customer_answer == STORE_NO_PRODUCT) {
        return c->durable ? fail_accepted(c, "현재 이용 중인 상품을 확인할 수 없습니다")
                          : change_end_with(c, VERDICT_NO_PRODUCT, "KOS does not know the line's product");
    }
    change_take_facts(c, target);
    bool line_active = c->checks.reason[CHECK_LINE_STATUS] == CHECK_PASS;
    if (line_active && c->loaded_code && strcmp(c->loaded_code, c->rec.current_code) != 0) {
        return c->durable ? fail_accepted(c, "현재 이용 중인 상품이 신청 시점과 다릅니다")
                          : change_end_with(c, VERDICT_MISMATCH, "current product differs");
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

enum phase phase_record_begin(struct change *c)
{
    c->rec.state = CHANGE_INVALID;
    c->rec.processed_at = clock_wall_ms();
    c->rec.first_status = 409;
    result_finish(&c->rec, NULL, NULL);
    return change_submit_op(c, JOURNAL_RECORD);
}

enum phase phase_record_finish(struct change *c)
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
        waiters_notify(c->svc->shared, c->rec.request_id);
    }
    return PHASE_END;
}
