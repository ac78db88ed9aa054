/* A binary heap of timers: thousands of delayed requests cost one wake-up per due millisecond. */
#include "sim_util.h"

#include <limits.h>
#include <stdlib.h>

static void place(struct sim_timers *t, size_t i, struct sim_timer *timer)
{
    t->heap[i] = timer;
    timer->slot = i + 1;
}

static void sift_up(struct sim_timers *t, size_t i, struct sim_timer *timer)
{
    while (i > 0 && t->heap[(i - 1) / 2]->due_ms > timer->due_ms) {
        place(t, i, t->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    place(t, i, timer);
}

static void sift_down(struct sim_timers *t, size_t i, struct sim_timer *timer)
{
    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= t->count)
            break;
        if (child + 1 < t->count && t->heap[child + 1]->due_ms < t->heap[child]->due_ms)
            child++;
        if (t->heap[child]->due_ms >= timer->due_ms)
            break;
        place(t, i, t->heap[child]);
        i = child;
    }
    place(t, i, timer);
}

void sim_timer_start(struct sim_timers *t, struct sim_timer *timer, int64_t due_ms, void (*fire)(void *),
                     void *arg)
{
    sim_timer_stop(t, timer);
    timer->due_ms = due_ms;
    timer->fire = fire;
    timer->arg = arg;
    if (t->count == t->size) {
        t->size = t->size ? t->size * 2 : 256;
        t->heap = sim_realloc(t->heap, t->size * sizeof *t->heap);
    }
    t->count++;
    sift_up(t, t->count - 1, timer);
}

void sim_timer_stop(struct sim_timers *t, struct sim_timer *timer)
{
    struct sim_timer *last;
    size_t i;

    if (!timer->slot)
        return;
    i = timer->slot - 1;
    timer->slot = 0;
    last = t->heap[--t->count];
    if (last == timer)
        return;
    if (i > 0 && t->heap[(i - 1) / 2]->due_ms > last->due_ms)
        sift_up(t, i, last);
    else
        sift_down(t, i, last);
}

void sim_timers_run(struct sim_timers *t, int64_t now_ms)
{
    while (t->count && t->heap[0]->due_ms <= now_ms) {
        struct sim_timer *timer = t->heap[0];

        sim_timer_stop(t, timer);
        timer->fire(timer->arg);
    }
}

int sim_timers_wait(const struct sim_timers *t, int64_t now_ms)
{
    int64_t wait;

    if (!t->count)
        return -1;
    wait = t->heap[0]->due_ms - now_ms;
    if (wait < 0)
        wait = 0;
    return wait > INT_MAX ? INT_MAX : (int)wait;
}
