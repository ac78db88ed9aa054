/* listen.c - the Unix socket. */
#include "admin/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 16

bool admin_socket_path(const char *configured, const char *journal_path, unsigned slot, char *out,
                       size_t size)
{
    int len = configured && *configured ? snprintf(out, size, "%s", configured)
                                        : snprintf(out, size, "%s/%u/" ADMIN_SOCKET_NAME, journal_path, slot);
    return len > 0 && (size_t)len < size;
}

/* sockaddr_un takes 107 bytes and paths may be longer: the directory is named by its descriptor. */
static bool address_of(const char *path, struct sockaddr_un *address, int *dir_fd)
{
    char copy[4096];
    const char *slash = strrchr(path, '/');
    snprintf(copy, sizeof copy, "%s", path);
    *dir_fd = open(slash ? dirname(copy) : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    int len = snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s", *dir_fd,
                       slash ? slash + 1 : path);
    return *dir_fd >= 0 && len < (int)sizeof address->sun_path;
}

/* Removes what a process that ended without order has left. False: in use, or no socket. */
static bool make_way(const char *path, const struct sockaddr_un *address, char *err, size_t errlen)
{
    struct stat st;
    if (lstat(path, &st) != 0) {
        return true;
    }
    if (!S_ISSOCK(st.st_mode)) {
        snprintf(err, errlen, "admin.socket: %s is there and is no socket", path);
        return false;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool used =
        fd >= 0 && (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 || errno == EAGAIN);
    if (fd >= 0) {
        close(fd);
    }
    if (used) {
        snprintf(err, errlen, "admin.socket: %s is in use by another process", path);
    } else {
        unlink(path);
    }
    return !used;
}

int listen_local(const char *path, char *err, size_t errlen)
{
    struct sockaddr_un address;
    int dir_fd = -1, fd = -1;
    if (!address_of(path, &address, &dir_fd)) {
        snprintf(err, errlen,
                 "admin.socket: the directory of %s cannot be opened (%s), or its name is too long", path,
                 strerror(errno));
    } else if (make_way(path, &address, err, errlen)) {
        mode_t mask = umask(0177); /* nobody else may connect, not even for a moment */
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
                  chmod(path, 0600) == 0 && listen(fd, BACKLOG) == 0;
        umask(mask);
        if (!ok) {
            snprintf(err, errlen, "admin.socket: cannot listen on %s (%s)", path, strerror(errno));
            if (fd >= 0) {
                close(fd);
            }
            fd = -1;
        }
    }
    if (dir_fd >= 0) {
        close(dir_fd);
    }
    return fd;
}
