/* metrics.c - what the HTTP server counts; label sets come from the route tables. */
#include "http/internal.h"

#include <stdio.h>
#include <stdlib.h>

#define TABLES_MAX 4
#define CLASSES    4 /* 2xx .. 5xx */

static const char *const unmatched_requests[] = {"route=\"unmatched\",method=\"other\",status=\"2xx\"",
                                                 "route=\"unmatched\",method=\"other\",status=\"3xx\"",
                                                 "route=\"unmatched\",method=\"other\",status=\"4xx\"",
                                                 "route=\"unmatched\",method=\"other\",status=\"5xx\"", NULL};
static const char *const unmatched_seconds[] = {"route=\"unmatched\",method=\"other\"", NULL};

/* In the order of enum reject_reason. */
static const char *const reject_labels[] = {
    "reason=\"malformed\"",    "reason=\"head_too_large\"", "reason=\"not_found\"",
    "reason=\"method\"",       "reason=\"gate\"",           "reason=\"length\"",
    "reason=\"too_large\"",    "reason=\"media_type\"",     "reason=\"overload\"",
    "reason=\"slow_head\"",    "reason=\"slow_body\"",      "reason=\"slow_reader\"",
    "reason=\"incomplete\"",   "reason=\"connections\"",    "reason=\"address_connections\"",
    "reason=\"address_rate\"", "reason=\"idle\"",           NULL};

static struct metric_family requests = {
    .name = "pcs_http_requests_total",
    .help = "Requests answered, by route, method and class of status.",
    .type = METRIC_COUNTER,
    .labels = unmatched_requests,
};
static struct metric_family seconds = {
    .name = "pcs_http_request_seconds",
    .help = "Time from the complete head to the sent answer.",
    .type = METRIC_HISTOGRAM,
    .labels = unmatched_seconds,
    .buckets = metrics_buckets_latency,
};
static struct metric_family connections = {
    .name = "pcs_http_connections",
    .help = "Open client connections.",
    .type = METRIC_GAUGE,
};
static struct metric_family rejected = {
    .name = "pcs_http_rejected_total",
    .help = "Requests and connections refused before a handler or cut, by reason.",
    .type = METRIC_COUNTER,
    .labels = reject_labels,
};

struct metric_family *const http_metrics[] = {&requests, &seconds, &connections, &rejected};
const size_t http_metrics_count = sizeof http_metrics / sizeof *http_metrics;

/* The route tables bound so far. Row 0 of the labels is "unmatched"; a table's first row is its base. */
static struct {
    const struct http_route *routes;
    size_t base;
} tables[TABLES_MAX];
static size_t table_count, row_count = 1;
static const char **request_labels, **second_labels; /* live as long as the process */

/* At start, before anything is served: nothing to fall back to. */
static void *or_exit(void *memory)
{
    if (!memory) {
        fprintf(stderr, "metrics: no memory for labels\n");
        abort();
    }
    return memory;
}

static const char *label(const struct http_route *route, int class)
{
    char *text = NULL;
    int len = class ? asprintf(&text, "route=\"%s\",method=\"%s\",status=\"%dxx\"", route->path,
                               route->method, class)
                    : asprintf(&text, "route=\"%s\",method=\"%s\"", route->path, route->method);
    return or_exit(len < 0 ? NULL : text);
}

static const char **grow(const char **labels, const char *const *first, size_t old, size_t count)
{
    bool fresh = !labels;
    const char **grown = or_exit(realloc(labels, (count + 1) * sizeof *grown));
    for (size_t i = 0; fresh && i < old; i++) {
        grown[i] = first[i];
    }
    grown[count] = NULL;
    return grown;
}

void http_metrics_bind(const struct http_route *routes, size_t count)
{
    if (table_count == TABLES_MAX || metrics_series_base(routes) != METRICS_UNMATCHED) {
        return;
    }
    size_t base = row_count;
    request_labels = grow(request_labels, unmatched_requests, base * CLASSES, (base + count) * CLASSES);
    second_labels = grow(second_labels, unmatched_seconds, base, base + count);
    for (size_t i = 0; i < count; i++) {
        for (int class = 0; class < CLASSES; class ++) {
            request_labels[(base + i) * CLASSES + (size_t) class] = label(&routes[i], class + 2);
        }
        second_labels[base + i] = label(&routes[i], 0);
    }
    requests.labels = request_labels;
    seconds.labels = second_labels;
    tables[table_count].routes = routes;
    tables[table_count++].base = base;
    row_count += count;
}

size_t metrics_series_base(const struct http_route *routes)
{
    for (size_t i = 0; i < table_count; i++) {
        if (tables[i].routes == routes) {
            return tables[i].base;
        }
    }
    return METRICS_UNMATCHED;
}

void metrics_request_done(const struct request *rq, uint64_t ns)
{
    unsigned row = rq->series == METRICS_UNMATCHED ? 0 : (unsigned)rq->series;
    if (rq->status < 200 || rq->status > 599) {
        metrics_rejected(REJECT_INCOMPLETE);
        return;
    }
    metric_add(&requests, row * CLASSES + (unsigned)(rq->status / 100 - 2), 1);
    metric_observe_ns(&seconds, row, ns);
}

void metrics_rejected(enum reject_reason reason)
{
    metric_add(&rejected, (unsigned)reason, 1);
}

void metrics_connections(int64_t change)
{
    metric_gauge_add(&connections, 0, change);
}
