/*
 * Circuit breaker. One per neighbour's operation, shared by all threads.
 *
 * Ours differs from Resilience4j in this: a permit belongs to the state that gave it (an outcome of an older
 * state is counted as `late` and changes nothing); a permit that never comes back is a failure (`lost`);
 * only monotonic time is used; every transition cancels what was armed; DISABLED -> OPEN and the like have no
 * odd corners.
 *
 * Threads: every function may be called from any thread. A mutex is held for the counting only (clock and
 * random functions of the configuration are called under it, so they must not call the breaker). Each call
 * first fires what has fallen due, in order of due time, as if it had been fired in time; breaker_tick is
 * needed only to keep gauges and events fresh without traffic.
 */
#ifndef PCS_CORE_BREAKER_H
#define PCS_CORE_BREAKER_H

#include <stddef.h>

#include "pcs/core/breaker_types.h"

struct breaker;

/* The right to make one call. A plain value of the caller's; complete and release consume it (twice is
 * harmless). Must not be copied and used twice. All zero = no permit. */
struct breaker_permit {
    uint64_t epoch;
    uint32_t lease, lease_use;
};

/* This service's defaults: count window 20, minimum 10, failures 50 %, slow calls 80 %, wait 10 s x2 up to
 * 60 s +-20 %, 3 half-open permits, OPEN ends by itself, HALF_OPEN for at most 30 s and then OPEN, lost after
 * deadline + 1 s. slow_duration_ns is 0 = must be given (80 % of the operation's deadline). */
struct breaker_config breaker_config_default(void);

/* True if valid; otherwise err holds one sentence naming the field and what it must be. */
bool breaker_config_check(const struct breaker_config *cfg, char *err, size_t errlen);

/* A new breaker in cfg->initial_state, or NULL with a sentence in err. Name and cfg are copied. */
struct breaker *breaker_create(const char *name, const struct breaker_config *cfg, char *err, size_t errlen);
/* Nobody may be using it any more. NULL is fine. */
void breaker_destroy(struct breaker *b);

/*
 * Asks for one call. True: *permit is set and must be completed or released. False: rejected and counted;
 * *open_for_ns (may be NULL) is how long the breaker stays OPEN, 0 when that is not known (FORCED_OPEN, or
 * HALF_OPEN with its permits given out).
 * deadline_ns: the call's absolute deadline on the breaker's clock; at deadline + lease_grace_ms the permit
 * is taken back as a failure. 0 = never.
 */
bool breaker_acquire(struct breaker *b, uint64_t deadline_ns, struct breaker_permit *permit,
                     uint64_t *open_for_ns);

/* Only looks: false if OPEN or FORCED_OPEN, with the time left as above. Takes no permit, counts nothing. */
bool breaker_would_permit(struct breaker *b, uint64_t *open_for_ns);

/* The call ended. IGNORED is neither success nor failure and gives a half-open permit back. cause: short text
 * for operators, copied and cut at BREAKER_CAUSE_MAX; may be NULL; no personal data. */
void breaker_complete(struct breaker *b, struct breaker_permit *permit, enum breaker_outcome outcome,
                      uint64_t duration_ns, const char *cause);

/* Likewise, and the answer said "leave me alone for open_for_ns": if the breaker is CLOSED after recording it
 * goes OPEN for that long, whatever the rates, and without counting an attempt. Not for IGNORED; 0 = none. */
void breaker_complete_open_for(struct breaker *b, struct breaker_permit *permit, enum breaker_outcome outcome,
                               uint64_t duration_ns, const char *cause, uint64_t open_for_ns);

/* The call was not made or its outcome says nothing: nothing is recorded, a half-open permit is given back.
 */
void breaker_release(struct breaker *b, struct breaker_permit *permit);

/* Fires what is due. */
void breaker_tick(struct breaker *b);
/* When breaker_tick has something to do next (monotonic ns), UINT64_MAX if never. */
uint64_t breaker_next_due_ns(struct breaker *b);

void breaker_snapshot(struct breaker *b, struct breaker_snapshot *out);

/* An operator's transition. wait_ms: for OPEN, how long (no attempt is counted then); BREAKER_WAIT_CONFIGURED
 * = as configured, and for every other state. False with a sentence in err (state unchanged) for
 * CLOSED -> HALF_OPEN, METRICS_ONLY -> OPEN and METRICS_ONLY -> HALF_OPEN. Into the present state: silent,
 * but entered anew. */
#define BREAKER_WAIT_CONFIGURED INT64_C(-1)
bool breaker_transition(struct breaker *b, enum breaker_state to, int64_t wait_ms, char *err, size_t errlen);

/* To CLOSED with an empty window and attempt 0. */
void breaker_reset(struct breaker *b);

/* New thresholds, waits and window sizes, keeping state, counts, attempt and the end of a running OPEN. The
 * newest outcomes that fit are carried into a window of another size or type. Clock, random function and
 * initial_state stay as they were. False with a sentence in err: nothing has changed. */
bool breaker_reconfigure(struct breaker *b, const struct breaker_config *cfg, char *err, size_t errlen);

/* fn is called for each event outside the mutex, in the thread whose call caused it, before that call
 * returns; it may call the breaker. The event and its texts are valid during fn only. NULL = none: then no
 * event is built. A call in progress in another thread may still use the old fn when this returns. */
void breaker_set_listener(struct breaker *b, void (*fn)(const struct breaker_event *ev, void *arg),
                          void *arg);

/* "CLOSED", "FAILURE_RATE_EXCEEDED"; "?" for a value out of range. */
const char *breaker_state_name(enum breaker_state state);
const char *breaker_event_name(enum breaker_event_type type);
/* The state called so (exact); false if there is none. */
bool breaker_state_parse(const char *name, enum breaker_state *out);

#endif
