/* store.c - the store's life, its loads, and invalidation. */
#include "product/store_internal.h"

#include "pcs/core/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct store *store_create(struct reactor *r, struct redis_link *redis, struct kos *kos,
                           const struct store_config *config, char *err, size_t errlen)
{
    struct store *s = calloc(1, sizeof *s);
    if (!s) {
        snprintf(err, errlen, "no memory for the store");
        return NULL;
    }
    s->reactor = r;
    s->redis = redis;
    s->kos = kos;
    s->config = config;
    TAILQ_INIT(&s->looking);
    TAILQ_INIT(&s->waiting);
    LIST_INIT(&s->flights);
    LIST_INIT(&s->drops);
    uv_timer_init(&r->loop, &s->timer);
    s->timer.data = s;
    return s;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void give_up(struct store_load *load)
{
    if (load->kind == STORE_CUSTOMER) {
        customer_give_up(load, "shutting down");
    } else {
        catalogue_give_up(load, "shutting down");
    }
}

static void drop_free(struct store_drop *drop)
{
    LIST_REMOVE(drop, all);
    free(drop);
}

void store_destroy(struct store *s)
{
    if (!s) {
        return;
    }
    struct store_load *load;
    s->stopping = true;
    /* a flight that waits for the catalogue is told like everybody else, and tells its own waiters */
    while ((load = TAILQ_FIRST(&s->looking)) || (load = TAILQ_FIRST(&s->waiting))) {
        give_up(load);
    }
    while (!LIST_EMPTY(&s->flights)) {
        flight_free(LIST_FIRST(&s->flights));
    }
    while (!LIST_EMPTY(&s->drops)) {
        struct store_drop *drop = LIST_FIRST(&s->drops);
        store_dropped done = drop->done;
        void *arg = drop->arg;
        redis_cancel(drop->call);
        drop_free(drop);
        done(arg, false);
    }
    catalogue_unref(s->catalogue);
    uv_close((uv_handle_t *)&s->timer, on_closed);
}

void store_reconfigure(struct store *s, const struct store_config *config)
{
    s->config = config;
}

int64_t store_ttl(const struct store *s, int64_t ttl_ms)
{
    double shorter = s->config->jitter_percent / 100 * (double)(random_u64() % 1024) / 1024;
    int64_t ttl = ttl_ms - (int64_t)((double)ttl_ms * shorter);
    return ttl > 0 ? ttl : 1;
}

/* ---- loads ---- */

struct store_load *load_new(struct store *s, enum store_kind kind, const struct kos_caller *caller,
                            uint64_t deadline_ns, void *arg)
{
    struct store_load *load = s->stopping ? NULL : malloc(sizeof *load);
    if (!load) {
        return NULL;
    }
    *load = (struct store_load){.store = s,
                                .kind = kind,
                                .mode = STORE_SCREEN,
                                .deadline_ns = deadline_ns ? deadline_ns : UINT64_MAX,
                                .caller = *caller,
                                .arg = arg};
    TAILQ_INSERT_TAIL(&s->looking, load, in_store);
    return load;
}

void load_free(struct store_load *load)
{
    struct store *s = load->store;
    if (load->lookup) {
        lease_cancel(load->lookup);
    }
    if (load->flight) {
        TAILQ_REMOVE(&load->flight->waiters, load, in_flight);
        TAILQ_REMOVE(&s->waiting, load, in_store);
    } else {
        TAILQ_REMOVE(&s->looking, load, in_store);
    }
    free(load);
}

void store_cancel(struct store_load *load)
{
    load_free(load); /* its flight goes on: what it brings is good for the cache */
}

/* ---- invalidation ---- */

static void on_dropped(void *arg, enum redis_outcome outcome, const redisReply *reply)
{
    struct store_drop *drop = arg;
    store_dropped done = drop->done;
    void *done_arg = drop->arg;
    bool acknowledged = outcome == REDIS_REPLIED && reply->type == REDIS_REPLY_INTEGER;
    drop_free(drop);
    done(done_arg, acknowledged);
}

struct store_drop *store_invalidate(struct store *s, const char *line, store_dropped done, void *arg)
{
    char key[STORE_KEY_MAX];
    struct store_drop *drop = malloc(sizeof *drop);
    line_generation_next(line); /* also when Redis cannot be told: loads on their way are not joined */
    if (!drop) {
        return NULL;
    }
    *drop = (struct store_drop){.done = done, .arg = arg};
    text_join(key, sizeof key, CUSTOMER_KEY, line);
    drop->call = lease_drop(s->redis, key, on_dropped, drop);
    if (!drop->call) {
        free(drop);
        return NULL;
    }
    LIST_INSERT_HEAD(&s->drops, drop, all);
    return drop;
}

void store_drop_cancel(struct store_drop *drop)
{
    redis_cancel(drop->call);
    drop_free(drop);
}
