/* thread.c - the journal's thread: takes what waits, commits it, and does the housekeeping.
 *
 *   OPEN ── I/O error, disk full twice, damage ──► BROKEN: everything is answered JOURNAL_FAILED
 *     ▲                                              │ 100 ms, doubled up to 5 s
 *     └── opened, checked, failed intents undone ◄───┘
 *
 * After a failed fsync nothing can be said about what is on disk, so it is never repeated: the file is
 * closed, opened and checked again (the whole of it when damage was reported). It is never emptied. */
#include "journal/internal.h"
#include "pcs/core/clock.h"
#include "pcs/core/log.h"
#include "pcs/core/metrics.h"

#include "journal/metrics.h"

#include <stdio.h>
#include <string.h>

#define RECENT_LOAD_MS   (INT64_C(10) * 60000)
#define RECENT_MARGIN_MS INT64_C(60000) /* outcomes are stored in about the order of their times */
#define SWEEP_TICKS      10
#define ORPHAN_TICKS     60

/* ---- what is known in memory ---- */

static int load_counts(struct journal *j)
{
    struct delta *c = &j->counts;
    const struct {
        enum sql id;
        int64_t *to;
    } numbers[] = {{SQL_COUNT_OPEN, &c->open},
                   {SQL_COUNT_DOUBT, &c->in_doubt},
                   {SQL_COUNT_HISTORY, &c->history},
                   {SQL_COUNT_HISTORY_DEAD, &c->history_dead},
                   {SQL_COUNT_CALLS, &c->calls},
                   {SQL_COUNT_EVENTS, &c->events},
                   {SQL_COUNT_EVENTS_DEAD, &c->events_dead},
                   {SQL_COUNT_INVALID, &c->invalidations}};
    int rc = SQLITE_OK;
    for (size_t i = 0; rc == SQLITE_OK && i < sizeof numbers / sizeof numbers[0]; i++) {
        rc = store_number(&j->store, numbers[i].id, numbers[i].to);
    }
    return rc;
}

/* The lines of the open changes, and of the claims: a commit that failed may be there all the same, and an undone one
 * not. */
static int load_lines(struct journal *j)
{
    uint32_t *fresh = lines_recount_begin();
    if (!fresh) {
        return SQLITE_NOMEM;
    }
    sqlite3_stmt *s = store_get(&j->store, SQL_OPEN_LINES);
    int rc;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        lines_recount_add(&j->lines, fresh, (const char *)sqlite3_column_text(s, 0));
    }
    sqlite3_reset(s);
    claims_count_lines(&j->claims, fresh);
    lines_recount_end(&j->lines, fresh, rc == SQLITE_DONE);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* The outcomes of the last minutes; an empty journal has none to forget. */
