/* erase.h - erasing a line's personal fields in PostgreSQL (issue 5, point 9; docs/tamper-evidence.md): a query of kind
 * HISTORY_ERASE, and queries of a command that has no worker. */
#ifndef PCS_HISTORY_ERASE_H
#define PCS_HISTORY_ERASE_H

#include "pcs/history/history.h"

/* What an instance had: its own journal may have it still. */
struct history_erased {
    const char *instance;
    int64_t rows, newest_ms; /* requested_at of the newest */
};

/* In and out of HISTORY_ERASE, beside the query's line. Repeating one is harmless; UNAVAILABLE leaves it open whether it
 * was done. */
struct history_erasure {
    const char *instance; /* who asks: a journal */
    const char *actor, *reason;
    const char *const *refused; /* the line's request ids whose rows PostgreSQL has refused */
    size_t refused_count;
    /* out, in the query's arena */
    int64_t rows, links; /* erased now */
    struct history_erased *of;
    size_t of_count;
    char why[256]; /* it is UNAVAILABLE */
};

/* Runs one query on a connection of its own; its status is set. Blocking; for a command. The caller clears q. */
void history_run_once(const struct history_config *config, struct history_query *q);

#endif
