/* gate.h - the way in to an upstream operation: a breaker and a bulkhead, passed together.
 *
 * A pass is taken before the call (for orders: before the intent is made durable) and given back with what
 * came of it. Order of questions: does the breaker permit (looked at only) -> a slot, or a place in the
 * bounded queue -> the breaker's permit. Shared by all reactors of the process; it is the caller's memory and
 * outlives every pass. gate_enter() and gate_cancel() on the reactor's own thread, the rest on any. */
#ifndef PCS_CALL_GATE_H
#define PCS_CALL_GATE_H

#include "pcs/core/breaker.h"
#include "pcs/core/bulkhead.h"
#include "pcs/core/reactor.h"

struct gate {
    const char *name;
    struct breaker *breaker;   /* NULL: always permits */
    struct bulkhead *bulkhead; /* NULL: unlimited */
};

enum gate_answer {
    GATE_OPEN,    /* go: the pass is held and must be given back with gate_leave() or gate_return() */
    GATE_BREAKER, /* the breaker is open; wait_ns says how long */
    GATE_FULL,    /* over the bulkhead's queue */
    GATE_LATE     /* the deadline came while queued */
};

struct gate_pass; /* one waiting or admitted caller */
typedef void (*gate_done)(void *arg, enum gate_answer answer, struct gate_pass *pass, uint64_t wait_ns);

/* Asks for a pass; done is called exactly once on this reactor, never before gate_enter() has returned. With
 * GATE_OPEN the pass is the caller's; otherwise pass is NULL. call_deadline_ns: when the call itself will
 * have ended: a permit that is not back a second later is taken back as a failure (BREAKER.md, lost probe), the
 * slot stays taken until the pass is given back. queue_deadline_ns: how long to wait for a slot. Both absolute,
 * clock_mono_ns(). wait_ns with GATE_BREAKER: time until it may be asked again, 0 when that is not known. NULL
 * only without memory. */
struct gate_pass *gate_enter(struct gate *g, struct reactor *r, uint64_t queue_deadline_ns,
                             uint64_t call_deadline_ns, gate_done done, void *arg);
/* Likewise, in the queue that is served first (bulkhead.h). */
struct gate_pass *gate_enter_ahead(struct gate *g, struct reactor *r, uint64_t queue_deadline_ns,
                                   uint64_t call_deadline_ns, gate_done done, void *arg);
/* The caller no longer wants it: no callback after this, and whatever was already granted is given back. Before
 * the callback, or afterwards in place of gate_return(). Waiting passes must be cancelled before their reactor is
 * stopped. */
void gate_cancel(struct gate_pass *pass);

/* The call has ended. outcome as in breaker.h; cause: short text for the breaker's last cause (may be NULL). Frees
 * the pass. */
void gate_leave(struct gate_pass *pass, enum breaker_outcome outcome, uint64_t duration_ns,
                const char *cause);
/* Nothing was called: permit and slot go back unused. Frees the pass. */
void gate_return(struct gate_pass *pass);

/* Looks only, takes nothing (CONTRACT.md 1, order of checks): false when the breaker would refuse now; *wait_ns as
 * above. */
bool gate_looks_open(struct gate *g, uint64_t *wait_ns);

#endif
