/* failfsync.c - LD_PRELOAD: fsync and fdatasync fail with EIO while the file named by FAILFSYNC exists. Data may or
 * may not reach the disk, as with a real disk that reports an error. */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int broken(void)
{
    const char *file = getenv("FAILFSYNC");
    return file && access(file, F_OK) == 0;
}

static int call(const char *name, int fd)
{
    int (*real)(int);
    *(void **)&real = dlsym(RTLD_NEXT, name);
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
