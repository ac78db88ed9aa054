/* server.c - one libmicrohttpd daemon on one reactor's loop.
 *
 * libmicrohttpd has an epoll set of its own, which the loop watches like a socket. Whatever happens in a turn
 * only sets need_run; MHD_run() is called once at the turn's end (reactor hook), so that it never nests and
 * answers made in one turn go out together. After each run its wish is asked for: 0 = run again now, n = arm
 * a timer, none.
 *
 * End: quiesce (listener closed, answers say Connection: close) → stop: suspended requests are answered 503
 * and sent, the daemon is stopped, the loop handles are closed; the last close frees the server. */
#include "http/internal.h"
#include "http/tls.h"

#include "pcs/core/clock.h"
#include "pcs/core/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define FILES_RESERVED 256 /* descriptors for everything that is not a client's connection */
#define LIMIT_MIN      16
#define RESERVE_PART   16  /* so much of the limit on top, see limits.c */
#define ACCEPT_ROUNDS  64  /* runs that empty the accept queue before the listener is closed */
#define FLUSH_ROUNDS   100 /* runs, 2 ms apart, in which the last answers may still go out */
#define FLUSH_WAIT_MS  2
#define HOVER_RERUN_MS 1 /* while requests hover: the library is run at least so often */

static void on_rerun(uv_timer_t *timer)
{
    struct http_server *s = timer->data;
    s->need_run = true;
}

static void run_daemon(struct http_server *s)
{
    MHD_UNSIGNED_LONG_LONG wait_ms;
    bool to_send = s->to_send > 0;
    s->need_run = false;
    s->to_send = 0;
    MHD_run(s->daemon);
    watch_kick(s);
    if (MHD_get_timeout(s->daemon, &wait_ms) != MHD_YES) {
        if (uv_is_active((uv_handle_t *)&s->rerun)) {
            uv_timer_stop(&s->rerun);
        }
    } else if (wait_ms > 0) {
        uv_timer_start(&s->rerun, on_rerun, wait_ms, 0);
    } else if (s->hovering == 0 || to_send || s->to_send) {
        s->need_run = true; /* an answer is made ready in one run and sent in the next */
    } else if (!uv_is_active((uv_handle_t *)&s->rerun)) {
        uv_timer_start(&s->rerun, on_rerun, HOVER_RERUN_MS, 0);
    }
}

static bool end_of_turn(struct reactor_hook *hook)
{
    struct http_server *s = (struct http_server *)((char *)hook - offsetof(struct http_server, hook));
    if (s->need_run && s->daemon) {
        run_daemon(s);
    }
    if (s->orphans) {
        hover_sweep_orphans(s);
    }
    return s->need_run && s->daemon;
}

static void on_events(uv_poll_t *poll, int status, int events)
{
    struct http_server *s = poll->data;
    (void)status;
    (void)events;
    s->need_run = true;
}

/* ---- what libmicrohttpd tells ---- */

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http_server *s = cls;
    struct conn *c = *context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
        c = info ? calloc(1, sizeof *c) : NULL;
        *context = c; /* NULL, for want of memory: on_uri() then gives no request, and on_access() cuts */
        if (c) {
            c->server = s;
            c->fd = info->connect_fd;
            deadline_set(c, DEADLINE_HEAD);
            watch_add(c);
        }
        s->accepted++;
        s->limits.open++;
        metrics_connections(1);
        if (c) {
            info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
            limits_connected(c, info ? info->client_addr : NULL);
        }
        return;
    }
    metrics_connections(-1);
    s->limits.open--;
    if (c) {
        limits_disconnected(c);
        if (c->request) {
            request_finish(c->request, false); /* the head never ended: no completed notice */
        }
        refuse_silent_end(c);
        c->unread |= (c->page_status || c->waiting_for == DEADLINE_HEAD) && !c->expired &&
                     !c->peer_closed; /* the library may have answered */
        linger_take(c);
        deadline_set(c, DEADLINE_NONE);
        watch_forget(c);
        free(c);
        *context = NULL;
    }
}

static void *on_uri(void *cls, const char *uri, struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct conn *c = info ? info->socket_context : NULL;
    (void)cls;
    if (!c || c->refused) {
        return NULL;
    }
    if (c->request) {
        request_finish(c->request, false);
    }
    deadline_set(c, DEADLINE_HEAD);
    if (!guard_query_fits(uri)) {
        c->too_large = true;
        watch_cut(c); /* the library would keep it, waiting for nothing; the refusal is refuse.c's */
    }
    return request_create(c, mhd, uri);
}

static enum MHD_Result on_access(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                                 const char *version, const char *data, size_t *size, void **context)
{
    (void)cls;
    (void)mhd;
    (void)url;
    return *context ? request_access(*context, method, version, data, size) : MHD_NO;
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **context,
                         enum MHD_RequestTerminationCode code)
{
    struct request *rq = *context;
    (void)cls;
    (void)mhd;
    *context = NULL;
    if (rq) {
        struct conn *c = rq->conn;
        if (rq->phase == PHASE_WAIT) {
            hover_orphan(rq);
            return;
        }
        bool delivered = code == MHD_REQUEST_TERMINATED_COMPLETED_OK;
        c->unread |= rq->phase == PHASE_LINE; /* the library has answered in our place */
        c->served |= delivered;
        c->lost_status = delivered ? 0 : rq->status;
        request_finish(rq, delivered);
        deadline_set(c, DEADLINE_IDLE);
    }
}

