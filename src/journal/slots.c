/* slots.c - the slots of a directory from outside: a list with counts, and reading without a daemon. */
#include "pcs/journal/slots.h"

#include "journal/internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Static_assert(JOURNAL_SLOTS_MAX == SLOTS_MAX, "one number of slots");

const char *journal_slot_state_name(enum journal_slot_state s)
{
    static const char *const names[] = {[SLOT_OWN] = "own",
                                        [SLOT_OWNED] = "owned",
                                        [SLOT_ORPHAN] = "orphan",
                                        [SLOT_RETIRED] = "retired",
                                        [SLOT_NONE] = "none"};
    return (size_t)s < sizeof names / sizeof names[0] ? names[s] : "unknown";
}

/* ---- without a daemon ---- */

struct journal *journal_open_offline(const struct journal_config *config, unsigned slot, char *err,
                                     size_t errlen)
{
    struct journal *j = calloc(1, sizeof *j);
    if (!j) {
        snprintf(err, errlen, "journal: no memory");
        return NULL;
    }
    j->config = *config;
    j->config.path = NULL;
    j->slot.dir_fd = j->slot.lock_fd = -1;
    bool got = slot_adopt(&j->slot, config->path, slot, err, errlen);
    snprintf(j->file, sizeof j->file, "%s/journal.db", j->slot.dir);
    if (!got || !store_open(&j->store, j->file, j->slot.dir_fd, config->max_bytes, false, err, errlen)) {
        journal_close_offline(j);
        return NULL;
    }
    return j;
}

void journal_close_offline(struct journal *j)
{
    store_close(&j->store);
    slot_drop(&j->slot);
    free(j);
}

/* A verb that writes, in a transaction of its own. */
static enum journal_status write_offline(struct journal *j, struct journal_op *op)
{
    j->delta = (struct delta){0};
    op->status = JOURNAL_FAILED;
    int rc = store_do(&j->store, SQL_BEGIN);
    rc = rc == SQLITE_OK ? journal_verbs[op->verb].run(j, op) : rc;
    rc = rc == SQLITE_OK ? store_do(&j->store, SQL_COMMIT) : rc;
    if (rc != SQLITE_OK) {
        (void)store_do(&j->store, SQL_ROLLBACK);
        op->status = JOURNAL_FAILED;
    }
    return op->status;
}

enum journal_status journal_run_offline(struct journal_op *op)
{
    switch (op->verb) {
    case JOURNAL_GET:
    case JOURNAL_LIST_LINE:
    case JOURNAL_LIST_OPEN:
    case JOURNAL_LIST_DOUBT:
    case JOURNAL_EVENTS_LIST:
    case JOURNAL_TRACE:
        if (journal_verbs[op->verb].run(op->journal, op) == SQLITE_OK) {
            return op->status;
        }
        break;
    case JOURNAL_FORGET:
        return write_offline(op->journal, op);
    default:
        break;
    }
    op->status = JOURNAL_FAILED;
    return op->status;
}

/* ---- the list ---- */

static void count(struct journal *j, struct journal_slot *out)
{
    struct journal_stats *st = &out->stats;
    const struct {
        enum sql id;
        int64_t *to;
    } numbers[] = {{SQL_COUNT_OPEN, &st->open},
                   {SQL_COUNT_DOUBT, &st->in_doubt},
                   {SQL_COUNT_HISTORY, &st->history_pending},
                   {SQL_COUNT_HISTORY_DEAD, &st->history_dead},
                   {SQL_COUNT_CALLS, &st->calls_pending},
                   {SQL_COUNT_LINKS, &st->links_pending},
                   {SQL_COUNT_EVENTS, &st->events_pending},
                   {SQL_COUNT_EVENTS_DEAD, &st->events_dead},
                   {SQL_COUNT_INVALID, &st->invalidations},
                   {SQL_DOUBT_OLDEST, &st->oldest_doubt_at},
                   {SQL_EVENT_OLDEST, &st->oldest_event_at}};
    int64_t room;
    int rc = store_bytes(&j->store, &st->bytes, &room);
    for (size_t i = 0; rc == SQLITE_OK && i < sizeof numbers / sizeof numbers[0]; i++) {
        rc = store_number(&j->store, numbers[i].id, numbers[i].to);
    }
    if (rc == SQLITE_OK) {
        sqlite3_stmt *s = store_get(&j->store, SQL_INSTANCE);
        if (sqlite3_step(s) == SQLITE_ROW) {
            snprintf(out->instance, sizeof out->instance, "%s", (const char *)sqlite3_column_text(s, 0));
        }
        sqlite3_reset(s);
    } else {
        snprintf(out->reason, sizeof out->reason, "%s", sqlite3_errstr(rc));
    }
    out->counted = rc == SQLITE_OK;
}

static bool locked_by_other(const char *path, unsigned slot)
{
    char file[PATH_MAX + 32];
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    snprintf(file, sizeof file, "%s/%u/lock", path, slot);
    int fd = open(file, O_RDWR | O_CLOEXEC);
    bool locked = fd >= 0 && fcntl(fd, F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
    if (fd >= 0) {
        close(fd);
    }
    return locked;
}

enum journal_slot_state journal_slot_look(const char *path, unsigned slot)
{
    if (slot >= SLOTS_MAX || !slot_used(path, slot)) {
        return SLOT_NONE;
    }
    return locked_by_other(path, slot) ? SLOT_OWNED : slot_retired(path, slot) ? SLOT_RETIRED : SLOT_ORPHAN;
}

size_t journal_slots(const char *path, int own, struct journal_slot out[JOURNAL_SLOTS_MAX])
{
    struct journal_config config = {.path = path, .max_bytes = INT64_C(8) << 40};
    size_t n = 0;
    for (unsigned slot = 0; slot < SLOTS_MAX; slot++) {
        enum journal_slot_state state = journal_slot_look(path, slot);
        if (state == SLOT_NONE) {
            continue;
        }
        struct journal_slot *s = &out[n++];
        *s = (struct journal_slot){.number = slot, .state = (int)slot == own ? SLOT_OWN : state};
        if (s->state == SLOT_ORPHAN || s->state == SLOT_RETIRED) {
            struct journal *j = journal_open_offline(&config, slot, s->reason, sizeof s->reason);
            if (j) {
                count(j, s);
                journal_close_offline(j);
            }
        }
    }
    return n;
}
