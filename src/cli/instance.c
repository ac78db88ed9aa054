/* instance.c - one reactor's share of the service: made, drained and ended on its own thread. */
#include "cli/serve.h"

#include "pcs/core/breaker_metrics.h"
#include "pcs/core/clock.h"
#include "pcs/core/log.h"

#include <stdio.h>
#include <string.h>

#define CONNECTIONS_MAX 1024 /* to KOS and MVNO AP, kept open by one reactor */

static void redis_is_up(void *arg)
{
    struct instance *i = arg;
    change_service_forward_invalidations(i->api.changes);
    change_service_renew_lines(i->api.changes);
}

static void recovered(void *arg, bool ok)
{
    struct instance *i = arg;
    i->service->recovered = ok ? 1 : -1;
    i->service->shared.ready = ok;
}

/* The journal's thread: invalidations wait; the first reactor forwards them. */
struct wake_note {
    struct msg msg;
    struct instance *instance;
    _Atomic bool posted;
};
static struct wake_note invalidations_note;

static void on_invalidations(struct msg *m)
{
    struct wake_note *note = (struct wake_note *)m;
    note->posted = false;
    if (note->instance->api.changes) {
        change_service_forward_invalidations(note->instance->api.changes);
    }
}

static void invalidations_pending(void *arg)
{
    struct instance *i = arg;
    if (!atomic_exchange(&invalidations_note.posted, true)) {
        mailbox_reply(&i->reactor.inbox, &invalidations_note.msg);
    }
}

static void events_pending(void *arg)
{
    delivery_events_wait(arg);
}

/* What only the first reactor has: delivery, recovery, and the repeated invalidations. */
static bool start_first(struct instance *i)
{
    struct service *s = i->service;
    s->shared.delivery =
        delivery_create(&i->reactor, i->calls, s->journal, config_values(s->config, &delivery_config_section),
                        i->err, sizeof i->err);
    if (!s->shared.delivery) {
        return false;
    }
    breaker_metrics_show(delivery_breaker(s->shared.delivery));
    journal_on_pending(s->journal, SINK_EVENTS, events_pending, s->shared.delivery);
    invalidations_note.instance = i;
    invalidations_note.msg.deliver = on_invalidations;
    journal_on_pending(s->journal, SINK_INVALIDATIONS, invalidations_pending, i);
    redis_on_up(i->api.redis, redis_is_up, i);
    change_service_recover(i->api.changes, recovered, i);
    return true;
}

/* The operator's doors, last: what they show is there. */
static bool start_admin(struct instance *i)
{
    struct service *s = i->service;
    const struct journal_config *journal = config_values(s->config, &journal_config_section);
    const struct admin_parts parts = {
        .reactor = &i->reactor,
        .journal = s->journal,
        .journal_path = journal->path,
        .history = s->history,
        .delivery = s->shared.delivery,
        .gates = &s->gates,
        .redis_breaker = s->redis_breaker,
        .redis = i->api.redis,
        .store = i->api.store,
        .changes = i->api.changes,
        .ready = &s->shared.ready,
        .stopping = &s->shared.stopping,
        .retire = &s->retire,
        .local_only = s->only_retire,
        .sections = cli_sections,
        .section_count = cli_section_count,
    };
    i->admin = admin_create(&parts, s->config, i->err, sizeof i->err);
    return i->admin != NULL;
}

bool instance_start(struct reactor *r, void *arg)
{
    struct instance *i = arg;
    struct service *s = i->service;
    struct api *api = &i->api;
    const struct identity_config *identity = config_values(s->config, &identity_config_section);
    const struct http_config *http = config_values(s->config, &http_config_section);
    char *err = i->err;
    api->reactor = r;
    api->shared = &s->shared;
    api->config = config_values(s->config, &api_config_section);
    api->public_prefix = http->public_prefix;
    api->identities = identity_memory_new(s->verifier, (size_t)identity->memory);
    if (!api->identities) {
        snprintf(err, ERROR_MAX, "token memory: no memory");
        return false;
    }
    api->redis = redis_link_create(r, config_values(s->config, &redis_config_section), s->redis_breaker, err,
                                   ERROR_MAX);
    i->calls = api->redis ? call_client_create(r, CONNECTIONS_MAX, err, ERROR_MAX) : NULL;
    api->kos = i->calls ? kos_create(r, i->calls, &s->gates, config_values(s->config, &kos_config_section),
                                     err, ERROR_MAX)
                        : NULL;
    api->store = api->kos ? store_create(r, api->redis, api->kos,
                                         config_values(s->config, &store_config_section), err, ERROR_MAX)
                          : NULL;
    api->changes =
        api->store ? change_service_create(r, s->changes, api->redis, api->store, api->kos,
                                           config_values(s->config, &change_config_section), err, ERROR_MAX)
                   : NULL;
    if (!api->changes || (r->index == 0 && !start_first(i))) {
        return false;
    }
    return true;
}

