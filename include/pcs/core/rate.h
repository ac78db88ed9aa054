/* rate.h - a token bucket a key, and a count of what a key holds, in bounded memory.
 *
 * For callers (token subjects) and client addresses (CONTRACT.md 1, 429; issue 4, overload). Any thread; a mutex is
 * held for a look-up. Past the limit the key longest unseen makes room, unless it holds something. Without memory
 * nobody is turned away. */
#ifndef PCS_CORE_RATE_H
#define PCS_CORE_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rate_limiter;

struct rate_answer {
    bool allowed;
    int64_t remaining; /* tokens left */
    int64_t reset_s;   /* until the bucket is full */
    int64_t retry_after_s;
};

/* rate: tokens a second, more than 0; burst: size of a bucket, at least 1; max: keys remembered, at least 1. NULL: no
 * memory. */
struct rate_limiter *rate_limiter_new(int64_t rate, int64_t burst, int64_t max);
/* Other limits from now on; what is known of the keys stays. */
void rate_limiter_set(struct rate_limiter *l, int64_t rate, int64_t burst, int64_t max);
void rate_limiter_free(struct rate_limiter *l); /* NULL is fine */

/* Takes one token of this key's bucket. now_ns: clock_mono_ns(). */
struct rate_answer rate_take(struct rate_limiter *l, const void *key, size_t len, uint64_t now_ns);

/* One more thing that the key holds; false: it holds limit already. rate_release() gives it back. */
bool rate_hold(struct rate_limiter *l, const void *key, size_t len, unsigned limit, uint64_t now_ns);
void rate_release(struct rate_limiter *l, const void *key, size_t len);

#endif
