/* sql.c - the statements' texts. */
#include "journal/sql.h"

#include "journal/record.h"

/* Events with their state (enum journal_event_state), newest first; seqs: a query that gives them. */
#define EVENT_ROWS(seqs)                                                                                     \
    "SELECT e.seq,e.event_id,e.type,e.request_id,e.line,e.body,e.traceparent,e.created_at,"                  \
    "coalesce(q.attempts,d.attempts,0),coalesce(q.due_at,0),"                                                \
    "CASE WHEN q.seq IS NOT NULL THEN 0 WHEN d.seq IS NOT NULL THEN 1 ELSE 2 END,coalesce(d.at,0)"           \
    " FROM (" seqs ") s JOIN event e ON e.seq=s.seq LEFT JOIN event_queue q ON q.seq=e.seq"                  \
    " LEFT JOIN event_dead d ON d.seq=e.seq ORDER BY e.seq DESC"
#define EXAMINED "SELECT seq,line FROM event WHERE seq<?1 ORDER BY seq DESC LIMIT 20000" /* EVENTS_EXAMINED */
/* 1: older than ?2; 2: of a time behind ?4, which is to come; 0: neither (retention.c) */
#define AGE(at) "CASE WHEN " at "<?2 THEN 1 WHEN " at ">?4 THEN 2 ELSE 0 END"
#define DELIVERED(x)                                                                                         \
    "NOT EXISTS(SELECT 1 FROM event_queue WHERE seq=" x                                                      \
    ") AND NOT EXISTS(SELECT 1 FROM event_dead WHERE seq=" x ")"

