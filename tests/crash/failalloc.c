/* failalloc.c - linked into a second program beside the service, with the linker's --wrap: each allocation that our own
 * objects ask for (not those of the libraries) is counted, and the one that a test has chosen fails.
 *
 * FAILALLOC names a file that the test maps too (struct control): to arm is to write a number into memory, which costs
 * the service nothing and counts from that very moment, over all threads. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SITES 4096 /* places of the program that allocate: a power of two, many more than there are */

struct control {
    _Atomic int64_t countdown; /* n: the n-th from now fails; -run and below: none */
    _Atomic uint64_t passed;   /* allocations since it was set to 0 */
    _Atomic uint64_t only;     /* a place: count and fail there alone; 0: everywhere */
    _Atomic int64_t run;       /* so many after it fail too */
    _Atomic uint64_t failed;
    _Atomic uint64_t where;        /* the place that failed last, relative to the program's start */
    _Atomic uint64_t sites[SITES]; /* every place that was passed, by hash */
};

static struct control *control;

extern const char __executable_start[];

__attribute__((constructor)) static void failalloc_open(void)
{
    const char *path = getenv("FAILALLOC");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) {
        return;
    }
    void *at = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at != MAP_FAILED) {
        control = at;
    }
}

static void note_site(uint64_t where)
{
    for (uint64_t i = where * UINT64_C(0x9e3779b97f4a7c15) >> 52, n = 0; n < SITES;
         n++, i = (i + 1) % SITES) {
        uint64_t none = 0;
        if (atomic_load(&control->sites[i]) == where ||
            atomic_compare_exchange_strong(&control->sites[i], &none, where) || none == where) {
            return;
        }
    }
}

static bool refused(const void *caller)
{
    if (!control) {
        return false;
    }
    uint64_t where = (uint64_t)((uintptr_t)caller - (uintptr_t)__executable_start);
    atomic_fetch_add(&control->passed, 1);
    note_site(where);
    uint64_t only = atomic_load(&control->only);
    if (only && only != where) {
        return false;
    }
    int64_t run = atomic_load(&control->run);
    if (atomic_load(&control->countdown) <= -run) {
        return false;
    }
    int64_t left = atomic_fetch_sub(&control->countdown, 1);
    if (left > 1 || left <= -run) {
        return false;
    }
    atomic_store(&control->where, where);
    atomic_fetch_add(&control->failed, 1);
    errno = ENOMEM;
    return true;
}

#define REFUSED refused(__builtin_return_address(0))

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
char *__real_strdup(const char *text);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
int __wrap_asprintf(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));
int __wrap___asprintf_chk(char **out, int flag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void *__wrap_malloc(size_t size)
{
    return REFUSED ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return REFUSED ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return REFUSED ? NULL : __real_realloc(p, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return REFUSED ? NULL : __real_aligned_alloc(alignment, size);
}

char *__wrap_strdup(const char *text)
{
    return REFUSED ? NULL : __real_strdup(text);
}

__attribute__((format(printf, 2, 0))) static int print(char **out, const char *format, va_list args)
{
    return vasprintf(out, format, args);
}

int __wrap_asprintf(char **out, const char *format, ...)
{
    va_list args;
    if (REFUSED) {
        return -1;
    }
    va_start(args, format);
    int n = print(out, format, args);
    va_end(args);
    return n;
}

int __wrap___asprintf_chk(char **out, int flag, const char *format, ...)
{
    va_list args;
    (void)flag;
    if (REFUSED) {
        return -1;
    }
    va_start(args, format);
    int n = print(out, format, args);
    va_end(args);
    return n;
}
