/* worker_store.c - one batch into PostgreSQL, and the rows that PostgreSQL will never take.
 *
 * A batch is one statement. If a row is refused for itself (FAULT_ROW), the batch is halved until the row
 * stands alone; each half is a statement and a commit of its own, which the repeated rows do not mind. A row goes with its
 * link in one statement; of a row that is refused, the journal gives out the link alone the next time. */
#include "history/internal.h"
#include "pcs/core/failpoint.h"
#include "pcs/core/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORE_NS (15 * NS_PER_SEC)

static enum fault store_input(struct worker *w, const struct batch_input *in)
{
    struct batch_counts counts = {0};
    enum fault f =
        history_batch_store(&w->batch, &w->link, w->h->instance, in, clock_mono_ns() + STORE_NS, &counts);
    if (f == FAULT_NONE) {
        metric_add(&history_rows, ROWS_STORED, counts.rows);
        metric_add(&history_rows, ROWS_DUPLICATE, in->row_count - counts.rows);
        metric_add(&history_rows, ROWS_CALL_STORED, counts.calls);
    }
    return f;
}

/* rows from `row` on, calls from `call` on. */
static enum fault store(struct worker *w, size_t row, size_t rows, size_t call, size_t calls)
{
    struct batch_input in = {.row_count = rows, .call_count = calls};
    if (rows) {
        in.rows = w->pull.list + row;
        in.links = w->pull.links + row;
    }
    if (calls) {
        in.calls = w->pull.calls + call;
    }
    return store_input(w, &in);
}

/* Links without rows, one by one: something in the batch was refused. A link has nothing in it that PostgreSQL refuses;
 * should it all the same, the chain has a gap, which verify-history finds, and the others go on. */
static enum fault store_loose(struct worker *w)
{
    enum fault f = FAULT_NONE;
    for (size_t i = 0; i < w->pull.loose_count && f == FAULT_NONE; i++) {
        const struct batch_input in = {.loose = &w->pull.loose[i], .loose_count = 1};
        f = store_input(w, &in);
        if (f == FAULT_ROW) {
            log_error("history.link_refused", log_int("seq", in.loose->seq),
                      log_str("sqlstate", w->link.sqlstate));
            f = FAULT_NONE;
        }
    }
    return f;
}

static void dead_answered(struct journal_op *op)
{
    *(bool *)op->arg = false;
}

/* The journal keeps the row (or call) aside for an operator, with PostgreSQL's words. They may quote the row, so
 * they are not logged. False: the journal could not note it; nothing is lost. */
static bool tell_dead(struct worker *w, int64_t row_seq, const int64_t *call_seq)
{
    char reason[600];
    FAILPOINT("history.dead");
    snprintf(reason, sizeof reason, "%s %s", w->link.sqlstate, w->link.error);
    journal_op_init(&w->dead, w->h->journal, JOURNAL_HISTORY_DEAD, &w->box, dead_answered, &w->dead_busy);
    w->dead.seq = row_seq;
    w->dead.ack_calls = call_seq;
    w->dead.ack_call_count = call_seq ? 1 : 0;
    w->dead.reason = reason;
    w->dead_busy = true;
    if (!journal_submit(&w->dead)) {
        w->dead_busy = false;
        return false;
    }
    history_worker_await(w, &w->dead_busy);
    /* NOT_FOUND: noted before, by an attempt at this batch that did not end well */
    bool ok = w->dead.status == JOURNAL_OK || w->dead.status == JOURNAL_NOT_FOUND;
    journal_op_clear(&w->dead);
    return ok;
}

static bool bury_row(struct worker *w, size_t at)
{
    const struct change_record *row = &w->pull.list[at];
    if (!tell_dead(w, w->pull.seqs[at], NULL)) {
        return false;
    }
    w->row_dead[at] = true;
    metric_add(&history_rows, ROWS_DEAD, 1);
    log_error("history.row_dead", log_str("requestId", row->request_id), log_line("line", row->line),
              log_str("sqlstate", w->link.sqlstate));
    return true;
}

static bool bury_call(struct worker *w, size_t at)
{
    const struct journal_call *call = &w->pull.calls[at];
    if (!tell_dead(w, 0, &call->seq)) {
        return false;
    }
    metric_add(&history_rows, ROWS_CALL_DEAD, 1);
    log_error("history.call_dead", log_str("requestId", call->request_id),
              log_str("operation", call->operation), log_str("sqlstate", w->link.sqlstate));
    return true;
}

/* The row's (or call's) own fault, again: the first time may have been a partition that was made that very
 * moment (23514 from DEFAULT, which no longer takes its month). */
static enum fault settle_single(struct worker *w, size_t at, bool call)
{
    enum fault f = store(w, at, call ? 0 : 1, at, call ? 1 : 0);
    if (f != FAULT_ROW) {
        return f;
    }
    return (call ? bury_call(w, at) : bury_row(w, at)) ? FAULT_NONE : FAULT_BUSY;
}

/* Stores count rows (or calls) from `at` on, of which at least one is thought to be bad. */
static enum fault bisect(struct worker *w, size_t at, size_t count, bool call)
{
    enum fault f = count ? store(w, at, call ? 0 : count, at, call ? count : 0) : FAULT_NONE;
    if (f != FAULT_ROW) {
        return f;
    }
    if (count == 1) {
        return settle_single(w, at, call);
    }
    f = bisect(w, at, count / 2, call);
    FAILPOINT("history.half_stored");
    return f == FAULT_NONE ? bisect(w, at + count / 2, count - count / 2, call) : f;
}

enum fault history_worker_store(struct worker *w)
{
    size_t rows = w->pull.list_count, calls = w->pull.call_count;
    if (rows > w->row_room) {
        free(w->row_dead);
        w->row_dead = malloc(rows * sizeof *w->row_dead);
        w->row_room = w->row_dead ? rows : 0;
        if (!w->row_dead) {
            return FAULT_BUSY;
        }
    }
    if (rows) { /* a batch may hold calls only */
        memset(w->row_dead, 0, rows * sizeof *w->row_dead);
    }
    enum fault f = history_worker_months_of_rows(w);
    if (f == FAULT_NONE) {
        const struct batch_input all = {w->pull.list,  w->pull.links,      rows, w->pull.calls, calls,
                                        w->pull.loose, w->pull.loose_count};
        f = store_input(w, &all);
    }
    if (f == FAULT_ROW) {
        f = bisect(w, 0, rows, false);
        f = f == FAULT_NONE ? bisect(w, 0, calls, true) : f;
        f = f == FAULT_NONE ? store_loose(w) : f;
    }
    return f;
}
