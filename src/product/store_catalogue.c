/* store_catalogue.c - the products: this reactor's memory, the cache, then KOS.
 *
 *   load:    head of the entry --ours in memory, young------------------------------> told
 *               |----- ours, past its soft age, and the breaker is open ------------> told, stale
 *               | another one | lease | no Redis and nothing young in memory
 *               v             v       v
 *   flight:  whole entry --> list at KOS --> kept in memory, stored if it may be ---> all told
 *               +--young--------------------------------------------------------------+
 *                                +--failed: memory, stale, if there is one -----------+
 *
 * The entry is large: only its head is asked for, and the rest only when the head is another one. There is no
 * invalidation of the catalogue, so what is in memory is as good as what is in Redis while it is as young. */
#include "product/store_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_GUESS_NS NS_PER_SEC

/* ---- telling ---- */

static void tell(struct store_load *load, const struct store_catalogue *result)
{
    store_catalogue_done done = load->done.catalogue;
    void *arg = load->arg;
    load_free(load);
    done(arg, result);
}

/* The catalogue in memory, if it may still be served. */
static bool from_memory(const struct store *s, bool cached, struct store_catalogue *out)
{
    int64_t age = s->catalogue ? age_of(s->catalogue->filled_at) : 0;
    if (!s->catalogue || age >= s->config->catalogue_ttl_ms) {
        return false;
    }
    bool stale = age >= s->config->catalogue_soft_age_ms;
    *out = (struct store_catalogue){.answer = STORE_OK,
                                    .catalogue = s->catalogue,
                                    .cached = cached,
                                    .stale = stale,
                                    .age_s = stale ? age / 1000 : 0};
    return true;
}

static void tell_memory(struct store_load *load, const struct store_catalogue *result)
{
    struct store_catalogue copy = *result;
    copy.catalogue->refs++; /* the callback may make the store replace it */
    store_count(STORE_CATALOGUE, copy.stale ? STORE_STALE : STORE_HIT);
    tell(load, &copy);
    catalogue_unref(copy.catalogue);
}

void catalogue_give_up(struct store_load *load, const char *reason)
{
    struct store_catalogue result;
    if (from_memory(load->store, true, &result)) {
        result.reason = reason;
        tell_memory(load, &result);
        return;
    }
    result = (struct store_catalogue){
        .answer = STORE_UNAVAILABLE, .retry_after_ns = RETRY_GUESS_NS, .reason = reason};
    tell(load, &result);
}

static void tell_all(struct flight *f, const struct store_catalogue *result)
{
    struct store_load *load;
    struct catalogue *held = result->catalogue;
    flight_close(f);
    if (held) {
        held->refs++;
    }
    while ((load = TAILQ_FIRST(&f->waiters))) {
        tell(load, result);
    }
    catalogue_unref(held);
    flight_free(f);
}

/* ---- KOS ---- */

static void finish_failed(struct flight *f)
{
    struct store *s = f->store;
    struct store_catalogue result;
    if (f->fresh) {
        lease_return(s->redis, CATALOGUE_KEY, f->token);
    }
    if (from_memory(s, true, &result)) {
        store_count(STORE_CATALOGUE, result.stale ? STORE_STALE : STORE_HIT);
    } else {
        result = (struct store_catalogue){.answer = STORE_UNAVAILABLE};
    }
    result.retry_after_ns = f->retry_after_ns;
    result.reason = f->reason;
    tell_all(f, &result);
}

static void remember(struct store *s, struct catalogue *c)
{
    c->refs++;
    catalogue_unref(s->catalogue);
    s->catalogue = c;
}

static void store_entry(struct flight *f, struct catalogue *c)
{
    struct store *s = f->store;
    struct buf entry;
    buf_init(&entry, ENTRY_CATALOGUE_MAX);
    entry_catalogue_write(&entry, c, c->filled_at, c->token);
    if (buf_ok(&entry)) {
        lease_fill(s->redis, CATALOGUE_KEY, f->token, strlen(f->token), entry.data, entry.len,
                   store_ttl(s, s->config->catalogue_ttl_ms), NULL, NULL);
    }
    buf_free(&entry);
}

static void on_list(void *arg, const struct kos_read *read)
{
    struct flight *f = arg;
    f->request = NULL;
    flight_take_notes(f, read);
    if (read->answer != KOS_READ_OK) {
        finish_failed(f);
        return;
    }
    if (*f->token) {
        store_entry(f, read->catalogue); /* still nobody else's: it gets its token now */
    }
    remember(f->store, read->catalogue);
    struct store_catalogue result = {.answer = STORE_OK, .catalogue = read->catalogue};
    tell_all(f, &result);
}

static bool ask_kos(struct flight *f)
{
    struct kos_caller caller = flight_caller(f);
    f->request = kos_list(f->store->kos, &caller, 0, on_list, f);
    return f->request != NULL;
}

