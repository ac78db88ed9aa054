/* breaker_metrics.h - what every breaker of the process looks like on a scrape (issue 4, point 3; BREAKER.md 9):
 * pcs_breaker_state, …_failure_rate, …_slow_call_rate, …_open_seconds_left, …_transitions_total, …_rejected_total,
 * …_late_total, …_lost_total, and pcs_breaker_last_cause with the word of the last failure. */
#ifndef PCS_CORE_BREAKER_METRICS_H
#define PCS_CORE_BREAKER_METRICS_H

#include "pcs/core/breaker.h"
#include "pcs/core/metrics.h"

#define BREAKER_METRICS_MAX 16

/* Names the breakers there will be and registers their families. Main thread, once, before other threads start. The
 * names are copied; those beyond BREAKER_METRICS_MAX are not shown. */
void breaker_metrics_register(const char *const *names, size_t count);

/* From now on scrapes look at b, which was created under one of those names (another is ignored). Any thread. */
void breaker_metrics_show(struct breaker *b);
/* No longer; its series keep their last values. When it returns no scrape is looking at b. Any thread. NULL is fine. */
void breaker_metrics_hide(struct breaker *b);

#endif
