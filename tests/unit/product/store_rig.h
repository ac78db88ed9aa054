/* store_rig.h - the store on a real Redis and a KOS of the test's own. */
#ifndef TESTS_PRODUCT_STORE_RIG_H
#define TESTS_PRODUCT_STORE_RIG_H

#include "unit/product/rig.h"

#define KEY  CUSTOMER_KEY LINE
#define HOUR INT64_C(3600000)

static pid_t redis_pid;
static int redis_port;
static redisContext *redis; /* the test's own connection */
static struct redis_link *link_;
static struct redis_config redis_settings;
static struct store_config store_settings;
static struct store *store;

struct heard {
    unsigned count;
    enum store_answer answer;
    bool cached, stale, has_product;
    int64_t age_s, loaded_at;
    size_t notes, products;
    char code[64], name[64], network[16], json[2048], reason[64], customer_id[32];
    enum line_status status;
    uint64_t retry_after_ns;
};

static inline void keep_text(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text ? text : "");
}

static inline void hear(void *arg, const struct store_customer *r)
{
    struct heard *h = arg;
    *h = (struct heard){.count = h->count + 1,
                        .answer = r->answer,
                        .cached = r->cached,
                        .stale = r->stale,
                        .has_product = r->customer.has_product,
                        .age_s = r->age_s,
                        .loaded_at = r->loaded_at,
                        .notes = r->note_count,
                        .status = r->customer.status,
                        .retry_after_ns = r->retry_after_ns};
    keep_text(h->code, sizeof h->code, r->customer.product.code);
    keep_text(h->name, sizeof h->name, r->customer.product.name);
    keep_text(h->network, sizeof h->network, r->customer.product.network_type);
    keep_text(h->customer_id, sizeof h->customer_id, r->customer.customer_id);
    keep_text(h->reason, sizeof h->reason, r->reason);
    snprintf(h->json, sizeof h->json, "%.*s", (int)r->json_len, r->json ? r->json : "");
}

static inline void hear_catalogue(void *arg, const struct store_catalogue *r)
{
    struct heard *h = arg;
    *h = (struct heard){.count = h->count + 1,
                        .answer = r->answer,
                        .cached = r->cached,
                        .stale = r->stale,
                        .age_s = r->age_s,
                        .products = r->catalogue ? r->catalogue->count : 0,
                        .retry_after_ns = r->retry_after_ns};
    keep_text(h->code, sizeof h->code,
              r->catalogue && r->catalogue->count ? r->catalogue->products[0].code : NULL);
    keep_text(h->reason, sizeof h->reason, r->reason);
}

static inline void redis_connect(void)
{
    redis_pid = redis_start(redis_port);
    redis = redis_client(redis_port);
    ck_assert_ptr_nonnull(redis);
}

static inline void store_open(void)
{
    char err[256];
    store = store_create(&reactor, link_, kos, &store_settings, err, sizeof err);
    ck_assert_msg(store != NULL, "%s", err);
}

/* The store alone is new: what its reactor remembers is gone, what is in Redis is not. */
static inline void store_reopen(void)
{
    store_destroy(store);
    store_open();
}

static inline void store_setup_with(struct kos_config config)
{
    char err[256];
    rig_setup_loop();
    rig_setup_kos(config);
    bypass_clear();
    redis_port = free_port();
    redis_connect();
    redis_settings = (struct redis_config){.host = "127.0.0.1",
                                           .port = redis_port,
                                           .password = "",
                                           .deadline_ms = 500,
                                           .connect_timeout_ms = 1000,
                                           .max_in_flight = 4096};
    link_ = redis_link_create(&reactor, &redis_settings, NULL, err, sizeof err);
    ck_assert_msg(link_ != NULL, "%s", err);
    ck_assert(rig_until(redis_link_up(link_), WAIT));
    store_settings = (struct store_config){.customer_ttl_ms = 4 * HOUR,
                                           .customer_soft_age_ms = HOUR,
                                           .catalogue_ttl_ms = 24 * HOUR,
                                           .catalogue_soft_age_ms = 6 * HOUR,
                                           .jitter_percent = 10};
    store_open();
}

static inline void store_setup(void)
{
    store_setup_with(test_kos_config());
}

static inline void redis_kill(void)
{
    if (redis) {
        redisFree(redis);
        redis = NULL;
        redis_stop(redis_pid);
    }
}

