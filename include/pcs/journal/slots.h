/* slots.h - the slots of a journal directory from outside: who has which, and reading one that nobody has.
 *
 * Everything here blocks on the disk: for commands and worker threads, never for a reactor. */
#ifndef PCS_JOURNAL_SLOTS_H
#define PCS_JOURNAL_SLOTS_H

#include "pcs/journal/journal.h"

#define JOURNAL_SLOTS_MAX 64

enum journal_slot_state {
    SLOT_OWN,     /* ours */
    SLOT_OWNED,   /* another process has it */
    SLOT_ORPHAN,  /* holds a journal and has no owner */
    SLOT_RETIRED, /* has no owner, and nothing waits in it: it was emptied by command */
    SLOT_NONE     /* holds no journal */
};
const char *journal_slot_state_name(enum journal_slot_state s); /* "own", "owned", "orphan" */

struct journal_slot {
    unsigned number;
    enum journal_slot_state state;
    char instance[37]; /* "" unless counts could be read */
    bool counted;      /* the numbers below are known: of slots without an owner */
    /* open, in_doubt, history_*, calls_pending, links_pending, events_*, invalidations, bytes */
    struct journal_stats stats;
    char reason[256]; /* why they are not known */
};

/* Slots of path that hold a journal, in order; returns how many. own: our slot, -1: none. Takes the lock of a slot
 * without an owner for the time of counting. */
size_t journal_slots(const char *path, int own, struct journal_slot out[JOURNAL_SLOTS_MAX]);

/* How one slot of path stands (never SLOT_OWN): takes no lock. */
enum journal_slot_state journal_slot_look(const char *path, unsigned slot);

/* A journal that no process has, for a command: takes the slot's lock, so that none can start with it meanwhile. NULL
 * with a sentence in err: it has an owner, does not exist, cannot be read. */
struct journal *journal_open_offline(const struct journal_config *config, unsigned slot, char *err,
                                     size_t errlen);
/* Runs a reading verb (GET, LIST_LINE, LIST_OPEN, LIST_DOUBT, EVENTS_LIST, TRACE) or FORGET, in a transaction, at once;
 * every other is JOURNAL_FAILED. op as made by journal_op_init(); done is not called. */
enum journal_status journal_run_offline(struct journal_op *op);
void journal_close_offline(struct journal *j);

struct journal_again {
    int64_t rows, links, calls; /* that wait now and did not before; links: of rows that PostgreSQL refused */
};
/* Everything that PostgreSQL had and the journal still keeps waits to be forwarded again, in one transaction; a retired
 * slot is an orphan after it. False: nothing was changed but that mark; err says why. */
bool journal_forward_again(struct journal *j, struct journal_again *n, char *err, size_t errlen);

#endif
