/* reactor.h - one thread, one libuv loop, one inbox.
 *
 * A request lives and dies on one reactor; nothing on it ever blocks. Everything here is called on the
 * reactor's own thread unless it says "any thread". A turn of the loop: timers and I/O run, then the
 * end-of-turn hooks (in the order in which they were added: libmicrohttpd's run, the Redis flush, the log
 * flush), then the loop polls. */
#ifndef PCS_CORE_REACTOR_H
#define PCS_CORE_REACTOR_H

#include "pcs/core/mailbox.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define REACTOR_INBOX_MAX 65536
#define REACTOR_TICK_MS   100

struct reactor;

/* Runs after each batch of events, before the loop sleeps. Return true to be run again in this same turn
 * because the hook made new work (bounded by the reactor). */
struct reactor_hook {
    struct reactor_hook *next;
    bool (*end_of_turn)(struct reactor_hook *hook);
};

struct reactor {
    uv_loop_t loop;
    struct mailbox inbox;
    unsigned index;               /* 0..N-1 */
    _Atomic uint64_t lag_ns;      /* how late the last tick was: the loop's lag, a sign of overload */
    _Atomic uint64_t lag_peak_ns; /* the greatest of them since whoever reads it has set it to 0 */
    unsigned ticks;               /* so far, one every REACTOR_TICK_MS; wraps */
    uv_async_t wake;
    uv_prepare_t turn_end;
    uv_timer_t tick;
    struct reactor_hook *hooks;
    uint64_t tick_due_ns;
    bool stopping;
    pthread_t thread;
    bool (*on_start)(struct reactor *r, void *arg);
    void *arg;
    bool started;
};

/* Prepares loop and inbox. False: errno-like text in err. */
bool reactor_init(struct reactor *r, unsigned index, char *err, size_t errlen);
/* Starts the thread; on_start runs on it first (bind sockets, connect); its false ends the thread and is
 * reported by reactor_start()'s own false. Signals are blocked on the thread. Called by the main thread. */
bool reactor_start(struct reactor *r, const char *thread_name, bool (*on_start)(struct reactor *, void *),
                   void *arg);
/* Any thread: the loop ends once every handle that the modules opened is closed; the modules are told first
 * by the main thread's phases. Then joins. Returns false when handles were left open (a bug, logged by name).
 */
bool reactor_join(struct reactor *r);
/* Own thread: closes the reactor's own handles, so that the loop can end. */
void reactor_stop(struct reactor *r);
/* Frees the loop. After reactor_join(). */
void reactor_destroy(struct reactor *r);

/* Own thread. The hook is the caller's memory and stays until it is removed or the loop has ended. */
void reactor_add_hook(struct reactor *r, struct reactor_hook *hook);
/* Own thread, not from within a hook. One that was never added is fine. */
void reactor_remove_hook(struct reactor *r, struct reactor_hook *hook);
/* The reactor of the calling thread, NULL elsewhere. */
struct reactor *reactor_current(void);

/* Any thread: runs m->deliver on r. False: its inbox is full. */
__attribute__((warn_unused_result)) static inline bool reactor_post(struct reactor *r, struct msg *m)
{
    return mailbox_send(&r->inbox, m);
}

#endif
