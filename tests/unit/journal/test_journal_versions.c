/* Journals of older programs go on under this one (issue 3, point 2): nothing is lost, and no number is used twice. */
#include "unit/journal/old_versions.h"
#include "unit/journal/support.h"

#include <sqlite3.h>
#include <sys/stat.h>

static const char *const A = "01900000-0000-7000-8000-00000000000a";
static const char *const B = "01900000-0000-7000-8000-00000000000b";

static sqlite3 *open_file(void)
{
    char path[128];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/0/journal.db", dir.path);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    return db;
}

static int try_sql(const char *sql)
{
    sqlite3 *db = open_file();
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    sqlite3_close(db);
    return rc;
}

static int64_t number_of(const char *sql)
{
    sqlite3 *db = open_file();
    sqlite3_stmt *s;
    ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(s), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return n;
}

/* In place of the journal of setup(): one that an older program left. */
static void make_old(const char *ddl, const char *more, const char *rows)
{
    char path[128];
    close_journal();
    snprintf(path, sizeof path, "%s/0/journal.db", dir.path);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(try_sql(ddl), SQLITE_OK);
    ck_assert_int_eq(more ? try_sql(more) : SQLITE_OK, SQLITE_OK);
    ck_assert_int_eq(try_sql(rows), SQLITE_OK);
}

/* An intent on data that was loaded just now: not older than what the journal remembers. */
static enum journal_status fresh_intent(const char *id, const char *line, enum change_state state)
{
    struct change_record c = change_make(id, line, state);
    c.loaded_at = clock_wall_ms() + 1;
    return change_do(JOURNAL_INTENT, &c);
}

/* An outcome with an event; its seq. */
static int64_t settle_one(const char *id, const char *line)
{
    struct journal_event e = event_make(id, id, line);
    ck_assert_int_eq(fresh_intent(id, line, CHANGE_SENDING), JOURNAL_OK);
    struct journal_op op = op_make(JOURNAL_OUTCOME);
    op.change = (struct change_record){
        .request_id = id, .state = CHANGE_COMPLETED, .processed_at = T0, .result_code = "0000"};
    op.event = &e;
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    journal_op_clear(&op);
    op = op_make(JOURNAL_TRACE);
    op.change.request_id = id;
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    ck_assert_uint_eq(op.event_count, 1);
    int64_t seq = op.events[0].seq;
    journal_op_clear(&op);
    return seq;
}

/* Everything that an older program left is there: open changes, rows to forward, events to deliver, calls. */
START_TEST(a_journal_of_version_1_loses_nothing)
{
    make_old(
        version_1, NULL,
        "INSERT INTO open_change(request_id,line,state,frontend,held,current_code,target_code,requested_at,"
        "loaded_at,validated_at,sent_at,processed_at,expires_at,in_doubt,on_operator_list,doubt_since,"
        "next_check_at,first_baseline_at,last_baseline_at,checks,first_status) VALUES('open-1','" LINE_A
        "',1,0,0,'LTE_A','5G_B',1,1,1,1,0,0,0,0,0,0,0,0,0,0);" OLD_SETTLED(
            7, "done-7", LINE_B) "INSERT INTO history_queue VALUES(7,'" LINE_B "');"
                                 "INSERT INTO event(seq,event_id,type,request_id,line,body,created_at)"
                                 " VALUES(7,'e-7','product-change.completed','done-7','" LINE_B "','{}',1);"
                                 "INSERT INTO event_queue VALUES(7,'" LINE_B "',1,0,0,1);"
                                 "INSERT INTO call(seq,request_id,attempt,http_status,milliseconds,at) "
                                 "VALUES(12,'done-7',1,200,5,1);");
    open_journal();
    ck_assert_str_eq(journal_instance(journal), OLD_INSTANCE);
    struct journal_stats st = stats();
    ck_assert_int_eq(st.open, 1);
    ck_assert_int_eq(st.in_doubt, 1);
    ck_assert_int_eq(st.history_pending, 1);
    ck_assert_int_eq(st.events_pending, 1);
    ck_assert_int_eq(st.calls_pending, 1);
    ck_assert_int_eq(state_of("open-1"), CHANGE_SENDING);
    ck_assert_int_eq(state_of("done-7"), CHANGE_COMPLETED);
    ck_assert_int_eq(settle_one(A, "01033330001"), 8);
    close_journal();
    ck_assert_int_eq(number_of("PRAGMA user_version"), 3);
}
END_TEST

/* Settled rows age away before the events and the ledger of the same numbers: those are used all the same. */
START_TEST(numbers_of_what_has_aged_away_are_not_used_again)
{
    make_old(version_1, NULL,
             OLD_SETTLED(3, "done-3", LINE_B) "INSERT INTO event(seq,event_id,line,body,created_at)"
                                              " VALUES(9,'e-9','" LINE_B "','{}',1);"
                                              "INSERT INTO event_dead(seq,line,attempts,at) VALUES(9,'" LINE_B
                                              "',1,1);"
                                              "INSERT INTO attempt(event_seq,at,status,milliseconds,next_due,"
                                              "verdict,counted) VALUES(11,1,200,1,0,0,1);");
    open_journal();
    ck_assert_int_eq(settle_one(A, LINE_A), 12);
    close_journal();
    open_journal();
    ck_assert_int_eq(settle_one(B, LINE_B), 13);
}
END_TEST

