/* gate.c - the way in: look at the breaker, take a slot or a place in the queue, take the permit.
 *
 *   gate_enter --breaker refuses, bulkhead full--------> DEFERRED --end of turn--> told, freed
 *       |------slot and permit-------------------------> DEFERRED --end of turn--> told -> HELD -leave, return-> freed
 *       `--> QUEUED --granted (any thread, by message)--> told -> HELD, or freed when the breaker refuses by now
 *              |----deadline, cancel: out of the queue--> freed
 *              `----deadline, cancel, but granted already: slot given back -> ABANDONED --message--> freed
 *
 * Whoever takes a waiter out of the bulkhead's queue decides the race between grant and cancel; the loser's side
 * only cleans up, so that every slot goes back exactly once.
 *
 * A desk serves the waiting passes of one reactor. It is there only while somebody waits (opening and closing it is a
 * few pointer moves), so that a reactor that stops has no handles of ours left. */
#include "pcs/call/gate.h"

#include "pcs/core/clock.h"

#include <stdlib.h>
#include <sys/queue.h>

enum pass_state { PASS_DEFERRED, PASS_QUEUED, PASS_ABANDONED, PASS_HELD };

struct gate_desk;

struct gate_pass {
    struct bulkhead_waiter waiter; /* first: granted() gets it */
    struct msg message;
    TAILQ_ENTRY(gate_pass) link; /* in the desk's deferred or queued */
    struct gate *gate;
    struct gate_desk *desk; /* while DEFERRED or QUEUED */
    struct reactor *reactor;
    gate_done done;
    void *arg;
    uint64_t queue_deadline_ns, call_deadline_ns;
    struct breaker_permit permit;
    enum pass_state state;
    enum gate_answer answer; /* DEFERRED */
    uint64_t wait_ns;
};

TAILQ_HEAD(pass_list, gate_pass);

struct gate_desk {
    struct gate_desk *next; /* of this thread */
    struct reactor *reactor;
    struct desk_hook {
        struct reactor_hook hook;
        struct gate_desk *desk;
    } hook;
    uv_idle_t busy; /* active while somebody is deferred: the loop must not sleep */
    unsigned busy_turns;
    uv_timer_t timer; /* the earliest queue deadline, or earlier */
    uint64_t armed_ns;
    struct pass_list deferred, queued; /* queued: earliest deadline first */
    unsigned handles;
    bool closing;
};

static _Thread_local struct gate_desk *desks;

/* ---- permits and slots ---- */

static bool take_permit(struct gate_pass *p)
{
    struct breaker *b = p->gate->breaker;
    return !b || p->permit.epoch || breaker_acquire(b, p->call_deadline_ns, &p->permit, &p->wait_ns);
}

static void release_permit(struct gate_pass *p)
{
    if (p->gate->breaker) {
        breaker_release(p->gate->breaker, &p->permit);
    }
}

static void release_slot(struct gate *g)
{
    if (g->bulkhead) {
        bulkhead_release(g->bulkhead);
    }
}

/* ---- the desk ---- */

static bool end_of_turn(struct reactor_hook *hook);
static void on_queue_deadline(uv_timer_t *timer);

static struct gate_desk *desk_open(struct reactor *r)
{
    struct gate_desk *d = desks;
    while (d && d->reactor != r) {
        d = d->next;
    }
    if (d || !(d = calloc(1, sizeof *d))) {
        return d;
    }
    d->reactor = r;
    TAILQ_INIT(&d->deferred);
    TAILQ_INIT(&d->queued);
    uv_idle_init(&r->loop, &d->busy);
    uv_timer_init(&r->loop, &d->timer);
    d->busy.data = d->timer.data = d;
    d->handles = 2;
    d->armed_ns = UINT64_MAX;
    d->hook.hook.end_of_turn = end_of_turn;
    d->hook.desk = d;
    reactor_add_hook(r, &d->hook.hook);
    d->next = desks;
    desks = d;
    return d;
}

static void on_desk_closed(uv_handle_t *handle)
{
    struct gate_desk *d = handle->data;
    if (--d->handles > 0) {
        return;
    }
    reactor_remove_hook(d->reactor, &d->hook.hook);
    free(d);
}

static void desk_close_if_idle(struct gate_desk *d)
{
    struct gate_desk **at = &desks;
    if (d->closing || !TAILQ_EMPTY(&d->deferred) || !TAILQ_EMPTY(&d->queued)) {
        return;
    }
    d->closing = true;
    while (*at != d) {
        at = &(*at)->next;
    }
    *at = d->next;
    uv_close((uv_handle_t *)&d->busy, on_desk_closed);
    uv_close((uv_handle_t *)&d->timer, on_desk_closed);
}

