/* waker.h - an eventfd that may be rung by anybody who ever knew it.
 *
 * The journal's notice may come while the history is being stopped. So wakers are never freed, only put back
 * and used again; a late ring finds a closed waker, or wakes the next owner once for nothing. */
#ifndef HISTORY_WAKER_H
#define HISTORY_WAKER_H

#include <stdbool.h>

struct waker;

/* NULL: no descriptor or memory. */
struct waker *history_waker_take(void);
void history_waker_put_back(struct waker *w);
/* Any thread, at any time, also after history_waker_put_back(). arg: a struct waker. */
void history_waker_ring(void *arg);
/* The same, and leaves a note: there is news (the journal's notice), not only an answer. */
void history_waker_ring_news(void *arg);
/* The owner only: has there been news since the last call? */
bool history_waker_take_news(struct waker *w);
/* The owner only: what to poll and read. */
int history_waker_fd(const struct waker *w);

#endif
