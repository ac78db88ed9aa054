/* tables.c - the module's settings and metrics. */
#include "change/service.h"

#include <stddef.h>

#define SETTING(n, t, m, d, lo, hi, h)                                                                       \
    {                                                                                                        \
        .name = n, .type = t, .offset = offsetof(struct change_config, m), .default_text = d, .min = lo,     \
        .max = hi, .help = h                                                                                 \
    }

static const char *const outage_modes[] = {"refuse", "hold", NULL};

static const struct config_setting settings[] = {
    SETTING("change.deadline", CONFIG_DURATION, request_deadline_ms, "9s", "6s", "9s",
            "A request for a change is answered within this, always"),
    SETTING("change.settle_first", CONFIG_DURATION, settle_first_ms, "1s", "50ms", "60s",
            "First inquiry that settles a doubt comes this long after it arose; then doubling"),
    SETTING("change.settle_max", CONFIG_DURATION, settle_max_ms, "60s", "50ms", "10m",
            "Longest time between two inquiries about a doubt"),
    SETTING("change.recover_at_once", CONFIG_INT, recover_at_once, "1000", "1", "100000",
            "Open changes found at start that are worked on at the same time"),
    {.name = "outage.mode",
     .type = CONFIG_ENUM,
     .offset = offsetof(struct change_config, outage_mode),
     .default_text = "refuse",
     .choices = outage_modes,
     .help = "While KOS is out, a request with Prefer: respond-async is refused, or held and sent later"},
    SETTING("outage.release_rate", CONFIG_INT, release_rate, "20", "1", "100000",
            "Held changes a second that are looked at again when KOS is back"),
    SETTING("outage.max_hold", CONFIG_DURATION, max_hold_ms, "10m", "1s", "24h",
            "An accepted change that cannot be sent expires after this"),
    SETTING("outage.recorded_at_once", CONFIG_INT, outage_rows, "256", "0", "100000",
            "Refusals because KOS is out that are being recorded at the same time (best effort)"),
    SETTING("change.shared_ttl", CONFIG_DURATION, shared_ttl_ms, "24h", "1m", "7d",
            "How long instances share a change's result and key in Redis"),
};

const struct config_section change_config_section = {
    .module = "change",
    .settings = settings,
    .count = sizeof settings / sizeof settings[0],
    .struct_size = sizeof(struct change_config),
};

static const char *const result_labels[] = {
    "result=\"completed\"", "result=\"refused\"",   "result=\"not_sent\"", "result=\"not_applied\"",
    "result=\"invalid\"",   "result=\"cancelled\"", "result=\"expired\"",  NULL,
};

struct metric_family change_results = {.name = "pcs_changes_total",
                                       .help = "Changes that have ended, by result",
                                       .type = METRIC_COUNTER,
                                       .labels = result_labels};
struct metric_family change_seconds = {.name = "pcs_change_answer_seconds",
                                       .help = "Time from a change request to its answer",
                                       .type = METRIC_HISTOGRAM,
                                       .buckets = metrics_buckets_latency};
struct metric_family change_unguarded = {
    .name = "pcs_change_unguarded_total",
    .help = "Changes whose line could not be claimed between instances (Redis out)",
    .type = METRIC_COUNTER};
static const double settle_buckets[] = {1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 0};
struct metric_family change_settle_seconds = {.name = "pcs_change_settle_seconds",
                                              .help = "Time from a doubt to its settlement",
                                              .type = METRIC_HISTOGRAM,
                                              .buckets = settle_buckets};

struct metric_family change_held = {.name = "pcs_changes_held",
                                    .help = "Accepted changes of this process that wait for KOS",
                                    .type = METRIC_GAUGE};

struct metric_family *const change_metrics[] = {&change_results, &change_seconds, &change_unguarded,
                                                &change_settle_seconds, &change_held};
const size_t change_metrics_count = sizeof change_metrics / sizeof change_metrics[0];

void change_count_result(const struct change_record *record)
{
    static const int series[CHANGE_STATES] = {
        [CHANGE_ACCEPTED] = -1, [CHANGE_SENDING] = -1,  [CHANGE_COMPLETED] = 0,
        [CHANGE_REFUSED] = 1,   [CHANGE_NOT_SENT] = 2,  [CHANGE_NOT_APPLIED] = 3,
        [CHANGE_INVALID] = 4,   [CHANGE_CANCELLED] = 5, [CHANGE_EXPIRED] = 6,
    };
    if (series[record->state] >= 0) {
        metric_add(&change_results, (unsigned)series[record->state], 1);
    }
}
