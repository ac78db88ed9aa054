/* schema.c - tables, versions, and the check at start.
 *
 * Small and hot (checked at start): open_change, history_queue, event_queue, invalidation, meta. They hold
 * what is still to be done and shrink again. Large and cold, written once: settled, event, attempt, call.
 * Whether a settled row or an event is still to be forwarded is told by its place in a queue, so that
 * forwarding never rewrites it. */
#include "journal/schema.h"

#include "pcs/core/failpoint.h"
#include "pcs/core/id.h"
#include "pcs/journal/change.h"

#include <stdio.h>
#include <string.h>

#define APPLICATION_ID 0x50435331 /* "PCS1" */

_Static_assert(CHANGE_ACCEPTED == 0 && CHANGE_SENDING == 1 && CHANGE_COMPLETED == 2 && CHANGE_REFUSED == 3 &&
                   CHANGE_NOT_SENT == 4 && CHANGE_NOT_APPLIED == 5 && CHANGE_INVALID == 6 &&
                   CHANGE_CANCELLED == 7 && CHANGE_EXPIRED == 8,
               "the numbers are in the file");

#define CHANGE_COLUMNS                                                                                       \
    "state INTEGER NOT NULL, subject TEXT, customer_id TEXT, actor TEXT, correlation_id TEXT,"               \
    "traceparent TEXT, idem_key TEXT, body_hash TEXT, frontend INTEGER NOT NULL, held INTEGER NOT NULL,"     \
    "current_code TEXT, current_name TEXT, target_code TEXT, target_name TEXT,"                              \
    "requested_at INTEGER NOT NULL, loaded_at INTEGER NOT NULL, validated_at INTEGER NOT NULL,"              \
    "sent_at INTEGER NOT NULL, processed_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,"                  \
    "result_code TEXT, result_message TEXT, failure_reason TEXT, validation_json TEXT, check_codes TEXT,"    \
    "changed_product_json TEXT, kos_order_number TEXT, in_doubt INTEGER NOT NULL,"                           \
    "on_operator_list INTEGER NOT NULL, doubt_since INTEGER NOT NULL, next_check_at INTEGER NOT NULL,"       \
    "first_baseline_at INTEGER NOT NULL, last_baseline_at INTEGER NOT NULL, checks INTEGER NOT NULL,"        \
    "first_status INTEGER NOT NULL"