/* clang-format off */
static const char *const texts[SQL_STATEMENTS] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_PAGE_COUNT] = "PRAGMA page_count",
    [SQL_FREE_COUNT] = "PRAGMA freelist_count",

    /* --- open changes --- */
    [SQL_OPEN_INSERT] = "INSERT INTO open_change(%C) VALUES(%P)",
    [SQL_OPEN_BY_ID] = "SELECT %C FROM open_change WHERE request_id=?1",
    [SQL_OPEN_BY_LINE] = "SELECT %C FROM open_change WHERE line=?1",
    [SQL_OPEN_ROW] = "SELECT id,%C FROM open_change WHERE request_id=?1",
    [SQL_OPEN_LIST] = "SELECT %C FROM open_change WHERE request_id>?1 ORDER BY request_id LIMIT ?2",
    [SQL_OPEN_SEND] = "UPDATE open_change SET %S WHERE request_id=?1 AND state=0",
    [SQL_OPEN_DOUBT] = "UPDATE open_change SET %D WHERE request_id=?1 AND state=1",
    [SQL_OPEN_ANSWER] = "UPDATE open_change SET first_status=?2 WHERE request_id=?1 AND first_status=0",
    [SQL_OPEN_DELETE] = "DELETE FROM open_change WHERE id=?1",
    /* at start: what was being sent when the process ended is in doubt */
    [SQL_OPEN_CRASHED] = "UPDATE open_change SET in_doubt=1,doubt_since=?1,next_check_at=?1"
                         " WHERE state=1 AND in_doubt=0",
    /* after a commit that failed but may have reached the disk */
    [SQL_UNDO_INTENT] = "DELETE FROM open_change WHERE request_id=?1",
    [SQL_UNDO_SEND] = "UPDATE open_change SET state=0,sent_at=0 WHERE request_id=?1 AND state=1",
    [SQL_UNDO_KEY] = "DELETE FROM idem_key WHERE key=?1 AND request_id=?2",

    /* --- settled changes --- */
    [SQL_SETTLED_INSERT] = "INSERT INTO settled(seq,%C) VALUES(?%N,%P)",
    [SQL_SETTLED_BY_ID] = "SELECT %C FROM settled WHERE request_id=?1",
    [SQL_SETTLED_ANSWER] = "UPDATE settled SET first_status=?2 WHERE request_id=?1 AND first_status=0",
    [SQL_SETTLED_OF_LINE] =
        "SELECT %C FROM settled WHERE seq IN (SELECT seq FROM history_queue WHERE line=?1"
        " UNION ALL SELECT seq FROM history_dead WHERE line=?1) ORDER BY requested_at DESC,seq DESC LIMIT ?2",
    [SQL_SETTLED_RECENT] = "SELECT line,processed_at,state FROM settled ORDER BY seq DESC",
    /* in order, with their age, and 1 when one must stay: not forwarded, or its event not delivered. The later of its
     * times: its key counts from requested_at, and the clock may have been set back before it was processed. */
    [SQL_SETTLED_OLD] =
        "SELECT seq," AGE("max(processed_at,requested_at)") ",EXISTS(SELECT 1 FROM history_queue q WHERE q.seq=s.seq)"
        " OR EXISTS(SELECT 1 FROM history_dead d WHERE d.seq=s.seq)"
        " OR EXISTS(SELECT 1 FROM event_queue p WHERE p.seq=s.seq)"
        " OR EXISTS(SELECT 1 FROM event_dead x WHERE x.seq=s.seq)"
        " FROM settled s WHERE seq>?1 ORDER BY seq LIMIT ?3",
    [SQL_SETTLED_DELETE] = "DELETE FROM settled WHERE seq=?1",

    /* --- keys --- */
    [SQL_KEY_TAKE] =
        "INSERT INTO idem_key(key,request_id,expires_at) VALUES(?1,?2,?3)"
        " ON CONFLICT(key) DO UPDATE SET request_id=excluded.request_id,expires_at=excluded.expires_at"
        " WHERE idem_key.expires_at<=?4 OR idem_key.request_id=excluded.request_id",
    [SQL_KEY_GET] = "SELECT request_id FROM idem_key WHERE key=?1 AND expires_at>?2",
    [SQL_KEY_DELETE] = "DELETE FROM idem_key WHERE key=?1 AND request_id=?2",
    [SQL_KEY_EXPIRE] = "DELETE FROM idem_key WHERE key IN"
                       " (SELECT key FROM idem_key WHERE expires_at<=?1 ORDER BY expires_at LIMIT ?2)",

    /* --- forwarding to PostgreSQL --- */
    [SQL_HISTORY_QUEUE] = "INSERT INTO history_queue(seq,line) VALUES(?1,?2)",
    [SQL_HISTORY_PULL] = "SELECT q.seq,%C,%L FROM (SELECT seq FROM history_queue) q CROSS JOIN settled s ON s.seq=q.seq"
                         " LEFT JOIN chain c ON c.seq=q.seq ORDER BY q.seq LIMIT ?1",
    [SQL_HISTORY_ACK] = "DELETE FROM history_queue WHERE seq=?1",
    [SQL_HISTORY_DEAD] = "INSERT INTO history_dead(seq,line,reason,at)"
                         " SELECT seq,line,?2,?3 FROM history_queue WHERE seq=?1",

    /* --- the hash chain --- */
    [SQL_CHAIN_INSERT] = "INSERT INTO chain(seq,kind,of_request,asked_at,key_id,previous,digests,salt,link)"
                         " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)",
    [SQL_CHAIN_GET] = "SELECT %L FROM chain c WHERE c.seq=?1",
    [SQL_CHAIN_HEAD] = "SELECT seq,link FROM chain ORDER BY seq DESC LIMIT 1",
    [SQL_CHAIN_START] = "SELECT value FROM meta WHERE name='seq_floor'",
    [SQL_CHAIN_WAITING] = "SELECT min(x) FROM (SELECT min(seq) AS x FROM history_queue"
                          " UNION ALL SELECT min(seq) FROM link_queue)",
    /* the newest one stays: it is the head */
    [SQL_CHAIN_DELETE] = "DELETE FROM chain WHERE seq=?1 AND seq<(SELECT max(seq) FROM chain)",
    [SQL_COUNT_LINKS] = "SELECT count(*) FROM link_queue",
    /* its row is gone: with the salt, a digest would tell the line to whoever tries them all */
    [SQL_CHAIN_BARE] = "UPDATE chain SET salt=NULL WHERE seq=?1 AND salt IS NOT NULL",
    [SQL_LINK_QUEUE] = "INSERT OR IGNORE INTO link_queue(seq) VALUES(?1)",
    /* what tells of a refusal first: nobody sees the link of a refused row without it */
    [SQL_LINK_PULL] = "SELECT %L FROM link_queue q JOIN chain c ON c.seq=q.seq"
                      " ORDER BY c.kind DESC,c.seq LIMIT ?1",
    [SQL_LINK_ACK] = "DELETE FROM link_queue WHERE seq=?1",

    [SQL_CALL_INSERT] =
        "INSERT INTO call(request_id,operation,attempt,http_status,result_code,outcome,milliseconds,breaker_state,at)"
        " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)",
    [SQL_CALL_PULL] = "SELECT seq,request_id,operation,attempt,http_status,result_code,outcome,milliseconds,"
                      "breaker_state,at FROM call WHERE forwarded=0 ORDER BY seq LIMIT ?1",
    [SQL_CALL_MARK] = "UPDATE call SET forwarded=?2 WHERE seq=?1 AND forwarded=0",
    [SQL_CALL_OF_REQUEST] = "SELECT seq,request_id,operation,attempt,http_status,result_code,outcome,milliseconds,"
                            "breaker_state,at FROM call WHERE request_id=?1 ORDER BY seq LIMIT ?2",
    [SQL_CALL_OLD] = "SELECT seq," AGE("at") ",forwarded=0 FROM call WHERE seq>?1 ORDER BY seq LIMIT ?3",
    [SQL_CALL_DELETE] = "DELETE FROM call WHERE seq=?1 AND seq<(SELECT max(seq) FROM call)",

    /* --- events --- */
    [SQL_EVENT_INSERT] = "INSERT INTO event(seq,event_id,type,request_id,line,body,traceparent,created_at)"
                         " VALUES(?1,?2,?3,?4,?5,?6,?7,?8)",
    [SQL_EVENT_QUEUE] = "INSERT INTO event_queue(seq,line,created_at,attempts,due_at,head)"
                        " VALUES(?1,?2,?3,0,?4,NOT EXISTS(SELECT 1 FROM event_queue WHERE line=?2))",
    [SQL_EVENT_PULL] =
        "SELECT q.seq,e.event_id,e.type,e.request_id,e.line,e.body,e.traceparent,e.created_at,q.attempts,q.due_at"
        " FROM event_queue q CROSS JOIN event e ON e.seq=q.seq WHERE q.head=1 AND q.due_at<=?1"
        " ORDER BY q.due_at,q.seq LIMIT ?2",
    [SQL_EVENT_FIND] = "SELECT line,attempts FROM event_queue WHERE seq=?1",
    [SQL_EVENT_AGAIN] = "UPDATE event_queue SET due_at=?2,attempts=attempts+?3 WHERE seq=?1",
    [SQL_EVENT_DONE] = "DELETE FROM event_queue WHERE seq=?1",
    [SQL_EVENT_DEAD] = "INSERT INTO event_dead(seq,line,attempts,at) VALUES(?1,?2,?3,?4)",
    [SQL_EVENT_PROMOTE] = "UPDATE event_queue SET head=1"
                          " WHERE seq=(SELECT min(seq) FROM event_queue WHERE line=?1) AND head=0",
    [SQL_EVENT_DUE_NOW] = "UPDATE event_queue SET due_at=?1 WHERE head=1 AND due_at>?1",
    [SQL_EVENT_OLDEST] = "SELECT created_at FROM event_queue ORDER BY seq LIMIT 1",
    [SQL_EVENT_OLD] = "SELECT seq," AGE("created_at") ",EXISTS(SELECT 1 FROM event_queue q WHERE q.seq=e.seq)"
                      " OR EXISTS(SELECT 1 FROM event_dead d WHERE d.seq=e.seq)"
                      " FROM event e WHERE seq>?1 ORDER BY seq LIMIT ?3",
    [SQL_EVENT_DELETE] = "DELETE FROM event WHERE seq=?1",
    [SQL_ATTEMPT_INSERT] =
        "INSERT INTO attempt(event_seq,at,status,milliseconds,next_due,verdict,counted,error,answer)"
        " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)",
    [SQL_ATTEMPT_DELETE] = "DELETE FROM attempt WHERE event_seq=?1",

    /* --- operators --- */
    [SQL_DOUBT_LIST] = "SELECT %C FROM open_change WHERE in_doubt=1 ORDER BY doubt_since LIMIT ?1",
    [SQL_EVENT_LIST_PENDING] = EVENT_ROWS("SELECT seq FROM event_queue WHERE seq<?1 ORDER BY seq DESC LIMIT ?2"),
    [SQL_EVENT_LIST_PENDING_LINE] =
        EVENT_ROWS("SELECT seq FROM event_queue WHERE line=?3 AND seq<?1 ORDER BY seq DESC LIMIT ?2"),
    [SQL_EVENT_LIST_DEAD] = EVENT_ROWS("SELECT seq FROM event_dead WHERE seq<?1 ORDER BY seq DESC LIMIT ?2"),
    [SQL_EVENT_LIST_DEAD_LINE] =
        EVENT_ROWS("SELECT seq FROM event_dead WHERE line=?3 AND seq<?1 ORDER BY seq DESC LIMIT ?2"),
    [SQL_EVENT_LIST_DELIVERED] = EVENT_ROWS("SELECT x.seq FROM (" EXAMINED ") x WHERE (?3 IS NULL OR x.line=?3)"
                                            " AND " DELIVERED("x.seq") " LIMIT ?2"),
    [SQL_EVENT_LIST_ANY] =
        EVENT_ROWS("SELECT x.seq FROM (" EXAMINED ") x WHERE (?3 IS NULL OR x.line=?3) LIMIT ?2"),
    [SQL_EVENT_EXAMINED] = "SELECT count(*),coalesce(min(seq),0) FROM (" EXAMINED ")",
    [SQL_EVENT_BY_SEQ] = EVENT_ROWS("SELECT ?1 AS seq"),
    /* an event has the seq of the change it tells of */
    [SQL_EVENT_OF_REQUEST] = EVENT_ROWS("SELECT seq FROM settled WHERE request_id=?1"),
    /* of a delivered one: looked for among the newest only; an older one counts as passed */
    [SQL_EVENT_WAS_PASSED] =
        "SELECT CASE WHEN (SELECT max(seq) FROM event)-?1>20000 THEN 1 ELSE EXISTS(SELECT 1 FROM event e"
        " WHERE e.seq>?1 AND e.line=?2 AND " DELIVERED("e.seq") ") END",
    [SQL_EVENT_DEAD_WAS_PASSED] = "SELECT passed FROM event_dead WHERE seq=?1",
    [SQL_EVENT_DEAD_PASSED] = "UPDATE event_dead SET passed=1 WHERE line=?1 AND seq<?2",
    [SQL_EVENT_DEAD_LEAVE] = "DELETE FROM event_dead WHERE seq=?1",
    [SQL_EVENT_DEMOTE] = "UPDATE event_queue SET head=0 WHERE line=?1 AND seq>?2 AND head=1",
    [SQL_EVENT_REQUEUE] =
        "INSERT INTO event_queue(seq,line,created_at,attempts,due_at,head) VALUES(?1,?2,?3,0,?3,"
        "NOT EXISTS(SELECT 1 FROM event_queue WHERE line=?2 AND seq<?1))",
    [SQL_ATTEMPT_OF_EVENT] = "SELECT event_seq,at,status,milliseconds,next_due,verdict,counted,error,answer"
                             " FROM attempt WHERE event_seq=?1 ORDER BY id DESC LIMIT ?2",
    [SQL_HISTORY_STATE] = /* enum journal_forwarding */
        "SELECT CASE WHEN q.seq IS NOT NULL THEN 1 WHEN d.seq IS NOT NULL THEN 2 ELSE 3 END,d.reason"
        " FROM settled s LEFT JOIN history_queue q ON q.seq=s.seq LEFT JOIN history_dead d ON d.seq=s.seq"
        " WHERE s.request_id=?1",

    /* --- erasing a line (forget.h) --- */
    [SQL_FORGET_ROW_WAITS] = "SELECT q.seq,s.request_id FROM history_queue q JOIN settled s ON s.seq=q.seq"
                             " WHERE q.line=?1 ORDER BY q.seq LIMIT 1",
    [SQL_FORGET_EVENT_WAITS] = "SELECT q.seq,e.request_id FROM event_queue q JOIN event e ON e.seq=q.seq"
                               " WHERE q.line=?1 ORDER BY q.seq LIMIT 1",
    [SQL_FORGET_EVENT_DEAD] = "SELECT d.seq,e.request_id FROM event_dead d JOIN event e ON e.seq=d.seq"
                              " WHERE d.line=?1 ORDER BY d.seq LIMIT 1",
    [SQL_FORGET_ENDS] = /* each by its own look at the edge of the table */
        "SELECT min(coalesce((SELECT min(seq) FROM settled),?1),coalesce((SELECT min(seq) FROM event),?1)),"
        "max(coalesce((SELECT max(seq) FROM settled),0),coalesce((SELECT max(seq) FROM event),0))",
    [SQL_FORGET_SEQS] = "SELECT seq FROM settled WHERE seq>=?1 AND seq<?2 AND line=?3"
                        " UNION SELECT seq FROM event WHERE seq>=?1 AND seq<?2 AND line=?3 ORDER BY 1",
    [SQL_FORGET_LOOK] = "SELECT request_id,requested_at,EXISTS(SELECT 1 FROM history_dead d WHERE d.seq=s.seq)"
                        " FROM settled s WHERE seq=?1",
    [SQL_FORGET_ROW] = "UPDATE settled SET line='erased',subject=NULL,customer_id=NULL,actor=NULL,correlation_id=NULL,"
                       "traceparent=NULL,idem_key=NULL,body_hash=NULL,failure_reason=NULL WHERE seq=?1",
    [SQL_FORGET_REFUSED] = "UPDATE history_dead SET line='erased',reason=substr(reason,1,5) WHERE seq=?1",
    [SQL_FORGET_EVENT] = "UPDATE event SET line='erased',body=NULL,traceparent=NULL WHERE seq=?1",
    [SQL_FORGET_ATTEMPTS] = "UPDATE attempt SET error=NULL,answer=NULL WHERE event_seq=?1",
    [SQL_FORGET_SALT] = "UPDATE chain SET salt=NULL WHERE seq=?1 AND kind=1",
    [SQL_FORGET_NOTE] = "INSERT OR IGNORE INTO meta(name,value) VALUES('erasure.'||?1,?2)",

    /* --- cache invalidation --- */
    [SQL_INVALID_INSERT] = "INSERT OR IGNORE INTO invalidation(line,generation) VALUES(?1,?2)",
    [SQL_INVALID_RAISE] = "UPDATE invalidation SET generation=?2 WHERE line=?1",
    [SQL_INVALID_LIST] = "SELECT line,generation FROM invalidation WHERE line>?1 ORDER BY line LIMIT ?2",
    [SQL_INVALID_GET] = "SELECT generation FROM invalidation WHERE line=?1",
    [SQL_INVALID_ACK] = "DELETE FROM invalidation WHERE line=?1 AND generation=?2",

    /* --- counting, at start only (the oldest ones: by index) --- */
    [SQL_DOUBT_OLDEST] = "SELECT min(doubt_since) FROM open_change WHERE in_doubt=1",
    [SQL_OPEN_LINES] = "SELECT line FROM open_change",
    [SQL_COUNT_OPEN] = "SELECT count(*) FROM open_change",
    [SQL_COUNT_DOUBT] = "SELECT count(*) FROM open_change WHERE in_doubt=1",
    [SQL_COUNT_HISTORY] = "SELECT count(*) FROM history_queue",
    [SQL_COUNT_HISTORY_DEAD] = "SELECT count(*) FROM history_dead",
    [SQL_COUNT_CALLS] = "SELECT count(*) FROM call WHERE forwarded=0",
    [SQL_COUNT_EVENTS] = "SELECT count(*) FROM event_queue",
    [SQL_COUNT_EVENTS_DEAD] = "SELECT count(*) FROM event_dead",
    [SQL_COUNT_INVALID] = "SELECT count(*) FROM invalidation",
    [SQL_MAX_GENERATION] = "SELECT coalesce(max(generation),0) FROM invalidation",
    [SQL_INSTANCE] = "SELECT value FROM meta WHERE name='instance'",
    [SQL_CHAIN_KEY] = "SELECT value FROM meta WHERE name='chain_key'",
    [SQL_CHAIN_KEY_KEEP] = "INSERT INTO meta(name,value) VALUES('chain_key',?1)",
};
/* clang-format on */

void sql_text(enum sql id, struct buf *out)
{
    for (const char *p = texts[id]; *p; p++) {
        if (*p != '%') {
            buf_putc(out, *p);
            continue;
        }
        switch (*++p) {
        case 'C':
            record_names(out);
            break;
        case 'P':
            record_params(out);
            break;
        case 'S':
            record_send(out);
            break;
        case 'D':
            record_doubt(out);
            break;
        case 'L':
            buf_puts(out, "c.seq,c.kind,c.of_request,c.asked_at,c.key_id,c.previous,c.digests,c.salt,c.link");
            break;
        default: /* %N */
            buf_printf(out, "%d", record_columns + 1);
            break;
        }
    }
}
