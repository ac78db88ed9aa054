/* verbs_claim.c - claiming a line and its key before anything is read (DESIGN.md, "Claim before read"), and
 * the verb that ends a key's first request. */
#include "journal/internal.h"
#include "pcs/core/clock.h"

#include <string.h>

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static int busy(struct journal *j, struct journal_op *op, enum journal_status status, const char *request_id,
                bool recorded)
{
    int rc = SQLITE_OK;
    bool there = false;
    if (recorded) {
        rc = find_by_id(j, op, request_id, &there);
    }
    if (!there) {
        op->found = (struct change_record){.request_id = arena_strdup(&op->arena, request_id)};
    }
    op->found_recorded = there;
    op->status = status;
    return rc == SQLITE_OK && !op->found.request_id ? SQLITE_NOMEM : rc;
}

/* The change that has the key, from disk. Its row gone: the key is free. */
static int replay(struct journal *j, struct journal_op *op, const char *request_id, int64_t first_status)
{
    bool there;
    int rc = find_by_id(j, op, request_id, &there);
    op->found_recorded = there;
    if (rc != SQLITE_OK || !there) {
        return rc;
    }
    op->status = same_text(op->found.body_hash, op->change.body_hash) ? JOURNAL_REPLAY : JOURNAL_KEY_REUSED;
    if (first_status) {
        op->found.first_status = first_status; /* not committed yet */
    }
    return SQLITE_OK;
}

/* The key on disk. first_status 0 there: the process that took it ended before it answered, and nobody will answer any
 * more. */
static int stored_key(struct journal *j, struct journal_op *op)
{
    sqlite3_stmt *s = store_get(&j->store, SQL_KEY_GET);
    bind_text(s, 1, op->change.idem_key);
    bind_int(s, 2, op_now(op));
    int rc = sqlite3_step(s);
    bool there = rc == SQLITE_ROW;
    const char *id = there ? arena_strdup(&op->arena, (const char *)sqlite3_column_text(s, 0)) : NULL;
    sqlite3_reset(s);
    if (!there) {
        return rc == SQLITE_DONE ? SQLITE_OK : rc;
    }
    return id ? replay(j, op, id, 0) : SQLITE_NOMEM;
}

/* Leaves status NOT_FOUND when the key is free. Another body is told first: whoever sends one did not repeat
 * that request (CONTRACT.md 1, Idempotency-Key). */
static int check_key(struct journal *j, struct journal_op *op)
{
    const struct change_record *c = &op->change;
    op->status = JOURNAL_NOT_FOUND;
    if (!c->idem_key) {
        return SQLITE_OK;
    }
    const struct claim *held = claims_of_key(&j->claims, c->idem_key, clock_mono_ns());
    if (!held) {
        return stored_key(j, op);
    }
    if (strcmp(held->request_id, c->request_id) == 0) {
        return SQLITE_OK;
    }
    if (!same_text(held->body_hash, c->body_hash)) {
        op->status = JOURNAL_KEY_REUSED;
        return SQLITE_OK;
    }
    if (held->state == CLAIM_UNANSWERED && held->first_status) {
        return replay(j, op, held->request_id, held->first_status);
    }
    return busy(j, op, JOURNAL_KEY_BUSY, held->request_id, held->state == CLAIM_UNANSWERED);
}

int verb_claim(struct journal *j, struct journal_op *op)
{
    const struct change_record *c = &op->change;
    if (!c->request_id || !c->line) {
        return SQLITE_MISUSE;
    }
    int rc = check_key(j, op);
    if (rc != SQLITE_OK || op->status != JOURNAL_NOT_FOUND) {
        return rc;
    }
    if (atomic_load(&j->closed)) {
        op->status = JOURNAL_FULL;
        return SQLITE_OK;
    }
    uint64_t now_ns = clock_mono_ns();
    const struct claim *held = claims_of_line(&j->claims, c->line, now_ns);
    if (held && strcmp(held->request_id, c->request_id) != 0) {
        return busy(j, op, JOURNAL_LINE_BUSY, held->request_id, false);
    }
    bool there;
    rc = find_open_line(j, op, c->line, &there);
    if (rc != SQLITE_OK || there) {
        op->found_recorded = there;
        op->status = JOURNAL_LINE_BUSY;
        return rc;
    }
    claims_drop(&j->claims, c->request_id);
    op->status =
        claims_add(&j->claims, CLAIM_CLAIMED, c->request_id, c->line, c->idem_key, c->body_hash, now_ns)
            ? JOURNAL_OK
            : JOURNAL_FULL;
    return SQLITE_OK;
}

int verb_release(struct journal *j, struct journal_op *op)
{
    const struct claim *held =
        op->change.request_id ? claims_of_request(&j->claims, op->change.request_id) : NULL;
    if (held && held->state == CLAIM_CLAIMED) {
        claims_drop(&j->claims, held->request_id);
    }
    op->status = JOURNAL_OK;
    return SQLITE_OK;
}

int verb_answered(struct journal *j, struct journal_op *op)
{
    static const enum sql rows[] = {SQL_OPEN_ANSWER, SQL_SETTLED_ANSWER};
    op->status = JOURNAL_OK;
    for (size_t i = 0; i < 2; i++) {
        sqlite3_stmt *s = store_get(&j->store, rows[i]);
        bind_text(s, 1, op->change.request_id);
        bind_int(s, 2, op->change.first_status);
        int rc = store_run(s);
        if (rc != SQLITE_OK || store_changes(&j->store)) {
            return rc;
        }
    }
    bool there; /* with an answer noted already */
    int rc = find_by_id(j, op, op->change.request_id, &there);
    op->found_recorded = there;
    op->status = there ? JOURNAL_OK : JOURNAL_NOT_FOUND;
    return rc;
}

void committed_answered(struct journal *j, struct journal_op *op)
{
    const struct claim *held = claims_of_request(&j->claims, op->change.request_id);
    if (held && held->state == CLAIM_UNANSWERED) {
        claims_drop(&j->claims, op->change.request_id);
    }
}
