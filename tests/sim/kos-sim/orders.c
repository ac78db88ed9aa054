/* The KOS simulator's own record of orders: what tests look at for "nothing twice". */
#include "kos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kos_order *kos_first_order(const struct kos *k, const char *request_id)
{
    return sim_map_get(&k->by_request, request_id);
}

void kos_order_number(const struct kos_order *o, char out[32])
{
    char date[SIM_TIME_SIZE];

    snprintf(out, 32, "KO%.8s%010llu", sim_date_seoul(date, o->at_ms), (unsigned long long)o->number);
}

static void order_json(struct sim_buf *out, const struct kos_order *o)
{
    char at[SIM_TIME_SIZE];
    char number[32];

    sim_buf_str(out, "{\"requestId\":");
    sim_buf_json(out, o->request_id);
    sim_buf_str(out, ",\"lineNumber\":");
    sim_buf_json(out, o->line);
    sim_buf_str(out, ",\"previous\":");
    sim_buf_json(out, o->previous);
    sim_buf_str(out, ",\"new\":");
    sim_buf_json(out, o->target);
    sim_buf_fmt(out, ",\"at\":\"%s\",\"atMs\":%lld,\"applied\":%s,\"duplicate\":%s,\"resultCode\":\"%s\"",
                sim_time_utc(at, o->at_ms), (long long)o->at_ms, o->applied ? "true" : "false",
                o->duplicate ? "true" : "false", o->result);
    if (o->number) {
        kos_order_number(o, number);
        sim_buf_fmt(out, ",\"number\":%llu,\"kosOrderNumber\":\"%s\"", (unsigned long long)o->number, number);
    }
    sim_buf_str(out, "}");
}

void kos_orders_json(const struct kos *k, struct sim_buf *out, const char *line, const char *request_id,
                     bool only_applied, size_t limit)
{
    size_t i, total = 0, skip = 0, seen = 0;
    int pass;

    sim_buf_str(out, "{\"orders\":[");
    for (pass = 0; pass < 2; pass++) { /* count first: a limit keeps the newest */
        skip = limit && total > limit ? total - limit : 0;
        for (i = 0; i < k->order_count; i++) {
            const struct kos_order *o = k->orders[i];

            if ((line && strcmp(line, o->line) != 0) ||
                (request_id && strcmp(request_id, o->request_id) != 0) || (only_applied && !o->applied))
                continue;
            if (pass == 0) {
                total++;
            } else if (seen++ >= skip) {
                if (out->data[out->length - 1] != '[')
                    sim_buf_str(out, ",");
                order_json(out, o);
            }
        }
    }
    sim_buf_fmt(out, "],\"total\":%zu}", total);
}

static struct kos_order *record(struct kos *k, const struct kos_order *order, const char *request_id)
{
    struct kos_customer *c = sim_map_get(&k->customers, order->line);
    struct kos_order *o, *first;
    size_t n = strlen(request_id) + 1;

    if (k->order_count == k->order_size) {
        k->order_size = k->order_size ? k->order_size * 2 : 1024;
        k->orders = sim_realloc(k->orders, k->order_size * sizeof(struct kos_order *));
    }
    o = sim_alloc(sizeof *o + n);
    *o = *order;
    memcpy(o->request_id, request_id, n);
    k->orders[k->order_count++] = o;
    first = kos_first_order(k, request_id);
    if (first) {
        k->duplicate_ids++;
    } else {
        first = o;
        sim_map_put(&k->by_request, o->request_id, o);
    }
    first->seen++;
    if (o->applied) {
        k->applied++;
        if (++first->times_applied == 2)
            k->applied_twice++;
        if (c) {
            c->product = o->target;
            cJSON_DeleteItemFromObjectCaseSensitive(c->over, "productInfo"); /* was about the old product */
        }
    }
    return o;
}

struct kos_order *kos_add_order(struct kos *k, const struct kos_order *order, const char *request_id)
{
    struct sim_buf line = {0};
    struct kos_order *o;

    if (k->order_count >= k->max_orders)
        return NULL;
    o = record(k, order, request_id);
    if (o->applied)
        o->number = ++k->last_number;
    if (k->state.fd >= 0) {
        sim_buf_str(&line, "{\"order\":");
        order_json(&line, o);
        sim_buf_str(&line, "}");
        sim_state_add(&k->state, line.data, line.length);
        sim_buf_free(&line);
    }
    return o;
}

void kos_orders_clear(struct kos *k)
{
    size_t i;

    for (i = 0; i < k->order_count; i++)
        free(k->orders[i]);
    free(k->orders);
    k->orders = NULL;
    k->order_count = 0;
    k->order_size = 0;
    sim_map_free(&k->by_request);
    k->applied = 0;
    k->applied_twice = 0;
    k->duplicate_ids = 0;
}

static void replay_order(struct kos *k, const cJSON *json)
{
    struct kos_order o = {0};

    sim_copy(o.line, sizeof o.line, sim_json_text(json, "lineNumber", ""));
    sim_copy(o.result, sizeof o.result, sim_json_text(json, "resultCode", ""));
    o.previous = kos_intern(k, sim_json_text(json, "previous", NULL));
    o.target = kos_intern(k, sim_json_text(json, "new", NULL));
    o.at_ms = (int64_t)sim_json_number(json, "atMs", 0);
    o.applied = sim_json_bool(json, "applied", false);
    o.duplicate = sim_json_bool(json, "duplicate", false);
    o.number = (uint64_t)sim_json_number(json, "number", 0);
    if (o.number > k->last_number)
        k->last_number = o.number;
    record(k, &o, sim_json_text(json, "requestId", ""));
}

void kos_replay(void *app, cJSON *line)
{
    struct kos *k = app;
    const cJSON *order = cJSON_GetObjectItemCaseSensitive(line, "order");
    const cJSON *spec = cJSON_GetObjectItemCaseSensitive(line, "spec");
    const char *customer = sim_json_text(line, "customer", NULL);
    const char *product = sim_json_text(line, "product", NULL);
    const char *error;

    if (order)
        replay_order(k, order);
    else if (customer && spec)
        kos_put_customer(k, customer, spec, &error);
    else if (product && spec)
        kos_put_product(k, product, spec, &error);
}

static void save(struct kos *k, const char *what, const char *key, const cJSON *spec)
{
    struct sim_buf line = {0};
    char *text;

    if (k->state.fd < 0)
        return;
    text = cJSON_PrintUnformatted(spec);
    sim_buf_fmt(&line, "{\"%s\":", what);
    sim_buf_json(&line, key);
    sim_buf_fmt(&line, ",\"spec\":%s}", text);
    sim_state_add(&k->state, line.data, line.length);
    sim_buf_free(&line);
    free(text);
}

void kos_save_customer(struct kos *k, const char *line, const cJSON *spec)
{
    save(k, "customer", line, spec);
}

void kos_save_product(struct kos *k, const char *code, const cJSON *spec)
{
    save(k, "product", code, spec);
}
