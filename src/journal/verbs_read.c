/* verbs_read.c - looking up changes, and the counts. */
#include "journal/internal.h"
#include "journal/record.h"

#include <string.h>

int verb_get(struct journal *j, struct journal_op *op)
{
    bool there;
    int rc = find_by_id(j, op, op->change.request_id, &there);
    op->found_recorded = there;
    op->status = there ? JOURNAL_OK : JOURNAL_NOT_FOUND;
    return rc;
}

/* Appends every row of s to op->list. */
static int read_list(sqlite3_stmt *s, struct journal_op *op, size_t *cap)
{
    int rc;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        if (!list_room(&op->arena, &op->list, op->list_count, cap, sizeof *op->list) ||
            !record_read(s, 0, &op->list[op->list_count], &op->arena)) {
            sqlite3_reset(s);
            return SQLITE_NOMEM;
        }
        op->list_count++;
    }
    sqlite3_reset(s);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Puts the last element where requested_at, newest first, wants it. */
static void sink_last(struct change_record *list, size_t count)
{
    for (size_t i = count - 1; i > 0 && list[i].requested_at > list[i - 1].requested_at; i--) {
        struct change_record earlier = list[i - 1];
        list[i - 1] = list[i];
        list[i] = earlier;
    }
}

int verb_list_line(struct journal *j, struct journal_op *op)
{
    size_t cap = 0;
    int64_t limit = list_limit(op);
    const char *line = op->line ? op->line : op->change.line;
    op->list = NULL;
    op->list_count = 0;

    sqlite3_stmt *s = store_get(&j->store, SQL_SETTLED_OF_LINE);
    bind_text(s, 1, line);
    bind_int(s, 2, limit);
    int rc = read_list(s, op, &cap);
    if (rc == SQLITE_OK) {
        size_t before = op->list_count;
        s = store_get(&j->store, SQL_OPEN_BY_LINE);
        bind_text(s, 1, line);
        rc = read_list(s, op, &cap);
        if (op->list_count > before) {
            sink_last(op->list, op->list_count);
        }
    }
    if (op->list_count > (size_t)limit) {
        op->list_count = (size_t)limit;
    }
    op->status = JOURNAL_OK;
    return rc;
}

int verb_list_open(struct journal *j, struct journal_op *op)
{
    size_t cap = 0;
    op->list = NULL;
    op->list_count = 0;
    sqlite3_stmt *s = store_get(&j->store, SQL_OPEN_LIST);
    bind_text(s, 1, op->after_id ? op->after_id : "");
    bind_int(s, 2, list_limit(op));
    op->status = JOURNAL_OK;
    return read_list(s, op, &cap);
}

int verb_stats(struct journal *j, struct journal_op *op)
{
    struct journal_stats *st = &op->stats;
    *st = (struct journal_stats){
        .open = j->counts.open,
        .in_doubt = j->counts.in_doubt,
        .history_pending = j->counts.history,
        .history_dead = j->counts.history_dead,
        .calls_pending = j->counts.calls,
        .events_pending = j->counts.events,
        .events_dead = j->counts.events_dead,
        .invalidations = j->counts.invalidations,
        .commits = (int64_t)j->commits,
        .operations = (int64_t)j->operations,
        .claims = (int64_t)j->claims.count,
        .writable = journal_writable(j),
    };
    int64_t room;
    int rc = store_number(&j->store, SQL_DOUBT_OLDEST, &st->oldest_doubt_at);
    rc = rc == SQLITE_OK ? store_number(&j->store, SQL_EVENT_OLDEST, &st->oldest_event_at) : rc;
    rc = rc == SQLITE_OK ? store_number(&j->store, SQL_COUNT_LINKS, &st->links_pending) : rc;
    rc = rc == SQLITE_OK ? store_bytes(&j->store, &st->bytes, &room) : rc;
    op->status = JOURNAL_OK;
    return rc;
}
