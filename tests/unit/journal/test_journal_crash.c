/* kill -9 at any instruction (DESIGN.md, "Numbers to design for"): nothing acknowledged is lost, nothing is half done.
 *
 * The program runs itself as the victim: it changes lines as fast as it can and writes every acknowledgement to a pipe.
 * It is killed in mid-load, and, when failpoints are compiled in (PCS_FAILPOINTS), at each of them. */
#include "unit/journal/support.h"

#include "pcs/core/failpoint.h"

#include <signal.h>
#include <spawn.h>
#include <sqlite3.h>
#include <sys/wait.h>

#define LINES   8
#define ACKS    200000
#define CHANGES 600

extern char **environ;

/* ---- the victim ---- */

struct worker {
    struct journal_op op;
    struct journal_event event;
    char id[37], event_id[37], line[32];
    bool ending;
};

static int changes_left;

static void tell(char what, const char *id)
{
    char text[64];
    int n = snprintf(text, sizeof text, "%c%s\n", what, id);
    if (write(STDOUT_FILENO, text, (size_t)n) != n) {
        _exit(3);
    }
}

static void worker_done(struct journal_op *op);

static void worker_next(struct worker *w, bool ending)
{
    w->ending = ending;
    journal_op_init(&w->op, journal, ending ? JOURNAL_OUTCOME : JOURNAL_INTENT, &box, worker_done, w);
    if (ending) {
        w->event = event_make(uuid_v7(w->event_id), w->id, w->line);
        w->op.event = &w->event;
        w->op.change = (struct change_record){
            .request_id = w->id, .state = CHANGE_COMPLETED, .processed_at = T0, .result_code = "0000"};
    } else {
        w->op.change = change_make(uuid_v7(w->id), w->line, CHANGE_SENDING);
        w->op.change.loaded_at = clock_wall_ms() + 3600000;
        w->op.change.idem_key = w->id;
    }
    if (!journal_submit(&w->op)) {
        _exit(4);
    }
}

static void worker_done(struct journal_op *op)
{
    struct worker *w = op->arg;
    bool ok = op->status == JOURNAL_OK;
    journal_op_clear(op);
    if (ok) {
        tell(w->ending ? 'O' : 'I', w->id);
    }
    if (changes_left-- > 0) {
        worker_next(w, ok && !w->ending);
    }
}

static int victim(const char *path, int changes)
{
    static struct worker workers[LINES];
    log_set_threshold(LOG_LEVEL_OFF);
    config = (struct journal_config){.path = path,
                                     .max_bytes = 256 << 20,
                                     .reserve_bytes = 1 << 20,
                                     .queue_max = 64,
                                     .group_max = 16,
                                     .retention_ms = 3650 * 86400000LL, /* T0 is long ago */
                                     .key_ms = 3650 * 86400000LL};
    mailbox_init(&box, 1, NULL, NULL);
    journal = journal_open(&config, err, sizeof err);
    if (!journal) {
        fprintf(stderr, "%s\n", err);
        return 5;
    }
    changes_left = changes;
    for (int i = 0; i < LINES; i++) {
        /* lines of this life: those of an earlier one may still be open */
        snprintf(workers[i].line, sizeof workers[i].line, "010%06d%02d", (int)(getpid() % 1000000), i);
        worker_next(&workers[i], false);
    }
    for (int running = 0; running < LINES;) {
        for (struct msg *m = mailbox_wait(&box, clock_mono_ns() + NS_PER_SEC); m;) {
            struct msg *next = m->next;
            m->deliver(m);
            running += changes_left < 0;
            m = next;
        }
    }
    journal_close(journal);
    return 0;
}

/* ---- the judge ---- */

static char (*acks)[38]; /* 'I' or 'O', then the id */
static size_t ack_count;

static void own_setup(void)
{
    setup();
    close_journal();
    acks = calloc(ACKS, sizeof *acks);
    ack_count = 0;
}

static void own_teardown(void)
{
    free(acks);
    teardown();
}

/* Runs the victim until it ends, or kills it after so many acknowledgements (0: never). True: it was killed. */
static bool run_victim(const char *failpoint, size_t kill_after, int changes)
{
    int pipe_fd[2];
    pid_t pid;
    char self[] = "/proc/self/exe", role[] = "victim", path[64], count[16], variable[128];
    snprintf(path, sizeof path, "%s", dir.path);
    snprintf(count, sizeof count, "%d", changes);
    char *const argv[] = {self, role, path, count, NULL};
    snprintf(variable, sizeof variable, "PCS_FAILPOINT=%s", failpoint ? failpoint : "");
    char no_leak[] = "ASAN_OPTIONS=detect_leaks=0";
    char *const env[] = {variable, no_leak, NULL};
    posix_spawn_file_actions_t actions;
    ck_assert_int_eq(pipe(pipe_fd), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_fd[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, pipe_fd[0]);
    ck_assert_int_eq(posix_spawn(&pid, self, &actions, NULL, argv, env), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(pipe_fd[1]);
    FILE *in = fdopen(pipe_fd[0], "r");
    char text[64];
    size_t before = ack_count;
    while (fgets(text, sizeof text, in)) {
        if (strlen(text) == 38 && ack_count < ACKS) {
            memcpy(acks[ack_count], text, 37);
            acks[ack_count++][37] = '\0';
        }
        if (kill_after && ack_count - before == kill_after) {
            kill(pid, SIGKILL);
        }
    }
    fclose(in);
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status)) {
        ck_assert_int_eq(WTERMSIG(status), SIGKILL);
        return true;
    }
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    return false;
}

