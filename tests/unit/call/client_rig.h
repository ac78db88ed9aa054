/* client_rig.h - one client and one server for a test, and a call from its start to its one result. */
#ifndef TESTS_CALL_CLIENT_RIG_H
#define TESTS_CALL_CLIENT_RIG_H

#include "unit/call/rig.h"

static struct server server;
static struct call_client *client;

static inline void setup(void)
{
    char err[128];
    rig_setup();
    client = call_client_create(&reactor, 50, err, sizeof err);
    ck_assert_msg(client != NULL, "%s", err);
}

static inline void teardown(void)
{
    if (client) {
        call_client_destroy(client);
    }
    if (server.listener.data) {
        server_stop(&server);
    }
    rig_teardown();
    server.listener.data = NULL;
}

struct outcome {
    unsigned count;
    enum call_reach reach;
    enum call_error error;
    int status;
    size_t len;
    char body[256], type[64], reason[256];
    int64_t retry_after_s;
    uint64_t elapsed_ms;
};

static void on_done(void *arg, const struct call_result *r)
{
    struct outcome *o = arg;
    o->count++;
    o->reach = r->reach;
    o->error = r->error;
    o->status = r->status;
    o->len = r->len;
    snprintf(o->body, sizeof o->body, "%.*s", (int)r->len, r->body);
    snprintf(o->type, sizeof o->type, "%s", r->content_type);
    snprintf(o->reason, sizeof o->reason, "%s", r->reason);
    o->retry_after_s = r->retry_after_s;
    o->elapsed_ms = r->elapsed_ns / NS_PER_MS;
    ck_assert((r->status != 0) == (r->reach == CALL_ANSWERED));
    ck_assert((r->error == CALL_OK) == (r->reach == CALL_ANSWERED));
}

static struct outcome run(const struct call_request *request)
{
    struct outcome o = {0};
    ck_assert_ptr_nonnull(call_start(client, request, on_done, &o));
    ck_assert_uint_eq(o.count, 0); /* never before the call returned */
    ck_assert(rig_until(o.count, 5000));
    ck_assert_uint_eq(call_client_in_flight(client), 0);
    return o;
}

#endif
