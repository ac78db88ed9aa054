/*
 * Bulkhead: a process-wide limit of calls in flight to one upstream operation, with a bounded first-come
 * first-served queue behind it, so that a slow neighbour cannot take every thread and buffer with it. A second queue,
 * as long, is served before the first: what an order needs does not wait behind reads.
 *
 * Threads: every function may be called from any thread; a mutex is held for a few pointer moves only.
 */
#ifndef PCS_CORE_BULKHEAD_H
#define PCS_CORE_BULKHEAD_H

#include <stdbool.h>
#include <stdint.h>

struct bulkhead;

#define BULKHEAD_MAX_LIMIT 1000000u /* for both numbers */
#define BULKHEAD_NAME_MAX  64

enum bulkhead_result {
    BULKHEAD_GRANTED, /* a slot is the caller's: bulkhead_release when the call has ended */
    BULKHEAD_QUEUED,  /* waiter->granted will be called, unless bulkhead_cancel comes first */
    BULKHEAD_FULL     /* no slot and no place in the queue: refuse the request (503) */
};

/*
 * A place in a queue; memory of the caller's, usually inside its request. Set granted and ahead before acquire and
 * leave the rest alone. Must stay where it is from BULKHEAD_QUEUED until granted has been called or
 * bulkhead_cancel has returned true; afterwards it may be used again.
 */
struct bulkhead_waiter {
    /* The slot is the waiter's. Called exactly once, by the thread that freed the slot and outside the
     * mutex, possibly before bulkhead_acquire has returned in the waiter's own thread: it should only post a
     * message to its own loop. It may call the bulkhead, and may end the waiter's memory. */
    void (*granted)(struct bulkhead_waiter *waiter);
    bool ahead; /* in the queue that is served first */
    struct bulkhead_waiter *next, *prev;
    bool queued;
};

struct bulkhead_snapshot {
    char name[BULKHEAD_NAME_MAX];
    uint32_t in_flight, queued, max_in_flight, max_queue; /* queued: in both; max_queue: of each */
    /* Counters that never go down: */
    uint64_t granted_total;   /* slots given, at once or from the queue */
    uint64_t queued_total;    /* had to wait */
    uint64_t refused_total;   /* BULKHEAD_FULL */
    uint64_t cancelled_total; /* left the queue by bulkhead_cancel */
};

/* max_in_flight 1 to BULKHEAD_MAX_LIMIT, max_queue 0 to it. The name is copied, cut at 63 bytes. NULL: a
 * number is out of range, or no memory. */
struct bulkhead *bulkhead_create(const char *name, uint32_t max_in_flight, uint32_t max_queue);
/* Nobody may hold a slot or wait any more. NULL is fine. */
void bulkhead_destroy(struct bulkhead *bh);

/* Asks for a slot. Nobody overtakes those who wait in the same queue or the one ahead. */
enum bulkhead_result bulkhead_acquire(struct bulkhead *bh, struct bulkhead_waiter *waiter);

/* Gives a slot back; it goes to the oldest waiter, of those ahead first, whose granted is called in this call. A release without
 * a slot in flight is a mistake of the caller's: asserted, and ignored in a release build. */
void bulkhead_release(struct bulkhead *bh);

/* Leaves the queue. True: gone from it, nothing is owned, granted will not be called. False: the slot was
 * granted already (granted has been called or is about to be) and must be released by the caller. Only for
 * a waiter whose acquire said BULKHEAD_QUEUED. */
bool bulkhead_cancel(struct bulkhead *bh, struct bulkhead_waiter *waiter);

/* New limits. More slots go to waiters at once, in this thread; with fewer, calls in flight end in their own
 * time and whoever is queued stays queued. False: out of range, nothing has changed. */
bool bulkhead_resize(struct bulkhead *bh, uint32_t max_in_flight, uint32_t max_queue);

void bulkhead_snapshot(struct bulkhead *bh, struct bulkhead_snapshot *out);

#endif