static int64_t count_sql(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s;
    ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(s), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return n;
}

/* Everything that was acknowledged is there, and no row tells half a story. */
static void judge(void)
{
    open_journal();
    for (size_t i = 0; i < ack_count; i++) {
        enum change_state s = state_of(acks[i] + 1);
        ck_assert_msg(s != CHANGE_STATES, "%s was acknowledged and is lost", acks[i]);
        ck_assert_msg(acks[i][0] == 'I' || s == CHANGE_COMPLETED, "%s has lost its outcome", acks[i]);
    }
    struct journal_stats st = stats();
    ck_assert_int_eq(st.in_doubt, st.open); /* every SENDING without outcome is in doubt after a crash */
    close_journal();

    char path[128];
    sqlite3 *db;
    sqlite3_stmt *s;
    snprintf(path, sizeof path, "%s/0/journal.db", dir.path);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &s, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(s), SQLITE_ROW);
    ck_assert_str_eq((const char *)sqlite3_column_text(s, 0), "ok");
    sqlite3_finalize(s);
    ck_assert_int_eq(
        sqlite3_exec(db, "CREATE TEMP VIEW heads AS SELECT min(seq) AS seq FROM event_queue GROUP BY line",
                     NULL, NULL, NULL),
        SQLITE_OK);
    static const char *const none[] = {
        "SELECT count(*) FROM open_change JOIN settled USING(request_id)",
        "SELECT count(*) FROM settled WHERE seq NOT IN (SELECT seq FROM history_queue)",
        "SELECT count(*) FROM history_queue WHERE seq NOT IN (SELECT seq FROM settled)",
        "SELECT count(*) FROM settled WHERE request_id NOT IN (SELECT request_id FROM event)",
        "SELECT count(*) FROM event WHERE seq NOT IN (SELECT seq FROM event_queue)",
        "SELECT count(*) FROM open_change WHERE idem_key NOT IN (SELECT key FROM idem_key)",
        "SELECT count(*) FROM settled WHERE idem_key NOT IN (SELECT key FROM idem_key)",
        "SELECT count(*) FROM event_queue WHERE head<>(seq IN (SELECT seq FROM heads))",
        "SELECT count(*) FROM open_change WHERE line NOT IN (SELECT line FROM invalidation)"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        ck_assert_msg(count_sql(db, none[i]) == 0, "%s", none[i]);
    }
    sqlite3_close(db);
}

/* Killed in mid-load, again and again, on the same file. */
START_TEST(killed_in_mid_load)
{
    for (int round = 0; round < 6; round++) {
        ck_assert(run_victim(NULL, 50 + (size_t)round * 70, 1000000));
        judge();
    }
    ck_assert_uint_gt(ack_count, 500);
}
END_TEST

START_TEST(ends_in_order)
{
    ck_assert(!run_victim(NULL, 0, CHANGES));
    ck_assert_uint_gt(ack_count, CHANGES);
    judge();
}
END_TEST

#ifdef PCS_FAILPOINTS
/* At every named step, on its first and on a later passage. */
START_TEST(killed_at_each_failpoint)
{
    const char *names[256];
    size_t n = failpoint_names(names, 256), reached = 0;
    for (size_t i = 0; i < n; i++) {
        char spec[128];
        bool hit = run_victim(names[i], 0, CHANGES);
        judge();
        snprintf(spec, sizeof spec, "%s:23", names[i]);
        (void)run_victim(spec, 0, CHANGES);
        judge();
        reached += hit;
        /* made once; or only after a disk error */
        bool rare = strcmp(names[i], "journal.undo_saved") == 0 ||
                    strcmp(names[i], "journal.schema_half") == 0 ||
                    strcmp(names[i], "journal.file_made") == 0;
        ck_assert_msg(hit || rare, "%s was not reached", names[i]);
    }
    ck_assert_uint_gt(reached, 6);
}
END_TEST

/* The file's making, each on an empty directory. */
START_TEST(killed_while_the_file_is_made)
{
    static const char *const names[] = {"journal.schema_half", "journal.file_made"};
    teardown();
    setup();
    char path[128];
    for (size_t i = 0; i < 2; i++) {
        close_journal();
        snprintf(path, sizeof path, "%s/0/journal.db", dir.path);
        ck_assert_int_eq(unlink(path), 0);
        if (i == 0) {
            ck_assert(run_victim(names[0], 0, CHANGES));
        } else {
            (void)run_victim(names[1], 0, CHANGES);
        }
        judge();
    }
}
END_TEST
#endif

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "victim") == 0) {
        return victim(argv[2], (int)strtol(argv[3], NULL, 10));
    }
    Suite *s = suite_create("journal.crash");
    TCase *t = tcase_create("crash");
    tcase_add_checked_fixture(t, own_setup, own_teardown);
    tcase_set_timeout(t, 110);
    tcase_add_test(t, killed_in_mid_load);
    tcase_add_test(t, ends_in_order);
#ifdef PCS_FAILPOINTS
    tcase_add_test(t, killed_at_each_failpoint);
    tcase_add_test(t, killed_while_the_file_is_made);
#endif
    suite_add_tcase(s, t);
    return run_suite(s);
}
