/* lines.c - counters of the lines that somebody has. */
#include "journal/lines.h"

#include "journal/claims.h"
#include "pcs/core/id.h"

#include <stdlib.h>

static size_t place(const struct lines *l, const char *line)
{
    return claims_hash(l->seed, line) % LINES_COUNTERS;
}

bool lines_init(struct lines *l)
{
    *l = (struct lines){.seed = random_u64(), .counters = calloc(LINES_COUNTERS, sizeof *l->counters)};
    return l->counters != NULL;
}

void lines_free(struct lines *l)
{
    free(l->counters);
    *l = (struct lines){0};
}

void lines_add(struct lines *l, const char *line)
{
    atomic_fetch_add(&l->counters[place(l, line)], 1);
}

void lines_remove(struct lines *l, const char *line)
{
    _Atomic uint32_t *n = &l->counters[place(l, line)];
    if (atomic_load(n) > 0) { /* one writer */
        atomic_fetch_sub(n, 1);
    }
}

bool lines_none(const struct lines *l, const char *line)
{
    return atomic_load(&l->counters[place(l, line)]) == 0;
}

uint32_t *lines_recount_begin(void)
{
    return calloc(LINES_COUNTERS, sizeof(uint32_t));
}

void lines_recount_add(const struct lines *l, uint32_t *fresh, const char *line)
{
    fresh[place(l, line)]++;
}

void lines_recount_end(struct lines *l, uint32_t *fresh, bool whole)
{
    for (size_t i = 0; whole && i < LINES_COUNTERS; i++) {
        atomic_store(&l->counters[i], fresh[i]);
    }
    free(fresh);
}
