/* verify.h - is the history in PostgreSQL what the instances have written? (docs/tamper-evidence.md)
 *
 * Reads the hash chain of each instance and the rows it tells of, in batches, in short transactions of their own:
 * memory does not grow with the history, and a service that goes on writing meanwhile disturbs nothing. Only reads.
 * Blocking; for a command. */
#ifndef PCS_HISTORY_VERIFY_H
#define PCS_HISTORY_VERIFY_H

#include "pcs/history/history.h"
#include "pcs/journal/chain.h"

enum history_finding_kind {
    FINDING_ROW_ALTERED,  /* what: the columns, by group */
    FINDING_ROW_MISSING,  /* its link is there */
    FINDING_ROW_FOREIGN,  /* no instance has written it: it has no link */
    FINDING_ROW_DOUBLED,  /* a second row of a request id, with another requested_at */
    FINDING_LINK_ALTERED, /* does not fit its HMAC: altered, or made without the key */
    FINDING_LINK_MISSING, /* seq to until */
    FINDING_LINK_ORDER, /* does not follow the one before it, though both are genuine: the chain was forked */
    FINDING_TAIL_CUT,   /* seq to until: were in the table and are gone, and nothing is behind them */
    FINDING_KINDS
};
/* "row altered", ... */
const char *history_finding_name(enum history_finding_kind kind);

struct history_finding {
    enum history_finding_kind kind;
    const char *instance;   /* as the row or link says */
    int64_t seq, until;     /* of the link; 0: a row that has none. until: the last of several, else 0 */
    const char *request_id; /* NULL: not known */
    const char *what;       /* NULL, or more about it */
};

/* How far an instance's chain is known to go. */
struct history_head {
    const char *instance;
    int64_t seq; /* link: of this seq; only when has_link */
    bool has_link;
    unsigned char link[CHAIN_HASH];
    int64_t forwarded; /* up to here PostgreSQL had everything; what lies between it and seq may still wait */
};

struct history_totals {
    int64_t instances, links, rows; /* looked at */
    int64_t refused;                /* rows that PostgreSQL refused, as a link says */
    int64_t erased;                 /* rows without their personal fields */
    int64_t removed;                /* rows from before rows_since that are not there */
    int64_t waiting;                /* links that a journal has not forwarded yet */
    int64_t headless;               /* instances without a head: a cut tail would not be seen */
    int64_t findings;
    int64_t unverified; /* links whose key was not given */
    char unverified_key[2 * CHAIN_KEY_ID + 1];
};

struct history_verify {
    const struct history_config *config; /* connects as the service's role */
    const char *instance;                /* NULL: all */
    int64_t from_seq;                    /* 0: from the first one */
    int64_t rows_since_ms; /* rows requested before are not looked for: removed, or older than the chain */
    struct chain_key *const *keys;
    size_t key_count;
    const struct history_head *heads; /* several of an instance are all looked at */
    size_t head_count;
    void (*found)(void *arg, const struct history_finding *f);
    void (*progress)(void *arg, const struct history_totals *so_far); /* after each batch */
    void *arg;
};

enum history_verdict {
    VERIFY_CLEAN,
    VERIFY_FINDINGS,
    VERIFY_FAILED /* not, or not all of it: err tells why; what was found until then was told */
};
enum history_verdict history_verify(const struct history_verify *job, struct history_totals *totals,
                                    char *err, size_t errlen);

#endif
