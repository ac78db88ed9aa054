/* verify_internal.h - one run of history_verify(), shared by its passes. */
#ifndef HISTORY_VERIFY_INTERNAL_H
#define HISTORY_VERIFY_INTERNAL_H

#include "history/pglink.h"
#include "pcs/core/arena.h"
#include "pcs/history/verify.h"

#define VERIFY_BATCH 1000 /* links, with their rows, in memory at once */

/* Microseconds since the epoch as text; "infinity" and "-infinity" as they are. A time that a journal has written is a
 * whole number of milliseconds. */
#define MICROSECONDS(column)                                                                                 \
    "CASE WHEN isfinite(" column ") THEN round(extract(epoch FROM " column ") * 1000000)::text ELSE " column \
    "::text END"

struct verify {
    const struct history_verify *job;
    struct history_totals *totals;
    struct pglink link;
    struct chain_hasher *hasher;
    bool no_memory;

    /* of the instance in hand */
    const char *instance;
    int64_t forwarded; /* links up to here must be in the table; INT64_MAX: no journal says so */
    int64_t next;      /* seq from which on to read */
    int64_t last;      /* seq of the link before, or from_seq - 1 */
    bool has_last;     /* there was one */
    unsigned char last_link[CHAIN_HASH];

    struct chain_link batch[VERIFY_BATCH]; /* texts in arena */
    size_t count;
    struct arena arena;
};

void verify_found(struct verify *v, const struct history_finding *f);
static inline enum fault verify_query(struct verify *v, const char *sql, int count, const char *const *values,
                                      PGresult **result)
{
    return pglink_params(&v->link, sql, count, values, UINT64_MAX, result);
}

/* verify_rows.c: the rows of v->batch, in the transaction that read it. */
enum fault verify_rows(struct verify *v);
/* verify_foreign.c: rows that no link tells of. */
enum fault verify_foreign(struct verify *v);

#endif
