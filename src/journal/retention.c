/* retention.c - removes what is no longer needed, a little at a time.
 *
 * A pass walks each large table once, oldest first, in chunks: rows older than the retention go, unless they
 * are still to be forwarded or delivered, or were refused and are kept for an operator. A pass ends at the
 * first row that is young enough; the next one starts a minute later (sooner with a short retention). Rows of a time to
 * come, from a clock that ran ahead for a while, stay until then, and hold up nothing that is behind them. */
#include "journal/internal.h"
#include "pcs/core/clock.h"

#define CHUNK         128
#define AHEAD_MS      INT64_C(60000) /* a little is no fault of the clock's */
#define PASS_MAX_NS   (UINT64_C(60) * 1000000000)
#define PASS_MIN_NS   (UINT64_C(50) * 1000000)
#define PAUSE_IDLE_NS (UINT64_C(5) * 1000000)
#define PAUSE_BUSY_NS (UINT64_C(500) * 1000000)

static const struct {
    enum sql old, remove, also; /* also: rows that hang on the removed one; SQL_STATEMENTS: none */
} stages[] = {
    {SQL_SETTLED_OLD, SQL_SETTLED_DELETE, SQL_CHAIN_DELETE},
    {SQL_EVENT_OLD, SQL_EVENT_DELETE, SQL_ATTEMPT_DELETE},
    {SQL_CALL_OLD, SQL_CALL_DELETE, SQL_STATEMENTS},
};
#define STAGES ((int)(sizeof stages / sizeof stages[0]))

static int remove_row(struct journal *j, enum sql id, int64_t seq)
{
    sqlite3_stmt *s = store_get(&j->store, id);
    bind_int(s, 1, seq);
    return store_run(s);
}

/* One chunk of a table: which rows go is read first, so that nothing is deleted under the reading statement.
 */
static int walk_table(struct journal *j, bool *finished)
{
    int64_t gone[CHUNK];
    size_t count = 0, seen = 0;
    int64_t now_ms = clock_wall_ms();
    sqlite3_stmt *s = store_get(&j->store, stages[j->retention_stage].old);
    bind_int(s, 1, j->retention_cursor);
    bind_int(s, 2, now_ms - j->config.retention_ms);
    bind_int(s, 3, CHUNK);
    bind_int(s, 4, now_ms + AHEAD_MS);
    int rc;
    *finished = false;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        int age = sqlite3_column_int(s, 1);
        if (!age) {
            *finished = true;
            break;
        }
        seen++;
        j->retention_cursor = sqlite3_column_int64(s, 0);
        if (age == 1 && !sqlite3_column_int(s, 2)) {
            gone[count++] = j->retention_cursor;
        }
    }
    sqlite3_reset(s);
    *finished |= seen < CHUNK;
    rc = rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
    for (size_t i = 0; rc == SQLITE_OK && i < count; i++) {
        rc = remove_row(j, stages[j->retention_stage].remove, gone[i]);
        if (rc == SQLITE_OK && stages[j->retention_stage].also != SQL_STATEMENTS) {
            rc = remove_row(j, stages[j->retention_stage].also, gone[i]);
        }
        if (rc == SQLITE_OK && stages[j->retention_stage].also == SQL_CHAIN_DELETE) {
            rc = remove_row(j, SQL_CHAIN_BARE, gone[i]); /* the head stays */
        }
    }
    return rc;
}

static int expire_keys(struct journal *j, bool *finished)
{
    sqlite3_stmt *s = store_get(&j->store, SQL_KEY_EXPIRE);
    bind_int(s, 1, clock_wall_ms());
    bind_int(s, 2, CHUNK);
    int rc = store_run(s);
    *finished = rc == SQLITE_OK && store_changes(&j->store) < CHUNK;
    return rc;
}

void retention_step(struct journal *j, uint64_t now_ns, bool idle)
{
    bool finished;
    int rc = store_do(&j->store, SQL_BEGIN);
    if (rc == SQLITE_OK) {
        rc = j->retention_stage < STAGES ? walk_table(j, &finished) : expire_keys(j, &finished);
    }
    if (rc == SQLITE_OK) {
        rc = store_do(&j->store, SQL_COMMIT);
    }
    if (rc != SQLITE_OK) {
        journal_break(j, rc, "retention");
        return;
    }
    j->retention_at = now_ns + (idle ? PAUSE_IDLE_NS : PAUSE_BUSY_NS);
    if (!finished) {
        return;
    }
    j->retention_cursor = 0;
    if (++j->retention_stage > STAGES) {
        uint64_t pass = (uint64_t)j->config.retention_ms * NS_PER_MS / 100;
        j->retention_stage = 0;
        j->retention_at = now_ns + (pass > PASS_MAX_NS   ? PASS_MAX_NS
                                    : pass < PASS_MIN_NS ? PASS_MIN_NS
                                                         : pass);
    }
}
