/* bypass.c - lines whose cached customer must not be believed, because a delete was not acknowledged yet.
 *
 * Asked on every cached read, and nearly always empty: then one relaxed load is all it costs. */
#include "product/bypass.h"

#include "pcs/core/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS     4096
#define GENERATIONS 4096
#define LINES_MAX   1000000 /* more lines than that: none is believed */

struct bypassed {
    struct bypassed *next;
    int64_t generation;
    char line[LINE_LEN + 1];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct bypassed *table[BUCKETS];
static size_t listed;           /* in the table; under the lock */
static bool unlisted;           /* some could not be listed: every line is bypassed, until all are over */
static uint64_t added;          /* calls of bypass_add() */
static _Atomic size_t bypassed; /* both together */

static _Atomic uint64_t generations[GENERATIONS];

uint32_t line_hash(const char *line)
{
    uint32_t h = 2166136261U;
    for (; *line; line++) {
        h = (h ^ (unsigned char)*line) * 16777619U;
    }
    return h ^ h >> 15;
}

uint64_t line_generation(const char *line)
{
    return atomic_load(&generations[line_hash(line) % GENERATIONS]);
}

void line_generation_next(const char *line)
{
    atomic_fetch_add(&generations[line_hash(line) % GENERATIONS], 1);
}

/* The link that holds the line's entry, or the empty one at its end. */
static struct bypassed **find(const char *line)
{
    struct bypassed **link = &table[line_hash(line) % BUCKETS];
    while (*link && strcmp((*link)->line, line) != 0) {
        link = &(*link)->next;
    }
    return link;
}

static void publish(void)
{
    atomic_store(&bypassed, listed + unlisted);
}

void bypass_add(const char *line, int64_t generation)
{
    pthread_mutex_lock(&lock);
    struct bypassed **link = find(line), *b = *link;
    added++;
    if (b) {
        b->generation = generation > b->generation ? generation : b->generation;
    } else if (listed < LINES_MAX && strlen(line) <= LINE_LEN && (b = calloc(1, sizeof *b))) {
        memcpy(b->line, line, strlen(line));
        b->generation = generation;
        *link = b;
        listed++;
    } else if (!unlisted) {
        unlisted = true;
        log_error("cache.bypass_all", log_str("reason", "no room for another bypassed line"));
    }
    publish();
    pthread_mutex_unlock(&lock);
    line_generation_next(line);
}

void bypass_remove(const char *line, int64_t generation)
{
    pthread_mutex_lock(&lock);
    struct bypassed **link = find(line), *b = *link;
    if (b && generation >= b->generation) {
        *link = b->next;
        free(b);
        listed--;
    }
    publish();
    pthread_mutex_unlock(&lock);
}

bool bypass_holds(const char *line)
{
    if (atomic_load_explicit(&bypassed, memory_order_acquire) == 0) {
        return false;
    }
    pthread_mutex_lock(&lock);
    bool held = unlisted || *find(line);
    pthread_mutex_unlock(&lock);
    return held;
}

size_t bypass_count(void)
{
    return atomic_load(&bypassed);
}

/* Under the lock. */
static void forget_all(void)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        while (table[i]) {
            struct bypassed *b = table[i];
            table[i] = b->next;
            free(b);
        }
    }
    listed = 0;
    unlisted = false;
    publish();
}

bool bypass_holds_all(void)
{
    pthread_mutex_lock(&lock);
    bool all = unlisted;
    pthread_mutex_unlock(&lock);
    return all;
}

uint64_t bypass_added(void)
{
    pthread_mutex_lock(&lock);
    uint64_t n = added;
    pthread_mutex_unlock(&lock);
    return n;
}

void bypass_none_since(uint64_t since)
{
    pthread_mutex_lock(&lock);
    if (added == since) {
        forget_all();
    }
    pthread_mutex_unlock(&lock);
}

void bypass_clear(void)
{
    pthread_mutex_lock(&lock);
    forget_all();
    pthread_mutex_unlock(&lock);
}