static int load_recent(struct journal *j)
{
    int64_t now = clock_wall_ms();
    size_t seen = 0;
    sqlite3_stmt *s = store_get(&j->store, SQL_SETTLED_RECENT);
    int rc = sqlite3_step(s);
    recent_init(&j->recent, INT64_MIN);
    if (rc == SQLITE_ROW) {
        j->recent.forgotten = recent_time(&j->recent, now - RECENT_LOAD_MS + RECENT_MARGIN_MS);
    }
    for (; rc == SQLITE_ROW && seen < RECENT_MAX; rc = sqlite3_step(s), seen++) {
        int64_t at = sqlite3_column_int64(s, 1);
        enum change_state state = (enum change_state)sqlite3_column_int(s, 2);
        if (at < now - RECENT_LOAD_MS) {
            break;
        }
        if (state != CHANGE_INVALID && state != CHANGE_CANCELLED && state != CHANGE_EXPIRED) {
            /* the clock may have been set back meanwhile: not in the future, or the line could never be
             * loaded */
            recent_note(&j->recent, (const char *)sqlite3_column_text(s, 0),
                        recent_time(&j->recent, at < now ? at : now), recent_time(&j->recent, now));
        }
    }
    if (seen == RECENT_MAX) {
        j->recent.forgotten = recent_time(&j->recent, now);
    }
    sqlite3_reset(s);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int load_instance(struct journal *j)
{
    sqlite3_stmt *s = store_get(&j->store, SQL_INSTANCE);
    int rc = sqlite3_step(s);
    const char *text = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(s, 0) : NULL;
    if (text) {
        snprintf(j->instance, sizeof j->instance, "%s", text);
    }
    sqlite3_reset(s);
    return text ? SQLITE_OK : SQLITE_CORRUPT;
}

/* DESIGN.md, "In doubt is a state": after a crash every SENDING without outcome is in doubt. */
static int mark_crashed(struct journal *j)
{
    sqlite3_stmt *s = store_get(&j->store, SQL_OPEN_CRASHED);
    bind_int(s, 1, clock_wall_ms());
    return store_run(s);
}

bool journal_load(struct journal *j, char *err, size_t errlen)
{
    int rc = undo_apply(&j->undo, &j->store);
    rc = rc == SQLITE_OK ? mark_crashed(j) : rc;
    rc = rc == SQLITE_OK ? load_counts(j) : rc;
    rc = rc == SQLITE_OK ? load_lines(j) : rc;
    rc = rc == SQLITE_OK ? load_recent(j) : rc;
    rc = rc == SQLITE_OK ? load_instance(j) : rc;
    rc = rc == SQLITE_OK ? store_number(&j->store, SQL_MAX_GENERATION, &j->generation) : rc;
    if (rc != SQLITE_OK) {
        snprintf(err, errlen, "journal: %s cannot be read (%s); it was left as it is", j->file,
                 sqlite3_errstr(rc));
        return false;
    }
    journal_room(j, clock_mono_ns());
    journal_publish(j);
    return true;
}

void journal_publish(struct journal *j)
{
    atomic_store(&j->writable, !j->broken && !j->full);
    metric_set(&journal_metric_pending, SINK_HISTORY, (double)j->counts.history);
    metric_set(&journal_metric_pending, SINK_EVENTS, (double)j->counts.events);
    metric_set(&journal_metric_pending, SINK_INVALIDATIONS, (double)j->counts.invalidations);
    metric_set(&journal_metric_open, 0, (double)j->counts.open);
    metric_set(&journal_metric_in_doubt, 0, (double)j->counts.in_doubt);
    metric_set(&journal_metric_writable, 0, !j->broken && !j->full ? 1 : 0);
}

/* Is there room even if every page written since it was measured was a new one? Then it need not be measured again. */
static bool room_is_plenty(const struct journal *j, int64_t need)
{
    int64_t grown = (j->store.frames - j->room_frames) * j->store.page_size;
    return !j->full && j->disk_ok && j->room_bytes - grown >= need;
}

/* Intents stop while the page budget or the disk is down to what outcomes may need. An eighth more is wanted
 * before they start again. */
void journal_room(struct journal *j, uint64_t now_ns)
{
    int64_t used, room;
    int64_t need = j->config.reserve_bytes + j->counts.open * OUTCOME_BYTES;
    if (j->broken || (now_ns < j->disk_at && room_is_plenty(j, need)) ||
        store_bytes(&j->store, &used, &room) != SQLITE_OK) {
        return;
    }
    j->room_bytes = room;
    j->room_frames = j->store.frames;
    if (now_ns >= j->disk_at) {
        j->disk_ok = reserve_review(&j->reserve);
        j->disk_at = now_ns + DISK_REVIEW_NS;
    }
    bool full = !j->disk_ok || room < need + (j->full ? need / 8 : 0);
    if (full != j->full) {
        j->full = full;
        log_at(full ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, full ? "journal.full" : "journal.room",
               log_int("bytes", used), log_int("room", room), log_int("wanted", need),
               log_bool("disk", j->disk_ok));
    }
    atomic_store(&j->writable, !full);
    metric_set(&journal_metric_bytes, 0, (double)used);
}

/* ---- broken and open again ---- */

void journal_break(struct journal *j, int rc, const char *during)
{
    log_error("journal.failed", log_str("during", during), log_str("reason", sqlite3_errstr(rc)),
              log_int("code", rc), log_str("file", j->file));
    if (store_is_full(rc)) {
        reserve_release(&j->reserve);
        j->disk_ok = false;
    }
    j->suspect |= (rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB;
    j->broken = true;
    journal_publish(j);
    group_fail_all(j, &j->lazy);
    journal_backup_stop(j);
    store_close(&j->store);
    j->reopen_delay = REOPEN_MIN_NS;
    j->reopen_at = clock_mono_ns() + j->reopen_delay;
}

static void reopen(struct journal *j, uint64_t now_ns)
{
    char err[512];
    bool ok =
        store_open(&j->store, j->file, j->slot.dir_fd, j->config.max_bytes, j->suspect, err, sizeof err);
    if (ok) {
        int rc = undo_apply(&j->undo, &j->store);
        /* what the failed fsync was about may be in the kernel's cache alone: written anew, into the file */
        rc = rc == SQLITE_OK ? store_checkpoint(&j->store, true) : rc;
        rc = rc == SQLITE_OK ? load_counts(j) : rc;
        rc = rc == SQLITE_OK ? load_lines(j) : rc;
        rc = rc == SQLITE_OK ? chain_load(j) : rc; /* a commit that failed may be there */
        ok = rc == SQLITE_OK;
        if (!ok) {
            snprintf(err, sizeof err, "%s", sqlite3_errstr(rc));
            store_close(&j->store);
        }
    }
    if (!ok) {
        j->reopen_delay = ns_min(j->reopen_delay * 2, REOPEN_MAX_NS);
        j->reopen_at = now_ns + j->reopen_delay;
        log_error("journal.reopen_failed", log_str("reason", err), log_ms("again_in_ms", j->reopen_delay));
        return;
    }
    j->broken = j->suspect = false;
    j->disk_at = 0;
    journal_room(j, now_ns);
    journal_publish(j);
    log_info("journal.reopened", log_str("file", j->file), log_int("open", j->counts.open));
    for (int i = 0; i < SINKS; i++) {
        group_wake_sink(j, (enum journal_sink)i); /* acknowledgements may be among what was lost */
    }
}

/* ---- housekeeping ---- */

static void show_oldest_doubt(struct journal *j)
{
    int64_t since = 0, now = clock_wall_ms();
    bool some = j->counts.in_doubt > 0 && store_number(&j->store, SQL_DOUBT_OLDEST, &since) == SQLITE_OK;
    metric_set(&journal_metric_oldest_doubt, 0,
               some && since && now > since ? (double)(now - since) / 1000 : 0);
}

/* Nobody forwards what is in a journal without an owner (docs/operations.md: retire). */
static void tell_orphans(struct journal *j)
{
    unsigned orphans = slot_orphans(&j->slot);
    metric_set(&journal_metric_orphans, 0, orphans);
    if (orphans != j->orphans) {
        log_at(orphans ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "journal.orphan_slots", log_int("slots", orphans),
               log_str("path", j->slot.base));
        j->orphans = orphans;
    }
}

/* A change deletes its line's cached customer itself. Only what it could not delete is for the forwarder, so that
 * is not woken by every commit. */
static void wake_invalidations(struct journal *j)
{
    if (j->counts.invalidations > 0) {
        group_wake_sink(j, SINK_INVALIDATIONS);
    }
}

static void each_second(struct journal *j, uint64_t now_ns)
{
    if (now_ns < j->tick_at) {
        return;
    }
    j->tick_at = now_ns + TICK_NS;
    j->ticks++;
    journal_room(j, now_ns);
    wake_invalidations(j);
    show_oldest_doubt(j);
    chain_tell(j, now_ns, false);
    if (j->ticks % SWEEP_TICKS == 0) {
        claims_sweep(&j->claims, now_ns);
    }
    if (j->ticks % ORPHAN_TICKS == 1) {
        tell_orphans(j);
    }
}

static void keep_house(struct journal *j, uint64_t now_ns)
{
    if (j->lazy.head && now_ns >= j->lazy_until) {
        group_flush(j);
    }
    if (j->broken) {
        return;
    }
    bool idle = now_ns - j->worked_at >= TICK_NS;
    int rc = store_checkpoint(&j->store, idle);
    if (rc != SQLITE_OK) {
        journal_break(j, rc, "checkpoint");
        return;
    }
    each_second(j, now_ns);
    if (now_ns >= j->retention_at) {
        retention_step(j, now_ns, idle);
    }
}

static uint64_t next_deadline(const struct journal *j, uint64_t now_ns)
{
    uint64_t at = now_ns + TICK_NS;
    if (j->broken) {
        return ns_min(at, j->reopen_at);
    }
    if (j->backup_op) {
        return now_ns;
    }
    if (j->lazy.head) {
        at = ns_min(at, j->lazy_until);
    }
    return ns_min(at, j->retention_at);
}

/* Moves what waits into the backlog; blocks while there is nothing to do. */
static void fill_backlog(struct journal *j)
{
    bool busy = j->backlog.head || j->stopping;
    struct msg *m =
        busy ? mailbox_take_all(&j->inbox) : mailbox_wait(&j->inbox, next_deadline(j, clock_mono_ns()));
    while (m) {
        struct msg *next = m->next;
        if (m == &j->stop) {
            j->stopping = true;
        } else {
            op_list_push(&j->backlog, op_of(m));
        }
        m = next;
    }
}

static void take_batch(struct journal *j)
{
    struct op_list batch;
    op_list_init(&batch);
    while (batch.count < (size_t)j->config.group_max && j->backlog.head) {
        op_list_push(&batch, op_list_pop(&j->backlog));
    }
    if (batch.head) {
        if (j->broken) {
            group_fail_all(j, &batch);
        } else {
            group_take(j, &batch);
        }
        j->worked_at = clock_mono_ns();
    }
}

void *journal_thread(void *arg)
{
    struct journal *j = arg;
    (void)pthread_setname_np(pthread_self(), "journal");
    (void)metrics_thread_init();
    for (;;) {
        fill_backlog(j);
        uint64_t now_ns = clock_mono_ns();
        if (j->broken && now_ns >= j->reopen_at) {
            reopen(j, now_ns);
        }
        take_batch(j);
        journal_backup_step(j);
        keep_house(j, clock_mono_ns());
        if (j->stopping && !j->backlog.head) {
            break;
        }
    }
    group_flush(j);
    journal_backup_stop(j);
    if (!j->broken) {
        chain_tell(j, clock_mono_ns(), true);
        (void)store_checkpoint(&j->store, true);
        j->retired = j->retire && retire_mark(j);
    }
    store_close(&j->store);
    return NULL;
}
