/* kos_metrics.c - calls to KOS, and on every scrape what its breakers and bulkheads look like. */
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
#define STATES(op) \
    "breaker=\"kos." op "\",state=\"CLOSED\"", "breaker=\"kos." op "\",state=\"OPEN\"", \
    "breaker=\"kos." op "\",state=\"HALF_OPEN\"", "breaker=\"kos." op "\",state=\"DISABLED\"", \
    "breaker=\"kos." op "\",state=\"METRICS_ONLY\"", "breaker=\"kos." op "\",state=\"FORCED_OPEN\""
/* clang-format on */

static const char *const outcome_labels[] = {OUTCOMES("inquiry"), OUTCOMES("list"), OUTCOMES("change"), NULL};
static const char *const state_labels[] = {STATES("inquiry"), STATES("list"), STATES("change"), NULL};
static const char *const operation_labels[] = {"operation=\"inquiry\"", "operation=\"list\"",
                                               "operation=\"change\"", NULL};
static const char *const breaker_labels[] = {"breaker=\"kos.inquiry\"", "breaker=\"kos.list\"",
                                             "breaker=\"kos.change\"", NULL};
static const char *const bulkhead_labels[] = {"bulkhead=\"kos.inquiry\"", "bulkhead=\"kos.list\"",
                                              "bulkhead=\"kos.change\"", NULL};

_Static_assert(sizeof outcome_labels / sizeof *outcome_labels == KOS_OPERATIONS * KOS_CALL_OUTCOMES + 1,
               "one label for each outcome of each operation");
_Static_assert(sizeof state_labels / sizeof *state_labels == KOS_OPERATIONS * BREAKER_STATE_COUNT + 1,
               "one label for each state of each breaker");

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
static struct metric_family state = {.name = "pcs_breaker_state",
                                     .help = "1 for the state that the breaker is in.",
                                     .type = METRIC_GAUGE,
                                     .labels = state_labels};
static struct metric_family failure_rate = {.name = "pcs_breaker_failure_rate",
                                            .help = "Failures of the window, percent; -1 below the minimum.",
                                            .type = METRIC_GAUGE,
                                            .labels = breaker_labels};
static struct metric_family slow_rate = {.name = "pcs_breaker_slow_call_rate",
                                         .help = "Slow calls of the window, percent; -1 below the minimum.",
                                         .type = METRIC_GAUGE,
                                         .labels = breaker_labels};
static struct metric_family open_left = {.name = "pcs_breaker_open_seconds_left",
                                         .help = "Time until an open breaker lets a probe through.",
                                         .type = METRIC_GAUGE,
                                         .labels = breaker_labels};
static struct metric_family rejected = {.name = "pcs_breaker_rejected_total",
                                        .help = "Calls that an open breaker refused.",
                                        .type = METRIC_COUNTER,
                                        .labels = breaker_labels};
static struct metric_family late = {.name = "pcs_breaker_late_total",
                                    .help = "Outcomes that came after their state had ended.",
                                    .type = METRIC_COUNTER,
                                    .labels = breaker_labels};
static struct metric_family lost = {.name = "pcs_breaker_lost_total",
                                    .help = "Permits that never came back.",
                                    .type = METRIC_COUNTER,
                                    .labels = breaker_labels};
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

struct metric_family *const kos_metrics[] = {&calls,     &seconds,   &retries,  &state, &failure_rate,
                                             &slow_rate, &open_left, &rejected, &late,  &lost,
                                             &in_flight, &queued,    &refused};
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

/* A counter that is kept elsewhere: what has come to it since the last scrape. */
static void follow(const struct metric_family *f, unsigned series, uint64_t now, uint64_t *seen)
{
    if (now > *seen) {
        metric_add(f, series, now - *seen);
        *seen = now;
    }
}

void kos_gates_collect(void *arg)
{
    struct kos_gates *gates = arg;
    for (unsigned op = 0; op < KOS_OPERATIONS; op++) {
        struct kos_gate_seen *seen = &gates->seen[op];
        struct breaker_snapshot b;
        struct bulkhead_snapshot h;
        breaker_snapshot(gates->gate[op].breaker, &b);
        bulkhead_snapshot(gates->gate[op].bulkhead, &h);
        for (unsigned s = 0; s < BREAKER_STATE_COUNT; s++) {
            metric_set(&state, op * BREAKER_STATE_COUNT + s, b.state == (enum breaker_state)s);
        }
        metric_set(&failure_rate, op, (double)b.failure_rate);
        metric_set(&slow_rate, op, (double)b.slow_call_rate);
        metric_set(&open_left, op, (double)b.open_for_ns / 1e9);
        metric_set(&in_flight, op, h.in_flight);
        metric_set(&queued, op, h.queued);
        follow(&rejected, op, b.rejected, &seen->rejected);
        follow(&late, op, b.late, &seen->late);
        follow(&lost, op, b.lost, &seen->lost);
        follow(&refused, op, h.refused_total, &seen->refused);
    }
}
