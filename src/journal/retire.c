/* retire.c - the last thing that a slot's owner does when the slot is given up: was everything told to everybody?
 *
 * Asked of the file itself, after the last commit, by the thread that owns it and under the slot's lock, so that the
 * mark is never true of a journal in which something waits. */
#include "journal/internal.h"
#include "pcs/core/clock.h"
#include "pcs/core/failpoint.h"
#include "pcs/core/log.h"

#include <inttypes.h>
#include <stdio.h>

/* Nothing of these may be left. */
static const enum sql waiting[] = {SQL_COUNT_OPEN,  SQL_COUNT_HISTORY, SQL_COUNT_CALLS,
                                   SQL_COUNT_LINKS, SQL_COUNT_EVENTS,  SQL_COUNT_INVALID};
/* Nothing of these, unless they may stay. */
static const enum sql dead[] = {SQL_COUNT_HISTORY_DEAD, SQL_COUNT_EVENTS_DEAD};

static bool count(struct journal *j, const enum sql *ids, size_t n, int64_t *sum)
{
    *sum = 0;
    for (size_t i = 0; i < n; i++) {
        int64_t one;
        if (store_number(&j->store, ids[i], &one) != SQLITE_OK) {
            return false;
        }
        *sum += one;
    }
    return true;
}

bool retire_mark(struct journal *j)
{
    int64_t left, refused;
    char text[256];
    if (!count(j, waiting, sizeof waiting / sizeof *waiting, &left) ||
        !count(j, dead, sizeof dead / sizeof *dead, &refused)) {
        log_error("journal.retire_failed", log_str("reason", store_error(&j->store)));
        return false;
    }
    if (left || (refused && !j->leave_dead)) {
        log_warn("journal.not_retired", log_int("waiting", left), log_int("dead", refused));
        return false;
    }
    FAILPOINT("journal.retire_empty");
    snprintf(text, sizeof text, "instance %s\nat %" PRId64 "\nhead %" PRId64 "\n", j->instance,
             clock_wall_ms(), j->chain.head.seq);
    if (!slot_mark_retired(&j->slot, text)) {
        log_error("journal.retire_failed", log_str("reason", "the mark cannot be written"));
        return false;
    }
    FAILPOINT("journal.retired");
    log_info("journal.retired", log_int("slot", j->slot.number), log_str("instance", j->instance),
             log_int("seq", j->chain.head.seq), log_int("dead", refused));
    return true;
}
