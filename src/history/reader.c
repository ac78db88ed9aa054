/* reader.c - the query thread: its own connection, a bounded queue, every query answered by its deadline.
 *
 *   UP --the connection ends, hangs or is no use--> DOWN --a connection is made--> UP
 *
 * DOWN: whatever is asked is answered UNAVAILABLE at once, while the connection is tried again and again. A
 * connection that turns out to have ended (the server was started anew) is replaced within the query's
 * deadline and the query runs again: it only reads. At start, before the first attempt has failed, queries
 * wait for it. */
#include "history/erase.h"
#include "pcs/core/log.h"

#include <stdio.h>
#include <string.h>

#define ARENA_LIMIT ((size_t)8 << 20) /* bytes of one answer: far more than a page of 100 rows */

enum { QUERIES_OK, QUERIES_NOT_FOUND, QUERIES_UNAVAILABLE, QUERIES_BUSY };

static struct history_query *query_of(struct msg *m)
{
    return (struct history_query *)(void *)((char *)m - offsetof(struct history_query, msg));
}

static void deliver_answer(struct msg *m)
{
    struct history_query *q = query_of(m);
    q->done(q);
}

static void answer(struct history_query *q, enum history_status status)
{
    q->status = status;
    metric_add(&history_queries,
               status == HISTORY_OK            ? QUERIES_OK
               : status == HISTORY_NOT_FOUND   ? QUERIES_NOT_FOUND
               : status == HISTORY_UNAVAILABLE ? QUERIES_UNAVAILABLE
                                               : QUERIES_BUSY,
               1);
    q->msg.deliver = deliver_answer;
    mailbox_reply(q->reply_to, &q->msg);
}

/* The next query, oldest first. What waits in the mailbox stays there as long as something was taken before
 * it, so that the mailbox's bound is the queue's. */
static struct history_query *next_query(struct reader *r)
{
    if (!r->waiting) {
        r->waiting = mailbox_take_all(&r->box);
    }
    struct msg *m = r->waiting;
    if (!m) {
        return NULL;
    }
    r->waiting = m->next;
    return query_of(m);
}

static void answer_all(struct reader *r)
{
    struct history_query *q;
    while ((q = next_query(r)) != NULL) {
        answer(q, HISTORY_UNAVAILABLE);
    }
}

static void on_wake(void *arg)
{
    struct reader *r = arg;
    if (r->down || history_stopping(r->h)) {
        answer_all(r);
    }
}

static void wake_reader(void *arg)
{
    history_waker_ring(arg);
}

static void refuse_unqueued(struct msg *m)
{
    (void)m; /* queries are taken, never delivered, by this thread */
}

bool history_reader_init(struct reader *r, struct history *h)
{
    r->h = h;
    r->waker = history_waker_take();
    mailbox_init(&r->box, (size_t)h->config.query_queue, wake_reader, r->waker);
    r->link = (struct pglink){.wake_fd = r->waker ? history_waker_fd(r->waker) : -1,
                              .on_wake = on_wake,
                              .arg = r,
                              .stop_at = &h->stop_at};
    return r->waker != NULL;
}

void history_reader_free(struct reader *r)
{
    if (!r->h) {
        return;
    }
    pglink_close(&r->link);
    history_waker_put_back(r->waker);
    mailbox_destroy(&r->box);
}

static void set_down(struct reader *r, bool down)
{
    r->down = down;
    atomic_store(&r->h->queries_down, down);
}

/* What health may say of the queries. */
static void note_query(struct reader *r, bool answered)
{
    r->failed = answered ? 0 : r->failed + 1;
    atomic_store(&r->h->queries_failing_until_ns,
                 r->failed >= QUERIES_FAILED_MAX ? clock_mono_ns() + QUERIES_FORGET_NS : 0);
}

