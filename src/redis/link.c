/* link.c - the life of a Redis link: resolve, connect, greet, stay up, come back.
 *
 *              +-------------------- any failure, loss, deadline --------------------+
 *              v                                                                     |
 *   start -> WAITING --(host name)--> RESOLVING --> CONNECTING --> GREETING --> UP --+
 *              |                                        ^      (AUTH, SELECT)
 *              +-----------(numeric address)------------+
 *
 *   redis_link_destroy() leads from everywhere to CLOSING, which ends when the last handle is closed. */
#include "redis/link.h"

#include "pcs/core/clock.h"
#include "pcs/core/id.h"
#include "pcs/core/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 2000

static void resolve(struct redis_link *link);
static void connect_next(struct redis_link *link);

static bool legal(enum link_state from, enum link_state to)
{
    static const unsigned next[] = {
        [LINK_WAITING] = 1u << LINK_WAITING | 1u << LINK_RESOLVING | 1u << LINK_CONNECTING,
        [LINK_RESOLVING] = 1u << LINK_WAITING | 1u << LINK_CONNECTING,
        [LINK_CONNECTING] = 1u << LINK_WAITING | 1u << LINK_GREETING,
        [LINK_GREETING] = 1u << LINK_WAITING | 1u << LINK_UP,
        [LINK_UP] = 1u << LINK_WAITING,
        [LINK_CLOSING] = 0,
    };
    return to == LINK_CLOSING || (next[from] & 1u << to);
}

/* 50 ms .. 2 s, doubling, spread over the whole range below it, so that reactors and instances do not come
 * back in step. The very first attempt is made at once. */
static uint64_t backoff_ms(unsigned attempts)
{
    if (attempts == 0) {
        return 0;
    }
    uint64_t top = BACKOFF_MIN_MS * 2;
    for (unsigned i = 1; i < attempts && top < BACKOFF_MAX_MS; i++) {
        top *= 2;
    }
    top = top < BACKOFF_MAX_MS ? top : BACKOFF_MAX_MS;
    return BACKOFF_MIN_MS + random_u64() % (top - BACKOFF_MIN_MS + 1);
}

static void on_life(uv_timer_t *timer)
{
    struct redis_link *link = timer->data;
    if (link->state == LINK_WAITING) {
        if (!link->numeric && link->address_next >= link->address_count) {
            resolve(link);
        } else {
            connect_next(link);
        }
    } else if (link->state == LINK_CONNECTING || link->state == LINK_GREETING) {
        link_break(link, "not connected in time");
    }
}

/* The only writer of link->state. */
static void enter(struct redis_link *link, enum link_state to)
{
    enum link_state from = link->state;
    if (!legal(from, to)) {
        log_error("redis.bad_transition", log_int("from", from), log_int("to", to));
        return;
    }
    link->state = to;
    if ((from == LINK_UP) != (to == LINK_UP)) {
        metric_gauge_add(&redis_metric_up, 0, to == LINK_UP ? 1 : -1);
    }
    switch (to) {
    case LINK_WAITING:
        uv_update_time(&link->reactor->loop);
        uv_timer_start(&link->life, on_life, backoff_ms(link->attempts++), 0);
        break;
    case LINK_CONNECTING:
        uv_update_time(&link->reactor->loop);
        uv_timer_start(&link->life, on_life, (uint64_t)link->config.connect_timeout_ms, 0);
        break;
    case LINK_GREETING:
        break; /* the connect deadline covers the greeting too */
    case LINK_UP:
        link->up_since_ns = clock_mono_ns();
        link->attempts = 1;
        link->last_reason[0] = '\0';
        uv_timer_stop(&link->life);
        break;
    case LINK_RESOLVING:
    case LINK_CLOSING:
        uv_timer_stop(&link->life);
        break;
    }
}

static void failed(struct redis_link *link, const char *reason)
{
    if (strcmp(reason, link->last_reason) != 0) {
        snprintf(link->last_reason, sizeof link->last_reason, "%s", reason);
        log_warn("redis.down", log_str("host", link->config.host), log_int("port", link->config.port),
                 log_int("reactor", link->reactor->index), log_str("reason", link->last_reason));
    }
    enter(link, LINK_WAITING);
}

void link_break(struct redis_link *link, const char *reason)
{
    struct redis_conn *conn = link->conn;
    link->conn = NULL; /* detached first: its late notices find another connection or none */
    link->dirty = false;
    failed(link, reason);
    if (conn && conn->ac) {
        conn_end(conn);
    }
}

