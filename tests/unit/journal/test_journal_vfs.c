/* The file layer under SQLite: what is gathered is in the file when the commit returns, whole or not at all. */
#include "journal/vfs.h"
#include "unit/journal/support.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <unistd.h>

static char file[128], log_path[160];
static sqlite3 *db;

static int64_t number(sqlite3 *of, const char *sql)
{
    sqlite3_stmt *s = NULL;
    ck_assert_int_eq(sqlite3_prepare_v2(of, sql, -1, &s, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(s), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return n;
}

static int run(const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static void set_up(void)
{
    snprintf(dir.path, sizeof dir.path, "/tmp/pcs-vfs-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir.path));
    snprintf(file, sizeof file, "%s/vfs.db", dir.path);
    snprintf(log_path, sizeof log_path, "%s-wal", file);
    ck_assert_int_eq(journal_vfs_register(), SQLITE_OK);
    ck_assert_int_eq(journal_vfs_register(), SQLITE_OK); /* twice is once */
    ck_assert_int_eq(sqlite3_open_v2(file, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, JOURNAL_VFS),
                     SQLITE_OK);
    ck_assert_int_eq(run("PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                         "PRAGMA wal_autocheckpoint=0; CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB)"),
                     SQLITE_OK);
}

static void tear_down(void)
{
    sqlite3_close(db);
    nftw(dir.path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* The log as another process would find it after a crash: copied beside a copy of the file, and recovered. */
static int64_t rows_after_a_crash(void)
{
    char copy[160], command[1024];
    snprintf(copy, sizeof copy, "%s.copy", file);
    snprintf(command, sizeof command, "cp %s %s && cp %s %s-wal", file, copy, log_path, copy);
    ck_assert_int_eq(system(command), 0);
    sqlite3 *other = NULL;
    ck_assert_int_eq(sqlite3_open_v2(copy, &other, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    int64_t rows = number(other, "SELECT count(*) FROM t");
    ck_assert_int_eq(number(other, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check<>'ok'"),
                     0);
    sqlite3_close(other);
    return rows;
}

/* PITFALLS.md 5: what a commit has returned is in the log. One row, and far more than is gathered at once. */
START_TEST(a_commit_is_in_the_file)
{
    ck_assert_int_eq(run("INSERT INTO t(x) VALUES(1)"), SQLITE_OK);
    ck_assert_int_eq(rows_after_a_crash(), 1);
    ck_assert_int_eq(run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<999)"
                         " INSERT INTO t(x) SELECT randomblob(3000) FROM n"),
                     SQLITE_OK);
    ck_assert_int_eq(rows_after_a_crash(), 1000);
    ck_assert_int_eq(run("PRAGMA wal_checkpoint(PASSIVE); DELETE FROM t WHERE id>500"), SQLITE_OK);
    ck_assert_int_eq(rows_after_a_crash(), 500);
}
END_TEST

/* Pages that a small cache gives to the log before the commit are read back from where they were gathered. */
START_TEST(pages_given_up_early_are_read_back)
{
    ck_assert_int_eq(run("PRAGMA cache_size=10; PRAGMA cache_spill=1; BEGIN;"
                         "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<400)"
                         " INSERT INTO t(x) SELECT zeroblob(3000) FROM n; UPDATE t SET x=id"),
                     SQLITE_OK);
    ck_assert_int_eq(number(db, "SELECT sum(x) FROM t"), 400 * 401 / 2);
    ck_assert_int_eq(run("ROLLBACK"), SQLITE_OK);
    ck_assert_int_eq(number(db, "SELECT count(*) FROM t"), 0);
}
END_TEST

/* A log that cannot grow fails the commit; afterwards the file is as it was, and the next commit holds. */
START_TEST(a_failed_write_fails_the_commit)
{
    struct rlimit before, small;
    ck_assert_int_eq(run("INSERT INTO t(x) VALUES(1)"), SQLITE_OK);
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 65536;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    int rc = run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<100)"
                 " INSERT INTO t(x) SELECT zeroblob(3000) FROM n");
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    ck_assert_int_ne(rc, SQLITE_OK);
    ck_assert_int_eq(number(db, "SELECT count(*) FROM t"), 1);
    ck_assert_int_eq(run("INSERT INTO t(x) VALUES(2)"), SQLITE_OK);
    ck_assert_int_eq(rows_after_a_crash(), 2);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("journal.vfs");
    TCase *t = tcase_create("vfs");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, a_commit_is_in_the_file);
    tcase_add_test(t, pages_given_up_early_are_read_back);
    tcase_add_test(t, a_failed_write_fails_the_commit);
    suite_add_tcase(s, t);
    return run_suite(s);
}
