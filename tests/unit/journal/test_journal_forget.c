/* Erasing a line's personal fields in the journal (issue 5, point 9): nothing of them is left in the file, the chain's links
 * stay, nothing is erased while something of the line is open. */
#include "unit/journal/support.h"

#include "pcs/journal/chain.h"
#include "pcs/journal/slots.h"

#include <fcntl.h>
#include <sqlite3.h>

static void setup_lasting(void)
{
    setup();
    close_journal();
    config.retention_ms = INT64_C(3650) * 86400000; /* T0 is long ago */
    open_journal();
}

static char ids[16][UUID_LEN + 1];

static const char *id_of(int n)
{
    snprintf(ids[n], sizeof ids[n], "01900000-0000-7000-8000-0000000000%02d", n);
    return ids[n];
}

#define SECRET "secret-of-the-customer"

/* A change that is over, with an event and everything that tells of a person. */
static void settle_one(int n, const char *line, bool with_event)
{
    struct change_record c = change_make(id_of(n), line, CHANGE_INVALID);
    struct journal_event e = event_make("event-1", id_of(n), line);
    char body[256];
    c.subject = c.customer_id = c.actor = c.correlation_id = c.traceparent = SECRET;
    c.idem_key = n % 2 ? NULL : id_of(n);
    c.body_hash = c.failure_reason = SECRET;
    c.first_status = 409;
    snprintf(body, sizeof body, "{\"lineNumber\":\"%s\",\"x\":\"" SECRET "\"}", line);
    e.body = body;
    struct journal_op op = op_make(JOURNAL_RECORD);
    op.change = c;
    op.event = with_event ? &e : NULL;
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    journal_op_clear(&op);
}

static void attempt(int64_t seq, enum journal_verdict verdict)
{
    struct journal_op op = op_make(JOURNAL_EVENT_ATTEMPT);
    op.attempt = (struct journal_attempt){.seq = seq,
                                          .at = T0,
                                          .status = verdict == VERDICT_DEAD ? 422 : 200,
                                          .answer = "we know " SECRET,
                                          .error = SECRET,
                                          .verdict = verdict,
                                          .counted = true};
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    journal_op_clear(&op);
}

static void acknowledge(int64_t seq)
{
    struct journal_op op = op_make(JOURNAL_HISTORY_ACK);
    op.ack_rows = &seq;
    op.ack_row_count = 1;
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    journal_op_clear(&op);
}

static void refuse(int64_t seq)
{
    struct journal_op op = op_make(JOURNAL_HISTORY_DEAD);
    op.seq = seq;
    op.reason = "22P02 invalid input: " SECRET;
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    journal_op_clear(&op);
}

/* All spans; the last operation is left in *op, with the sums. */
static enum journal_status forget(struct journal_op *op, const char *line, bool erase, bool give_up)
{
    int64_t from = 0, rows = 0, events = 0, given_up = 0;
    enum journal_status status;
    for (;;) {
        *op = op_make(JOURNAL_FORGET);
        op->line = line;
        op->seq = from;
        op->forget = (struct journal_forget){
            .erase = erase, .give_up = give_up, .note = "{\"actor\":\"kim\"}", .note_id = "n-1"};
        status = op_run(op);
        rows += op->forget.rows;
        events += op->forget.events;
        given_up += op->forget.given_up;
        from = op->forget.next;
        if (status != JOURNAL_OK || !from) {
            break;
        }
        journal_op_clear(op);
    }
    op->forget.rows = rows;
    op->forget.events = events;
    op->forget.given_up = given_up;
    return status;
}

static void forget_fails(enum forget_block block, const char *request_id)
{
    struct journal_op op;
    ck_assert_int_eq(forget(&op, LINE_A, true, false), JOURNAL_CONFLICT);
    ck_assert_msg(op.forget.block == block, "blocked by: %s", forget_block_name(op.forget.block));
    ck_assert_str_eq(op.found.request_id ? op.found.request_id : "", request_id);
    journal_op_clear(&op);
}

/* Is the text anywhere in the slot's files? */
static bool on_disk(const char *text)
{
    char command[256];
    snprintf(command, sizeof command, "grep -rqaF -- '%s' %s/0", text, dir.path);
    return system(command) == 0;
}

