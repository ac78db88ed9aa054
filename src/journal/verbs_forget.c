/* verbs_forget.c - erases a line's personal fields, a span of numbers at a time (pcs/journal/forget.h).
 *
 * Neither settled nor event has an index by line: it would cost every change for what is asked once in a while. So both
 * are walked by seq, FORGET_SPAN numbers in one operation. Whether something of the line is open is asked again in each:
 * a change may have begun between two of them. */
#include "journal/internal.h"

#include <string.h>

const char *forget_block_name(enum forget_block b)
{
    static const char *const names[FORGET_BLOCKS] = {
        [FORGET_FREE] = "nothing is open",
        [FORGET_OPEN_CHANGE] = "a change is open",
        [FORGET_WAITING_ROW] = "PostgreSQL does not have the change's row yet",
        [FORGET_OPEN_EVENT] = "MVNO AP has not been told of the change yet",
        [FORGET_DEAD_EVENT] = "the change's event is a dead letter: replay it, or give it up",
        [FORGET_INVALIDATION] = "Redis has not acknowledged yet that the cached customer is dropped",
    };
    return (size_t)b < FORGET_BLOCKS ? names[b] : "unknown";
}

/* ---- what is still to be done ---- */

/* A statement on the line that gives seq and request id of what is in the way. */
static int blocked_by(struct journal *j, struct journal_op *op, enum sql id, enum forget_block block)
{
    sqlite3_stmt *s = store_get(&j->store, id);
    bind_text(s, 1, op->line);
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW) {
        const char *of = (const char *)sqlite3_column_text(s, 1);
        op->forget.block = block;
        op->forget.block_seq = sqlite3_column_int64(s, 0);
        op->found = (struct change_record){.request_id = of ? arena_strdup(&op->arena, of) : NULL};
    }
    sqlite3_reset(s);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int open_change(struct journal *j, struct journal_op *op)
{
    bool there;
    int rc = find_open_line(j, op, op->line, &there);
    if (rc == SQLITE_OK && there) {
        op->forget.block = FORGET_OPEN_CHANGE;
    }
    return rc;
}

static int waiting_invalidation(struct journal *j, struct journal_op *op)
{
    sqlite3_stmt *s = store_get(&j->store, SQL_INVALID_GET);
    bind_text(s, 1, op->line);
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW) {
        op->forget.block = FORGET_INVALIDATION;
    }
    sqlite3_reset(s);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int find_block(struct journal *j, struct journal_op *op)
{
    op->forget.block = FORGET_FREE;
    op->found = (struct change_record){0};
    int rc = open_change(j, op);
    if (rc == SQLITE_OK && !op->forget.block) {
        rc = blocked_by(j, op, SQL_FORGET_ROW_WAITS, FORGET_WAITING_ROW);
    }
    if (rc == SQLITE_OK && !op->forget.block) {
        rc = blocked_by(j, op, SQL_FORGET_EVENT_WAITS, FORGET_OPEN_EVENT);
    }
    if (rc == SQLITE_OK && !op->forget.block && !op->forget.give_up) {
        rc = blocked_by(j, op, SQL_FORGET_EVENT_DEAD, FORGET_DEAD_EVENT);
    }
    return rc == SQLITE_OK && !op->forget.block ? waiting_invalidation(j, op) : rc;
}

/* ---- one change ---- */

static int run_on(struct journal *j, enum sql id, int64_t seq)
{
    sqlite3_stmt *s = store_get(&j->store, id);
    bind_int(s, 1, seq);
    return store_run(s);
}

/* Adds the change to op->list. */
static int look(struct journal *j, struct journal_op *op, int64_t seq, size_t *cap, size_t *seq_cap)
{
    size_t n = op->list_count;
    sqlite3_stmt *s = store_get(&j->store, SQL_FORGET_LOOK);
    bind_int(s, 1, seq);
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW) {
        const char *id = arena_strdup(&op->arena, (const char *)sqlite3_column_text(s, 0));
        if (!id || !list_room(&op->arena, &op->list, n, cap, sizeof *op->list) ||
            !list_room(&op->arena, &op->seqs, n, seq_cap, sizeof *op->seqs)) {
            rc = SQLITE_NOMEM;
        } else {
            op->list[n] =
                (struct change_record){.request_id = id, .requested_at = sqlite3_column_int64(s, 1)};
            op->seqs[n] = sqlite3_column_int(s, 2);
            op->list_count++;
        }
    }
    sqlite3_reset(s);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int forget_event(struct journal *j, struct journal_op *op, int64_t seq)
{
    int rc = run_on(j, SQL_EVENT_DEAD_LEAVE, seq);
    if (rc == SQLITE_OK && store_changes(&j->store) == 1) {
        /* a dead letter that is given up; left in place without its body it would look like a delivered one */
        j->delta.events_dead--;
        op->forget.given_up++;
        rc = run_on(j, SQL_ATTEMPT_DELETE, seq);
        return rc == SQLITE_OK ? run_on(j, SQL_EVENT_DELETE, seq) : rc;
    }
    rc = rc == SQLITE_OK ? run_on(j, SQL_FORGET_EVENT, seq) : rc;
    op->forget.events += rc == SQLITE_OK ? store_changes(&j->store) : 0;
    return rc == SQLITE_OK ? run_on(j, SQL_FORGET_ATTEMPTS, seq) : rc;
}

