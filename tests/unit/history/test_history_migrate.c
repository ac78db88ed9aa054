/* test_history_migrate.c - the command `migrate`, the rights of the two roles, and the partition functions, on a
 * real PostgreSQL (CONTRACT.md 5). */
#include "unit/history/support.h"

#include <pthread.h>
#include <stdatomic.h>

static struct buf out;
static char dir[64];

static void setup(void)
{
    setup_database();
    buf_init(&out, 1 << 16);
    snprintf(dir, sizeof dir, "/tmp/pcs-sql-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void teardown(void)
{
    buf_free(&out);
    nftw(dir, pg_fixture_remove, 16, FTW_DEPTH | FTW_PHYS);
    leave_database();
}

static bool run(const char *from)
{
    buf_reset(&out);
    err[0] = '\0';
    return history_migrate(&config, from, &out, err, sizeof err);
}

static void put_file(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

/* A copy of the real migrations in dir, so that files can be added. */
static void copy_migrations(void)
{
    char command[1200];
    snprintf(command, sizeof command, "cp %s/*.sql %s/", sql_dir(), dir);
    ck_assert_int_eq(system(command), 0);
}

static PGconn *as(const char *role)
{
    PGconn *pg = pg_fixture_connect_as(&server, database, role, PASSWORD);
    ck_assert_ptr_nonnull(pg);
    return pg;
}

START_TEST(migrate_is_safe_twice)
{
    ck_assert_msg(run(sql_dir()), "%s", err);
    ck_assert_ptr_nonnull(strstr(out.data, "0001_history.sql applied"));
    long applied = number("SELECT count(*) FROM product_change.schema_migrations");
    ck_assert_int_ge(applied, 2);
    ck_assert_msg(run(sql_dir()), "%s", err);
    ck_assert_ptr_nonnull(strstr(out.data, "nothing to apply"));
    ck_assert_int_eq(number("SELECT count(*) FROM product_change.schema_migrations"), applied);
    ck_assert_int_eq(
        number("SELECT count(*) FROM product_change.schema_migrations WHERE applied_by = 'pcs \"owner\"'"
               " AND checksum ~ '^[0-9a-f]{64}$'"),
        applied);
}
END_TEST

static void *migrate_thread(void *arg)
{
    bool *ok = arg;
    struct buf said;
    char why[512] = "";
    buf_init(&said, 1 << 16);
    *ok = history_migrate(&config, sql_dir(), &said, why, sizeof why);
    if (!*ok) {
        fprintf(stderr, "%s\n", why);
    }
    buf_free(&said);
    return NULL;
}

START_TEST(migrate_is_safe_by_several_instances_at_once)
{
    pthread_t threads[5];
    bool ok[5] = {false};
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, migrate_thread, &ok[i]), 0);
    }
    for (int i = 0; i < 5; i++) {
        pthread_join(threads[i], NULL);
        ck_assert(ok[i]);
    }
    ck_assert_int_eq(
        number("SELECT count(*) - count(DISTINCT version) FROM product_change.schema_migrations"), 0);
}
END_TEST

START_TEST(later_migrations_are_applied_in_order)
{
    ck_assert(run(sql_dir()));
    copy_migrations();
    put_file("0902_second.sql", "INSERT INTO product_change.first VALUES (2);");
    put_file("0901_first.sql", "CREATE TABLE product_change.first (n int);");
    ck_assert_msg(run(dir), "%s", err);
    ck_assert_int_eq(number("SELECT n FROM product_change.first"), 2);
    /* and the service's role reaches what a later migration has added, without a change here */
    PGconn *pg = as(SERVICE);
    pg_fixture_do(pg, "INSERT INTO product_change.first VALUES (3)");
    PQfinish(pg);
}
END_TEST

