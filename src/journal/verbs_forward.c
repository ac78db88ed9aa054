/* verbs_forward.c - what the forwarders take and give back: history rows and calls, cache invalidations. */
#include "journal/internal.h"
#include "journal/record.h"

#include <string.h>

/* ---- PostgreSQL ---- */

static int pull_rows(struct journal *j, struct journal_op *op)
{
    size_t cap = 0, seq_cap = 0, link_cap = 0;
    int rc;
    op->list = NULL;
    op->seqs = NULL;
    op->links = NULL;
    op->list_count = 0;
    sqlite3_stmt *s = store_get(&j->store, SQL_HISTORY_PULL);
    bind_int(s, 1, list_limit(op));
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        size_t n = op->list_count;
        if (!list_room(&op->arena, &op->list, n, &cap, sizeof *op->list) ||
            !list_room(&op->arena, &op->seqs, n, &seq_cap, sizeof *op->seqs) ||
            !list_room(&op->arena, &op->links, n, &link_cap, sizeof *op->links) ||
            !record_read(s, 1, &op->list[n], &op->arena) ||
            !chain_read(s, 1 + record_columns, &op->links[n], &op->arena)) {
            rc = SQLITE_NOMEM;
            break;
        }
        op->seqs[n] = sqlite3_column_int64(s, 0);
        op->list_count++;
    }
    sqlite3_reset(s);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static bool read_call(sqlite3_stmt *s, struct journal_call *c, struct arena *a)
{
    *c = (struct journal_call){.seq = sqlite3_column_int64(s, 0),
                               .attempt = sqlite3_column_int64(s, 3),
                               .http_status = sqlite3_column_int64(s, 4),
                               .milliseconds = sqlite3_column_int64(s, 7),
                               .at = sqlite3_column_int64(s, 9)};
    return column_text(s, 1, &c->request_id, a) && column_text(s, 2, &c->operation, a) &&
           column_text(s, 5, &c->result_code, a) && column_text(s, 6, &c->outcome, a) &&
           column_text(s, 8, &c->breaker_state, a);
}

static int read_calls(sqlite3_stmt *s, struct journal_op *op)
{
    size_t cap = 0;
    int rc;
    op->calls = NULL;
    op->call_count = 0;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        if (!list_room(&op->arena, &op->calls, op->call_count, &cap, sizeof *op->calls) ||
            !read_call(s, &op->calls[op->call_count], &op->arena)) {
            rc = SQLITE_NOMEM;
            break;
        }
        op->call_count++;
    }
    sqlite3_reset(s);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int verb_history_pull(struct journal *j, struct journal_op *op)
{
    int rc = pull_rows(j, op);
    if (rc == SQLITE_OK) {
        sqlite3_stmt *s = store_get(&j->store, SQL_CALL_PULL);
        bind_int(s, 1, list_limit(op) * CALLS_PER_CHANGE);
        rc = read_calls(s, op);
    }
    op->status = JOURNAL_OK;
    return rc == SQLITE_OK ? chain_loose_pull(j, op) : rc;
}

static int mark_calls(struct journal *j, const struct journal_op *op, int mark)
{
    for (size_t i = 0; i < op->ack_call_count; i++) {
        sqlite3_stmt *s = store_get(&j->store, SQL_CALL_MARK);
        bind_int(s, 1, op->ack_calls[i]);
        bind_int(s, 2, mark);
        int rc = store_run(s);
        if (rc != SQLITE_OK) {
            return rc;
        }
        j->delta.calls -= store_changes(&j->store);
    }
    return SQLITE_OK;
}

static int leave_queue(struct journal *j, int64_t seq)
{
    sqlite3_stmt *s = store_get(&j->store, SQL_HISTORY_ACK);
    bind_int(s, 1, seq);
    int rc = store_run(s);
    if (rc == SQLITE_OK) {
        j->delta.history -= store_changes(&j->store);
    }
    return rc;
}

int verb_history_ack(struct journal *j, struct journal_op *op)
{
    int rc = SQLITE_OK;
    for (size_t i = 0; rc == SQLITE_OK && i < op->ack_row_count; i++) {
        rc = leave_queue(j, op->ack_rows[i]);
    }
    op->status = JOURNAL_OK;
    rc = rc == SQLITE_OK ? chain_loose_ack(j, op) : rc;
    return rc == SQLITE_OK ? mark_calls(j, op, 1) : rc;
}

int verb_history_dead(struct journal *j, struct journal_op *op)
{
    sqlite3_stmt *s = store_get(&j->store, SQL_HISTORY_DEAD);
    bind_int(s, 1, op->seq);
    bind_text(s, 2, op->reason);
    bind_int(s, 3, op_now(op));
    int rc = store_run(s);
    if (rc != SQLITE_OK) {
        return rc;
    }
    bool moved = store_changes(&j->store) == 1;
    op->status = moved || op->ack_call_count ? JOURNAL_OK : JOURNAL_NOT_FOUND;
    if (moved) {
        j->delta.history_dead++;
        rc = leave_queue(j, op->seq);
        rc = rc == SQLITE_OK ? chain_add_refusal(j, op->seq) : rc;
    }
    return rc == SQLITE_OK ? mark_calls(j, op, 2) : rc;
}

/* ---- the cache ---- */

int verb_invalidations(struct journal *j, struct journal_op *op)
{
    size_t cap = 0;
    int rc;
    op->invalid = NULL;
    op->invalid_count = 0;
    sqlite3_stmt *s = store_get(&j->store, SQL_INVALID_LIST);
    bind_text(s, 1, op->line ? op->line : "");
    bind_int(s, 2, list_limit(op));
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        if (!list_room(&op->arena, &op->invalid, op->invalid_count, &cap, sizeof *op->invalid) ||
            !column_text(s, 0, &op->invalid[op->invalid_count].line, &op->arena)) {
            rc = SQLITE_NOMEM;
            break;
        }
        op->invalid[op->invalid_count++].generation = sqlite3_column_int64(s, 1);
    }
    sqlite3_reset(s);
    op->status = JOURNAL_OK;
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int verb_invalidated(struct journal *j, struct journal_op *op)
{
    sqlite3_stmt *s = store_get(&j->store, SQL_INVALID_ACK);
    bind_text(s, 1, op->line);
    bind_int(s, 2, op->generation);
    int rc = store_run(s);
    if (rc == SQLITE_OK) {
        /* another generation: the line has changed since, and is to be invalidated again */
        bool same = store_changes(&j->store) == 1;
        j->delta.invalidations -= same ? 1 : 0;
        op->status = same ? JOURNAL_OK : JOURNAL_NOT_FOUND;
    }
    return rc;
}
