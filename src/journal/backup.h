/* backup.h - a copy of the journal's file while it is in use: SQLite's backup, some pages between two batches. What is
 * written meanwhile goes into the copy too, so that it is the journal as it was when the copy ended. */
#ifndef JOURNAL_BACKUP_H
#define JOURNAL_BACKUP_H

#include <limits.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

struct backup {
    sqlite3 *to; /* NULL: none is being made */
    sqlite3_backup *run;
    char file[PATH_MAX + 16];
};

/* Begins to copy `from` into a new file. False with a sentence. */
bool backup_begin(struct backup *b, sqlite3 *from, const char *file, char *err, size_t errlen);
/* Copies up to `pages` pages. SQLITE_OK: go on; SQLITE_DONE: the copy is whole; else it failed. After both of these it is
 * closed, and a failed one removed. */
int backup_step(struct backup *b, int pages);
/* Gives an unfinished copy up. */
void backup_drop(struct backup *b);

#endif