void link_conn_ended(struct redis_conn *conn, const char *reason)
{
    struct redis_link *link = conn->link;
    if (link->conn == conn) {
        link->conn = NULL;
        link->dirty = false;
        failed(link, reason);
    }
}

/* ---- connect and greet ---- */

static bool is_ok(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STATUS && reply->len == 2 && memcmp(reply->str, "OK", 2) == 0;
}

static void on_greeting(redisAsyncContext *ac, void *answer, void *arg)
{
    struct redis_conn *conn = arg;
    struct redis_link *link = conn->link;
    const redisReply *reply = answer;
    (void)ac;
    if (!reply || link->conn != conn) {
        return;
    }
    if (!is_ok(reply)) {
        char reason[160];
        bool error = reply->type == REDIS_REPLY_ERROR;
        snprintf(reason, sizeof reason, "refused the greeting: %.100s",
                 error ? reply->str : "not an answer of Redis");
        link_break(link, reason);
        return;
    }
    if (--conn->greetings > 0) {
        return;
    }
    log_info("redis.up", log_str("host", link->config.host), log_int("port", link->config.port),
             log_int("reactor", link->reactor->index), log_int("attempts", link->attempts));
    enter(link, LINK_UP);
    if (link->up) {
        link->up(link->up_arg);
    }
}

static bool greet(struct redis_link *link, struct redis_conn *conn, const char *name, const char *value)
{
    struct redis_arg args[] = {{name, strlen(name)}, {value, strlen(value)}};
    bool broken = false;
    command_format(&link->scratch, args, 2);
    if (!buf_ok(&link->scratch) || !conn_append(conn, &link->scratch, on_greeting, conn, &broken) || broken) {
        return false;
    }
    conn->greetings++;
    return true;
}

static void connect_next(struct redis_link *link)
{
    char reason[160], database[24];
    const char *address = link->addresses[link->address_next++ % link->address_count];
    enter(link, LINK_CONNECTING);
    struct redis_conn *conn = conn_open(link, address, reason, sizeof reason);
    if (!conn) {
        failed(link, reason);
        return;
    }
    link->handles++;
    link->conn = conn;
    snprintf(database, sizeof database, "%lld", (long long)link->config.database);
    /* SELECT always, also of 0: Redis answers it while it is loading, and only an answer makes the link
     * usable. */
    if ((link->config.password[0] && !greet(link, conn, "AUTH", link->config.password)) ||
        !greet(link, conn, "SELECT", database)) {
        link_break(link, "out of memory");
    }
}

void link_conn_connected(struct redis_conn *conn)
{
    if (conn->link->conn == conn) {
        enter(conn->link, LINK_GREETING);
    }
}

/* ---- the host's addresses ---- */

static void free_if_closed(struct redis_link *link);

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct redis_link *link = req->data;
    link->resolving = false;
    if (link->state == LINK_CLOSING) {
        uv_freeaddrinfo(list);
        free_if_closed(link);
        return;
    }
    link->address_count = link->address_next = 0;
    for (struct addrinfo *a = status == 0 ? list : NULL; a; a = a->ai_next) {
        char *out = link->addresses[link->address_count];
        if (link->address_count < LINK_ADDRESSES_MAX &&
            uv_ip_name(a->ai_addr, out, sizeof link->addresses[0]) == 0) {
            link->address_count++;
        }
    }
    uv_freeaddrinfo(list);
    if (link->address_count > 0) {
        connect_next(link);
        return;
    }
    char reason[160];
    snprintf(reason, sizeof reason, "host name: %s", status ? uv_strerror(status) : "has no address");
    failed(link, reason);
}

static void resolve(struct redis_link *link)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    enter(link, LINK_RESOLVING);
    link->resolve.data = link;
    int rc =
        uv_getaddrinfo(&link->reactor->loop, &link->resolve, on_resolved, link->config.host, NULL, &hints);
    if (rc) {
        failed(link, uv_strerror(rc));
        return;
    }
    link->resolving = true;
}

static bool is_numeric(const char *host)
{
    struct in6_addr any;
    return uv_inet_pton(AF_INET, host, &any) == 0 || uv_inet_pton(AF_INET6, host, &any) == 0;
}

/* ---- the end of a turn ---- */