/* Seen twice without an end of turn in between: the reactor is stopping and its hooks do not run any more. */
static void on_busy(uv_idle_t *idle)
{
    struct gate_desk *d = idle->data;
    if (++d->busy_turns > 1) {
        end_of_turn(&d->hook.hook);
    }
}

/* ---- telling ---- */

/* Answers the caller. With GATE_OPEN the pass is the caller's from here on, otherwise it ends. */
static void tell(struct gate_pass *p, enum gate_answer answer)
{
    gate_done done = p->done;
    void *arg = p->arg;
    uint64_t wait_ns = answer == GATE_BREAKER ? p->wait_ns : 0;
    if (answer == GATE_OPEN) {
        p->state = PASS_HELD;
        done(arg, answer, p, wait_ns);
        return;
    }
    free(p);
    done(arg, answer, NULL, wait_ns);
}

static void defer(struct gate_pass *p, enum gate_answer answer)
{
    struct gate_desk *d = p->desk;
    p->state = PASS_DEFERRED;
    p->answer = answer;
    TAILQ_INSERT_TAIL(&d->deferred, p, link);
    if (!uv_is_active((uv_handle_t *)&d->busy)) {
        d->busy_turns = 0;
        uv_idle_start(&d->busy, on_busy);
    }
}

/* Only those that waited when it began: what they cause is for the next round. */
static bool end_of_turn(struct reactor_hook *hook)
{
    struct gate_desk *d = ((struct desk_hook *)hook)->desk;
    struct gate_pass *p;
    unsigned waiting = 0;
    if (d->closing || TAILQ_EMPTY(&d->deferred)) {
        return false;
    }
    uv_idle_stop(&d->busy);
    TAILQ_FOREACH(p, &d->deferred, link)
    {
        waiting++;
    }
    for (unsigned i = 0; i < waiting && (p = TAILQ_FIRST(&d->deferred)) != NULL; i++) {
        TAILQ_REMOVE(&d->deferred, p, link);
        tell(p, p->answer);
    }
    desk_close_if_idle(d);
    return true;
}

/* ---- the queue ---- */

/* Any thread: the slot is ours, said by message to the reactor that waits. */
static void on_granted(struct bulkhead_waiter *waiter)
{
    struct gate_pass *p = (struct gate_pass *)(void *)waiter;
    mailbox_reply(&p->reactor->inbox, &p->message);
}

static void on_granted_here(struct msg *m)
{
    struct gate_pass *p = (struct gate_pass *)(void *)((char *)m - offsetof(struct gate_pass, message));
    struct gate_desk *d = p->desk;
    struct gate *g = p->gate;
    if (p->state == PASS_ABANDONED) { /* the slot has been given back */
        free(p);
        return;
    }
    TAILQ_REMOVE(&d->queued, p, link);
    if (take_permit(p)) {
        tell(p, GATE_OPEN);
    } else {
        release_slot(g);
        tell(p, GATE_BREAKER);
    }
    desk_close_if_idle(d);
}

