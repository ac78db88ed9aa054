/* api.h - the endpoints of CONTRACT.md 1: the route table, the gate in front of them, and what they work
 * with. */
#ifndef PCS_API_API_H
#define PCS_API_API_H

#include "pcs/change/change.h"
#include "pcs/delivery/delivery.h"
#include "pcs/http/http.h"
#include "pcs/http/peers.h"
#include "pcs/identity/identity.h"

#include <stdatomic.h>

struct api_config {
    int64_t rate, burst;  /* requests a second and at once, of one caller, on POST and DELETE; rate 0: off */
    int64_t rate_callers; /* callers remembered at the most */
    int64_t read_deadline_ms;        /* a read's own deadline, KOS included */
    struct config_list header_peers; /* gateways whose identity headers count */
};
extern const struct config_section api_config_section;
extern struct metric_family *const api_metrics[];
extern const size_t api_metrics_count;

/* What all reactors share: health and the rate limiter. */
struct api_shared {
    struct journal *journal;
    struct history *history;
    struct delivery *delivery; /* NULL until the first reactor has made it */
    struct kos_gates *gates;
    struct rate_limiter *limiter;
    struct http_peers *header_peers;
    _Atomic bool ready;    /* recovery is done */
    _Atomic bool stopping; /* from SIGTERM on: readiness is DOWN */
    _Atomic int redis_links_up;
};
bool api_shared_init(struct api_shared *s, const struct api_config *config);
/* Takes over reloaded limits. Main thread. */
void api_shared_reload(struct api_shared *s, const struct api_config *config);
void api_shared_free(struct api_shared *s);

/* What the handlers of one reactor work with: the context of its http_server. All pointers outlive it. */
struct api {
    struct reactor *reactor;
    struct api_shared *shared;
    struct identity_memory *identities;
    struct store *store;
    struct kos *kos;
    struct redis_link *redis;
    struct change_service *changes;
    const struct api_config *config;
    const char *public_prefix;
};

extern const struct http_route api_routes[];
extern const size_t api_route_count;

/* The gate of every route that is not open: token (401), permission and line (403), rate (429). */
bool api_gate(struct http_request *rq);

#endif
