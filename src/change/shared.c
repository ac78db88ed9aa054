/* shared.c - who works on which change, who waits for it, and who was told of the outage. */
#include "change/peers.h"
#include "change/service.h"

#include "pcs/core/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1 /* else uthash ends the process; an element that found no room has hh.tbl NULL */
#include <uthash.h>

#define OUTAGE_LINES_MAX 65536
#define OUTAGE_QUIET_NS  (600 * NS_PER_SEC)

struct owned {
    char request_id[UUID_LEN + 1];
    struct change_service *owner;
    UT_hash_handle hh;
};

struct watched {
    char request_id[UUID_LEN + 1];
    struct change_watch *waiting;
    UT_hash_handle hh;
};

struct told {
    char line[LINE_LEN + 1];
    UT_hash_handle hh;
};

struct change_shared {
    struct journal *journal;
    struct history *history;
    pthread_mutex_t lock;
    struct owned *owned;
    struct watched *watched;
    struct told *told;
    _Atomic bool outage, orders_out;
    struct outage_clock outage_clock; /* when a line was last refused */
    uint64_t next_turn_ns;
    atomic_bool peers_asked;
    _Atomic uint64_t alone_until_ns;
};

struct change_shared *change_shared_new(struct journal *journal, struct history *history)
{
    struct change_shared *s = calloc(1, sizeof *s);
    if (s) {
        s->journal = journal;
        s->history = history;
        pthread_mutex_init(&s->lock, NULL);
    }
    return s;
}

void change_shared_free(struct change_shared *s)
{
    struct owned *o, *o_next;
    struct told *t, *t_next;
    struct watched *w, *w_next;
    if (!s) {
        return;
    }
    HASH_ITER(hh, s->owned, o, o_next)
    {
        HASH_DEL(s->owned, o);
        free(o);
    }
    HASH_ITER(hh, s->told, t, t_next)
    {
        HASH_DEL(s->told, t);
        free(t);
    }
    HASH_ITER(hh, s->watched, w, w_next)
    {
        HASH_DEL(s->watched, w);
        free(w);
    }
    pthread_mutex_destroy(&s->lock);
    free(s);
}

struct journal *change_journal(struct change_shared *s)
{
    return s->journal;
}

struct history *change_history(struct change_shared *s)
{
    return s->history;
}

bool owned_add(struct change_shared *s, const char *request_id, struct change_service *owner)
{
    struct owned *found;
    struct owned *o = malloc(sizeof *o);
    if (!o) {
        return true;
    }
    memcpy(o->request_id, request_id, sizeof o->request_id);
    o->owner = owner;
    pthread_mutex_lock(&s->lock);
    HASH_FIND_STR(s->owned, request_id, found);
    o->hh.tbl = NULL;
    if (!found) {
        HASH_ADD_STR(s->owned, request_id, o);
    }
    bool listed = o->hh.tbl != NULL;
    pthread_mutex_unlock(&s->lock);
    if (!listed) {
        free(o);
    }
    return !found;
}

void owned_remove(struct change_shared *s, const char *request_id)
{
    struct owned *o;
    pthread_mutex_lock(&s->lock);
    HASH_FIND_STR(s->owned, request_id, o);
    if (o) {
        HASH_DEL(s->owned, o);
    }
    pthread_mutex_unlock(&s->lock);
    free(o);
}

/* Posted under the lock: an owner takes itself out of the table before its reactor ends. */
bool owned_post(struct change_shared *s, const char *request_id, struct msg *m, struct change_service **owner)
{
    struct owned *o;
    pthread_mutex_lock(&s->lock);
    HASH_FIND_STR(s->owned, request_id, o);
    if (o) {
        *owner = o->owner;
        mailbox_reply(&o->owner->reactor->inbox, m);
    }
    pthread_mutex_unlock(&s->lock);
    return o != NULL;
}

bool waiters_add(struct change_shared *s, struct change_watch *w)
{
    struct watched *list;
    pthread_mutex_lock(&s->lock);
    HASH_FIND_STR(s->watched, w->request_id, list);
    if (!list && (list = calloc(1, sizeof *list)) != NULL) {
        memcpy(list->request_id, w->request_id, sizeof list->request_id);
        HASH_ADD_STR(s->watched, request_id, list);
        if (!list->hh.tbl) {
            free(list);
            list = NULL;
        }
    }
    if (list) {
        w->next = list->waiting;
        list->waiting = w;
    }
    pthread_mutex_unlock(&s->lock);
    return list != NULL;
}

static void watch_deliver(struct msg *m)
{
    struct change_watch *w = (struct change_watch *)m;
    if (!w->cancelled) {
        w->ended(w->arg, w->final);
    }
    free(w);
}

