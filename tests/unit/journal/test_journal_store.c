/* The file: restarts, slots, damage, versions, limits, retention (DESIGN.md, "The journal"; PITFALLS of SQLite). */
#include "unit/journal/support.h"

#include "journal/metrics.h"
#include "pcs/core/config.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

static const char *const A = "01900000-0000-7000-8000-00000000000a";
static const char *const B = "01900000-0000-7000-8000-00000000000b";

static void path_of(char out[128], const char *name)
{
    snprintf(out, 128, "%s/0/%s", dir.path, name);
}

static void sql_on_file(const char *sql)
{
    char path[128];
    sqlite3 *db;
    path_of(path, "journal.db");
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static int mode_of(const char *path)
{
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    return (int)(st.st_mode & 0777);
}

/* Directories 0700, files 0600, whatever the umask says. */
START_TEST(files_are_private)
{
    static const char *const names[] = {"journal.db", "journal.db-wal", "lock", "reserve"};
    char path[128];
    ck_assert_int_eq(intent(A, LINE_A, CHANGE_SENDING), JOURNAL_OK);
    snprintf(path, sizeof path, "%s/0", dir.path);
    ck_assert_int_eq(mode_of(path), 0700);
    for (size_t i = 0; i < 4; i++) {
        path_of(path, names[i]);
        ck_assert_msg(mode_of(path) == 0600, "%s", names[i]);
    }
    path_of(path, "journal.db-shm");
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

/* Everything open is there when it returns; what was being sent is in doubt; outcomes still rule loads. */
START_TEST(restart_keeps_everything)
{
    char instance[64];
    snprintf(instance, sizeof instance, "%s", journal_instance(journal));
    ck_assert_uint_eq(strlen(instance), UUID_LEN);
    char done[37], line[32] = "01077770001";
    int64_t now = clock_wall_ms();
    struct change_record c = change_make(uuid_v7(done), line, CHANGE_SENDING);
    c.loaded_at = now;
    ck_assert_int_eq(change_do(JOURNAL_INTENT, &c), JOURNAL_OK);
    ck_assert_int_eq(outcome_at(done, CHANGE_COMPLETED, now), JOURNAL_OK);
    ck_assert_int_eq(intent(A, LINE_A, CHANGE_SENDING), JOURNAL_OK);
    ck_assert_int_eq(intent(B, LINE_B, CHANGE_ACCEPTED), JOURNAL_OK);
    struct journal_stats before = stats();
    ck_assert_int_eq(before.in_doubt, 0);
    close_journal();
    open_journal();

    ck_assert_str_eq(journal_instance(journal), instance);
    struct journal_stats after = stats();
    ck_assert_int_eq(after.open, 2);
    ck_assert_int_eq(after.in_doubt, 1);
    ck_assert_int_ge(after.oldest_doubt_at, now);
    ck_assert_int_eq(after.history_pending, before.history_pending);
    ck_assert_int_eq(after.invalidations, before.invalidations);
    ck_assert_int_eq(state_of(A), CHANGE_SENDING);
    ck_assert_int_eq(state_of(B), CHANGE_ACCEPTED);
    ck_assert_int_eq(state_of(done), CHANGE_COMPLETED);

    char id[37];
    c = change_make(uuid_v7(id), line, CHANGE_SENDING);
    c.loaded_at = now;
    ck_assert_int_eq(change_do(JOURNAL_INTENT, &c), JOURNAL_RELOAD);
    c.loaded_at = now + 1;
    ck_assert_int_eq(change_do(JOURNAL_INTENT, &c), JOURNAL_OK);
    /* older than what is remembered: nothing is known about it, so it is loaded again */
    c = change_make(uuid_v7(id), "01077770002", CHANGE_SENDING);
    c.loaded_at = now - 3600000;
    ck_assert_int_eq(change_do(JOURNAL_INTENT, &c), JOURNAL_RELOAD);
}
END_TEST

/* The log is emptied when the journal is closed in order; nothing but the file is needed then. */
START_TEST(close_checkpoints)
{
    char path[128];
    ck_assert_int_eq(intent(A, LINE_A, CHANGE_SENDING), JOURNAL_OK);
    close_journal();
    path_of(path, "journal.db-wal");
    ck_assert_int_ne(access(path, F_OK), 0);
    open_journal();
    ck_assert_int_eq(state_of(A), CHANGE_SENDING);
}
END_TEST

/* The log is written back and emptied while nothing else is to be done. */
START_TEST(idle_truncates_the_log)
{
    char path[128];
    struct stat st = {.st_size = 1};
    path_of(path, "journal.db-wal");
    ck_assert_int_eq(intent(A, LINE_A, CHANGE_SENDING), JOURNAL_OK);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_gt(st.st_size, 0);
    uint64_t until = clock_mono_ns() + 20 * NS_PER_SEC;
    while (st.st_size > 0 && clock_mono_ns() < until) {
        usleep(20000);
        ck_assert_int_eq(stat(path, &st), 0);
    }
    ck_assert_int_eq(st.st_size, 0);
}
END_TEST

/* An instance takes the first slot whose lock it gets; one without an owner is counted. */
START_TEST(second_instance_takes_the_next_slot)
{
    ck_assert_uint_eq(journal_slot(journal), 0);
    struct journal *second = journal_open(&config, err, sizeof err);
    ck_assert_msg(second != NULL, "%s", err);
    ck_assert_uint_eq(journal_slot(second), 1);
    ck_assert_str_ne(journal_instance(second), journal_instance(journal));
    ck_assert_uint_eq(journal_orphans(journal), 0);
    journal_close(second);
    ck_assert_uint_eq(journal_orphans(journal), 1);
    close_journal();
    open_journal();
    ck_assert_uint_eq(journal_slot(journal), 0);
}
END_TEST

static void refuse(const char *word, const char *second_word)
{
    journal = journal_open(&config, err, sizeof err);
    ck_assert_ptr_null(journal);
    ck_assert_msg(strstr(err, word) && strstr(err, second_word), "%s", err);
    ck_assert_ptr_nonnull(strstr(err, "/0/journal.db"));
}

static void overwrite(off_t at, const void *bytes, size_t len)
{
    char path[128];
    path_of(path, "journal.db");
    int fd = open(path, O_RDWR);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, bytes, len, at), (ssize_t)len);
    close(fd);
}