static inline void store_teardown(void)
{
    store_destroy(store);
    kos_destroy(kos);
    kos = NULL;
    redis_link_destroy(link_);
    rig_teardown();
    redis_kill();
    bypass_clear();
}

/* ---- looking into Redis ---- */

static inline redisReply *ask(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    redisReply *r = redisvCommand(redis, format, args);
    va_end(args);
    ck_assert_ptr_nonnull(r);
    ck_assert_msg(r->type != REDIS_REPLY_ERROR, "%s", r->str);
    return r;
}

/* The present value, NUL-terminated; "" when there is none. The caller frees. */
static inline char *value_of(const char *key, size_t *len)
{
    redisReply *r = ask("GET %s", key);
    char *copy = calloc(1, r->len + 1);
    if (r->type == REDIS_REPLY_STRING) {
        memcpy(copy, r->str, r->len);
    }
    if (len) {
        *len = r->type == REDIS_REPLY_STRING ? r->len : 0;
    }
    freeReplyObject(r);
    return copy;
}

static inline bool holds_entry(const char *key, const char *magic)
{
    char *value = value_of(key, NULL);
    bool held = strncmp(value, magic, strlen(magic)) == 0;
    free(value);
    return held;
}

static inline bool value_contains(const char *key, const char *text)
{
    size_t len;
    char *value = value_of(key, &len);
    bool found = memmem(value, len, text, strlen(text)) != NULL;
    free(value);
    return found;
}

static inline void set_value(const char *key, const char *value, size_t len)
{
    freeReplyObject(ask("SET %s %b", key, value, len));
}

/* An entry for LINE as another instance would have written it, age_ms ago. */
static inline void put_customer(const char *code, int64_t age_ms)
{
    struct customer c = {.line = LINE,
                         .customer_id = "OLD",
                         .has_product = true,
                         .product = {.code = code, .name = "옛 상품", .monthly_fee = 1}};
    struct buf json, entry;
    buf_init(&json, 4096);
    buf_init(&entry, 8192);
    customer_json(&json, &c);
    entry_customer_write(&entry, &c, json.data, json.len, clock_wall_ms() - age_ms);
    set_value(KEY, entry.data, entry.len);
    buf_free(&json);
    buf_free(&entry);
}

static inline void put_catalogue(const char *code, int64_t age_ms)
{
    struct product p = {.code = code, .name = code, .monthly_fee = 1, .available = true};
    struct catalogue *c = catalogue_new(1);
    char token[ENTRY_TOKEN_LEN + 1];
    struct buf entry;
    buf_init(&entry, 8192);
    ck_assert(catalogue_add(c, &p));
    entry_catalogue_write(&entry, c, clock_wall_ms() - age_ms, token);
    set_value(CATALOGUE_KEY, entry.data, entry.len);
    buf_free(&entry);
    catalogue_unref(c);
}

/* ---- loading, start to end ---- */

static inline void load_mode(struct heard *h, enum store_mode mode)
{
    unsigned before = h->count;
    ck_assert_ptr_nonnull(store_customer(store, LINE, mode, &caller, in_ms(8000), hear, h));
    ck_assert_uint_eq(h->count, before);
    ck_assert(rig_until(h->count == before + 1, WAIT));
}

static inline void load(struct heard *h)
{
    load_mode(h, STORE_SCREEN);
}

static inline void load_catalogue(struct heard *h)
{
    unsigned before = h->count;
    ck_assert_ptr_nonnull(store_catalogue(store, &caller, in_ms(8000), hear_catalogue, h));
    ck_assert_uint_eq(h->count, before);
    ck_assert(rig_until(h->count == before + 1, WAIT));
}

/* All commands that were sent before have been executed: Redis answers in order. */
static inline void pong(void *arg, enum redis_outcome outcome, const redisReply *reply)
{
    (void)outcome;
    (void)reply;
    *(bool *)arg = true;
}

static inline void settle(void)
{
    bool ponged = false;
    const struct redis_arg args[] = {{"PING", 4}};
    redis_command(link_, 0, pong, &ponged, args, 1);
    ck_assert(rig_until(ponged, WAIT));
}

static inline void dropped(void *arg, bool acknowledged)
{
    *(int *)arg = acknowledged ? 1 : -1;
}

static inline int invalidate(void)
{
    int done = 0;
    ck_assert_ptr_nonnull(store_invalidate(store, LINE, dropped, &done));
    ck_assert(rig_until(done, WAIT));
    return done;
}

#endif