static bool connect_reader(struct reader *r, uint64_t deadline_ns)
{
    enum fault f = FAULT_LOST;
    if (pglink_open(&r->link, &r->h->target, r->h->config.query_deadline_ms, deadline_ns)) {
        f = history_read_prepare(&r->link, deadline_ns);
    }
    if (f == FAULT_NONE) {
        set_down(r, false);
        r->backoff.delay_ns = 0;
        history_trouble_end(&r->trouble, "history.queries_up");
        return true;
    }
    pglink_close(&r->link);
    if (f != FAULT_STOPPED) {
        history_trouble_tell(&r->trouble, "history.queries_down", f, &r->link);
    }
    set_down(r, true);
    r->retry_at = history_backoff_next(&r->backoff, clock_mono_ns());
    return false;
}

static void run(struct reader *r, struct history_query *q)
{
    if (clock_mono_ns() >= q->deadline_ns) {
        answer(q, HISTORY_BUSY); /* it waited too long behind others: not run at all */
        return;
    }
    enum fault f = history_read_run(&r->link, q);
    if (f == FAULT_LOST && !r->link.timed_out && connect_reader(r, q->deadline_ns)) {
        f = history_read_run(&r->link, q);
    }
    if (f != FAULT_STOPPED) {
        note_query(r, f == FAULT_NONE);
    }
    if (f == FAULT_NONE) {
        history_trouble_end(&r->trouble, "history.queries_up");
        answer(q, q->kind == HISTORY_GET && q->count == 0 ? HISTORY_NOT_FOUND : HISTORY_OK);
        return;
    }
    if (f == FAULT_SCHEMA || f == FAULT_OTHER) {
        pglink_close(&r->link);
    }
    if (!r->link.pg && !r->down) { /* the others need not find out one by one */
        set_down(r, true);
        r->retry_at = f == FAULT_LOST ? clock_mono_ns() : history_backoff_next(&r->backoff, clock_mono_ns());
    }
    if (f != FAULT_STOPPED) {
        history_trouble_tell(&r->trouble, "history.queries_down", f, &r->link);
    }
    history_erase_explain(q, &r->link);
    answer(q, HISTORY_UNAVAILABLE);
}

static void reader_step(struct reader *r)
{
    uint64_t now = clock_mono_ns();
    if (!r->link.pg && now >= r->retry_at) {
        /* Not known to be down: somebody may be waiting, and no longer than his deadline. */
        connect_reader(
            r, now + (r->down ? PGLINK_CONNECT_NS : (uint64_t)r->h->config.query_deadline_ms * NS_PER_MS));
    }
    if (r->down) {
        answer_all(r);
    }
    struct history_query *q = r->down ? NULL : next_query(r);
    if (q) {
        run(r, q);
    } else if (!history_stopping(r->h)) { /* its ring may have been heard while connecting */
        pglink_sleep(&r->link, r->down ? r->retry_at : UINT64_MAX);
    }
}

void *history_reader_thread(void *arg)
{
    struct reader *r = arg;
    metrics_thread_init();
    while (!history_stopping(r->h)) {
        reader_step(r);
    }
    answer_all(r); /* the mailbox is closed: no more can come */
    pglink_close(&r->link);
    return NULL;
}

void history_query_prepare(struct history_query *q)
{
    arena_init(&q->arena, NULL, 0, ARENA_LIMIT);
    if (q->kind == HISTORY_ERASE) {
        q->erasure->rows = q->erasure->links = 0;
        q->erasure->of_count = 0;
        snprintf(q->erasure->why, sizeof q->erasure->why, "PostgreSQL cannot be reached, or does not answer");
    }
}

bool history_submit(struct history *h, struct history_query *q)
{
    q->deadline_ns = clock_mono_ns() + (uint64_t)h->config.query_deadline_ms * NS_PER_MS;
    q->msg.deliver = refuse_unqueued;
    q->status = HISTORY_BUSY;
    q->rows = NULL;
    q->count = 0;
    q->total = 0;
    history_query_prepare(q);
    if (mailbox_send(&h->reader.box, &q->msg)) {
        return true;
    }
    metric_add(&history_queries, QUERIES_BUSY, 1);
    return false;
}

void history_query_clear(struct history_query *q)
{
    arena_free(&q->arena);
    q->rows = NULL;
    q->count = 0;
}
