/* main.c - load generator of the benches: ready-made requests over keep-alive connections, closed loop or at a rate.
 *
 *   pcs-load --port N --requests FILE [--connections N] [--seconds S] [--total N] [--rate R] [--hold]
 *
 * The requests of FILE are sent in turn, from its start again when they are used up. Closed loop: each connection sends
 * its next request when the last was answered. With --rate: requests are due at even distances, whoever answers how
 * slowly; latency counts from when a request was due, so that waiting for a free connection is part of it. With --hold:
 * every connection sends one request (with --rate at even distances) and stays open until the standard input ends; "sent" and "answered" are printed
 * when all are. The last line of output is the result as JSON. Ends after --seconds or --total answers, whichever is
 * first; what is under way is waited for, 5 s at the most. */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 256
#define DRAIN_NS   5000000000ULL

static struct {
    uint32_t address;
    uint16_t port;
    size_t connections, total;
    double seconds, rate;
    bool hold;
} options = {.connections = 64, .total = SIZE_MAX, .seconds = 1e9};

static struct request_file requests;
static struct connection *connections, **idle;
static size_t idle_count, sent, answers, broken, body_bytes, next_request;
static size_t statuses[1000];
static struct histogram latency;
static int epoll_fd;
static uint64_t start_ns, end_ns;

void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("pcs-load: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

/* ---- a connection's turn ---- */

static void to_idle(struct connection *c)
{
    c->busy = false;
    idle[idle_count++] = c;
}

static void reopen(struct connection *c)
{
    connection_close(c);
    connection_open(c, options.address, options.port, epoll_fd);
}

static void start_request(struct connection *c, uint64_t due_ns)
{
    c->request = next_request;
    next_request = next_request + 1 == requests.count ? 0 : next_request + 1;
    c->written = 0;
    c->since_ns = due_ns;
    c->busy = true;
    sent++;
    if (!connection_write(c, &requests)) {
        broken++;
        reopen(c);
        to_idle(c);
    }
}

static bool more_to_send(uint64_t now)
{
    return sent < options.total && now < end_ns;
}

/* May this connection send its next request at once? */
static bool goes_on(uint64_t now)
{
    return options.rate == 0 && !options.hold && more_to_send(now);
}

static void on_answer(struct connection *c, size_t bytes)
{
    uint64_t now = now_ns();
    histogram_add(&latency, (now - c->since_ns) / 1000);
    statuses[c->status > 0 && c->status < 1000 ? c->status : 0]++;
    answers++;
    body_bytes += bytes;
    if (goes_on(now)) {
        start_request(c, now);
    } else {
        to_idle(c);
    }
}

static void on_broken(struct connection *c)
{
    bool was_busy = c->busy;
    broken += was_busy;
    reopen(c);
    if (was_busy) {
        uint64_t now = now_ns();
        if (goes_on(now)) {
            start_request(c, now);
        } else {
            to_idle(c);
        }
    }
}

static void on_event(struct connection *c, uint32_t events)
{
    size_t bytes = 0;
    if ((events & EPOLLOUT) && c->busy && c->written < requests.lengths[c->request] &&
        !connection_write(c, &requests)) {
        on_broken(c);
        return;
    }
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
        switch (connection_read(c, &bytes)) {
        case PROGRESS_ANSWERED:
            on_answer(c, bytes);
            break;
        case PROGRESS_BROKEN:
            on_broken(c);
            break;
        case PROGRESS_WAIT:
            break;
        }
    }
}

static void run_events(int64_t wait_ns)
{
    struct epoll_event events[EVENTS_MAX];
    struct timespec wait = {.tv_sec = wait_ns / 1000000000, .tv_nsec = wait_ns % 1000000000};
    int n = epoll_pwait2(epoll_fd, events, EVENTS_MAX, wait_ns < 0 ? NULL : &wait, NULL);
    for (int i = 0; i < n; i++) {
        on_event(events[i].data.ptr, events[i].events);
    }
}

static bool all_idle(void)
{
    return idle_count == options.connections;
}

/* ---- the three ways of loading ---- */

static void drain(void)
{
    uint64_t until = now_ns() + DRAIN_NS;
    while (!all_idle() && now_ns() < until) {
        run_events(20000000);
    }
}

static void run_closed(void)
{
    while (idle_count && more_to_send(now_ns())) {
        start_request(idle[--idle_count], now_ns());
    }
    while (!all_idle()) {
        uint64_t now = now_ns();
        if (now >= end_ns) {
            break;
        }
        run_events((int64_t)(end_ns - now) < 100000000 ? (int64_t)(end_ns - now) : 100000000);
    }
    drain();
}

static void run_rate(void)
{
    double step = 1e9 / options.rate;
    for (uint64_t n = 0;;) {
        uint64_t now = now_ns(), due = start_ns + (uint64_t)((double)n * step);
        if (due >= end_ns || n >= options.total) {
            break;
        }
        while (idle_count && due <= now && due < end_ns && n < options.total) {
            start_request(idle[--idle_count], due);
            due = start_ns + (uint64_t)((double)++n * step);
        }
        /* all busy and the end long past: what was due can no longer be sent */
        if (!idle_count && now > end_ns) {
            broken += (size_t)((double)(end_ns - due) / step);
            break;
        }
        run_events(due > now ? (int64_t)(due - now) : idle_count ? 0 : 1000000);
    }
    drain();
}

