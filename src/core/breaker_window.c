/*
 * Sliding windows of the circuit breaker.
 *
 * Count: a ring of the last N completions. Time: N buckets of one second of the monotonic clock; live are the
 * current second and the N-1 before it, so the effective length is between N-1 and N seconds.
 */
#include "core/breaker_window.h"

#include <stdlib.h>
#include <string.h>

#define FLAG_FAILED 1u
#define FLAG_SLOW   2u

bool breaker_window_init(struct breaker_window *w, bool timed, uint32_t size, uint64_t second)
{
    memset(w, 0, sizeof *w);
    w->timed = timed;
    w->size = size;
    w->second = second;
    if (timed)
        w->bucket = calloc(size, sizeof *w->bucket);
    else
        w->ring = calloc(size, 1);
    return timed ? w->bucket != NULL : w->ring != NULL;
}

void breaker_window_free(struct breaker_window *w)
{
    free(w->ring);
    free(w->bucket);
    w->ring = NULL;
    w->bucket = NULL;
}

void breaker_window_clear(struct breaker_window *w, uint64_t second)
{
    if (w->timed && w->sum.total > 0)
        memset(w->bucket, 0, w->size * sizeof *w->bucket);
    memset(&w->sum, 0, sizeof w->sum);
    w->next = 0;
    w->second = second;
}

static void counts_add(struct breaker_counts *c, uint64_t n, bool failed, bool slow)
{
    c->total += n;
    c->failed += failed ? n : 0;
    c->slow += slow ? n : 0;
    c->slow_failed += failed && slow ? n : 0;
}

static void counts_subtract(struct breaker_counts *c, const struct breaker_counts *gone)
{
    c->total -= gone->total;
    c->failed -= gone->failed;
    c->slow -= gone->slow;
    c->slow_failed -= gone->slow_failed;
}

void breaker_window_age(struct breaker_window *w, uint64_t second)
{
    if (!w->timed || second <= w->second)
        return;
    if (second - w->second >= w->size || w->sum.total == 0) {
        breaker_window_clear(w, second);
        return;
    }
    while (w->second < second) {
        struct breaker_counts *oldest = &w->bucket[++w->second % w->size];
        counts_subtract(&w->sum, oldest);
        memset(oldest, 0, sizeof *oldest);
    }
}

static void ring_add(struct breaker_window *w, bool failed, bool slow)
{
    uint8_t *cell = &w->ring[w->next];
    if (w->sum.total == w->size) {
        struct breaker_counts gone = {0};
        counts_add(&gone, 1, *cell & FLAG_FAILED, *cell & FLAG_SLOW);
        counts_subtract(&w->sum, &gone);
    }
    *cell = (uint8_t)((failed ? FLAG_FAILED : 0u) | (slow ? FLAG_SLOW : 0u));
    w->next = w->next + 1 == w->size ? 0 : w->next + 1;
    counts_add(&w->sum, 1, failed, slow);
}

/* Records n equal completions. */
static void window_add_many(struct breaker_window *w, uint64_t second, uint64_t n, bool failed, bool slow)
{
    if (w->timed) {
        breaker_window_age(w, second);
        counts_add(&w->bucket[w->second % w->size], n, failed, slow);
        counts_add(&w->sum, n, failed, slow);
        return;
    }
    for (uint64_t left = n < w->size ? n : w->size; left > 0; left--)
        ring_add(w, failed, slow);
}

void breaker_window_add(struct breaker_window *w, uint64_t second, bool failed, bool slow)
{
    window_add_many(w, second, 1, failed, slow);
}

void breaker_window_carry(struct breaker_window *dst, struct breaker_window *src, uint64_t second)
{
    breaker_window_age(src, second);
    if (!src->timed) {
        uint32_t n = (uint32_t)src->sum.total;
        uint32_t at = (src->next + src->size - n) % src->size;
        for (; n > 0; n--, at = (at + 1) % src->size)
            breaker_window_add(dst, second, src->ring[at] & FLAG_FAILED, src->ring[at] & FLAG_SLOW);
        return;
    }
    uint64_t first = src->second >= src->size - 1 ? src->second - (src->size - 1) : 0;
    if (dst->timed)
        breaker_window_clear(dst, first);
    for (uint64_t s = first; s <= src->second; s++) {
        const struct breaker_counts *c = &src->bucket[s % src->size];
        window_add_many(dst, s, c->total - c->failed - (c->slow - c->slow_failed), false, false);
        window_add_many(dst, s, c->slow - c->slow_failed, false, true);
        window_add_many(dst, s, c->failed - c->slow_failed, true, false);
        window_add_many(dst, s, c->slow_failed, true, true);
    }
    breaker_window_age(dst, second);
}

float breaker_window_rate(uint64_t part, uint64_t total)
{
    return (float)part * 100.0f / (float)total;
}