/* Under the lock: takes the list of one change apart and posts each waiter to its reactor. */
static void post_all(struct change_shared *s, struct watched *list, bool final)
{
    HASH_DEL(s->watched, list);
    struct change_watch *w = list->waiting;
    while (w) {
        struct change_watch *next = w->next;
        w->posted = true;
        w->final = final;
        w->msg.deliver = watch_deliver;
        mailbox_reply(w->reply_to, &w->msg);
        w = next;
    }
    free(list);
}

void waiters_notify(struct change_shared *s, const char *request_id)
{
    struct watched *list;
    pthread_mutex_lock(&s->lock);
    HASH_FIND_STR(s->watched, request_id, list);
    if (list) {
        post_all(s, list, true);
    }
    pthread_mutex_unlock(&s->lock);
}

void waiters_wake_all(struct change_shared *s)
{
    struct watched *list, *next;
    pthread_mutex_lock(&s->lock);
    HASH_ITER(hh, s->watched, list, next)
    {
        post_all(s, list, false);
    }
    pthread_mutex_unlock(&s->lock);
}

void change_watch_cancel(struct change_watch *w)
{
    struct change_shared *s = w->shared;
    struct watched *list;
    pthread_mutex_lock(&s->lock);
    if (w->posted) {
        w->cancelled = true; /* it is in this thread's own inbox: freed there */
        pthread_mutex_unlock(&s->lock);
        return;
    }
    HASH_FIND_STR(s->watched, w->request_id, list);
    struct change_watch **p = list ? &list->waiting : NULL;
    while (p && *p && *p != w) {
        p = &(*p)->next;
    }
    if (p && *p) {
        *p = w->next;
    }
    if (list && !list->waiting) {
        HASH_DEL(s->watched, list);
        free(list);
    }
    pthread_mutex_unlock(&s->lock);
    free(w);
}

/* Takes note of the later of the two. */
static bool later(uint64_t *last, uint64_t now, uint64_t by)
{
    bool is = now > *last && now - *last > by;
    if (now > *last) {
        *last = now;
    }
    return is;
}

/* Is it another outage than that of the last refusal? Under the lock. The reactors look at the clock and at the breakers
 * before they have the lock: who comes second may have looked first. */
static bool is_another(struct change_shared *s, const struct outage_clock *now)
{
    struct outage_clock *last = &s->outage_clock;
    bool orders = later(&last->orders_closed, now->orders_closed, 0);
    bool inquiries = later(&last->inquiries_closed, now->inquiries_closed, 0);
    bool quiet = later(&last->now_ns, now->now_ns, OUTAGE_QUIET_NS);
    return orders || quiet || (inquiries && !s->orders_out);
}

bool outage_first(struct change_shared *s, const char *line, bool orders, const struct outage_clock *now)
{
    struct told *found, *t = calloc(1, sizeof *t);
    if (!t) {
        return false;
    }
    memcpy(t->line, line, LINE_LEN);
    pthread_mutex_lock(&s->lock);
    bool another = is_another(s, now);
    pthread_mutex_unlock(&s->lock);
    if (another) {
        outage_over(s, true);
    }
    pthread_mutex_lock(&s->lock);
    atomic_store(&s->outage, true);
    if (orders) {
        atomic_store(&s->orders_out, true);
    }
    HASH_FIND_STR(s->told, t->line, found);
    bool first = !found && HASH_COUNT(s->told) < OUTAGE_LINES_MAX;
    if (first) {
        HASH_ADD_STR(s->told, line, t);
        first = t->hh.tbl != NULL;
    }
    pthread_mutex_unlock(&s->lock);
    if (!first) {
        free(t);
    }
    return first;
}

void outage_over(struct change_shared *s, bool orders)
{
    struct told *all, *t, *next;
    if (!atomic_load_explicit(&s->outage, memory_order_relaxed) || (s->orders_out && !orders)) {
        return;
    }
    pthread_mutex_lock(&s->lock);
    atomic_store(&s->outage, false);
    atomic_store(&s->orders_out, false);
    all = s->told;
    s->told = NULL;
    pthread_mutex_unlock(&s->lock);
    HASH_ITER(hh, all, t, next)
    {
        HASH_DEL(all, t);
        free(t);
    }
}

int64_t pace_take(struct change_shared *s, int64_t rate, uint64_t now_ns)
{
    pthread_mutex_lock(&s->lock);
    uint64_t turn = s->next_turn_ns > now_ns ? s->next_turn_ns : now_ns;
    s->next_turn_ns = turn + NS_PER_SEC / (uint64_t)rate;
    pthread_mutex_unlock(&s->lock);
    return (int64_t)((turn - now_ns) / NS_PER_MS);
}

bool peers_take_turn(struct change_shared *s)
{
    return !atomic_exchange(&s->peers_asked, true);
}

void peers_note(struct change_shared *s, uint64_t alone_until_ns)
{
    atomic_store(&s->alone_until_ns, alone_until_ns);
}

bool peers_none(const struct change_shared *s)
{
    return clock_mono_ns() < atomic_load(&s->alone_until_ns);
}
