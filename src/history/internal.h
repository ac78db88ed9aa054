/* internal.h - what the two threads of the history share. */
#ifndef HISTORY_INTERNAL_H
#define HISTORY_INTERNAL_H

#include "history/batch.h"
#include "history/pglink.h"
#include "history/waker.h"
#include "pcs/core/clock.h"
#include "pcs/history/history.h"

#include <pthread.h>
#include <stdatomic.h>

/* Between attempts to reach PostgreSQL: doubled each time, plus jitter. */
#define BACKOFF_MIN_NS (100 * NS_PER_MS)
#define BACKOFF_MAX_NS (5 * NS_PER_SEC)

struct backoff {
    uint64_t delay_ns; /* of the next wait; 0: none failed yet */
};
/* The time until which to wait after one more failure. */
uint64_t history_backoff_next(struct backoff *b, uint64_t now_ns);

/* Says one thing once: the same trouble again is not told, its end is. */
struct trouble {
    char told[16]; /* SQLSTATE or fault that was told; "": none */
};
void history_trouble_tell(struct trouble *t, const char *event, enum fault f, const struct pglink *l);
void history_trouble_end(struct trouble *t, const char *event);

struct worker {
    struct history *h;
    struct pglink link;
    struct batch batch;
    struct waker *waker;
    struct mailbox box; /* the journal's answers */
    struct backoff backoff;
    struct trouble trouble, partition_trouble;

    struct journal_op pull, ack, dead;
    bool pull_busy, ack_busy, dead_busy;
    bool loaded;    /* pull holds rows or calls that PostgreSQL does not have yet */
    bool *row_dead; /* parallel to pull.list */
    size_t row_room;
    int64_t *acked; /* seqs of rows, then of calls, then of loose links, while ack is busy */
    size_t ack_room;

    int months[64]; /* year * 12 + month whose partitions are known to be there */
    size_t month_count;
    uint64_t months_at; /* when partitions are made again */
    bool gave_up;       /* stopping, and the last attempt failed */
};

/* Queries that fail though connecting succeeds: so many in a row are a neighbour that is down, until one is answered or
 * nobody has asked for so long. */
#define QUERIES_FAILED_MAX 3
#define QUERIES_FORGET_NS  (30 * NS_PER_SEC)

struct reader {
    struct history *h;
    struct pglink link;
    struct waker *waker;
    struct mailbox box;  /* queries */
    struct msg *waiting; /* taken from box, oldest first */
    struct backoff backoff;
    struct trouble trouble;
    bool down;       /* known to be: answer at once */
    unsigned failed; /* queries in a row */
    uint64_t retry_at;
};

struct history {
    struct history_config config; /* texts below */
    char *texts;
    struct pglink_target target;
    struct journal *journal;
    char instance[64];

    _Atomic uint64_t stop_at;                  /* UINT64_MAX: running */
    atomic_bool up, queries_down;              /* the worker's and the reader's view */
    _Atomic uint64_t queries_failing_until_ns; /* 0: they are answered */

    struct worker worker;
    struct reader reader;
    pthread_t worker_thread, reader_thread;
};

static inline bool history_stopping(const struct history *h)
{
    return atomic_load(&h->stop_at) != UINT64_MAX;
}

/* worker.c; history_worker_store.c */
bool history_worker_init(struct worker *w, struct history *h);
void history_worker_free(struct worker *w);
void *history_worker_thread(void *arg); /* arg: struct worker */
/* Stores what pull holds; poison rows are found and told to the journal. FAULT_NONE: all of it is settled. */
enum fault history_worker_store(struct worker *w);
/* Waits for the journal's answer; not bounded, since the operation is this thread's memory. */
void history_worker_await(struct worker *w, const bool *busy);

/* history_worker_months.c */
/* Makes the partitions ahead and those of rows in DEFAULT, when it is time to. */
enum fault history_worker_months(struct worker *w);
/* Makes the partitions that the rows of the batch need. What cannot be made is left to DEFAULT. */
enum fault history_worker_months_of_rows(struct worker *w);

/* reader.c; read.c */
bool history_reader_init(struct reader *r, struct history *h);
void history_reader_free(struct reader *r);
void *history_reader_thread(void *arg); /* arg: struct reader */
enum fault history_read_prepare(struct pglink *l, uint64_t deadline_ns);
/* Runs q on the link and sets its answer. */
enum fault history_read_run(struct pglink *l, struct history_query *q);

/* Before it runs: its arena. */
void history_query_prepare(struct history_query *q);

/* config.c: metrics, and the series of those with labels */
enum { ROWS_STORED, ROWS_DUPLICATE, ROWS_DEAD, ROWS_CALL_STORED, ROWS_CALL_DEAD };
extern struct metric_family history_rows, history_batch_time, history_up_gauge, history_queries;

#endif
