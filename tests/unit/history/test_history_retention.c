/* test_history_retention.c - months of the call log, and what is removed when (issue 5, point 9: retention settings;
 * CONTRACT.md 5: the functions that the migrations install). */
#include "unit/history/support.h"

#define PARTS_OF(table)                                                                                      \
    "SELECT count(*) FROM pg_inherits WHERE inhparent = 'product_change." table "'::regclass"
#define LOG     "product_change.kos_integration_log"
#define HISTORY "product_change.product_change_history"
#define CHAIN   "product_change.product_change_history_chain"

static char old_sql[64];

/* The migrations up to 0003, as an older program has them. */
static void migrate_old(void)
{
    char command[512];
    struct buf out;
    snprintf(old_sql, sizeof old_sql, "/tmp/pcs-sql-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(old_sql));
    snprintf(command, sizeof command, "cp %s/000[123]_*.sql %s/", sql_dir(), old_sql);
    ck_assert_int_eq(system(command), 0);
    buf_init(&out, 1 << 16);
    ck_assert_msg(history_migrate(&config, old_sql, &out, err, sizeof err), "%s", err);
    buf_free(&out);
    nftw(old_sql, pg_fixture_remove, 16, FTW_DEPTH | FTW_PHYS);
}

static void insert_call(int seq, const char *when)
{
    PQclear(pg_fixture_query(super,
                             "INSERT INTO " LOG " (instance, seq, request_id, operation, attempt, at)"
                             " VALUES ('i', %d, gen_random_uuid(), 'change', 1, %s)",
                             seq, when));
}

static void insert_row(const char *when)
{
    PQclear(pg_fixture_query(super,
                             "INSERT INTO " HISTORY " (request_id, requested_at, line_number,"
                             " target_product_code, status, result_code, instance)"
                             " VALUES (gen_random_uuid(), %s, '01011112222', 'x', 'FAILED', '2001', 'i')",
                             when));
}

/* Calls until nothing is left; how often something was removed. */
static int until_none(const char *sql)
{
    int calls = 0;
    while (number(sql) > 0) {
        ck_assert_int_lt(++calls, 100);
    }
    return calls;
}

START_TEST(what_the_log_held_is_kept_and_becomes_its_first_partition)
{
    migrate_old();
    insert_call(1, "now() - interval '300 days'");
    insert_call(2, "now()");
    insert_call(3, "now() + interval '70 days'");
    migrate();
    ck_assert_int_eq(number("SELECT count(*) FROM " LOG), 3);
    ck_assert_int_eq(number("SELECT count(*) FROM " LOG "_before"), 2);
    ck_assert_int_eq(number("SELECT count(*) FROM " LOG "_default"), 0); /* moved into its month */
    /* before, this month is covered by it, one ahead, and the one of the row that was ahead of its time; DEFAULT */
    ck_assert_int_eq(number(PARTS_OF("kos_integration_log")), 4);
    ck_assert_int_eq(number("SELECT count(*) FROM pg_class WHERE relname = 'kos_integration_log_' ||"
                            " to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')"),
                     0);
    /* the same number again is the same row, as before */
    insert_call(4, "timestamptz '2026-01-15'");
    PQclear(pg_fixture_query(super,
                             "INSERT INTO " LOG " (instance, seq, request_id, operation, attempt, at) VALUES"
                             " ('i', 4, gen_random_uuid(), 'change', 1, timestamptz '2026-01-15')"
                             " ON CONFLICT DO NOTHING"));
    ck_assert_int_eq(number("SELECT count(*) FROM " LOG " WHERE seq = 4"), 1);
}
END_TEST

START_TEST(an_empty_log_leaves_no_partition_behind)
{
    migrate();
    ck_assert_int_eq(number("SELECT (to_regclass('" LOG "_before') IS NULL)::int"), 1);
    ck_assert_int_eq(number(PARTS_OF("kos_integration_log")), 3); /* this month, one ahead, DEFAULT */
}
END_TEST

START_TEST(an_older_program_writes_on_after_the_migration)
{
    /* its own statement and nothing of the new functions: what has no month goes to DEFAULT, and moves later */
    migrate();
    insert_call(1, "now() + interval '200 days'");
    ck_assert_int_eq(number("SELECT count(*) FROM " LOG "_default"), 1);
    ck_assert_int_eq(number("SELECT product_change.ensure_partitions(1)"), 0);
    ck_assert_int_eq(number("SELECT product_change.ensure_log_partitions(1)"), 1);
    ck_assert_int_eq(number("SELECT count(*) FROM " LOG "_default"), 0);
    ck_assert_int_eq(number("SELECT count(*) FROM " LOG), 1);
}
END_TEST

START_TEST(old_months_of_the_log_are_dropped_and_no_younger_ones)
{
    migrate_old();
    insert_call(1, "now() - interval '300 days'");
    migrate();
    for (int days = 500; days >= 40; days -= 20) { /* later than this month, so not in `before` */
        char when[64];
        snprintf(when, sizeof when, "now() + interval '%d days'", days);
        insert_call(1000 + days, when);
    }
    insert_call(2, "timestamptz '1999-01-01'");
    (void)number("SELECT product_change.ensure_log_partitions(0)");
    long all = number("SELECT count(*) FROM " LOG);
    ck_assert_int_eq(until_none("SELECT product_change.retain_log('400 days')"), 0); /* it ends next month */
    ck_assert_int_eq(number("SELECT count(*) FROM " LOG), all);
    /* as if the migration had been 240 days ago */
    pg_fixture_do(super,
                  "ALTER TABLE " LOG " DETACH PARTITION " LOG "_before; DO $$ BEGIN EXECUTE format("
                  "'ALTER TABLE " LOG " ATTACH PARTITION " LOG "_before FOR VALUES FROM (MINVALUE) TO (%L)',"
                  " date_trunc('month', now() - interval '240 days', 'UTC')); END $$");
    ck_assert_int_eq(until_none("SELECT product_change.retain_log('300 days')"), 0);
    ck_assert_int_gt(until_none("SELECT product_change.retain_log('200 days')"), 0);
    ck_assert_int_eq(number("SELECT (to_regclass('" LOG "_before') IS NULL)::int"), 1);
    ck_assert_int_eq(number("SELECT count(*) FROM " LOG),
                     all - 2); /* those of the last 300 days and to come */
}
END_TEST

#define KEEP "SELECT product_change.retain_history('62 days')"

static void insert_linked(const char *when, int seq)
{
    PQclear(pg_fixture_query(
        super,
        "WITH r AS (INSERT INTO " HISTORY " (request_id, requested_at, line_number,"
        " target_product_code, status, result_code, instance) VALUES (gen_random_uuid(), %s, '01011112222',"
        " 'x', 'FAILED', '2001', 'i') RETURNING request_id, requested_at)"
        " INSERT INTO " CHAIN
        " (instance, seq, kind, request_id, requested_ms, key_id, previous, digests, salt,"
        " link) SELECT 'i', %d, 1, request_id::text, (extract(epoch FROM requested_at) * 1000)::bigint,"
        " '', '', '', 'salt', '' FROM r",
        when, seq));
}

START_TEST(old_months_of_the_history_go_with_the_salts_of_their_links)
{
    migrate();
    for (int months = 12; months >= 0; months--) {
        char when[96];
        snprintf(when, sizeof when, "date_trunc('month', now(), 'UTC') - interval '%d months'", months);
        insert_linked(when, 100 - months);
    }
    insert_row("timestamptz '1999-01-01'"); /* no month is made for it: stays in DEFAULT until then */
    (void)number("SELECT product_change.ensure_partitions(0)");
    ck_assert_int_gt(until_none(KEEP), 3); /* bounded parts */
    /* 62 days ago is in the month before last, or the one before that */
    long left = number("SELECT count(*) FROM " HISTORY);
    ck_assert(left >= 3 && left <= 4);
    ck_assert_int_eq(number("SELECT count(*) FROM " HISTORY " WHERE requested_at <"
                            " date_trunc('month', now() - interval '62 days', 'UTC')"),
                     0);
    ck_assert_int_eq(number("SELECT count(*) FROM " CHAIN), 13); /* links stay */
    ck_assert_int_eq(number("SELECT count(*) FROM " CHAIN " WHERE salt IS NOT NULL"), left);
    ck_assert_int_eq(number("SELECT count(*) FROM " CHAIN " c WHERE (salt IS NOT NULL) <> EXISTS"
                            " (SELECT FROM " HISTORY " h WHERE h.request_id::text = c.request_id)"),
                     0);
    ck_assert_int_eq(number(KEEP), 0);
}
END_TEST

START_TEST(a_row_that_comes_late_keeps_its_salt_until_it_is_removed)
{
    migrate();
    ck_assert_int_eq(until_none(KEEP), 0);
    insert_linked("now() - interval '200 days'", 1); /* into DEFAULT */
    ck_assert_int_eq(number("SELECT count(*) FROM " CHAIN " WHERE salt IS NOT NULL"), 1);
    ck_assert_int_eq(until_none(KEEP), 2); /* the row, then the salt */
    ck_assert_int_eq(number("SELECT count(*) FROM " CHAIN " WHERE salt IS NOT NULL"), 0);
    ck_assert_int_eq(number("SELECT count(*) FROM " HISTORY), 0);
}
END_TEST

START_TEST(retention_gives_up_behind_a_long_reader)
{
    char state[6];
    migrate();
    insert_row("now() - interval '200 days'");
    (void)number("SELECT product_change.ensure_partitions(0)");
    PGconn *reader = pg_fixture_connect(&server, database);
    pg_fixture_do(reader, "BEGIN; SELECT FROM " HISTORY);
    ck_assert_str_eq(pg_fixture_state(super, KEEP, state), "55P03");
    ck_assert_int_eq(number("SELECT count(*) FROM " HISTORY), 1);
    PQfinish(reader);
    ck_assert_int_gt(until_none(KEEP), 0);
    ck_assert_int_eq(number("SELECT count(*) FROM " HISTORY), 0);
}
END_TEST

/* The worker does it at its connection, and daily. */
START_TEST(the_worker_removes_what_the_settings_say)
{
    migrate();
    insert_row("now() - interval '100 days'");
    insert_call(1, "now() - interval '100 days'");
    (void)number("SELECT product_change.ensure_partitions(0)");
    (void)number("SELECT product_change.ensure_log_partitions(0)");
    setup_journal();
    start_history(); /* 0: for ever */
    wait_up(true);
    ck_assert_int_eq(number(ROWS) + number(CALLS), 2);
    stop_history();
    config.retention_ms = config.call_retention_ms = INT64_C(60) * 86400000;
    start_history();
    wait_number(ROWS, 0);
    wait_number(CALLS, 0);
    wait_up(true);
    stop_history();
    drop_journal();
}
END_TEST

START_TEST(the_worker_forwards_to_a_schema_that_an_older_program_has_made)
{
    migrate_old();
    setup_journal();
    config.retention_ms = INT64_C(60) * 86400000;
    record_many(3, LINE_A);
    start_history();
    wait_number(ROWS, 3);
    wait_up(true);
    stop_history();
    drop_journal();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        what_the_log_held_is_kept_and_becomes_its_first_partition,
        an_empty_log_leaves_no_partition_behind,
        an_older_program_writes_on_after_the_migration,
        old_months_of_the_log_are_dropped_and_no_younger_ones,
        old_months_of_the_history_go_with_the_salts_of_their_links,
        a_row_that_comes_late_keeps_its_salt_until_it_is_removed,
        retention_gives_up_behind_a_long_reader,
        the_worker_removes_what_the_settings_say,
        the_worker_forwards_to_a_schema_that_an_older_program_has_made,
    };
    return run_tests("history retention", setup_database, leave_database, tests,
                     sizeof tests / sizeof *tests);
}
