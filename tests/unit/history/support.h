/* support.h - a database per test, a journal per test, and ways to fill, forward and ask. */
#ifndef TEST_HISTORY_SUPPORT_H
#define TEST_HISTORY_SUPPORT_H

#include "pcs/core/clock.h"
#include "pcs/core/id.h"
#include "pcs/core/log.h"
#include "pcs/history/history.h"
#include "unit/history/pg_fixture.h"

#include <check.h>

#define LINE_A   "01011110001"
#define LINE_B   "01011110002"
#define OWNER    "pcs \"owner\"" /* role names are quoted by whoever uses them */
#define SERVICE  "PCS-Service"
#define PASSWORD "test-role"
#define WAIT_NS  (20 * NS_PER_SEC)

static struct pg_fixture server;
static char database[32];
static PGconn *super; /* a superuser's connection to the test's database */
static struct history_config config;
static char journal_dir[64];
static struct journal *journal;
static struct history *history;
static struct mailbox box;
static char err[1024];

static inline const char *sql_dir(void)
{
    return PCS_SOURCE_DIR "/sql";
}

/* ---- the database ---- */

static inline void make_roles(void)
{
    PGconn *pg = pg_fixture_connect(&server, "postgres");
    pg_fixture_do(pg, "CREATE ROLE \"pcs \"\"owner\"\"\" LOGIN PASSWORD 'test-role'");
    pg_fixture_do(pg, "CREATE ROLE \"PCS-Service\" LOGIN PASSWORD 'test-role'");
    PQfinish(pg);
}

static inline void setup_database(void)
{
    static int number;
    snprintf(database, sizeof database, "test_%d", ++number);
    PGconn *pg = pg_fixture_connect(&server, "postgres");
    PQclear(pg_fixture_query(pg, "CREATE DATABASE %s OWNER \"pcs \"\"owner\"\"\"", database));
    PQfinish(pg);
    super = pg_fixture_connect(&server, database);
    config = (struct history_config){.host = "127.0.0.1",
                                     .port = server.port,
                                     .name = database,
                                     .username = SERVICE,
                                     .password = PASSWORD,
                                     .sslmode = "prefer",
                                     .migrate_username = OWNER,
                                     .migrate_password = PASSWORD,
                                     .batch = 64,
                                     .query_deadline_ms = 2000,
                                     .query_queue = 64,
                                     .months_ahead = 1};
}

/* The database itself goes with the server: DROP DATABASE may wait 5 s for backends that are just ending. */
static inline void leave_database(void)
{
    PQfinish(super);
}

/* migrate, which must succeed; what it said is thrown away. */
static inline void migrate(void)
{
    struct buf out;
    buf_init(&out, 1 << 16);
    ck_assert_msg(history_migrate(&config, sql_dir(), &out, err, sizeof err), "%s", err);
    buf_free(&out);
}

static inline long number(const char *sql)
{
    return pg_fixture_number(super, sql);
}

/* Waits until the statement's first value is n. */
static inline void wait_number(const char *sql, long n)
{
    uint64_t until = clock_mono_ns() + WAIT_NS;
    long now;
    while ((now = number(sql)) != n) {
        ck_assert_msg(clock_mono_ns() < until, "%s: %ld, not %ld", sql, now, n);
        pg_fixture_nap();
    }
}

#define ROWS  "SELECT count(*) FROM product_change.product_change_history"
#define CALLS "SELECT count(*) FROM product_change.kos_integration_log"

/* ---- the journal ---- */

static inline void open_journal(void)
{
    struct journal_config c = {.path = journal_dir,
                               .max_bytes = 64 << 20,
                               .reserve_bytes = 1 << 20,
                               .queue_max = 4096,
                               .group_max = 128,
                               .retention_ms = 72 * 3600000LL,
                               .key_ms = 24 * 3600000LL};
    journal = journal_open(&c, err, sizeof err);
    ck_assert_msg(journal != NULL, "%s", err);
}

