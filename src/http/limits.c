/* limits.c - overload is answered early and cheaply, in this order:
 *
 *   a connection   its address has too many              429, closed      (not for gateways)
 *                  the server has too many               one that idles, or whose head is overdue, makes room; else
 *                                                        503, closed. A gateway's stays, from the reserve: health is
 *                                                        answered, everything else 503
 *   a request      its address asks too often            429              (not for gateways)
 *                  too many wait already                 503
 *                  the loop is late (limits.loop_lag)    503 for a growing share, reads first
 *
 * Health, metrics and the operator's API are never shed: who looks at an overloaded service must see it. Whoever is
 * named in server.gateway_addresses speaks for many customers, so that nothing is limited by its address; the names
 * give no other right. */
#include "http/limits.h"

#include "http/internal.h"

#include "pcs/core/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* A head so long on its way, or a gateway's connection so long idle, may be cut for want of room. */
#define OVERDUE_MS    1000
#define LOOK_FOR_IDLE 64 /* connections looked at for one to close */

static const char late_loop[] = "the loop is late";

/* ---- the loop's lag ---- */

void shed_step(struct shed *shed, uint64_t lag_ns, uint64_t limit_ns)
{
    if (lag_ns > limit_ns) {
        shed->over += shed->over < SHED_AFTER;
        if (shed->over >= SHED_AFTER) {
            shed->level = shed->level + SHED_UP > SHED_MAX ? SHED_MAX : shed->level + SHED_UP;
        }
    } else if (lag_ns < limit_ns / 2) {
        shed->over = 0;
        shed->level = shed->level > SHED_DOWN ? shed->level - SHED_DOWN : 0;
    }
}

bool shed_takes(struct shed *shed, bool order)
{
    unsigned share = !order ? shed->level : shed->level > 50 ? (shed->level - 50) * 2 : 0;
    shed->dealt += share;
    if (shed->dealt < 100 || share == 0) {
        return false;
    }
    shed->dealt -= 100;
    return true;
}

/* Steps for the ticks since the last request: only the last one's lag is known, and no request was there to suffer from
 * the others. */
static void catch_up(struct shed *shed, const struct reactor *r, uint64_t limit_ns)
{
    unsigned ticks = r->ticks - shed->tick;
    shed->tick = r->ticks;
    for (unsigned n = ticks < SHED_MAX ? ticks : SHED_MAX; n > 1; n--) {
        shed_step(shed, 0, limit_ns);
    }
    if (ticks) {
        shed_step(shed, r->lag_ns, limit_ns);
    }
}

/* ---- the addresses of the process: one table for all its servers ---- */

static struct {
    pthread_mutex_t lock;
    struct rate_limiter *limiter;
    unsigned users;
} addresses = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct rate_limiter *join_addresses(const struct http_config *config)
{
    int64_t rate = config->address_rate ? config->address_rate : 1;
    pthread_mutex_lock(&addresses.lock);
    if (!addresses.limiter) {
        addresses.limiter = rate_limiter_new(rate, config->address_burst, config->addresses);
    }
    struct rate_limiter *l = addresses.limiter;
    addresses.users += l != NULL;
    pthread_mutex_unlock(&addresses.lock);
    return l;
}

static void leave_addresses(void)
{
    pthread_mutex_lock(&addresses.lock);
    if (--addresses.users == 0) {
        rate_limiter_free(addresses.limiter);
        addresses.limiter = NULL;
    }
    pthread_mutex_unlock(&addresses.lock);
}

bool limits_open(struct limits *l, const struct http_config *config, unsigned most, unsigned reserve)
{
    const struct config_list *names = &config->gateway_addresses;
    memset(l, 0, sizeof *l);
    l->most = most;
    l->reserve = reserve;
    l->lag_ns = (uint64_t)config->loop_lag_ms * NS_PER_MS;
    l->connections = (unsigned)config->address_connections;
    l->rated = config->address_rate > 0;
    l->gateways = calloc(names->count + 1, sizeof *l->gateways);
    if (!l->gateways) {
        return false;
    }
    for (size_t i = 0; i < names->count; i++) {
        l->gateway_count += cidr_parse(names->items[i], &l->gateways[l->gateway_count]);
    }
    if (l->connections || l->rated) {
        l->addresses = join_addresses(config);
        return l->addresses != NULL;
    }
    return true;
}

