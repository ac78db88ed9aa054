/* failfsync.c - LD_PRELOAD: fsync and fdatasync fail with EIO while the file named by FAILFSYNC exists; if it holds a
 * word, they do not come back until it is gone. Data may or may not reach the disk, as with a real disk that reports an
 * error, or hangs. */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int broken(void)
{
    const char *file = getenv("FAILFSYNC");
    return file && access(file, F_OK) == 0;
}

static int hanging(void)
{
    struct stat st;
    const char *file = getenv("FAILFSYNC");
    return file && stat(file, &st) == 0 && st.st_size > 0;
}

static int call(const char *name, int fd)
{
    int (*real)(int);
    *(void **)&real = dlsym(RTLD_NEXT, name);
    while (hanging()) {
        usleep(2000);
    }
    if (broken()) {
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
