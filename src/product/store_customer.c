/* store_customer.c - one line's customer: cache, then KOS.
 *
 *   load:    look-up --hit--------------------------------------------------------------> told
 *               |------ past its soft age and the breaker is open: the stale entry -----> told
 *               | miss, past its soft age, no Redis, bypass; an order's at once
 *               v
 *   flight:  inquiry --something missing----> catalogue --> answer: stored if it may be -> all told
 *               +--failed: the stale entry, if there is one -------------------------------+
 *
 * Only an active line's customer with a complete product (0000) is stored (CONTRACT.md 2, Reads). */
#include "product/store_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_GUESS_NS NS_PER_SEC
#define LOOK_UP_MS     500  /* more than Redis is given for the catalogue */
#define DETAILS_MS     1000 /* for what a screen can do without */
#define JSON_MAX       ENTRY_CUSTOMER_MAX

/* On every read: no formatting. */
static void customer_key(char key[STORE_KEY_MAX], const char *line)
{
    memcpy(key, CUSTOMER_KEY, sizeof CUSTOMER_KEY - 1);
    memcpy(key + sizeof CUSTOMER_KEY - 1, line, strlen(line) + 1);
}

/* ---- telling ---- */

static void tell(struct store_load *load, const struct store_customer *result)
{
    store_customer_done done = load->done.customer;
    void *arg = load->arg;
    load_free(load);
    done(arg, result);
}

static struct store_customer from_entry(const struct entry_customer *e, bool stale)
{
    return (struct store_customer){.answer = STORE_OK,
                                   .customer = e->customer,
                                   .json = e->json,
                                   .json_len = e->head.json_len,
                                   .cached = true,
                                   .stale = stale,
                                   .age_s = stale ? age_of(e->head.filled_at) / 1000 : 0,
                                   .loaded_at = e->head.filled_at};
}

/* The entry that the flight was to refresh: everybody who waits for it may have it. */
static bool from_stale(const struct flight *f, struct store_customer *out)
{
    struct entry_customer e;
    if (!f->stale || !entry_customer_read(f->stale, f->stale_len, f->line, &e)) {
        return false;
    }
    *out = from_entry(&e, true);
    out->notes = f->notes;
    out->note_count = f->note_count;
    out->retry_after_ns = f->retry_after_ns;
    out->reason = f->reason;
    return true;
}

void customer_give_up(struct store_load *load, const char *reason)
{
    struct store_customer result;
    if (!load->flight || !from_stale(load->flight, &result)) {
        result = (struct store_customer){
            .answer = STORE_UNAVAILABLE, .retry_after_ns = RETRY_GUESS_NS, .reason = reason};
    }
    if (result.answer == STORE_OK) { /* its texts are the flight's, which outlives this call */
        store_count(STORE_CUSTOMER, STORE_STALE);
    }
    tell(load, &result);
}

static void tell_all(struct flight *f, const struct store_customer *result)
{
    struct store_load *load;
    flight_close(f);
    while ((load = TAILQ_FIRST(&f->waiters))) {
        tell(load, result);
    }
    flight_free(f);
}

/* ---- the end of a flight ---- */

static void finish_failed(struct flight *f)
{
    struct store_customer result;
    char key[STORE_KEY_MAX];
    if (f->fresh) {
        customer_key(key, f->line);
        lease_return(f->store->redis, key, f->token);
    }
    if (from_stale(f, &result)) {
        store_count(STORE_CUSTOMER, STORE_STALE);
    } else {
        result = (struct store_customer){.answer = STORE_UNAVAILABLE,
                                         .loaded_at = f->asked_at,
                                         .retry_after_ns = f->retry_after_ns,
                                         .notes = f->notes,
                                         .note_count = f->note_count,
                                         .reason = f->reason};
    }
    tell_all(f, &result);
}

static void store_entry(struct flight *f, const struct buf *json)
{
    struct store *s = f->store;
    struct buf entry;
    char key[STORE_KEY_MAX];
    buf_init(&entry, ENTRY_CUSTOMER_MAX);
    entry_customer_write(&entry, &f->customer, json->data, json->len, f->asked_at);
    if (buf_ok(&entry)) {
        customer_key(key, f->line);
        lease_fill(s->redis, key, f->token, strlen(f->token), entry.data, entry.len,
                   store_ttl(s, s->config->customer_ttl_ms), NULL, NULL);
    }
    buf_free(&entry);
}

/* An answer that is not kept: the lease goes back, and an entry that it contradicts goes away. */
static void forget_entry(struct flight *f)
{
    char key[STORE_KEY_MAX];
    customer_key(key, f->line);
    if (f->fresh) {
        lease_return(f->store->redis, key, f->token);
    } else if (f->stale) {
        lease_drop(f->store->redis, key, NULL, NULL);
    }
}

