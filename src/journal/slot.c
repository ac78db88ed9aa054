/* slot.c - the directory of one instance. */
#include "journal/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RETIRED     "retired"
#define RETIRED_NEW "retired.new"

/* Only ever for what this process has just made: a name that was there may be anybody's link. */
static bool give_to_owner(int fd, const struct stat *dir)
{
    return geteuid() != 0 || dir->st_uid == 0 || fchown(fd, dir->st_uid, dir->st_gid) == 0;
}

int slot_open_file(int dir_fd, const char *name, int flags)
{
    struct stat dir;
    int fd = openat(dir_fd, name, flags | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST) {
        return openat(dir_fd, name, flags | O_CLOEXEC | O_NOFOLLOW);
    }
    if (fd >= 0 && (fstat(dir_fd, &dir) != 0 || !give_to_owner(fd, &dir))) {
        int cause = errno;
        unlinkat(dir_fd, name, 0);
        close(fd);
        errno = cause;
        return -1;
    }
    return fd;
}

/* A slot's directory is its owner's who has the one above. */
static bool make_slot_dir(const struct slot *s)
{
    struct stat base;
    if (mkdir(s->dir, 0700) != 0) {
        return errno == EEXIST;
    }
    int fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool ok = fd >= 0 && stat(s->base, &base) == 0 && give_to_owner(fd, &base);
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

static bool make_dir(const char *path, char *err, size_t errlen)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST) {
        return true;
    }
    snprintf(err, errlen, "journal: cannot make the directory %s (%s)", path, strerror(errno));
    return false;
}

int slot_try(struct slot *s, unsigned number, char *err, size_t errlen)
{
    if (snprintf(s->dir, sizeof s->dir, "%s/%u", s->base, number) >= (int)sizeof s->dir) {
        snprintf(err, errlen, "journal: the path is too long");
        return -1;
    }
    if (!make_slot_dir(s)) {
        snprintf(err, errlen, "journal: cannot make the directory %s (%s)", s->dir, strerror(errno));
        return -1;
    }
    s->dir_fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    s->lock_fd = s->dir_fd < 0 ? -1 : slot_open_file(s->dir_fd, "lock", O_RDWR);
    if (s->lock_fd < 0) {
        snprintf(err, errlen, "journal: cannot open %s/lock (%s)", s->dir, strerror(errno));
        return -1;
    }
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(s->lock_fd, F_OFD_SETLK, &whole) == 0) {
        s->number = number;
        return 1;
    }
    if (errno == EAGAIN || errno == EACCES) {
        return 0;
    }
    snprintf(err, errlen, "journal: cannot lock %s/lock (%s); a network file system will not do", s->dir,
             strerror(errno));
    return -1;
}

bool slot_take(struct slot *s, const char *base, char *err, size_t errlen)
{
    *s = (struct slot){.dir_fd = -1, .lock_fd = -1};
    if (snprintf(s->base, sizeof s->base, "%s", base) >= (int)sizeof s->base) {
        snprintf(err, errlen, "journal: the path is too long");
        return false;
    }
    if (!make_dir(s->base, err, errlen)) {
        return false;
    }
    for (unsigned n = 0; n < SLOTS_MAX; n++) {
        int got = slot_try(s, n, err, errlen);
        if (got == 1 && fchmod(s->dir_fd, 0700) == 0) { /* also one that somebody else made or opened up */
            return true;
        }
        if (got == 1) {
            snprintf(err, errlen, "journal: %s cannot be made its owner's alone (%s)", s->dir,
                     strerror(errno));
            got = -1;
        }
        slot_drop(s);
        if (got < 0) {
            return false;
        }
    }
    snprintf(err, errlen, "journal: all %d slots of %s are in use", SLOTS_MAX, base);
    return false;
}

bool slot_used(const char *base, unsigned number)
{
    char path[PATH_MAX + 32];
    return snprintf(path, sizeof path, "%s/%u/journal.db", base, number) < (int)sizeof path &&
           access(path, F_OK) == 0;
}

bool slot_adopt(struct slot *s, const char *base, unsigned number, char *err, size_t errlen)
{
    *s = (struct slot){.dir_fd = -1, .lock_fd = -1};
    if (snprintf(s->base, sizeof s->base, "%s", base) >= (int)sizeof s->base) {
        snprintf(err, errlen, "journal: the path is too long");
        return false;
    }
    if (number >= SLOTS_MAX || !slot_used(base, number)) {
        snprintf(err, errlen, "journal: there is none in slot %u of %s", number, base);
        return false;
    }
    int got = slot_try(s, number, err, errlen);
    if (got == 0) {
        snprintf(err, errlen, "journal: slot %u of %s is in use by a running process", number, base);
    }
    if (got != 1) {
        slot_drop(s);
    }
    return got == 1;
}

/* ---- the mark of an emptied slot ---- */

bool slot_retired(const char *base, unsigned number)
{
    char path[PATH_MAX + 32];
    return snprintf(path, sizeof path, "%s/%u/" RETIRED, base, number) < (int)sizeof path &&
           access(path, F_OK) == 0;
}

bool slot_mark_retired(const struct slot *s, const char *text)
{
    size_t len = strlen(text);
    int fd = slot_open_file(s->dir_fd, RETIRED_NEW, O_WRONLY | O_TRUNC);
    bool ok = fd >= 0 && write(fd, text, len) == (ssize_t)len && fsync(fd) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return ok && renameat(s->dir_fd, RETIRED_NEW, s->dir_fd, RETIRED) == 0 && fsync(s->dir_fd) == 0;
}

bool slot_unmark_retired(const struct slot *s, char *err, size_t errlen)
{
    if ((unlinkat(s->dir_fd, RETIRED, 0) == 0 && fsync(s->dir_fd) == 0) || errno == ENOENT) {
        return true;
    }
    snprintf(err, errlen, "journal: cannot take %s/" RETIRED " away (%s)", s->dir, strerror(errno));
    return false;
}

void slot_drop(struct slot *s)
{
    if (s->lock_fd >= 0) {
        close(s->lock_fd);
    }
    if (s->dir_fd >= 0) {
        close(s->dir_fd);
    }
    s->lock_fd = s->dir_fd = -1;
}

unsigned slot_orphans(const struct slot *s)
{
    unsigned orphans = 0;
    char path[PATH_MAX + 32];
    for (unsigned n = 0; n < SLOTS_MAX; n++) {
        snprintf(path, sizeof path, "%s/%u/journal.db", s->base, n);
        if (n == s->number || access(path, F_OK) != 0 || slot_retired(s->base, n)) {
            continue;
        }
        snprintf(path, sizeof path, "%s/%u/lock", s->base, n);
        int fd = open(path, O_RDWR | O_CLOEXEC);
        struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        if (fd < 0 || (fcntl(fd, F_OFD_GETLK, &whole) == 0 && whole.l_type == F_UNLCK)) {
            orphans++;
        }
        if (fd >= 0) {
            close(fd);
        }
    }
    return orphans;
}
