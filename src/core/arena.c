/* arena.c - request memory: blocks that double, freed together. */
#include "pcs/core/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN     ((size_t)16)
#define BLOCK_MIN ((size_t)4096)
#define BLOCK_MAX ((size_t)65536)

struct arena_block {
    struct arena_block *older;
    size_t size;
};

struct arena_cleanup {
    struct arena_cleanup *older;
    void (*fn)(void *);
    void *arg;
};

void arena_init(struct arena *a, void *first, size_t first_size, size_t limit)
{
    uintptr_t start = ((uintptr_t)first + ALIGN - 1) & ~(uintptr_t)(ALIGN - 1);
    size_t lost = start - (uintptr_t)first;
    *a = (struct arena){.limit = limit};
    if (first && first_size > lost) {
        a->next = (char *)first + lost;
        a->end = (char *)first + first_size;
    }
}

void arena_free(struct arena *a)
{
    while (a->cleanups) {
        struct arena_cleanup *c = a->cleanups;
        a->cleanups = c->older;
        c->fn(c->arg);
    }
    while (a->blocks) {
        struct arena_block *b = a->blocks;
        a->blocks = b->older;
        free(b);
    }
    a->next = a->end = NULL;
    a->used = 0;
}

static bool arena_grow(struct arena *a, size_t size)
{
    size_t head = (sizeof(struct arena_block) + ALIGN - 1) & ~(ALIGN - 1);
    size_t want = a->blocks ? a->blocks->size * 2 : BLOCK_MIN;
    if (want > BLOCK_MAX) {
        want = BLOCK_MAX;
    }
    if (want < size + head) {
        want = size + head;
    }
    struct arena_block *b = malloc(want);
    if (!b) {
        return false;
    }
    b->older = a->blocks;
    b->size = want;
    a->blocks = b;
    a->next = (char *)b + head;
    a->end = (char *)b + want;
    return true;
}

void *arena_alloc(struct arena *a, size_t size)
{
    if (size > a->limit) {
        return NULL;
    }
    size = size ? (size + ALIGN - 1) & ~(ALIGN - 1) : ALIGN;
    if (a->used + size > a->limit) {
        return NULL;
    }
    if ((size_t)(a->end - a->next) < size && !arena_grow(a, size)) {
        return NULL;
    }
    void *p = a->next;
    a->next += size;
    a->used += size;
    return p;
}

void *arena_zalloc(struct arena *a, size_t size)
{
    void *p = arena_alloc(a, size);
    return p ? memset(p, 0, size) : NULL;
}

char *arena_strndup(struct arena *a, const char *text, size_t len)
{
    char *p = len < SIZE_MAX ? arena_alloc(a, len + 1) : NULL;
    if (p) {
        memcpy(p, text, len);
        p[len] = '\0';
    }
    return p;
}

char *arena_strdup(struct arena *a, const char *text)
{
    return arena_strndup(a, text, strlen(text));
}

char *arena_printf(struct arena *a, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    char *p = len < 0 ? NULL : arena_alloc(a, (size_t)len + 1);
    if (p) {
        vsnprintf(p, (size_t)len + 1, format, again);
    }
    va_end(again);
    va_end(args);
    return p;
}

bool arena_on_free(struct arena *a, void (*fn)(void *), void *arg)
{
    struct arena_cleanup *c = arena_alloc(a, sizeof *c);
    if (!c) {
        return false;
    }
    *c = (struct arena_cleanup){.older = a->cleanups, .fn = fn, .arg = arg};
    a->cleanups = c;
    return true;
}