static int forget_one(struct journal *j, struct journal_op *op, int64_t seq)
{
    static const enum sql steps[] = {SQL_FORGET_REFUSED, SQL_FORGET_SALT};
    int rc = run_on(j, SQL_FORGET_ROW, seq);
    op->forget.rows += rc == SQLITE_OK ? store_changes(&j->store) : 0;
    for (size_t i = 0; rc == SQLITE_OK && i < sizeof steps / sizeof steps[0]; i++) {
        rc = run_on(j, steps[i], seq);
    }
    return rc == SQLITE_OK ? forget_event(j, op, seq) : rc;
}

/* ---- one span ---- */

static int read_ends(struct journal *j, int64_t *first, int64_t *last)
{
    sqlite3_stmt *s = store_get(&j->store, SQL_FORGET_ENDS);
    bind_int(s, 1, INT64_MAX);
    int rc = sqlite3_step(s);
    *first = sqlite3_column_int64(s, 0);
    *last = sqlite3_column_int64(s, 1);
    sqlite3_reset(s);
    return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

/* The line's numbers of the span, read before anything is changed under the reading statement. */
static int read_seqs(struct journal *j, const struct journal_op *op, int64_t from, int64_t seqs[FORGET_SPAN],
                     size_t *count)
{
    int rc;
    sqlite3_stmt *s = store_get(&j->store, SQL_FORGET_SEQS);
    bind_int(s, 1, from);
    bind_int(s, 2, from + FORGET_SPAN);
    bind_text(s, 3, op->line);
    *count = 0;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        seqs[(*count)++] = sqlite3_column_int64(s, 0); /* distinct, so no more than the span has */
    }
    sqlite3_reset(s);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int keep_note(struct journal *j, const struct journal_op *op)
{
    sqlite3_stmt *s = store_get(&j->store, SQL_FORGET_NOTE);
    bind_text(s, 1, op->forget.note_id);
    bind_text(s, 2, op->forget.note);
    return store_run(s);
}

int verb_forget(struct journal *j, struct journal_op *op)
{
    int64_t seqs[FORGET_SPAN], first, last, from = op->seq;
    size_t count = 0, cap = 0, seq_cap = 0;
    op->forget.rows = op->forget.events = op->forget.given_up = op->forget.next = op->forget.block_seq = 0;
    op->list = NULL;
    op->seqs = NULL;
    op->list_count = 0;
    if (!op->line) {
        return SQLITE_MISUSE;
    }
    int rc = find_block(j, op);
    if (rc != SQLITE_OK || op->forget.block) {
        op->status = JOURNAL_CONFLICT;
        return rc;
    }
    rc = read_ends(j, &first, &last);
    from = from < first ? first : from;
    if (rc == SQLITE_OK && from <= last) {
        rc = read_seqs(j, op, from, seqs, &count);
    }
    if (rc == SQLITE_OK && count && op->forget.erase && op->forget.note) {
        rc = keep_note(j, op);
    }
    for (size_t i = 0; rc == SQLITE_OK && i < count; i++) {
        rc = look(j, op, seqs[i], &cap, &seq_cap);
        rc = rc == SQLITE_OK && op->forget.erase ? forget_one(j, op, seqs[i]) : rc;
    }
    if (!op->forget.erase) {
        op->forget.rows = (int64_t)op->list_count;
        op->forget.events = (int64_t)count;
    }
    op->forget.next = rc == SQLITE_OK && from <= last - FORGET_SPAN ? from + FORGET_SPAN : 0;
    op->status = JOURNAL_OK;
    return rc;
}
