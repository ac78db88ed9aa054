/* metrics.h - the journal's metric families. */
#ifndef JOURNAL_METRICS_H
#define JOURNAL_METRICS_H

#include "pcs/core/metrics.h"

extern struct metric_family journal_metric_commit, journal_metric_operations, journal_metric_pending,
    journal_metric_open, journal_metric_in_doubt, journal_metric_oldest_doubt, journal_metric_bytes,
    journal_metric_writable, journal_metric_orphans;

#endif
