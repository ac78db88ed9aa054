/* again.c - what PostgreSQL had and has lost is forwarded once more, from what the journal still keeps.
 *
 * Rows, links and notes on calls are known by their keys over there: what is there stays as it is. */
#include "journal/internal.h"
#include "pcs/journal/slots.h"

#include <stdio.h>

/* Rows bring their links with them, those of a line that was forgotten too: bare, without what was personal, as they were
 * over there. A refused row has none to bring, and a link that says so (kind 2) is alone. */
#define ROWS                                                                                                 \
    "INSERT OR IGNORE INTO history_queue(seq,line) SELECT seq,line FROM settled"                             \
    " WHERE seq NOT IN (SELECT seq FROM history_dead)"
#define LINKS                                                                                                \
    "INSERT OR IGNORE INTO link_queue(seq) SELECT seq FROM chain"                                            \
    " WHERE kind=2 OR seq IN (SELECT seq FROM history_dead)"
#define CALLS "UPDATE call SET forwarded=0 WHERE forwarded=1"

bool journal_forward_again(struct journal *j, struct journal_again *n, char *err, size_t errlen)
{
    const struct {
        const char *sql;
        int64_t *count;
    } steps[] = {{ROWS, &n->rows}, {LINKS, &n->links}, {CALLS, &n->calls}};
    /* First: a retired slot in which something waits would be looked after by nobody. */
    if (!slot_unmark_retired(&j->slot, err, errlen)) {
        return false;
    }
    bool ok = store_do(&j->store, SQL_BEGIN) == SQLITE_OK;
    for (size_t i = 0; ok && i < sizeof steps / sizeof steps[0]; i++) {
        ok = sqlite3_exec(j->store.db, steps[i].sql, NULL, NULL, NULL) == SQLITE_OK;
        *steps[i].count = ok ? sqlite3_changes(j->store.db) : 0;
    }
    ok = ok && store_do(&j->store, SQL_COMMIT) == SQLITE_OK;
    if (!ok) {
        snprintf(err, errlen, "the journal could not be written (%s); it is as it was",
                 sqlite3_errmsg(j->store.db));
        (void)store_do(&j->store, SQL_ROLLBACK);
    }
    return ok;
}
