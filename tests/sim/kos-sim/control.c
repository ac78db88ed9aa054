/* The control interface of the KOS simulator: /_sim/… */
#include "kos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const failure_data_names[] = {"null", "absent", "present", NULL};
static const char *const timestamp_names[] = {"local", "array", "odd", "none", NULL};

static void settings_json(const struct kos *k, struct sim_buf *out)
{
    sim_buf_fmt(out, "{\"deduplicate\":%s,\"failureData\":\"%s\",\"timestamps\":\"%s\"}",
                k->settings.deduplicate ? "true" : "false", failure_data_names[k->settings.failure_data],
                timestamp_names[k->settings.timestamps]);
}

static void get_settings(void *app, struct sim_req *req)
{
    struct sim_buf out = {0};

    settings_json(app, &out);
    sim_reply_json(req, 200, &out);
}

/* The index of the member's text in `names`; `value` when it is absent, -1 when it is none of them. */
static int choice(const cJSON *spec, const char *member, const char *const *names, int value)
{
    const char *text;
    int i;

    if (!cJSON_GetObjectItemCaseSensitive(spec, member))
        return value;
    text = sim_json_text(spec, member, "");
    for (i = 0; names[i]; i++)
        if (strcmp(names[i], text) == 0)
            return i;
    return -1;
}

static void put_settings(void *app, struct sim_req *req)
{
    struct kos *k = app;
    cJSON *spec = sim_req_json(req);
    int data, times;

    if (!spec)
        return;
    data = choice(spec, "failureData", failure_data_names, (int)k->settings.failure_data);
    times = choice(spec, "timestamps", timestamp_names, (int)k->settings.timestamps);
    if (data < 0 || times < 0) {
        sim_reply_error(req, 400, "%s: not one of its values", data < 0 ? "failureData" : "timestamps");
    } else {
        k->settings.failure_data = (enum kos_failure_data)data;
        k->settings.timestamps = (enum kos_timestamps)times;
        k->settings.deduplicate = sim_json_bool(spec, "deduplicate", k->settings.deduplicate);
        get_settings(k, req);
    }
    cJSON_Delete(spec);
}

static void get_orders(void *app, struct sim_req *req)
{
    const char *limit = sim_req_query(req, "limit");
    const char *applied = sim_req_query(req, "applied");
    struct sim_buf out = {0};

    kos_orders_json(app, &out, sim_req_query(req, "lineNumber"), sim_req_query(req, "requestId"),
                    applied && strcmp(applied, "true") == 0, limit ? strtoul(limit, NULL, 10) : 0);
    sim_reply_json(req, 200, &out);
}

static void get_stats(void *app, struct sim_req *req)
{
    const struct kos *k = app;
    struct sim_buf out = {0};
    char more[160];
    int i;

    snprintf(more, sizeof more,
             "\"orders\":%zu,\"applied\":%llu,\"duplicateRequestIds\":%llu,\"appliedTwice\":%llu",
             k->order_count, (unsigned long long)k->applied, (unsigned long long)k->duplicate_ids,
             (unsigned long long)k->applied_twice);
    sim_buf_str(&out, "{");
    for (i = 0; i < KOS_OPERATIONS; i++) {
        sim_stats_json(&out, kos_operation_names[i], &k->stats[i], i == KOS_CHANGE ? more : "");
        sim_buf_str(&out, i + 1 < KOS_OPERATIONS ? "," : "}");
    }
    sim_reply_json(req, 200, &out);
}