static inline void setup_journal(void)
{
    snprintf(journal_dir, sizeof journal_dir, "/tmp/pcs-history-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(journal_dir));
    mailbox_init(&box, 1, NULL, NULL);
    open_journal();
}

static inline void drop_journal(void)
{
    journal_close(journal);
    mailbox_destroy(&box);
    nftw(journal_dir, pg_fixture_remove, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void deliver_until(const bool *done)
{
    uint64_t until = clock_mono_ns() + WAIT_NS;
    while (!*done) {
        ck_assert_msg(clock_mono_ns() < until, "no answer");
        for (struct msg *m = mailbox_wait(&box, until); m;) {
            struct msg *next = m->next;
            m->deliver(m);
            m = next;
        }
    }
}

static inline void op_done(struct journal_op *op)
{
    *(bool *)op->arg = true;
}

static inline void op_run(struct journal_op *op)
{
    bool done = false;
    op->arg = &done;
    ck_assert(journal_submit(op));
    deliver_until(&done);
}

static inline struct journal_stats journal_counts(void)
{
    struct journal_op op;
    journal_op_init(&op, journal, JOURNAL_STATS, &box, op_done, NULL);
    op_run(&op);
    struct journal_stats stats = op.stats;
    journal_op_clear(&op);
    return stats;
}

/* Waits until the journal has nothing left to forward. */
static inline void wait_forwarded(void)
{
    uint64_t until = clock_mono_ns() + WAIT_NS;
    while (journal_counts().history_pending) {
        ck_assert_msg(clock_mono_ns() < until, "rows are left in the journal");
        pg_fixture_nap();
    }
}

/* A change that failed its pre-check, in every member that the history has. id: room for its UUID. */
static inline struct change_record change_make(char id[UUID_LEN + 1], const char *line, int64_t requested_at)
{
    uuid_v7(id);
    return (struct change_record){
        .request_id = id,
        .line = line,
        .state = CHANGE_INVALID,
        .subject = "user-1",
        .customer_id = "C-1",
        .actor = "user-1",
        .current_code = "LTE_A",
        .current_name = "LTE \"가\" \\ {1,2}",
        .target_code = "5G_B",
        .target_name = "5G 나",
        .requested_at = requested_at,
        .loaded_at = requested_at,
        .validated_at = requested_at + 1,
        .processed_at = requested_at + 2,
        .result_code = "VALIDATION_FAILED",
        .result_message = "상품 사전 체크에 실패하였습니다",
        .failure_reason = "판매 중인 상품이 아닙니다",
        .validation_json =
            "[{\"checkType\":\"PRODUCT_AVAILABLE\",\"result\":\"FAIL\",\"message\":\"판매\"}]"};
}

static inline void record(const struct change_record *c)
{
    struct journal_op op;
    journal_op_init(&op, journal, JOURNAL_RECORD, &box, op_done, NULL);
    op.change = *c;
    op.now = clock_wall_ms();
    op_run(&op);
    ck_assert_msg(op.status == JOURNAL_OK, "RECORD: %s", journal_status_name(op.status));
    journal_op_clear(&op);
}

static inline void record_many(int count, const char *line)
{
    for (int i = 0; i < count; i++) {
        char id[UUID_LEN + 1];
        struct change_record c = change_make(id, line, clock_wall_ms());
        record(&c);
    }
}

static inline void note_call(const char *request_id, int64_t attempt)
{
    struct journal_call call = {.request_id = request_id,
                                .operation = "change",
                                .result_code = "2004",
                                .outcome = "refused",
                                .breaker_state = "CLOSED",
                                .attempt = attempt,
                                .http_status = 200,
                                .milliseconds = 12,
                                .at = clock_wall_ms()};
    struct journal_op op;
    journal_op_init(&op, journal, JOURNAL_CALLS, &box, op_done, NULL);
    op.calls_in = &call;
    op.calls_in_count = 1;
    op_run(&op);
    ck_assert_int_eq(op.status, JOURNAL_OK);
    journal_op_clear(&op);
}

/* ---- the history ---- */

static inline void start_history(void)
{
    history = history_start(&config, journal, err, sizeof err);
    ck_assert_msg(history != NULL, "%s", err);
}

static inline void wait_up(bool up)
{
    uint64_t until = clock_mono_ns() + WAIT_NS;
    while (history_up(history) != up) {
        ck_assert_msg(clock_mono_ns() < until, "the history does not come %s", up ? "up" : "down");
        pg_fixture_nap();
    }
}

static inline void stop_history(void)
{
    history_stop(history, 5000);
    history = NULL;
}

static inline void query_done(struct history_query *q)
{
    *(bool *)q->arg = true;
}

/* Submits and waits for the answer; the caller clears it. Returns how long it took, in milliseconds. */
static inline uint64_t ask(struct history_query *q)
{
    bool done = false;
    uint64_t began = clock_mono_ns();
    q->reply_to = &box;
    q->done = query_done;
    q->arg = &done;
    ck_assert(history_submit(history, q));
    deliver_until(&done);
    return (clock_mono_ns() - began) / NS_PER_MS;
}

static inline void setup_all(void)
{
    setup_database();
    migrate();
    setup_journal();
}

static inline void teardown_all(void)
{
    if (history) {
        stop_history();
    }
    drop_journal();
    leave_database();
}

/* One test program: the server is started once; every test has a database of its own. Not forked: the server
 * and its threads belong to this process. */
static inline int run_tests(const char *name, void (*setup)(void), void (*teardown)(void),
                            const TTest *const *tests, size_t count)
{
    Suite *suite = suite_create(name);
    TCase *tc = tcase_create(name);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    for (size_t i = 0; i < count; i++) {
        tcase_add_test(tc, tests[i]);
    }
    suite_add_tcase(suite, tc);
    log_set_threshold(getenv("TEST_LOG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_OFF);
    metrics_register(history_metrics, history_metrics_count);
    metrics_register(journal_metrics, journal_metrics_count);
    metrics_thread_init();
    pg_fixture_start(&server);
    make_roles();
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    pg_fixture_stop(&server);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
