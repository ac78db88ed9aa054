/* store_internal.h - loads and flights.
 *
 * A load is one caller's wish; a flight is one question to KOS (and what leads to it) that any number of
 * loads wait for. */
#ifndef PRODUCT_STORE_INTERNAL_H
#define PRODUCT_STORE_INTERNAL_H

#include "pcs/core/clock.h"
#include "pcs/core/id.h"
#include "product/bypass.h"
#include "product/entry.h"

#include <sys/queue.h>

#define FLIGHT_BUCKETS 1024
#define STORE_NOTES    4
#define STORE_KEY_MAX  40

/* The number belongs to the layout of the entries (entry.c). Instances of two versions do not see each
 * other's entries: a version that raises it has to delete the older key too when it invalidates. */
#define CUSTOMER_KEY  "pcs:customer:1:"
#define CATALOGUE_KEY "pcs:catalogue:1"

_Static_assert(sizeof CUSTOMER_KEY + LINE_LEN <= STORE_KEY_MAX, "room for a customer's key");

enum store_kind { STORE_CUSTOMER, STORE_CATALOGUE };

/* How a load was answered, for pcs_cache_requests_total. */
enum store_result {
    STORE_HIT,     /* from the cache */
    STORE_STALE,   /* past its soft age, from the cache */
    STORE_REFRESH, /* past its soft age: KOS was asked */
    STORE_MISS,    /* KOS was asked under a lease */
    STORE_LEASED,  /* a miss too, but another reactor or instance has the lease and will fill */
    STORE_NO_REDIS,
    STORE_BYPASS,
    STORE_AFRESH, /* an order's */
    STORE_RESULTS
};

struct flight;

struct store_load {
    TAILQ_ENTRY(store_load) in_store;  /* store->looking or store->waiting */
    TAILQ_ENTRY(store_load) in_flight; /* flight->waiters, while flight is set */
    struct store *store;
    enum store_kind kind;
    enum store_mode mode;
    bool healed; /* a damaged entry was deleted on the way */
    struct lease_lookup *lookup;
    struct flight *flight;
    uint64_t deadline_ns;
    struct kos_caller caller; /* the caller's texts live until the callback or the cancel */
    union {
        store_customer_done customer;
        store_catalogue_done catalogue;
    } done;
    void *arg;
    char line[LINE_LEN + 1];
};
TAILQ_HEAD(load_list, store_load);

struct flight {
    LIST_ENTRY(flight) all;
    LIST_ENTRY(flight) chain; /* in its bucket, while shared */
    struct load_list waiters;
    struct store *store;
    enum store_kind kind;
    bool shared;                       /* others may join */
    bool fresh;                        /* the token is a lease that we took */
    char token[ENTRY_TOKEN_LEN + 1];   /* "" without lease: nothing is stored */
    uint64_t generation;               /* without lease */
    int64_t asked_at;                  /* Unix ms */
    struct kos_request *request;       /* children: one at a time */
    struct lease_lookup *lookup;       /* catalogue: the whole value */
    struct store_load *catalogue_load; /* customer: to complete the product */
    struct catalogue *catalogue;       /* customer: what completed it; a reference */
    char *stale;                       /* customer: the entry to fall back on */
    size_t stale_len;
    struct arena arena;
    struct customer customer;
    enum store_answer answer;
    struct kos_call_note notes[STORE_NOTES];
    size_t note_count;
    uint64_t retry_after_ns;
    const char *reason; /* static text */
    char line[LINE_LEN + 1];
    char correlation_id[REQUEST_ID_MAX + 1], traceparent[TRACEPARENT_LEN + 1], change_id[UUID_LEN + 1];
};
LIST_HEAD(flight_list, flight);

struct store_drop {
    LIST_ENTRY(store_drop) all;
    struct redis_call *call;
    store_dropped done;
    void *arg;
};

struct store {
    struct reactor *reactor;
    struct redis_link *redis;
    struct kos *kos;
    const struct store_config *config;
    struct load_list looking; /* their lease_get is under way */
    struct load_list waiting; /* in a flight; by deadline */
    struct flight_list flights, buckets[FLIGHT_BUCKETS];
    LIST_HEAD(, store_drop) drops;
    struct catalogue *catalogue; /* the last one seen; NULL at first */
    uv_timer_t timer;            /* of the first of waiting */
    bool stopping;
};

static inline int64_t age_of(int64_t filled_at)
{
    int64_t age = clock_wall_ms() - filled_at;
    return age < 0 ? 0 : age; /* another instance's clock is a little ahead */
}

/* ---- store.c ---- */
struct store_load *load_new(struct store *s, enum store_kind kind, const struct kos_caller *caller,
                            uint64_t deadline_ns, void *arg);
/* Out of its lists and freed; nobody is told. */
void load_free(struct store_load *load);
int64_t store_ttl(const struct store *s, int64_t ttl_ms); /* shortened by the jitter */
void store_count(enum store_kind kind, enum store_result result);
void store_count_damaged(enum store_kind kind);
void store_count_joined(enum store_kind kind);

/* ---- store_flight.c ---- */
/* The shared flight of this kind, line ("" for the catalogue) and token, or without token of the line's
 * present generation. NULL: none. */
struct flight *flight_find(struct store *s, enum store_kind kind, const char *line, const char *token);
/* token "" for none. NULL: no memory. */
struct flight *flight_new(struct store_load *first, const char *token, bool shared);
/* The load waits for the flight from now on. */
void flight_join(struct flight *f, struct store_load *load);
/* No more joining; call before the first waiter is told. */
void flight_close(struct flight *f);
/* Its children are cancelled; there are no waiters any more. */
void flight_free(struct flight *f);
struct kos_caller flight_caller(const struct flight *f);
void flight_take_notes(struct flight *f, const struct kos_read *read);

/* ---- store_customer.c, store_catalogue.c ---- */
/* Answers one load whose deadline has come, or all is over; frees the load. */
void customer_give_up(struct store_load *load, const char *reason);
void catalogue_give_up(struct store_load *load, const char *reason);

#endif
