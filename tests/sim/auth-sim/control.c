/* The control interface of the auth service simulator: /_sim/… */
#include "auth.h"

static void get_stats(void *app, struct sim_req *req)
{
    const struct auth *a = app;
    struct sim_buf out = {0};
    int i;

    sim_buf_str(&out, "{");
    for (i = 0; i < AUTH_OPERATIONS; i++) {
        sim_stats_json(&out, auth_operation_names[i], &a->stats[i], "");
        sim_buf_str(&out, i + 1 < AUTH_OPERATIONS ? "," : "}");
    }
    sim_reply_json(req, 200, &out);
}

static void put_user(void *app, struct sim_req *req)
{
    struct auth *a = app;
    cJSON *spec = sim_req_json(req);
    const char *error = NULL;
    const struct auth_user *u;
    struct sim_buf out = {0};

    if (!spec)
        return;
    u = auth_put_user(a, sim_req_rest(req), spec, &error);
    cJSON_Delete(spec);
    if (!u) {
        sim_reply_error(req, 400, "%s", error);
        return;
    }
    auth_user_json(&out, u);
    sim_reply_json(req, 200, &out);
}

static void reset(void *app, struct sim_req *req)
{
    struct auth *a = app;
    int i;

    sim_faults_clear(&a->faults, true);
    auth_forget_revoked(a);
    auth_unload(a);
    auth_load(a);
    for (i = 0; i < AUTH_OPERATIONS; i++) {
        uint64_t now = a->stats[i].concurrent;

        a->stats[i] = (struct sim_stats){.concurrent = now};
    }
    sim_reply_ok(req);
}

static void health(void *app, struct sim_req *req)
{
    (void)app;
    sim_reply_ok(req);
}

static void post_faults(void *app, struct sim_req *req)
{
    sim_faults_post(&((struct auth *)app)->faults, req);
}

static void get_faults(void *app, struct sim_req *req)
{
    sim_faults_get(&((struct auth *)app)->faults, req);
}

static void delete_faults(void *app, struct sim_req *req)
{
    sim_faults_delete(&((struct auth *)app)->faults, req);
}

static void release_faults(void *app, struct sim_req *req)
{
    sim_faults_release(&((struct auth *)app)->faults, req);
}

const struct sim_route auth_routes[] = {
    {NULL, "/api/v1/auth/check", false, auth_check},
    {"POST", "/api/v1/auth/login", false, auth_login},
    {"POST", "/api/v1/auth/logout", false, auth_logout},
    {"GET", "/api/v1/users/", true, auth_user},
    {"GET", "/_sim/health", false, health},
    {"GET", "/_sim/stats", false, get_stats},
    {"PUT", "/_sim/users/", true, put_user},
    {"POST", "/_sim/faults", false, post_faults},
    {"GET", "/_sim/faults", false, get_faults},
    {"DELETE", "/_sim/faults", false, delete_faults},
    {"POST", "/_sim/faults/release", false, release_faults},
    {"POST", "/_sim/reset", false, reset},
    {NULL, NULL, false, NULL},
};
