/* metrics.c - per-thread cells, summed on scrape. */
#include "pcs/core/metrics.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAMILIES_MAX   256
#define COLLECTORS_MAX 16
#define THREADS_MAX    256
#define BUCKETS_MAX    32 /* of a histogram */

const double metrics_buckets_latency[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                          0.25,   0.5,   1,      2.5,   5,    10,    0};

/* A counter or gauge series is one cell; a histogram series is one cell a bucket, then +Inf, then the sum in
 * ns. */
typedef _Atomic uint64_t cell;

static struct metric_family *families[FAMILIES_MAX];
static size_t family_count;
static unsigned cell_count;
static cell *gauges; /* doubles or whole numbers, one slab for all threads */

static pthread_mutex_t threads_lock = PTHREAD_MUTEX_INITIALIZER;
static cell *threads[THREADS_MAX];
static size_t thread_count;
static _Thread_local cell *mine;

static pthread_mutex_t scrape_lock = PTHREAD_MUTEX_INITIALIZER; /* one scrape's collectors at a time */
static struct {
    void (*collect)(void *);
    void *arg;
} collectors[COLLECTORS_MAX];
static size_t collector_count;
static struct {
    void (*print)(struct buf *, void *);
    void *arg;
} printers[COLLECTORS_MAX];
static size_t printer_count;

static unsigned bucket_count(const struct metric_family *f)
{
    unsigned n = 0;
    while (f->buckets[n] > 0) {
        n++;
    }
    return n;
}

static unsigned cells_per_series(const struct metric_family *f)
{
    return f->type == METRIC_HISTOGRAM ? bucket_count(f) + 2 : 1;
}

void metrics_register(struct metric_family *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct metric_family *f = list[i];
        for (size_t j = 0; j < family_count; j++) {
            if (strcmp(families[j]->name, f->name) == 0 || family_count == FAMILIES_MAX) {
                fprintf(stderr, "metrics: %s is declared twice, or there are too many\n", f->name);
                abort();
            }
        }
        if (f->type == METRIC_HISTOGRAM && bucket_count(f) > BUCKETS_MAX) {
            fprintf(stderr, "metrics: %s has more than %d buckets\n", f->name, BUCKETS_MAX);
            abort();
        }
        f->series = 1;
        if (f->labels) {
            f->series = 0;
            while (f->labels[f->series]) {
                f->series++;
            }
        }
        f->base = cell_count;
        cell_count += f->series * cells_per_series(f);
        families[family_count++] = f;
    }
    free(gauges);
    gauges = calloc(cell_count ? cell_count : 1, sizeof *gauges);
}

bool metrics_thread_init(void)
{
    if (mine) {
        return true;
    }
    /* rounded up to whole cache lines, so that two threads never share one */
    size_t bytes = (cell_count * sizeof *mine + 127) & ~(size_t)63;
    cell *cells = aligned_alloc(64, bytes);
    if (!cells) {
        return false;
    }
    memset((void *)cells, 0, bytes);
    pthread_mutex_lock(&threads_lock);
    bool ok = thread_count < THREADS_MAX;
    if (ok) {
        threads[thread_count++] = cells;
    }
    pthread_mutex_unlock(&threads_lock);
    if (!ok) {
        free((void *)cells);
        return false;
    }
    mine = cells;
    return true;
}

/* One writer a cell: a plain add without the lock prefix. */
static void cell_add(cell *c, uint64_t n)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

void metric_add(const struct metric_family *f, unsigned series, uint64_t n)
{
    if (mine && series < f->series) {
        cell_add(&mine[f->base + series], n);
    }
}

void metric_observe_ns(const struct metric_family *f, unsigned series, uint64_t ns)
{
    if (!mine || series >= f->series) {
        return;
    }
    unsigned n = bucket_count(f), i = 0;
    double seconds = (double)ns / 1e9;
    cell *c = &mine[f->base + series * (n + 2)];
    while (i < n && seconds > f->buckets[i]) {
        i++;
    }
    cell_add(&c[i], 1);
    cell_add(&c[n + 1], ns);
}

void metric_set(const struct metric_family *f, unsigned series, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (gauges && series < f->series) {
        atomic_store_explicit(&gauges[f->base + series], bits, memory_order_relaxed);
    }
}

