/* verbs.c - the table of verbs, and what several of them share. */
#include "journal/internal.h"
#include "journal/record.h"
#include "pcs/core/clock.h"

#include <string.h>

/* clang-format off */
const struct verb journal_verbs[JOURNAL_VERBS] = {
    [JOURNAL_CLAIM]          = {"claim", verb_claim, NULL, PHASE_FIRST, false},
    [JOURNAL_RELEASE]        = {"release", verb_release, NULL, PHASE_FIRST, true},
    [JOURNAL_INTENT]         = {"intent", verb_intent, committed_intent, PHASE_WRITE, false},
    [JOURNAL_SEND]           = {"send", verb_send, NULL, PHASE_WRITE, false},
    [JOURNAL_OUTCOME]        = {"outcome", verb_outcome, committed_outcome, PHASE_WRITE, true},
    [JOURNAL_RECORD]         = {"record", verb_record, committed_record, PHASE_WRITE, false},
    [JOURNAL_CANCEL]         = {"cancel", verb_cancel, committed_outcome, PHASE_WRITE, false},
    [JOURNAL_DOUBT]          = {"doubt", verb_doubt, NULL, PHASE_WRITE, true},
    [JOURNAL_ANSWERED]       = {"answered", verb_answered, committed_answered, PHASE_LAZY, true},
    [JOURNAL_CALLS]          = {"calls", verb_calls, NULL, PHASE_LAZY, true},
    [JOURNAL_GET]            = {"get", verb_get, NULL, PHASE_FIRST, false},
    [JOURNAL_LIST_LINE]      = {"list_line", verb_list_line, NULL, PHASE_FIRST, false},
    [JOURNAL_LIST_OPEN]      = {"list_open", verb_list_open, NULL, PHASE_LAST, false},
    [JOURNAL_HISTORY_PULL]   = {"history_pull", verb_history_pull, NULL, PHASE_LAST, false},
    [JOURNAL_HISTORY_ACK]    = {"history_ack", verb_history_ack, NULL, PHASE_LAZY, true},
    [JOURNAL_HISTORY_DEAD]   = {"history_dead", verb_history_dead, NULL, PHASE_WRITE, true},
    [JOURNAL_EVENTS_PULL]    = {"events_pull", verb_events_pull, NULL, PHASE_LAST, false},
    [JOURNAL_EVENT_ATTEMPT]  = {"event_attempt", verb_event_attempt, NULL, PHASE_LAZY, true},
    [JOURNAL_EVENTS_DUE_NOW] = {"events_due_now", verb_events_due_now, NULL, PHASE_WRITE, true},
    [JOURNAL_INVALIDATIONS]  = {"invalidations", verb_invalidations, NULL, PHASE_LAST, false},
    [JOURNAL_INVALIDATED]    = {"invalidated", verb_invalidated, NULL, PHASE_LAZY, true},
    [JOURNAL_LIST_DOUBT]     = {"list_doubt", verb_list_doubt, NULL, PHASE_LAST, false},
    [JOURNAL_EVENTS_LIST]    = {"events_list", verb_events_list, NULL, PHASE_LAST, false},
    [JOURNAL_EVENT_REPLAY]   = {"event_replay", verb_event_replay, NULL, PHASE_WRITE, false},
    [JOURNAL_TRACE]          = {"trace", verb_trace, NULL, PHASE_LAST, false},
    [JOURNAL_BACKUP]         = {"backup", NULL, NULL, PHASE_LONG, true},
    [JOURNAL_FORGET]         = {"forget", verb_forget, NULL, PHASE_WRITE, false},
    [JOURNAL_STATS]          = {"stats", verb_stats, NULL, PHASE_LAST, false},
};
/* clang-format on */

static const char *const status_names[] = {"OK",         "RELOAD", "LINE_BUSY",   "KEY_BUSY",
                                           "KEY_REUSED", "REPLAY", "NOT_FOUND",   "CONFLICT",
                                           "FULL",       "FAILED", "OUT_OF_ORDER"};

const char *journal_status_name(enum journal_status s)
{
    return (size_t)s < sizeof status_names / sizeof status_names[0] ? status_names[s] : "UNKNOWN";
}

int64_t op_now(const struct journal_op *op)
{
    return op->now ? op->now : clock_wall_ms();
}

