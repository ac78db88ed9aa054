/* recent.h - the newest outcome of each line, for the RELOAD rule (DESIGN.md, "Claim before read").
 *
 * Bounded: two generations of a hash table; when the young one is full or old enough, the old one is
 * forgotten and everything loaded before that point has to be loaded again. So a wrong answer is never "go
 * on", only "load again". The journal's thread only. */
#ifndef JOURNAL_RECENT_H
#define JOURNAL_RECENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECENT_MAX    131072                /* lines in a generation: 2 MiB of 16 bytes, doubled for air */
#define RECENT_AGE_MS (INT64_C(10) * 60000) /* a generation lives that long at least, unless it is full */

struct recent_entry {
    uint64_t line; /* hash; 0: free */
    int64_t at;
};

struct recent_generation {
    struct recent_entry *entries;
    size_t size, count; /* size: a power of two, 0: nothing yet */
    int64_t born, newest;
};

struct recent {
    struct recent_generation young, old;
    int64_t forgotten; /* outcomes up to here are not known any more */
    uint64_t seed;
    int64_t offset; /* the wall clock less the one that is never set, as of its last step */
};

/* A time of the wall clock as this memory keeps times: on a clock that is never set. Both sides of a comparison
 * are brought to it with the clocks of their own moment, so that a step of the wall clock cannot make what was
 * loaded after an outcome look older than it. */
int64_t recent_time(struct recent *r, int64_t unix_ms);
/* Knows nothing about outcomes before `since`. */
void recent_init(struct recent *r, int64_t since);
void recent_free(struct recent *r);
/* An outcome of the line, processed at `at`; now is the wall clock. */
void recent_note(struct recent *r, const char *line, int64_t at, int64_t now);
/* Must data of the line that was loaded at loaded_at be loaded again? */
bool recent_reload(const struct recent *r, const char *line, int64_t loaded_at);

#endif
