/* verbs_change.c - a change begins, is sent, ends.
 *
 *   INTENT ─► open_change ── SEND (ACCEPTED ─► SENDING), DOUBT ──► open_change
 *                  │
 *                  └── OUTCOME, CANCEL ──► settled + history_queue [+ event] [+ invalidation]
 *   RECORD ──────────────────────────────► settled + history_queue [+ event]
 *
 * Whether a move is allowed is asked in the same transaction that makes it, so cancel and send cannot race.
 */
#include "journal/internal.h"
#include "journal/record.h"
#include "pcs/core/clock.h"
#include "pcs/core/failpoint.h"

#include <string.h>

/* ---- INTENT ---- */

static bool claimed_by_other(const struct claim *held, const char *request_id)
{
    return held && strcmp(held->request_id, request_id) != 0;
}

static bool must_reload(struct journal *j, const char *line, int64_t loaded_at)
{
    return recent_reload(&j->recent, line, recent_time(&j->recent, loaded_at));
}

static int answer_busy(struct journal_op *op, enum journal_status status, const char *request_id)
{
    op->found = (struct change_record){.request_id = arena_strdup(&op->arena, request_id)};
    op->found_recorded = false;
    op->status = status;
    return op->found.request_id ? SQLITE_OK : SQLITE_NOMEM;
}

/* The open row could not be inserted: whose place is it? */
static int answer_duplicate(struct journal *j, struct journal_op *op)
{
    bool there;
    int rc = find_open_line(j, op, op->change.line, &there);
    if (rc == SQLITE_OK && !there) {
        rc = find_by_id(j, op, op->change.request_id, &there);
        op->status = JOURNAL_CONFLICT;
    } else {
        op->status = JOURNAL_LINE_BUSY;
    }
    op->found_recorded = there;
    return rc;
}

static int open_row(struct journal *j, struct journal_op *op, bool *inserted)
{
    sqlite3_stmt *s = store_get(&j->store, SQL_OPEN_INSERT);
    record_bind(s, &op->change);
    int rc = store_run(s);
    *inserted = rc == SQLITE_OK;
    return rc == SQLITE_CONSTRAINT_UNIQUE ? answer_duplicate(j, op) : rc;
}

/* The key of the change just inserted; takes the row back when the key is somebody else's. */
static int open_key(struct journal *j, struct journal_op *op, bool *taken)
{
    int64_t id = store_last_id(&j->store);
    int rc = key_take(j, &op->change, op_now(op), taken);
    if (rc != SQLITE_OK || *taken) {
        return rc;
    }
    sqlite3_stmt *s = store_get(&j->store, SQL_OPEN_DELETE);
    bind_int(s, 1, id);
    rc = store_run(s);
    op->status = JOURNAL_KEY_BUSY;
    s = store_get(&j->store, SQL_KEY_GET);
    bind_text(s, 1, op->change.idem_key);
    bind_int(s, 2, op_now(op));
    if (rc == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW) {
        bool there;
        const char *other = arena_strdup(&op->arena, (const char *)sqlite3_column_text(s, 0));
        rc = other ? find_by_id(j, op, other, &there) : SQLITE_NOMEM;
        op->found_recorded = other && there;
    }
    sqlite3_reset(s);
    return rc;
}

int verb_intent(struct journal *j, struct journal_op *op)
{
    const struct change_record *c = &op->change;
    if (!c->request_id || !c->line || change_state_final(c->state)) {
        return SQLITE_MISUSE;
    }
    if (j->full || atomic_load(&j->closed)) {
        op->status = JOURNAL_FULL;
        return SQLITE_OK;
    }
    uint64_t now_ns = clock_mono_ns();
    const struct claim *held = claims_of_line(&j->claims, c->line, now_ns);
    if (claimed_by_other(held, c->request_id)) {
        return answer_busy(op, JOURNAL_LINE_BUSY, held->request_id);
    }
    held = c->idem_key ? claims_of_key(&j->claims, c->idem_key, now_ns) : NULL;
    if (claimed_by_other(held, c->request_id)) {
        return answer_busy(op, JOURNAL_KEY_BUSY, held->request_id);
    }
    if (must_reload(j, c->line, c->loaded_at)) {
        op->status = JOURNAL_RELOAD;
        return SQLITE_OK;
    }
    bool done;
    int rc = open_row(j, op, &done);
    if (rc != SQLITE_OK || !done) {
        return rc;
    }
    if (c->idem_key) {
        rc = open_key(j, op, &done);
        if (rc != SQLITE_OK || !done) {
            return rc;
        }
    }
    FAILPOINT("journal.intent_half");
    j->delta.open++;
    op->status = JOURNAL_OK;
    return invalidate_line(j, op, c->line);
}

