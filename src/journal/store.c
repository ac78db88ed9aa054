/* store.c - SQLite, set up so that a commit is on disk when it returns.
 *
 * EXCLUSIVE before WAL: no shared-memory file, and no other process can get in between. FULL: one fdatasync a
 * commit. Checkpoints are our own: PASSIVE when the log is long, TRUNCATE when nothing else is to be done. */
#include "journal/store.h"

#include "journal/schema.h"
#include "journal/slot.h"
#include "journal/vfs.h"
#include "pcs/core/buf.h"
#include "pcs/core/failpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CACHE_KIB 32768
/* A change touches some fifteen pages and fills a fraction of each: half of SQLite's 4096 halves what is summed up, copied
 * and written for each commit, and a change's longest row still fits into one. */
#define PAGE_BYTES 2048

/* SQLite would make the file with the umask's rights; it gives its log the rights of the file. Never opened
 * here again while a connection is open: closing a second descriptor would drop SQLite's locks. */
static bool make_file(const char *file, int dir_fd, char *err, size_t errlen)
{
    struct stat st;
    if (stat(file, &st) == 0) {
        return true;
    }
    int fd = slot_open_file(dir_fd, strrchr(file, '/') + 1, O_RDWR);
    if (fd < 0 || fsync(fd) != 0 || fsync(dir_fd) != 0) {
        snprintf(err, errlen, "journal: cannot make %s (%s)", file, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    close(fd);
    return true;
}

/* Runs a pragma and compares its answer. */
static bool pragma_is(sqlite3 *db, const char *sql, const char *expected)
{
    sqlite3_stmt *s = NULL;
    bool ok = sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW &&
              strcmp((const char *)sqlite3_column_text(s, 0), expected) == 0;
    sqlite3_finalize(s);
    return ok;
}

static int on_commit(void *arg, sqlite3 *db, const char *name, int pages)
{
    struct store *s = arg;
    (void)db;
    (void)name;
    s->frames += pages > s->log_pages ? pages - s->log_pages : pages; /* fewer: the log began anew */
    s->log_pages = pages;
    s->log_in_file = true;
    return SQLITE_OK;
}

static bool set_up(struct store *s, int64_t max_bytes, char *err, size_t errlen)
{
    char sql[512];
    sqlite3_extended_result_codes(s->db, 1);
    snprintf(sql, sizeof sql, "PRAGMA page_size=%d", PAGE_BYTES); /* of a new file only */
    sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    if (!pragma_is(s->db, "PRAGMA locking_mode=EXCLUSIVE", "exclusive") ||
        !pragma_is(s->db, "PRAGMA journal_mode=WAL", "wal")) {
        int rc = sqlite3_errcode(s->db);
        snprintf(err, errlen, "journal: %s %s (%s); it was left as it is", s->file,
                 rc == SQLITE_NOTADB || rc == SQLITE_CORRUPT ? "is damaged" : "cannot be opened for writing",
                 sqlite3_errmsg(s->db));
        return false;
    }
    s->log_in_file = true; /* of an earlier process */
    snprintf(sql, sizeof sql,
             "PRAGMA synchronous=FULL;PRAGMA wal_autocheckpoint=0;PRAGMA journal_size_limit=-1;"
             "PRAGMA secure_delete=ON;PRAGMA temp_store=MEMORY;PRAGMA cache_size=-%d;PRAGMA "
             "trusted_schema=OFF;PRAGMA cell_size_check=ON;",
             CACHE_KIB);
    int64_t page_size = 0;
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK &&
        pragma_is(s->db, "PRAGMA synchronous", "2") &&
        sqlite3_prepare_v2(s->db, "PRAGMA page_size", -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW) {
        page_size = sqlite3_column_int64(stmt, 0);
    }
    sqlite3_finalize(stmt);
    if (page_size <= 0) {
        snprintf(err, errlen, "journal: %s cannot be set up (%s)", s->file, sqlite3_errmsg(s->db));
        return false;
    }
    s->page_size = page_size;
    s->max_pages = max_bytes / page_size;
    snprintf(sql, sizeof sql, "PRAGMA max_page_count=%lld", (long long)s->max_pages);
    sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    sqlite3_wal_hook(s->db, on_commit, s);
    return true;
}

static bool prepare_all(struct store *s, char *err, size_t errlen)
{
    struct buf text;
    buf_init(&text, 16384);
    bool ok = true;
    for (int i = 0; ok && i < SQL_STATEMENTS; i++) {
        buf_reset(&text);
        sql_text((enum sql)i, &text);
        ok = buf_ok(&text) && sqlite3_prepare_v3(s->db, text.data, -1, SQLITE_PREPARE_PERSISTENT,
                                                 &s->statements[i], NULL) == SQLITE_OK;
    }
    if (!ok) {
        snprintf(err, errlen, "journal: %s does not fit this program (%s)", s->file, sqlite3_errmsg(s->db));
    }
    buf_free(&text);
    return ok;
}

bool store_open(struct store *s, const char *file, int dir_fd, int64_t max_bytes, bool everything, char *err,
                size_t errlen)
{
    *s = (struct store){0};
    if (snprintf(s->file, sizeof s->file, "%s", file) >= (int)sizeof s->file) {
        snprintf(err, errlen, "journal: the path is too long");
        return false;
    }
    if (!make_file(file, dir_fd, err, errlen)) {
        return false;
    }
    FAILPOINT("journal.file_made");
    int rc = journal_vfs_register();
    if (rc == SQLITE_OK) {
        rc = sqlite3_open_v2(file, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, JOURNAL_VFS);
    }
    if (rc != SQLITE_OK) {
        snprintf(err, errlen, "journal: cannot open %s (%s)", file,
                 s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc));
        store_close(s);
        return false;
    }
    if (!set_up(s, max_bytes, err, errlen) || !schema_migrate(s->db, file, err, errlen) ||
        !schema_check(s->db, file, everything, err, errlen) || !prepare_all(s, err, errlen)) {
        store_close(s);
        return false;
    }
    return true;
}

void store_close(struct store *s)
{
    for (int i = 0; i < SQL_STATEMENTS; i++) {
        sqlite3_finalize(s->statements[i]);
        s->statements[i] = NULL;
    }
    if (s->db) {
        sqlite3_close_v2(s->db); /* writes the log back and removes it */
        s->db = NULL;
    }
}

sqlite3_stmt *store_get(struct store *s, enum sql id)
{
    return s->statements[id];
}

int store_run(sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);
    int again = sqlite3_reset(stmt);
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : again != SQLITE_OK ? again : rc;
}

