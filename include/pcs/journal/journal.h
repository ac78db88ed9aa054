/* journal.h - what is durable on this instance: SQLite behind one thread and a queue of operations.
 *
 * The journal thread is the only reader and writer of the file and the one place where changes are
 * serialised. It takes all operations that wait, runs them in one transaction, commits once (one fsync), and
 * then answers each: done(op) runs on the thread that drains op->reply_to. An operation, and what it points
 * to, is the caller's memory and must stay as it is until then. A refused operation leaves nothing behind. A
 * failed commit answers JOURNAL_FAILED to all of it: an INTENT or SEND of it is never seen again, even if its record
 * reached the disk; anything else may be found stored, and then answers CONFLICT (EVENT_ATTEMPT: NOT_FOUND) with
 * itself when it is repeated. A reply is never timed out.
 *
 * CLAIM, RELEASE, GET and LIST_LINE are answered at once, from what is committed; pulls, LIST_OPEN and STATS
 * after the commit of all that was submitted before them. Lazy operations join the next commit or, after 50
 * ms, get one of their own; they too are answered after it.
 *
 * After an I/O error everything is answered JOURNAL_FAILED until the file has been closed, opened and checked
 * again (by itself, with a growing pause); journal_writable() is false meanwhile.
 *
 * Rules kept here and nowhere else: one open change per line; one change per (subject, Idempotency-Key);
 * cancel and send are one conditional update; an intent whose data was loaded before the line's newest
 * outcome must load again; outcomes always fit (a reserve is kept free, and intents stop while it is not). */
#ifndef PCS_JOURNAL_JOURNAL_H
#define PCS_JOURNAL_JOURNAL_H

#include "pcs/core/config.h"
#include "pcs/core/metrics.h"
#include "pcs/journal/change.h"
#include "pcs/journal/op.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct journal_config {
    const char *path;      /* a directory */
    int64_t max_bytes;     /* of the whole file */
    int64_t reserve_bytes; /* kept free for outcomes */
    int64_t queue_max;     /* operations that may wait */
    int64_t group_max;     /* operations in one commit */
    int64_t retention_ms;  /* settled, forwarded, delivered rows are removed after this (>= 24 h) */
    int64_t key_ms;        /* how long an Idempotency-Key is kept: 24 h */
    bool one_slot;         /* not a setting: take `slot`, which must hold a journal, and no other (retire) */
    unsigned slot;
    const char *chain_key; /* of the hash chain; "" or NULL: one of its own, made once and kept in the file */
};
extern const struct config_section journal_config_section;
extern struct metric_family *const journal_metrics[];
extern const size_t journal_metrics_count;

/* Takes the first free slot of config->path (lock file), opens or creates its file, migrates an older one,
 * refuses a newer one, checks the small hot tables, and starts the thread. Everything open is there to be
 * listed when it returns. A retired slot is in use again. NULL with a clear sentence in err. Main thread. */
struct journal *journal_open(const struct journal_config *config, char *err, size_t errlen);
/* Answers what is queued, checkpoints, closes, joins, frees j. Nothing may be submitted from here on. The reply
 * mailboxes must live until it has returned, and still be drained by the caller then. */
void journal_close(struct journal *j);
/* Retiring (docs/operations.md). Any thread: no new changes from here on (CLAIM, INTENT and RECORD are JOURNAL_FULL,
 * journal_writable() is false), or again. What is open goes on. */
void journal_refuse_new(struct journal *j, bool refuse);
/* journal_close(), and if nothing is left in it that waits for anybody, the slot is marked as retired: no orphan any more.
 * leave_dead: dead letters, and rows that PostgreSQL refused, may stay in the file. False: something is left. */
bool journal_retire(struct journal *j, bool leave_dead);
/* Stable id of this file, for the history's `instance`. */
const char *journal_instance(const struct journal *j);
unsigned journal_slot(const struct journal *j);
/* Slots of the directory that hold a file but no owner (a metric; adopted or retired by command). */
unsigned journal_orphans(const struct journal *j);
/* Any thread, at once: true when the line has neither a claim nor an open change here, as far as anybody was answered.
 * False: it has one, or it is not known; CLAIM tells. */
bool journal_line_free(const struct journal *j, const char *line);
/* Any thread: can intents be taken (readiness)? */
bool journal_writable(const struct journal *j);

/* Prepares op (zeroes it, sets verb, reply and done). reply_to NULL: done runs on the journal's thread and
 * must only free or post. */
void journal_op_init(struct journal_op *op, struct journal *j, enum journal_verb verb,
                     struct mailbox *reply_to, void (*done)(struct journal_op *op), void *arg);
/* Any thread. False: the queue is full (answer 503); op stays the caller's and done will not run. Operations
 * that end something (RELEASE, OUTCOME, DOUBT, ANSWERED, CALLS, acks, attempts, EVENTS_DUE_NOW, INVALIDATED)
 * are never refused. */
__attribute__((warn_unused_result)) bool journal_submit(struct journal_op *op);
/* Frees what the answer holds; op itself is the caller's. */
void journal_op_clear(struct journal_op *op);

/* Called by the journal thread to wake the forwarder of a kind of rows: after a commit that queued some; for
 * SINK_INVALIDATIONS every second while there are any, since most are acknowledged by their own change within
 * that time. Set by main before traffic. Runs on the journal thread; must only post. NULL takes it away: once this
 * has returned it is not running and will not run. */
enum journal_sink { SINK_HISTORY, SINK_EVENTS, SINK_INVALIDATIONS, SINKS };
void journal_on_pending(struct journal *j, enum journal_sink sink, void (*notify)(void *arg), void *arg);

#endif
