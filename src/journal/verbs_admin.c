/* verbs_admin.c - what operators ask for: doubts, events with their ledger, the story of one change, and the replay of
 * an event.
 *
 *   dead, delivered ── REPLAY ──► queued again under its own seq, so at its old place in its line
 *
 * A later event of the line that still waits simply goes out behind it. One that was delivered already cannot: then a
 * replay has to be asked for as out of order. For dead letters that is noted when the later one is delivered (passed),
 * which costs nothing while there are none. */
#include "journal/internal.h"
#include "journal/record.h"

#include <string.h>

#define EVENTS_LIST_MAX     500
#define ATTEMPTS_OF_EVENT   500 /* of the ledger, newest, in a trace */
#define CALLS_OF_CHANGE_MAX 500

/* ---- doubts ---- */

int verb_list_doubt(struct journal *j, struct journal_op *op)
{
    size_t cap = 0;
    int rc;
    op->list = NULL;
    op->list_count = 0;
    sqlite3_stmt *s = store_get(&j->store, SQL_DOUBT_LIST);
    bind_int(s, 1, list_limit(op));
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        if (!list_room(&op->arena, &op->list, op->list_count, &cap, sizeof *op->list) ||
            !record_read(s, 0, &op->list[op->list_count], &op->arena)) {
            rc = SQLITE_NOMEM;
            break;
        }
        op->list_count++;
    }
    sqlite3_reset(s);
    op->status = JOURNAL_OK;
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* ---- events ---- */

/* The columns of EVENT_ROWS (sql.c). */
static bool read_event(sqlite3_stmt *s, struct journal_event *e, struct arena *a)
{
    *e = (struct journal_event){.seq = sqlite3_column_int64(s, 0),
                                .created_at = sqlite3_column_int64(s, 7),
                                .attempts = sqlite3_column_int64(s, 8),
                                .due_at = sqlite3_column_int64(s, 9),
                                .state = (enum journal_event_state)sqlite3_column_int(s, 10),
                                .died_at = sqlite3_column_int64(s, 11)};
    return column_text(s, 1, &e->event_id, a) && column_text(s, 2, &e->type, a) &&
           column_text(s, 3, &e->request_id, a) && column_text(s, 4, &e->line, a) &&
           column_text(s, 5, &e->body, a) && column_text(s, 6, &e->traceparent, a);
}

/* Appends every row of s to op->events. */
static int read_events(sqlite3_stmt *s, struct journal_op *op)
{
    size_t cap = 0;
    int rc;
    op->events = NULL;
    op->event_count = 0;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        if (!list_room(&op->arena, &op->events, op->event_count, &cap, sizeof *op->events) ||
            !read_event(s, &op->events[op->event_count], &op->arena)) {
            rc = SQLITE_NOMEM;
            break;
        }
        op->event_count++;
    }
    sqlite3_reset(s);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* The ledger of each of op->events, newest first, at most limit of each. */
static int read_ledger(struct journal *j, struct journal_op *op, int64_t limit)
{
    size_t cap = 0;
    int rc = SQLITE_DONE;
    op->attempts = NULL;
    op->attempt_count = 0;
    for (size_t i = 0; i < op->event_count && rc == SQLITE_DONE; i++) {
        sqlite3_stmt *s = store_get(&j->store, SQL_ATTEMPT_OF_EVENT);
        bind_int(s, 1, op->events[i].seq);
        bind_int(s, 2, limit);
        while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
            if (!list_room(&op->arena, &op->attempts, op->attempt_count, &cap, sizeof *op->attempts)) {
                rc = SQLITE_NOMEM;
                break;
            }
            struct journal_attempt *a = &op->attempts[op->attempt_count];
            *a = (struct journal_attempt){.seq = sqlite3_column_int64(s, 0),
                                          .at = sqlite3_column_int64(s, 1),
                                          .status = sqlite3_column_int64(s, 2),
                                          .milliseconds = sqlite3_column_int64(s, 3),
                                          .next_due = sqlite3_column_int64(s, 4),
                                          .verdict = (enum journal_verdict)sqlite3_column_int(s, 5),
                                          .counted = sqlite3_column_int(s, 6) != 0};
            if (!column_text(s, 7, &a->error, &op->arena) || !column_text(s, 8, &a->answer, &op->arena)) {
                rc = SQLITE_NOMEM;
                break;
            }
            op->attempt_count++;
        }
        sqlite3_reset(s);
    }
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static enum sql list_statement(const struct journal_op *op)
{
    switch (op->event_state) {
    case EVENT_PENDING:
        return op->line ? SQL_EVENT_LIST_PENDING_LINE : SQL_EVENT_LIST_PENDING;
    case EVENT_DEAD:
        return op->line ? SQL_EVENT_LIST_DEAD_LINE : SQL_EVENT_LIST_DEAD;
    case EVENT_DELIVERED:
        return SQL_EVENT_LIST_DELIVERED;
    case EVENT_ANY:
        break;
    }
    return SQL_EVENT_LIST_ANY;
}