static void call_json(struct sim_buf *out, const struct kos_call *c)
{
    char at[SIM_TIME_SIZE];

    sim_buf_fmt(out, "{\"at\":\"%s\",\"operation\":\"%s\",\"requestId\":", sim_time_utc(at, c->at_ms),
                kos_operation_names[c->operation]);
    sim_buf_json(out, c->request_id);
    sim_buf_str(out, ",\"lineNumber\":");
    sim_buf_json(out, c->line);
    sim_buf_str(out, ",\"headers\":{\"X-Request-ID\":");
    sim_buf_json(out, c->x_request_id);
    sim_buf_str(out, ",\"X-Service-Name\":");
    sim_buf_json(out, c->x_service_name);
    sim_buf_str(out, ",\"traceparent\":");
    sim_buf_json(out, c->traceparent);
    sim_buf_str(out, ",\"Content-Type\":");
    sim_buf_json(out, c->content_type);
    sim_buf_str(out, "}}");
}

/* ?operation= &lineNumber= &requestId= &limit=: oldest first, of the last KOS_CALLS_MAX; a limit keeps
 * the newest. */
static void get_calls(void *app, struct sim_req *req)
{
    const struct kos *k = app;
    const char *operation = sim_req_query(req, "operation");
    const char *line = sim_req_query(req, "lineNumber");
    const char *id = sim_req_query(req, "requestId");
    const char *limit = sim_req_query(req, "limit");
    uint64_t first = k->call_count > KOS_CALLS_MAX ? k->call_count - KOS_CALLS_MAX : 0;
    size_t most = limit ? strtoul(limit, NULL, 10) : 0;
    const struct kos_call **found = sim_alloc(KOS_CALLS_MAX * sizeof(struct kos_call *));
    struct sim_buf out = {0};
    size_t n = 0, i;

    for (; first < k->call_count; first++) {
        const struct kos_call *c = &k->calls[first % KOS_CALLS_MAX];

        if ((!operation || strcmp(operation, kos_operation_names[c->operation]) == 0) &&
            (!line || strcmp(line, c->line) == 0) && (!id || strcmp(id, c->request_id) == 0))
            found[n++] = c;
    }
    sim_buf_str(&out, "{\"calls\":[");
    for (i = most && n > most ? n - most : 0; i < n; i++) {
        call_json(&out, found[i]);
        if (i + 1 < n)
            sim_buf_str(&out, ",");
    }
    sim_buf_fmt(&out, "],\"total\":%llu}", (unsigned long long)k->call_count);
    free(found);
    sim_reply_json(req, 200, &out);
}

static void customer_json(struct sim_buf *out, const struct kos_customer *c)
{
    char *over;

    sim_buf_str(out, "{\"lineNumber\":");
    sim_buf_json(out, c->line);
    sim_buf_str(out, ",\"customerId\":");
    sim_buf_json(out, c->id);
    sim_buf_str(out, ",\"customerName\":");
    sim_buf_json(out, c->name);
    sim_buf_str(out, ",\"operatorCode\":");
    sim_buf_json(out, c->operator_code);
    sim_buf_str(out, ",\"lineStatus\":");
    sim_buf_json(out, c->status[0] ? c->status : NULL);
    sim_buf_str(out, ",\"productCode\":");
    sim_buf_json(out, c->product);
    sim_buf_str(out, ",\"contractDate\":");
    sim_buf_json(out, c->contract_date);
    if (c->inquiry_result[0])
        sim_buf_fmt(out, ",\"inquiryResult\":\"%s\"", c->inquiry_result);
    if (c->order_result[0])
        sim_buf_fmt(out, ",\"orderResult\":\"%s\"", c->order_result);
    if (c->over) {
        over = cJSON_PrintUnformatted(c->over);
        sim_buf_fmt(out, ",\"inquiry\":%s", over);
        free(over);
    }
    sim_buf_str(out, "}");
}

static void get_customer(void *app, struct sim_req *req)
{
    const struct kos *k = app;
    const struct kos_customer *c = sim_map_get(&k->customers, sim_req_rest(req));
    struct sim_buf out = {0};

    if (!c) {
        sim_reply_error(req, 404, "there is no line %s", sim_req_rest(req));
        return;
    }
    customer_json(&out, c);
    sim_reply_json(req, 200, &out);
}

