/* history.h - the change history in PostgreSQL: the async worker that forwards the journal, and the queries.
 *
 * Two threads of their own, each with its own connection; neither ever makes a request wait on the other. The
 * worker pulls final rows and KOS call notes from the journal, stores them in idempotent batches, makes
 * partitions ahead and acknowledges to the journal after PostgreSQL's commit. Queries come from reactors as
 * messages, through a bounded queue. PostgreSQL may be down at start and at any time: rows wait in the
 * journal, queries answer UNAVAILABLE. */
#ifndef PCS_HISTORY_HISTORY_H
#define PCS_HISTORY_HISTORY_H

#include "pcs/core/arena.h"
#include "pcs/core/config.h"
#include "pcs/core/mailbox.h"
#include "pcs/core/metrics.h"
#include "pcs/journal/journal.h"

struct history;

struct history_config {
    const char *host; /* name, address or directory of sockets; several by commas: the primary is taken */
    const char *name, *username, *password;
    const char *sslmode;                            /* libpq's word: disable .. verify-full */
    const char *ca_file, *client_cert, *client_key; /* "" or NULL: libpq's own places */
    int64_t port;
    const char *migrate_username, *migrate_password; /* "": the service's own */
    int64_t batch;                                   /* rows in one INSERT */
    int64_t query_deadline_ms;                       /* a history query, waiting included */
    int64_t query_queue;                             /* queries that may wait */
    int64_t months_ahead;                            /* partitions made ahead */
    int64_t retention_ms, call_retention_ms; /* rows and call notes are removed after this; 0: never */
};
extern const struct config_section history_config_section;
extern struct metric_family *const history_metrics[];
extern const size_t history_metrics_count;

/* Starts both threads; PostgreSQL need not be there. NULL with err only for want of threads or memory. */
struct history *history_start(const struct history_config *config, struct journal *journal, char *err,
                              size_t errlen);
/* Forwards what it can within grace_ms, then ends both threads; waiting queries are answered UNAVAILABLE. Ends in
 * time though PostgreSQL hangs; only an answer of the journal is waited for without limit, so call it before
 * journal_close(). While PostgreSQL is down one more attempt is made, no waiting. NULL: nothing to do. */
void history_stop(struct history *h, uint32_t grace_ms);
/* Any thread: does PostgreSQL take rows and answer queries (health)? False until it has taken what there was: a connection
 * alone, without schema or rights, does not count; and while the queries' connection cannot be made, or queries fail one
 * after the other. */
bool history_up(const struct history *h);

enum history_status {
    HISTORY_OK,
    HISTORY_NOT_FOUND,   /* HISTORY_GET only; PostgreSQL has said so */
    HISTORY_UNAVAILABLE, /* PostgreSQL is down (answered at once), hangs or is slow (at the deadline) */
    HISTORY_BUSY         /* the queue is full, or the deadline passed in it and the query was not run */
};
enum history_kind {
    HISTORY_PAGE,  /* line, from_ms <= requested_at < until_ms, without the ids in exclude, newest first */
    HISTORY_ERASE, /* the personal fields of `line`: erase.h */
    HISTORY_GET    /* one row by request_id. A UUIDv7 is looked for within a day of its own time (prunes
                     partitions), without a second try: it is made with requested_at. Other UUIDs: everywhere. */
};

struct history_erasure; /* erase.h */

struct history_query {
    struct msg msg; /* private */
    enum history_kind kind;
    struct mailbox *reply_to;
    void (*done)(struct history_query *q); /* on the thread that drains reply_to */
    void *arg;
    uint64_t deadline_ns; /* set by history_submit() */

    const char *line;           /* NULL: every line (not offered to customers) */
    int64_t from_ms, until_ms;  /* 0: open */
    int64_t offset, limit;      /* limit: at most 1000 */
    const char *const *exclude; /* request ids that the journal has: each row once. Borrowed, as all texts */
    size_t exclude_count;
    const char *request_id;
    struct history_erasure *erasure; /* HISTORY_ERASE; the caller's */

    enum history_status status;
    struct arena arena;
    struct change_record *rows;
    size_t count;
    int64_t total; /* HISTORY_PAGE: all that match, exclude taken off */
};
/* Any thread. False: the queue is full (503); q stays the caller's. */
__attribute__((warn_unused_result)) bool history_submit(struct history *h, struct history_query *q);
void history_query_clear(struct history_query *q);

/* The command `migrate`: applies the numbered migrations that are missing, in order, each in its transaction,
 * under an advisory lock (safe twice and by two at once); installs the roles' rights. dir: where the .sql
 * files are. Prints what it did to out. False with err. Blocking; not for a reactor. */
bool history_migrate(const struct history_config *config, const char *dir, struct buf *out, char *err,
                     size_t errlen);

#endif
