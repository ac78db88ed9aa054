/* worker.c - forwards the journal to PostgreSQL.
 *
 *             +----------------- lost, or any other trouble, after a back-off -----------------+
 *             v                                                                                |
 *        CONNECTING -> MONTHS (partitions, at connect and daily) -> PULL -> STORE -> ACK ------+
 *                        ^                                            |               |
 *                        |                                     nothing there          |
 *                        |                                            v               |
 *                        +---- news, 30 s, or the day's end ------- IDLE              |
 *                        +------------------------------------------------------------+
 *
 * The journal forgets a row only on ACK, and ACK is sent only after PostgreSQL's commit: a row is forwarded
 * at least once, and stored once (batch.h). A batch that could not be stored is kept and tried again as it
 * is. Stopping: from any state, forwarding goes on until nothing is left, one attempt fails, or the grace is
 * over. */
#include "history/internal.h"
#include "pcs/core/failpoint.h"
#include "pcs/core/log.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SETUP_NS             (10 * NS_PER_SEC)
#define STATEMENT_TIMEOUT_MS 10000 /* the server's own limit; a little less than the batch's deadline */
#define IDLE_NS              (30 * NS_PER_SEC) /* looks at the journal even without news */
#define LINGER_NS            (20 * NS_PER_MS)  /* gathers what comes close behind into one commit */

static void wake_worker(void *arg)
{
    history_waker_ring(arg);
}

static void deliver_mail(void *arg)
{
    struct worker *w = arg;
    mailbox_deliver_all(&w->box);
}

bool history_worker_init(struct worker *w, struct history *h)
{
    w->h = h;
    w->waker = history_waker_take();
    mailbox_init(&w->box, 16, wake_worker, w->waker);
    history_batch_init(&w->batch);
    w->link = (struct pglink){.wake_fd = w->waker ? history_waker_fd(w->waker) : -1,
                              .on_wake = deliver_mail,
                              .arg = w,
                              .stop_at = &h->stop_at};
    return w->waker != NULL;
}

void history_worker_free(struct worker *w)
{
    if (!w->h) {
        return;
    }
    pglink_close(&w->link);
    history_batch_free(&w->batch);
    history_waker_put_back(w->waker);
    mailbox_destroy(&w->box);
    free(w->row_dead);
    free(w->acked);
}

void history_worker_await(struct worker *w, const bool *busy)
{
    while (*busy) {
        struct pollfd fd = {.fd = w->link.wake_fd, .events = POLLIN};
        uint64_t count;
        if (poll(&fd, 1, -1) > 0 && read(w->link.wake_fd, &count, sizeof count) > 0) {
            deliver_mail(w);
        }
    }
}

static void answered(struct journal_op *op)
{
    *(bool *)op->arg = false;
}

static void set_up(struct worker *w, bool up)
{
    if (atomic_exchange(&w->h->up, up) != up) {
        metric_set(&history_up_gauge, 0, up ? 1 : 0);
    }
}

/* After a failure. While stopping there is no second attempt. */
static void back_off(struct worker *w)
{
    uint64_t until = history_backoff_next(&w->backoff, clock_mono_ns());
    if (history_stopping(w->h)) {
        w->gave_up = true;
    }
    while (!w->gave_up && !history_stopping(w->h) && clock_mono_ns() < until) {
        pglink_sleep(&w->link, until);
    }
}

static void on_fault(struct worker *w, enum fault f)
{
    if (f == FAULT_SCHEMA || f == FAULT_OTHER) {
        pglink_close(&w->link); /* a new session looks at everything anew */
    }
    if (!w->link.pg) {
        set_up(w, false);
    }
    if (f == FAULT_STOPPED) {
        w->gave_up = true;
        return;
    }
    history_trouble_tell(&w->trouble, "history.down", f, &w->link);
    back_off(w);
}

static bool connect_worker(struct worker *w)
{
    uint64_t deadline = clock_mono_ns() + SETUP_NS;
    enum fault f = FAULT_LOST;
    if (pglink_open(&w->link, &w->h->target, STATEMENT_TIMEOUT_MS, deadline)) {
        f = history_batch_prepare(&w->link, deadline);
    }
    if (f != FAULT_NONE) {
        on_fault(w, f);
        return false;
    }
    w->months_at = 0;
    return true;
}

/* PostgreSQL is there and takes what we have. Not said by a connection alone: a service without the right to
 * insert connects, too. */
static void on_success(struct worker *w)
{
    w->backoff.delay_ns = 0;
    history_trouble_end(&w->trouble, "history.up");
    set_up(w, true);
}