START_TEST(a_migration_that_fails_leaves_nothing_and_can_be_repeated)
{
    copy_migrations();
    put_file("0901_bad.sql", "CREATE TABLE product_change.half (n int); SELECT 1/0;");
    ck_assert(!run(dir));
    ck_assert_ptr_nonnull(strstr(err, "0901_bad.sql"));
    ck_assert_ptr_nonnull(strstr(err, "22012"));
    ck_assert_int_eq(number("SELECT (to_regclass('product_change.half') IS NULL)::int"), 1);
    ck_assert_int_eq(number("SELECT count(*) FROM product_change.schema_migrations WHERE version = 901"), 0);
    put_file("0901_bad.sql", "CREATE TABLE product_change.half (n int);");
    ck_assert_msg(run(dir), "%s", err);
}
END_TEST

START_TEST(an_applied_file_that_was_changed_is_an_error)
{
    copy_migrations();
    put_file("0901_more.sql", "CREATE TABLE product_change.more (n int);");
    ck_assert(run(dir));
    put_file("0901_more.sql", "CREATE TABLE product_change.more (n bigint);");
    ck_assert(!run(dir));
    ck_assert_ptr_nonnull(strstr(err, "0901_more.sql"));
    ck_assert_ptr_nonnull(strstr(err, "never changed"));
}
END_TEST

START_TEST(an_applied_file_that_is_missing_is_an_error_unless_the_database_is_newer)
{
    copy_migrations();
    put_file("0901_a.sql", "SELECT 1;");
    put_file("0902_b.sql", "SELECT 1;");
    ck_assert(run(dir));
    ck_assert_msg(run(sql_dir()), "%s", err);
    ck_assert_ptr_nonnull(strstr(out.data, "0902_b.sql is applied and not here"));
    char path[256];
    snprintf(path, sizeof path, "%s/0901_a.sql", dir);
    unlink(path);
    ck_assert(!run(dir));
    ck_assert_ptr_nonnull(strstr(err, "0901_a.sql was applied"));
}
END_TEST