/* Damage is told, the file is kept as it is, and the slot is not skipped for an empty one. */
START_TEST(damaged_file_is_refused)
{
    char path[128];
    struct stat before, after;
    ck_assert_int_eq(intent(A, LINE_A, CHANGE_SENDING), JOURNAL_OK);
    close_journal();
    path_of(path, "journal.db");
    overwrite(0, "this is no database at all......", 32);
    ck_assert_int_eq(stat(path, &before), 0);
    refuse("damaged", "left as it is");
    ck_assert_int_eq(stat(path, &after), 0);
    ck_assert_int_eq(before.st_size, after.st_size);
    snprintf(path, sizeof path, "%s/1", dir.path);
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

/* Damage inside a hot table is found by the check at start. */
START_TEST(damaged_hot_table_is_refused)
{
    char id[37], line[32], junk[4096];
    for (int i = 0; i < 40; i++) {
        snprintf(line, sizeof line, "0108888%04d", i);
        ck_assert_int_eq(intent(uuid_v7(id), line, CHANGE_ACCEPTED), JOURNAL_OK);
    }
    close_journal();
    char path[128];
    sqlite3 *db;
    sqlite3_stmt *s;
    path_of(path, "journal.db");
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_int_eq(
        sqlite3_prepare_v2(db, "SELECT rootpage FROM sqlite_schema WHERE name='open_change'", -1, &s, NULL),
        SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(s), SQLITE_ROW);
    int page = sqlite3_column_int(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    memset(junk, 0xa5, sizeof junk);
    overwrite((off_t)(page - 1) * 4096, junk, sizeof junk);
    refuse("damaged", "left as it is");
}
END_TEST

START_TEST(newer_version_is_refused)
{
    close_journal();
    sql_on_file("PRAGMA user_version=99");
    refuse("version 99", "newer program");
}
END_TEST

START_TEST(foreign_database_is_refused)
{
    char path[128];
    close_journal();
    path_of(path, "journal.db");
    ck_assert_int_eq(unlink(path), 0);
    sql_on_file("CREATE TABLE t(x)");
    refuse("not a journal", "left as it is");
}
END_TEST

START_TEST(unusable_path_is_told)
{
    struct journal_config c = config;
    char path[128];
    path_of(path, "lock/below");
    c.path = path;
    ck_assert_ptr_null(journal_open(&c, err, sizeof err));
    ck_assert_msg(strstr(err, "cannot make the directory") != NULL, "%s", err);
}
END_TEST

/* New changes stop while outcomes still fit; the journal takes them again when there is room. */
START_TEST(size_limit_stops_intents_not_outcomes)
{
    char ids[4000][37], line[32];
    close_journal();
    config.max_bytes = 1 << 20;
    config.reserve_bytes = 256 << 10;
    config.retention_ms = 1;
    open_journal();
    int n = 0;
    enum journal_status status;
    do {
        snprintf(line, sizeof line, "0109%07d", n);
        status = intent(uuid_v7(ids[n]), line, CHANGE_SENDING);
    } while (status == JOURNAL_OK && ++n < 3999);
    ck_assert_int_eq(status, JOURNAL_FULL);
    ck_assert_int_gt(n, 20);
    ck_assert(!journal_writable(journal));
    struct change_record r = change_make("r", LINE_A, CHANGE_INVALID);
    ck_assert_int_eq(change_do(JOURNAL_RECORD, &r), JOURNAL_FULL);
    for (int i = 0; i < n; i++) {
        ck_assert_int_eq(outcome_at(ids[i], CHANGE_COMPLETED, T0), JOURNAL_OK);
    }
    ck_assert_int_eq(stats().open, 0);

    /* forwarded rows of an age make room */
    struct journal_op op = op_make(JOURNAL_HISTORY_PULL);
    op.limit = 10000;
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    struct journal_op ack = op_make(JOURNAL_HISTORY_ACK);
    ack.ack_rows = op.seqs;
    ack.ack_row_count = op.list_count;
    ck_assert_int_eq(op_run(&ack), JOURNAL_OK);
    journal_op_clear(&ack);
    journal_op_clear(&op);
    uint64_t until = clock_mono_ns() + 20 * NS_PER_SEC;
    while (!journal_writable(journal) && clock_mono_ns() < until) {
        usleep(20000);
    }
    ck_assert(journal_writable(journal));
}
END_TEST

/* Retention: forwarded and delivered rows of an age go; what is still to be done, or dead, stays. */
START_TEST(retention_removes_only_what_is_done)
{
    char ids[3][37];
    close_journal();
    config.retention_ms = 1;
    open_journal();
    for (int i = 0; i < 3; i++) {
        struct journal_event e = event_make(uuid_v7(ids[i]), ids[i], NULL);
        struct journal_op op = op_make(JOURNAL_RECORD);
        op.change = change_make(ids[i], i ? LINE_B : LINE_A, CHANGE_NOT_SENT);
        op.change.processed_at = T0 - 100000;
        op.event = i == 1 ? &e : NULL;
        ck_assert_int_eq(op_run(&op), JOURNAL_OK);
        journal_op_clear(&op);
    }
    struct journal_op op = op_make(JOURNAL_HISTORY_PULL);
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    struct journal_op ack = op_make(JOURNAL_HISTORY_ACK);
    ack.ack_rows = op.seqs; /* the third is not forwarded, the second not delivered */
    ack.ack_row_count = 2;
    ck_assert_int_eq(op_run(&ack), JOURNAL_OK);
    journal_op_clear(&ack);
    journal_op_clear(&op);
    uint64_t until = clock_mono_ns() + 20 * NS_PER_SEC;
    while (state_of(ids[0]) != CHANGE_STATES && clock_mono_ns() < until) {
        usleep(10000);
    }
    ck_assert_int_eq(state_of(ids[0]), CHANGE_STATES);
    ck_assert_int_eq(state_of(ids[1]), CHANGE_NOT_SENT);
    ck_assert_int_eq(state_of(ids[2]), CHANGE_NOT_SENT);

    op = op_make(JOURNAL_EVENTS_PULL);
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    ck_assert_uint_eq(op.event_count, 1);
    struct journal_op sent = op_make(JOURNAL_EVENT_ATTEMPT);
    sent.attempt = (struct journal_attempt){.seq = op.events[0].seq, .at = T0, .status = 200};
    ck_assert_int_eq(op_run(&sent), JOURNAL_OK);
    journal_op_clear(&sent);
    journal_op_clear(&op);
    until = clock_mono_ns() + 20 * NS_PER_SEC;
    while (state_of(ids[1]) != CHANGE_STATES && clock_mono_ns() < until) {
        usleep(10000);
    }
    ck_assert_int_eq(state_of(ids[1]), CHANGE_STATES);
    ck_assert_int_eq(state_of(ids[2]), CHANGE_NOT_SENT);
}
END_TEST

/* A key counts from requested_at, and its replay needs the change: also when the clock was set back before the change was
 * processed (CONTRACT.md 1, Idempotency-Key). It holds up nothing: the one behind it goes. */
START_TEST(retention_waits_for_the_later_of_a_changes_times)
{
    char young[37], old[37];
    close_journal();
    config.retention_ms = 1000;
    open_journal();
    const int64_t now = clock_wall_ms();
    for (int i = 1; i >= 0; i--) {
        struct change_record c = change_make(uuid_v7(i ? young : old), i ? LINE_B : LINE_A, CHANGE_NOT_SENT);
        c.requested_at = i ? now + 3600000 : now - 3 * config.retention_ms;
        c.processed_at = now - 2 * config.retention_ms;
        ck_assert_int_eq(change_do(JOURNAL_RECORD, &c), JOURNAL_OK);
    }
    struct journal_op op = op_make(JOURNAL_HISTORY_PULL);
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    struct journal_op ack = op_make(JOURNAL_HISTORY_ACK);
    ack.ack_rows = op.seqs;
    ack.ack_row_count = op.list_count;
    ck_assert_int_eq(op_run(&ack), JOURNAL_OK);
    journal_op_clear(&ack);
    journal_op_clear(&op);
    uint64_t until = clock_mono_ns() + 20 * NS_PER_SEC;
    while (state_of(old) != CHANGE_STATES && clock_mono_ns() < until) {
        usleep(10000);
    }
    ck_assert_int_eq(state_of(old), CHANGE_STATES);
    ck_assert_int_eq(state_of(young), CHANGE_NOT_SENT);
}
END_TEST

/* A full queue is an answer; what ends something is never refused; closing answers what is queued. */
START_TEST(queue_is_bounded_and_close_answers)
{
    enum { N = 600 };
    static struct journal_op ops[N], last;
    static bool done[N], last_done;
    static char ids[N][37];
    close_journal();
    config.queue_max = 16;
    config.group_max = 4;
    open_journal();
    int taken = 0, refused = 0;
    for (int i = 0; i < N; i++) {
        op_start(&ops[i], JOURNAL_CLAIM, &done[i]);
        ops[i].change = (struct change_record){.request_id = uuid_v7(ids[i]), .line = ids[i]};
        if (journal_submit(&ops[i])) {
            taken++;
        } else {
            done[i] = true;
            ops[i].status = JOURNAL_FULL;
            refused++;
        }
    }
    op_start(&last, JOURNAL_OUTCOME, &last_done);
    last.change = (struct change_record){.request_id = A, .state = CHANGE_COMPLETED};
    ck_assert(journal_submit(&last));
    journal_close(journal);
    journal = NULL;
    for (int i = 0; i < N; i++) {
        op_wait(&ops[i]);
        journal_op_clear(&ops[i]);
    }
    op_wait(&last);
    ck_assert_int_eq(last.status, JOURNAL_NOT_FOUND);
    journal_op_clear(&last);
    ck_assert_int_gt(taken, 15);
    ck_assert_int_eq(taken + refused, N);
}
END_TEST

/* What Prometheus is told is what the journal knows. */
START_TEST(metrics_follow_the_counts)
{
    int intents = (int)metric_value(&journal_metric_operations, JOURNAL_INTENT);
    ck_assert_int_eq(intent(A, LINE_A, CHANGE_SENDING), JOURNAL_OK);
    ck_assert_int_eq(intent(B, LINE_B, CHANGE_SENDING), JOURNAL_OK);
    struct change_record doubt = {.request_id = A, .in_doubt = true, .doubt_since = T0};
    ck_assert_int_eq(change_do(JOURNAL_DOUBT, &doubt), JOURNAL_OK);
    ck_assert_int_eq(outcome_at(B, CHANGE_COMPLETED, T0), JOURNAL_OK);
    (void)stats(); /* the gauges are set after the answers */
    ck_assert_int_eq((int)metric_value(&journal_metric_open, 0), 1);
    ck_assert_int_eq((int)metric_value(&journal_metric_in_doubt, 0), 1);
    ck_assert_int_eq((int)metric_value(&journal_metric_pending, SINK_HISTORY), 1);
    ck_assert_int_eq((int)metric_value(&journal_metric_pending, SINK_EVENTS), 0);
    ck_assert_int_eq((int)metric_value(&journal_metric_pending, SINK_INVALIDATIONS), 2);
    ck_assert_int_eq((int)metric_value(&journal_metric_writable, 0), 1);
    ck_assert_int_eq((int)metric_value(&journal_metric_operations, JOURNAL_INTENT), intents + 2);
    ck_assert_int_gt((int)metric_value(&journal_metric_bytes, 0), 0);
    struct buf text;
    buf_init(&text, 1 << 16);
    metrics_print(&text);
    ck_assert_ptr_nonnull(strstr(text.data, "pcs_journal_commit_seconds_count"));
    ck_assert_ptr_nonnull(strstr(text.data, "pcs_journal_operations_total{verb=\"outcome\"}"));
    buf_free(&text);
    for (int i = 0; i < JOURNAL_VERBS; i++) {
        ck_assert_ptr_nonnull(journal_metric_operations.labels[i]);
    }
}
END_TEST

/* Settings: the documented defaults are accepted, the cross-field rules name the setting. */
START_TEST(settings)
{
    const struct config_section *const sections[] = {&journal_config_section};
    char *const none[] = {NULL};
    struct config *c = config_load(sections, 1, NULL, none, err, sizeof err);
    ck_assert_msg(c != NULL, "%s", err);
    const struct journal_config *values = config_values(c, &journal_config_section);
    ck_assert_str_eq(values->path, "/var/lib/product-change-service");
    ck_assert_int_eq(values->retention_ms, 72 * 3600000LL);
    ck_assert_int_eq(values->key_ms, 24 * 3600000LL);
    config_unref(c);
    char path[] = "JOURNAL_PATH=/x", reserve[] = "JOURNAL_RESERVE=3MiB", size[] = "JOURNAL_MAX_SIZE=4MiB";
    char *const bad[] = {path, reserve, size, NULL};
    ck_assert_ptr_null(config_load(sections, 1, NULL, bad, err, sizeof err));
    ck_assert_ptr_nonnull(strstr(err, "journal.reserve"));
    char keep[] = "IDEMPOTENCY_KEEP=48h", retention[] = "JOURNAL_RETENTION=24h";
    char *const worse[] = {keep, retention, NULL};
    ck_assert_ptr_null(config_load(sections, 1, NULL, worse, err, sizeof err));
    ck_assert_ptr_nonnull(strstr(err, "idempotency.keep"));
}
END_TEST

int main(void)
{
    metrics_register(journal_metrics, journal_metrics_count); /* before any thread */
    Suite *s = suite_create("journal.store");
    TCase *t = tcase_create("store");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, files_are_private);
    tcase_add_test(t, restart_keeps_everything);
    tcase_add_test(t, close_checkpoints);
    tcase_add_test(t, idle_truncates_the_log);
    tcase_add_test(t, second_instance_takes_the_next_slot);
    tcase_add_test(t, damaged_file_is_refused);
    tcase_add_test(t, damaged_hot_table_is_refused);
    tcase_add_test(t, newer_version_is_refused);
    tcase_add_test(t, foreign_database_is_refused);
    tcase_add_test(t, unusable_path_is_told);
    tcase_add_test(t, size_limit_stops_intents_not_outcomes);
    tcase_add_test(t, retention_removes_only_what_is_done);
    tcase_add_test(t, retention_waits_for_the_later_of_a_changes_times);
    tcase_add_test(t, queue_is_bounded_and_close_answers);
    tcase_add_test(t, metrics_follow_the_counts);
    tcase_add_test(t, settings);
    suite_add_tcase(s, t);
    return run_suite(s);
}
