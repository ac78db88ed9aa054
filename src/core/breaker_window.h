/* Sliding windows of the circuit breaker: the last N calls, or the last N seconds. Not thread-safe. */
#ifndef CORE_BREAKER_WINDOW_H
#define CORE_BREAKER_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

struct breaker_counts {
    uint64_t total, failed, slow, slow_failed;
};

struct breaker_window {
    bool timed;
    uint32_t size;                 /* calls, or seconds */
    struct breaker_counts sum;     /* over all that is live */
    uint8_t *ring;                 /* count: one byte of flags per call */
    uint32_t next;                 /* count: where the next call goes */
    struct breaker_counts *bucket; /* time: one per second, at second % size */
    uint64_t second;               /* time: the current one */
};

/* False without memory. */
bool breaker_window_init(struct breaker_window *w, bool timed, uint32_t size, uint64_t second);
void breaker_window_free(struct breaker_window *w);
/* Empties it. */
void breaker_window_clear(struct breaker_window *w, uint64_t second);
/* Time window: forgets what is size seconds old or older. A second in the past changes nothing. */
void breaker_window_age(struct breaker_window *w, uint64_t second);
/* Ages, then records one completion; the oldest is evicted first. */
void breaker_window_add(struct breaker_window *w, uint64_t second, bool failed, bool slow);
/* Copies what fits from src, oldest first, into the empty dst; types and sizes may differ. Calls from a
 * count window get the present second, as their own is not known. */
void breaker_window_carry(struct breaker_window *dst, struct breaker_window *src, uint64_t second);

/* part * 100 / total in single precision, as Resilience4j computes it. total must not be 0. */
float breaker_window_rate(uint64_t part, uint64_t total);

#endif
