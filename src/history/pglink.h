/* pglink.h - one connection to PostgreSQL for a thread that must never be stuck in it.
 *
 * libpq's asynchronous calls, poll(2) and absolute deadlines (clock_mono_ns): a server that hangs, a name
 * that does not resolve and a packet that is lost all end at the deadline, and everything ends at *stop_at.
 * While waiting, the thread still hears its wake_fd. One thread owns a link. A deadline that passes closes
 * the connection, since the answer may still come: there is no PQcancel, which blocks by itself (the server
 * ends the statement by statement_timeout). */
#ifndef HISTORY_PGLINK_H
#define HISTORY_PGLINK_H

#include "pcs/history/history.h"

#include <libpq-fe.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define PGLINK_CONNECT_NS (UINT64_C(3000) * 1000000) /* one address; PITFALLS: connect_timeout=3 */

/* Why a statement has no result, and so what to do next. */
enum fault {
    FAULT_NONE,
    FAULT_LOST,    /* the connection is gone or was given up: connect again, repeat */
    FAULT_STOPPED, /* *stop_at has passed; the connection is closed */
    FAULT_BUSY,    /* the server's own trouble (classes 40, 53, 55, 57): repeat later */
    FAULT_SCHEMA,  /* not migrated, or no right (3F000, 42P01, 42883, 42703, 42501): repeat later */
    FAULT_ROW,     /* the data's own fault (classes 22, 23, 54) */
    FAULT_OTHER    /* anything else: repeat later, somebody must look */
};
const char *history_fault_name(enum fault f);
/* By SQLSTATE; NULL or "": FAULT_OTHER. */
enum fault history_fault_classify(const char *sqlstate);

struct pglink_target {
    const char *host; /* names, addresses or directories of sockets, separated by commas */
    int64_t port;
    const char *database, *username, *password, *sslmode;
    const char *ca_file, *client_cert, *client_key; /* "" or NULL: not given */
};

/* Where the service's role connects; the texts are c's. */
struct pglink_target pglink_target_of(const struct history_config *c);

struct pglink {
    PGconn *pg;                      /* NULL: closed */
    int wake_fd;                     /* an eventfd; -1: none */
    void (*on_wake)(void *arg);      /* after wake_fd was read; may be NULL */
    void *arg;                       /* of on_wake */
    const _Atomic uint64_t *stop_at; /* clock_mono_ns time after which nothing waits; NULL: none */
    bool timed_out;                  /* the last FAULT_LOST was a deadline */
    char sqlstate[6];                /* of the last fault, "" when the server gave none */
    char error[512];                 /* and its text, one line, without the data of rows */
};

/* Connects, tries every address in turn. True: usable, non-blocking, UTC, bounded by statement_timeout_ms
 * (0: none). False: closed, with error. */
bool pglink_open(struct pglink *l, const struct pglink_target *target, int64_t statement_timeout_ms,
                 uint64_t deadline_ns);
void pglink_close(struct pglink *l);

/* Each waits for the whole answer. *result (may be NULL) is set with FAULT_NONE only; the caller clears it.
 */
enum fault pglink_exec(struct pglink *l, const char *sql, uint64_t deadline_ns, PGresult **result);
enum fault pglink_params(struct pglink *l, const char *sql, int count, const char *const *values,
                         uint64_t deadline_ns, PGresult **result);
enum fault pglink_prepare(struct pglink *l, const char *name, const char *sql, uint64_t deadline_ns);
enum fault pglink_run(struct pglink *l, const char *name, int count, const char *const *values,
                      uint64_t deadline_ns, PGresult **result);

/* Sleeps until wake_fd rings (on_wake has run), until_ns or *stop_at passes, or the server says something; an
 * idle connection that ended is closed. */
void pglink_sleep(struct pglink *l, uint64_t until_ns);
/* Waits for any other descriptor. FAULT_NONE: it is ready for `events`; FAULT_LOST: the deadline. */
enum fault pglink_wait(struct pglink *l, int fd, short events, uint64_t deadline_ns);

#endif
