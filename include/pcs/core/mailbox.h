/* mailbox.h - messages between threads: a bounded queue with one reader, and the way to wake it.
 *
 * A message is intrusive memory of the sender's choosing with a function to call in the reader's thread.
 * Requests are refused when the box is full: a full queue is an answer (503), never a wait. Replies are never
 * refused, since every one answers a request that was admitted (DESIGN.md, "Messages between threads"). */
#ifndef PCS_CORE_MAILBOX_H
#define PCS_CORE_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct msg {
    struct msg *next;
    void (*deliver)(struct msg *m); /* called once in the reader's thread; the reader owns m from then on */
};

struct mailbox {
    pthread_mutex_t lock;
    pthread_cond_t filled; /* for readers that block in mailbox_wait() */
    struct msg *head, **tail;
    size_t count, max;       /* requests waiting, and how many may wait */
    bool closed;             /* no further requests; replies are still taken */
    void (*wake)(void *arg); /* for readers that run an event loop; NULL: signal the condition */
    void *wake_arg;
};

/* wake: called (from any thread, outside the lock) after the box went from empty to filled; NULL for a reader
 * that uses mailbox_wait(). max: requests that may wait. */
void mailbox_init(struct mailbox *box, size_t max, void (*wake)(void *arg), void *arg);
void mailbox_destroy(struct mailbox *box);

/* Any thread. False: full or closed, m is still the caller's and was not queued. */
__attribute__((warn_unused_result)) bool mailbox_send(struct mailbox *box, struct msg *m);
/* Any thread. Always accepted: use for replies, grants and shutdown notices only. */
void mailbox_reply(struct mailbox *box, struct msg *m);
/* Refuses further requests from now on. */
void mailbox_close(struct mailbox *box);

/* Reader only: takes everything that waits, oldest first (a list linked by next, NULL when empty). */
struct msg *mailbox_take_all(struct mailbox *box);
/* Reader only: as above, but blocks until something is there or until_ns (clock_mono_ns time) has passed. */
struct msg *mailbox_wait(struct mailbox *box, uint64_t until_ns);
/* Reader only: takes everything and calls each message's deliver. Returns how many. */
size_t mailbox_deliver_all(struct mailbox *box);
/* Any thread; a moment's reading, for metrics. */
size_t mailbox_count(struct mailbox *box);

#endif