/* Step i makes version i + 1. A step that has been released is never changed. */
static const char *const ladder[] = {
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;"

    /* one open change a line */
    "CREATE TABLE open_change(id INTEGER PRIMARY KEY, request_id TEXT NOT NULL UNIQUE,"
    "  line TEXT NOT NULL UNIQUE," CHANGE_COLUMNS ");"
    "CREATE INDEX open_doubt ON open_change(doubt_since) WHERE in_doubt=1;"

    /* seq: the order of outcomes, and of forwarding */
    "CREATE TABLE settled(seq INTEGER PRIMARY KEY, request_id TEXT NOT NULL UNIQUE,"
    "  line TEXT NOT NULL," CHANGE_COLUMNS ");"
    "CREATE TABLE history_queue(seq INTEGER PRIMARY KEY, line TEXT NOT NULL);"
    "CREATE INDEX history_queue_line ON history_queue(line);"
    "CREATE TABLE history_dead(seq INTEGER PRIMARY KEY, line TEXT NOT NULL, reason TEXT, at INTEGER NOT "
    "NULL);"
    "CREATE INDEX history_dead_line ON history_dead(line);"

    /* one change a (subject, Idempotency-Key); body and first answer are in the change's own row, so that a key, whose
     * place in the file is random, is written once */
    "CREATE TABLE idem_key(key TEXT PRIMARY KEY, request_id TEXT NOT NULL, expires_at INTEGER NOT NULL)"
    "  WITHOUT ROWID;"
    "CREATE INDEX idem_key_expiry ON idem_key(expires_at);"

    /* seq: of the settled change that it tells of. head: the oldest undelivered event of its line, the only one that may
     * be sent */
    "CREATE TABLE event(seq INTEGER PRIMARY KEY, event_id TEXT NOT NULL, type TEXT, request_id TEXT,"
    "  line TEXT NOT NULL, body TEXT, traceparent TEXT, created_at INTEGER NOT NULL);"
    "CREATE TABLE event_queue(seq INTEGER PRIMARY KEY, line TEXT NOT NULL, created_at INTEGER NOT NULL,"
    "  attempts INTEGER NOT NULL, due_at INTEGER NOT NULL, head INTEGER NOT NULL);"
    "CREATE INDEX event_queue_line ON event_queue(line);"
    "CREATE INDEX event_queue_due ON event_queue(due_at) WHERE head=1;"
    /* passed: a later event of the line has been delivered since */
    "CREATE TABLE event_dead(seq INTEGER PRIMARY KEY, line TEXT NOT NULL, attempts INTEGER NOT NULL,"
    "  at INTEGER NOT NULL, passed INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX event_dead_line ON event_dead(line);"
    "CREATE TABLE attempt(id INTEGER PRIMARY KEY, event_seq INTEGER NOT NULL, at INTEGER NOT NULL,"
    "  status INTEGER NOT NULL, milliseconds INTEGER NOT NULL, next_due INTEGER NOT NULL,"
    "  verdict INTEGER NOT NULL, counted INTEGER NOT NULL, error TEXT, answer TEXT);"
    "CREATE INDEX attempt_event ON attempt(event_seq);"

    /* forwarded: 0 to do, 1 done, 2 refused by PostgreSQL */
    "CREATE TABLE call(seq INTEGER PRIMARY KEY, request_id TEXT NOT NULL, operation TEXT,"
    "  attempt INTEGER NOT NULL, http_status INTEGER NOT NULL, result_code TEXT, outcome TEXT,"
    "  milliseconds INTEGER NOT NULL, breaker_state TEXT, at INTEGER NOT NULL,"
    "  forwarded INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX call_request ON call(request_id);"
    "CREATE INDEX call_pending ON call(forwarded) WHERE forwarded=0;"

    "CREATE TABLE invalidation(line TEXT PRIMARY KEY, generation INTEGER NOT NULL) WITHOUT ROWID;",

    /* the hash chain over the settled changes; seq: of the change, gaps belong to links without one (kind 2). Large,
     * cold, written once. link_queue: links that are forwarded without a row, as PostgreSQL refused it. */
    "CREATE TABLE chain(seq INTEGER PRIMARY KEY, kind INTEGER NOT NULL, of_request TEXT NOT NULL,"
    "  asked_at INTEGER NOT NULL, key_id BLOB NOT NULL, previous BLOB NOT NULL, digests BLOB NOT NULL, salt "
    "BLOB,"
    "  link BLOB NOT NULL);"
    "CREATE TABLE link_queue(seq INTEGER PRIMARY KEY);",

    /* A seq is never used twice, whatever retention has removed: seq_floor, what older versions have used up (a journal
     * whose settled rows aged away before it had a chain), and the newest link, which stays. Kept by the file itself. */
    "INSERT INTO meta(name,value) SELECT 'seq_floor',coalesce(max(x),0) FROM (SELECT max(seq) AS x FROM "
    "settled"
    " UNION ALL SELECT max(seq) FROM history_queue UNION ALL SELECT max(seq) FROM history_dead"
    " UNION ALL SELECT max(seq) FROM event UNION ALL SELECT max(seq) FROM event_queue"
    " UNION ALL SELECT max(seq) FROM event_dead UNION ALL SELECT max(event_seq) FROM attempt"
    " UNION ALL SELECT max(seq) FROM chain);"
    "CREATE TRIGGER chain_head_stays BEFORE DELETE ON chain WHEN old.seq=(SELECT max(seq) FROM chain)"
    " BEGIN SELECT RAISE(ABORT,'the newest link is the head of the chain'); END;"
    "CREATE TRIGGER settled_seq_is_new BEFORE INSERT ON settled"
    " WHEN new.seq<=coalesce((SELECT max(seq) FROM chain),(SELECT value FROM meta WHERE name='seq_floor'))"
    " BEGIN SELECT RAISE(ABORT,'a seq is never used twice'); END;"
    /* likewise the number under which a call is known in PostgreSQL */
    "CREATE TRIGGER call_newest_stays BEFORE DELETE ON call WHEN old.seq=(SELECT max(seq) FROM call)"
    " BEGIN SELECT RAISE(ABORT,'the newest call keeps its number from being used again'); END;",
};

