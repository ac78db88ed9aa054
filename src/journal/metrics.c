/* metrics.c - what the journal tells Prometheus. */
#include "journal/metrics.h"

#include "pcs/journal/journal.h"

/* a commit takes a fraction of a millisecond on a good disk */
static const double commit_buckets[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
                                        0.025,  0.05,    0.1,    0.25,  1,      0};

static const char *const verb_labels[] = {
    [JOURNAL_CLAIM] = "verb=\"claim\"",
    [JOURNAL_RELEASE] = "verb=\"release\"",
    [JOURNAL_INTENT] = "verb=\"intent\"",
    [JOURNAL_SEND] = "verb=\"send\"",
    [JOURNAL_OUTCOME] = "verb=\"outcome\"",
    [JOURNAL_RECORD] = "verb=\"record\"",
    [JOURNAL_CANCEL] = "verb=\"cancel\"",
    [JOURNAL_DOUBT] = "verb=\"doubt\"",
    [JOURNAL_ANSWERED] = "verb=\"answered\"",
    [JOURNAL_CALLS] = "verb=\"calls\"",
    [JOURNAL_GET] = "verb=\"get\"",
    [JOURNAL_LIST_LINE] = "verb=\"list_line\"",
    [JOURNAL_LIST_OPEN] = "verb=\"list_open\"",
    [JOURNAL_HISTORY_PULL] = "verb=\"history_pull\"",
    [JOURNAL_HISTORY_ACK] = "verb=\"history_ack\"",
    [JOURNAL_HISTORY_DEAD] = "verb=\"history_dead\"",
    [JOURNAL_EVENTS_PULL] = "verb=\"events_pull\"",
    [JOURNAL_EVENT_ATTEMPT] = "verb=\"event_attempt\"",
    [JOURNAL_EVENTS_DUE_NOW] = "verb=\"events_due_now\"",
    [JOURNAL_INVALIDATIONS] = "verb=\"invalidations\"",
    [JOURNAL_INVALIDATED] = "verb=\"invalidated\"",
    [JOURNAL_LIST_DOUBT] = "verb=\"list_doubt\"",
    [JOURNAL_EVENTS_LIST] = "verb=\"events_list\"",
    [JOURNAL_EVENT_REPLAY] = "verb=\"event_replay\"",
    [JOURNAL_TRACE] = "verb=\"trace\"",
    [JOURNAL_BACKUP] = "verb=\"backup\"",
    [JOURNAL_FORGET] = "verb=\"forget\"",
    [JOURNAL_STATS] = "verb=\"stats\"",
    [JOURNAL_VERBS] = NULL,
};

static const char *const sink_labels[] = {
    [SINK_HISTORY] = "sink=\"history\"",
    [SINK_EVENTS] = "sink=\"events\"",
    [SINK_INVALIDATIONS] = "sink=\"invalidations\"",
    [SINKS] = NULL,
};

struct metric_family journal_metric_commit = {.name = "pcs_journal_commit_seconds",
                                              .help = "Time of one commit of the journal, with its fsync.",
                                              .type = METRIC_HISTOGRAM,
                                              .buckets = commit_buckets};
struct metric_family journal_metric_operations = {.name = "pcs_journal_operations_total",
                                                  .help = "Operations that the journal has taken.",
                                                  .type = METRIC_COUNTER,
                                                  .labels = verb_labels};
struct metric_family journal_metric_pending = {.name = "pcs_journal_pending",
                                               .help = "Rows that a neighbour has not acknowledged yet.",
                                               .type = METRIC_GAUGE,
                                               .labels = sink_labels};
struct metric_family journal_metric_open = {
    .name = "pcs_journal_open", .help = "Open changes.", .type = METRIC_GAUGE};
struct metric_family journal_metric_in_doubt = {.name = "pcs_journal_in_doubt",
                                                .help = "Open changes whose outcome at KOS is not known.",
                                                .type = METRIC_GAUGE};
struct metric_family journal_metric_oldest_doubt = {
    .name = "pcs_change_oldest_doubt_seconds",
    .help = "Age of the oldest change whose outcome at KOS is not known; 0 without one.",
    .type = METRIC_GAUGE};
struct metric_family journal_metric_bytes = {
    .name = "pcs_journal_bytes", .help = "Size of the journal's file and log.", .type = METRIC_GAUGE};
struct metric_family journal_metric_writable = {
    .name = "pcs_journal_writable", .help = "1 while new changes can be taken.", .type = METRIC_GAUGE};
struct metric_family journal_metric_orphans = {.name = "pcs_journal_orphan_slots",
                                               .help = "Slots that hold a journal but have no owner.",
                                               .type = METRIC_GAUGE};

struct metric_family *const journal_metrics[] = {
    &journal_metric_commit, &journal_metric_operations, &journal_metric_pending,
    &journal_metric_open,   &journal_metric_in_doubt,   &journal_metric_oldest_doubt,
    &journal_metric_bytes,  &journal_metric_writable,   &journal_metric_orphans,
};
const size_t journal_metrics_count = sizeof journal_metrics / sizeof journal_metrics[0];
