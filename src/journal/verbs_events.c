/* verbs_events.c - events to MVNO AP: in order per line, at least once (CONTRACT.md 3).
 *
 *   queued ── head of its line and due ──► pulled ── DELIVERED ─► gone, the next of the line is head
 *      ▲                                     ├────── DEAD ──────► kept aside, the next of the line is head
 *      └──────── due at next_due ────────────┴────── AGAIN
 *
 * An event that is due later stays the head and so holds its line. Pulling gives no lease: what is being sent
 * is the caller's to remember. */
#include "journal/internal.h"
#include "journal/record.h"

#include <stdio.h>
#include <string.h>

static bool read_event(sqlite3_stmt *s, struct journal_event *e, struct arena *a)
{
    *e = (struct journal_event){.seq = sqlite3_column_int64(s, 0),
                                .created_at = sqlite3_column_int64(s, 7),
                                .attempts = sqlite3_column_int64(s, 8),
                                .due_at = sqlite3_column_int64(s, 9)};
    return column_text(s, 1, &e->event_id, a) && column_text(s, 2, &e->type, a) &&
           column_text(s, 3, &e->request_id, a) && column_text(s, 4, &e->line, a) &&
           column_text(s, 5, &e->body, a) && column_text(s, 6, &e->traceparent, a);
}

int verb_events_pull(struct journal *j, struct journal_op *op)
{
    size_t cap = 0;
    int rc;
    op->events = NULL;
    op->event_count = 0;
    sqlite3_stmt *s = store_get(&j->store, SQL_EVENT_PULL);
    bind_int(s, 1, op_now(op));
    bind_int(s, 2, list_limit(op));
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        if (!list_room(&op->arena, &op->events, op->event_count, &cap, sizeof *op->events) ||
            !read_event(s, &op->events[op->event_count], &op->arena)) {
            rc = SQLITE_NOMEM;
            break;
        }
        op->event_count++;
    }
    sqlite3_reset(s);
    op->status = JOURNAL_OK;
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int write_ledger(struct journal *j, const struct journal_attempt *a)
{
    size_t answer_len = a->answer ? strnlen(a->answer, ANSWER_MAX) : 0;
    sqlite3_stmt *s = store_get(&j->store, SQL_ATTEMPT_INSERT);
    bind_int(s, 1, a->seq);
    bind_int(s, 2, a->at);
    bind_int(s, 3, a->status);
    bind_int(s, 4, a->milliseconds);
    bind_int(s, 5, a->next_due);
    bind_int(s, 6, a->verdict);
    bind_int(s, 7, a->counted);
    bind_text(s, 8, a->error);
    sqlite3_bind_text(s, 9, a->answer, (int)answer_len, SQLITE_STATIC);
    return store_run(s);
}

/* The event leaves its line; the next one is the head. */
static int leave_line(struct journal *j, int64_t seq, const char *line)
{
    sqlite3_stmt *s = store_get(&j->store, SQL_EVENT_DONE);
    bind_int(s, 1, seq);
    int rc = store_run(s);
    if (rc == SQLITE_OK) {
        s = store_get(&j->store, SQL_EVENT_PROMOTE);
        bind_text(s, 1, line);
        rc = store_run(s);
        j->delta.wake[SINK_EVENTS] |= store_changes(&j->store) > 0;
    }
    j->delta.events--;
    return rc;
}

static int bury(struct journal *j, const struct journal_attempt *a, const char *line, int64_t attempts)
{
    sqlite3_stmt *s = store_get(&j->store, SQL_EVENT_DEAD);
    bind_int(s, 1, a->seq);
    bind_text(s, 2, line);
    bind_int(s, 3, attempts + (a->counted ? 1 : 0));
    bind_int(s, 4, a->at);
    j->delta.events_dead++;
    return store_run(s);
}

/* Dead letters of the line that are older can from now on only be repeated out of order. */
static int pass_dead(struct journal *j, int64_t seq, const char *line)
{
    if (j->counts.events_dead + j->delta.events_dead <= 0) {
        return SQLITE_OK;
    }
    sqlite3_stmt *s = store_get(&j->store, SQL_EVENT_DEAD_PASSED);
    bind_text(s, 1, line);
    bind_int(s, 2, seq);
    return store_run(s);
}

int verb_event_attempt(struct journal *j, struct journal_op *op)
{
    const struct journal_attempt *a = &op->attempt;
    sqlite3_stmt *s = store_get(&j->store, SQL_EVENT_FIND);
    bind_int(s, 1, a->seq);
    int rc = sqlite3_step(s);
    if (rc != SQLITE_ROW) {
        sqlite3_reset(s);
        op->status = JOURNAL_NOT_FOUND;
        return rc == SQLITE_DONE ? SQLITE_OK : rc;
    }
    const char *line = arena_strdup(&op->arena, (const char *)sqlite3_column_text(s, 0));
    int64_t attempts = sqlite3_column_int64(s, 1);
    sqlite3_reset(s);
    if (!line) {
        return SQLITE_NOMEM;
    }
    op->status = JOURNAL_OK;
    if (a->verdict == VERDICT_AGAIN) {
        s = store_get(&j->store, SQL_EVENT_AGAIN);
        bind_int(s, 1, a->seq);
        bind_int(s, 2, a->next_due);
        bind_int(s, 3, a->counted ? 1 : 0);
        rc = store_run(s);
        /* the room that is left when the journal is full is for outcomes */
        return rc == SQLITE_OK && !j->full ? write_ledger(j, a) : rc;
    }
    rc = a->verdict == VERDICT_DEAD ? bury(j, a, line, attempts) : pass_dead(j, a->seq, line);
    rc = rc == SQLITE_OK ? leave_line(j, a->seq, line) : rc;
    return rc == SQLITE_OK ? write_ledger(j, a) : rc;
}

int verb_events_due_now(struct journal *j, struct journal_op *op)
{
    sqlite3_stmt *s = store_get(&j->store, SQL_EVENT_DUE_NOW);
    bind_int(s, 1, op_now(op));
    int rc = store_run(s);
    j->delta.wake[SINK_EVENTS] |= store_changes(&j->store) > 0;
    op->status = JOURNAL_OK;
    return rc;
}
