/* Leases of permits: which permits are out, and which of them must be taken back first. Not thread-safe. */
#ifndef CORE_BREAKER_LEASE_H
#define CORE_BREAKER_LEASE_H

#include <stdbool.h>
#include <stdint.h>

/* More permits than this at once are given without a lease. */
#define BREAKER_MAX_LEASES 65536u

struct breaker_lease_entry {
    uint64_t due_ns, taken_ns;
    uint32_t slot;
};

struct breaker_lease_slot {
    uint32_t at;  /* index in heap while in use, next free slot otherwise */
    uint32_t use; /* grows with each end of use: an old permit does not match */
};

struct breaker_lease_table {
    struct breaker_lease_entry *heap; /* earliest due first */
    struct breaker_lease_slot *slot;
    uint32_t count, capacity, free_head;
};

void breaker_lease_init(struct breaker_lease_table *t);
void breaker_lease_free(struct breaker_lease_table *t);
/* A lease numbered from 1 (*use tells its incarnations apart), or 0 if none can be had. */
uint32_t breaker_lease_take(struct breaker_lease_table *t, uint64_t due_ns, uint64_t taken_ns, uint32_t *use);
/* Ends it. False: it had ended before (taken back, or cleared). */
bool breaker_lease_end(struct breaker_lease_table *t, uint32_t lease, uint32_t use);
/* UINT64_MAX if none is out. */
uint64_t breaker_lease_next_due(const struct breaker_lease_table *t);
/* Takes back the one due first; there must be one. Returns when it was taken. */
uint64_t breaker_lease_expire(struct breaker_lease_table *t);
/* Ends them all. */
void breaker_lease_clear(struct breaker_lease_table *t);

#endif