/* Paths stay as they were sent: "%2e%2e" must not become ".." before routing. */
static size_t keep_escapes(void *cls, struct MHD_Connection *mhd, char *text)
{
    (void)cls;
    (void)mhd;
    return strlen(text);
}

/* The library has a line for every bad request; one a second is enough to know. Some lines quote the path, which can hold
 * a line number ("Failed to send ... for the request for `%s'"): of those only what stands before it is logged. */
__attribute__((format(printf, 2, 0))) static void on_library_log(void *cls, const char *format, va_list args)
{
    static const char quotes_path[] = "request for ";
    struct http_server *s = cls;
    uint64_t second = clock_mono_ns() / NS_PER_SEC;
    const char *path = strstr(format, quotes_path);
    char text[256];
    vsnprintf(text, sizeof text, format, args);
    s->page_about_length =
        strstr(text, "<b>Content-Length</b>") != NULL; /* it says so before it queues one */
    s->library_log_count++;
    if (second == s->library_log_second) {
        return;
    }
    s->library_log_second = second;
    if (path) {
        snprintf(text, sizeof text, "%.*s...", (int)(path - format + (ptrdiff_t)strlen(quotes_path)), format);
    }
    text[strcspn(text, "\r\n")] = '\0';
    log_info("http.library", log_str("text", text), log_int("messages", s->library_log_count));
    s->library_log_count = 0;
}

/* ---- start ---- */

static unsigned connection_limit(const struct http_config *config)
{
    struct rlimit files;
    uint64_t wanted = (uint64_t)config->connection_limit, possible = wanted;
    uint64_t servers = config->threads > 0 ? (uint64_t)config->threads : uv_available_parallelism();
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY) {
        possible = files.rlim_cur > FILES_RESERVED ? (files.rlim_cur - FILES_RESERVED) / servers : 0;
        possible -= possible / RESERVE_PART;
    }
    possible = possible < LIMIT_MIN ? LIMIT_MIN : possible;
    if (possible < wanted) {
        log_warn("http.connection_limit_cut", log_int("wanted", wanted), log_int("limit", possible),
                 log_str("reason", "RLIMIT_NOFILE"));
        wanted = possible;
    }
    return (unsigned)wanted;
}

static struct MHD_Daemon *start_daemon(struct http_server *s, int listen_fd, unsigned limit)
{
    const struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)TLS_PRIORITIES},
                                         {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)tls_certificate},
                                         {MHD_OPTION_END, 0, NULL}};
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_TURBO | MHD_USE_ERROR_LOG |
            (s->tls ? MHD_USE_TLS : 0),
        0, NULL, NULL, on_access, s, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, s, MHD_OPTION_LISTEN_SOCKET,
        listen_fd, MHD_OPTION_CONNECTION_LIMIT, limit, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_SIZE,
        MHD_OPTION_CONNECTION_TIMEOUT, 0U, MHD_OPTION_STRICT_FOR_CLIENT, 0, MHD_OPTION_UNESCAPE_CALLBACK,
        keep_escapes, s, MHD_OPTION_URI_LOG_CALLBACK, on_uri, s, MHD_OPTION_NOTIFY_CONNECTION, on_connection,
        s, MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_ARRAY, s->tls ? tls : tls + 2,
        MHD_OPTION_END);
}

static void destroy(struct http_server *s)
{
    reactor_remove_hook(s->reactor, &s->hook);
    linger_sweep(s, UINT64_MAX);
    limits_close(&s->limits);
    if (s->gone_fd >= 0) {
        close(s->gone_fd);
    }
    request_spares_free(s);
    router_free(&s->router);
    free(s);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct http_server *s = handle->data;
    if (--s->handles == 0) {
        destroy(s);
    }
}

/* Stops the daemon and closes whatever of the handles is open; frees s at once or with the last of them. */
static void shut(struct http_server *s)
{
    uv_handle_t *const handles[] = {(uv_handle_t *)&s->events, (uv_handle_t *)&s->gone,
                                    (uv_handle_t *)&s->rerun, (uv_handle_t *)&s->sweep};
    unsigned open = s->handles;
    for (size_t i = 0; i < sizeof handles / sizeof *handles; i++) {
        if (handles[i]->data) {
            uv_close(handles[i], on_handle_closed); /* before libmicrohttpd closes its epoll set */
        }
    }
    if (s->daemon) {
        MHD_stop_daemon(s->daemon);
        s->daemon = NULL;
    }
    if (open == 0) {
        destroy(s);
    }
}

static bool opened(struct http_server *s, uv_handle_t *handle, int rc, char *err, size_t errlen)
{
    if (rc != 0) {
        snprintf(err, errlen, "HTTP server: event loop: %s", uv_strerror(rc));
        return false;
    }
    handle->data = s;
    s->handles++;
    return true;
}