static void say(const char *what)
{
    puts(what);
    fflush(stdout);
}

static void run_hold(void)
{
    bool told_sent = false, told_answered = false;
    struct pollfd in[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = epoll_fd, .events = POLLIN}};
    for (size_t n = 0; idle_count && !told_sent;) {
        uint64_t now = now_ns();
        uint64_t due = options.rate > 0 ? start_ns + (uint64_t)((double)n * 1e9 / options.rate) : now;
        if (due <= now) {
            start_request(idle[--idle_count], now);
            n++;
        }
        run_events(due > now ? (int64_t)(due - now) : 0);
        told_sent = sent == options.connections;
    }
    say("sent");
    for (;;) {
        if (!told_answered && answers + broken >= options.connections) {
            told_answered = true;
            say("answered");
        }
        poll(in, 2, -1);
        if (in[0].revents) {
            return;
        }
        run_events(0);
    }
}

/* ---- start and end ---- */

static void print_result(double seconds)
{
    struct rusage own;
    getrusage(RUSAGE_SELF, &own);
    double cpu = (double)own.ru_utime.tv_sec + (double)own.ru_stime.tv_sec +
                 (double)(own.ru_utime.tv_usec + own.ru_stime.tv_usec) / 1e6;
    printf("{\"seconds\":%.4f,\"sent\":%zu,\"answers\":%zu,\"broken\":%zu,\"unanswered\":%zu,\"rate\":%.1f,"
           "\"bytes\":%.1f,\"own_cpu\":%.3f,\"us\":{\"mean\":%.1f,\"p50\":%lu,\"p90\":%lu,\"p99\":%lu,"
           "\"p999\":%lu,"
           "\"max\":%lu},\"statuses\":{",
           seconds, sent, answers, broken, options.connections - idle_count, (double)answers / seconds,
           answers ? (double)body_bytes / (double)answers : 0, cpu,
           latency.count ? (double)latency.sum_us / (double)latency.count : 0, histogram_at(&latency, 0.50),
           histogram_at(&latency, 0.90), histogram_at(&latency, 0.99), histogram_at(&latency, 0.999),
           latency.max_us);
    const char *comma = "";
    for (int i = 0; i < 1000; i++) {
        if (statuses[i]) {
            printf("%s\"%d\":%zu", comma, i, statuses[i]);
            comma = ",";
        }
    }
    puts("}}");
    fflush(stdout);
}

static void parse(int argc, char **argv)
{
    static const struct option longs[] = {
        {"host", required_argument, NULL, 'h'},
        {"port", required_argument, NULL, 'p'},
        {"requests", required_argument, NULL, 'f'},
        {"connections", required_argument, NULL, 'c'},
        {"seconds", required_argument, NULL, 's'},
        {"total", required_argument, NULL, 't'},
        {"rate", required_argument, NULL, 'r'},
        {"hold", no_argument, NULL, 'k'},
        {NULL, 0, NULL, 0},
    };
    const char *file = NULL, *host = "127.0.0.1";
    int c;
    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (c) {
        case 'h':
            host = optarg;
            break;
        case 'p':
            options.port = (uint16_t)strtoul(optarg, NULL, 10);
            break;
        case 'f':
            file = optarg;
            break;
        case 'c':
            options.connections = strtoul(optarg, NULL, 10);
            break;
        case 's':
            options.seconds = strtod(optarg, NULL);
            break;
        case 't':
            options.total = strtoul(optarg, NULL, 10);
            break;
        case 'r':
            options.rate = strtod(optarg, NULL);
            break;
        case 'k':
            options.hold = true;
            break;
        default:
            exit(2);
        }
    }
    if (!file || !options.port || !options.connections || inet_pton(AF_INET, host, &options.address) != 1) {
        die("--port, --requests FILE and a numeric --host are needed");
    }
    requests_load(&requests, file);
}

int main(int argc, char **argv)
{
    struct rlimit files;
    parse(argc, argv);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    connections = calloc(options.connections, sizeof *connections);
    idle = calloc(options.connections, sizeof(struct connection *));
    if (epoll_fd < 0 || !connections || !idle) {
        die("no memory");
    }
    for (size_t i = 0; i < options.connections; i++) {
        connection_open(&connections[i], options.address, options.port, epoll_fd);
        to_idle(&connections[i]);
    }
    start_ns = now_ns();
    end_ns = start_ns + (uint64_t)(options.seconds * 1e9);
    if (options.hold) {
        run_hold();
    } else if (options.rate > 0) {
        run_rate();
    } else {
        run_closed();
    }
    print_result((double)(now_ns() - start_ns) / 1e9);
    for (size_t i = 0; i < options.connections; i++) {
        connection_close(&connections[i]);
    }
    return 0;
}
