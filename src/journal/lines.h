/* lines.h - which lines have a claim or an open change: enough to say "none" without asking the journal's thread.
 *
 * Counters by a hash of the line. 0: nobody has it. More: somebody has it, or another line of the same counter; then
 * the journal is asked. The journal's thread counts, before it answers what made it count; any thread looks. */
#ifndef JOURNAL_LINES_H
#define JOURNAL_LINES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINES_COUNTERS 65536

struct lines {
    _Atomic uint32_t *counters;
    uint64_t seed;
};

bool lines_init(struct lines *l);
void lines_free(struct lines *l);
void lines_add(struct lines *l, const char *line);
void lines_remove(struct lines *l, const char *line);
/* Any thread. */
bool lines_none(const struct lines *l, const char *line);

/* Counts anew: lines_recount_begin(), lines_recount_add() for every line, lines_recount_end(). A look meanwhile sees
 * each counter as it was or as it will be. NULL: no memory; what was counted stays. */
uint32_t *lines_recount_begin(void);
void lines_recount_add(const struct lines *l, uint32_t *fresh, const char *line);
void lines_recount_end(struct lines *l, uint32_t *fresh, bool whole);

#endif
