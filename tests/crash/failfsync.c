/* failfsync.c - LD_PRELOAD: fsync and fdatasync fail with EIO while the file named by FAILFSYNC exists; if it holds a
 * word, they do not come back until it is gone; if a number, so many come back before that. Data may or may not reach the disk, as with a real disk that reports an
 * error, or hangs. */
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int broken(void)
{
    const char *file = getenv("FAILFSYNC");
    return file && access(file, F_OK) == 0;
}

static atomic_long passed; /* since the file is there */

/* What the file holds: 0: there is none, or it is empty; -1: a word; else the number. */
static long held(void)
{
    char text[16] = "";
    const char *name = getenv("FAILFSYNC");
    FILE *f = name ? fopen(name, "re") : NULL;
    if (!f) {
        return 0;
    }
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    long number = strtol(text, NULL, 10);
    return n == 0 ? 0 : number > 0 ? number : -1;
}

/* Comes back at once, once? */
static int hanging(void)
{
    long number = held();
    if (number == 0) {
        atomic_store(&passed, 0);
        return 0;
    }
    return number < 0 || atomic_load(&passed) >= number;
}

static int call(const char *name, int fd)
{
    int (*real)(int);
    *(void **)&real = dlsym(RTLD_NEXT, name);
    while (hanging()) {
        usleep(2000);
    }
    if (held() > 0) {
        atomic_fetch_add(&passed, 1);
    } else if (broken()) {
        errno = EIO;
        return -1;
    }
    return real(fd);
}

int fsync(int fd)
{
    return call("fsync", fd);
}

int fdatasync(int fd)
{
    return call("fdatasync", fd);
}
