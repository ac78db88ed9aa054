/* journal.c - the public face: opening, closing, submitting. */
#include "pcs/journal/journal.h"

#include "journal/internal.h"
#include "pcs/core/clock.h"
#include "pcs/core/log.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- lists of operations, linked through the message they travel in ---- */

struct journal_op *op_of(struct msg *m)
{
    return (struct journal_op *)((char *)m - offsetof(struct journal_op, msg));
}

void op_list_init(struct op_list *l)
{
    *l = (struct op_list){0};
}

void op_list_push(struct op_list *l, struct journal_op *op)
{
    op->msg.next = NULL;
    if (l->head) {
        l->tail->msg.next = &op->msg;
    } else {
        l->head = op;
    }
    l->tail = op;
    l->count++;
}

struct journal_op *op_list_pop(struct op_list *l)
{
    struct journal_op *op = l->head;
    if (op) {
        l->head = op->msg.next ? op_of(op->msg.next) : NULL;
        l->count--;
    }
    return op;
}

/* ---- opening ---- */

static bool start_thread(struct journal *j, char *err, size_t errlen)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are main's */
    int rc = pthread_create(&j->thread, NULL, journal_thread, j);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        snprintf(err, errlen, "journal: cannot start its thread (%s)", strerror(rc));
    }
    return rc == 0;
}

static void free_journal(struct journal *j)
{
    store_close(&j->store);
    slot_drop(&j->slot);
    claims_free(&j->claims);
    lines_free(&j->lines);
    recent_free(&j->recent);
    mailbox_destroy(&j->inbox);
    pthread_mutex_destroy(&j->notify_lock);
    free(j->group);
    undo_free(&j->undo);
    chain_free(j);
    free(j);
}

static bool open_file(struct journal *j, char *err, size_t errlen)
{
    snprintf(j->file, sizeof j->file, "%s/journal.db", j->slot.dir);
    if (!undo_init(&j->undo, j->slot.dir_fd, j->group_cap, err, errlen) ||
        !store_open(&j->store, j->file, j->slot.dir_fd, j->config.max_bytes, false, err, errlen)) {
        return false;
    }
    reserve_init(&j->reserve, j->slot.dir_fd, j->config.reserve_bytes);
    return journal_load(j, err, errlen) && chain_open(j, err, errlen);
}

struct journal *journal_open(const struct journal_config *config, char *err, size_t errlen)
{
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* a mutex at each malloc, for numbers nobody reads */
    struct journal *j = calloc(1, sizeof *j);
    if (!j) {
        snprintf(err, errlen, "journal: no memory");
        return NULL;
    }
    j->config = *config;
    j->config.group_max = config->group_max > 0 ? config->group_max : 512;
    j->config.path = NULL; /* the caller's; slot.base is ours */
    j->slot.dir_fd = j->slot.lock_fd = -1;
    mailbox_init(&j->inbox, config->queue_max > 0 ? (size_t)config->queue_max : 16384, NULL, NULL);
    pthread_mutex_init(&j->notify_lock, NULL);
    op_list_init(&j->backlog);
    op_list_init(&j->lazy);
    j->group_cap = (size_t)j->config.group_max * 2; /* a batch, and the lazy ones that waited */
    j->group = calloc(j->group_cap, sizeof(struct journal_op *));
    if (!j->group || !claims_init(&j->claims) || !lines_init(&j->lines)) {
        snprintf(err, errlen, "journal: no memory");
        free_journal(j);
        return NULL;
    }
    j->claims.lines = &j->lines;
    bool got = config->one_slot ? slot_adopt(&j->slot, config->path, config->slot, err, errlen)
                                : slot_take(&j->slot, config->path, err, errlen);
    if (!got || !slot_unmark_retired(&j->slot, err, errlen) || !open_file(j, err, errlen) ||
        !start_thread(j, err, errlen)) {
        free_journal(j);
        return NULL;
    }
    log_info("journal.opened", log_str("file", j->file), log_int("slot", j->slot.number),
             log_str("instance", j->instance), log_int("open", j->counts.open));
    return j;
}

static void end_thread(struct journal *j)
{
    mailbox_close(&j->inbox);
    mailbox_reply(&j->inbox, &j->stop);
    pthread_join(j->thread, NULL);
    struct op_list late;
    op_list_init(&late);
    for (struct msg *m = mailbox_take_all(&j->inbox); m;) {
        struct msg *next = m->next;
        op_list_push(&late, op_of(m));
        m = next;
    }
    group_fail_all(j, &late);
}

void journal_close(struct journal *j)
{
    end_thread(j);
    free_journal(j);
}

bool journal_retire(struct journal *j, bool leave_dead)
{
    j->retire = true; /* seen by the thread with the message that stops it */
    j->leave_dead = leave_dead;
    end_thread(j);
    bool retired = j->retired;
    free_journal(j);
    return retired;
}

void journal_refuse_new(struct journal *j, bool refuse)
{
    atomic_store(&j->closed, refuse);
}

const char *journal_instance(const struct journal *j)
{
    return j->instance;
}

unsigned journal_slot(const struct journal *j)
{
    return j->slot.number;
}

unsigned journal_orphans(const struct journal *j)
{
    return slot_orphans(&j->slot);
}

bool journal_line_free(const struct journal *j, const char *line)
{
    return lines_none(&j->lines, line);
}

bool journal_writable(const struct journal *j)
{
    return atomic_load(&j->writable) && !atomic_load(&j->closed);
}

void journal_on_pending(struct journal *j, enum journal_sink sink, void (*notify)(void *arg), void *arg)
{
    pthread_mutex_lock(&j->notify_lock);
    j->notify[sink].fn = notify;
    j->notify[sink].arg = arg;
    pthread_mutex_unlock(&j->notify_lock);
}

/* ---- operations ---- */

static void deliver(struct msg *m)
{
    struct journal_op *op = op_of(m);
    op->done(op);
}

void journal_op_init(struct journal_op *op, struct journal *j, enum journal_verb verb,
                     struct mailbox *reply_to, void (*done)(struct journal_op *op), void *arg)
{
    *op = (struct journal_op){.journal = j, .verb = verb, .reply_to = reply_to, .done = done, .arg = arg};
    op->msg.deliver = deliver;
    arena_init(&op->arena, NULL, 0, ARENA_LIMIT);
}

bool journal_submit(struct journal_op *op)
{
    op->queued_ns = clock_mono_ns();
    if ((unsigned)op->verb >= JOURNAL_VERBS) {
        return false;
    }
    if (journal_verbs[op->verb].always) {
        mailbox_reply(&op->journal->inbox, &op->msg);
        return true;
    }
    return mailbox_send(&op->journal->inbox, &op->msg);
}

void journal_op_clear(struct journal_op *op)
{
    arena_free(&op->arena);
}
