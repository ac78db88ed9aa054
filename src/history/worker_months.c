/* history_worker_months.c - partitions ahead, those that rows turn out to need, and the end of those that are old
 * enough. */
#include "history/internal.h"
#include "pcs/core/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MONTHS_EVERY_NS (24 * 3600 * NS_PER_SEC)
#define MONTHS_AGAIN_NS (60 * NS_PER_SEC) /* after a failure, e.g. a long reader was in the way */
#define MONTHS_NS       (15 * NS_PER_SEC) /* more than the server's own limit, whose end leaves the connection */
#define DAY_MS          INT64_C(86400000)

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
static enum fault tolerate(struct worker *w, enum fault f, bool *well)
{
    if (f == FAULT_NONE || !w->link.pg) {
        return f;
    }
    history_trouble_tell(&w->partition_trouble, "history.partitions_missing", f, &w->link);
    uint64_t again = clock_mono_ns() + MONTHS_AGAIN_NS;
    w->months_at = again < w->months_at ? again : w->months_at;
    *well = false;
    return FAULT_NONE;
}

/* Calls a function of the migrations that takes and gives one number. */
static enum fault call(struct worker *w, const char *sql, int64_t argument, long *answer)
{
    char text[24];
    const char *const values[] = {text};
    PGresult *result = NULL;
    snprintf(text, sizeof text, "%lld", (long long)argument);
    enum fault f = pglink_params(&w->link, sql, 1, values, clock_mono_ns() + MONTHS_NS, &result);
    *answer = f == FAULT_NONE ? strtol(PQgetvalue(result, 0, 0), NULL, 10) : 0;
    PQclear(result);
    return f;
}

static enum fault make_ahead(struct worker *w, bool *well)
{
    long made = 0, of_log = 0;
    int64_t ahead = w->h->config.months_ahead;
    enum fault f = call(w, "SELECT product_change.ensure_partitions($1::integer)", ahead, &made);
    if (f == FAULT_NONE) {
        int first = month_of(clock_wall_ms());
        for (int i = 0; first && i <= ahead; i++) {
            remember(w, first + i);
        }
    }
    f = tolerate(w, f, well);
    if (f == FAULT_NONE) {
        f = tolerate(w, call(w, "SELECT product_change.ensure_log_partitions($1::integer)", ahead, &of_log),
                     well);
    }
    if (f == FAULT_NONE && *well) {
        log_info("history.partitions", log_int("made", made), log_int("of_log", of_log));
    }
    return f;
}

/* A bounded part in one statement, so again until nothing is left; a stop comes between. */
static enum fault remove_old(struct worker *w, const char *sql, const char *what, int64_t keep_ms)
{
    enum fault f = FAULT_NONE;
    long removed = 1, total = 0;
    while (keep_ms && removed && f == FAULT_NONE && !history_stopping(w->h)) {
        f = call(w, sql, keep_ms, &removed);
        total += removed;
    }
    if (total) {
        log_info("history.removed", log_str("what", what), log_int("count", total),
                 log_int("kept_days", keep_ms / DAY_MS));
    }
    return f;
}

/* What one of the functions could not do keeps nobody from the next. */
enum fault history_worker_months(struct worker *w)
{
    uint64_t now = clock_mono_ns();
    const struct history_config *c = &w->h->config;
    bool well = true;
    if (now < w->months_at) {
        return FAULT_NONE;
    }
    w->months_at = now + MONTHS_EVERY_NS;
    w->month_count = 0;
    enum fault f = make_ahead(w, &well);
    if (f == FAULT_NONE) {
        f = tolerate(w,
                     remove_old(w, "SELECT product_change.retain_log($1::bigint * interval '1 millisecond')",
                                "calls", c->call_retention_ms),
                     &well);
    }
    if (f == FAULT_NONE) {
        f = tolerate(w,
                     remove_old(w,
                                "SELECT product_change.retain_history($1::bigint * interval '1 millisecond')",
                                "rows", c->retention_ms),
                     &well);
    }
    if (f == FAULT_NONE && well) {
        history_trouble_end(&w->partition_trouble, "history.partitions_made");
    }
    return f;
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
        bool well = true;
        if ((f = tolerate(w, f, &well)) != FAULT_NONE) {
            return f;
        }
        if (well) {
            history_trouble_end(&w->partition_trouble, "history.partitions_made");
        }
        remember(w, month); /* also when it failed: until months_at, DEFAULT takes them */
    }
    return FAULT_NONE;
}
