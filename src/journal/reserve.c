/* reserve.c - a preallocated file that is given up when the disk is full. */
#include "journal/reserve.h"

#include "journal/slot.h"

#include "pcs/core/log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define RESERVE_FILE "reserve"

/* What must be free beside the reserve for intents: a quarter of it; and to be made again: as much once more,
 * so that it is not made and given up in turns. */
static int64_t margin(const struct reserve *r)
{
    return r->bytes / 4;
}

static int64_t disk_free(const struct reserve *r)
{
    struct statvfs fs;
    if (fstatvfs(r->dir_fd, &fs) != 0) {
        return 0;
    }
    return (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
}

static bool reserve_hold(struct reserve *r)
{
    int fd = slot_open_file(r->dir_fd, RESERVE_FILE, O_RDWR);
    if (fd < 0) {
        return false;
    }
    struct stat st;
    bool ok = fstat(fd, &st) == 0;
    if (ok && st.st_size > r->bytes) {
        ok = ftruncate(fd, r->bytes) == 0; /* the setting was lowered */
    }
    ok = ok && posix_fallocate(fd, 0, r->bytes) == 0;
    close(fd);
    if (!ok) {
        unlinkat(r->dir_fd, RESERVE_FILE, 0);
    }
    r->held = ok;
    return ok;
}

void reserve_init(struct reserve *r, int dir_fd, int64_t bytes)
{
    *r = (struct reserve){.dir_fd = dir_fd, .bytes = bytes};
    if (!reserve_hold(r)) {
        log_warn("journal.reserve_missing", log_int("bytes", bytes));
    }
}

bool reserve_review(struct reserve *r)
{
    int64_t room = disk_free(r);
    if (r->held) {
        if (room < margin(r) / 2) {
            reserve_release(r);
        }
        return r->held && room >= margin(r);
    }
    if (room < r->bytes + 2 * margin(r) || !reserve_hold(r)) {
        return false;
    }
    log_info("journal.reserve_held", log_int("bytes", r->bytes));
    return true;
}

void reserve_release(struct reserve *r)
{
    if (r->held) {
        r->held = false;
        unlinkat(r->dir_fd, RESERVE_FILE, 0);
        log_warn("journal.reserve_released", log_int("bytes", r->bytes));
    }
}
