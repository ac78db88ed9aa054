/* load.h - what the files of the load generator share. One thread, one epoll set, as cheap as it can be: it runs on the
 * cores of what it measures. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- histogram.c: microseconds in log-linear buckets, 1/1024 exact ---- */

#define HISTOGRAM_BUCKETS 32768 /* up to 36 minutes */

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t count, sum_us, max_us;
};

void histogram_add(struct histogram *h, uint64_t us);
/* The value that this share (0..1) of all values does not exceed. */
uint64_t histogram_at(const struct histogram *h, double share);

/* ---- requests.c: ready-made requests, one after the other ---- */

struct request_file {
    const char **texts;
    size_t *lengths;
    size_t count;
};

/* FILE holds records "<bytes>\n<the request's bytes>". Ends the program when it cannot be read. */
void requests_load(struct request_file *f, const char *path);

/* ---- main.c ---- */

__attribute__((format(printf, 1, 2), noreturn)) void die(const char *format, ...);
uint64_t now_ns(void);

/* ---- connection.c ---- */

#define ANSWER_MAX 262144

struct connection {
    int fd; /* -1: not open */
    bool busy;
    bool fresh;        /* no answer on it yet */
    size_t request;    /* under way */
    size_t written;    /* bytes of it that are out */
    uint64_t since_ns; /* what its latency counts from */
    size_t filled;     /* bytes of the answer in the buffer */
    size_t expected;   /* whole length; 0: head not complete */
    size_t done;       /* of a long answer: bytes already thrown away */
    int status;
    char buffer[4096];
};

enum progress { PROGRESS_WAIT, PROGRESS_ANSWERED, PROGRESS_BROKEN };

/* Opens it without waiting and puts it into the epoll set. */
void connection_open(struct connection *c, uint32_t address, uint16_t port, int epoll_fd);
void connection_close(struct connection *c);
/* Writes what is left of the request. False: broken. */
bool connection_write(struct connection *c, const struct request_file *f);
/* Reads; afterwards c->status and, with PROGRESS_ANSWERED, *bytes. */
enum progress connection_read(struct connection *c, size_t *bytes);

#endif
