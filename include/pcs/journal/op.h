/* op.h - one operation on the journal: what can be asked, with what, and what comes back.
 *
 * Included by journal.h, which tells how operations travel and when they are answered. */
#ifndef PCS_JOURNAL_OP_H
#define PCS_JOURNAL_OP_H

#include "pcs/core/arena.h"
#include "pcs/core/mailbox.h"
#include "pcs/journal/chain.h"
#include "pcs/journal/change.h"
#include "pcs/journal/forget.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct journal;

enum journal_status {
    JOURNAL_OK,
    JOURNAL_RELOAD,     /* an outcome of this line is newer than loaded_at: load again */
    JOURNAL_LINE_BUSY,  /* another change of the line is open or claimed: found.request_id, found_recorded */
    JOURNAL_KEY_BUSY,   /* the key's first request is still unanswered: likewise */
    JOURNAL_KEY_REUSED, /* the key was used with another body */
    JOURNAL_REPLAY,     /* the key's change: found holds it, first_status its first answer */
    JOURNAL_NOT_FOUND,
    JOURNAL_CONFLICT,    /* conditional update: the change is not in the expected state; found holds it */
    JOURNAL_FULL,        /* the reserve, the size limit or the disk is used up: no new intents */
    JOURNAL_FAILED,      /* not stored: I/O error, or the journal is closed for writing */
    JOURNAL_OUT_OF_ORDER /* EVENT_REPLAY: a later event of the line has been delivered */
};
const char *journal_status_name(enum journal_status s);

enum journal_verb {
    /* --- a change --- */
    /* In memory: the line (and key) for change->request_id, after asking key and line. OK, REPLAY,
     * KEY_REUSED, KEY_BUSY, LINE_BUSY, FULL (too many claims). Uses request_id, line, idem_key, body_hash. A
     * REPLAY whose found.first_status is 0: the process ended before it answered; the state tells what to
     * answer. A claim ends by itself after 60 s; it is answered without waiting for a commit. */
    JOURNAL_CLAIM,
    /* Gives the claim back (request_id). An INTENT or RECORD that succeeded has taken it over; releasing is
     * then harmless. */
    JOURNAL_RELEASE,
    /* Stores change (ACCEPTED or SENDING) with its key, and an invalidation of its line (generation). The
     * line must be claimed by nobody else. OK, RELOAD, LINE_BUSY, KEY_BUSY, FULL, CONFLICT (its id is known:
     * found). first_status is kept when set; else the key is busy until ANSWERED, or an outcome with
     * first_status. */
    JOURNAL_INTENT,
    /* ACCEPTED -> SENDING if it is still ACCEPTED (uses request_id, loaded_at, sent_at, customer_id, the
     * names and validation of change), and an invalidation of its line (generation); OK, RELOAD, CONFLICT,
     * NOT_FOUND */
    JOURNAL_SEND,
    /* An open change ends: change->state (a move that change_transition_ok() allows), its result fields, and
     * actor, names, validation, first_status if given; processed_at 0: now. event (may be NULL) enters the
     * outbox, the row enters the history queue, its line the invalidations (generation). NOT_SENT frees the
     * key unless 202 was told (first_status); others keep it key_ms from requested_at. OK, CONFLICT (already final, or no such move: found),
     * NOT_FOUND */
    JOURNAL_OUTCOME,
    /* Stores a change that never was open (INVALID, NOT_SENT) with event if any. Takes its claim and key over
     * (INVALID keeps the key, NOT_SENT leaves it free). OK, KEY_BUSY, CONFLICT (its id is known: found), FULL
     */
    JOURNAL_RECORD,
    JOURNAL_CANCEL, /* ACCEPTED -> CANCELLED or EXPIRED (change->state), else CONFLICT; event as for OUTCOME
                     */
    JOURNAL_DOUBT,  /* updates the settling fields of a SENDING change: all of them, as given */
    /* Notes first_status if none is noted yet (lazy: no commit of its own, unless soon). Known to later CLAIMs from its
     * submission on; with soon, when it is on disk. Not needed when the outcome carried first_status. OK, NOT_FOUND */
    JOURNAL_ANSWERED,
    JOURNAL_CALLS, /* stores calls_in[] (lazy). FULL: dropped, the room that is left is for outcomes */
    /* --- reading --- */
    JOURNAL_GET, /* by request_id: found */
    /* Changes of `line`: open, or not yet in PostgreSQL; newest first (requested_at), at most `limit`: list
     */
    JOURNAL_LIST_LINE,
    /* Every open change (recovery, operator's list), oldest first, `limit`, after `after_id`: list */
    JOURNAL_LIST_OPEN,
    /* --- forwarding to PostgreSQL (history worker) --- */
    /* The oldest `limit` final rows with their links, 4 x limit calls, and links that go alone (of rows that PostgreSQL
     * refused), not yet forwarded: list + seqs + links, calls, loose. Sees every ACK that was submitted before it. */
    JOURNAL_HISTORY_PULL,
    JOURNAL_HISTORY_ACK, /* ack_rows[], ack_calls[] and ack_links[] are in PostgreSQL (lazy) */
    /* One row (seq) that PostgreSQL refuses for itself: kept aside with `reason`; its link goes alone, and a second
     * one tells of the refusal. Likewise the calls ack_calls[]. */
    JOURNAL_HISTORY_DEAD,
    /* --- events to MVNO AP (delivery) --- */
    /* Of every line that has any: its oldest undelivered event if it is due by `now`, longest due first;
     * `limit`, skipping lines that are being sent is the caller's work: events[] */
    JOURNAL_EVENTS_PULL,
    /* Ledger row; and event delivered | due again at next_due | dead (attempt.verdict) (lazy). OK, NOT_FOUND (not
     * undelivered) */
    JOURNAL_EVENT_ATTEMPT,
    JOURNAL_EVENTS_DUE_NOW, /* the destination is back: everything undelivered is due */
    /* --- cache invalidation --- */
    JOURNAL_INVALIDATIONS, /* lines whose invalidation Redis has not acknowledged, after `line`: invalid[] */
    /* line + generation was acknowledged by Redis (lazy). NOT_FOUND: the line was invalidated again since */
    JOURNAL_INVALIDATED,
    /* --- operators (admin API) --- */
    JOURNAL_LIST_DOUBT, /* changes in doubt, the oldest doubt first, `limit`: list */
    /* Events in event_state, of `line` (NULL: all), older than `seq` (0: from the newest), newest first, `limit` (at
     * most 500): events, attempts (the newest of each). seq: where the next page begins, 0 when there is none; a page
     * may hold less than limit all the same, since delivered events are looked at in bounded steps. */
    JOURNAL_EVENTS_LIST,
    /* The dead or delivered event `seq` is due again, at its place in its line. OK, NOT_FOUND, CONFLICT (it is
     * undelivered), OUT_OF_ORDER (unless out_of_order), FULL; events[0]: as it was */
    JOURNAL_EVENT_REPLAY,
    /* The story of change.request_id: found, calls, events and their whole ledger (attempts, newest first),
     * forwarding, invalid (of its line: not yet acknowledged by Redis). OK, NOT_FOUND */
    JOURNAL_TRACE,
    /* Erases `line`'s personal fields (forget.h), a span from seq on. OK, CONFLICT */
    JOURNAL_FORGET,
    JOURNAL_BACKUP, /* copies the file into the slot (backup.h); answered when the copy is whole. limit -1: gives
                       the one that is being made up (its operation is FAILED) */
    /* --- the whole --- */
    JOURNAL_STATS, /* stats */
    JOURNAL_VERBS
};

