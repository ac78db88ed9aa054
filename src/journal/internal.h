/* internal.h - the journal's inside, shared by its thread, its verbs and its public face. */
#ifndef JOURNAL_INTERNAL_H
#define JOURNAL_INTERNAL_H

#include "journal/backup.h"
#include "journal/claims.h"
#include "journal/recent.h"
#include "journal/reserve.h"
#include "journal/slot.h"
#include "journal/store.h"
#include "journal/undo.h"
#include "pcs/core/id.h"
#include "pcs/journal/chain.h"
#include "pcs/journal/journal.h"

#include <pthread.h>
#include <stdatomic.h>

#define LAZY_NS          (UINT64_C(50) * 1000000) /* a lazy operation waits this long for a commit to join */
#define TICK_NS          (UINT64_C(1000) * 1000000)
#define DISK_REVIEW_NS   (UINT64_C(250) * 1000000)
#define REOPEN_MIN_NS    (UINT64_C(100) * 1000000)
#define REOPEN_MAX_NS    (UINT64_C(5000) * 1000000)
#define OUTCOME_BYTES    4096  /* page budget kept for the outcome of each open change, beside the reserve */
#define LIST_MAX         10000 /* rows in one answer */
#define LIST_DEFAULT     1000
#define CALLS_PER_CHANGE 4                   /* HISTORY_PULL: calls for each row of the limit */
#define EVENTS_EXAMINED  20000               /* delivered events that one EVENTS_LIST looks at (sql.c) */
#define FORGET_SPAN      5000                /* numbers that one FORGET looks at */
#define ANSWER_MAX       ((size_t)1024)      /* bytes of a delivery's answer that are kept */
#define ARENA_LIMIT      ((size_t)128 << 20) /* bytes of one operation's answer */

/* When a verb runs in its group (group.c). */
enum phase {
    PHASE_FIRST, /* before the transaction, on what is committed; answered at once */
    PHASE_WRITE, /* in the transaction; answered after the commit */
    PHASE_LAZY,  /* joins the next transaction, or one of its own after LAZY_NS */
    PHASE_LONG,  /* goes on beside the batches, and answers by itself */
    PHASE_LAST   /* after the transaction: must see everything that was submitted before it */
};

/* Runs one verb: sets op->status and gives SQLITE_OK, or gives an SQLite error. May run again after a
 * rollback, so it changes nothing in memory but j->delta, j->recent and j->generation. */
typedef int verb_fn(struct journal *j, struct journal_op *op);

struct verb {
    const char *name;
    verb_fn *run;
    void (*committed)(struct journal *j,
                      struct journal_op *op); /* after the commit, status OK only; or NULL */
    enum phase phase;
    bool always; /* never refused by a full queue */
};
extern const struct verb journal_verbs[JOURNAL_VERBS];

/* The newest link. */
struct chain_head {
    int64_t seq;
    unsigned char link[CHAIN_HASH];
};

/* The hash chain (links.c). */
struct chain {
    struct chain_hasher *hasher;
    struct chain_key *key;
    char kept_key[2 * CHAIN_KEY_MIN + 1]; /* hex, when the journal has one of its own; "": never needed */
    struct chain_head head;               /* committed */
    int64_t noted_seq, noted_forwarded;   /* in the slot's file `chain` */
    uint64_t note_at, log_at;
};

/* What a transaction changes in the counts, and whom it wakes; taken over by its commit. */
struct delta {
    struct chain_head head;
    int64_t open, in_doubt, history, history_dead, calls, events, events_dead, invalidations;
    bool wake[SINKS];
};

struct op_list {
    struct journal_op *head, *tail;
    size_t count;
};

struct journal {
    struct journal_config config;
    struct slot slot;
    char file[PATH_MAX + 16];
    char instance[UUID_LEN + 1];

    struct mailbox inbox;
    pthread_t thread;
    struct msg stop;

    /* --- the thread's own from here on --- */
    struct store store;
    struct reserve reserve;
    struct claims claims;
    struct lines lines; /* with a claim or an open change; any thread looks */
    struct recent recent;
    int64_t generation; /* of the newest invalidation */

    struct op_list backlog, lazy;
    uint64_t lazy_until; /* when lazy operations are committed by themselves */
    struct journal_op **group;
    size_t group_count, group_cap;
    bool stopping;

    struct delta counts, delta;
    uint64_t commits, operations;

    bool full;                       /* no intents: page budget or disk */
    int64_t room_bytes, room_frames; /* as measured last, and store.frames then */
    uint64_t disk_at;
    bool disk_ok;
    bool broken;  /* closed after an error; reopened at reopen_at */
    bool suspect; /* damage was reported: the whole file is checked before it is used again */
    uint64_t reopen_at, reopen_delay;
    struct undo undo;
    struct chain chain;
    struct backup backup;
    struct journal_op *backup_op; /* NULL: no copy is being made */

