/* rate.c - a token bucket per caller, in bounded memory: past the limit the caller longest unseen makes room.
 */
#include "api/common.h"

#include "pcs/core/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1 /* else uthash ends the process; an element that found no room has hh.tbl NULL */
#include <uthash.h>

struct bucket {
    char *subject;
    double tokens;
    uint64_t seen_ns;
    UT_hash_handle hh;
};

struct rate_limiter {
    pthread_mutex_t lock;
    struct bucket *buckets; /* in the order of last use: uthash keeps insertion order */
    double rate, burst;
    unsigned max;
};

struct rate_limiter *rate_limiter_new(const struct api_config *config)
{
    struct rate_limiter *l = calloc(1, sizeof *l);
    if (l) {
        pthread_mutex_init(&l->lock, NULL);
        rate_limiter_set(l, config);
    }
    return l;
}

void rate_limiter_set(struct rate_limiter *l, const struct api_config *config)
{
    pthread_mutex_lock(&l->lock);
    l->rate = (double)config->rate;
    l->burst = (double)config->burst;
    l->max = (unsigned)config->rate_callers;
    pthread_mutex_unlock(&l->lock);
}

static void bucket_drop(struct rate_limiter *l, struct bucket *b)
{
    HASH_DEL(l->buckets, b);
    free(b->subject);
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

static struct bucket *bucket_of(struct rate_limiter *l, const char *subject, uint64_t now_ns)
{
    struct bucket *b;
    HASH_FIND_STR(l->buckets, subject, b);
    if (b) {
        HASH_DEL(l->buckets, b); /* to the end of the order: just used */
    } else {
        b = calloc(1, sizeof *b);
        if (!b || !(b->subject = strdup(subject))) {
            free(b);
            return NULL;
        }
        b->tokens = l->burst;
        b->seen_ns = now_ns;
        if (HASH_COUNT(l->buckets) >= l->max) {
            bucket_drop(l, l->buckets);
        }
    }
    HASH_ADD_KEYPTR(hh, l->buckets, b->subject, strlen(b->subject), b);
    if (!b->hh.tbl) {
        free(b->subject);
        free(b);
        return NULL;
    }
    return b;
}

struct rate_answer rate_take(struct rate_limiter *l, const char *subject, uint64_t now_ns)
{
    struct rate_answer answer = {.allowed = true};
    pthread_mutex_lock(&l->lock);
    struct bucket *b = bucket_of(l, subject, now_ns);
    if (b) { /* without memory nobody is turned away for it */
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