/* The newest version before this one: a chain goes on where it was, an empty one behind what was used. */
START_TEST(a_journal_of_version_2_goes_on_behind_its_head)
{
    make_old(
        version_1, version_2,
        "INSERT INTO chain VALUES(40,1,'x',1,zeroblob(8),zeroblob(32),zeroblob(224),NULL,zeroblob(32));");
    open_journal();
    ck_assert_int_eq(settle_one(A, LINE_A), 41);
    close_journal();
    ck_assert_int_eq(number_of("SELECT value FROM meta WHERE name='seq_floor'"), 40);
}
END_TEST

/* The file itself refuses what would use a number twice, whoever asks for it. */
START_TEST(the_file_refuses_a_number_that_was_used)
{
    ck_assert_int_eq(settle_one(A, LINE_A), 1);
    ck_assert_int_eq(settle_one(B, LINE_B), 2);
    close_journal();
    ck_assert_int_eq(try_sql("DELETE FROM settled"), SQLITE_OK);
    ck_assert_int_eq(try_sql("DELETE FROM chain WHERE seq=2"), SQLITE_CONSTRAINT);
    ck_assert_int_eq(try_sql(OLD_SETTLED(2, "again", LINE_A)), SQLITE_CONSTRAINT);
    ck_assert_int_eq(try_sql(OLD_SETTLED(3, "fresh", LINE_A)), SQLITE_OK);
    ck_assert_int_eq(
        try_sql("INSERT INTO call(request_id,attempt,http_status,milliseconds,at) VALUES('x',1,200,1,1)"),
        SQLITE_OK);
    ck_assert_int_eq(try_sql("DELETE FROM call"), SQLITE_CONSTRAINT);
}
END_TEST

/* Retention empties the tables; the next outcome and the next call have numbers of their own. */
START_TEST(numbers_go_on_after_retention_has_emptied_the_journal)
{
    struct journal_call call = {.request_id = A, .operation = "change", .attempt = 1, .at = 1};
    close_journal();
    config.retention_ms = 1;
    open_journal();
    ck_assert_int_eq(settle_one(A, LINE_A), 1);
    struct journal_op op = op_make(JOURNAL_CALLS);
    op.calls_in = &call;
    op.calls_in_count = 1;
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    journal_op_clear(&op);
    op = op_make(JOURNAL_HISTORY_PULL);
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    ck_assert_uint_eq(op.call_count, 1);
    int64_t row = op.seqs[0], used = op.calls[0].seq;
    struct journal_op ack = op_make(JOURNAL_HISTORY_ACK);
    ack.ack_rows = &row;
    ack.ack_calls = &used;
    ack.ack_row_count = ack.ack_call_count = 1;
    ck_assert_int_eq(op_run(&ack), JOURNAL_OK);
    journal_op_clear(&ack);
    journal_op_clear(&op);
    op = op_make(JOURNAL_EVENT_ATTEMPT);
    op.attempt = (struct journal_attempt){.seq = 1, .at = T0, .status = 200};
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    journal_op_clear(&op);
    uint64_t until = clock_mono_ns() + 20 * NS_PER_SEC;
    while (state_of(A) != CHANGE_STATES && clock_mono_ns() < until) {
        usleep(10000);
    }
    ck_assert_int_eq(state_of(A), CHANGE_STATES);
    close_journal();
    open_journal();
    ck_assert_int_eq(settle_one(B, LINE_B), 2);
    op = op_make(JOURNAL_CALLS);
    op.calls_in = &call;
    op.calls_in_count = 1;
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    journal_op_clear(&op);
    op = op_make(JOURNAL_HISTORY_PULL);
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    ck_assert_uint_eq(op.call_count, 1);
    ck_assert_int_gt(op.calls[0].seq, used);
    journal_op_clear(&op);
}
END_TEST

/* A step that cannot be made leaves the older file as it was, and says so. */
START_TEST(a_step_that_fails_leaves_the_older_file)
{
    make_old(version_1, version_2,
             "CREATE TRIGGER chain_head_stays BEFORE DELETE ON chain BEGIN SELECT 1; END;");
    journal = journal_open(&config, err, sizeof err);
    ck_assert_ptr_null(journal);
    ck_assert_msg(strstr(err, "cannot be brought to version 3"), "%s", err);
    ck_assert_int_eq(number_of("PRAGMA user_version"), 2);
    ck_assert_int_eq(number_of("SELECT count(*) FROM meta WHERE name='seq_floor'"), 0);
    ck_assert_int_eq(try_sql("DROP TRIGGER chain_head_stays"), SQLITE_OK);
    open_journal();
    ck_assert_int_eq(settle_one(A, LINE_A), 1);
}
END_TEST

int main(void)
{
    metrics_register(journal_metrics, journal_metrics_count);
    Suite *s = suite_create("journal: versions");
    TCase *t = tcase_create("versions");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_journal_of_version_1_loses_nothing);
    tcase_add_test(t, numbers_of_what_has_aged_away_are_not_used_again);
    tcase_add_test(t, a_journal_of_version_2_goes_on_behind_its_head);
    tcase_add_test(t, the_file_refuses_a_number_that_was_used);
    tcase_add_test(t, numbers_go_on_after_retention_has_emptied_the_journal);
    tcase_add_test(t, a_step_that_fails_leaves_the_older_file);
    suite_add_tcase(s, t);
    return run_suite(s);
}
