/* backup.c - a copy of the journal's file (pcs/journal/backup.h, verb BACKUP).
 *
 * The copy is not synced by the journal's thread, since that would hold up every commit behind it: whoever asked for it does
 * that when he takes it away. */
#include "journal/backup.h"

#include "journal/internal.h"
#include "journal/schema.h"
#include "pcs/core/clock.h"
#include "pcs/core/log.h"
#include "pcs/journal/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define STEP_PAGES   256 /* 1 MiB: about a millisecond */
#define BUSY_WAIT_NS (5 * NS_PER_MS)

/* ---- the copy ---- */

static bool make_file(const char *file, char *err, size_t errlen)
{
    unlink(file); /* of a copy that nobody took away */
    int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        snprintf(err, errlen, "%s cannot be made (%s)", file, strerror(errno));
        return false;
    }
    close(fd);
    return true;
}

bool backup_begin(struct backup *b, sqlite3 *from, const char *file, char *err, size_t errlen)
{
    *b = (struct backup){0};
    if (snprintf(b->file, sizeof b->file, "%s", file) >= (int)sizeof b->file) {
        snprintf(err, errlen, "the path is too long");
        return false;
    }
    if (!make_file(file, err, errlen)) {
        return false;
    }
    if (sqlite3_open_v2(file, &b->to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK ||
        sqlite3_exec(b->to, "PRAGMA synchronous=OFF;PRAGMA journal_mode=OFF;PRAGMA cache_size=-2048", NULL,
                     NULL, NULL) != SQLITE_OK ||
        !(b->run = sqlite3_backup_init(b->to, "main", from, "main"))) {
        snprintf(err, errlen, "%s: %s", file, b->to ? sqlite3_errmsg(b->to) : "no memory");
        backup_drop(b);
        return false;
    }
    return true;
}

static int finish(struct backup *b)
{
    int rc = sqlite3_backup_finish(b->run);
    int closed = sqlite3_close_v2(b->to);
    b->run = NULL;
    b->to = NULL;
    return rc == SQLITE_OK ? closed : rc;
}

void backup_drop(struct backup *b)
{
    (void)finish(b);
    unlink(b->file);
}

int backup_step(struct backup *b, int pages)
{
    int rc = sqlite3_backup_step(b->run, pages);
    if (rc == SQLITE_OK || rc == SQLITE_BUSY || rc == SQLITE_LOCKED) {
        return SQLITE_OK;
    }
    int end = finish(b);
    rc = rc == SQLITE_DONE ? (end == SQLITE_OK ? SQLITE_DONE : end) : rc;
    if (rc != SQLITE_DONE) {
        unlink(b->file);
    }
    return rc;
}

/* ---- the verb ---- */

static bool disk_has_room(struct journal *j, int64_t *used)
{
    struct statvfs fs;
    int64_t room;
    return store_bytes(&j->store, used, &room) == SQLITE_OK && fstatvfs(j->slot.dir_fd, &fs) == 0 &&
           (int64_t)fs.f_bavail * (int64_t)fs.f_frsize > *used + j->config.reserve_bytes;
}

static void answer(struct journal *j, enum journal_status status)
{
    struct journal_op *op = j->backup_op;
    j->backup_op = NULL;
    op->status = status;
    op_answer(op);
}

void journal_backup_begin(struct journal *j, struct journal_op *op)
{
    char file[PATH_MAX + 16], err[PATH_MAX + 256] = "";
    int64_t used = 0;
    if (op->limit < 0) {
        journal_backup_stop(j);
        op->status = JOURNAL_OK;
        op_answer(op);
        return;
    }
    if (j->backup_op) {
        op->status = JOURNAL_CONFLICT;
        op_answer(op);
        return;
    }
    j->backup_op = op;
    if (j->broken) {
        answer(j, JOURNAL_FAILED);
        return;
    }
    if (!disk_has_room(j, &used)) {
        answer(j, JOURNAL_FULL);
        return;
    }
    snprintf(file, sizeof file, "%s/" JOURNAL_BACKUP_FILE, j->slot.dir);
    if (!backup_begin(&j->backup, j->store.db, file, err, sizeof err)) {
        log_error("journal.backup_failed", log_str("reason", err));
        answer(j, JOURNAL_FAILED);
        return;
    }
    op->seq = used;
    op->reason = arena_strdup(&op->arena, file);
}

void journal_backup_step(struct journal *j)
{
    if (!j->backup_op) {
        return;
    }
    int rc = backup_step(&j->backup, STEP_PAGES);
    if (rc == SQLITE_OK) {
        return;
    }
    if (rc == SQLITE_DONE) {
        log_info("journal.backup", log_str("file", j->backup.file), log_int("bytes", j->backup_op->seq));
        answer(j, j->backup_op->reason ? JOURNAL_OK : JOURNAL_FAILED);
        return;
    }
    log_error("journal.backup_failed", log_str("reason", sqlite3_errstr(rc)));
    answer(j, JOURNAL_FAILED);
}

void journal_backup_stop(struct journal *j)
{
    if (j->backup_op) {
        backup_drop(&j->backup);
        answer(j, JOURNAL_FAILED);
    }
}

/* ---- for commands ---- */

bool journal_backup_offline(struct journal *j, const char *file, char *err, size_t errlen)
{
    struct backup b;
    int rc = SQLITE_OK;
    if (!backup_begin(&b, j->store.db, file, err, errlen)) {
        return false;
    }
    while (rc == SQLITE_OK) {
        rc = backup_step(&b, 16 * STEP_PAGES);
    }
    if (rc != SQLITE_DONE) {
        snprintf(err, errlen, "%s: %s", file, sqlite3_errstr(rc));
    }
    return rc == SQLITE_DONE;
}

static bool read_id(sqlite3 *db, char instance[UUID_LEN + 1])
{
    sqlite3_stmt *s = NULL;
    bool ok =
        sqlite3_prepare_v2(db, "SELECT value FROM meta WHERE name='instance'", -1, &s, NULL) == SQLITE_OK &&
        sqlite3_step(s) == SQLITE_ROW;
    if (ok) {
        snprintf(instance, UUID_LEN + 1, "%s", (const char *)sqlite3_column_text(s, 0));
    }
    sqlite3_finalize(s);
    return ok;
}

bool journal_backup_check(const char *file, char instance[UUID_LEN + 1], char *err, size_t errlen)
{
    sqlite3 *db = NULL;
    char uri[PATH_MAX + 64];
    /* immutable: neither a log nor a lock is made beside the copy */
    snprintf(uri, sizeof uri, "file:%s?immutable=1", file);
    bool ok = sqlite3_open_v2(uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL) == SQLITE_OK;
    if (!ok) {
        snprintf(err, errlen, "%s cannot be opened (%s)", file, db ? sqlite3_errmsg(db) : "no memory");
    }
    ok = ok && schema_check(db, file, true, err, errlen);
    if (ok && !read_id(db, instance)) {
        snprintf(err, errlen, "%s is no journal", file);
        ok = false;
    }
    sqlite3_close(db);
    return ok;
}
