/* mailbox.c - messages between threads. */
#include "pcs/core/mailbox.h"

#include "pcs/core/clock.h"

#include <time.h>

void mailbox_init(struct mailbox *box, size_t max, void (*wake)(void *arg), void *arg)
{
    pthread_condattr_t monotonic;
    *box = (struct mailbox){.max = max, .wake = wake, .wake_arg = arg};
    box->tail = &box->head;
    pthread_mutex_init(&box->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&box->filled, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

void mailbox_destroy(struct mailbox *box)
{
    pthread_cond_destroy(&box->filled);
    pthread_mutex_destroy(&box->lock);
}

static bool mailbox_put(struct mailbox *box, struct msg *m, bool reply)
{
    pthread_mutex_lock(&box->lock);
    if (!reply && (box->closed || box->count >= box->max)) {
        pthread_mutex_unlock(&box->lock);
        return false;
    }
    bool was_empty = !box->head;
    m->next = NULL;
    *box->tail = m;
    box->tail = &m->next;
    box->count++;
    pthread_mutex_unlock(&box->lock);
    if (was_empty) {
        if (box->wake) {
            box->wake(box->wake_arg);
        } else {
            pthread_cond_signal(&box->filled);
        }
    }
    return true;
}

bool mailbox_send(struct mailbox *box, struct msg *m)
{
    return mailbox_put(box, m, false);
}

void mailbox_reply(struct mailbox *box, struct msg *m)
{
    (void)mailbox_put(box, m, true);
}

void mailbox_close(struct mailbox *box)
{
    pthread_mutex_lock(&box->lock);
    box->closed = true;
    pthread_mutex_unlock(&box->lock);
}

static struct msg *take_locked(struct mailbox *box)
{
    struct msg *list = box->head;
    box->head = NULL;
    box->tail = &box->head;
    box->count = 0;
    return list;
}

struct msg *mailbox_take_all(struct mailbox *box)
{
    pthread_mutex_lock(&box->lock);
    struct msg *list = take_locked(box);
    pthread_mutex_unlock(&box->lock);
    return list;
}

struct msg *mailbox_wait(struct mailbox *box, uint64_t until_ns)
{
    struct timespec until = {.tv_sec = (time_t)(until_ns / NS_PER_SEC),
                             .tv_nsec = (long)(until_ns % NS_PER_SEC)};
    pthread_mutex_lock(&box->lock);
    while (!box->head && pthread_cond_timedwait(&box->filled, &box->lock, &until) == 0) {
    }
    struct msg *list = take_locked(box);
    pthread_mutex_unlock(&box->lock);
    return list;
}

size_t mailbox_deliver_all(struct mailbox *box)
{
    size_t n = 0;
    struct msg *m = mailbox_take_all(box);
    while (m) {
        struct msg *next = m->next;
        m->deliver(m);
        m = next;
        n++;
    }
    return n;
}

size_t mailbox_count(struct mailbox *box)
{
    pthread_mutex_lock(&box->lock);
    size_t n = box->count;
    pthread_mutex_unlock(&box->lock);
    return n;
}
