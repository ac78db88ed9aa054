/* Inside of the circuit breaker. Every function here expects the mutex to be held, unless it says otherwise.
 */
#ifndef CORE_BREAKER_IMPL_H
#define CORE_BREAKER_IMPL_H

#include <pthread.h>

#include "core/breaker_lease.h"
#include "core/breaker_window.h"
#include "pcs/core/breaker.h"
#include "pcs/core/clock.h"

struct breaker {
    pthread_mutex_t lock;
    char name[BREAKER_NAME_MAX];
    struct breaker_config cfg;

    enum breaker_state state; /* written by breaker_state_enter only */
    uint64_t epoch;           /* grows with each entry into a state */
    uint64_t entered_ns;
    uint64_t open_until_ns; /* OPEN */
    uint32_t attempt;
    uint64_t now_ns; /* newest time seen: a clock that steps back is held */

    struct breaker_window closed; /* CLOSED, METRICS_ONLY */
    struct breaker_window probes; /* HALF_OPEN */
    struct breaker_window *shown; /* the one the metrics show; NULL: none, all zero */
    uint64_t not_permitted;
    uint64_t permits_taken;                            /* HALF_OPEN */
    uint64_t consecutive;                              /* failures in a row in this state */
    bool failure_alarm, slow_alarm, consecutive_alarm; /* METRICS_ONLY: published in this stay */
    struct breaker_lease_table leases;

    uint64_t calls[BREAKER_OUTCOME_COUNT];
    uint64_t duration_ns[BREAKER_OUTCOME_COUNT];
    uint64_t slow_calls[BREAKER_OUTCOME_COUNT];
    uint64_t rejected, late, lost;
    uint64_t transitions[BREAKER_STATE_COUNT];
    char last_cause[BREAKER_CAUSE_MAX];
    uint64_t last_cause_at_ns;
    char trip_cause[BREAKER_CAUSE_MAX];

    void (*listener)(const struct breaker_event *ev, void *arg);
    void *listener_arg;
    uint64_t event_seq;
    uint64_t random_state;
};

/* Events made under the mutex, delivered after it. One step makes six at most: outcome, two rates, the run
 * of failures, and two transitions. */
#define OUTBOX_SIZE 8
struct breaker_outbox {
    unsigned count;
    void (*listener)(const struct breaker_event *ev, void *arg);
    void *listener_arg;
    struct breaker_event event[OUTBOX_SIZE];
};

/* Takes the mutex (not held), having fired all that is due; delivers its events. Returns the time. */
uint64_t breaker_enter(struct breaker *b, struct breaker_outbox *box);
/* Gives the mutex back, then delivers. */
void breaker_leave(struct breaker *b, struct breaker_outbox *box);

/* A new event, or NULL if nobody listens or the state publishes none of this type. */
struct breaker_event *breaker_outbox_add(struct breaker *b, struct breaker_outbox *box,
                                         enum breaker_event_type type, uint64_t at_ns);

/* The only writer of b->state. open_for_ns: OPEN only; UINT64_MAX = as configured, counting an attempt. */
void breaker_state_enter(struct breaker *b, struct breaker_outbox *box, enum breaker_state to,
                         const char *reason, uint64_t open_for_ns, uint64_t at_ns);
bool breaker_state_may_go(enum breaker_state from, enum breaker_state to);
/* Records a success or failure in the present state and judges. */
void breaker_state_record(struct breaker *b, struct breaker_outbox *box, enum breaker_outcome outcome,
                          uint64_t duration_ns, const char *cause, uint64_t at_ns);
/* HALF_OPEN: leaves it if enough results are in. */
void breaker_state_judge_half_open(struct breaker *b, struct breaker_outbox *box, uint64_t at_ns);
/* When the state ends by itself, UINT64_MAX = never. */
uint64_t breaker_state_due_ns(const struct breaker *b);
/* Fires the earliest thing that is due at now_ns; false if there is none. `fired`: how many were before it in
 * this call. */
bool breaker_state_fire_due(struct breaker *b, struct breaker_outbox *box, uint64_t now_ns, unsigned fired);
/* Results needed before the rates of the window shown mean anything. */
uint64_t breaker_state_minimum(const struct breaker *b);

/* How long OPEN lasts on this attempt. */
uint64_t breaker_backoff_ns(struct breaker *b, uint32_t attempt);

/* a + b, or UINT64_MAX. */
uint64_t breaker_add_ns(uint64_t a, uint64_t b);
/* A wait in ms, clamped to 0..BREAKER_WAIT_LIMIT_MS, in ns. */
uint64_t breaker_ms_to_ns(int64_t ms);
/* Copies and cuts; NULL = "". */
void breaker_copy_text(char *dst, size_t size, const char *src);

#endif
