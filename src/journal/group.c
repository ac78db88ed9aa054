/* group.c - one commit for everything that waits.
 *
 *   batch ─► FIRST  claims, releases, look-ups: on what is committed, answered at once, no fsync to wait for
 *        ├─► LAZY   kept for up to 50 ms, for the next transaction
 *        ├─► WRITE  BEGIN IMMEDIATE, the lazy ones, the writes, COMMIT; only then answered
 *        └─► LAST   pulls and lists: see everything that was submitted before them
 *
 * Running FIRST ahead of writes of the same batch cannot show a client less than it was told: what it was
 * told was answered after a commit of an earlier batch. Two things are told before their commit, and are
 * known here at once: a RELEASE (memory only, so in FIRST itself), a refusal recorded after its answer
 * (RECORD of NOT_SENT gives the claim back on arrival) and a first answer (ANSWERED is noted in the claim on
 * arrival, unless it is soon: then it is told after). */
#include "journal/internal.h"
#include "pcs/core/clock.h"
#include "pcs/core/failpoint.h"
#include "pcs/core/log.h"

#include "journal/metrics.h"

#include <string.h>

void op_answer(struct journal_op *op)
{
    if (op->reply_to) {
        mailbox_reply(op->reply_to, &op->msg);
    } else {
        op->done(op);
    }
}

static void answer_failed(struct journal_op *op)
{
    op->status = JOURNAL_FAILED;
    op_answer(op);
}

void group_fail_all(struct journal *j, struct op_list *batch)
{
    struct journal_op *op;
    while ((op = op_list_pop(batch))) {
        if (op->verb == JOURNAL_RELEASE) {
            (void)verb_release(j, op);
            op_answer(op);
        } else {
            answer_failed(op);
        }
    }
}

/* A verb that needs no transaction. */
static void run_now(struct journal *j, struct journal_op *op)
{
    int rc = j->broken && op->verb != JOURNAL_RELEASE ? SQLITE_IOERR : journal_verbs[op->verb].run(j, op);
    if (rc != SQLITE_OK) {
        if (!j->broken) {
            log_error("journal.operation_failed", log_str("verb", journal_verbs[op->verb].name),
                      log_str("reason", sqlite3_errstr(rc)));
        }
        op->status = JOURNAL_FAILED;
    }
    op_answer(op);
    if (rc != SQLITE_OK && store_fatal(rc) && !j->broken) {
        journal_break(j, rc, "reading");
    }
}

/* ---- the transaction ---- */

static void gather(struct journal *j, struct op_list *from)
{
    while (j->group_count < j->group_cap && from->head) {
        j->group[j->group_count++] = op_list_pop(from);
    }
}

/* Runs everything in one transaction. On an error, *bad is the operation that met it, NULL when it was not
 * one's own. */
static int run_group(struct journal *j, struct journal_op **bad)
{
    for (size_t i = 0; i < j->group_count; i++) {
        j->group[i]->status = JOURNAL_FAILED;
    }
    j->delta = (struct delta){.head = j->chain.head};
    *bad = NULL;
    FAILPOINT("journal.before_begin");
    int rc = store_do(&j->store, SQL_BEGIN);
    for (size_t i = 0; rc == SQLITE_OK && i < j->group_count; i++) {
        struct journal_op *op = j->group[i];
        rc = journal_verbs[op->verb].run(j, op);
        *bad = rc == SQLITE_OK ? NULL : op;
    }
    if (rc != SQLITE_OK) {
        return rc;
    }
    FAILPOINT("journal.before_commit");
    uint64_t start = clock_mono_ns();
    rc = store_do(&j->store, SQL_COMMIT);
    metric_observe_ns(&journal_metric_commit, 0, clock_mono_ns() - start);
    FAILPOINT("journal.after_commit");
    return rc;
}

static void roll_back(struct journal *j)
{
    if (!sqlite3_get_autocommit(j->store.db)) {
        (void)store_do(&j->store, SQL_ROLLBACK);
    }
}

/* An operation that fails by itself leaves the group; the others run again without it. */
static void strike(struct journal *j, struct journal_op *bad, int rc)
{
    size_t kept = 0;
    for (size_t i = 0; i < j->group_count; i++) {
        if (j->group[i] != bad) {
            j->group[kept++] = j->group[i];
        }
    }
    j->group_count = kept;
    log_error("journal.operation_failed", log_str("verb", journal_verbs[bad->verb].name),
              log_str("requestId", bad->change.request_id), log_str("reason", sqlite3_errstr(rc)));
    answer_failed(bad);
}

/* A commit that reports an error may still have reached the disk: an order that was answered "nothing was
 * ordered" must not come back as one to be settled. */
static void remember(struct journal *j)
{
    for (size_t i = 0; i < j->group_count; i++) {
        const struct journal_op *op = j->group[i];
        if ((op->verb == JOURNAL_INTENT || op->verb == JOURNAL_SEND) && op->status == JOURNAL_OK) {
            undo_add(&j->undo, op->verb == JOURNAL_SEND, op->change.request_id, op->change.idem_key);
        }
    }
    (void)undo_save(&j->undo);
}

