/* rate.c - buckets in a hash table, in the order of last use: past the limit the oldest makes room. */
#include "pcs/core/rate.h"

#include "pcs/core/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1 /* else uthash ends the process; an element that found no room has hh.tbl NULL */
#include <uthash.h>

#define LOOK_FOR_ROOM 16 /* of the oldest keys; those that hold something go to the end of the order */

struct bucket {
    double tokens;
    uint64_t seen_ns;
    unsigned held;
    UT_hash_handle hh;
    unsigned char key[];
};

struct rate_limiter {
    pthread_mutex_t lock;
    struct bucket *buckets; /* in the order of last use: uthash keeps insertion order */
    double rate, burst;
    unsigned max;
};

struct rate_limiter *rate_limiter_new(int64_t rate, int64_t burst, int64_t max)
{
    struct rate_limiter *l = calloc(1, sizeof *l);
    if (l) {
        pthread_mutex_init(&l->lock, NULL);
        rate_limiter_set(l, rate, burst, max);
    }
    return l;
}

void rate_limiter_set(struct rate_limiter *l, int64_t rate, int64_t burst, int64_t max)
{
    pthread_mutex_lock(&l->lock);
    l->rate = (double)rate;
    l->burst = (double)burst;
    l->max = (unsigned)max;
    pthread_mutex_unlock(&l->lock);
}

static void bucket_drop(struct rate_limiter *l, struct bucket *b)
{
    HASH_DEL(l->buckets, b);
    free(b);
}

void rate_limiter_free(struct rate_limiter *l)
{
    if (!l) {
        return;
    }
    while (l->buckets) {
        bucket_drop(l, l->buckets);
    }
    pthread_mutex_destroy(&l->lock);
    free(l);
}

/* Puts b at the end of the order; NULL, and b is gone: no memory. */
static struct bucket *bucket_add(struct rate_limiter *l, struct bucket *b, size_t len)
{
    HASH_ADD_KEYPTR(hh, l->buckets, b->key, len, b);
    if (!b->hh.tbl) {
        free(b);
        return NULL;
    }
    return b;
}

/* False: the oldest all hold something. */
static bool make_room(struct rate_limiter *l)
{
    for (int i = 0; i < LOOK_FOR_ROOM && l->buckets && HASH_COUNT(l->buckets) >= l->max; i++) {
        struct bucket *oldest = l->buckets;
        if (oldest->held == 0) {
            bucket_drop(l, oldest);
            continue;
        }
        size_t len = oldest->hh.keylen;
        HASH_DEL(l->buckets, oldest);
        (void)bucket_add(l, oldest, len);
    }
    return HASH_COUNT(l->buckets) < l->max;
}

static struct bucket *bucket_of(struct rate_limiter *l, const void *key, size_t len, uint64_t now_ns)
{
    struct bucket *b;
    HASH_FIND(hh, l->buckets, key, len, b);
    if (b) {
        HASH_DEL(l->buckets, b); /* to the end of the order: just used */
        return bucket_add(l, b, len);
    }
    if (!make_room(l) || !(b = calloc(1, sizeof *b + len + 1))) {
        return NULL;
    }
    memcpy(b->key, key, len);
    b->tokens = l->burst;
    b->seen_ns = now_ns;
    return bucket_add(l, b, len);
}

struct rate_answer rate_take(struct rate_limiter *l, const void *key, size_t len, uint64_t now_ns)
{
    struct rate_answer answer = {.allowed = true};
    pthread_mutex_lock(&l->lock);
    struct bucket *b = bucket_of(l, key, len, now_ns);
    if (b) {
        if (now_ns > b->seen_ns) {
            b->tokens += l->rate * (double)(now_ns - b->seen_ns) / (double)NS_PER_SEC;
            b->seen_ns = now_ns;
        }
        if (b->tokens > l->burst) {
            b->tokens = l->burst;
        }
        answer.allowed = b->tokens >= 1;
        if (answer.allowed) {
            b->tokens -= 1;
        } else {
            answer.retry_after_s = (int64_t)((1 - b->tokens) / l->rate) + 1;
        }
        answer.remaining = (int64_t)b->tokens;
        answer.reset_s = (int64_t)((l->burst - b->tokens) / l->rate) + 1;
    }
    pthread_mutex_unlock(&l->lock);
    return answer;
}

bool rate_hold(struct rate_limiter *l, const void *key, size_t len, unsigned limit, uint64_t now_ns)
{
    bool held = true;
    pthread_mutex_lock(&l->lock);
    struct bucket *b = bucket_of(l, key, len, now_ns);
    if (b) {
        held = b->held < limit;
        b->held += held;
    }
    pthread_mutex_unlock(&l->lock);
    return held;
}

void rate_release(struct rate_limiter *l, const void *key, size_t len)
{
    struct bucket *b;
    pthread_mutex_lock(&l->lock);
    HASH_FIND(hh, l->buckets, key, len, b);
    if (b && b->held) {
        b->held--;
    }
    pthread_mutex_unlock(&l->lock);
}
