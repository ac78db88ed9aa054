/* The loop of the simulators and the life of a request.
 *
 *   READING → HANDLED ─┬─ sim_send ──→ REPLIED → (completed) freed
 *                 ↑ │  └─ sim_abort ─→ ABORTED → (completed) freed
 *                 │ └ sim_hold: suspended; the socket is watched, a client that leaves is let go at once
 *
 * An exchange (sim_fault.c) may outlive the connection: a delayed order is applied although its client
 * has gone. Such a request is freed when both are done with it. */
#include "sim_exchange.h"
#include "sim_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define EVENTS        256
#define POOL_BYTES    (16 * 1024)
#define BACKLOG       4096
#define SPARE_FILES   64
#define STOP_PATIENCE 1000 /* ms for the last answers to leave after SIGTERM */

static void req_free(struct sim_req *req)
{
    sim_buf_free(&req->body);
    free(req->path);
    free(req);
}

int sim_req_fd(const struct sim_req *req)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(req->connection, MHD_CONNECTION_INFO_CONNECTION_FD);

    return info ? info->connect_fd : -1;
}

void sim_hold(struct sim_req *req)
{
    struct sim_server *s = req->server;
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.ptr = req};

    if (!req->connection || req->held)
        return;
    req->held = true;
    req->held_next = s->held.held_next;
    req->held_prev = &s->held;
    if (req->held_next)
        req->held_next->held_prev = req;
    s->held.held_next = req;
    MHD_suspend_connection(req->connection);
    epoll_ctl(s->epoll, EPOLL_CTL_ADD, sim_req_fd(req), &event);
}

void sim_resume(struct sim_req *req)
{
    struct sim_server *s = req->server;

    if (!req->held)
        return;
    epoll_ctl(s->epoll, EPOLL_CTL_DEL, sim_req_fd(req), NULL);
    req->held = false;
    req->held_prev->held_next = req->held_next;
    if (req->held_next)
        req->held_next->held_prev = req->held_prev;
    MHD_resume_connection(req->connection);
    s->run_again = true;
}

void sim_req_count(struct sim_req *req, struct sim_stats *stats)
{
    req->stats = stats;
    stats->received++;
    if (++stats->concurrent > stats->max_concurrent)
        stats->max_concurrent = stats->concurrent;
}

static void completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                      enum MHD_RequestTerminationCode code)
{
    struct sim_req *req = *con_cls;

    (void)cls;
    (void)connection;
    *con_cls = NULL;
    if (!req)
        return;
    if (req->stats) {
        req->stats->concurrent--;
        if (req->whole && code == MHD_REQUEST_TERMINATED_COMPLETED_OK)
            req->stats->answered++;
        else
            req->stats->aborted++;
    }
    sim_timer_stop(&req->server->timers, &req->drip);
    req->connection = NULL;
    if (req->exchange)
        sim_exchange_client_gone(req->exchange);
    else
        req_free(req);
}

void sim_req_release(struct sim_req *req)
{
    req->exchange = NULL;
    if (!req->connection)
        req_free(req);
}

static const struct sim_route *find_route(const struct sim_server *s, struct sim_req *req, bool *wrong_method)
{
    const struct sim_route *r;

    *wrong_method = false;
    for (r = s->routes; r->path; r++) {
        size_t n = strlen(r->path);

        if (strncmp(r->path, req->path, n) != 0 || (r->prefix ? !req->path[n] : req->path[n] != '\0'))
            continue;
        if (!r->method || strcmp(r->method, req->method) == 0)
            return r;
        *wrong_method = true;
    }
    return NULL;
}

static void dispatch(struct sim_server *s, struct sim_req *req)
{
    bool wrong_method;

    req->state = SIM_HANDLED;
    req->route = find_route(s, req, &wrong_method);
    if (req->body_too_big)
        sim_reply_error(req, 413, "the body is over %d bytes", SIM_BODY_MAX);
    else if (!req->route && wrong_method)
        sim_reply_error(req, 405, "%s does not take %s", req->path, req->method);
    else if (!req->route)
        sim_reply_error(req, 404, "there is nothing at %s", req->path);
    else
        req->route->handle(s->app, req);
    if (req->state == SIM_HANDLED && !req->held)
        sim_die("the handler of %s neither answered nor waits", req->path);
}

static enum MHD_Result access_handler(void *cls, struct MHD_Connection *connection, const char *url,
                                      const char *method, const char *version, const char *upload_data,
                                      size_t *upload_size, void **con_cls)
{
    struct sim_server *s = cls;
    struct sim_req *req = *con_cls;

    (void)version;
    if (!req) { /* head only; an answer given here would end the connection */
        req = sim_alloc(sizeof *req);
        req->server = s;
        req->connection = connection;
        req->method = method;
        req->path = sim_strdup(url);
        *con_cls = req;
        return MHD_YES;
    }
    if (req->state != SIM_READING) /* resumed without an answer: the client left, or a fault ends it */
        return MHD_NO;
    if (*upload_size) {
        if (req->body.length + *upload_size > SIM_BODY_MAX)
            req->body_too_big = true;
        else
            sim_buf_add(&req->body, upload_data, *upload_size);
        *upload_size = 0;
        return MHD_YES;
    }
    dispatch(s, req);
    return req->state == SIM_ABORTED ? MHD_NO : MHD_YES;
}

const char *sim_req_rest(const struct sim_req *req)
{
    return req->path + strlen(req->route->path);
}

const char *sim_req_header(const struct sim_req *req, const char *name)
{
    return req->connection ? MHD_lookup_connection_value(req->connection, MHD_HEADER_KIND, name) : NULL;
}

const char *sim_req_query(const struct sim_req *req, const char *name)
{
    return req->connection ? MHD_lookup_connection_value(req->connection, MHD_GET_ARGUMENT_KIND, name) : NULL;
}

