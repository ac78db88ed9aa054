/* kos_metrics.c - calls to KOS, and on every scrape what its bulkheads look like. */
#include "product/kos_internal.h"

/* clang-format off */
#define OUTCOMES(op) \
    "operation=\"" op "\",outcome=\"ok\"", "operation=\"" op "\",outcome=\"negative\"", \
    "operation=\"" op "\",outcome=\"refused\"", "operation=\"" op "\",outcome=\"invalid\"", \
    "operation=\"" op "\",outcome=\"system_error\"", "operation=\"" op "\",outcome=\"http_error\"", \
    "operation=\"" op "\",outcome=\"unreadable\"", "operation=\"" op "\",outcome=\"contradictory\"", \
    "operation=\"" op "\",outcome=\"timeout\"", "operation=\"" op "\",outcome=\"not_sent\"", \
    "operation=\"" op "\",outcome=\"lost\"", "operation=\"" op "\",outcome=\"abandoned\"", \
    "operation=\"" op "\",outcome=\"breaker_open\"", "operation=\"" op "\",outcome=\"full\"", \
    "operation=\"" op "\",outcome=\"late\""
/* clang-format on */

static const char *const outcome_labels[] = {OUTCOMES("inquiry"), OUTCOMES("list"), OUTCOMES("change"), NULL};
static const char *const operation_labels[] = {"operation=\"inquiry\"", "operation=\"list\"",
                                               "operation=\"change\"", NULL};
static const char *const bulkhead_labels[] = {"bulkhead=\"kos.inquiry\"", "bulkhead=\"kos.list\"",
                                              "bulkhead=\"kos.change\"", NULL};

_Static_assert(sizeof outcome_labels / sizeof *outcome_labels == KOS_OPERATIONS * KOS_CALL_OUTCOMES + 1,
               "one label for each outcome of each operation");
static struct metric_family calls = {.name = "pcs_kos_calls_total",
                                     .help = "Calls to KOS-Order, and reads that were refused before one.",
                                     .type = METRIC_COUNTER,
                                     .labels = outcome_labels};
static struct metric_family seconds = {.name = "pcs_kos_call_seconds",
                                       .help = "Duration of calls to KOS-Order.",
                                       .type = METRIC_HISTOGRAM,
                                       .labels = operation_labels,
                                       .buckets = metrics_buckets_latency};
static struct metric_family retries = {.name = "pcs_kos_retries_total",
                                       .help = "Further attempts of reads.",
                                       .type = METRIC_COUNTER,
                                       .labels = operation_labels};
static struct metric_family in_flight = {.name = "pcs_bulkhead_in_flight",
                                         .help = "Slots taken.",
                                         .type = METRIC_GAUGE,
                                         .labels = bulkhead_labels};
static struct metric_family queued = {.name = "pcs_bulkhead_queued",
                                      .help = "Callers waiting for a slot.",
                                      .type = METRIC_GAUGE,
                                      .labels = bulkhead_labels};
static struct metric_family refused = {.name = "pcs_bulkhead_refused_total",
                                       .help = "Callers for whom there was not even room to wait.",
                                       .type = METRIC_COUNTER,
                                       .labels = bulkhead_labels};

struct metric_family *const kos_metrics[] = {&calls, &seconds, &retries, &in_flight, &queued, &refused};
const size_t kos_metrics_count = sizeof kos_metrics / sizeof *kos_metrics;

void kos_count_outcome(enum kos_operation op, enum kos_outcome outcome)
{
    metric_add(&calls, (unsigned)op * KOS_CALL_OUTCOMES + (unsigned)outcome, 1);
}

void kos_count_call(enum kos_operation op, enum kos_outcome outcome, uint64_t elapsed_ns)
{
    kos_count_outcome(op, outcome);
    metric_observe_ns(&seconds, (unsigned)op, elapsed_ns);
}

void kos_count_retry(enum kos_operation op)
{
    metric_add(&retries, (unsigned)op, 1);
}

void kos_gates_collect(void *arg)
{
    struct kos_gates *gates = arg;
    for (unsigned op = 0; op < KOS_OPERATIONS; op++) {
        struct bulkhead_snapshot h;
        bulkhead_snapshot(gates->gate[op].bulkhead, &h);
        metric_set(&in_flight, op, h.in_flight);
        metric_set(&queued, op, h.queued);
        if (h.refused_total > gates->refused_seen[op]) { /* kept there: what has come since the last scrape */
            metric_add(&refused, op, h.refused_total - gates->refused_seen[op]);
            gates->refused_seen[op] = h.refused_total;
        }
    }
}