void committed_intent(struct journal *j, struct journal_op *op)
{
    const struct change_record *c = &op->change;
    lines_add(&j->lines, c->line); /* before its claim goes: there is no moment between */
    claims_recorded(&j->claims, c->request_id, c->line, c->idem_key, c->body_hash, c->first_status != 0,
                    clock_mono_ns());
}

/* ---- SEND, DOUBT ---- */

/* The row is not in the state that was expected: what is it? */
static int answer_other_state(struct journal *j, struct journal_op *op)
{
    bool there;
    int rc = find_by_id(j, op, op->change.request_id, &there);
    op->found_recorded = there;
    op->status = there ? JOURNAL_CONFLICT : JOURNAL_NOT_FOUND;
    return rc;
}

/* The open row that is to be moved, as it is stored. */
struct open_row {
    struct change_record c;
    int64_t id;
    bool there;
};

static int read_open(struct journal *j, struct journal_op *op, struct open_row *o)
{
    sqlite3_stmt *s = store_get(&j->store, SQL_OPEN_ROW);
    bind_text(s, 1, op->change.request_id);
    int rc = sqlite3_step(s);
    o->there = rc == SQLITE_ROW;
    if (o->there) {
        o->id = sqlite3_column_int64(s, 0);
        rc = record_read(s, 1, &o->c, &op->arena) ? SQLITE_OK : SQLITE_NOMEM;
    }
    sqlite3_reset(s);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int verb_send(struct journal *j, struct journal_op *op)
{
    struct open_row o;
    int rc = read_open(j, op, &o);
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (!o.there || o.c.state != CHANGE_ACCEPTED) {
        return answer_other_state(j, op);
    }
    if (must_reload(j, o.c.line, op->change.loaded_at)) {
        op->status = JOURNAL_RELOAD;
        return SQLITE_OK;
    }
    struct change_record c = op->change;
    c.state = CHANGE_SENDING;
    sqlite3_stmt *s = store_get(&j->store, SQL_OPEN_SEND);
    record_bind(s, &c);
    rc = store_run(s);
    op->status = JOURNAL_OK;
    return rc == SQLITE_OK ? invalidate_line(j, op, o.c.line) : rc;
}

int verb_doubt(struct journal *j, struct journal_op *op)
{
    struct open_row o;
    int rc = read_open(j, op, &o);
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (!o.there || o.c.state != CHANGE_SENDING) {
        return answer_other_state(j, op);
    }
    sqlite3_stmt *s = store_get(&j->store, SQL_OPEN_DOUBT);
    record_bind(s, &op->change);
    j->delta.in_doubt += (op->change.in_doubt ? 1 : 0) - (o.c.in_doubt ? 1 : 0);
    op->status = JOURNAL_OK;
    return store_run(s);
}

/* ---- OUTCOME, CANCEL, RECORD ---- */

static int end_key(struct journal *j, struct journal_op *op, const char *key)
{
    if (!key || !change_frees_key(op->change.state, op->change.first_status)) {
        return SQLITE_OK; /* the key keeps the change */
    }
    sqlite3_stmt *s = store_get(&j->store, SQL_KEY_DELETE);
    bind_text(s, 1, key);
    bind_text(s, 2, op->change.request_id);
    return store_run(s);
}

/* The row of a change that has ended, and its link. */
static int settled_row(struct journal *j, const struct change_record *c, int64_t seq)
{
    sqlite3_stmt *s = store_get(&j->store, SQL_SETTLED_INSERT);
    record_bind(s, c);
    bind_int(s, record_columns + 1, seq);
    int rc = store_run(s);
    return rc == SQLITE_OK ? chain_add_row(j, c) : rc;
}

/* open_change -> settled, and everything that follows from it but the invalidation. */
static int settle(struct journal *j, struct journal_op *op, const struct open_row *o)
{
    struct change_record c = op->change;
    c.processed_at = c.processed_at ? c.processed_at : op_now(op);
    record_end(&o->c, &c);
    int64_t seq = chain_next_seq(j);
    int rc = settled_row(j, &c, seq);
    FAILPOINT("journal.outcome_half");
    if (rc == SQLITE_OK) {
        sqlite3_stmt *s = store_get(&j->store, SQL_OPEN_DELETE);
        bind_int(s, 1, o->id);
        rc = store_run(s);
    }
    rc = rc == SQLITE_OK ? queue_history(j, seq, c.line) : rc;
    rc = rc == SQLITE_OK ? queue_event(j, op->event, seq, c.line) : rc;
    rc = rc == SQLITE_OK ? end_key(j, op, c.idem_key) : rc;
    j->delta.open--;
    j->delta.in_doubt -= o->c.in_doubt ? 1 : 0;
    op->ended_line = o->c.line;
    op->status = JOURNAL_OK;
    return rc;
}

int verb_outcome(struct journal *j, struct journal_op *op)
{
    struct open_row o;
    int rc = read_open(j, op, &o);
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (!change_state_final(op->change.state)) {
        return SQLITE_MISUSE;
    }
    if (!o.there || !change_transition_ok(o.c.state, op->change.state)) {
        return answer_other_state(j, op);
    }
    rc = settle(j, op, &o);
    if (rc == SQLITE_OK) {
        int64_t now = op_now(op);
        int64_t at = op->change.processed_at ? op->change.processed_at : now;
        /* kept after a rollback too: then a reload too many */
        recent_note(&j->recent, o.c.line, recent_time(&j->recent, at), recent_time(&j->recent, now));
        rc = invalidate_line(j, op, o.c.line);
    }
    return rc;
}

int verb_cancel(struct journal *j, struct journal_op *op)
{
    struct open_row o;
    enum change_state to = op->change.state;
    if (to != CHANGE_CANCELLED && to != CHANGE_EXPIRED) {
        return SQLITE_MISUSE;
    }
    int rc = read_open(j, op, &o);
    if (rc != SQLITE_OK) {
        return rc;
    }
    return o.there && o.c.state == CHANGE_ACCEPTED ? settle(j, op, &o) : answer_other_state(j, op);
}

void committed_outcome(struct journal *j, struct journal_op *op)
{
    lines_remove(&j->lines, op->ended_line);
    if (op->change.state == CHANGE_NOT_SENT || op->change.first_status) {
        claims_drop(&j->claims, op->change.request_id);
    }
}

int verb_record(struct journal *j, struct journal_op *op)
{
    const struct change_record *c = &op->change;
    bool there, keeps_key = c->idem_key && c->state != CHANGE_NOT_SENT;
    if (!c->request_id || !c->line || (c->state != CHANGE_INVALID && c->state != CHANGE_NOT_SENT)) {
        return SQLITE_MISUSE;
    }
    if (j->full || atomic_load(&j->closed)) {
        op->status = JOURNAL_FULL;
        return SQLITE_OK;
    }
    int rc = find_by_id(j, op, c->request_id, &there);
    if (rc != SQLITE_OK || there) {
        op->found_recorded = there;
        op->status = JOURNAL_CONFLICT;
        return rc;
    }
    const struct claim *held = keeps_key ? claims_of_key(&j->claims, c->idem_key, clock_mono_ns()) : NULL;
    if (claimed_by_other(held, c->request_id)) {
        return answer_busy(op, JOURNAL_KEY_BUSY, held->request_id);
    }
    if (keeps_key) {
        bool taken;
        rc = key_take(j, c, op_now(op), &taken);
        if (rc != SQLITE_OK || !taken) {
            op->status = JOURNAL_KEY_BUSY;
            return rc;
        }
    }
    struct change_record r = *c;
    r.processed_at = r.processed_at ? r.processed_at : op_now(op);
    int64_t seq = chain_next_seq(j);
    rc = settled_row(j, &r, seq);
    rc = rc == SQLITE_OK ? queue_history(j, seq, c->line) : rc;
    op->status = JOURNAL_OK;
    return rc == SQLITE_OK ? queue_event(j, op->event, seq, c->line) : rc;
}

void committed_record(struct journal *j, struct journal_op *op)
{
    const struct change_record *c = &op->change;
    bool answered = c->first_status || c->state == CHANGE_NOT_SENT;
    claims_recorded(&j->claims, c->request_id, c->line, c->idem_key, c->body_hash, answered, clock_mono_ns());
}

/* ---- CALLS ---- */

int verb_calls(struct journal *j, struct journal_op *op)
{
    /* the room that is left when the journal is full is for outcomes */
    op->status = j->full ? JOURNAL_FULL : JOURNAL_OK;
    for (size_t i = 0; i < op->calls_in_count && !j->full; i++) {
        const struct journal_call *c = &op->calls_in[i];
        sqlite3_stmt *s = store_get(&j->store, SQL_CALL_INSERT);
        bind_text(s, 1, c->request_id);
        bind_text(s, 2, c->operation);
        bind_int(s, 3, c->attempt);
        bind_int(s, 4, c->http_status);
        bind_text(s, 5, c->result_code);
        bind_text(s, 6, c->outcome);
        bind_int(s, 7, c->milliseconds);
        bind_text(s, 8, c->breaker_state);
        bind_int(s, 9, c->at);
        int rc = store_run(s);
        if (rc != SQLITE_OK) {
            return rc;
        }
        j->delta.calls++;
        j->delta.wake[SINK_HISTORY] = true;
    }
    return SQLITE_OK;
}
