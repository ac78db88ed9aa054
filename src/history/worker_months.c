/* history_worker_months.c - partitions ahead, and those that rows turn out to need. */
#include "history/internal.h"
#include "pcs/core/log.h"

#include <stdio.h>
#include <time.h>

#define MONTHS_EVERY_NS (24 * 3600 * NS_PER_SEC)
#define MONTHS_AGAIN_NS (60 * NS_PER_SEC) /* after a failure, e.g. a long reader was in the way */
#define MONTHS_NS       (10 * NS_PER_SEC)

#define MONTHS_MAX (sizeof((struct worker *)0)->months / sizeof(int))

/* year * 12 + month in UTC; 0: outside what ensure_partition() takes (2000..2099). */
static int month_of(int64_t unix_ms)
{
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm tm;
    if (unix_ms < INT64_C(946684800000) || unix_ms >= INT64_C(4102444800000) || !gmtime_r(&seconds, &tm)) {
        return 0;
    }
    return (tm.tm_year + 1900) * 12 + tm.tm_mon;
}

static bool known(const struct worker *w, int month)
{
    for (size_t i = 0; i < w->month_count; i++) {
        if (w->months[i] == month) {
            return true;
        }
    }
    return false;
}

static void remember(struct worker *w, int month)
{
    if (w->month_count == MONTHS_MAX) {
        w->month_count = 0; /* forgetting costs a call each, nothing else */
    }
    w->months[w->month_count++] = month;
}

/* FAULT_NONE also when the server could not: rows go to DEFAULT, and it is tried again later. */
static enum fault tolerate(struct worker *w, enum fault f)
{
    if (f == FAULT_NONE) {
        history_trouble_end(&w->partition_trouble, "history.partitions_made");
        return f;
    }
    if (!w->link.pg) {
        return f;
    }
    history_trouble_tell(&w->partition_trouble, "history.partitions_missing", f, &w->link);
    uint64_t again = clock_mono_ns() + MONTHS_AGAIN_NS;
    w->months_at = again < w->months_at ? again : w->months_at;
    return FAULT_NONE;
}

enum fault history_worker_months(struct worker *w)
{
    uint64_t now = clock_mono_ns();
    char ahead[24];
    const char *const values[] = {ahead};
    PGresult *result = NULL;
    if (now < w->months_at) {
        return FAULT_NONE;
    }
    w->months_at = now + MONTHS_EVERY_NS;
    w->month_count = 0;
    snprintf(ahead, sizeof ahead, "%lld", (long long)w->h->config.months_ahead);
    enum fault f = pglink_params(&w->link, "SELECT product_change.ensure_partitions($1::integer)", 1, values,
                                 now + MONTHS_NS, &result);
    if (f == FAULT_NONE) {
        int first = month_of(clock_wall_ms());
        for (int i = 0; first && i <= w->h->config.months_ahead; i++) {
            remember(w, first + i);
        }
        log_info("history.partitions", log_str("made", PQgetvalue(result, 0, 0)));
        PQclear(result);
    }
    return tolerate(w, f);
}

enum fault history_worker_months_of_rows(struct worker *w)
{
    char ms[24];
    const char *const values[] = {ms};
    for (size_t i = 0; i < w->pull.list_count; i++) {
        int64_t at = w->pull.list[i].requested_at;
        int month = month_of(at);
        if (!month || known(w, month)) {
            continue;
        }
        snprintf(ms, sizeof ms, "%lld", (long long)at);
        enum fault f = pglink_params(&w->link,
                                     "SELECT product_change.ensure_partition("
                                     "timestamptz 'epoch' + $1::bigint * interval '1 millisecond')",
                                     1, values, clock_mono_ns() + MONTHS_NS, NULL);
        if (f == FAULT_NONE) {
            log_info("history.partition", log_int("year", month / 12), log_int("month", month % 12 + 1));
        }
        if ((f = tolerate(w, f)) != FAULT_NONE) {
            return f;
        }
        remember(w, month); /* also when it failed: until months_at, DEFAULT takes them */
    }
    return FAULT_NONE;
}