static bool end_of_turn(struct reactor_hook *hook)
{
    struct redis_link *link = ((struct link_hook *)hook)->link;
    bool told = false;
    uv_idle_stop(&link->busy);
    if (link->dirty && link->conn) {
        link->dirty = false;
        link->flushes++;
        conn_flush(link->conn);
    }
    if (!STAILQ_EMPTY(&link->deferred)) {
        told = command_run_deferred(link);
    }
    return told; /* whoever was told may have made work for the hooks before this one */
}

/* Seen twice without an end of turn in between: the reactor is stopping and its hooks do not run any more. */
static void on_busy(uv_idle_t *idle)
{
    struct redis_link *link = idle->data;
    if (++link->busy_turns > 1) {
        end_of_turn(&link->hook.hook);
    }
}

void link_busy(struct redis_link *link)
{
    if (link->state != LINK_CLOSING && !uv_is_active((uv_handle_t *)&link->busy)) {
        link->busy_turns = 0;
        uv_idle_start(&link->busy, on_busy);
    }
}

/* ---- making and unmaking ---- */

static void free_link(struct redis_link *link)
{
    if (link) {
        command_free_all(link);
        buf_free(&link->scratch);
        free((char *)link->config.host);
        free((char *)link->config.password);
        free(link);
    }
}

struct redis_link *redis_link_create(struct reactor *reactor, const struct redis_config *config,
                                     struct breaker *breaker, char *err, size_t errlen)
{
    struct redis_link *link = calloc(1, sizeof *link);
    if (link) {
        link->config = *config;
        link->config.host = strdup(config->host);
        link->config.password = strdup(config->password ? config->password : "");
    }
    if (!link || !link->config.host || !link->config.password) {
        snprintf(err, errlen, "redis: out of memory");
        free_link(link);
        return NULL;
    }
    link->reactor = reactor;
    link->breaker = breaker;
    STAILQ_INIT(&link->sent);
    STAILQ_INIT(&link->deferred);
    STAILQ_INIT(&link->spare);
    TAILQ_INIT(&link->deadlines);
    buf_init(&link->scratch, LINK_COMMAND_MAX);
    link->armed_ns = UINT64_MAX;
    int64_t dead_ms = config->deadline_ms * 10;
    link->dead_ns = (uint64_t)(dead_ms > LINK_DEAD_MIN_MS ? dead_ms : LINK_DEAD_MIN_MS) * NS_PER_MS;
    link->numeric = is_numeric(config->host);
    if (link->numeric) {
        snprintf(link->addresses[0], sizeof link->addresses[0], "%s", config->host);
        link->address_count = 1;
    }
    uv_timer_init(&reactor->loop, &link->life);
    uv_timer_init(&reactor->loop, &link->deadline);
    uv_idle_init(&reactor->loop, &link->busy);
    link->life.data = link->deadline.data = link->busy.data = link;
    link->handles = 3;
    link->hook.hook.end_of_turn = end_of_turn;
    link->hook.link = link;
    reactor_add_hook(reactor, &link->hook.hook);
    enter(link, LINK_WAITING);
    return link;
}

static void free_if_closed(struct redis_link *link)
{
    if (link->state == LINK_CLOSING && link->handles == 0 && !link->resolving) {
        reactor_remove_hook(link->reactor, &link->hook.hook);
        free_link(link);
    }
}

void link_conn_closed(struct redis_link *link)
{
    link->handles--;
    free_if_closed(link);
}

static void on_handle_closed(uv_handle_t *handle)
{
    link_conn_closed(handle->data);
}

void redis_link_destroy(struct redis_link *link)
{
    struct redis_conn *conn = link->conn;
    if (link->state == LINK_CLOSING) {
        return;
    }
    enter(link, LINK_CLOSING);
    link->conn = NULL;
    link->dirty = false;
    command_tell_all(link);
    if (conn && conn->ac) {
        conn_end(conn);
    }
    if (link->resolving) {
        uv_cancel((uv_req_t *)&link->resolve);
    }
    uv_close((uv_handle_t *)&link->life, on_handle_closed);
    uv_close((uv_handle_t *)&link->deadline, on_handle_closed);
    uv_close((uv_handle_t *)&link->busy, on_handle_closed);
}

bool redis_link_up(const struct redis_link *link)
{
    return link->state == LINK_UP;
}

void redis_on_up(struct redis_link *link, void (*up)(void *arg), void *arg)
{
    link->up = up;
    link->up_arg = arg;
}
