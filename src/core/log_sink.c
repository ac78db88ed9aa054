/* log_sink.c - lines on their way out of the process.
 *
 * Whoever reads our log may stop reading: a full pipe would then stop the reactor that writes to it, and with it the
 * customers. So nothing here waits for a reader. What does not fit into the pipe is kept (LOG_KEPT_MAX bytes, in order,
 * whole lines), tried again at every flush of any thread, a reactor's tick at the latest; what does not fit into that
 * either is counted and dropped. A mutex makes lines of several threads follow each other whole.
 *
 * O_NONBLOCK is a property of the open file description, which stderr shares with whoever started us: it is not ours to
 * set. A pipe or terminal is therefore opened a second time, through /proc; where that is refused (a pipe of another
 * user's), poll() says whether a write of PIPE_BUF bytes would wait. Sockets take MSG_DONTWAIT. A regular file is
 * written as it is: its disk may be slow, nobody has to read it. */
#include "core/log_sink.h"

#include "pcs/core/clock.h"
#include "pcs/core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_KEPT_MAX  (1U << 20)
#define EXIT_WAIT_MS  1000
#define DRAIN_STEP_MS 20

enum way { WAY_UNKNOWN, WAY_PLAIN, WAY_SOCKET, WAY_POLLED };

static struct {
    pthread_mutex_t lock;
    enum way way;
    int fd;
    bool own;            /* fd is our second opening of it */
    size_t first, count; /* of kept: a ring */
    uint64_t told;       /* of dropped */
    bool at_exit;
    char kept[LOG_KEPT_MAX]; /* untouched, and so without cost, while the reader keeps up */
} sink = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = STDERR_FILENO};

static _Atomic bool behind;
static _Atomic uint64_t dropped;

static void choose_way(void)
{
    struct stat st;
    char path[32];
    sink.way = WAY_PLAIN;
    if (fstat(sink.fd, &st) != 0) {
        return;
    }
    if (S_ISSOCK(st.st_mode)) {
        sink.way = WAY_SOCKET;
    } else if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", sink.fd);
        int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
        if (fd >= 0) {
            sink.fd = fd;
            sink.own = true;
        } else if (S_ISFIFO(st.st_mode)) {
            sink.way = WAY_POLLED;
        }
    }
}

/* One attempt that does not wait; -1 with EAGAIN when it would. */
static ssize_t attempt(const char *p, size_t len)
{
    struct pollfd ready = {.fd = sink.fd, .events = POLLOUT};
    switch (sink.way) {
    case WAY_SOCKET:
        return send(sink.fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    case WAY_POLLED:
        if (poll(&ready, 1, 0) == 0) {
            errno = EAGAIN;
            return -1;
        }
        return write(sink.fd, p, len < PIPE_BUF ? len : PIPE_BUF);
    default:
        return write(sink.fd, p, len);
    }
}

/* Bytes that went out. *gone: nobody will ever take the rest. */
static size_t send_out(const char *p, size_t len, bool *gone)
{
    size_t done = 0;
    *gone = false;
    while (done < len) {
        ssize_t n = attempt(p + done, len - done);
        if (n >= 0) {
            done += (size_t)n;
        } else if (errno != EINTR) {
            *gone = errno != EAGAIN && errno != EWOULDBLOCK;
            break;
        }
    }
    return done;
}

static uint64_t count_lines(const char *p, size_t len)
{
    uint64_t lines = 0;
    for (const char *end = p + len; p < end && (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++) {
        lines++;
    }
    return lines;
}

static void forget_kept(void)
{
    size_t at_once = LOG_KEPT_MAX - sink.first < sink.count ? LOG_KEPT_MAX - sink.first : sink.count;
    dropped += count_lines(sink.kept + sink.first, at_once) + count_lines(sink.kept, sink.count - at_once);
    sink.first = sink.count = 0;
}

/* True: nothing is kept any more. */
static bool send_kept(void)
{
    bool gone = false;
    while (sink.count && !gone) {
        size_t len = LOG_KEPT_MAX - sink.first < sink.count ? LOG_KEPT_MAX - sink.first : sink.count;
        size_t done = send_out(sink.kept + sink.first, len, &gone);
        sink.first = (sink.first + done) % LOG_KEPT_MAX;
        sink.count -= done;
        if (gone) {
            forget_kept();
        } else if (done < len) {
            break;
        }
    }
    if (!sink.count) {
        sink.first = 0;
        behind = false;
    }
    return !sink.count;
}

static void on_exit_of_process(void)
{
    log_drain(EXIT_WAIT_MS);
}

/* As many whole lines as there is room for; the first may be the rest of one that has begun to go out. */
static void keep(const char *p, size_t len)
{
    size_t room = LOG_KEPT_MAX - sink.count, fits = len;
    if (len > room) {
        const char *last = room ? memrchr(p, '\n', room) : NULL;
        fits = last ? (size_t)(last - p) + 1 : 0;
        dropped += count_lines(p + fits, len - fits);
    }
    size_t at = (sink.first + sink.count) % LOG_KEPT_MAX;
    size_t at_once = LOG_KEPT_MAX - at < fits ? LOG_KEPT_MAX - at : fits;
    memcpy(sink.kept + at, p, at_once);
    memcpy(sink.kept, p + at_once, fits - at_once);
    sink.count += fits;
    behind = sink.count > 0;
    if (!sink.at_exit) {
        sink.at_exit = atexit(on_exit_of_process) == 0;
    }
}

uint64_t log_sink_put(const char *lines, size_t len)
{
    uint64_t tell = 0;
    pthread_mutex_lock(&sink.lock);
    if (sink.way == WAY_UNKNOWN) {
        choose_way();
    }
    if (!send_kept()) {
        if (len) {
            keep(lines, len);
        }
    } else {
        bool gone;
        size_t done = send_out(lines, len, &gone);
        if (gone) {
            dropped += count_lines(lines + done, len - done);
        } else if (done < len) {
            keep(lines + done, len - done);
        } else if (len || dropped != sink.told) { /* the reader is there */
            tell = dropped - sink.told;
            sink.told = dropped;
        }
    }
    pthread_mutex_unlock(&sink.lock);
    return tell;
}

bool log_sink_behind(void)
{
    return atomic_load_explicit(&behind, memory_order_relaxed);
}

void log_sink_set_fd(int fd)
{
    pthread_mutex_lock(&sink.lock);
    if (sink.own) {
        close(sink.fd);
    }
    forget_kept();
    behind = false;
    sink.own = false;
    sink.fd = fd < 0 ? STDERR_FILENO : fd;
    sink.way = WAY_UNKNOWN;
    pthread_mutex_unlock(&sink.lock);
}

uint64_t log_sink_drain(unsigned wait_ms)
{
    uint64_t until_ns = clock_mono_ns() + wait_ms * NS_PER_MS;
    while (log_sink_behind()) {
        uint64_t tell = log_sink_put(NULL, 0);
        if (!log_sink_behind() || clock_mono_ns() >= until_ns) {
            return tell;
        }
        pthread_mutex_lock(&sink.lock);
        struct pollfd ready = {.fd = sink.fd, .events = POLLOUT};
        pthread_mutex_unlock(&sink.lock);
        poll(&ready, 1, DRAIN_STEP_MS);
    }
    return 0;
}

uint64_t log_sink_dropped(void)
{
    return dropped;
}