/* One KOS call of a change, for kos_integration_log: no personal data. */
struct journal_call {
    int64_t seq; /* out */
    const char *request_id, *operation, *result_code, *outcome, *breaker_state;
    int64_t attempt, http_status, milliseconds, at;
};

/* The numbers are in the statements (sql.c). */
enum journal_event_state { EVENT_PENDING, EVENT_DEAD, EVENT_DELIVERED, EVENT_ANY };

/* One event for MVNO AP. body is the JSON as it will be sent. */
struct journal_event {
    int64_t seq; /* out; the order within a line */
    const char *event_id, *type, *request_id, *line, *body, *traceparent;
    int64_t created_at, attempts, due_at;
    enum journal_event_state state; /* out, of EVENTS_LIST, EVENT_REPLAY and TRACE */
    int64_t died_at;                /* likewise */
};

enum journal_verdict { VERDICT_DELIVERED, VERDICT_AGAIN, VERDICT_DEAD };

struct journal_attempt {
    int64_t seq, at, status, milliseconds, next_due;
    const char *error, *answer; /* answer: up to 1 KiB of the body */
    enum journal_verdict verdict;
    bool counted; /* false: the destination's fault, no attempt consumed */
};

/* How far a change's row is on its way to PostgreSQL. The numbers are in the statements. */
enum journal_forwarding { FORWARD_NONE, FORWARD_PENDING, FORWARD_DEAD, FORWARD_DONE };

struct journal_invalid {
    const char *line;
    int64_t generation;
};

struct journal_stats {
    int64_t open, in_doubt, oldest_doubt_at, history_pending, history_dead, calls_pending, links_pending,
        events_pending, events_dead, oldest_event_at, invalidations, bytes, commits, operations, claims;
    bool writable;
};

struct journal_op {
    struct msg msg; /* private: how it travels */
    struct journal *journal;
    enum journal_verb verb;
    struct mailbox *reply_to;
    void (*done)(struct journal_op *op); /* never NULL */
    void *arg;
    uint64_t queued_ns;
    const char *ended_line; /* private: of the change that ended with it */

    /* in: what the verb names */
    struct change_record change;
    const struct journal_event *event;
    const struct journal_call *calls_in;
    size_t calls_in_count;
    const char *line, *after_id, *reason;
    int64_t now;        /* Unix ms; 0: the wall clock */
    int64_t limit;      /* rows; 0: 1000, at most 10000 */
    int64_t generation; /* INVALIDATED: in. INTENT, SEND, OUTCOME: out, of the line's invalidation */
    int64_t seq;
    const int64_t *ack_rows, *ack_calls, *ack_links;
    size_t ack_row_count, ack_call_count, ack_link_count;
    struct journal_attempt attempt;
    enum journal_event_state event_state; /* EVENTS_LIST */
    bool soon;                            /* ANSWERED: somebody waits for it */
    bool out_of_order;                    /* EVENT_REPLAY: though a later event of the line was delivered */
    struct journal_forget forget;         /* in and out */

    /* out, in arena */
    enum journal_status status;
    struct arena arena;
    struct change_record found;
    bool found_recorded; /* found is in the journal, whole, and may be named; else only its request_id */
    struct change_record *list;
    int64_t *seqs;            /* parallel to list */
    struct chain_link *links; /* likewise; seq 0: the row is older than the chain */
    size_t list_count;
    struct chain_link *loose;
    size_t loose_count;
    struct journal_call *calls;
    size_t call_count;
    struct journal_event *events;
    size_t event_count;
    struct journal_attempt *attempts;
    size_t attempt_count;
    struct journal_invalid *invalid;
    size_t invalid_count;
    enum journal_forwarding forwarding;
    const char *forward_reason; /* FORWARD_DEAD: PostgreSQL's */
    struct journal_stats stats;
};

#endif