static void fail_group(struct journal *j, int rc)
{
    atomic_store(&j->writable, false);
    remember(j);
    FAILPOINT("journal.undo_saved");
    for (size_t i = 0; i < j->group_count; i++) {
        answer_failed(j->group[i]);
    }
    j->group_count = 0;
    journal_break(j, rc, "writing");
}

static void take_delta(struct journal *j)
{
    struct delta *c = &j->counts;
    const struct delta *d = &j->delta;
    c->open += d->open;
    c->in_doubt += d->in_doubt;
    c->history += d->history;
    c->history_dead += d->history_dead;
    c->calls += d->calls;
    c->events += d->events;
    c->events_dead += d->events_dead;
    c->invalidations += d->invalidations;
    j->chain.head = d->head;
    j->commits++;
}

void group_wake_sink(struct journal *j, enum journal_sink sink)
{
    /* held while it runs: whoever takes the function away is then sure that it does not run */
    pthread_mutex_lock(&j->notify_lock);
    if (j->notify[sink].fn) {
        j->notify[sink].fn(j->notify[sink].arg);
    }
    pthread_mutex_unlock(&j->notify_lock);
}

static void wake_sinks(struct journal *j)
{
    for (int i = 0; i < SINKS; i++) {
        if (j->delta.wake[i]) {
            group_wake_sink(j, (enum journal_sink)i);
        }
    }
}

static void answer_group(struct journal *j)
{
    for (size_t i = 0; i < j->group_count; i++) {
        struct journal_op *op = j->group[i];
        if (op->status == JOURNAL_OK && journal_verbs[op->verb].committed) {
            journal_verbs[op->verb].committed(j, op);
        }
    }
    for (size_t i = 0; i < j->group_count; i++) {
        op_answer(j->group[i]);
        FAILPOINT("journal.answering");
    }
    j->group_count = 0;
    wake_sinks(j);
    journal_publish(j);
}

static void commit_group(struct journal *j)
{
    bool again = false;
    struct journal_op *bad;
    journal_room(j, clock_mono_ns());
    while (j->group_count && !j->broken) {
        int rc = run_group(j, &bad);
        if (rc == SQLITE_OK) {
            take_delta(j);
            answer_group(j);
            return;
        }
        roll_back(j);
        if (bad && !store_fatal(rc)) {
            strike(j, bad, rc);
        } else if (store_is_full(rc) && !again) {
            /* intents are answered FULL now; outcomes get the room that was kept for them */
            again = true;
            reserve_release(&j->reserve);
            j->disk_ok = false;
            j->disk_at = clock_mono_ns() + DISK_REVIEW_NS;
            journal_room(j, clock_mono_ns());
        } else {
            fail_group(j, rc);
        }
    }
    for (size_t i = 0; i < j->group_count; i++) {
        answer_failed(j->group[i]);
    }
    j->group_count = 0;
}

void group_flush(struct journal *j)
{
    if (j->lazy.head) {
        gather(j, &j->lazy);
        commit_group(j);
    }
}

/* ---- the batch ---- */

/* What must be known at once although its commit comes later. */
static void note_early(struct journal *j, const struct journal_op *op)
{
    struct claim *held = op->change.request_id ? claims_of_request(&j->claims, op->change.request_id) : NULL;
    if (!held) {
        return;
    }
    if (op->verb == JOURNAL_ANSWERED && !op->soon && held->state == CLAIM_UNANSWERED && !held->first_status) {
        held->first_status = op->change.first_status;
    } else if (op->verb == JOURNAL_RECORD && op->change.state == CHANGE_NOT_SENT &&
               held->state == CLAIM_CLAIMED) {
        claims_drop(&j->claims, op->change.request_id);
    }
}

static void sort_op(struct journal *j, struct journal_op *op, struct op_list *writes, struct op_list *last)
{
    metric_add(&journal_metric_operations, op->verb, 1);
    j->operations++;
    note_early(j, op);
    switch (op->soon ? PHASE_WRITE : journal_verbs[op->verb].phase) {
    case PHASE_FIRST:
        run_now(j, op);
        break;
    case PHASE_WRITE:
        op_list_push(writes, op);
        break;
    case PHASE_LAZY:
        if (!j->lazy.head) {
            j->lazy_until = clock_mono_ns() + LAZY_NS;
        }
        op_list_push(&j->lazy, op);
        break;
    case PHASE_LONG:
        journal_backup_begin(j, op);
        break;
    case PHASE_LAST:
        op_list_push(last, op);
        break;
    }
}

void group_take(struct journal *j, struct op_list *batch)
{
    struct op_list writes, last;
    struct journal_op *op;
    op_list_init(&writes);
    op_list_init(&last);
    while ((op = op_list_pop(batch))) {
        sort_op(j, op, &writes, &last);
    }
    bool lazy_now = j->lazy.head && (last.head || j->lazy.count >= (size_t)j->config.group_max);
    if (writes.head || lazy_now) {
        gather(j, &j->lazy); /* first: they were submitted earlier, or by somebody who does not wait */
        gather(j, &writes);
        commit_group(j);
    }
    group_fail_all(j, &writes); /* none, by the group's capacity */
    while ((op = op_list_pop(&last))) {
        run_now(j, op);
    }
}
