/* pace.h - how fast events go out: at `rate` while a backlog drains, slower when the destination says so,
 * otherwise as fast as they come (CONTRACT.md 3; CONVENTIONS.md 7: 429 slows down).
 *
 * One thread. Time is clock_mono_ns() as the caller gives it. */
#ifndef DELIVERY_PACE_H
#define DELIVERY_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define PACE_PAUSE_MIN_NS (UINT64_C(1) * 1000000000)   /* Retry-After: 0 still means "not now" */
#define PACE_PAUSE_MAX_NS (UINT64_C(300) * 1000000000) /* no answer may silence us for longer */

struct pace {
    double cap;    /* events a second while a backlog goes out */
    bool backlog;  /* one is going out */
    double slowed; /* events a second since the destination pushed back; 0: it did not */
    double tokens;
    uint64_t at_ns; /* tokens are of this time */
    uint64_t pause_until_ns, raise_at_ns;
};

void pace_init(struct pace *p, int64_t rate, uint64_t now_ns);
/* A backlog begins (the destination is back, or the process has just started), or has gone out. */
void pace_backlog(struct pace *p, bool on, uint64_t now_ns);
/* The destination asked for a pause of wait_ns (bounded as above): nothing goes out until then, and at half
 * the pace afterwards. Answers to what was already on its way only lengthen the pause. Returns its end. */
uint64_t pace_pushed_back(struct pace *p, uint64_t wait_ns, uint64_t now_ns);
/* An event was taken: once a second the pace is raised again, until it is what it was. */
void pace_succeeded(struct pace *p, uint64_t now_ns);
/* How long until one more may go; 0: now. Takes nothing. */
uint64_t pace_wait(struct pace *p, uint64_t now_ns);
/* One goes now. */
void pace_spend(struct pace *p);

#endif