static bool open_handles(struct http_server *s, char *err, size_t errlen)
{
    uv_loop_t *loop = &s->reactor->loop;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (!info || watch_open(s) < 0) {
        snprintf(err, errlen, "HTTP server: no epoll set");
        return false;
    }
    if (!opened(s, (uv_handle_t *)&s->events, uv_poll_init(loop, &s->events, info->epoll_fd), err, errlen) ||
        !opened(s, (uv_handle_t *)&s->gone, uv_poll_init(loop, &s->gone, s->gone_fd), err, errlen) ||
        !opened(s, (uv_handle_t *)&s->rerun, uv_timer_init(loop, &s->rerun), err, errlen) ||
        !opened(s, (uv_handle_t *)&s->sweep, uv_timer_init(loop, &s->sweep), err, errlen)) {
        return false;
    }
    uv_poll_start(&s->events, UV_READABLE, on_events);
    uv_poll_start(&s->gone, UV_READABLE, watch_events);
    uv_timer_start(&s->sweep, deadline_sweep, deadline_period_ms(s), deadline_period_ms(s));
    return true;
}

struct http_server *http_server_create(struct reactor *reactor, const struct http_config *config,
                                       int listen_fd, const struct http_route *routes, size_t route_count,
                                       http_gate gate, void *context, char *err, size_t errlen)
{
    struct http_server *s = calloc(1, sizeof *s);
    if (!s) {
        snprintf(err, errlen, "HTTP server: no memory");
        close(listen_fd);
        return NULL;
    }
    unsigned limit = connection_limit(config), reserve = limit / RESERVE_PART + LIMIT_MIN / 2;
    s->reactor = reactor;
    s->config = config;
    s->gate = gate;
    s->context = context;
    s->gone_fd = -1;
    s->tls = tls_wanted(config);
    s->linger_tail = &s->lingers;
    s->shed_at = limit - limit / 10;
    s->series_base = metrics_series_base(routes);
    s->wait_ms[DEADLINE_HEAD] = (uint64_t)config->header_timeout_ms;
    s->wait_ms[DEADLINE_BODY] = (uint64_t)config->body_timeout_ms;
    s->wait_ms[DEADLINE_IDLE] = s->wait_ms[DEADLINE_WRITE] = (uint64_t)config->idle_timeout_ms;
    s->hook.end_of_turn = end_of_turn;
    if (!limits_open(&s->limits, config, limit, reserve)) {
        snprintf(err, errlen, "HTTP server: no memory");
        close(listen_fd);
        destroy(s);
        return NULL;
    }
    if (!router_init(&s->router, routes, route_count, err, errlen)) {
        close(listen_fd);
        destroy(s);
        return NULL;
    }
    s->daemon = start_daemon(s, listen_fd, limit + reserve);
    if (!s->daemon) {
        snprintf(err, errlen, "HTTP server: libmicrohttpd does not start");
        destroy(s);
        return NULL;
    }
    if (!open_handles(s, err, errlen)) {
        shut(s);
        return NULL;
    }
    reactor_add_hook(reactor, &s->hook);
    s->need_run = true;
    return s;
}

/* ---- end ---- */

void http_server_quiesce(struct http_server *s)
{
    if (s->quiesced) {
        return;
    }
    /* who is already connected is served: the kernel would reset them with the listener */
    for (size_t round = 0, before = s->accepted; round < ACCEPT_ROUNDS; round++, before = s->accepted) {
        run_daemon(s);
        if (s->accepted == before) {
            break;
        }
    }
    s->quiesced = true;
    MHD_socket fd = MHD_quiesce_daemon(s->daemon);
    if (fd != MHD_INVALID_SOCKET) {
        close(fd); /* until then the kernel goes on accepting for nobody */
    }
    s->need_run = true;
}

size_t http_server_pending(const struct http_server *s)
{
    return s->pending;
}

/* Are answers on their way to libmicrohttpd or the socket? */
static bool sending(const struct http_server *s)
{
    for (const struct request *rq = s->live; rq; rq = rq->next) {
        if (rq->phase == PHASE_SENT) {
            return true;
        }
    }
    return false;
}

void http_server_stop(struct http_server *s)
{
    if (s->stopping) {
        return;
    }
    http_server_quiesce(s);
    s->stopping = true;
    for (struct request *rq = s->live; rq; rq = rq->next) {
        if (rq->phase == PHASE_WAIT && rq->watched) {
            rq->watched = false;
            rq->pub.on_gone(&rq->pub);
        }
        if (rq->phase == PHASE_WAIT) {
            http_fail(&rq->pub, &http_problem_service_unavailable,
                      &(struct http_error_extra){.reason = "the service is stopping"});
        }
    }
    hover_sweep_orphans(s);
    run_daemon(s); /* at least once: a connection that is still suspended would end the process */
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    for (int round = 0; info && round < FLUSH_ROUNDS && sending(s); round++) {
        struct pollfd events = {.fd = info->epoll_fd, .events = POLLIN};
        if (!s->need_run) {
            poll(&events, 1, FLUSH_WAIT_MS);
        }
        run_daemon(s);
    }
    shut(s);
}
