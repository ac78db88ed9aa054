/* test_history_forward.c - the worker: a real journal forwarded to a real PostgreSQL (UFR-PROD-040, the history is
 * recorded), through outages, hangs and rows that PostgreSQL refuses. */
#include "unit/history/support.h"

#include <sqlite3.h>

#define SHOWN                                                                                                \
    "SELECT concat_ws('|', line_number, customer_id, current_product_code, current_product_name,"            \
    " target_product_code, target_product_name, status, result_code, result_message, failure_reason,"        \
    " validation->0->>'checkType', kos_order_number, instance, actor, extract(epoch FROM requested_at),"     \
    " extract(epoch FROM validated_at), extract(epoch FROM processed_at), created_at > now() - interval '1 " \
    "min')"                                                                                                  \
    " FROM product_change.product_change_history WHERE request_id = '%s'"

static void check_row(const char *id, const char *expected)
{
    PGresult *r = pg_fixture_query(super, SHOWN, id);
    ck_assert_int_eq(PQntuples(r), 1);
    ck_assert_str_eq(PQgetvalue(r, 0, 0), expected);
    PQclear(r);
}

START_TEST(a_final_row_arrives_with_every_column)
{
    char id[UUID_LEN + 1], expected[512];
    int64_t now = clock_wall_ms();
    struct change_record c = change_make(id, LINE_A, now);
    record(&c);
    note_call(id, 1);
    start_history();
    wait_forwarded();
    wait_number(CALLS, 1);
    snprintf(expected, sizeof expected,
             LINE_A
             "|C-1|LTE_A|LTE \"가\" \\ {1,2}|5G_B|5G 나|FAILED|VALIDATION_FAILED|상품 사전 체크에 "
             "실패하였습니다|판매 중인 상품이 아닙니다|PRODUCT_AVAILABLE|%s|user-1|%lld.%03d000|%lld.%03d000|"
             "%lld.%03d000|t",
             journal_instance(journal), (long long)now / 1000, (int)(now % 1000), (long long)(now + 1) / 1000,
             (int)((now + 1) % 1000), (long long)(now + 2) / 1000, (int)((now + 2) % 1000));
    check_row(id, expected);
    ck_assert_int_eq(
        number("SELECT count(*) FROM product_change.kos_integration_log WHERE operation = 'change' AND"
               " attempt = 1 AND http_status = 200 AND result_code = '2004' AND outcome = 'refused' AND"
               " milliseconds = 12 AND breaker_state = 'CLOSED' AND at > now() - interval '1 min'"),
        1);
}
END_TEST

START_TEST(rows_that_come_while_it_runs_are_forwarded_in_any_number)
{
    config.batch = 7; /* several batches */
    start_history();
    wait_up(true);
    record_many(100, LINE_A);
    wait_number(ROWS, 100);
    wait_forwarded();
    record_many(1, LINE_B); /* wakes it from idle */
    wait_number(ROWS, 101);
}
END_TEST

/* Forwarding costs per transaction, so what comes one by one shares them: one in 20 ms, not one a row. */
START_TEST(rows_that_come_one_by_one_share_transactions)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    start_history();
    wait_up(true);
    uint64_t began = clock_mono_ns();
    for (int i = 0; i < 60; i++) {
        record_many(1, LINE_A);
        nanosleep(&pause, NULL);
    }
    wait_number(ROWS, 60);
    int64_t turns = (int64_t)((clock_mono_ns() - began) / (20 * NS_PER_MS));
    ck_assert_int_le(number("SELECT count(DISTINCT xmin::text) FROM product_change.product_change_history"),
                     turns + 2);
}
END_TEST

static int refill_queue(void)
{
    char path[128];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/0/journal.db", journal_dir);
    int rc = sqlite3_open(path, &db);
    rc = rc == SQLITE_OK ? sqlite3_exec(db,
                                        "INSERT INTO history_queue(seq,line) SELECT seq,line FROM settled;"
                                        "UPDATE call SET forwarded=0",
                                        NULL, NULL, NULL)
                         : rc;
    sqlite3_close(db);
    return rc;
}

/* At least once from the journal, once in the table: a run may end between PostgreSQL's commit and the journal's
 * acknowledgement, or the answer to the commit may be lost. */
START_TEST(rows_that_are_forwarded_again_are_stored_once)
{
    char id[UUID_LEN + 1];
    record_many(10, LINE_A);
    note_call(uuid_v7(id), 1);
    start_history();
    wait_number(ROWS, 10);
    wait_number(CALLS, 1);
    wait_forwarded();
    stop_history();
    journal_close(journal);
    ck_assert_int_eq(refill_queue(), SQLITE_OK);
    open_journal();
    ck_assert_int_eq(journal_counts().history_pending, 10);
    double stored = metric_value(history_metrics[0], 0), again = metric_value(history_metrics[0], 1);
    start_history();
    wait_forwarded();
    stop_history();
    ck_assert_int_eq(number(ROWS), 10);
    ck_assert_int_eq(number(CALLS), 1);
    ck_assert(metric_value(history_metrics[0], 0) == stored);
    ck_assert(metric_value(history_metrics[0], 1) == again + 10);
}
END_TEST