static void finish_answered(struct flight *f)
{
    struct buf json;
    struct store_customer result = {.answer = f->answer,
                                    .customer = f->customer,
                                    .loaded_at = f->asked_at,
                                    .notes = f->notes,
                                    .note_count = f->note_count,
                                    .reason = f->reason};
    buf_init(&json, JSON_MAX);
    if (f->answer == STORE_OK && (f->shared || *f->token)) { /* an order has no use for the screen's JSON */
        customer_json(&json, &f->customer);
        if (!buf_ok(&json)) {
            buf_free(&json);
            f->reason = "no memory";
            finish_failed(f);
            return;
        }
        result.json = json.data;
        result.json_len = json.len;
    }
    if (*f->token && !bypass_holds(f->line)) {
        if (f->answer == STORE_OK) {
            store_entry(f, &json);
        } else {
            forget_entry(f);
        }
    }
    tell_all(f, &result);
    buf_free(&json);
}

/* ---- KOS's answer ---- */

static bool keep(struct arena *a, const char **text)
{
    *text = *text ? arena_strdup(a, *text) : NULL;
    return *text != NULL;
}

/* KOS's answer lives until its callback returns; the flight may go on. */
static bool copy_customer(struct flight *f, const struct customer *from)
{
    struct customer *c = &f->customer;
    const char **texts[] = {&c->customer_id,
                            &c->name,
                            &c->operator_code,
                            &c->contract_date,
                            &c->product.code,
                            &c->product.name,
                            &c->product.data_allowance,
                            &c->product.voice_allowance,
                            &c->product.sms_allowance,
                            &c->product.operator_code,
                            &c->product.network_type,
                            &c->product.description};
    *c = *from;
    c->line = f->line;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (*texts[i] && !keep(&f->arena, texts[i])) {
            return false;
        }
    }
    return true;
}

/* Name or fee neither at KOS nor in the catalogue: like 3003. */
static void without_product(struct flight *f)
{
    f->customer.has_product = false;
    f->customer.product = (struct product){.code = NULL};
    if (f->answer == STORE_OK) {
        f->answer = STORE_NO_PRODUCT;
        f->reason = "name or fee of the product unknown";
    }
}

static void on_catalogue(void *arg, const struct store_catalogue *result)
{
    struct flight *f = arg;
    f->catalogue_load = NULL;
    if (result->answer == STORE_OK) {
        f->catalogue = result->catalogue;
        f->catalogue->refs++;
        if (!product_complete(&f->customer.product, f->catalogue)) {
            without_product(f);
        }
    } else if (f->answer == STORE_OK && !product_is_complete(&f->customer.product)) {
        /* the catalogue may know: this is no answer yet */
        f->retry_after_ns = result->retry_after_ns;
        f->reason = result->reason;
        finish_failed(f);
        return;
    } else if (!product_is_complete(&f->customer.product)) {
        without_product(f);
    }
    finish_answered(f);
}

/* An inquiry never tells some of a product's details; the catalogue is asked for them, but not for long. */
static bool wants_details(const struct flight *f)
{
    const struct product *p = &f->customer.product;
    bool all = p->data_allowance && p->voice_allowance && p->sms_allowance && p->operator_code &&
               p->network_type && p->description;
    bool answered = f->answer == STORE_OK || (f->answer == STORE_NOT_ACTIVE && f->customer.has_product);
    return answered && f->shared && !(all && p->availability_given);
}

static void complete_product(struct flight *f, uint64_t patience_ms)
{
    struct kos_caller caller = flight_caller(f);
    uint64_t deadline = clock_mono_ns() + patience_ms * NS_PER_MS;
    f->catalogue_load = store_catalogue(f->store, &caller, deadline, on_catalogue, f);
    if (!f->catalogue_load) {
        f->reason = "no memory";
        finish_failed(f);
    }
}

static void on_inquiry(void *arg, const struct kos_read *read)
{
    static const enum store_answer answers[] = {[KOS_READ_OK] = STORE_OK,
                                                [KOS_UNKNOWN_LINE] = STORE_UNKNOWN_LINE,
                                                [KOS_NOT_ACTIVE] = STORE_NOT_ACTIVE,
                                                [KOS_NO_PRODUCT] = STORE_NO_PRODUCT,
                                                [KOS_UNAVAILABLE] = STORE_UNAVAILABLE};
    struct flight *f = arg;
    f->request = NULL;
    flight_take_notes(f, read);
    f->answer = answers[read->answer];
    if (read->customer && !copy_customer(f, read->customer)) {
        f->reason = "no memory";
        f->answer = STORE_UNAVAILABLE;
    }
    f->customer.line = f->line;
    if (f->answer == STORE_UNAVAILABLE) {
        finish_failed(f);
    } else if (read->product_incomplete) {
        uint64_t list_ms = (uint64_t)kos_settings(f->store->kos)->list_deadline_ms;
        complete_product(f, list_ms + LOOK_UP_MS);
    } else if (wants_details(f)) {
        complete_product(f, DETAILS_MS);
    } else {
        finish_answered(f);
    }
}

/* ---- the start of a flight ---- */

