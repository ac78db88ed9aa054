/* The control interface of the MVNO AP simulator: /_sim/… */
#include "mvno.h"

#include <stdio.h>
#include <stdlib.h>

static size_t limit_of(const struct sim_req *req)
{
    const char *limit = sim_req_query(req, "limit");

    return limit ? strtoul(limit, NULL, 10) : 0;
}

static void get_events(void *app, struct sim_req *req)
{
    struct sim_buf out = {0};

    mvno_events_json(app, &out, sim_req_query(req, "lineNumber"), sim_req_query(req, "requestId"),
                     limit_of(req));
    sim_reply_json(req, 200, &out);
}

static void get_attempts(void *app, struct sim_req *req)
{
    struct sim_buf out = {0};

    mvno_attempts_json(app, &out, sim_req_query(req, "lineNumber"), sim_req_query(req, "webhookId"),
                       limit_of(req));
    sim_reply_json(req, 200, &out);
}

static void get_stats(void *app, struct sim_req *req)
{
    const struct mvno *m = app;
    struct sim_buf out = {0};
    char more[256];

    snprintf(more, sizeof more,
             "\"events\":%llu,\"duplicates\":%llu,\"refused\":%llu,\"changedBodies\":%llu,"
             "\"severalPerRequest\":%llu",
             (unsigned long long)m->event_count, (unsigned long long)m->duplicates,
             (unsigned long long)m->refused, (unsigned long long)m->changed,
             (unsigned long long)m->several_per_request);
    sim_buf_str(&out, "{");
    sim_stats_json(&out, "results", &m->stats, more);
    sim_buf_str(&out, "}");
    sim_reply_json(req, 200, &out);
}

static void reset(void *app, struct sim_req *req)
{
    struct mvno *m = app;

    sim_faults_clear(&m->faults, true);
    mvno_clear(m);
    sim_state_clear(&m->state);
    sim_reply_ok(req);
}

static void health(void *app, struct sim_req *req)
{
    (void)app;
    sim_reply_ok(req);
}

static void post_faults(void *app, struct sim_req *req)
{
    sim_faults_post(&((struct mvno *)app)->faults, req);
}

static void get_faults(void *app, struct sim_req *req)
{
    sim_faults_get(&((struct mvno *)app)->faults, req);
}

static void delete_faults(void *app, struct sim_req *req)
{
    sim_faults_delete(&((struct mvno *)app)->faults, req);
}

static void release_faults(void *app, struct sim_req *req)
{
    sim_faults_release(&((struct mvno *)app)->faults, req);
}

static void get_held(void *app, struct sim_req *req)
{
    sim_faults_held(&((struct mvno *)app)->faults, req);
}

const struct sim_route mvno_routes[] = {
    {"POST", "/api/v1/mvno/product-change/results", false, mvno_deliver},
    {"GET", "/_sim/health", false, health},
    {"GET", "/_sim/events", false, get_events},
    {"GET", "/_sim/attempts", false, get_attempts},
    {"GET", "/_sim/stats", false, get_stats},
    {"POST", "/_sim/faults", false, post_faults},
    {"GET", "/_sim/faults", false, get_faults},
    {"DELETE", "/_sim/faults", false, delete_faults},
    {"POST", "/_sim/faults/release", false, release_faults},
    {"GET", "/_sim/held", false, get_held},
    {"POST", "/_sim/reset", false, reset},
    {NULL, NULL, false, NULL},
};
