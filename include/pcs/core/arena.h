/* arena.h - memory that lives as long as one request: allocate freely, free once.
 *
 * Not thread-safe: an arena belongs to whoever owns the request. Bounded: past its limit, and when the system
 * has no memory, allocation returns NULL, so that no client-sized input can end the process. */
#ifndef PCS_CORE_ARENA_H
#define PCS_CORE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct arena_block;
struct arena_cleanup;

struct arena {
    struct arena_block *blocks; /* newest first */
    struct arena_cleanup *cleanups;
    char *next, *end; /* free room of the newest block */
    size_t used, limit;
};

/* first/first_size: optional caller's memory used before any malloc (may be NULL, 0). limit: bytes in all. */
void arena_init(struct arena *a, void *first, size_t first_size, size_t limit);
/* Runs the clean-ups, newest first, and frees everything. The arena may be initialised again afterwards. */
void arena_free(struct arena *a);

/* 16-byte aligned, not zeroed. NULL when the limit or memory is exhausted. */
void *arena_alloc(struct arena *a, size_t size) __attribute__((warn_unused_result));
void *arena_zalloc(struct arena *a, size_t size) __attribute__((warn_unused_result));
/* A NUL-terminated copy of len bytes. */
char *arena_strndup(struct arena *a, const char *text, size_t len) __attribute__((warn_unused_result));
char *arena_strdup(struct arena *a, const char *text) __attribute__((warn_unused_result));
char *arena_printf(struct arena *a, const char *format, ...)
    __attribute__((format(printf, 2, 3), warn_unused_result));

/* Calls fn(arg) from arena_free(). False when there is no memory for the note: then fn was NOT registered. */
__attribute__((warn_unused_result)) bool arena_on_free(struct arena *a, void (*fn)(void *), void *arg);

#endif