static sqlite3_int64 in_file(const char *sql)
{
    char file[128];
    sqlite3 *db;
    sqlite3_stmt *s;
    snprintf(file, sizeof file, "%s/0/journal.db", dir.path);
    ck_assert_int_eq(sqlite3_open_v2(file, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    ck_assert_msg(sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(db));
    ck_assert_int_eq(sqlite3_step(s), SQLITE_ROW);
    sqlite3_int64 n = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return n;
}

START_TEST(nothing_personal_of_the_line_is_left_in_the_file)
{
    struct journal_op op;
    settle_one(1, LINE_A, true);
    settle_one(2, LINE_B, false);
    settle_one(3, LINE_A, false);
    attempt(1, VERDICT_DELIVERED);
    acknowledge(1);
    acknowledge(2);
    refuse(3); /* link 4 tells of it */
    ck_assert(on_disk(SECRET));
    ck_assert_int_eq(forget(&op, LINE_A, false, false), JOURNAL_OK); /* looks only */
    ck_assert_int_eq(op.forget.rows, 2);
    ck_assert_int_eq((int64_t)op.list_count, 2);
    ck_assert_str_eq(op.list[0].request_id, id_of(1));
    ck_assert(op.seqs[0] == 0 && op.seqs[1] == 1); /* refused */
    ck_assert_int_eq(op.list[1].requested_at, T0);
    journal_op_clear(&op);
    ck_assert_int_eq(forget(&op, LINE_A, true, false), JOURNAL_OK);
    ck_assert_int_eq(op.forget.rows, 2);
    ck_assert_int_eq(op.forget.events, 1);
    ck_assert_int_eq(op.forget.given_up, 0);
    journal_op_clear(&op);
    ck_assert_int_eq(forget(&op, LINE_A, true, false), JOURNAL_OK); /* again: nothing left */
    ck_assert_int_eq(op.forget.rows + op.forget.events, 0);
    journal_op_clear(&op);

    /* an answer that was kept for a key is not given to anybody, and the key is not free */
    op = op_make(JOURNAL_CLAIM);
    op.change = change_make(id_of(9), LINE_B, CHANGE_SENDING);
    op.change.idem_key = id_of(2);
    op.change.body_hash = SECRET;
    ck_assert_int_eq(op_run(&op), JOURNAL_REPLAY); /* of the other line: as ever */
    journal_op_clear(&op);

    ck_assert_int_eq(stats().history_dead, 1);
    close_journal();
    ck_assert(!on_disk(LINE_A));
    ck_assert_int_eq(in_file("SELECT count(*) FROM settled WHERE line='erased' AND subject IS NULL AND"
                             " customer_id IS NULL AND actor IS NULL AND failure_reason IS NULL AND"
                             " correlation_id IS NULL AND body_hash IS NULL AND target_code='5G_B'"),
                     2);
    ck_assert_int_eq(in_file("SELECT count(*) FROM settled WHERE line='" LINE_B "' AND subject='" SECRET "'"),
                     1);
    ck_assert_int_eq(in_file("SELECT count(*) FROM event WHERE body IS NULL AND line='erased'"), 1);
    ck_assert_int_eq(in_file("SELECT count(*) FROM attempt WHERE answer IS NULL AND error IS NULL"), 1);
    ck_assert_int_eq(in_file("SELECT count(*) FROM history_dead WHERE line='erased' AND reason='22P02'"), 1);
    ck_assert_int_eq(in_file("SELECT count(*) FROM chain"), 4);
    ck_assert_int_eq(in_file("SELECT count(*) FROM chain WHERE salt IS NOT NULL"), 1); /* the other line's */
    ck_assert_int_eq(in_file("SELECT count(*) FROM meta WHERE name='erasure.n-1' AND value LIKE '%kim%'"), 1);
    open_journal();
}
END_TEST

START_TEST(a_line_with_an_open_change_is_not_forgotten)
{
    settle_one(1, LINE_A, false);
    acknowledge(1);
    ck_assert_int_eq(intent(id_of(2), LINE_A, CHANGE_SENDING), JOURNAL_OK);
    forget_fails(FORGET_OPEN_CHANGE, id_of(2));
    close_journal();
    ck_assert_int_eq(in_file("SELECT count(*) FROM settled WHERE line='" LINE_A "'"), 1);
    open_journal();
    forget_fails(FORGET_OPEN_CHANGE, id_of(2));
}
END_TEST

START_TEST(a_line_is_not_forgotten_before_everybody_has_been_told)
{
    struct journal_op op;
    settle_one(1, LINE_A, true);
    forget_fails(FORGET_WAITING_ROW, id_of(1));
    acknowledge(1);
    forget_fails(FORGET_OPEN_EVENT, id_of(1));
    attempt(1, VERDICT_DEAD);
    forget_fails(FORGET_DEAD_EVENT, id_of(1));
    ck_assert_int_eq(forget(&op, LINE_A, true, true), JOURNAL_OK); /* given up */
    ck_assert_int_eq(op.forget.given_up, 1);
    ck_assert_int_eq(op.forget.rows, 1);
    journal_op_clear(&op);
    ck_assert_int_eq(stats().events_dead, 0);
    close_journal();
    ck_assert_int_eq(in_file("SELECT (SELECT count(*) FROM event)+(SELECT count(*) FROM attempt)"), 0);
    ck_assert(!on_disk(SECRET));
    open_journal();
}
END_TEST

START_TEST(a_line_whose_cache_may_still_hold_it_is_not_forgotten)
{
    ck_assert_int_eq(intent(id_of(1), LINE_A, CHANGE_SENDING), JOURNAL_OK);
    ck_assert_int_eq(outcome_at(id_of(1), CHANGE_COMPLETED, T0), JOURNAL_OK);
    acknowledge(1);
    forget_fails(FORGET_INVALIDATION, "");
}
END_TEST

START_TEST(an_erased_event_is_never_sent_again)
{
    struct journal_op op;
    settle_one(1, LINE_A, true);
    attempt(1, VERDICT_DELIVERED);
    acknowledge(1);
    ck_assert_int_eq(forget(&op, LINE_A, true, false), JOURNAL_OK);
    journal_op_clear(&op);
    op = op_make(JOURNAL_EVENT_REPLAY);
    op.seq = 1;
    op.out_of_order = true;
    ck_assert_int_eq(op_run(&op), JOURNAL_NOT_FOUND);
    journal_op_clear(&op);
    ck_assert_int_eq(stats().events_pending, 0);
}
END_TEST

START_TEST(the_key_of_a_forgotten_change_does_not_order_again)
{
    struct journal_op op;
    settle_one(2, LINE_A, false); /* with a key */
    acknowledge(1);
    ck_assert_int_eq(forget(&op, LINE_A, true, false), JOURNAL_OK);
    journal_op_clear(&op);
    op = op_make(JOURNAL_CLAIM);
    op.change = change_make(id_of(9), LINE_A, CHANGE_SENDING);
    op.change.idem_key = id_of(2);
    op.change.body_hash = SECRET;
    ck_assert_int_eq(op_run(&op), JOURNAL_KEY_REUSED);
    journal_op_clear(&op);
}
END_TEST

/* Many changes of others: the walk goes in spans, and finds every one of the line. */
START_TEST(the_walk_goes_in_spans)
{
    struct journal_op op;
    char sql[512], file[128], *error = NULL;
    sqlite3 *db;
    settle_one(1, LINE_A, false);
    acknowledge(1);
    close_journal();
    snprintf(file, sizeof file, "%s/0/journal.db", dir.path);
    ck_assert_int_eq(sqlite3_open_v2(file, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    ck_assert_int_eq(
        sqlite3_exec(db, "CREATE TEMP TABLE t AS SELECT * FROM settled WHERE seq=1", NULL, NULL, NULL),
        SQLITE_OK);
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i+1 FROM n WHERE i<12001)"
             " INSERT INTO settled SELECT i, 'r-'||i, CASE i%%3000 WHEN 0 THEN '%s' ELSE '%s' END, state",
             LINE_A, LINE_B);
    sqlite3_stmt *s;
    char rest[2048] = "";
    ck_assert_int_eq(
        sqlite3_prepare_v2(db, "SELECT name FROM pragma_table_info('settled') WHERE cid>3", -1, &s, NULL),
        SQLITE_OK);
    while (sqlite3_step(s) == SQLITE_ROW) {
        snprintf(rest + strlen(rest), sizeof rest - strlen(rest), ",%s",
                 (const char *)sqlite3_column_text(s, 0));
    }
    sqlite3_finalize(s);
    char whole[4096];
    snprintf(whole, sizeof whole, "%s%s FROM n, t", sql, rest);
    ck_assert_msg(sqlite3_exec(db, whole, NULL, NULL, &error) == SQLITE_OK, "%s", error);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
    open_journal();
    ck_assert_int_eq(forget(&op, LINE_A, true, false), JOURNAL_OK);
    ck_assert_int_eq(op.forget.rows, 1 + 4);
    journal_op_clear(&op);
    close_journal();
    ck_assert_int_eq(in_file("SELECT count(*) FROM settled WHERE line='erased'"), 5);
    ck_assert_int_eq(in_file("SELECT count(*) FROM settled WHERE line='" LINE_B "'"), 12001 - 5);
    open_journal();
}
END_TEST

START_TEST(without_a_daemon_the_same_is_done_in_one_transaction_each)
{
    struct journal_op op;
    settle_one(1, LINE_A, false);
    acknowledge(1);
    char mine[8];
    snprintf(mine, sizeof mine, "%u", journal_slot(journal));
    ck_assert_ptr_null(journal_open_offline(&config, 0, err, sizeof err)); /* it has an owner */
    ck_assert_ptr_nonnull(strstr(err, "in use"));
    close_journal();
    struct journal *j = journal_open_offline(&config, 0, err, sizeof err);
    ck_assert_msg(j != NULL, "%s", err);
    journal_op_init(&op, j, JOURNAL_FORGET, NULL, NULL, NULL);
    op.line = LINE_A;
    op.forget = (struct journal_forget){.erase = true};
    ck_assert_int_eq(journal_run_offline(&op), JOURNAL_OK);
    ck_assert_int_eq(op.forget.rows, 1);
    journal_op_clear(&op);
    journal_op_init(&op, j, JOURNAL_INTENT, NULL, NULL, NULL);
    ck_assert_int_eq(journal_run_offline(&op), JOURNAL_FAILED);
    journal_op_clear(&op);
    journal_close_offline(j);
    ck_assert(!on_disk(SECRET));
    open_journal();
}
END_TEST

/* The newest link stays when retention removes its change: its salt would tell the line to whoever tries all numbers. */
START_TEST(the_head_keeps_no_salt_of_a_change_that_is_gone)
{
    settle_one(1, LINE_A, false);
    acknowledge(1);
    close_journal();
    config.retention_ms = 1; /* of T0, long ago */
    open_journal();
    uint64_t until = clock_mono_ns() + 20 * NS_PER_SEC;
    while (state_of(id_of(1)) != CHANGE_STATES) {
        ck_assert_msg(clock_mono_ns() < until, "retention has not removed it");
        usleep(10000);
    }
    close_journal();
    ck_assert_int_eq(in_file("SELECT count(*) FROM chain WHERE salt IS NULL"), 1);
    open_journal();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("journal forget");
    TCase *tc = tcase_create("forget");
    tcase_add_checked_fixture(tc, setup_lasting, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, nothing_personal_of_the_line_is_left_in_the_file);
    tcase_add_test(tc, a_line_with_an_open_change_is_not_forgotten);
    tcase_add_test(tc, a_line_is_not_forgotten_before_everybody_has_been_told);
    tcase_add_test(tc, a_line_whose_cache_may_still_hold_it_is_not_forgotten);
    tcase_add_test(tc, an_erased_event_is_never_sent_again);
    tcase_add_test(tc, the_key_of_a_forgotten_change_does_not_order_again);
    tcase_add_test(tc, the_walk_goes_in_spans);
    tcase_add_test(tc, without_a_daemon_the_same_is_done_in_one_transaction_each);
    tcase_add_test(tc, the_head_keeps_no_salt_of_a_change_that_is_gone);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
