/*
 * Bulkhead: counters and two intrusive queues under one mutex.
 *
 * A waiter is in its queue exactly while waiter->queued is true, which only the mutex's holder reads or
 * writes. Whoever takes it out (grant or cancel) decides the race. Granted waiters form a chain of their own
 * that is walked after the mutex is given back.
 */
#include "pcs/core/bulkhead.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct queue {
    struct bulkhead_waiter *first, *last; /* oldest first */
    uint32_t count;
};

struct bulkhead {
    pthread_mutex_t lock;
    char name[BULKHEAD_NAME_MAX];
    uint32_t in_flight, max_in_flight, max_queue;
    struct queue ahead, plain;
    uint64_t granted_total, queued_total, refused_total, cancelled_total;
};

static bool limits_ok(uint32_t max_in_flight, uint32_t max_queue)
{
    return max_in_flight >= 1 && max_in_flight <= BULKHEAD_MAX_LIMIT && max_queue <= BULKHEAD_MAX_LIMIT;
}

struct bulkhead *bulkhead_create(const char *name, uint32_t max_in_flight, uint32_t max_queue)
{
    if (!limits_ok(max_in_flight, max_queue))
        return NULL;
    struct bulkhead *bh = calloc(1, sizeof *bh);
    if (bh == NULL)
        return NULL;
    snprintf(bh->name, sizeof bh->name, "%s", name);
    bh->max_in_flight = max_in_flight;
    bh->max_queue = max_queue;
    pthread_mutex_init(&bh->lock, NULL);
    return bh;
}

void bulkhead_destroy(struct bulkhead *bh)
{
    if (bh == NULL)
        return;
    assert(bh->in_flight == 0 && bh->ahead.count == 0 && bh->plain.count == 0);
    pthread_mutex_destroy(&bh->lock);
    free(bh);
}

static struct queue *queue_of(struct bulkhead *bh, const struct bulkhead_waiter *w)
{
    return w->ahead ? &bh->ahead : &bh->plain;
}

static void queue_append(struct queue *q, struct bulkhead_waiter *w)
{
    w->next = NULL;
    w->prev = q->last;
    w->queued = true;
    if (q->last != NULL)
        q->last->next = w;
    else
        q->first = w;
    q->last = w;
    q->count++;
}

static void queue_remove(struct queue *q, struct bulkhead_waiter *w)
{
    if (w->prev != NULL)
        w->prev->next = w->next;
    else
        q->first = w->next;
    if (w->next != NULL)
        w->next->prev = w->prev;
    else
        q->last = w->prev;
    w->next = w->prev = NULL;
    w->queued = false;
    q->count--;
}

static struct bulkhead_waiter *next_waiter(const struct bulkhead *bh)
{
    return bh->ahead.first != NULL ? bh->ahead.first : bh->plain.first;
}

/* Gives free slots to the oldest waiters and chains them by next. Mutex held. */
static struct bulkhead_waiter *grant_waiters(struct bulkhead *bh)
{
    struct bulkhead_waiter *granted = NULL, **end = &granted, *w;

    while (bh->in_flight < bh->max_in_flight && (w = next_waiter(bh)) != NULL) {
        queue_remove(queue_of(bh, w), w);
        bh->in_flight++;
        bh->granted_total++;
        *end = w;
        end = &w->next;
    }
    return granted;
}

/* Mutex not held. A waiter's memory may end in its callback. */
static void tell_granted(struct bulkhead_waiter *w)
{
    while (w != NULL) {
        struct bulkhead_waiter *next = w->next;
        w->next = NULL;
        w->granted(w);
        w = next;
    }
}

enum bulkhead_result bulkhead_acquire(struct bulkhead *bh, struct bulkhead_waiter *waiter)
{
    enum bulkhead_result result;

    pthread_mutex_lock(&bh->lock);
    struct queue *q = queue_of(bh, waiter);
    if (bh->in_flight < bh->max_in_flight && next_waiter(bh) == NULL) {
        bh->in_flight++;
        bh->granted_total++;
        result = BULKHEAD_GRANTED;
    } else if (q->count < bh->max_queue) {
        assert(waiter->granted != NULL);
        queue_append(q, waiter);
        bh->queued_total++;
        result = BULKHEAD_QUEUED;
    } else {
        bh->refused_total++;
        result = BULKHEAD_FULL;
    }
    pthread_mutex_unlock(&bh->lock);
    return result;
}

void bulkhead_release(struct bulkhead *bh)
{
    struct bulkhead_waiter *granted = NULL;

    pthread_mutex_lock(&bh->lock);
    assert(bh->in_flight > 0);
    if (bh->in_flight > 0) {
        bh->in_flight--;
        granted = grant_waiters(bh);
    }
    pthread_mutex_unlock(&bh->lock);
    tell_granted(granted);
}

bool bulkhead_cancel(struct bulkhead *bh, struct bulkhead_waiter *waiter)
{
    pthread_mutex_lock(&bh->lock);
    bool was_queued = waiter->queued;
    if (was_queued) {
        queue_remove(queue_of(bh, waiter), waiter);
        bh->cancelled_total++;
    }
    pthread_mutex_unlock(&bh->lock);
    return was_queued;
}

bool bulkhead_resize(struct bulkhead *bh, uint32_t max_in_flight, uint32_t max_queue)
{
    if (!limits_ok(max_in_flight, max_queue))
        return false;
    pthread_mutex_lock(&bh->lock);
    bh->max_in_flight = max_in_flight;
    bh->max_queue = max_queue;
    struct bulkhead_waiter *granted = grant_waiters(bh);
    pthread_mutex_unlock(&bh->lock);
    tell_granted(granted);
    return true;
}

void bulkhead_snapshot(struct bulkhead *bh, struct bulkhead_snapshot *out)
{
    pthread_mutex_lock(&bh->lock);
    snprintf(out->name, sizeof out->name, "%s", bh->name);
    out->in_flight = bh->in_flight;
    out->queued = bh->ahead.count + bh->plain.count;
    out->max_in_flight = bh->max_in_flight;
    out->max_queue = bh->max_queue;
    out->granted_total = bh->granted_total;
    out->queued_total = bh->queued_total;
    out->refused_total = bh->refused_total;
    out->cancelled_total = bh->cancelled_total;
    pthread_mutex_unlock(&bh->lock);
}
