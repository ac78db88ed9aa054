/* forget.h - erasing a line's personal fields in the journal (issue 5, point 9; docs/tamper-evidence.md).
 *
 * JOURNAL_FORGET walks the settled changes and events in spans, so that it never holds the journal up: it is repeated with
 * op->seq = forget.next until that is 0. Erased are, of each change of the line: line (becomes "erased"), subject,
 * customer_id, actor, correlation_id, traceparent, the hashes of key and body, failure_reason, the salt of its link;
 * event bodies and what MVNO AP answered; of a row that PostgreSQL refused, PostgreSQL's words but for the SQLSTATE. What
 * PostgreSQL and the chain need stays. Repeating it is harmless. An Idempotency-Key of an erased change stays taken until
 * it ends by itself (its repeat is answered 422): a free key could order again. */
#ifndef PCS_JOURNAL_FORGET_H
#define PCS_JOURNAL_FORGET_H

#include <stdbool.h>
#include <stdint.h>

/* What of the line is still to be done. Nothing is erased then (JOURNAL_CONFLICT). */
enum forget_block {
    FORGET_FREE,
    FORGET_OPEN_CHANGE,  /* a change of the line has not ended */
    FORGET_WAITING_ROW,  /* PostgreSQL does not have its row yet: it would get it with its fields */
    FORGET_OPEN_EVENT,   /* MVNO AP has not been told yet */
    FORGET_DEAD_EVENT,   /* a dead letter: to be replayed, or given up (give_up) */
    FORGET_INVALIDATION, /* Redis has not acknowledged that the cached customer is dropped */
    FORGET_BLOCKS
};
/* "a change is open", ... */
const char *forget_block_name(enum forget_block b);

struct journal_forget {
    /* in */
    bool erase;       /* false: look only */
    bool give_up;     /* dead letters of the line are thrown away */
    const char *note; /* who and why, JSON; kept in the journal with the first span that erases; NULL: not */
    const char *note_id;
    /* out */
    enum forget_block block; /* CONFLICT; op->found.request_id: of what, block_seq: the event's number */
    int64_t block_seq;
    int64_t next;                   /* where the next span begins; 0: this was the last */
    int64_t rows, events, given_up; /* of this span: found (look), erased (erase) */
    /* op->list, of this span: request_id, requested_at; op->seqs parallel: 1 when PostgreSQL refused the row */
};

#endif
