/* breaker_metrics.c - breakers on a scrape. The label sets are made once, from the names that main gives. */
#include "pcs/core/breaker_metrics.h"

#include "pcs/core/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define LABEL_MAX  (BREAKER_NAME_MAX + 48)
#define LAST_CAUSE "pcs_breaker_last_cause"

static char state_text[BREAKER_METRICS_MAX * BREAKER_STATE_COUNT][LABEL_MAX];
static char breaker_text[BREAKER_METRICS_MAX][LABEL_MAX];
static const char *state_labels[BREAKER_METRICS_MAX * BREAKER_STATE_COUNT + 1];
static const char *breaker_labels[BREAKER_METRICS_MAX + 1];

/* One for each name, in its order. */
static struct seat {
    char name[BREAKER_NAME_MAX];
    struct breaker *breaker;                                         /* NULL: not shown */
    uint64_t rejected, late, lost, transitions[BREAKER_STATE_COUNT]; /* what the last scrape saw */
} seats[BREAKER_METRICS_MAX];
static size_t seat_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

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
static struct metric_family transitions = {.name = "pcs_breaker_transitions_total",
                                           .help = "Times that the breaker has entered the state.",
                                           .type = METRIC_COUNTER,
                                           .labels = state_labels};
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
static struct metric_family *const families[] = {&state,       &failure_rate, &slow_rate, &open_left,
                                                 &transitions, &rejected,     &late,      &lost};

/* A counter that is kept elsewhere: what has come to it since the last scrape. */
static void follow(const struct metric_family *f, size_t series, uint64_t now, uint64_t *seen)
{
    if (now > *seen) {
        metric_add(f, (unsigned)series, now - *seen);
        *seen = now;
    }
}

static void look(size_t n, const struct breaker_snapshot *b)
{
    struct seat *seat = &seats[n];
    for (size_t s = 0; s < BREAKER_STATE_COUNT; s++) {
        size_t series = n * BREAKER_STATE_COUNT + s;
        metric_set(&state, (unsigned)series, b->state == (enum breaker_state)s);
        follow(&transitions, series, b->transitions[s], &seat->transitions[s]);
    }
    metric_set(&failure_rate, (unsigned)n, (double)b->failure_rate);
    metric_set(&slow_rate, (unsigned)n, (double)b->slow_call_rate);
    metric_set(&open_left, (unsigned)n, (double)b->open_for_ns / 1e9);
    follow(&rejected, n, b->rejected, &seat->rejected);
    follow(&late, n, b->late, &seat->late);
    follow(&lost, n, b->lost, &seat->lost);
}

static void collect(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&lock);
    for (size_t n = 0; n < seat_count; n++) {
        struct breaker_snapshot b;
        if (seats[n].breaker) {
            breaker_snapshot(seats[n].breaker, &b);
            look(n, &b);
        }
    }
    pthread_mutex_unlock(&lock);
}

/* The words come from the breaker's users, a few dozen in all; one sample a breaker. */
static void put_label(struct buf *out, const char *value)
{
    for (; *value; value++) {
        if (*value == '\n') {
            buf_puts(out, "\\n");
        } else {
            if (*value == '"' || *value == '\\') {
                buf_putc(out, '\\');
            }
            buf_putc(out, *value);
        }
    }
}

static void print_causes(struct buf *out, void *arg)
{
    (void)arg;
    uint64_t now = clock_mono_ns();
    buf_puts(out, "# HELP " LAST_CAUSE " When the last failure was recorded, and what it was.\n"
                  "# TYPE " LAST_CAUSE " gauge\n");
    pthread_mutex_lock(&lock);
    for (size_t n = 0; n < seat_count; n++) {
        struct breaker_snapshot b;
        if (!seats[n].breaker) {
            continue;
        }
        breaker_snapshot(seats[n].breaker, &b);
        if (*b.last_cause && b.last_cause_at_ns <= now) {
            int64_t at_ms = clock_wall_ms() - (int64_t)((now - b.last_cause_at_ns) / NS_PER_MS);
            buf_printf(out, LAST_CAUSE "{%s,cause=\"", breaker_text[n]);
            put_label(out, b.last_cause);
            buf_printf(out, "\"} %.3f\n", (double)at_ms / 1e3);
        }
    }
    pthread_mutex_unlock(&lock);
}

void breaker_metrics_register(const char *const *names, size_t count)
{
    seat_count = count < BREAKER_METRICS_MAX ? count : BREAKER_METRICS_MAX;
    for (size_t n = 0; n < seat_count; n++) {
        snprintf(seats[n].name, sizeof seats[n].name, "%s", names[n]);
        snprintf(breaker_text[n], LABEL_MAX, "breaker=\"%s\"", names[n]);
        breaker_labels[n] = breaker_text[n];
        for (size_t s = 0; s < BREAKER_STATE_COUNT; s++) {
            size_t series = n * BREAKER_STATE_COUNT + s;
            snprintf(state_text[series], LABEL_MAX, "breaker=\"%s\",state=\"%s\"", names[n],
                     breaker_state_name((enum breaker_state)s));
            state_labels[series] = state_text[series];
        }
    }
    metrics_register(families, sizeof families / sizeof *families);
    metrics_on_scrape(collect, NULL);
    metrics_on_print(print_causes, NULL);
}

void breaker_metrics_show(struct breaker *b)
{
    struct breaker_snapshot snapshot;
    breaker_snapshot(b, &snapshot);
    pthread_mutex_lock(&lock);
    for (size_t n = 0; n < seat_count; n++) {
        if (strcmp(seats[n].name, snapshot.name) == 0) {
            struct seat fresh = {.breaker = b};
            memcpy(fresh.name, seats[n].name, sizeof fresh.name);
            seats[n] = fresh;
        }
    }
    pthread_mutex_unlock(&lock);
}

void breaker_metrics_hide(struct breaker *b)
{
    pthread_mutex_lock(&lock);
    for (size_t n = 0; n < seat_count; n++) {
        if (b && seats[n].breaker == b) {
            seats[n].breaker = NULL;
        }
    }
    pthread_mutex_unlock(&lock);
}
