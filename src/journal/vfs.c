/* vfs.c - SQLite's own file layer, except that appends to the write-ahead log are gathered until they are synced.
 *
 * SQLite writes a frame's header and its page with a call each, some thirty calls a commit, and each of them
 * touches two of the kernel's pages. Nothing depends on them before xSync, which hands them over in one piece. What
 * fails there fails the commit, as a failed write of a frame would; the frames are then forgotten, and the next
 * transaction writes its own to the same place. Everything else goes straight to SQLite's layer. */
#include "journal/vfs.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stddef.h>
#include <string.h>

/* More than that in one transaction: several writes. SQLite's layer masks a length with 0x1ffff, so that 128 KiB
 * would be taken for nothing, and told as a full disk. */
#define GATHER_BYTES (120 * 1024)

struct log_file {
    sqlite3_file base; /* first: SQLite's handle */
    sqlite3_file *real;
    unsigned char *gathered;
    sqlite3_int64 at; /* where in the file it belongs */
    int len;
};

static sqlite3_vfs vfs;
static sqlite3_vfs *below;
static int registered = SQLITE_ERROR;

static struct log_file *log_of(sqlite3_file *f)
{
    return (struct log_file *)f;
}

static int flush(struct log_file *log)
{
    int len = log->len;
    log->len = 0;
    return len ? log->real->pMethods->xWrite(log->real, log->gathered, len, log->at) : SQLITE_OK;
}

static int log_close(sqlite3_file *f)
{
    struct log_file *log = log_of(f);
    int rc = flush(log), closed = log->real->pMethods->xClose(log->real);
    sqlite3_free(log->gathered);
    return rc == SQLITE_OK ? closed : rc;
}

static int log_read(sqlite3_file *f, void *to, int len, sqlite3_int64 at)
{
    struct log_file *log = log_of(f);
    int rc = flush(log);
    return rc == SQLITE_OK ? log->real->pMethods->xRead(log->real, to, len, at) : rc;
}

static int log_write(sqlite3_file *f, const void *from, int len, sqlite3_int64 at)
{
    struct log_file *log = log_of(f);
    if (log->len && (at != log->at + log->len || len > GATHER_BYTES - log->len)) {
        int rc = flush(log);
        if (rc != SQLITE_OK) {
            return rc;
        }
    }
    if (len > GATHER_BYTES) {
        return log->real->pMethods->xWrite(log->real, from, len, at);
    }
    if (!log->len) {
        log->at = at;
    }
    memcpy(log->gathered + log->len, from, (size_t)len);
    log->len += len;
    return SQLITE_OK;
}

static int log_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    struct log_file *log = log_of(f);
    int rc = flush(log);
    return rc == SQLITE_OK ? log->real->pMethods->xTruncate(log->real, size) : rc;
}

static int log_sync(sqlite3_file *f, int flags)
{
    struct log_file *log = log_of(f);
    int rc = flush(log);
    return rc == SQLITE_OK ? log->real->pMethods->xSync(log->real, flags) : rc;
}

static int log_size(sqlite3_file *f, sqlite3_int64 *size)
{
    struct log_file *log = log_of(f);
    int rc = flush(log);
    return rc == SQLITE_OK ? log->real->pMethods->xFileSize(log->real, size) : rc;
}

static int log_lock(sqlite3_file *f, int level)
{
    return log_of(f)->real->pMethods->xLock(log_of(f)->real, level);
}

static int log_unlock(sqlite3_file *f, int level)
{
    return log_of(f)->real->pMethods->xUnlock(log_of(f)->real, level);
}

static int log_check_reserved(sqlite3_file *f, int *held)
{
    return log_of(f)->real->pMethods->xCheckReservedLock(log_of(f)->real, held);
}

static int log_control(sqlite3_file *f, int op, void *arg)
{
    return log_of(f)->real->pMethods->xFileControl(log_of(f)->real, op, arg);
}

static int log_sector_size(sqlite3_file *f)
{
    return log_of(f)->real->pMethods->xSectorSize(log_of(f)->real);
}

static int log_characteristics(sqlite3_file *f)
{
    return log_of(f)->real->pMethods->xDeviceCharacteristics(log_of(f)->real);
}

/* Version 1: no shared memory and no memory-mapped reads, which a log has no use for. */
static const sqlite3_io_methods log_methods = {
    .iVersion = 1,
    .xClose = log_close,
    .xRead = log_read,
    .xWrite = log_write,
    .xTruncate = log_truncate,
    .xSync = log_sync,
    .xFileSize = log_size,
    .xLock = log_lock,
    .xUnlock = log_unlock,
    .xCheckReservedLock = log_check_reserved,
    .xFileControl = log_control,
    .xSectorSize = log_sector_size,
    .xDeviceCharacteristics = log_characteristics,
};

static int vfs_open(sqlite3_vfs *self, const char *name, sqlite3_file *f, int flags, int *out_flags)
{
    (void)self;
    if (!(flags & SQLITE_OPEN_WAL)) {
        return below->xOpen(below, name, f, flags, out_flags);
    }
    struct log_file *log = log_of(f);
    *log = (struct log_file){.real = (sqlite3_file *)(log + 1), .gathered = sqlite3_malloc(GATHER_BYTES)};
    if (!log->gathered) {
        return SQLITE_NOMEM;
    }
    int rc = below->xOpen(below, name, log->real, flags, out_flags);
    if (rc != SQLITE_OK) {
        sqlite3_free(log->gathered);
        return rc; /* base.pMethods is NULL: SQLite does not close it */
    }
    log->base.pMethods = &log_methods;
    return SQLITE_OK;
}

static void register_once(void)
{
    below = sqlite3_vfs_find(NULL);
    if (!below) {
        return;
    }
    vfs = *below; /* its other functions look at nothing of theirs but what is copied here */
    vfs.pNext = NULL;
    vfs.zName = JOURNAL_VFS;
    vfs.szOsFile = (int)sizeof(struct log_file) + below->szOsFile;
    vfs.xOpen = vfs_open;
    registered = sqlite3_vfs_register(&vfs, 0);
}

int journal_vfs_register(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_once);
    return registered;
}
