/* store_config.c - settings and metrics of the store. */
#include "product/store_internal.h"

#include <stddef.h>
#include <stdio.h>

/* clang-format off */
#define AT(member) offsetof(struct store_config, member)
#define ROW(n, t, m, d, lo, hi, h) \
    {.name = n, .type = t, .offset = AT(m), .default_text = d, .min = lo, .max = hi, .reloadable = true, .help = h}
static const struct config_setting settings[] = {
    ROW("cache.customer.ttl", CONFIG_DURATION, customer_ttl_ms, "4h", "1s", "7d", "how long a customer is cached at the most"),
    ROW("cache.customer.soft_age", CONFIG_DURATION, customer_soft_age_ms, "1h", "0", "7d", "an older customer is asked for again, and served marked stale if KOS fails"),
    ROW("cache.catalogue.ttl", CONFIG_DURATION, catalogue_ttl_ms, "24h", "1s", "7d", "how long the product list is cached at the most"),
    ROW("cache.catalogue.soft_age", CONFIG_DURATION, catalogue_soft_age_ms, "6h", "0", "7d", "an older list is asked for again, and served marked stale if KOS fails"),
    ROW("cache.jitter", CONFIG_PERCENT, jitter_percent, "10", NULL, "10", "cached values live up to this much shorter, so that they do not all end at once"),
    ROW("precheck.max_age", CONFIG_DURATION, precheck_max_age_ms, "0", "0", "1h", "an order's pre-check may use cached customer data as young as this; 0 = KOS is always asked"),
};
/* clang-format on */

static bool check(const void *values, char *err, size_t errlen)
{
    const struct store_config *c = values;
    if (c->customer_soft_age_ms > c->customer_ttl_ms) {
        snprintf(err, errlen, "cache.customer.soft_age must not be longer than cache.customer.ttl");
        return false;
    }
    if (c->catalogue_soft_age_ms > c->catalogue_ttl_ms) {
        snprintf(err, errlen, "cache.catalogue.soft_age must not be longer than cache.catalogue.ttl");
        return false;
    }
    if (c->precheck_max_age_ms > c->customer_ttl_ms) {
        snprintf(err, errlen, "precheck.max_age must not be longer than cache.customer.ttl");
        return false;
    }
    return true;
}

const struct config_section store_config_section = {
    .module = "store",
    .settings = settings,
    .count = sizeof settings / sizeof *settings,
    .struct_size = sizeof(struct store_config),
    .check = check,
};

/* clang-format off */
#define RESULTS(cache) \
    "cache=\"" cache "\",result=\"hit\"", "cache=\"" cache "\",result=\"stale\"", \
    "cache=\"" cache "\",result=\"refresh\"", "cache=\"" cache "\",result=\"miss\"", \
    "cache=\"" cache "\",result=\"leased\"", \
    "cache=\"" cache "\",result=\"no_redis\"", "cache=\"" cache "\",result=\"bypass\"", \
    "cache=\"" cache "\",result=\"afresh\""
/* clang-format on */

static const char *const result_labels[] = {RESULTS("customer"), RESULTS("catalogue"), NULL};
static const char *const cache_labels[] = {"cache=\"customer\"", "cache=\"catalogue\"", NULL};

_Static_assert(sizeof result_labels / sizeof *result_labels == 2 * STORE_RESULTS + 1,
               "one label for each result of each cache");

static struct metric_family requests = {.name = "pcs_cache_requests_total",
                                        .help =
                                            "Loads served from the cache, and flights to KOS by their cause.",
                                        .type = METRIC_COUNTER,
                                        .labels = result_labels};
static struct metric_family joined = {.name = "pcs_cache_joined_total",
                                      .help = "Loads that joined a flight on its way.",
                                      .type = METRIC_COUNTER,
                                      .labels = cache_labels};
static struct metric_family damaged = {.name = "pcs_cache_damaged_total",
                                       .help = "Entries that were not ours or failed their checksum.",
                                       .type = METRIC_COUNTER,
                                       .labels = cache_labels};
static struct metric_family bypassed = {.name = "pcs_cache_bypassed_lines",
                                        .help = "Lines whose invalidation Redis has not acknowledged yet.",
                                        .type = METRIC_GAUGE};

struct metric_family *const store_metrics[] = {&requests, &joined, &damaged, &bypassed};
const size_t store_metrics_count = sizeof store_metrics / sizeof *store_metrics;

void store_count(enum store_kind kind, enum store_result result)
{
    metric_add(&requests, (unsigned)kind * STORE_RESULTS + (unsigned)result, 1);
}

void store_count_damaged(enum store_kind kind)
{
    metric_add(&damaged, (unsigned)kind, 1);
}

void store_count_joined(enum store_kind kind)
{
    metric_add(&joined, (unsigned)kind, 1);
}

void store_collect(void *unused)
{
    (void)unused;
    metric_set(&bypassed, 0, (double)bypass_count());
}