static enum MHD_Result add_header(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct sim_buf *out = cls;
    char lower[64];
    size_t i;

    (void)kind;
    for (i = 0; name[i] && i < sizeof lower - 1; i++)
        lower[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32 : name[i]);
    lower[i] = '\0';
    if (out->data[out->length - 1] != '{')
        sim_buf_add(out, ",", 1);
    sim_buf_json(out, lower);
    sim_buf_add(out, ":", 1);
    sim_buf_json(out, value ? value : "");
    return MHD_YES;
}

void sim_req_headers_json(const struct sim_req *req, struct sim_buf *out)
{
    sim_buf_add(out, "{", 1);
    if (req->connection)
        MHD_get_connection_values(req->connection, MHD_HEADER_KIND, add_header, out);
    sim_buf_add(out, "}", 1);
}

static void no_log(void *cls, const char *format, va_list args)
{
    (void)cls;
    (void)format;
    (void)args;
}

static void watch(int epoll, int fd, void *tag)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = tag};

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        sim_die("epoll: %s", strerror(errno));
}

static void block_signals(struct sim_server *s)
{
    sigset_t set;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    s->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (s->signals < 0)
        sim_die("signalfd: %s", strerror(errno));
}

static unsigned file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 1000;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
        getrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur > 200000)
        return 200000;
    return limit.rlim_cur > 2 * SPARE_FILES ? (unsigned)limit.rlim_cur - SPARE_FILES : SPARE_FILES;
}

static void announce(const struct sim_options *o, unsigned port)
{
    char name[4096];
    FILE *f;

    if (o->port_file) {
        snprintf(name, sizeof name, "%s.tmp%d", o->port_file, (int)getpid());
        f = fopen(name, "w");
        if (!f || fprintf(f, "%u\n", port) < 0 || fclose(f) != 0 || rename(name, o->port_file) != 0)
            sim_die("cannot write the port to %s: %s", o->port_file, strerror(errno));
    }
    printf("listening %s:%u\n", o->bind, port);
    fflush(stdout);
}

struct sim_server *sim_server_start(const struct sim_options *o, const struct sim_route *routes, void *app)
{
    struct sim_server *s = sim_alloc(sizeof *s);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)o->port)};
    const union MHD_DaemonInfo *info;

    if (inet_pton(AF_INET, o->bind, &address.sin_addr) != 1)
        sim_die("--bind: %s is not an IPv4 address", o->bind);
    s->routes = routes;
    s->app = app;
    block_signals(s);
    s->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_TURBO | MHD_USE_ERROR_LOG, (uint16_t)o->port, NULL,
        NULL, access_handler, s, MHD_OPTION_EXTERNAL_LOGGER, no_log, NULL, MHD_OPTION_SOCK_ADDR, &address,
        MHD_OPTION_NOTIFY_COMPLETED, completed, s, MHD_OPTION_CONNECTION_LIMIT, file_limit(),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES, MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u,
        MHD_OPTION_LISTEN_BACKLOG_SIZE, (unsigned)BACKLOG, MHD_OPTION_END);
    if (!s->daemon)
        sim_die("cannot listen on %s:%u: %s", o->bind, o->port, strerror(errno));
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (s->epoll < 0)
        sim_die("epoll: %s", strerror(errno));
    info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    watch(s->epoll, info->epoll_fd, s);
    watch(s->epoll, s->signals, &s->signals);
    info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT);
    announce(o, info->port);
    return s;
}

struct sim_timers *sim_server_timers(struct sim_server *s)
{
    return &s->timers;
}

static int wait_ms(struct sim_server *s)
{
    MHD_UNSIGNED_LONG_LONG ms;
    int wait = sim_timers_wait(&s->timers, sim_mono_ms());

    if (s->run_again)
        return 0;
    if (MHD_get_timeout(s->daemon, &ms) == MHD_YES && (wait < 0 || ms < (unsigned)wait))
        wait = ms > 60000 ? 60000 : (int)ms;
    return wait;
}

/* One turn: sockets of held requests first (nothing is freed there), then timers, then libmicrohttpd,
 * which is the only one that frees requests with a connection. */
static void turn(struct sim_server *s, int wait)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(s->epoll, events, EVENTS, wait);
    int i;

    for (i = 0; i < n; i++) {
        struct sim_req *req = events[i].data.ptr;

        if (events[i].data.ptr == &s->signals) {
            struct signalfd_siginfo info;

            while (read(s->signals, &info, sizeof info) == (ssize_t)sizeof info)
                s->stopping = true;
        } else if (events[i].data.ptr != s) {
            req->gone = true;
            sim_resume(req);
        }
    }
    sim_timers_run(&s->timers, sim_mono_ms());
    s->run_again = false;
    MHD_run(s->daemon);
}

void sim_server_run(struct sim_server *s)
{
    while (!s->stopping)
        turn(s, wait_ms(s));
}

void sim_server_stop(struct sim_server *s)
{
    int64_t until = sim_mono_ms() + STOP_PATIENCE;
    int listener = MHD_quiesce_daemon(s->daemon);
    MHD_UNSIGNED_LONG_LONG ms;

    if (listener >= 0)
        close(listener);
    while (s->held.held_next) { /* libmicrohttpd aborts the process on suspended connections at its stop */
        s->held.held_next->gone = true;
        sim_resume(s->held.held_next);
    }
    do
        MHD_run(s->daemon);
    while (MHD_get_timeout(s->daemon, &ms) == MHD_YES && ms == 0 && sim_mono_ms() < until);
    MHD_stop_daemon(s->daemon);
    close(s->epoll);
    close(s->signals);
    free(s->timers.heap);
    free(s);
}
