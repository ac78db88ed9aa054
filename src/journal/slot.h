/* slot.h - one numbered directory below JOURNAL_PATH and the lock that says who owns it.
 *
 * The lock is an open-file-description lock on a file of its own: it ends with the process, is not lost when
 * another descriptor of the file is closed, and two journals of one process exclude each other. */
#ifndef JOURNAL_SLOT_H
#define JOURNAL_SLOT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define SLOTS_MAX 64

struct slot {
    char base[PATH_MAX]; /* JOURNAL_PATH */
    char dir[PATH_MAX];  /* JOURNAL_PATH/<number> */
    unsigned number;
    int dir_fd, lock_fd; /* -1: none */
};

/* Opens a file of a slot, made with 0600 when it is not there. What root makes belongs to the directory's owner, as it is
 * with SQLite's log: a command that root has run never locks the service out of its own journal. -1: errno. */
int slot_open_file(int dir_fd, const char *name, int flags);
/* Takes one slot (base and no descriptors are set). 1: taken, 0: somebody else's, -1: error. */
int slot_try(struct slot *s, unsigned number, char *err, size_t errlen);
/* Makes the directories (0700) as needed and takes the first slot whose lock is free. */
bool slot_take(struct slot *s, const char *base, char *err, size_t errlen);
void slot_drop(struct slot *s);
/* Takes slot `number`, which must hold a journal: adopts it. */
bool slot_adopt(struct slot *s, const char *base, unsigned number, char *err, size_t errlen);
/* Is there a journal in the slot? */
bool slot_used(const char *base, unsigned number);
/* An emptied slot is marked by a file `retired` beside its journal: nothing waits in it, and it is no orphan. Whoever
 * takes the slot takes the mark away first, durably. */
bool slot_retired(const char *base, unsigned number);
bool slot_mark_retired(const struct slot *s, const char *text);
bool slot_unmark_retired(const struct slot *s, char *err, size_t errlen);
/* Other slots with a journal but without an owner, and not retired. Takes no lock: a starting process is not disturbed. */
unsigned slot_orphans(const struct slot *s);

#endif
