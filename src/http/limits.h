/* limits.h - what one client address may take, and what the server takes at all (issue 4, overload; issue 5, 2). */
#ifndef PCS_SRC_HTTP_LIMITS_H
#define PCS_SRC_HTTP_LIMITS_H

#include "http/cidr.h"

#include "pcs/core/rate.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Shedding by the loop's lag: a share of the requests that grows while the loop is late and shrinks when it is well
 * again, so that load and lag meet somewhere instead of swinging. */
struct shed {
    unsigned tick;  /* of the reactor, the last one looked at */
    unsigned over;  /* ticks in a row over the limit */
    unsigned level; /* percent of the requests, 0..SHED_MAX */
    unsigned dealt; /* percents collected towards the next one that is shed */
};
#define SHED_AFTER 3  /* ticks over the limit before the first request is shed */
#define SHED_UP    10 /* percent a tick over the limit */
#define SHED_DOWN  5  /* percent a tick under half of it; in between nothing changes */
#define SHED_MAX   90 /* some are always served: their lag tells when it is over */

/* One tick of the reactor. */
void shed_step(struct shed *shed, uint64_t lag_ns, uint64_t limit_ns);
/* Is this one shed? order: POST and DELETE, which are spared until half of the reads are. */
bool shed_takes(struct shed *shed, bool order);

struct http_config;

struct limits {
    struct cidr *gateways;
    size_t gateway_count;
    struct rate_limiter *addresses; /* of the whole process; NULL: no limits per address */
    unsigned connections;           /* of one address; 0: any number */
    bool rated;                     /* requests of an address are counted */
    unsigned most;                  /* connections of this server */
    unsigned reserve;               /* over that, for gateways and for refusals */
    size_t open;                    /* connections now */
    uint64_t lag_ns;                /* 0: the loop's lag sheds nothing */
    struct shed shed;
};

struct conn;
struct request;

/* False: no memory. */
bool limits_open(struct limits *l, const struct http_config *config, unsigned most, unsigned reserve);
void limits_close(struct limits *l);

/* A connection has come: counts it, and decides. Too many: an idle one makes room, else it is refused here and now
 * (c->refused; a gateway's only says so to its first request: c->crowded). */
void limits_connected(struct conn *c, const struct sockaddr *from);
void limits_disconnected(struct conn *c);

/* An admitted request's turn: NULL, or why it is shed (503). */
const char *limits_shed(struct request *rq);
/* Takes one request from its address's rate; false: over it, *answer tells. */
bool limits_take(struct request *rq, struct rate_answer *answer);

#endif
