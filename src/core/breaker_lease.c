/*
 * Leases of permits: a binary heap by due time over a table of slots, so that giving, ending and expiring
 * one cost O(log n) under the breaker's mutex. Grows by doubling up to BREAKER_MAX_LEASES.
 */
#include "core/breaker_lease.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 64u

void breaker_lease_init(struct breaker_lease_table *t)
{
    memset(t, 0, sizeof *t);
    t->free_head = UINT32_MAX;
}

void breaker_lease_free(struct breaker_lease_table *t)
{
    free(t->heap);
    free(t->slot);
    breaker_lease_init(t);
}

static bool lease_grow(struct breaker_lease_table *t)
{
    uint32_t bigger = t->capacity == 0 ? FIRST_CAPACITY : t->capacity * 2;
    if (bigger > BREAKER_MAX_LEASES)
        return false;
    struct breaker_lease_entry *heap = realloc(t->heap, bigger * sizeof *heap);
    if (heap == NULL)
        return false;
    t->heap = heap;
    struct breaker_lease_slot *slot = realloc(t->slot, bigger * sizeof *slot);
    if (slot == NULL)
        return false;
    t->slot = slot;
    for (uint32_t i = bigger; i-- > t->capacity;) {
        slot[i].use = 0;
        slot[i].at = t->free_head;
        t->free_head = i;
    }
    t->capacity = bigger;
    return true;
}

static void heap_put(struct breaker_lease_table *t, uint32_t at, struct breaker_lease_entry e)
{
    t->heap[at] = e;
    t->slot[e.slot].at = at;
}

/* Moves the entry at `at` to where it belongs. */
static void heap_settle(struct breaker_lease_table *t, uint32_t at)
{
    struct breaker_lease_entry e = t->heap[at];
    while (at > 0 && t->heap[(at - 1) / 2].due_ns > e.due_ns) {
        heap_put(t, at, t->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= t->count)
            break;
        if (child + 1 < t->count && t->heap[child + 1].due_ns < t->heap[child].due_ns)
            child++;
        if (t->heap[child].due_ns >= e.due_ns)
            break;
        heap_put(t, at, t->heap[child]);
        at = child;
    }
    heap_put(t, at, e);
}

static void heap_remove(struct breaker_lease_table *t, uint32_t at)
{
    uint32_t slot = t->heap[at].slot;
    t->slot[slot].use++;
    t->slot[slot].at = t->free_head;
    t->free_head = slot;
    t->count--;
    if (at < t->count) {
        t->heap[at] = t->heap[t->count];
        heap_settle(t, at);
    }
}

uint32_t breaker_lease_take(struct breaker_lease_table *t, uint64_t due_ns, uint64_t taken_ns, uint32_t *use)
{
    if (t->free_head == UINT32_MAX && !lease_grow(t))
        return 0;
    uint32_t slot = t->free_head;
    t->free_head = t->slot[slot].at;
    t->heap[t->count] = (struct breaker_lease_entry){.due_ns = due_ns, .taken_ns = taken_ns, .slot = slot};
    t->count++;
    heap_settle(t, t->count - 1);
    *use = t->slot[slot].use;
    return slot + 1;
}

bool breaker_lease_end(struct breaker_lease_table *t, uint32_t lease, uint32_t use)
{
    if (lease == 0 || lease > t->capacity || t->slot[lease - 1].use != use)
        return false;
    uint32_t at = t->slot[lease - 1].at;
    if (at >= t->count || t->heap[at].slot != lease - 1)
        return false;
    heap_remove(t, at);
    return true;
}

uint64_t breaker_lease_next_due(const struct breaker_lease_table *t)
{
    return t->count > 0 ? t->heap[0].due_ns : UINT64_MAX;
}

uint64_t breaker_lease_expire(struct breaker_lease_table *t)
{
    uint64_t taken_ns = t->heap[0].taken_ns;
    heap_remove(t, 0);
    return taken_ns;
}

void breaker_lease_clear(struct breaker_lease_table *t)
{
    while (t->count > 0)
        heap_remove(t, t->count - 1);
}