int store_do(struct store *s, enum sql id)
{
    return store_run(s->statements[id]);
}

int store_number(struct store *s, enum sql id, int64_t *number)
{
    sqlite3_stmt *stmt = s->statements[id];
    int rc = sqlite3_step(stmt);
    *number = rc == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : 0;
    sqlite3_reset(stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int64_t store_changes(const struct store *s)
{
    return sqlite3_changes64(s->db);
}

int64_t store_last_id(const struct store *s)
{
    return sqlite3_last_insert_rowid(s->db);
}

bool store_fatal(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ERROR:
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
        return false;
    default:
        return true;
    }
}

bool store_is_full(int rc)
{
    return (rc & 0xff) == SQLITE_FULL;
}

const char *store_error(const struct store *s)
{
    return s->db ? sqlite3_errmsg(s->db) : "closed";
}

int store_bytes(struct store *s, int64_t *used, int64_t *room)
{
    int64_t pages = 0, unused = 0;
    int rc = store_number(s, SQL_PAGE_COUNT, &pages);
    if (rc == SQLITE_OK) {
        rc = store_number(s, SQL_FREE_COUNT, &unused);
    }
    *used = pages * s->page_size + (int64_t)s->log_pages * s->page_size;
    *room = (s->max_pages - pages + unused) * s->page_size;
    return rc;
}

int store_checkpoint(struct store *s, bool truncate)
{
    int pages = 0, written = 0;
    if (truncate ? !s->log_in_file : s->log_pages * s->page_size < CHECKPOINT_BYTES) {
        return SQLITE_OK;
    }
    FAILPOINT("journal.before_checkpoint");
    int rc = sqlite3_wal_checkpoint_v2(
        s->db, NULL, truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE, &pages, &written);
    if (rc == SQLITE_OK) {
        s->log_pages = 0; /* one connection: everything was written back */
        s->log_in_file = !truncate;
    }
    FAILPOINT("journal.after_checkpoint");
    return rc;
}
