/* A string map: open addressing, linear probing, FNV-1a. Removed entries leave a mark that the next
 * growth drops. */
#include "sim_util.h"

#include <stdlib.h>
#include <string.h>

struct sim_map_entry {
    const char *key; /* NULL = free, gone = removed */
    uint64_t hash;
    void *value;
};

static const char gone[] = "";

static uint64_t hash_of(const char *key)
{
    uint64_t h = 1469598103934665603u;

    for (; *key; key++)
        h = (h ^ (unsigned char)*key) * 1099511628211u;
    return h;
}

static struct sim_map_entry *find(const struct sim_map *m, const char *key, uint64_t hash)
{
    size_t i;

    if (!m->size)
        return NULL;
    for (i = hash & (m->size - 1);; i = (i + 1) & (m->size - 1)) {
        struct sim_map_entry *e = &m->entries[i];

        if (!e->key)
            return NULL;
        if (e->key != gone && e->hash == hash && strcmp(e->key, key) == 0)
            return e;
    }
}

static void insert(struct sim_map *m, const char *key, uint64_t hash, void *value)
{
    size_t i = hash & (m->size - 1);

    while (m->entries[i].key)
        i = (i + 1) & (m->size - 1);
    m->entries[i] = (struct sim_map_entry){key, hash, value};
    m->used++;
    m->count++;
}

static void grow(struct sim_map *m)
{
    struct sim_map old = *m;
    size_t i;

    *m = (struct sim_map){0};
    m->size = 64;
    while (m->size < old.count * 4)
        m->size *= 2;
    m->entries = sim_alloc(m->size * sizeof *m->entries);
    for (i = 0; i < old.size; i++) {
        const struct sim_map_entry *e = &old.entries[i];

        if (e->key && e->key != gone)
            insert(m, e->key, e->hash, e->value);
    }
    free(old.entries);
}

void *sim_map_get(const struct sim_map *m, const char *key)
{
    const struct sim_map_entry *e = find(m, key, hash_of(key));

    return e ? e->value : NULL;
}

void sim_map_put(struct sim_map *m, const char *key, void *value)
{
    uint64_t hash = hash_of(key);
    struct sim_map_entry *e = find(m, key, hash);

    if (e) {
        e->key = key;
        e->value = value;
        return;
    }
    if ((m->used + 1) * 3 > m->size * 2)
        grow(m);
    insert(m, key, hash, value);
}

void sim_map_remove(struct sim_map *m, const char *key)
{
    struct sim_map_entry *e = find(m, key, hash_of(key));

    if (!e)
        return;
    e->key = gone;
    e->value = NULL;
    m->count--;
}

void sim_map_free(struct sim_map *m)
{
    free(m->entries);
    *m = (struct sim_map){0};
}

void *sim_map_next(const struct sim_map *m, size_t *at)
{
    while (*at < m->size) {
        const struct sim_map_entry *e = &m->entries[(*at)++];

        if (e->key && e->key != gone)
            return e->value;
    }
    return NULL;
}
