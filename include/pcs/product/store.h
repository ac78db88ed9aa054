/* store.h - customers and the catalogue, cache-aside: Redis with leases, KOS behind it, one flight for many
 * readers.
 *
 * One store a reactor; own thread only. Exactly one callback a load, never before the call returned, none
 * after store_cancel(). */
#ifndef PCS_PRODUCT_STORE_H
#define PCS_PRODUCT_STORE_H

#include "pcs/product/kos.h"
#include "pcs/redis/lease.h"

struct store;

struct store_config {
    int64_t customer_ttl_ms, customer_soft_age_ms;   /* 4 h, 1 h */
    int64_t catalogue_ttl_ms, catalogue_soft_age_ms; /* 24 h, 6 h */
    double jitter_percent;                           /* <= 10; only shortens */
    int64_t precheck_max_age_ms;                     /* 0: an order asks KOS afresh */
};
extern const struct config_section store_config_section;
extern struct metric_family *const store_metrics[];
extern const size_t store_metrics_count;

/* For metrics_on_scrape(store_collect, NULL). */
void store_collect(void *unused);

/* redis, kos and config have to outlive it. */
struct store *store_create(struct reactor *r, struct redis_link *redis, struct kos *kos,
                           const struct store_config *config, char *err, size_t errlen);
/* Pending loads are told STORE_UNAVAILABLE (or the stale value they wait to refresh), pending drops false,
 * before this returns; freed once its timer is closed. Before kos_destroy() and redis_link_destroy(). NULL is
 * fine. */
void store_destroy(struct store *s);
/* Takes over another snapshot of the settings; the old one may go afterwards. */
void store_reconfigure(struct store *s, const struct store_config *config);

enum store_answer {
    STORE_OK,
    STORE_UNKNOWN_LINE, /* 3001 */
    STORE_NOT_ACTIVE,   /* 3002 and its like: customer holds what was given */
    STORE_NO_PRODUCT,   /* 3003 and its like: likewise */
    STORE_UNAVAILABLE   /* KOS failed and nothing usable is cached */
};

/* A customer as loaded. The ready-made JSON is spliced into answers, never parsed on the hot path. */
struct store_customer {
    enum store_answer answer;
    struct customer customer; /* every field that was known; texts live until the callback returns */
    const char *json; /* members of Customer without braces; NULL unless STORE_OK, and with STORE_ORDER */
    size_t json_len;
    bool cached;       /* from Redis */
    bool stale;        /* past its soft age, and KOS failed */
    int64_t age_s;     /* with stale */
    int64_t loaded_at; /* Unix ms: when KOS was asked (before the request was sent) */
    uint64_t retry_after_ns;
    const struct kos_call_note *notes; /* calls made for this load by this caller's flight */
    size_t note_count;
    const char *reason;
};
struct store_catalogue {
    enum store_answer answer;    /* STORE_OK or STORE_UNAVAILABLE */
    struct catalogue *catalogue; /* take refs++ to keep it beyond the callback */
    bool cached, stale;
    int64_t age_s;
    uint64_t retry_after_ns;
    const char *reason;
};

enum store_mode {
    STORE_SCREEN, /* cache, then KOS */
    STORE_ORDER   /* KOS afresh (or cached up to precheck.max_age): a flight of its own, never joined */
};

/* caller's texts have to live until the callback or store_cancel(). deadline_ns: absolute, 0 = none but KOS's
 * own. Cancelling leaves the question to KOS on its way: its answer still fills the cache. NULL: no memory,
 * or the store is going down; no callback. */
struct store_load;
typedef void (*store_customer_done)(void *arg, const struct store_customer *result);
typedef void (*store_catalogue_done)(void *arg, const struct store_catalogue *result);
struct store_load *store_customer(struct store *s, const char *line, enum store_mode mode,
                                  const struct kos_caller *caller, uint64_t deadline_ns,
                                  store_customer_done done, void *arg);
struct store_load *store_catalogue(struct store *s, const struct kos_caller *caller, uint64_t deadline_ns,
                                   store_catalogue_done done, void *arg);
void store_cancel(struct store_load *load);

/* ---- invalidation (DESIGN.md, The journal, third sink) ----
 * Lines whose cached customer must not be believed by this process because Redis has not yet acknowledged a
 * delete. Process-wide and thread-safe; a line is bypassed from bypass_add() until bypass_remove() with the
 * same generation or a later one. */
void bypass_add(const char *line, int64_t generation);
void bypass_remove(const char *line, int64_t generation);
bool bypass_holds(const char *line);
size_t bypass_count(void);
/* The journal, listed after bypass_added() gave `since`, had nothing that Redis has not acknowledged: nothing is bypassed
 * any more, unless something was added meanwhile. Takes away what was added too late to be removed, and lines that could
 * not be listed for want of memory. */
uint64_t bypass_added(void);
bool bypass_holds_all(void); /* some could not be listed */
void bypass_none_since(uint64_t since);
void bypass_clear(void); /* at exit and in tests */

/* Deletes the cached customer. done(arg, true) when Redis acknowledged. Loads that are on their way cannot
 * put the old value back (lease.h), and later readers of this process do not join them. NULL: no memory, no
 * callback. */
typedef void (*store_dropped)(void *arg, bool acknowledged);
struct store_drop;
struct store_drop *store_invalidate(struct store *s, const char *line, store_dropped done, void *arg);
void store_drop_cancel(struct store_drop *drop);

#endif