/* One record into op->found. */
static int find(struct journal *j, struct journal_op *op, enum sql id, const char *text, bool *there)
{
    sqlite3_stmt *s = store_get(&j->store, id);
    bind_text(s, 1, text);
    int rc = sqlite3_step(s);
    *there = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW) {
        rc = record_read(s, 0, &op->found, &op->arena) ? SQLITE_OK : SQLITE_NOMEM;
    } else if (rc == SQLITE_DONE) {
        rc = SQLITE_OK;
    }
    sqlite3_reset(s);
    return rc;
}

int find_by_id(struct journal *j, struct journal_op *op, const char *request_id, bool *there)
{
    *there = false;
    if (!request_id) {
        return SQLITE_OK;
    }
    int rc = find(j, op, SQL_OPEN_BY_ID, request_id, there);
    return rc == SQLITE_OK && !*there ? find(j, op, SQL_SETTLED_BY_ID, request_id, there) : rc;
}

int find_open_line(struct journal *j, struct journal_op *op, const char *line, bool *there)
{
    return find(j, op, SQL_OPEN_BY_LINE, line, there);
}

int queue_history(struct journal *j, int64_t seq, const char *line)
{
    sqlite3_stmt *s = store_get(&j->store, SQL_HISTORY_QUEUE);
    bind_int(s, 1, seq);
    bind_text(s, 2, line);
    j->delta.history++;
    j->delta.wake[SINK_HISTORY] = true;
    return store_run(s);
}

int queue_event(struct journal *j, const struct journal_event *event, int64_t seq, const char *line)
{
    if (!event) {
        return SQLITE_OK;
    }
    const char *of = event->line ? event->line : line;
    sqlite3_stmt *s = store_get(&j->store, SQL_EVENT_INSERT);
    bind_int(s, 1, seq);
    bind_text(s, 2, event->event_id);
    bind_text(s, 3, event->type);
    bind_text(s, 4, event->request_id);
    bind_text(s, 5, of);
    bind_text(s, 6, event->body);
    bind_text(s, 7, event->traceparent);
    bind_int(s, 8, event->created_at);
    int rc = store_run(s);
    if (rc != SQLITE_OK) {
        return rc;
    }
    s = store_get(&j->store, SQL_EVENT_QUEUE);
    bind_int(s, 1, seq);
    bind_text(s, 2, of);
    bind_int(s, 3, event->created_at);
    bind_int(s, 4, event->due_at ? event->due_at : event->created_at);
    j->delta.events++;
    j->delta.wake[SINK_EVENTS] = true;
    return store_run(s);
}

int invalidate_line(struct journal *j, struct journal_op *op, const char *line)
{
    op->generation = ++j->generation;
    sqlite3_stmt *s = store_get(&j->store, SQL_INVALID_INSERT);
    bind_text(s, 1, line);
    bind_int(s, 2, op->generation);
    int rc = store_run(s);
    if (rc == SQLITE_OK && store_changes(&j->store) == 1) {
        j->delta.invalidations++;
    } else if (rc == SQLITE_OK) {
        s = store_get(&j->store, SQL_INVALID_RAISE);
        bind_text(s, 1, line);
        bind_int(s, 2, op->generation);
        rc = store_run(s);
    }
    return rc;
}

int key_take(struct journal *j, const struct change_record *c, int64_t now, bool *taken)
{
    sqlite3_stmt *s = store_get(&j->store, SQL_KEY_TAKE);
    bind_text(s, 1, c->idem_key);
    bind_text(s, 2, c->request_id);
    bind_int(s, 3, (c->requested_at ? c->requested_at : now) + j->config.key_ms);
    bind_int(s, 4, now);
    int rc = store_run(s);
    *taken = rc == SQLITE_OK && store_changes(&j->store) == 1;
    return rc;
}

bool list_room(struct arena *a, void *list, size_t count, size_t *cap, size_t size)
{
    void *old, *bigger;
    if (count < *cap) {
        return true;
    }
    size_t more = *cap ? *cap * 2 : 16;
    bigger = arena_alloc(a, more * size);
    if (!bigger) {
        return false;
    }
    memcpy(&old, list, sizeof old);
    if (count) {
        memcpy(bigger, old, count * size);
    }
    memcpy(list, &bigger, sizeof bigger);
    *cap = more;
    return true;
}

int64_t list_limit(const struct journal_op *op)
{
    return op->limit <= 0 ? LIST_DEFAULT : op->limit > LIST_MAX ? LIST_MAX : op->limit;
}