void limits_close(struct limits *l)
{
    if (l->addresses) {
        leave_addresses();
    }
    free(l->gateways);
    l->addresses = NULL;
    l->gateways = NULL;
}

/* ---- connections ---- */

static bool is_gateway(const struct limits *l, const unsigned char *address)
{
    for (size_t i = 0; i < l->gateway_count; i++) {
        if (cidr_contains(&l->gateways[i], address)) {
            return true;
        }
    }
    return false;
}

/* The one that has waited longest, and so long at least. */
static struct conn *longest(struct http_server *s, enum deadline what, bool gateway, uint64_t at_least_ms)
{
    uint64_t now_ms = uv_now(&s->reactor->loop);
    struct conn *c = s->waiting[what].head;
    for (int n = 0; c && n < LOOK_FOR_IDLE; n++, c = c->next) {
        if (c->deadline_ms + at_least_ms > now_ms + s->wait_ms[what]) {
            return NULL; /* the list is in the order of time */
        }
        if (c->gateway == gateway && !c->refused) {
            return c;
        }
    }
    return NULL;
}

/* Closes the connection that is missed least. A gateway's last: it may just be about to use it again. */
static bool make_room(struct http_server *s)
{
    enum reject_reason reason = REJECT_IDLE;
    struct conn *c = longest(s, DEADLINE_IDLE, false, 0);
    if (!c && (c = longest(s, DEADLINE_HEAD, false, OVERDUE_MS)) != NULL) {
        reason = REJECT_SLOW_HEAD;
    }
    if (!c && !(c = longest(s, DEADLINE_IDLE, true, OVERDUE_MS))) {
        return false;
    }
    metrics_rejected(reason);
    deadline_set(c, DEADLINE_NONE);
    c->expired = true;
    shutdown(c->fd, SHUT_RD);
    return true;
}

void limits_connected(struct conn *c, const struct sockaddr *from)
{
    struct http_server *s = c->server;
    struct limits *l = &s->limits;
    c->gateway = !cidr_address(from, c->address) || is_gateway(l, c->address);
    if (!c->gateway && l->addresses) {
        cidr_fold(c->address);
        c->rated = l->rated;
        c->holds = l->connections &&
                   rate_hold(l->addresses, c->address, sizeof c->address, l->connections, clock_mono_ns());
        if (l->connections && !c->holds) {
            metrics_rejected(REJECT_ADDRESS_CONNECTIONS);
            refuse_now(c, &http_problem_too_many_requests, "too many connections of one address");
            return;
        }
    }
    if (l->open <= l->most || make_room(s)) {
        return;
    }
    metrics_rejected(REJECT_CONNECTIONS);
    if (c->gateway) {
        c->crowded = true;
    } else {
        refuse_now(c, &http_problem_service_unavailable, "too many connections");
    }
}

void limits_disconnected(struct conn *c)
{
    if (c->holds) {
        rate_release(c->server->limits.addresses, c->address, sizeof c->address);
    }
}

/* ---- requests ---- */

const char *limits_shed(struct request *rq)
{
    struct http_server *s = rq->pub.server;
    struct limits *l = &s->limits;
    if (rq->conn->crowded) {
        rq->close = true;
        return "too many connections";
    }
    if (s->pending > s->shed_at) {
        return "too many requests are waiting";
    }
    if (l->lag_ns) {
        catch_up(&l->shed, s->reactor, l->lag_ns);
        if (l->shed.level && shed_takes(&l->shed, rq->pub.route && rq->pub.route->flags & HTTP_RATED)) {
            return late_loop;
        }
    }
    return NULL;
}

bool limits_take(struct request *rq, struct rate_answer *answer)
{
    struct conn *c = rq->conn;
    if (!c->rated) {
        return true;
    }
    *answer = rate_take(c->server->limits.addresses, c->address, sizeof c->address, clock_mono_ns());
    return answer->allowed;
}