void metric_gauge_add(const struct metric_family *f, unsigned series, int64_t n)
{
    if (!gauges || series >= f->series) {
        return;
    }
    cell *c = &gauges[f->base + series];
    uint64_t old = atomic_load_explicit(c, memory_order_relaxed), bits;
    do {
        double value;
        memcpy(&value, &old, sizeof value);
        value += (double)n;
        memcpy(&bits, &value, sizeof bits);
    } while (!atomic_compare_exchange_weak(c, &old, bits));
}

static uint64_t cell_sum(unsigned index)
{
    uint64_t sum = 0;
    pthread_mutex_lock(&threads_lock);
    for (size_t i = 0; i < thread_count; i++) {
        sum += atomic_load_explicit(&threads[i][index], memory_order_relaxed);
    }
    pthread_mutex_unlock(&threads_lock);
    return sum;
}

double metric_value(const struct metric_family *f, unsigned series)
{
    if (f->type == METRIC_GAUGE) {
        double value;
        uint64_t bits = atomic_load_explicit(&gauges[f->base + series], memory_order_relaxed);
        memcpy(&value, &bits, sizeof value);
        return value;
    }
    return (double)cell_sum(f->base + series);
}

void metrics_on_scrape(void (*collect)(void *arg), void *arg)
{
    if (collector_count < COLLECTORS_MAX) {
        collectors[collector_count].collect = collect;
        collectors[collector_count++].arg = arg;
    }
}

void metrics_on_print(void (*print)(struct buf *out, void *arg), void *arg)
{
    if (printer_count < COLLECTORS_MAX) {
        printers[printer_count].print = print;
        printers[printer_count++].arg = arg;
    }
}

typedef char le_labels[BUCKETS_MAX][24];

static void print_sample(struct buf *out, const struct metric_family *f, const char *suffix,
                         const char *labels, const char *extra)
{
    buf_puts(out, f->name);
    buf_puts(out, suffix);
    if (labels || extra) {
        buf_putc(out, '{');
        buf_puts(out, labels ? labels : "");
        buf_puts(out, labels && extra ? "," : "");
        buf_puts(out, extra ? extra : "");
        buf_putc(out, '}');
    }
    buf_putc(out, ' ');
}

static void print_count(struct buf *out, uint64_t n)
{
    buf_put_i64(out, (int64_t)n);
    buf_putc(out, '\n');
}

static void print_histogram(struct buf *out, const struct metric_family *f, unsigned series,
                            const char *labels, le_labels le)
{
    unsigned n = bucket_count(f), base = f->base + series * (n + 2);
    uint64_t cumulative = 0;
    for (unsigned i = 0; i <= n; i++) {
        cumulative += cell_sum(base + i);
        print_sample(out, f, "_bucket", labels, i < n ? le[i] : "le=\"+Inf\"");
        print_count(out, cumulative);
    }
    print_sample(out, f, "_sum", labels, NULL);
    buf_printf(out, "%.9f\n", (double)cell_sum(base + n + 1) / 1e9);
    print_sample(out, f, "_count", labels, NULL);
    print_count(out, cumulative);
}

static void print_family(struct buf *out, const struct metric_family *f)
{
    static const char *const type_names[] = {"counter", "gauge", "histogram"};
    le_labels le;
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", f->name, f->help, f->name, type_names[f->type]);
    for (unsigned i = 0; f->type == METRIC_HISTOGRAM && i < bucket_count(f); i++) {
        snprintf(le[i], sizeof le[i], "le=\"%g\"", f->buckets[i]);
    }
    for (unsigned s = 0; s < f->series; s++) {
        const char *labels = f->labels ? f->labels[s] : NULL;
        if (f->type == METRIC_HISTOGRAM) {
            print_histogram(out, f, s, labels, le);
            continue;
        }
        print_sample(out, f, "", labels, NULL);
        if (f->type == METRIC_GAUGE) {
            buf_printf(out, "%.17g\n", metric_value(f, s));
        } else {
            print_count(out, cell_sum(f->base + s));
        }
    }
}

void metrics_print(struct buf *out)
{
    pthread_mutex_lock(&scrape_lock);
    for (size_t i = 0; i < collector_count; i++) {
        collectors[i].collect(collectors[i].arg);
    }
    pthread_mutex_unlock(&scrape_lock);
    for (size_t i = 0; i < family_count; i++) {
        print_family(out, families[i]);
    }
    for (size_t i = 0; i < printer_count; i++) {
        printers[i].print(out, printers[i].arg);
    }
}