void instance_serve(struct instance *i)
{
    const struct http_config *http = config_values(i->service->config, &http_config_section);
    bool customers = !i->service->only_retire;
    if (customers) {
        i->server = http_server_create(&i->reactor, http, i->listen_fd, api_routes, api_route_count, api_gate,
                                       &i->api, i->err, sizeof i->err);
    }
    i->says = (i->server || !customers) && (i->reactor.index != 0 || start_admin(i));
}

void instance_redis_away(struct instance *i)
{
    i->says = !redis_link_up(i->api.redis);
}

/* ---- from the main thread ---- */

struct run_note {
    struct msg msg;
    struct instance *instance;
    void (*fn)(struct instance *);
    uv_sem_t done;
};

static void on_run(struct msg *m)
{
    struct run_note *note = (struct run_note *)m;
    note->fn(note->instance);
    uv_sem_post(&note->done);
}

void instance_run(struct instance *i, void (*fn)(struct instance *))
{
    struct run_note note = {.msg = {.deliver = on_run}, .instance = i, .fn = fn};
    uv_sem_init(&note.done, 0);
    mailbox_reply(&i->reactor.inbox, &note.msg);
    uv_sem_wait(&note.done);
    uv_sem_destroy(&note.done);
}

/* ---- the phases of the end, each on the reactor's thread ---- */

void instance_quiesce(struct instance *i)
{
    if (i->server) {
        http_server_quiesce(i->server);
    }
    if (i->admin) {
        admin_quiesce(i->admin);
    }
}

void instance_drain(struct instance *i)
{
    change_service_drain(i->api.changes);
    if (i->reactor.index == 0) {
        /* nobody wakes the delivery any more */
        journal_on_pending(i->service->journal, SINK_EVENTS, NULL, NULL);
        journal_on_pending(i->service->journal, SINK_INVALIDATIONS, NULL, NULL);
        delivery_drain(i->service->shared.delivery);
    }
}

bool instance_busy(struct instance *i)
{
    return (i->server && http_server_pending(i->server) > 0) || (i->admin && admin_pending(i->admin) > 0) ||
           change_service_busy(i->api.changes) > 0;
}

void instance_let_go(struct instance *i)
{
    change_service_let_go(i->api.changes);
    if (i->reactor.index == 0) {
        delivery_stop(i->service->shared.delivery);
    }
}

bool instance_idle(struct instance *i)
{
    return change_service_idle(i->api.changes) &&
           (i->reactor.index != 0 || delivery_idle(i->service->shared.delivery));
}

/* Every part closes its handles; the loop ends when the last of them has closed. */
void instance_free(struct instance *i)
{
    struct api *api = &i->api;
    if (i->server) {
        http_server_stop(i->server);
    }
    admin_stop(i->admin);
    if (i->reactor.index == 0 && i->service->shared.delivery) {
        breaker_metrics_hide(delivery_breaker(i->service->shared.delivery));
        delivery_destroy(i->service->shared.delivery);
    }
    if (api->changes) {
        change_service_free(api->changes);
        api->changes = NULL;
    }
    if (api->store) {
        store_destroy(api->store);
    }
    if (api->kos) {
        kos_destroy(api->kos);
    }
    if (i->calls) {
        call_client_destroy(i->calls);
    }
    if (api->redis) {
        redis_link_destroy(api->redis);
    }
    identity_memory_free(api->identities);
    reactor_stop(&i->reactor);
}
