/* store.h - the SQLite connection: pragmas, prepared statements, transactions, checkpoints.
 *
 * One connection, used by one thread at a time. Every function that can fail returns an SQLite result code
 * (extended), SQLITE_OK for success. */
#ifndef JOURNAL_STORE_H
#define JOURNAL_STORE_H

#include "journal/sql.h"

#include <limits.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of the write-ahead log, before a PASSIVE checkpoint is made. */
#define CHECKPOINT_BYTES (8 << 20)

struct store {
    sqlite3 *db; /* NULL: closed */
    sqlite3_stmt *statements[SQL_STATEMENTS];
    int64_t page_size, max_pages;
    int64_t frames;   /* pages written since it was opened: the file has not grown by more */
    int log_pages;    /* in the write-ahead log since it was last written back */
    bool log_in_file; /* the log file holds something (written back or not) */
    char file[PATH_MAX];
};

/* Opens or creates `file` in the directory dir_fd ("journal.db" there), migrates and checks it. everything:
 * the whole file, not the hot tables only. False with a sentence; the file is left as it is. */
bool store_open(struct store *s, const char *file, int dir_fd, int64_t max_bytes, bool everything, char *err,
                size_t errlen);
void store_close(struct store *s);

/* A prepared statement, ready to be bound. Whoever steps it resets it (store_run does). */
sqlite3_stmt *store_get(struct store *s, enum sql id);
/* Steps a statement that gives no rows, and resets it. */
int store_run(sqlite3_stmt *stmt);
/* Runs a statement without parameters or rows. */
int store_do(struct store *s, enum sql id);
/* The first column of the first row of a statement without parameters; 0 when there is no row or NULL. */
int store_number(struct store *s, enum sql id, int64_t *number);
/* Rows changed by the statement that ran last. */
int64_t store_changes(const struct store *s);
int64_t store_last_id(const struct store *s);

/* Does the code mean that the file cannot be trusted with writes for now (I/O, full, damaged)? Otherwise it
 * is the one operation's own failure. */
bool store_fatal(int rc);
bool store_is_full(int rc);
const char *store_error(const struct store *s);

/* Bytes of the file and the log. */
int store_bytes(struct store *s, int64_t *used, int64_t *room);
/* Writes the log back into the file when it is long; truncate: always, and empties the log file. */
int store_checkpoint(struct store *s, bool truncate);

#define bind_text(stmt, n, text) ((void)sqlite3_bind_text((stmt), (n), (text), -1, SQLITE_STATIC))
#define bind_int(stmt, n, value) ((void)sqlite3_bind_int64((stmt), (n), (value)))

#endif
