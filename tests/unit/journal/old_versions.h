/* old_versions.h - journals as older programs made them: the released steps of the ladder, word for word. Never changed
 * together with src/journal/schema.c. */
#ifndef TEST_JOURNAL_OLD_VERSIONS_H
#define TEST_JOURNAL_OLD_VERSIONS_H

/* clang-format off */
#define OLD_CHANGE_COLUMNS                                                                                       \
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

#define OLD_INSTANCE "01900000-0000-7000-8000-0000000000ff"

static const char version_1[] =
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE open_change(id INTEGER PRIMARY KEY, request_id TEXT NOT NULL UNIQUE,"
    "  line TEXT NOT NULL UNIQUE," OLD_CHANGE_COLUMNS ");"
    "CREATE INDEX open_doubt ON open_change(doubt_since) WHERE in_doubt=1;"
    "CREATE TABLE settled(seq INTEGER PRIMARY KEY, request_id TEXT NOT NULL UNIQUE,"
    "  line TEXT NOT NULL," OLD_CHANGE_COLUMNS ");"
    "CREATE TABLE history_queue(seq INTEGER PRIMARY KEY, line TEXT NOT NULL);"
    "CREATE INDEX history_queue_line ON history_queue(line);"
    "CREATE TABLE history_dead(seq INTEGER PRIMARY KEY, line TEXT NOT NULL, reason TEXT, at INTEGER NOT "
    "NULL);"
    "CREATE INDEX history_dead_line ON history_dead(line);"
    "CREATE TABLE idem_key(key TEXT PRIMARY KEY, request_id TEXT NOT NULL, expires_at INTEGER NOT NULL)"
    "  WITHOUT ROWID;"
    "CREATE INDEX idem_key_expiry ON idem_key(expires_at);"
    "CREATE TABLE event(seq INTEGER PRIMARY KEY, event_id TEXT NOT NULL, type TEXT, request_id TEXT,"
    "  line TEXT NOT NULL, body TEXT, traceparent TEXT, created_at INTEGER NOT NULL);"
    "CREATE TABLE event_queue(seq INTEGER PRIMARY KEY, line TEXT NOT NULL, created_at INTEGER NOT NULL,"
    "  attempts INTEGER NOT NULL, due_at INTEGER NOT NULL, head INTEGER NOT NULL);"
    "CREATE INDEX event_queue_line ON event_queue(line);"
    "CREATE INDEX event_queue_due ON event_queue(due_at) WHERE head=1;"
    "CREATE TABLE event_dead(seq INTEGER PRIMARY KEY, line TEXT NOT NULL, attempts INTEGER NOT NULL,"
    "  at INTEGER NOT NULL, passed INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX event_dead_line ON event_dead(line);"
    "CREATE TABLE attempt(id INTEGER PRIMARY KEY, event_seq INTEGER NOT NULL, at INTEGER NOT NULL,"
    "  status INTEGER NOT NULL, milliseconds INTEGER NOT NULL, next_due INTEGER NOT NULL,"
    "  verdict INTEGER NOT NULL, counted INTEGER NOT NULL, error TEXT, answer TEXT);"
    "CREATE INDEX attempt_event ON attempt(event_seq);"
    "CREATE TABLE call(seq INTEGER PRIMARY KEY, request_id TEXT NOT NULL, operation TEXT,"
    "  attempt INTEGER NOT NULL, http_status INTEGER NOT NULL, result_code TEXT, outcome TEXT,"
    "  milliseconds INTEGER NOT NULL, breaker_state TEXT, at INTEGER NOT NULL,"
    "  forwarded INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX call_request ON call(request_id);"
    "CREATE INDEX call_pending ON call(forwarded) WHERE forwarded=0;"
    "CREATE TABLE invalidation(line TEXT PRIMARY KEY, generation INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO meta VALUES('instance','" OLD_INSTANCE "');"
    "PRAGMA application_id=1346589489;PRAGMA user_version=1;";

/* what version 2 added */
static const char version_2[] =
    "CREATE TABLE chain(seq INTEGER PRIMARY KEY, kind INTEGER NOT NULL, of_request TEXT NOT NULL,"
    "  asked_at INTEGER NOT NULL, key_id BLOB NOT NULL, previous BLOB NOT NULL, digests BLOB NOT NULL, salt "
    "BLOB,"
    "  link BLOB NOT NULL);"
    "CREATE TABLE link_queue(seq INTEGER PRIMARY KEY);"
    "PRAGMA user_version=2;";

/* One settled change, with the rest of its columns as an older program may leave them. */
#define OLD_SETTLED(seq, id, line)                                                                           \
    "INSERT INTO settled(seq,request_id,line,state,frontend,held,current_code,target_code,requested_at,"     \
    "loaded_at,validated_at,sent_at,processed_at,expires_at,result_code,in_doubt,on_operator_list,"          \
    "doubt_since,next_check_at,first_baseline_at,last_baseline_at,checks,first_status) VALUES(" #seq ",'" id \
    "','" line "',2,0,0,'LTE_A','5G_B',1,1,1,1,1795000000000,0,'0000',0,0,0,0,0,0,0,200);"
/* clang-format on */

#endif
