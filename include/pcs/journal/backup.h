/* backup.h - copies of a journal's file (issue 7, point 6). Its files must never be copied otherwise while an instance runs:
 * the newest commits are in the log beside them. */
#ifndef PCS_JOURNAL_BACKUP_H
#define PCS_JOURNAL_BACKUP_H

#include "pcs/core/id.h"

#include <stdbool.h>
#include <stddef.h>

struct journal;

/* JOURNAL_BACKUP copies a running journal into this file of its slot, a little between two batches; op->reason is the whole
 * path, op->seq the bytes. Not synced to the disk. CONFLICT: one is being made; FULL: the disk has no room for it. */
#define JOURNAL_BACKUP_FILE "backup.db"

/* Copies a journal that no process has (journal_open_offline()) into a new file. False with err. */
bool journal_backup_offline(struct journal *j, const char *file, char *err, size_t errlen);
/* Is the copy whole, every page of it? Its instance. False with err. Blocking; for a command. */
bool journal_backup_check(const char *file, char instance[UUID_LEN + 1], char *err, size_t errlen);

#endif
