/* shared.h - what the reactors' services share, each under a mutex held for nanoseconds. */
#ifndef CHANGE_SHARED_H
#define CHANGE_SHARED_H

#include "pcs/change/change.h"
#include "pcs/core/id.h"

/* --- which changes somebody in this process is working on --- */
/* False: somebody has it already. Without memory: true, and nobody is kept from it. */
bool owned_add(struct change_shared *s, const char *request_id, struct change_service *owner);
void owned_remove(struct change_shared *s, const char *request_id);
/* Delivers m on the reactor of whoever works on it; *owner is set before. False: nobody does, m stays the caller's. */
bool owned_post(struct change_shared *s, const char *request_id, struct msg *m,
                struct change_service **owner);

/* --- who waits for a change to end --- */
struct change_watch {
    struct msg msg;
    struct change_watch *next;
    struct change_shared *shared;
    struct mailbox *reply_to;
    char request_id[UUID_LEN + 1];
    void (*ended)(void *arg, bool final);
    void *arg;
    bool posted, cancelled, final;
};
bool waiters_add(struct change_shared *s, struct change_watch *w);
/* Any thread: tells everyone who waits for it, each on its own reactor. */
void waiters_notify(struct change_shared *s, const char *request_id);
/* Any thread (shutdown): wakes all with false. */
void waiters_wake_all(struct change_shared *s);

/* --- one record and one event per line and outage (CONTRACT.md 3, system-unavailable) --- */
/* What tells one outage from the next, though nobody may have ordered in between: how often KOS's breakers have closed,
 * and the time (monotonic): ten minutes without a refusal end one too. */
struct outage_clock {
    uint64_t inquiries_closed, orders_closed, now_ns;
};
/* True for the first refusal of this line in the present outage. orders: it is orders that KOS does not take. Bounded:
 * past 65 536 lines nobody is the first. */
bool outage_first(struct change_shared *s, const char *line, bool orders, const struct outage_clock *now);
/* KOS has answered an inquiry, or an order: the outage, if there was one, is over. One of orders is not ended by an
 * inquiry that succeeds. Cheap when there was none. */
void outage_over(struct change_shared *s, bool orders);

/* --- is there another instance? (peers.h) --- */
/* True for the first that asks. */
bool peers_take_turn(struct change_shared *s);
/* Nobody else until then (monotonic); 0: not known. */
void peers_note(struct change_shared *s, uint64_t alone_until_ns);

/* --- held changes go out at a set pace when KOS is back --- */
/* Takes the next turn of rate a second; how long to wait for it, in ms. Any thread. */
int64_t pace_take(struct change_shared *s, int64_t rate, uint64_t now_ns);

#endif
