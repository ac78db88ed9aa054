/* fault_vfs.h - SQLite's file layer with a disk that can fail: syncs of the log, and writes while "full". */
#ifndef TEST_FAULT_VFS_H
#define TEST_FAULT_VFS_H

#include <check.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static atomic_bool fault_sync;            /* every sync of the log fails */
static atomic_bool fault_full;            /* every write to the log fails ... */
static const char *fault_full_while_path; /* ... while this file exists (NULL: always) */
static atomic_bool fault_slow;            /* a sync of the log takes until this is false */
static atomic_int fault_syncs;            /* syncs of the log that did not fail, begun ones too */

struct fault_file {
    sqlite3_file base;
    bool log;
    sqlite3_file *real;
};

static sqlite3_vfs fault_vfs, *fault_real;
static sqlite3_io_methods fault_methods;

#define REAL(f) (((struct fault_file *)(f))->real)

static int fault_close(sqlite3_file *f)
{
    return REAL(f)->pMethods ? REAL(f)->pMethods->xClose(REAL(f)) : SQLITE_OK;
}
static int fault_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
    return REAL(f)->pMethods->xRead(REAL(f), p, n, at);
}
static int fault_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    if (((struct fault_file *)f)->log && atomic_load(&fault_full) &&
        (!fault_full_while_path || access(fault_full_while_path, F_OK) == 0)) {
        return SQLITE_FULL;
    }
    return REAL(f)->pMethods->xWrite(REAL(f), p, n, at);
}
static int fault_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    return REAL(f)->pMethods->xTruncate(REAL(f), size);
}
static int fault_do_sync(sqlite3_file *f, int flags)
{
    if (((struct fault_file *)f)->log) {
        if (atomic_load(&fault_sync)) {
            return SQLITE_IOERR_FSYNC;
        }
        atomic_fetch_add(&fault_syncs, 1);
        while (atomic_load(&fault_slow)) {
            usleep(200);
        }
    }
    return REAL(f)->pMethods->xSync(REAL(f), flags);
}
static int fault_size(sqlite3_file *f, sqlite3_int64 *size)
{
    return REAL(f)->pMethods->xFileSize(REAL(f), size);
}
static int fault_lock(sqlite3_file *f, int level)
{
    return REAL(f)->pMethods->xLock(REAL(f), level);
}
static int fault_unlock(sqlite3_file *f, int level)
{
    return REAL(f)->pMethods->xUnlock(REAL(f), level);
}
static int fault_reserved(sqlite3_file *f, int *out)
{
    return REAL(f)->pMethods->xCheckReservedLock(REAL(f), out);
}
static int fault_control(sqlite3_file *f, int op, void *arg)
{
    return REAL(f)->pMethods->xFileControl(REAL(f), op, arg);
}
static int fault_sector(sqlite3_file *f)
{
    return REAL(f)->pMethods->xSectorSize(REAL(f));
}
static int fault_character(sqlite3_file *f)
{
    return REAL(f)->pMethods->xDeviceCharacteristics(REAL(f));
}

static int fault_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out)
{
    (void)vfs;
    struct fault_file *file = (struct fault_file *)f;
    memset(file, 0, (size_t)fault_vfs.szOsFile);
    file->real = (sqlite3_file *)(void *)(file + 1);
    file->log = (flags & SQLITE_OPEN_WAL) != 0;
    int rc = fault_real->xOpen(fault_real, name, file->real, flags, out);
    file->base.pMethods = file->real->pMethods ? &fault_methods : NULL;
    return rc;
}

/* Version 1 methods have no shared memory: WAL then works in exclusive mode only, as the journal uses it. */
static inline void fault_install(void)
{
    fault_real = sqlite3_vfs_find(NULL);
    fault_methods = (sqlite3_io_methods){.iVersion = 1,
                                         .xClose = fault_close,
                                         .xRead = fault_read,
                                         .xWrite = fault_write,
                                         .xTruncate = fault_truncate,
                                         .xSync = fault_do_sync,
                                         .xFileSize = fault_size,
                                         .xLock = fault_lock,
                                         .xUnlock = fault_unlock,
                                         .xCheckReservedLock = fault_reserved,
                                         .xFileControl = fault_control,
                                         .xSectorSize = fault_sector,
                                         .xDeviceCharacteristics = fault_character};
    fault_vfs = *fault_real;
    fault_vfs.zName = "fault";
    fault_vfs.szOsFile = (int)sizeof(struct fault_file) + fault_real->szOsFile;
    fault_vfs.xOpen = fault_open;
    fault_vfs.pNext = NULL;
    ck_assert_int_eq(sqlite3_vfs_register(&fault_vfs, 1), SQLITE_OK);
}

static inline void fault_remove(void)
{
    atomic_store(&fault_sync, false);
    atomic_store(&fault_full, false);
    fault_full_while_path = NULL;
    sqlite3_vfs_unregister(&fault_vfs);
}

#endif