const int schema_version = (int)(sizeof ladder / sizeof ladder[0]);

static const char *const hot_tables[] = {"open_change",  "history_queue", "event_queue",
                                         "invalidation", "link_queue",    "meta"};

/* The first column of the first row as a number; -1 on an error. */
static sqlite3_int64 number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s = NULL;
    sqlite3_int64 n = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW) {
        n = sqlite3_column_int64(s, 0);
    }
    sqlite3_finalize(s);
    return n;
}

static bool step_up(sqlite3 *db, int version, const char *file, char *err, size_t errlen)
{
    char finish[256], instance[UUID_LEN + 1];
    snprintf(finish, sizeof finish, "PRAGMA application_id=%d;PRAGMA user_version=%d;", APPLICATION_ID,
             version + 1);
    bool ok = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK &&
              sqlite3_exec(db, ladder[version], NULL, NULL, NULL) == SQLITE_OK;
    FAILPOINT("journal.schema_half");
    if (ok && version == 0) {
        char born[128];
        snprintf(born, sizeof born, "INSERT INTO meta VALUES('instance','%s');", uuid_v7(instance));
        ok = sqlite3_exec(db, born, NULL, NULL, NULL) == SQLITE_OK;
    }
    ok = ok && sqlite3_exec(db, finish, NULL, NULL, NULL) == SQLITE_OK &&
         sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
    if (!ok) {
        snprintf(err, errlen, "journal: %s cannot be brought to version %d (%s)", file, version + 1,
                 sqlite3_errmsg(db));
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    }
    return ok;
}

bool schema_migrate(sqlite3 *db, const char *file, char *err, size_t errlen)
{
    sqlite3_int64 version = number(db, "PRAGMA user_version");
    sqlite3_int64 application = number(db, "PRAGMA application_id");
    sqlite3_int64 tables = number(db, "SELECT count(*) FROM sqlite_schema");
    if (version < 0 || application < 0 || tables < 0) {
        snprintf(err, errlen, "journal: %s is damaged (%s); it was left as it is", file, sqlite3_errmsg(db));
        return false;
    }
    if (tables > 0 && application != APPLICATION_ID) {
        snprintf(err, errlen, "journal: %s is not a journal of this service; it was left as it is", file);
        return false;
    }
    if (version > schema_version) {
        snprintf(
            err, errlen,
            "journal: %s is of version %lld and this program knows versions up to %d only; start the newer "
            "program",
            file, (long long)version, schema_version);
        return false;
    }
    for (int v = (int)version; v < schema_version; v++) {
        if (!step_up(db, v, file, err, errlen)) {
            return false;
        }
    }
    return true;
}

/* "ok" in one row, or complaints. */
static bool check_one(sqlite3 *db, const char *sql, const char *file, char *err, size_t errlen)
{
    sqlite3_stmt *s = NULL;
    bool ok = false;
    const char *text = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW) {
        text = (const char *)sqlite3_column_text(s, 0);
        ok = text && strcmp(text, "ok") == 0;
    }
    if (!ok) {
        snprintf(err, errlen, "journal: %s is damaged (%s); it was left as it is", file,
                 text ? text : sqlite3_errmsg(db));
    }
    sqlite3_finalize(s);
    return ok;
}

bool schema_check(sqlite3 *db, const char *file, bool everything, char *err, size_t errlen)
{
    if (everything) {
        return check_one(db, "PRAGMA quick_check(1)", file, err, errlen);
    }
    for (size_t i = 0; i < sizeof hot_tables / sizeof hot_tables[0]; i++) {
        char sql[64];
        snprintf(sql, sizeof sql, "PRAGMA quick_check(%s)", hot_tables[i]);
        if (!check_one(db, sql, file, err, errlen)) {
            return false;
        }
    }
    return true;
}
