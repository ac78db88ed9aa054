/* chain_note.h - the file `chain` of a slot: whose chain it is, how far it goes, and the journal's own key.
 *
 * A copy of what the journal's file holds, for `verify-history`, which cannot open that file while an instance runs.
 * Written once a minute when something has moved, at the start and at the end; 0600; replaced as a whole. */
#ifndef PCS_JOURNAL_CHAIN_NOTE_H
#define PCS_JOURNAL_CHAIN_NOTE_H

#include "pcs/journal/chain.h"

struct chain_note {
    char instance[CHAIN_INSTANCE];
    char key[2 * CHAIN_KEY_MIN + 1]; /* hex; "": the key is a setting */
    int64_t seq;                     /* the head; 0: no link yet */
    unsigned char link[CHAIN_HASH];
    int64_t forwarded; /* up to here everything was acknowledged by PostgreSQL */
    int64_t at;        /* Unix ms of writing */
};

/* False with errno. */
bool chain_note_write(int dir_fd, const struct chain_note *note);
/* Of slot `number` below the journal's directory. False with errno: there is none (ENOENT), it cannot be read, or is
 * none of ours (EBADMSG). */
bool chain_note_read(const char *journal_path, unsigned number, struct chain_note *note);

#endif