/* Where the next page begins; 0: there is none. Delivered events are many and have no index by line, so only the
 * newest EVENTS_EXAMINED below the cursor are looked at in one call. */
static int next_page(struct journal *j, struct journal_op *op, int64_t before, int64_t limit)
{
    int64_t last = op->event_count ? op->events[op->event_count - 1].seq : 0;
    if ((int64_t)op->event_count == limit) {
        op->seq = last;
        return SQLITE_OK;
    }
    op->seq = 0;
    if (op->event_state == EVENT_PENDING || op->event_state == EVENT_DEAD) {
        return SQLITE_OK;
    }
    sqlite3_stmt *s = store_get(&j->store, SQL_EVENT_EXAMINED);
    bind_int(s, 1, before);
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW && sqlite3_column_int64(s, 0) == EVENTS_EXAMINED) {
        op->seq = sqlite3_column_int64(s, 1);
    }
    sqlite3_reset(s);
    return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

int verb_events_list(struct journal *j, struct journal_op *op)
{
    int64_t before = op->seq > 0 ? op->seq : INT64_MAX;
    int64_t limit = list_limit(op) > EVENTS_LIST_MAX ? EVENTS_LIST_MAX : list_limit(op);
    sqlite3_stmt *s = store_get(&j->store, list_statement(op));
    bind_int(s, 1, before);
    bind_int(s, 2, limit);
    if (sqlite3_bind_parameter_count(s) > 2) {
        bind_text(s, 3, op->line);
    }
    int rc = read_events(s, op);
    rc = rc == SQLITE_OK ? read_ledger(j, op, 1) : rc;
    op->status = JOURNAL_OK;
    return rc == SQLITE_OK ? next_page(j, op, before, limit) : rc;
}

/* ---- replay ---- */