START_TEST(bad_directories_and_names_are_refused_before_anything_is_done)
{
    static const char *const bad[] = {"1_a.sql",    "0001.sql",     "0001_.sql",
                                      "0000_a.sql", "0001_a b.sql", "a.sql"};
    ck_assert(!run("/nonexistent"));
    ck_assert_ptr_nonnull(strstr(err, "/nonexistent"));
    ck_assert(!run(dir));
    ck_assert_ptr_nonnull(strstr(err, "holds no .sql file"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char path[256];
        put_file(bad[i], "SELECT 1;");
        ck_assert_msg(!run(dir), "%s", bad[i]);
        ck_assert_ptr_nonnull(strstr(err, bad[i]));
        snprintf(path, sizeof path, "%s/%s", dir, bad[i]);
        unlink(path);
    }
    put_file("0001_a.sql", "SELECT 1;");
    put_file("0001_b.sql", "SELECT 1;");
    put_file("README.md", "no migration");
    ck_assert(!run(dir));
    ck_assert_ptr_nonnull(strstr(err, "same number"));
    put_file("0001_b.sql", "");
    ck_assert_int_eq(number("SELECT (to_regnamespace('product_change') IS NULL)::int"), 1);
}
END_TEST

START_TEST(a_migration_may_not_end_its_transaction_or_copy)
{
    copy_migrations();
    put_file("0901_commit.sql", "CREATE TABLE product_change.x (n int); COMMIT;");
    ck_assert(!run(dir));
    ck_assert_ptr_nonnull(strstr(err, "0901_commit.sql"));
    put_file("0901_commit.sql", "COPY product_change.schema_migrations FROM STDIN;");
    ck_assert(!run(dir));
    ck_assert_ptr_nonnull(strstr(err, "COPY"));
}
END_TEST

START_TEST(unreachable_servers_and_wrong_passwords_are_named)
{
    config.migrate_password = "wrong";
    ck_assert(!run(sql_dir()));
    ck_assert_ptr_nonnull(strstr(err, "password authentication failed"));
    ck_assert_ptr_null(strstr(err, "wrong"));
    config.migrate_password = PASSWORD;
    config.name = "no_such_database";
    ck_assert(!run(sql_dir()));
    ck_assert_ptr_nonnull(strstr(err, "no_such_database"));
    config.name = database;
    config.port = pg_fixture_free_port();
    ck_assert(!run(sql_dir()));
    ck_assert_ptr_nonnull(strstr(err, "refused"));
}
END_TEST

START_TEST(a_service_role_that_does_not_exist_is_named)
{
    config.username = "nobody_here";
    ck_assert(!run(sql_dir()));
    ck_assert_ptr_nonnull(strstr(err, "\"nobody_here\""));
    config.username = SERVICE;
    ck_assert_msg(run(sql_dir()), "%s", err);
}
END_TEST

/* Each statement, tried by the service's role, and the SQLSTATE it must get. */
static const struct {
    const char *sql, *state;
} tried[] = {
    {"SELECT count(*) FROM product_change.product_change_history", ""},
    {"SELECT count(*) FROM product_change.kos_integration_log", ""},
    {"INSERT INTO product_change.product_change_history (request_id, requested_at, line_number, "
     "target_product_code,"
     " status, result_code, instance) VALUES (gen_random_uuid(), now(), '1', 'x', 'FAILED', '2001', 'i')",
     ""},
    {"INSERT INTO product_change.kos_integration_log (instance, seq, request_id, operation, attempt, at)"
     " VALUES ('i', 1, gen_random_uuid(), 'change', 1, now())",
     ""},
    {"SELECT product_change.ensure_partition(now())", ""},
    {"SELECT product_change.ensure_partitions(2)", ""},
    {"UPDATE product_change.product_change_history SET status = 'COMPLETED'", "42501"},
    {"DELETE FROM product_change.product_change_history", "42501"},
    {"TRUNCATE product_change.product_change_history", "42501"},
    {"UPDATE product_change.kos_integration_log SET attempt = 2", "42501"},
    {"DELETE FROM product_change.kos_integration_log", "42501"},
    {"DROP TABLE product_change.product_change_history", "42501"},
    {"ALTER TABLE product_change.product_change_history ADD x int", "42501"},
    {"CREATE INDEX ON product_change.product_change_history (actor)", "42501"},
    {"CREATE TRIGGER t BEFORE INSERT ON product_change.product_change_history FOR EACH ROW"
     " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
     "42501"},
    {"CREATE TABLE product_change.mine (n int)", "42501"},
    {"CREATE FUNCTION product_change.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "42501"},
    {"CREATE SCHEMA mine", "42501"},
    {"DELETE FROM product_change.product_change_history_default", "42501"},
    {"SELECT count(*) FROM product_change.product_change_history_default", "42501"},
    {"INSERT INTO product_change.schema_migrations (version, name, checksum) VALUES (999, 'x', 'x')",
     "42501"},
    {"DELETE FROM product_change.schema_migrations", "42501"},
    {"SELECT product_change.has_partition('x')", "42501"},
    {"SELECT product_change.ensure_log_partitions(2)", ""},
    {"SELECT product_change.retain_log('400 days')", ""},
    {"SELECT product_change.retain_history('40 days')", ""},
    {"SELECT product_change.retain_log('0')", "22023"},
    {"SELECT product_change.retain_history('30 days')", "22023"},
    {"SELECT product_change.retain_history(NULL)", "22023"},
    {"SELECT product_change.drop_months('product_change_history', now())", "42501"},
    {"SELECT product_change.make_log_month(now())", "42501"},
    {"SELECT * FROM product_change.erase_line('01000000000', '{}', 'i', 'kim', 'asked')", ""},
    {"SELECT * FROM product_change.erase_line('erased', '{}', 'i', 'kim', 'asked')", "22023"},
    {"SELECT * FROM product_change.erase_line(NULL, '{}', 'i', 'kim', 'asked')", "22023"},
    {"DELETE FROM product_change.erasure", "42501"},
    {"INSERT INTO product_change.erasure (instance, actor, reason, rows, links, request_ids)"
     " VALUES ('i', 'kim', 'asked', 0, 0, '{}')",
     "42501"},
    {"SELECT count(*) FROM product_change.erasure", ""},
    {"UPDATE product_change.product_change_history_chain SET salt = NULL", "42501"},
    {"SELECT count(*) FROM product_change.kos_integration_log_default", "42501"},
    {"DO $$ BEGIN LOCK TABLE product_change.product_change_history IN ACCESS EXCLUSIVE MODE; END $$",
     "42501"},
    {"SET ROLE \"pcs \"\"owner\"\"\"", "42501"},
    {"SELECT product_change.ensure_partition('1999-12-31')", "22023"},
    {"SELECT product_change.ensure_partition('infinity')", "22023"},
    {"SELECT product_change.ensure_partition(NULL)", "22023"},
};

START_TEST(the_service_s_role_may_select_insert_and_call_the_functions_only)
{
    ck_assert_msg(run(sql_dir()), "%s", err);
    PGconn *pg = as(SERVICE);
    for (size_t i = 0; i < sizeof tried / sizeof *tried; i++) {
        char state[6];
        ck_assert_msg(strcmp(pg_fixture_state(pg, tried[i].sql, state), tried[i].state) == 0,
                      "%s: got \"%s\", not \"%s\"", tried[i].sql, state, tried[i].state);
    }
    PQfinish(pg);
}
END_TEST

START_TEST(rights_given_by_hand_are_taken_back)
{
    ck_assert(run(sql_dir()));
    pg_fixture_do(
        super, "SET ROLE \"pcs \"\"owner\"\"\"; GRANT ALL ON ALL TABLES IN SCHEMA product_change TO PUBLIC;"
               " GRANT ALL ON SCHEMA product_change TO \"PCS-Service\"; RESET ROLE");
    ck_assert(run(sql_dir()));
    PGconn *pg = as(SERVICE);
    char state[6];
    ck_assert_str_eq(pg_fixture_state(pg, "DELETE FROM product_change.product_change_history", state),
                     "42501");
    ck_assert_str_eq(pg_fixture_state(pg, "CREATE TABLE product_change.t (n int)", state), "42501");
    PQfinish(pg);
}
END_TEST

START_TEST(a_third_role_may_nothing)
{
    char state[6];
    ck_assert(run(sql_dir()));
    pg_fixture_do(super, "CREATE ROLE third LOGIN PASSWORD 'test-role'");
    PGconn *pg = as("third");
    ck_assert_str_eq(pg_fixture_state(pg, "SELECT FROM product_change.product_change_history", state),
                     "42501");
    ck_assert_str_eq(pg_fixture_state(pg, "SELECT product_change.ensure_partition(now())", state), "42501");
    PQfinish(pg);
    pg_fixture_do(super, "DROP ROLE third");
}
END_TEST

START_TEST(one_role_for_both_loses_nothing)
{
    config.username = OWNER;
    config.migrate_username = config.migrate_password = "";
    ck_assert_msg(run(sql_dir()), "%s", err);
    ck_assert_ptr_nonnull(strstr(out.data, "nothing to grant or revoke"));
    ck_assert_msg(run(sql_dir()), "%s", err);
    PGconn *pg = as(OWNER);
    pg_fixture_do(pg, "DELETE FROM product_change.product_change_history");
    pg_fixture_do(pg, "SELECT product_change.ensure_partitions(3)");
    PQfinish(pg);
}
END_TEST

/* ---- partitions ---- */

#define PARTS                                                                                                \
    "SELECT count(*) FROM pg_inherits WHERE inhparent = 'product_change.product_change_history'::regclass"
#define IN_DEFAULT "SELECT count(*) FROM product_change.product_change_history_default"

static void insert_at(const char *when)
{
    PQclear(pg_fixture_query(
        super,
        "INSERT INTO product_change.product_change_history (request_id, requested_at, line_number,"
        " target_product_code, status, result_code, instance)"
        " VALUES (gen_random_uuid(), '%s', '1', 'x', 'FAILED', '2001', 'i')",
        when));
}

START_TEST(rows_in_default_move_when_their_month_is_made)
{
    ck_assert(run(sql_dir()));
    insert_at("2031-03-31T23:59:59.999Z");
    insert_at("2031-03-01T00:00:00Z");
    insert_at("2031-04-01T00:00:00Z");
    insert_at("1987-01-01T00:00:00Z");
    ck_assert_int_eq(number(IN_DEFAULT), 4);
    /* a month is UTC's, whatever zone the time was written in: this is March there */
    ck_assert_int_eq(number("SELECT product_change.ensure_partition('2031-04-01T08:00:00+09')::int"), 1);
    ck_assert_int_eq(number("SELECT product_change.ensure_partition('2031-03-15')::int"), 0);
    ck_assert_int_eq(number("SELECT count(*) FROM product_change.product_change_history_2031_03"), 2);
    ck_assert_int_eq(number(IN_DEFAULT), 2);
    ck_assert_int_eq(number(ROWS), 4);
    /* by itself for every month that has rows, but for times out of bounds */
    ck_assert_int_ge(number("SELECT product_change.ensure_partitions(0)"), 1);
    ck_assert_int_eq(number("SELECT count(*) FROM product_change.product_change_history_2031_04"), 1);
    ck_assert_int_eq(number(IN_DEFAULT), 1);
}
END_TEST

#define HISTORY "product_change.product_change_history"

/* How they came there is told in sql/0006_left_in_default.sql; here by a constraint that DEFAULT only claims to keep. */
static void attach_beside_its_rows(void)
{
    pg_fixture_do(super, "ALTER TABLE " HISTORY
                         "_default ADD CONSTRAINT claimed CHECK (NOT (requested_at IS NOT NULL"
                         " AND requested_at >= '2032-05-01T00:00:00Z'::timestamptz"
                         " AND requested_at < '2032-06-01T00:00:00Z'::timestamptz)) NOT VALID");
    pg_fixture_do(super, "UPDATE pg_constraint SET convalidated = true WHERE conname = 'claimed'");
    pg_fixture_do(super, "ALTER TABLE " HISTORY "_default SET (fillfactor = 100)");
    PGconn *owner = as(OWNER);
    pg_fixture_do(owner, "CREATE TABLE " HISTORY "_2032_05 (LIKE " HISTORY " INCLUDING ALL)");
    pg_fixture_do(owner, "ALTER TABLE " HISTORY " ATTACH PARTITION " HISTORY "_2032_05"
                         " FOR VALUES FROM ('2032-05-01T00:00:00Z') TO ('2032-06-01T00:00:00Z')");
    PQfinish(owner);
    pg_fixture_do(super, "ALTER TABLE " HISTORY "_default DROP CONSTRAINT claimed");
}

/* Everybody's list of partitions is built anew after the table's description was written, be it the same. */
static long described(void)
{
    return number(
        "SELECT xmin::text::bigint FROM pg_attribute WHERE attname = 'requested_at' AND attrelid = '" HISTORY
        "'::regclass");
}

START_TEST(rows_left_in_default_beside_their_month_are_moved_by_a_migration)
{
    char before[96];
    copy_migrations();
    snprintf(before, sizeof before, "%s/0006_left_in_default.sql", dir);
    ck_assert_int_eq(unlink(before), 0);
    ck_assert(run(dir));
    insert_at("2032-05-10T00:00:00Z");
    insert_at("2032-05-20T00:00:00Z");
    insert_at("2032-05-31T23:59:59Z");
    insert_at("2033-01-01T00:00:00Z"); /* of a month that has still to be made */
    attach_beside_its_rows();
    ck_assert_int_eq(number(IN_DEFAULT), 4);
    /* two of them are also where they belong: forwarded again, and another's of the same key */
    pg_fixture_do(super, "INSERT INTO " HISTORY " SELECT * FROM " HISTORY
                         "_default WHERE requested_at < '2032-05-21'");
    pg_fixture_do(super, "UPDATE " HISTORY "_2032_05 SET created_at = now() - interval '1 h', actor ="
                         " CASE WHEN requested_at = '2032-05-20T00:00:00Z' THEN 'another' END");
    long was = described();

    ck_assert_msg(run(sql_dir()), "%s", err);
    ck_assert_int_eq(number("SELECT count(*) FROM " HISTORY "_2032_05"), 3);
    ck_assert_int_eq(number("SELECT count(*) FROM " HISTORY "_2033_01"), 1);
    ck_assert_int_eq(number("SELECT count(*) FROM " HISTORY " WHERE actor = 'another'"), 1);
    ck_assert_int_eq(number(IN_DEFAULT " WHERE requested_at = '2032-05-20T00:00:00Z' AND actor IS NULL"), 1);
    ck_assert_int_eq(number(IN_DEFAULT), 1);
    ck_assert_int_ne(described(), was);
}
END_TEST

/* Whoever builds a list of partitions holds a lock on the table: a month that is attached meanwhile would not be in it. */
START_TEST(a_maker_waits_for_writers)
{
    char state[6];
    ck_assert(run(sql_dir()));
    PGconn *maker = as(SERVICE), *writer = as(SERVICE);
    pg_fixture_do(
        writer,
        "BEGIN; INSERT INTO " HISTORY " (request_id, requested_at, line_number, target_product_code,"
        " status, result_code, instance) VALUES (gen_random_uuid(), now(), '1', 'x', 'FAILED', '1', 'i')");
    ck_assert_str_eq(pg_fixture_state(maker, "SELECT product_change.ensure_partition('2051-01-01')", state),
                     "55P03");
    pg_fixture_do(writer, "COMMIT");
    ck_assert_str_eq(pg_fixture_state(maker, "SELECT product_change.ensure_partition('2051-01-01')", state),
                     "");
    PQfinish(writer);
    PQfinish(maker);
}
END_TEST

START_TEST(partitions_are_made_ahead_by_migrate)
{
    config.months_ahead = 4;
    ck_assert(run(sql_dir()));
    ck_assert_int_eq(number(PARTS), 6);
    ck_assert_int_eq(
        number("SELECT (to_regclass('product_change.product_change_history_' || to_char("
               "(now() AT TIME ZONE 'UTC') + interval '4 months', 'YYYY_MM')) IS NOT NULL)::int"),
        1);
}
END_TEST

static void *partition_thread(void *arg)
{
    int *failed = arg;
    PGconn *pg = as(SERVICE);
    for (int i = 0; i < 40; i++) {
        char sql[256], state[6];
        bool insert = i % 2;
        snprintf(
            sql, sizeof sql,
            insert
                ? "INSERT INTO product_change.product_change_history (request_id, requested_at, line_number,"
                  " target_product_code, status, result_code, instance) SELECT gen_random_uuid(),"
                  " make_timestamptz(2040, %d, 2, 0, 0, 0, 'UTC'), '1', 'x', 'FAILED', '1', 'i'"
                : "SELECT product_change.ensure_partition(make_timestamptz(2040, %d, 2, 0, 0, 0, 'UTC'))",
            i / 4 + 1);
        pg_fixture_state(pg, sql, state);
        /* 23514: routed to DEFAULT while the month was being made; the worker repeats it */
        if (state[0] && !(insert && strcmp(state, "23514") == 0 && !pg_fixture_state(pg, sql, state)[0])) {
            fprintf(stderr, "%s: %s\n", state, sql);
            ++*failed;
        }
    }
    PQfinish(pg);
    return NULL;
}

START_TEST(several_makers_and_writers_at_once_neither_fail_nor_lose_rows)
{
    pthread_t threads[4];
    int failed[4] = {0};
    ck_assert(run(sql_dir()));
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, partition_thread, &failed[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_int_eq(failed[i], 0);
    }
    ck_assert_int_eq(number(ROWS), 80);
    ck_assert_int_eq(number(IN_DEFAULT), 0);
}
END_TEST

static atomic_bool reading;
static atomic_int readers; /* that have read at least once */

static void *reading_thread(void *arg)
{
    long *fewest = arg;
    bool first = true;
    PGconn *pg = as(SERVICE);
    pg_fixture_do(pg, "SET plan_cache_mode = force_custom_plan; PREPARE r AS " ROWS);
    while (atomic_load(&reading)) {
        long n = pg_fixture_number(pg, "EXECUTE r");
        *fewest = n < *fewest ? n : *fewest;
        if (first) {
            first = false;
            atomic_fetch_add(&readers, 1);
        }
    }
    PQfinish(pg);
    return NULL;
}

/* A reader sees a row in DEFAULT or in its month, whatever moves meanwhile. */
START_TEST(no_reader_misses_a_row_that_moves)
{
    pthread_t threads[3];
    long fewest[3] = {1000, 1000, 1000};
    ck_assert(run(sql_dir()));
    pg_fixture_do(super,
                  "INSERT INTO product_change.product_change_history (request_id, requested_at, line_number,"
                  " target_product_code, status, result_code, instance) SELECT gen_random_uuid(),"
                  " '2030-01-15'::timestamptz + make_interval(months => n % 40), '1', 'x', 'FAILED', '1', 'i'"
                  " FROM generate_series(1, 200) n");
    atomic_store(&readers, 0);
    atomic_store(&reading, true);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, reading_thread, &fewest[i]), 0);
    }
    while (atomic_load(&readers) < 3) { /* a connection that failed has ended the test */
        usleep(1000);
    }
    for (int i = 0; i < 40; i++) {
        PQclear(pg_fixture_query(super,
                                 "SELECT product_change.ensure_partition('2030-01-15'::timestamptz +"
                                 " make_interval(months => %d))",
                                 i));
    }
    atomic_store(&reading, false);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_int_eq(fewest[i], 200);
    }
    ck_assert_int_eq(number(IN_DEFAULT), 0);
}
END_TEST

