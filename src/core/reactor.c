/* reactor.c - one thread, one libuv loop, one inbox. */
#include "pcs/core/reactor.h"

#include "pcs/core/clock.h"
#include "pcs/core/log.h"
#include "pcs/core/metrics.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOOK_ROUNDS 16 /* how often the end-of-turn hooks may ask to run again before the loop polls */

static _Thread_local struct reactor *current;

struct reactor *reactor_current(void)
{
    return current;
}

static void on_wake(uv_async_t *handle)
{
    struct reactor *r = handle->data;
    mailbox_deliver_all(&r->inbox);
}

static void wake_reactor(void *arg)
{
    struct reactor *r = arg;
    uv_async_send(&r->wake);
}

/* The end of a turn: hooks until none has new work. Messages that a hook sent to this very reactor are picked
 * up by the next turn (uv_async). */
static void on_turn_end(uv_prepare_t *handle)
{
    struct reactor *r = handle->data;
    bool again = true;
    for (int round = 0; again && round < HOOK_ROUNDS; round++) {
        again = false;
        for (struct reactor_hook *h = r->hooks; h; h = h->next) {
            again |= h->end_of_turn(h);
        }
    }
    if (again) {
        uv_async_send(&r->wake); /* still work: poll without sleeping, then come back */
    }
    log_flush();
}

static void on_tick(uv_timer_t *handle)
{
    struct reactor *r = handle->data;
    uint64_t now = clock_mono_ns();
    uint64_t lag = now > r->tick_due_ns ? now - r->tick_due_ns : 0;
    r->lag_ns = lag;
    if (lag > r->lag_peak_ns) {
        r->lag_peak_ns = lag;
    }
    r->ticks++;
    r->tick_due_ns = now + REACTOR_TICK_MS * NS_PER_MS;
}

bool reactor_init(struct reactor *r, unsigned index, char *err, size_t errlen)
{
    memset(r, 0, sizeof *r);
    r->index = index;
    int rc = uv_loop_init(&r->loop);
    if (rc) {
        snprintf(err, errlen, "event loop: %s", uv_strerror(rc));
        return false;
    }
    mailbox_init(&r->inbox, REACTOR_INBOX_MAX, wake_reactor, r);
    r->loop.data = r;
    r->wake.data = r->turn_end.data = r->tick.data = r;
    if ((rc = uv_async_init(&r->loop, &r->wake, on_wake)) != 0) {
        snprintf(err, errlen, "event loop wake-up: %s", uv_strerror(rc));
        uv_loop_close(&r->loop);
        return false;
    }
    uv_prepare_init(&r->loop, &r->turn_end);
    uv_timer_init(&r->loop, &r->tick);
    return true;
}

struct start_note {
    struct reactor *r;
    char name[16];
    uv_sem_t done;
    bool ok;
};

static void *reactor_thread(void *arg)
{
    struct start_note *note = arg;
    struct reactor *r = note->r;
    current = r;
    pthread_setname_np(pthread_self(), note->name);
    metrics_thread_init();
    log_thread_buffered(true);
    uv_prepare_start(&r->turn_end, on_turn_end);
    r->tick_due_ns = clock_mono_ns() + REACTOR_TICK_MS * NS_PER_MS;
    uv_timer_start(&r->tick, on_tick, REACTOR_TICK_MS, REACTOR_TICK_MS);
    bool ok = r->on_start(r, r->arg);
    if (!ok) {
        reactor_stop(r);
    }
    note->ok = ok;
    uv_sem_post(&note->done);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    log_flush();
    log_thread_buffered(false);
    return NULL;
}

static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP};

bool reactor_start(struct reactor *r, const char *thread_name, bool (*on_start)(struct reactor *, void *),
                   void *arg)
{
    struct start_note note = {.r = r};
    sigset_t all, old;
    snprintf(note.name, sizeof note.name, "%s", thread_name);
    r->on_start = on_start;
    r->arg = arg;
    uv_sem_init(&note.done, 0);
    sigfillset(&all);
    for (size_t n = 0; n < sizeof faults / sizeof faults[0]; n++) {
        sigdelset(&all, faults[n]); /* blocked, a fault would end the process without a word */
    }
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&r->thread, NULL, reactor_thread, &note);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc == 0) {
        r->started = true;
        uv_sem_wait(&note.done);
    }
    uv_sem_destroy(&note.done);
    return rc == 0 && note.ok;
}

void reactor_stop(struct reactor *r)
{
    if (r->stopping) {
        return;
    }
    r->stopping = true;
    uv_close((uv_handle_t *)&r->wake, NULL);
    uv_close((uv_handle_t *)&r->tick, NULL);
    uv_close((uv_handle_t *)&r->turn_end, NULL);
}

bool reactor_join(struct reactor *r)
{
    if (r->started) {
        pthread_join(r->thread, NULL);
        r->started = false;
    }
    return uv_loop_alive(&r->loop) == 0;
}

static void report_open_handle(uv_handle_t *handle, void *arg)
{
    struct reactor *r = arg;
    if (!uv_is_closing(handle)) {
        log_error("reactor.handle_left_open", log_str("type", uv_handle_type_name(handle->type)),
                  log_int("reactor", r->index));
        uv_close(handle, NULL);
    }
}

void reactor_destroy(struct reactor *r)
{
    if (!r->stopping) {
        reactor_stop(r);
    }
    uv_run(&r->loop, UV_RUN_NOWAIT);
    if (uv_loop_close(&r->loop) == UV_EBUSY) {
        uv_walk(&r->loop, report_open_handle, r);
        uv_run(&r->loop, UV_RUN_DEFAULT);
        uv_loop_close(&r->loop);
    }
    mailbox_destroy(&r->inbox);
}

void reactor_add_hook(struct reactor *r, struct reactor_hook *hook)
{
    struct reactor_hook **p = &r->hooks;
    while (*p) {
        p = &(*p)->next;
    }
    hook->next = NULL;
    *p = hook;
}

void reactor_remove_hook(struct reactor *r, struct reactor_hook *hook)
{
    struct reactor_hook **p = &r->hooks;
    while (*p && *p != hook) {
        p = &(*p)->next;
    }
    if (*p) {
        *p = hook->next;
    }
}