static void arm(struct gate_desk *d, uint64_t at_ns)
{
    uint64_t now_ns = clock_mono_ns();
    uint64_t ms = at_ns > now_ns ? (at_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS : 1;
    d->armed_ns = at_ns;
    uv_timer_start(&d->timer, on_queue_deadline, ms, 0);
}

static void queue(struct gate_pass *p)
{
    struct gate_desk *d = p->desk;
    struct gate_pass *before = TAILQ_LAST(&d->queued, pass_list);
    while (before && before->queue_deadline_ns > p->queue_deadline_ns) {
        before = TAILQ_PREV(before, pass_list, link);
    }
    if (before) {
        TAILQ_INSERT_AFTER(&d->queued, before, p, link);
    } else {
        TAILQ_INSERT_HEAD(&d->queued, p, link);
    }
    p->state = PASS_QUEUED;
    if (p->queue_deadline_ns < d->armed_ns) {
        arm(d, p->queue_deadline_ns);
    }
}

/* Leaves the queue without an answer. True: the pass may be freed now; false: its message is on the way. */
static bool leave_queue(struct gate_pass *p)
{
    TAILQ_REMOVE(&p->desk->queued, p, link);
    if (bulkhead_cancel(p->gate->bulkhead, &p->waiter)) {
        return true;
    }
    p->state = PASS_ABANDONED;
    p->desk = NULL;
    release_slot(p->gate);
    return false;
}

static void on_queue_deadline(uv_timer_t *timer)
{
    struct gate_desk *d = timer->data;
    uint64_t now_ns = clock_mono_ns();
    struct gate_pass *p;
    d->armed_ns = UINT64_MAX;
    while ((p = TAILQ_FIRST(&d->queued)) != NULL && p->queue_deadline_ns <= now_ns) {
        gate_done done = p->done;
        void *arg = p->arg;
        if (leave_queue(p)) {
            free(p);
        }
        done(arg, GATE_LATE, NULL, 0);
    }
    if (p && p->queue_deadline_ns < d->armed_ns) {
        arm(d, p->queue_deadline_ns);
    }
    desk_close_if_idle(d);
}

/* ---- in and out ---- */

/* Looks first, so that a slot is not taken for nothing; a refusal is counted by asking for the permit, which may just
 * have become free. */
static bool breaker_refuses(struct gate_pass *p)
{
    struct breaker *b = p->gate->breaker;
    return b && !breaker_would_permit(b, &p->wait_ns) && !take_permit(p);
}

static void enter(struct gate_pass *p)
{
    struct gate *g = p->gate;
    if (breaker_refuses(p)) {
        defer(p, GATE_BREAKER);
        return;
    }
    switch (g->bulkhead ? bulkhead_acquire(g->bulkhead, &p->waiter) : BULKHEAD_GRANTED) {
    case BULKHEAD_GRANTED:
        if (take_permit(p)) {
            defer(p, GATE_OPEN);
            return;
        }
        release_slot(g);
        defer(p, GATE_BREAKER);
        return;
    case BULKHEAD_QUEUED:
        release_permit(p);
        queue(p);
        return;
    case BULKHEAD_FULL:
        release_permit(p);
        defer(p, GATE_FULL);
        return;
    }
}

static struct gate_pass *enter_queue(struct gate *g, bool ahead, struct reactor *r,
                                     uint64_t queue_deadline_ns, uint64_t call_deadline_ns, gate_done done,
                                     void *arg)
{
    struct gate_pass *p = calloc(1, sizeof *p);
    struct gate_desk *d = p ? desk_open(r) : NULL;
    if (!d) {
        free(p);
        return NULL;
    }
    p->gate = g;
    p->desk = d;
    p->reactor = r;
    p->done = done;
    p->arg = arg;
    p->queue_deadline_ns = queue_deadline_ns;
    p->call_deadline_ns = call_deadline_ns;
    p->waiter.granted = on_granted;
    p->waiter.ahead = ahead;
    p->message.deliver = on_granted_here;
    enter(p);
    return p;
}

struct gate_pass *gate_enter(struct gate *g, struct reactor *r, uint64_t queue_deadline_ns,
                             uint64_t call_deadline_ns, gate_done done, void *arg)
{
    return enter_queue(g, false, r, queue_deadline_ns, call_deadline_ns, done, arg);
}

struct gate_pass *gate_enter_ahead(struct gate *g, struct reactor *r, uint64_t queue_deadline_ns,
                                   uint64_t call_deadline_ns, gate_done done, void *arg)
{
    return enter_queue(g, true, r, queue_deadline_ns, call_deadline_ns, done, arg);
}

void gate_cancel(struct gate_pass *p)
{
    struct gate_desk *d = p->desk;
    switch (p->state) {
    case PASS_DEFERRED:
        TAILQ_REMOVE(&d->deferred, p, link);
        if (p->answer == GATE_OPEN) {
            gate_return(p);
        } else {
            free(p);
        }
        break;
    case PASS_QUEUED:
        if (leave_queue(p)) {
            free(p);
        }
        break;
    case PASS_HELD:
        gate_return(p);
        return;
    case PASS_ABANDONED:
        return; /* a second cancel */
    }
    desk_close_if_idle(d);
}

void gate_leave(struct gate_pass *p, enum breaker_outcome outcome, uint64_t duration_ns, const char *cause)
{
    struct gate *g = p->gate;
    if (g->breaker) {
        breaker_complete(g->breaker, &p->permit, outcome, duration_ns, cause);
    }
    free(p);
    release_slot(g);
}

void gate_return(struct gate_pass *p)
{
    struct gate *g = p->gate;
    release_permit(p);
    free(p);
    release_slot(g);
}

bool gate_looks_open(struct gate *g, uint64_t *wait_ns)
{
    *wait_ns = 0;
    return !g->breaker || breaker_would_permit(g->breaker, wait_ns);
}
