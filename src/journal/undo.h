/* undo.h - what must be taken back after a commit that failed but may have reached the disk.
 *
 * A commit whose fsync fails leaves a whole record in the log's file: a later opening would find it and bring back, as
 * an order to be settled, an intent that was answered "nothing was ordered". So the ids are written beside the journal
 * before that answer, and taken back before anything else is done: after the file was opened again, in this process or
 * the next. The journal's thread only (journal_open before that). */
#ifndef JOURNAL_UNDO_H
#define JOURNAL_UNDO_H

#include "journal/store.h"
#include "pcs/core/id.h"

#include <stdbool.h>
#include <stddef.h>

struct undo_entry {
    bool send; /* SENDING back to ACCEPTED; false: the intent goes, with its key */
    char request_id[REQUEST_ID_MAX + 1];
    char key[SHA256_HEX_LEN + 1];
};

struct undo {
    int dir_fd; /* borrowed */
    struct undo_entry *entries;
    size_t count, max;
};

/* Makes the file with room for max entries and reads what an earlier process left. False with a sentence. */
bool undo_init(struct undo *u, int dir_fd, size_t max, char *err, size_t errlen);
void undo_free(struct undo *u);
void undo_add(struct undo *u, bool send, const char *request_id, const char *key);
/* Puts the entries on disk. False: they are in memory only. */
bool undo_save(struct undo *u);
/* Takes the entries back in one transaction and empties the file. An SQLite code; not OK: the journal must not be used
 * (an entry that stayed in the file could take back a later, valid intent). */
int undo_apply(struct undo *u, struct store *s);

#endif
