/* ledger.c - the delivery's operations on the journal: pulling, noting attempts, making everything due.
 *
 * Nothing is taken for stored before the journal has said so: a lane whose attempt cannot be stored is handed
 * in again until it can, and holds its line meanwhile. Answers come in the order in which the journal
 * committed, so a pull never shows an event whose end is already known here. */
#include "delivery/internal.h"
#include "pcs/core/clock.h"
#include "pcs/core/failpoint.h"
#include "pcs/core/log.h"

/* ---- attempts ---- */

static void store_failed(struct lane *lane)
{
    struct delivery *d = lane->d;
    if (d->life == DELIVERY_STOPPING) {
        lane_free(lane); /* not noted: it will be repeated with the same id (at least once) */
        return;
    }
    if (d->count[LANE_RETRY] == 0) {
        d->retry_ns = d->retry_ns ? d->retry_ns * 2 : RETRY_MIN_NS;
        d->retry_ns = d->retry_ns > RETRY_MAX_NS ? RETRY_MAX_NS : d->retry_ns;
        d->retry_at_ns = clock_mono_ns() + d->retry_ns;
        log_warn("delivery.not_stored", log_str("eventId", lane->event_id),
                 log_str("status", journal_status_name(lane->op.status)), log_ms("retryMs", d->retry_ns));
    }
    lane_set(lane, LANE_RETRY);
}

static void on_stored(struct journal_op *op)
{
    struct lane *lane = op->arg;
    struct delivery *d = lane->d;
    journal_op_clear(op);
    /* NOT_FOUND: an earlier try was stored although it was answered otherwise, or an operator removed it */
    if (op->status == JOURNAL_OK || op->status == JOURNAL_NOT_FOUND) {
        FAILPOINT("delivery.stored");
        d->retry_ns = 0;
        if (op->attempt.verdict == VERDICT_AGAIN) {
            delivery_due_at(d, op->attempt.next_due);
        }
        lane_free(lane);
    } else {
        store_failed(lane);
    }
    delivery_drive(d);
}

void ledger_store(struct lane *lane)
{
    struct delivery *d = lane->d;
    struct journal_attempt attempt = lane->op.attempt;
    lane_set(lane, LANE_STORING);
    journal_op_init(&lane->op, d->journal, JOURNAL_EVENT_ATTEMPT, &d->reactor->inbox, on_stored, lane);
    lane->op.attempt = attempt;
    if (!journal_submit(&lane->op)) {
        lane->op.status = JOURNAL_FAILED;
        store_failed(lane);
    }
}

void ledger_retry(struct delivery *d)
{
    struct lane_queue again = TAILQ_HEAD_INITIALIZER(again);
    TAILQ_CONCAT(&again, &d->retry, in_queue);
    struct lane *lane, *next;
    for (lane = TAILQ_FIRST(&again); lane; lane = next) {
        next = TAILQ_NEXT(lane, in_queue);
        TAILQ_REMOVE(&again, lane, in_queue);
        TAILQ_INSERT_TAIL(&d->retry, lane, in_queue); /* where its state says it is */
        ledger_store(lane);
    }
}

/* ---- pulling ---- */

static void on_pulled(struct journal_op *op)
{
    struct delivery *d = op->arg;
    d->pulling = false;
    if (d->life == DELIVERY_RUNNING && op->status == JOURNAL_OK) {
        delivery_pulled(d);
    } else if (op->status != JOURNAL_OK) {
        d->want = true;
        d->pull_after_ns = clock_mono_ns() + RETRY_MIN_NS * 5;
    }
    journal_op_clear(op);
    delivery_drive(d);
}

/* Asks for more than is due: the first event that is not tells when to come again. */
void ledger_pull(struct delivery *d, size_t limit)
{
    journal_op_init(&d->pull, d->journal, JOURNAL_EVENTS_PULL, &d->reactor->inbox, on_pulled, d);
    d->pull.now = clock_wall_ms() + LOOK_AHEAD_MS;
    d->pull.limit = (int64_t)limit;
    d->pull_limit = limit;
    atomic_store(&d->told, false); /* what is committed from here on may be missed by this pull */
    d->pulling = journal_submit(&d->pull);
    d->want = !d->pulling;
    if (!d->pulling) {
        d->pull_after_ns = clock_mono_ns() + RETRY_MIN_NS;
        journal_op_clear(&d->pull);
    }
}

static void on_due(struct journal_op *op)
{
    struct delivery *d = op->arg;
    d->due_asked = false;
    if (op->status == JOURNAL_OK) {
        d->want = true;
    } else {
        d->due_wanted = true;
        d->pull_after_ns = clock_mono_ns() + RETRY_MIN_NS * 5;
    }
    journal_op_clear(op);
    delivery_drive(d);
}

void ledger_due_now(struct delivery *d)
{
    journal_op_init(&d->due, d->journal, JOURNAL_EVENTS_DUE_NOW, &d->reactor->inbox, on_due, d);
    d->due.now = clock_wall_ms();
    d->due_asked = journal_submit(&d->due);
    d->due_wanted = !d->due_asked;
    if (!d->due_asked) {
        d->pull_after_ns = clock_mono_ns() + RETRY_MIN_NS;
        journal_op_clear(&d->due);
    }
}
