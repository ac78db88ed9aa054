/* change.h - one change as the journal keeps it: the record that every layer above reads and writes.
 *
 * Texts are NULL when absent. A record given to the journal is borrowed until the operation's done callback;
 * a record from the journal lives in the operation's arena. Times are Unix milliseconds, 0 when absent. */
#ifndef PCS_JOURNAL_CHANGE_H
#define PCS_JOURNAL_CHANGE_H

#include <stdbool.h>
#include <stdint.h>

/* The durable states (DESIGN.md, "A change"). Everything before the intent lives in memory only. The numbers
 * are in the journal's file: new states are added at the end. */
enum change_state {
    CHANGE_ACCEPTED,    /* durable, waiting to be sent, cancellable: async and hold */
    CHANGE_SENDING,     /* the order may be on its way; without an outcome it is in doubt */
    CHANGE_COMPLETED,   /* KOS applied it */
    CHANGE_REFUSED,     /* KOS refused it: result_code is KOS's own */
    CHANGE_NOT_SENT,    /* nothing reached KOS: KOS_UNAVAILABLE */
    CHANGE_NOT_APPLIED, /* settled: still the baseline at the horizon */
    CHANGE_INVALID,     /* the pre-check failed: VALIDATION_FAILED */
    CHANGE_CANCELLED,   /* by the customer, from ACCEPTED */
    CHANGE_EXPIRED,     /* held too long, from ACCEPTED */
    CHANGE_STATES
};
const char *change_state_name(enum change_state s); /* "ACCEPTED", ... */
bool change_state_parse(const char *name, enum change_state *s);
/* Is it over? Everything but ACCEPTED and SENDING. */
bool change_state_final(enum change_state s);
/* May an open change go from one state to the other? ACCEPTED -> SENDING, NOT_SENT, INVALID, CANCELLED,
 * EXPIRED; SENDING -> COMPLETED, REFUSED, NOT_SENT, NOT_APPLIED. */
bool change_transition_ok(enum change_state from, enum change_state to);
/* Is the Idempotency-Key of a change that ended so free again? NOT_SENT: nothing was ordered, a 503 leaves the key free;
 * also if it is known only afterwards that nothing was (NOT_APPLIED). Not if 202 was told: that answer is kept. */
bool change_frees_key(enum change_state ended, int64_t first_status);

struct change_record {
    const char *request_id; /* UUIDv7 */
    const char *line;       /* 11 digits */
    enum change_state state;

    /* who asked, and how */
    const char *subject, *customer_id;
    const char *actor;          /* who acted: the subject, or an operator's name */
    const char *correlation_id; /* of the HTTP request */
    const char *traceparent;
    const char *idem_key;  /* hash of (subject, Idempotency-Key), hex; NULL: none */
    const char *body_hash; /* hash of the validated fields, hex */
    bool frontend;         /* asked on /api/v1: a refusal is answered 200 there */
    bool held;             /* accepted in an outage: answered PENDING until it is sent */

    /* what was asked */
    const char *current_code, *current_name;
    const char *target_code, *target_name;

    /* when */
    int64_t requested_at, loaded_at, validated_at, sent_at, processed_at, expires_at;

    /* what came of it */
    const char *result_code, *result_message; /* Korean */
    const char *failure_reason;               /* Korean */
    const char *validation_json;              /* [{checkType,result,message}], Korean */
    const char *check_codes;                  /* the same as reason codes, from which English is made */
    const char *changed_product_json;         /* Product */
    const char *kos_order_number;

    /* settling */
    bool in_doubt;         /* SENDING, and the call to KOS is over without a clear answer */
    bool on_operator_list; /* settling gave up: an operator decides */
    int64_t doubt_since, next_check_at;
    int64_t first_baseline_at, last_baseline_at; /* inquiries that still showed the baseline */
    int64_t checks;                              /* inquiries made so far */

    int64_t first_status; /* HTTP status of the first answer, for replays; 0: none noted */
};

#endif