/* Joins the flight that has the same question, or starts one. False: no memory, nothing has happened. */
static bool take_off(struct store_load *load, const char *token, bool fresh, const char *stale,
                     size_t stale_len, enum store_result how)
{
    struct store *s = load->store;
    bool shared = load->mode == STORE_SCREEN;
    struct flight *f = shared ? flight_find(s, STORE_CUSTOMER, load->line, token) : NULL;
    if (f) {
        store_count_joined(STORE_CUSTOMER);
        flight_join(f, load);
        return true;
    }
    f = flight_new(load, token, shared);
    if (!f) {
        return false;
    }
    f->fresh = fresh;
    if (stale && (f->stale = malloc(stale_len))) {
        memcpy(f->stale, stale, stale_len);
        f->stale_len = stale_len;
    }
    struct kos_caller caller = flight_caller(f);
    f->request = kos_inquiry(s->kos, f->line, &caller, shared ? 0 : load->deadline_ns, on_inquiry, f);
    if (!f->request) {
        flight_free(f);
        return false;
    }
    store_count(STORE_CUSTOMER, how);
    flight_join(f, load);
    return true;
}

static void take_off_or_fail(struct store_load *load, const char *token, bool fresh, const char *stale,
                             size_t stale_len, enum store_result how)
{
    if (!take_off(load, token, fresh, stale, stale_len, how)) {
        customer_give_up(load, "no memory");
    }
}

/* ---- looking up ---- */

static void on_found(void *arg, const struct lease_result *r);

static bool look_up(struct store_load *load)
{
    char key[STORE_KEY_MAX];
    customer_key(key, load->line);
    load->lookup = lease_get(load->store->redis, key, 0, on_found, load);
    return load->lookup != NULL;
}

/* It is no entry of ours, whatever it is. Deleting is always safe; then there is a lease to be had. */
static void on_damaged(struct store_load *load)
{
    char key[STORE_KEY_MAX];
    store_count_damaged(STORE_CUSTOMER);
    customer_key(key, load->line);
    lease_drop(load->store->redis, key, NULL, NULL);
    if (load->healed || !look_up(load)) {
        take_off_or_fail(load, "", false, NULL, 0, STORE_MISS);
        return;
    }
    load->healed = true;
}

static void on_value(struct store_load *load, const char *value, size_t len)
{
    struct store *s = load->store;
    struct entry_customer e;
    char token[ENTRY_TOKEN_LEN + 1];
    if (!entry_customer_read(value, len, load->line, &e)) {
        on_damaged(load);
        return;
    }
    int64_t age = age_of(e.head.filled_at);
    int64_t limit =
        load->mode == STORE_ORDER ? s->config->precheck_max_age_ms : s->config->customer_soft_age_ms;
    bool usable = load->mode == STORE_SCREEN && age < s->config->customer_ttl_ms;
    bool fresh = age < limit;
    uint64_t wait;
    if (fresh || (usable && !gate_looks_open(kos_gate(s->kos, KOS_INQUIRY), &wait))) {
        struct store_customer result = from_entry(&e, !fresh);
        store_count(STORE_CUSTOMER, fresh ? STORE_HIT : STORE_STALE);
        tell(load, &result);
        return;
    }
    memcpy(token, e.head.token, ENTRY_TOKEN_LEN);
    token[ENTRY_TOKEN_LEN] = '\0';
    take_off_or_fail(load, token, false, usable ? value : NULL, len,
                     load->mode == STORE_ORDER ? STORE_AFRESH : STORE_REFRESH);
}

static void on_found(void *arg, const struct lease_result *r)
{
    struct store_load *load = arg;
    load->lookup = NULL;
    if (bypass_holds(load->line)) {
        take_off_or_fail(load, "", false, NULL, 0, STORE_BYPASS);
        return;
    }
    switch (r->answer) {
    case LEASE_VALUE:
        on_value(load, r->value, r->len);
        break;
    case LEASE_HELD:
        take_off_or_fail(load, r->token, r->fresh, NULL, 0, r->fresh ? STORE_MISS : STORE_LEASED);
        break;
    case LEASE_NONE:
        take_off_or_fail(load, "", false, NULL, 0, STORE_NO_REDIS);
        break;
    }
}

struct store_load *store_customer(struct store *s, const char *line, enum store_mode mode,
                                  const struct kos_caller *caller, uint64_t deadline_ns,
                                  store_customer_done done, void *arg)
{
    struct store_load *load = load_new(s, STORE_CUSTOMER, caller, deadline_ns, arg);
    if (!load) {
        return NULL;
    }
    load->mode = mode;
    load->done.customer = done;
    memcpy(load->line, line, strnlen(line, LINE_LEN)); /* the rest is zero */
    bool ok;
    if (mode == STORE_ORDER && s->config->precheck_max_age_ms == 0) {
        ok = take_off(load, "", false, NULL, 0, STORE_AFRESH);
    } else if (bypass_holds(load->line)) {
        ok = take_off(load, "", false, NULL, 0, STORE_BYPASS);
    } else {
        ok = look_up(load);
    }
    if (!ok) {
        load_free(load);
        return NULL;
    }
    return load;
}