START_TEST(postgresql_may_be_down_at_start)
{
    pg_fixture_down(&server, SIGINT);
    start_history();
    record_many(20, LINE_A);
    ck_assert(!history_up(history));
    ck_assert_int_eq(journal_counts().history_pending, 20);
    pg_fixture_up(&server);
    PQreset(super);
    wait_number(ROWS, 20);
    wait_up(true);
    wait_forwarded();
}
END_TEST

START_TEST(an_outage_in_the_middle_loses_nothing)
{
    config.batch = 5;
    start_history();
    wait_up(true);
    record_many(30, LINE_A);
    pg_fixture_down(&server, SIGKILL); /* some are stored, some are not, one batch may be on its way */
    record_many(30, LINE_B);
    wait_up(false);
    pg_fixture_up(&server);
    PQreset(super);
    wait_number(ROWS, 60);
    wait_forwarded();
    wait_up(true);
}
END_TEST

START_TEST(a_backend_that_is_ended_is_replaced)
{
    start_history();
    wait_up(true);
    pg_fixture_do(super,
                  "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'PCS-Service'");
    record_many(3, LINE_A);
    wait_number(ROWS, 3);
}
END_TEST

START_TEST(without_the_schema_rows_wait_in_the_journal)
{
    pg_fixture_do(super, "DROP SCHEMA product_change CASCADE");
    start_history();
    record_many(5, LINE_A);
    struct history_query q = {.kind = HISTORY_PAGE, .line = LINE_A, .limit = 10};
    ask(&q);
    ck_assert_int_eq(q.status, HISTORY_UNAVAILABLE);
    history_query_clear(&q);
    ck_assert(!history_up(history));
    ck_assert_int_eq(journal_counts().history_pending, 5);
    migrate();
    wait_number(ROWS, 5);
    wait_up(true);
}
END_TEST

START_TEST(without_the_right_to_insert_rows_wait_in_the_journal)
{
    pg_fixture_do(super, "REVOKE INSERT ON product_change.product_change_history FROM \"PCS-Service\"");
    start_history();
    record_many(5, LINE_A);
    uint64_t until = clock_mono_ns() + NS_PER_SEC;
    while (clock_mono_ns() < until) { /* it connects and fails, and is not up for a moment */
        ck_assert(!history_up(history));
        pg_fixture_nap();
    }
    migrate();
    wait_number(ROWS, 5);
    wait_up(true);
}
END_TEST

/* ---- poison ---- */

START_TEST(a_row_that_postgresql_refuses_is_kept_aside_and_the_rest_goes_on)
{
    static const int bad[] = {0, 13, 14, 39};
    size_t next = 0;
    for (int i = 0; i < 40; i++) {
        char id[UUID_LEN + 1];
        struct change_record c = change_make(id, LINE_A, clock_wall_ms());
        if (next < 4 && i == bad[next]) {
            c.target_name = next % 2 ? "bad \xC3( UTF-8" : c.target_name;
            c.requested_at = next % 2 ? c.requested_at : INT64_C(9100000000000000000);
            next++;
        }
        record(&c);
    }
    char id[UUID_LEN + 1];
    note_call(uuid_v7(id), 1);
    note_call(id, INT64_C(1) << 40); /* integer out of range */
    note_call(id, 2);
    start_history();
    wait_forwarded();
    wait_number(ROWS, 36);
    wait_number(CALLS, 2);
    ck_assert_int_eq(journal_counts().history_dead, 4);
    record_many(1, LINE_B);
    wait_number(ROWS, 37);
}
END_TEST

START_TEST(a_validation_that_is_no_json_does_not_cost_the_row)
{
    char id[UUID_LEN + 1];
    struct change_record c = change_make(id, LINE_A, clock_wall_ms());
    c.validation_json = "[{\"broken\":";
    record(&c);
    start_history();
    wait_number(ROWS " WHERE validation IS NULL", 1);
    wait_forwarded();
    ck_assert_int_eq(journal_counts().history_dead, 0);
}
END_TEST

/* ---- partitions ---- */

#define IN_DEFAULT "SELECT count(*) FROM product_change.product_change_history_default"