START_TEST(a_maker_gives_up_behind_a_long_reader_of_default)
{
    char state[6];
    ck_assert(run(sql_dir()));
    pg_fixture_do(super, "BEGIN; SELECT FROM product_change.product_change_history_default");
    PGconn *pg = as(SERVICE);
    ck_assert_str_eq(pg_fixture_state(pg, "SELECT product_change.ensure_partition('2050-01-01')", state),
                     "55P03");
    pg_fixture_do(super, "COMMIT");
    ck_assert_str_eq(pg_fixture_state(pg, "SELECT product_change.ensure_partition('2050-01-01')", state), "");
    PQfinish(pg);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        migrate_is_safe_twice,
        migrate_is_safe_by_several_instances_at_once,
        later_migrations_are_applied_in_order,
        a_migration_that_fails_leaves_nothing_and_can_be_repeated,
        an_applied_file_that_was_changed_is_an_error,
        an_applied_file_that_is_missing_is_an_error_unless_the_database_is_newer,
        bad_directories_and_names_are_refused_before_anything_is_done,
        a_migration_may_not_end_its_transaction_or_copy,
        unreachable_servers_and_wrong_passwords_are_named,
        a_service_role_that_does_not_exist_is_named,
        the_service_s_role_may_select_insert_and_call_the_functions_only,
        rights_given_by_hand_are_taken_back,
        a_third_role_may_nothing,
        one_role_for_both_loses_nothing,
        rows_in_default_move_when_their_month_is_made,
        rows_left_in_default_beside_their_month_are_moved_by_a_migration,
        a_maker_waits_for_writers,
        partitions_are_made_ahead_by_migrate,
        no_reader_misses_a_row_that_moves,
        several_makers_and_writers_at_once_neither_fail_nor_lose_rows,
        a_maker_gives_up_behind_a_long_reader_of_default,
    };
    return run_tests("history migrate", setup, teardown, tests, sizeof tests / sizeof *tests);
}