/* Was a later event of its line delivered? */
static int was_passed(struct journal *j, const struct journal_event *e, bool *passed)
{
    sqlite3_stmt *s =
        store_get(&j->store, e->state == EVENT_DEAD ? SQL_EVENT_DEAD_WAS_PASSED : SQL_EVENT_WAS_PASSED);
    bind_int(s, 1, e->seq);
    if (e->state != EVENT_DEAD) {
        bind_text(s, 2, e->line);
    }
    int rc = sqlite3_step(s);
    *passed = rc == SQLITE_ROW && sqlite3_column_int(s, 0) != 0;
    sqlite3_reset(s);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int queue_again(struct journal *j, struct journal_op *op, const struct journal_event *e)
{
    sqlite3_stmt *s;
    int rc = SQLITE_OK;
    if (e->state == EVENT_DEAD) {
        s = store_get(&j->store, SQL_EVENT_DEAD_LEAVE);
        bind_int(s, 1, e->seq);
        rc = store_run(s);
        j->delta.events_dead--;
    }
    if (rc == SQLITE_OK) { /* it is older than whatever of its line waits: that waits behind it */
        s = store_get(&j->store, SQL_EVENT_DEMOTE);
        bind_text(s, 1, e->line);
        bind_int(s, 2, e->seq);
        rc = store_run(s);
    }
    if (rc == SQLITE_OK) {
        s = store_get(&j->store, SQL_EVENT_REQUEUE);
        bind_int(s, 1, e->seq);
        bind_text(s, 2, e->line);
        bind_int(s, 3, op_now(op));
        rc = store_run(s);
    }
    j->delta.events++;
    j->delta.wake[SINK_EVENTS] = true;
    return rc;
}

int verb_event_replay(struct journal *j, struct journal_op *op)
{
    bool passed = false;
    sqlite3_stmt *s = store_get(&j->store, SQL_EVENT_BY_SEQ);
    bind_int(s, 1, op->seq);
    int rc = read_events(s, op);
    if (rc != SQLITE_OK || !op->event_count) {
        op->status = JOURNAL_NOT_FOUND;
        return rc;
    }
    const struct journal_event *e = &op->events[0];
    if (!e->body) { /* erased (forget.h): there is nothing left to send */
        op->status = JOURNAL_NOT_FOUND;
        return SQLITE_OK;
    }
    if (e->state == EVENT_PENDING) {
        op->status = JOURNAL_CONFLICT;
        return SQLITE_OK;
    }
    if (j->full) {
        op->status = JOURNAL_FULL;
        return SQLITE_OK;
    }
    rc = was_passed(j, e, &passed);
    if (rc != SQLITE_OK || (passed && !op->out_of_order)) {
        op->status = JOURNAL_OUT_OF_ORDER;
        return rc;
    }
    op->status = JOURNAL_OK;
    return queue_again(j, op, e);
}

/* ---- the story of a change ---- */

static int read_calls(struct journal *j, struct journal_op *op)
{
    size_t cap = 0;
    int rc;
    op->calls = NULL;
    op->call_count = 0;
    sqlite3_stmt *s = store_get(&j->store, SQL_CALL_OF_REQUEST);
    bind_text(s, 1, op->change.request_id);
    bind_int(s, 2, CALLS_OF_CHANGE_MAX);
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        if (!list_room(&op->arena, &op->calls, op->call_count, &cap, sizeof *op->calls)) {
            rc = SQLITE_NOMEM;
            break;
        }
        struct journal_call *c = &op->calls[op->call_count];
        *c = (struct journal_call){.seq = sqlite3_column_int64(s, 0),
                                   .attempt = sqlite3_column_int64(s, 3),
                                   .http_status = sqlite3_column_int64(s, 4),
                                   .milliseconds = sqlite3_column_int64(s, 7),
                                   .at = sqlite3_column_int64(s, 9)};
        if (!column_text(s, 1, &c->request_id, &op->arena) || !column_text(s, 2, &c->operation, &op->arena) ||
            !column_text(s, 5, &c->result_code, &op->arena) || !column_text(s, 6, &c->outcome, &op->arena) ||
            !column_text(s, 8, &c->breaker_state, &op->arena)) {
            rc = SQLITE_NOMEM;
            break;
        }
        op->call_count++;
    }
    sqlite3_reset(s);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int read_forwarding(struct journal *j, struct journal_op *op)
{
    op->forwarding = FORWARD_NONE;
    op->forward_reason = NULL;
    sqlite3_stmt *s = store_get(&j->store, SQL_HISTORY_STATE);
    bind_text(s, 1, op->change.request_id);
    int rc = sqlite3_step(s);
    bool lost = false;
    if (rc == SQLITE_ROW) {
        op->forwarding = (enum journal_forwarding)sqlite3_column_int(s, 0);
        lost = !column_text(s, 1, &op->forward_reason, &op->arena);
    }
    sqlite3_reset(s);
    return lost ? SQLITE_NOMEM : rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int read_invalidation(struct journal *j, struct journal_op *op)
{
    op->invalid = NULL;
    op->invalid_count = 0;
    sqlite3_stmt *s = store_get(&j->store, SQL_INVALID_GET);
    bind_text(s, 1, op->found.line);
    int rc = sqlite3_step(s);
    bool there = rc == SQLITE_ROW;
    if (there) {
        op->invalid = arena_zalloc(&op->arena, sizeof *op->invalid);
        if (op->invalid) {
            op->invalid[0] = (struct journal_invalid){op->found.line, sqlite3_column_int64(s, 0)};
            op->invalid_count = 1;
        }
    }
    sqlite3_reset(s);
    return there && !op->invalid ? SQLITE_NOMEM : rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int verb_trace(struct journal *j, struct journal_op *op)
{
    bool there;
    int rc = find_by_id(j, op, op->change.request_id, &there);
    op->found_recorded = there;
    op->status = there ? JOURNAL_OK : JOURNAL_NOT_FOUND;
    op->call_count = op->event_count = op->attempt_count = op->invalid_count = 0;
    if (rc != SQLITE_OK || !there) {
        return rc;
    }
    rc = read_calls(j, op);
    if (rc == SQLITE_OK) {
        sqlite3_stmt *s = store_get(&j->store, SQL_EVENT_OF_REQUEST);
        bind_text(s, 1, op->change.request_id);
        rc = read_events(s, op);
    }
    rc = rc == SQLITE_OK ? read_ledger(j, op, ATTEMPTS_OF_EVENT) : rc;
    rc = rc == SQLITE_OK ? read_forwarding(j, op) : rc;
    return rc == SQLITE_OK ? read_invalidation(j, op) : rc;
}