START_TEST(partitions_are_made_for_the_months_that_rows_need)
{
    char ids[3][UUID_LEN + 1];
    struct change_record past = change_make(ids[0], LINE_A, INT64_C(1455000000000)), /* 2016-02 */
        future = change_make(ids[1], LINE_A, INT64_C(4000000000000)),                /* 2096-10 */
        outside = change_make(ids[2], LINE_A, INT64_C(-1000));                       /* 1969-12 */
    record(&past);
    record(&future);
    record(&outside);
    start_history();
    wait_number(ROWS, 3);
    ck_assert_int_eq(number(IN_DEFAULT), 1);
    ck_assert_int_eq(number("SELECT count(*) FROM product_change.product_change_history_2016_02"), 1);
    ck_assert_int_eq(number("SELECT count(*) FROM product_change.product_change_history_2096_10"), 1);
}
END_TEST

START_TEST(a_row_of_a_month_that_cannot_be_made_is_stored_and_moved_later)
{
    char id[UUID_LEN + 1];
    struct change_record c = change_make(id, LINE_A, INT64_C(1455000000000));
    record(&c);
    pg_fixture_do(
        super,
        "REVOKE EXECUTE ON FUNCTION product_change.ensure_partition(timestamptz) FROM \"PCS-Service\"");
    start_history();
    wait_number(IN_DEFAULT, 1);
    stop_history();
    migrate(); /* gives the right back, and makes the months of rows in DEFAULT */
    ck_assert_int_eq(number(IN_DEFAULT), 0);
    ck_assert_int_eq(number("SELECT count(*) FROM product_change.product_change_history_2016_02"), 1);
}
END_TEST

START_TEST(partitions_ahead_are_made_at_connect)
{
    config.months_ahead = 6;
    start_history();
    wait_number("SELECT count(*) FROM pg_inherits WHERE inhparent = "
                "'product_change.product_change_history'::regclass",
                8);
}
END_TEST

/* ---- stopping ---- */

START_TEST(stopping_forwards_what_is_there)
{
    config.batch = 10;
    start_history();
    wait_up(true);
    record_many(200, LINE_A);
    stop_history();
    ck_assert_int_eq(number(ROWS), 200);
    ck_assert_int_eq(journal_counts().history_pending, 0);
}
END_TEST

START_TEST(stopping_ends_within_its_grace_though_postgresql_hangs)
{
    start_history();
    wait_up(true);
    pg_fixture_pause(&server);
    record_many(5, LINE_A);
    pg_fixture_nap();
    uint64_t began = clock_mono_ns();
    history_stop(history, 700);
    history = NULL;
    uint64_t took = (clock_mono_ns() - began) / NS_PER_MS;
    ck_assert_int_ge(journal_counts().history_pending, 5);
    pg_fixture_resume(&server);
    ck_assert_msg(took < 1500, "%llu ms", (unsigned long long)took);
    start_history(); /* and nothing is lost or doubled */
    wait_forwarded();
    ck_assert_int_eq(number(ROWS), 5);
}
END_TEST

START_TEST(stopping_does_not_wait_for_a_server_that_is_down)
{
    pg_fixture_down(&server, SIGINT);
    start_history();
    record_many(5, LINE_A);
    uint64_t began = clock_mono_ns();
    history_stop(history, 30000);
    history = NULL;
    uint64_t took = (clock_mono_ns() - began) / NS_PER_MS;
    pg_fixture_up(&server);
    PQreset(super);
    ck_assert_msg(took < 2000, "%llu ms", (unsigned long long)took);
}
END_TEST

START_TEST(a_server_that_hangs_and_comes_back_gets_the_rows)
{
    start_history();
    wait_up(true);
    pg_fixture_pause(&server);
    record_many(8, LINE_A);
    pg_fixture_nap();
    pg_fixture_resume(&server);
    wait_number(ROWS, 8);
    wait_forwarded();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_final_row_arrives_with_every_column,
        rows_that_come_while_it_runs_are_forwarded_in_any_number,
        rows_that_come_one_by_one_share_transactions,
        rows_that_are_forwarded_again_are_stored_once,
        postgresql_may_be_down_at_start,
        an_outage_in_the_middle_loses_nothing,
        a_backend_that_is_ended_is_replaced,
        without_the_schema_rows_wait_in_the_journal,
        without_the_right_to_insert_rows_wait_in_the_journal,
        a_row_that_postgresql_refuses_is_kept_aside_and_the_rest_goes_on,
        a_validation_that_is_no_json_does_not_cost_the_row,
        partitions_are_made_for_the_months_that_rows_need,
        a_row_of_a_month_that_cannot_be_made_is_stored_and_moved_later,
        partitions_ahead_are_made_at_connect,
        stopping_forwards_what_is_there,
        stopping_ends_within_its_grace_though_postgresql_hangs,
        stopping_does_not_wait_for_a_server_that_is_down,
        a_server_that_hangs_and_comes_back_gets_the_rows,
    };
    return run_tests("history forward", setup_all, teardown_all, tests, sizeof tests / sizeof *tests);
}