static void ask_kos_or_fail(struct flight *f, enum store_result how)
{
    store_count(STORE_CATALOGUE, how);
    if (!ask_kos(f)) {
        f->reason = "no memory";
        finish_failed(f);
    }
}

/* ---- the whole entry ---- */

/* True when the store's memory answers, young or because KOS is out. */
static bool good_enough(struct store *s, struct store_catalogue *out)
{
    uint64_t wait;
    return from_memory(s, true, out) && (!out->stale || !gate_looks_open(kos_gate(s->kos, KOS_LIST), &wait));
}

static void on_entry(void *arg, const struct lease_result *r)
{
    struct flight *f = arg;
    struct store *s = f->store;
    struct store_catalogue result;
    f->lookup = NULL;
    f->token[0] = '\0';
    f->fresh = false;
    if (r->answer == LEASE_HELD) {
        snprintf(f->token, sizeof f->token, "%s", r->token);
        f->fresh = r->fresh;
        ask_kos_or_fail(f, STORE_MISS);
        return;
    }
    if (r->answer == LEASE_NONE) {
        ask_kos_or_fail(f, STORE_NO_REDIS);
        return;
    }
    struct catalogue *c = entry_catalogue_read(r->value, r->len);
    if (!c) {
        store_count_damaged(STORE_CATALOGUE);
        lease_drop(s->redis, CATALOGUE_KEY, NULL, NULL);
        ask_kos_or_fail(f, STORE_MISS);
        return;
    }
    remember(s, c);
    catalogue_unref(c);
    if (good_enough(s, &result)) {
        store_count(STORE_CATALOGUE, result.stale ? STORE_STALE : STORE_HIT);
        tell_all(f, &result);
        return;
    }
    memcpy(f->token, s->catalogue->token, sizeof f->token);
    ask_kos_or_fail(f, STORE_REFRESH);
}

/* ---- loads ---- */

/* entry: the whole entry is to be fetched first. */
static void take_off(struct store_load *load, const char *token, bool fresh, bool entry,
                     enum store_result how)
{
    struct store *s = load->store;
    struct flight *f = flight_find(s, STORE_CATALOGUE, "", token);
    if (f) {
        store_count_joined(STORE_CATALOGUE);
        flight_join(f, load);
        return;
    }
    f = flight_new(load, token, true);
    if (!f) {
        catalogue_give_up(load, "no memory");
        return;
    }
    f->fresh = fresh;
    flight_join(f, load);
    if (entry && (f->lookup = lease_get(s->redis, CATALOGUE_KEY, 0, on_entry, f))) {
        return;
    }
    ask_kos_or_fail(f, how);
}

static void on_head(void *arg, const struct lease_result *r);

static bool look_up(struct store_load *load)
{
    load->lookup = lease_get(load->store->redis, CATALOGUE_KEY, ENTRY_HEAD_LEN, on_head, load);
    return load->lookup != NULL;
}

static void on_head_value(struct store_load *load, const struct lease_result *r)
{
    struct store *s = load->store;
    struct entry_head head;
    struct store_catalogue result;
    char token[ENTRY_TOKEN_LEN + 1] = "";
    if (!entry_head_read(r->value, r->len, ENTRY_CATALOGUE, &head)) {
        store_count_damaged(STORE_CATALOGUE);
        lease_drop(s->redis, CATALOGUE_KEY, NULL, NULL);
        if (load->healed || !look_up(load)) {
            take_off(load, "", false, false, STORE_MISS);
            return;
        }
        load->healed = true;
        return;
    }
    memcpy(token, head.token, ENTRY_TOKEN_LEN);
    bool known = s->catalogue && strcmp(s->catalogue->token, token) == 0;
    if (known && good_enough(s, &result)) {
        tell_memory(load, &result);
    } else {
        take_off(load, token, false, !known, STORE_REFRESH);
    }
}

static void on_head(void *arg, const struct lease_result *r)
{
    struct store_load *load = arg;
    struct store_catalogue result;
    load->lookup = NULL;
    if (r->answer == LEASE_VALUE) {
        on_head_value(load, r);
    } else if (r->answer == LEASE_HELD) {
        take_off(load, r->token, r->fresh, false, r->fresh ? STORE_MISS : STORE_LEASED);
    } else if (good_enough(load->store, &result)) {
        tell_memory(load, &result);
    } else {
        take_off(load, "", false, false, STORE_NO_REDIS);
    }
}

struct store_load *store_catalogue(struct store *s, const struct kos_caller *caller, uint64_t deadline_ns,
                                   store_catalogue_done done, void *arg)
{
    struct store_load *load = load_new(s, STORE_CATALOGUE, caller, deadline_ns, arg);
    if (!load) {
        return NULL;
    }
    load->done.catalogue = done;
    if (!look_up(load)) {
        load_free(load);
        return NULL;
    }
    return load;
}
