/* recent.c - a bounded memory of outcomes. */
#include "journal/recent.h"

#include "journal/claims.h"
#include "pcs/core/clock.h"
#include "pcs/core/id.h"

#include <stdlib.h>

#define SIZE_MIN ((size_t)1024)
#define STEP_MS  100 /* less is slewing, or this thread was not running between two looks at the clocks */

int64_t recent_time(struct recent *r, int64_t unix_ms)
{
    int64_t offset = clock_wall_ms() - (int64_t)(clock_mono_ns() / NS_PER_MS);
    if (offset - r->offset > STEP_MS || r->offset - offset > STEP_MS) {
        r->offset = offset;
    }
    return unix_ms - r->offset;
}

void recent_init(struct recent *r, int64_t since)
{
    *r = (struct recent){.forgotten = since, .seed = random_u64()};
}

void recent_free(struct recent *r)
{
    free(r->young.entries);
    free(r->old.entries);
    *r = (struct recent){0};
}

static uint64_t name_of(const struct recent *r, const char *line)
{
    uint64_t h = claims_hash(r->seed, line);
    return h ? h : 1;
}

/* The line's place, or the free one where it belongs. size > count always. */
static struct recent_entry *find(const struct recent_generation *g, uint64_t line)
{
    size_t i = line & (g->size - 1);
    while (g->entries[i].line && g->entries[i].line != line) {
        i = (i + 1) & (g->size - 1);
    }
    return &g->entries[i];
}

static bool grow(struct recent_generation *g)
{
    struct recent_generation bigger = *g;
    bigger.size = g->size ? g->size * 2 : SIZE_MIN;
    bigger.entries = calloc(bigger.size, sizeof *bigger.entries);
    if (!bigger.entries) {
        return false;
    }
    for (size_t i = 0; i < g->size; i++) {
        if (g->entries[i].line) {
            *find(&bigger, g->entries[i].line) = g->entries[i];
        }
    }
    free(g->entries);
    *g = bigger;
    return true;
}

static void forget_until(struct recent *r, int64_t at)
{
    if (at > r->forgotten) {
        r->forgotten = at;
    }
}

static void rotate(struct recent *r, int64_t now)
{
    if (r->old.count) {
        forget_until(r, r->old.newest);
    }
    free(r->old.entries);
    r->old = r->young;
    r->young = (struct recent_generation){.born = now};
}

void recent_note(struct recent *r, const char *line, int64_t at, int64_t now)
{
    struct recent_generation *g = &r->young;
    if (g->count >= RECENT_MAX || (g->count && now - g->born > RECENT_AGE_MS)) {
        rotate(r, now);
    }
    if (g->count == 0) {
        g->born = now;
    }
    if (g->count * 2 >= g->size && !grow(g)) {
        forget_until(r, at); /* no memory: whatever was loaded up to now is loaded again */
        return;
    }
    uint64_t name = name_of(r, line);
    struct recent_entry *e = find(g, name);
    if (!e->line) {
        *e = (struct recent_entry){.line = name, .at = at};
        g->count++;
    } else if (at > e->at) {
        e->at = at;
    }
    if (at > g->newest) {
        g->newest = at;
    }
}

static bool newer(const struct recent_generation *g, uint64_t line, int64_t loaded_at)
{
    if (!g->size) {
        return false;
    }
    const struct recent_entry *e = find(g, line);
    return e->line && loaded_at <= e->at;
}

bool recent_reload(const struct recent *r, const char *line, int64_t loaded_at)
{
    uint64_t name = name_of(r, line);
    return loaded_at <= r->forgotten || newer(&r->young, name, loaded_at) || newer(&r->old, name, loaded_at);
}