static void put_customer(void *app, struct sim_req *req)
{
    struct kos *k = app;
    cJSON *spec = sim_req_json(req);
    const char *error = NULL;

    if (!spec)
        return;
    if (kos_put_customer(k, sim_req_rest(req), spec, &error)) {
        kos_save_customer(k, sim_req_rest(req), spec);
        get_customer(k, req);
    } else {
        sim_reply_error(req, 400, "%s", error);
    }
    cJSON_Delete(spec);
}

static void put_product(void *app, struct sim_req *req)
{
    struct kos *k = app;
    cJSON *spec = sim_req_json(req);
    const char *error = NULL;
    const struct kos_product *p;

    if (!spec)
        return;
    p = kos_put_product(k, sim_req_rest(req), spec, &error);
    if (p) {
        struct sim_buf out = {0};
        char *text = cJSON_PrintUnformatted(p->json);

        kos_save_product(k, sim_req_rest(req), spec);
        sim_buf_str(&out, text);
        free(text);
        sim_reply_json(req, 200, &out);
    } else {
        sim_reply_error(req, 400, "%s", error);
    }
    cJSON_Delete(spec);
}

static void get_products(void *app, struct sim_req *req)
{
    struct sim_buf out = {0};

    sim_buf_fmt(&out, "{\"products\":%s}", kos_list_json(app));
    sim_reply_json(req, 200, &out);
}

/* Back to the data file: orders, calls, counters, faults, settings and everything held are gone. */
static void reset(void *app, struct sim_req *req)
{
    struct kos *k = app;
    int i;

    sim_faults_clear(&k->faults, true);
    kos_orders_clear(k);
    kos_unload(k);
    kos_load(k);
    k->settings = k->initial;
    k->call_count = 0;
    for (i = 0; i < KOS_OPERATIONS; i++) {
        uint64_t now = k->stats[i].concurrent;

        k->stats[i] = (struct sim_stats){.concurrent = now};
    }
    sim_state_clear(&k->state);
    sim_reply_ok(req);
}

static void health(void *app, struct sim_req *req)
{
    (void)app;
    sim_reply_ok(req);
}

static void post_faults(void *app, struct sim_req *req)
{
    sim_faults_post(&((struct kos *)app)->faults, req);
}

static void get_faults(void *app, struct sim_req *req)
{
    sim_faults_get(&((struct kos *)app)->faults, req);
}

static void delete_faults(void *app, struct sim_req *req)
{
    sim_faults_delete(&((struct kos *)app)->faults, req);
}

static void release_faults(void *app, struct sim_req *req)
{
    sim_faults_release(&((struct kos *)app)->faults, req);
}

static void get_held(void *app, struct sim_req *req)
{
    sim_faults_held(&((struct kos *)app)->faults, req);
}

const struct sim_route kos_routes[] = {
    {"POST", "/api/v1/kos/product/inquiry", false, kos_inquiry},
    {"GET", "/api/v1/kos/product/list", false, kos_list},
    {"POST", "/api/v1/kos/product/change", false, kos_change},
    {"GET", "/_sim/health", false, health},
    {"GET", "/_sim/orders", false, get_orders},
    {"GET", "/_sim/stats", false, get_stats},
    {"GET", "/_sim/calls", false, get_calls},
    {"GET", "/_sim/settings", false, get_settings},
    {"PUT", "/_sim/settings", false, put_settings},
    {"GET", "/_sim/customers/", true, get_customer},
    {"PUT", "/_sim/customers/", true, put_customer},
    {"GET", "/_sim/products", false, get_products},
    {"PUT", "/_sim/products/", true, put_product},
    {"POST", "/_sim/faults", false, post_faults},
    {"GET", "/_sim/faults", false, get_faults},
    {"DELETE", "/_sim/faults", false, delete_faults},
    {"POST", "/_sim/faults/release", false, release_faults},
    {"GET", "/_sim/held", false, get_held},
    {"POST", "/_sim/reset", false, reset},
    {NULL, NULL, false, NULL},
};