    uint64_t tick_at, retention_at;
    int64_t retention_cursor;
    int retention_stage;
    uint64_t worked_at; /* when the last batch was done */
    uint64_t ticks;
    unsigned orphans; /* as last told */

    bool retire, leave_dead, retired; /* of journal_retire(), while the thread ends */

    /* --- any thread --- */
    atomic_bool writable;
    atomic_bool closed; /* no new changes: it is being retired */
    pthread_mutex_t notify_lock;
    struct {
        void (*fn)(void *arg);
        void *arg;
    } notify[SINKS];
};

static inline uint64_t ns_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* journal.c */
void op_list_init(struct op_list *l);
void op_list_push(struct op_list *l, struct journal_op *op);
struct journal_op *op_list_pop(struct op_list *l);
struct journal_op *op_of(struct msg *m);

/* thread.c */
void *journal_thread(void *arg);
bool journal_load(struct journal *j, char *err, size_t errlen);    /* counts and memory from the open file */
void journal_break(struct journal *j, int rc, const char *during); /* closes the file until it is reopened */
void journal_publish(struct journal *j);
void journal_room(struct journal *j, uint64_t now_ns); /* sets j->full */

/* group.c */
void group_take(struct journal *j, struct op_list *batch);
void group_flush(struct journal *j); /* commits what is lazy */
/* Tells a forwarder that something waits for it. */
void group_wake_sink(struct journal *j, enum journal_sink sink);
void group_fail_all(struct journal *j, struct op_list *batch);
void op_answer(struct journal_op *op);

/* backup.c: takes the operation over; between batches; gives an unfinished copy up. */
void journal_backup_begin(struct journal *j, struct journal_op *op);
void journal_backup_step(struct journal *j);
void journal_backup_stop(struct journal *j);

/* retention.c: removes a few old rows, and says in j->retention_at when to go on. */
void retention_step(struct journal *j, uint64_t now_ns, bool idle);

/* retire.c: marks the slot when nothing is left in it; the file is open and everything committed. */
bool retire_mark(struct journal *j);

/* links.c */
bool chain_open(struct journal *j, char *err, size_t errlen); /* the key; the file is open */
void chain_free(struct journal *j);
int chain_load(struct journal *j); /* the head from the open file */
/* The seq of the next settled change, within a transaction. */
int64_t chain_next_seq(const struct journal *j);
/* The link of the change that was settled under chain_next_seq(); r: as it was stored. */
int chain_add_row(struct journal *j, const struct change_record *r);
/* PostgreSQL refuses the row seq: its link goes alone, and one that says so. */
int chain_add_refusal(struct journal *j, int64_t seq);
int chain_loose_ack(struct journal *j, const struct journal_op *op);
int chain_loose_pull(struct journal *j, struct journal_op *op);
/* Reads %L (sql.h) from column first on. False: no memory. */
bool chain_read(sqlite3_stmt *s, int first, struct chain_link *l, struct arena *a);
/* The head into the log every hour and into the slot's file `chain` every minute, as far as it has moved; now: at once.
 */
void chain_tell(struct journal *j, uint64_t now_ns, bool now);

/* verbs_*.c */
int64_t op_now(const struct journal_op *op);
int find_by_id(struct journal *j, struct journal_op *op, const char *request_id, bool *there);
int find_open_line(struct journal *j, struct journal_op *op, const char *line, bool *there);
int queue_event(struct journal *j, const struct journal_event *event, int64_t seq, const char *line);
int queue_history(struct journal *j, int64_t seq, const char *line);
int invalidate_line(struct journal *j, struct journal_op *op, const char *line);
int key_take(struct journal *j, const struct change_record *c, int64_t now, bool *taken);
/* Makes room for one more element; false: no memory. *list may move. */
bool list_room(struct arena *a, void *list, size_t count, size_t *cap, size_t size);
int64_t list_limit(const struct journal_op *op);

verb_fn verb_claim, verb_release, verb_intent, verb_send, verb_outcome, verb_record, verb_cancel, verb_doubt,
    verb_answered, verb_calls, verb_get, verb_list_line, verb_list_open, verb_history_pull, verb_history_ack,
    verb_history_dead, verb_events_pull, verb_event_attempt, verb_events_due_now, verb_invalidations,
    verb_invalidated, verb_stats, verb_list_doubt, verb_events_list, verb_event_replay, verb_trace,
    verb_forget;
void committed_intent(struct journal *j, struct journal_op *op);
void committed_outcome(struct journal *j, struct journal_op *op);
void committed_record(struct journal *j, struct journal_op *op);
void committed_answered(struct journal *j, struct journal_op *op);

#endif
