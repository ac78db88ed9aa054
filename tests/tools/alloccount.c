/* alloccount.c - a shim for LD_PRELOAD that counts allocations of the whole process.
 *
 * The counter is the first 8 bytes of the file ALLOC_COUNT_FILE (shared memory), so that a test reads it before and
 * after something. realloc() counts when it has to give memory, not when it frees. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic uint64_t unmapped;
static _Atomic uint64_t *counter = &unmapped;

__attribute__((constructor)) static void open_counter(void)
{
    const char *path = getenv("ALLOC_COUNT_FILE");
    int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd < 0 || ftruncate(fd, sizeof *counter) != 0) {
        return;
    }
    void *shared = mmap(NULL, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (shared != MAP_FAILED) {
        counter = shared;
    }
}

/* The process's own function of that name, of whichever library it is. */
static void find(void *function, const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    memcpy(function, &found, sizeof found);
}

static void count(void)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

void *malloc(size_t size)
{
    static void *(*next)(size_t);
    if (!next) {
        find(&next, "malloc");
    }
    count();
    return next(size);
}

void *calloc(size_t n, size_t size)
{
    static void *(*next)(size_t, size_t);
    if (!next) {
        find(&next, "calloc");
    }
    count();
    return next(n, size);
}

void *realloc(void *old, size_t size)
{
    static void *(*next)(void *, size_t);
    if (!next) {
        find(&next, "realloc");
    }
    if (size) {
        count();
    }
    return next(old, size);
}
