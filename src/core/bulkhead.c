/*
 * Bulkhead: counters and an intrusive queue under one mutex.
 *
 * A waiter is in the queue exactly while waiter->queued is true, which only the mutex's holder reads or
 * writes. Whoever takes it out (grant or cancel) decides the race. Granted waiters form a chain of their own
 * that is walked after the mutex is given back.
 */
#include "pcs/core/bulkhead.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct bulkhead {
    pthread_mutex_t lock;
    char name[BULKHEAD_NAME_MAX];
    uint32_t in_flight, queued, max_in_flight, max_queue;
    struct bulkhead_waiter *first, *last; /* oldest first */
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
    assert(bh->in_flight == 0 && bh->queued == 0);
    pthread_mutex_destroy(&bh->lock);
    free(bh);
}

static void queue_append(struct bulkhead *bh, struct bulkhead_waiter *w)
{
    w->next = NULL;
    w->prev = bh->last;
    w->queued = true;
    if (bh->last != NULL)
        bh->last->next = w;
    else
        bh->first = w;
    bh->last = w;
    bh->queued++;
}

static void queue_remove(struct bulkhead *bh, struct bulkhead_waiter *w)
{
    if (w->prev != NULL)
        w->prev->next = w->next;
    else
        bh->first = w->next;
    if (w->next != NULL)
        w->next->prev = w->prev;
    else
        bh->last = w->prev;
    w->next = w->prev = NULL;
    w->queued = false;
    bh->queued--;
}

/* Gives free slots to the oldest waiters and chains them by next. Mutex held. */
static struct bulkhead_waiter *grant_waiters(struct bulkhead *bh)
{
    struct bulkhead_waiter *granted = NULL, **end = &granted;

    while (bh->first != NULL && bh->in_flight < bh->max_in_flight) {
        struct bulkhead_waiter *w = bh->first;
        queue_remove(bh, w);
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
    if (bh->in_flight < bh->max_in_flight && bh->first == NULL) {
        bh->in_flight++;
        bh->granted_total++;
        result = BULKHEAD_GRANTED;
    } else if (bh->queued < bh->max_queue) {
        assert(waiter->granted != NULL);
        queue_append(bh, waiter);
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
        queue_remove(bh, waiter);
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
    out->queued = bh->queued;
    out->max_in_flight = bh->max_in_flight;
    out->max_queue = bh->max_queue;
    out->granted_total = bh->granted_total;
    out->queued_total = bh->queued_total;
    out->refused_total = bh->refused_total;
    out->cancelled_total = bh->cancelled_total;
    pthread_mutex_unlock(&bh->lock);
}
