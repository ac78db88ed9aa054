/* metrics.h - counters, gauges and histograms in Prometheus' text form (0.0.4).
 *
 * A module declares its families as static tables; main registers them all before any other thread starts.
 * Label sets are fixed in the table (route templates, operations, outcomes): never a line number or a
 * customer. Counters and histograms are kept per thread (one writer, relaxed) and summed on scrape, so adding
 * is one store. Base units: seconds, bytes; counters end in _total (CONVENTIONS.md 14). */
#ifndef PCS_CORE_METRICS_H
#define PCS_CORE_METRICS_H

#include "pcs/core/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric_family {
    const char *name; /* pcs_... */
    const char *help;
    enum metric_type type;
    /* e.g. {"operation=\"inquiry\"", ..., NULL}; NULL: one sample without labels */
    const char *const *labels;
    const double *buckets; /* METRIC_HISTOGRAM: upper bounds in seconds, ascending, ended by 0 */
    unsigned base;         /* set by metrics_register() */
    unsigned series;       /* set by metrics_register(): how many label sets */
};

/* Main thread, before others start. Families are the caller's static memory. Exits the process on a duplicate
 * name (a programming error). */
void metrics_register(struct metric_family *const *families, size_t count);
/* Each thread that counts calls this once, first. Counting on another thread is dropped silently. */
bool metrics_thread_init(void);

/* series: index into labels (0 without labels). Any thread that called metrics_thread_init(). */
void metric_add(const struct metric_family *f, unsigned series, uint64_t n);
/* Adds one observation of a duration in nanoseconds to a METRIC_HISTOGRAM. */
void metric_observe_ns(const struct metric_family *f, unsigned series, uint64_t ns);
/* METRIC_GAUGE, any thread; the last value wins. */
void metric_set(const struct metric_family *f, unsigned series, double value);
void metric_gauge_add(const struct metric_family *f, unsigned series, int64_t n);
/* The present sum of a counter or value of a gauge (tests, console). */
double metric_value(const struct metric_family *f, unsigned series);

/* Called on every scrape before printing, to set gauges and to count what is kept elsewhere: on the scraping thread,
 * never by two scrapes at once, so it needs no lock for what it remembers. Registered by the main thread, before others
 * start. */
void metrics_on_scrape(void (*collect)(void *arg), void *arg);
/* Called at the end of every exposition, for the rare family whose label values are known only at run time (and are
 * few): it prints HELP, TYPE and samples itself. Main thread, before others start. */
void metrics_on_print(void (*print)(struct buf *out, void *arg), void *arg);
/* The whole exposition. Any thread that called metrics_thread_init(); scrapes may overlap. */
void metrics_print(struct buf *out);

/* Buckets that suit a call over the network, 0.5 ms to 10 s. */
extern const double metrics_buckets_latency[];

#endif