/* Rows and calls that wait, into w->pull. False: the journal cannot tell (its own trouble). */
static bool pull(struct worker *w)
{
    journal_op_init(&w->pull, w->h->journal, JOURNAL_HISTORY_PULL, &w->box, answered, &w->pull_busy);
    w->pull.limit = w->h->config.batch;
    w->pull_busy = true;
    if (!journal_submit(&w->pull)) {
        w->pull_busy = false;
        return false;
    }
    history_worker_await(w, &w->pull_busy);
    if (w->pull.status != JOURNAL_OK) {
        journal_op_clear(&w->pull);
        return false;
    }
    w->loaded = w->pull.list_count || w->pull.call_count || w->pull.loose_count;
    if (!w->loaded) {
        journal_op_clear(&w->pull);
    }
    return true;
}

/* The acknowledgement of everything in pull that is not dead. It is sent and not waited for: the next pull is
 * answered after it. Its numbers are copied, since pull's memory goes. */
static bool acknowledge(struct worker *w)
{
    size_t rows = 0, calls = w->pull.call_count, need = w->pull.list_count + calls + w->pull.loose_count;
    history_worker_await(w, &w->ack_busy);
    if (need > w->ack_room) {
        int64_t *grown = realloc(w->acked, need * sizeof *grown);
        if (!grown) {
            return false;
        }
        w->acked = grown;
        w->ack_room = need;
    }
    for (size_t i = 0; i < w->pull.list_count; i++) {
        if (!w->row_dead[i]) {
            w->acked[rows++] = w->pull.seqs[i];
        }
    }
    journal_op_init(&w->ack, w->h->journal, JOURNAL_HISTORY_ACK, &w->box, answered, &w->ack_busy);
    w->ack.ack_rows = w->acked;
    w->ack.ack_row_count = rows;
    for (size_t i = 0; i < w->pull.call_count; i++) {
        w->acked[rows + i] = w->pull.calls[i].seq;
    }
    w->ack.ack_calls = w->acked + rows;
    w->ack.ack_call_count = calls;
    for (size_t i = 0; i < w->pull.loose_count; i++) {
        w->acked[rows + calls + i] = w->pull.loose[i].seq;
    }
    w->ack.ack_links = w->acked + rows + calls;
    w->ack.ack_link_count = w->pull.loose_count;
    w->ack_busy = true;
    if (!journal_submit(&w->ack)) {
        w->ack_busy = false;
        return false;
    }
    FAILPOINT("history.acked");
    return true;
}

/* A full batch has others behind it; what comes one by one is worth one transaction for many: it costs PostgreSQL, this
 * machine and the journal, whose commits it makes more of, as much for one row as for fifty. */
static void linger(struct worker *w)
{
    uint64_t until = clock_mono_ns() + LINGER_NS;
    while (w->link.pg && !history_stopping(w->h) && clock_mono_ns() < until) {
        pglink_sleep(&w->link, until);
    }
}

static void idle(struct worker *w)
{
    uint64_t until = clock_mono_ns() + IDLE_NS;
    history_worker_await(w, &w->ack_busy);
    until = w->months_at < until ? w->months_at : until;
    bool news = history_waker_take_news(w->waker);
    while (!news && w->link.pg && !history_stopping(w->h) && clock_mono_ns() < until) {
        pglink_sleep(&w->link, until);
        news = history_waker_take_news(w->waker);
    }
    if (!w->link.pg) {
        set_up(w, false);
    }
    if (news) {
        linger(w);
    }
}

/* Stores and acknowledges the batch in hand. */
static void forward(struct worker *w)
{
    uint64_t began = clock_mono_ns();
    FAILPOINT("history.before_store");
    enum fault f = history_worker_store(w);
    if (f != FAULT_NONE) {
        on_fault(w, f);
        return;
    }
    FAILPOINT("history.before_ack");
    metric_observe_ns(&history_batch_time, 0, clock_mono_ns() - began);
    on_success(w);
    if (!acknowledge(w)) {
        log_warn("history.ack_failed", log_int("rows", w->pull.list_count));
        back_off(w); /* they are pulled again, and found to be there */
    }
    bool full = w->pull.list_count >= (size_t)w->pull.limit;
    journal_op_clear(&w->pull);
    w->loaded = false;
    if (!full) {
        linger(w);
    }
}

static void step(struct worker *w)
{
    enum fault f;
    if (!w->link.pg && !connect_worker(w)) {
        return;
    }
    if ((f = history_worker_months(w)) != FAULT_NONE) {
        on_fault(w, f);
        return;
    }
    if (!w->loaded) {
        history_waker_take_news(w->waker);
        if (!pull(w)) {
            back_off(w);
            return;
        }
    }
    if (w->loaded) {
        forward(w);
    } else {
        on_success(w);
        w->gave_up = history_stopping(w->h); /* nothing is left */
        idle(w);
    }
}

void *history_worker_thread(void *arg)
{
    struct worker *w = arg;
    metrics_thread_init();
    while (!w->gave_up && clock_mono_ns() < atomic_load(&w->h->stop_at)) {
        step(w);
    }
    history_worker_await(w, &w->ack_busy);
    if (w->loaded) {
        journal_op_clear(&w->pull);
    }
    set_up(w, false);
    pglink_close(&w->link);
    return NULL;
}
