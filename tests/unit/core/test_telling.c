/* log.h and metrics.h: one valid JSON line an event, masked lines; Prometheus' text form. */
#include "pcs/core/json.h"
#include "pcs/core/log.h"
#include "pcs/core/metrics.h"

#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int log_file;

static void log_to_file(void)
{
    char name[] = "/tmp/pcs-log-XXXXXX";
    log_file = mkstemp(name);
    unlink(name);
    log_set_fd(log_file);
}

static char *logged(void)
{
    static char text[65536];
    ssize_t n = pread(log_file, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

/* Issue "The customer's journey", 9: JSON, line numbers masked, nothing from outside can forge a line. */
START_TEST(one_line_of_json)
{
    const struct json_limits limits = {.max_bytes = 65536, .max_depth = 2, .max_members = 16};
    struct json_error error;
    log_to_file();
    log_info("test.event", log_str("text", "a\n{\"forged\":1}\""), log_int("n", -5), log_bool("yes", true),
             log_line("line", "01012345678"), log_line("short", "123"), log_ms("ms", 1234567),
             log_str("none", NULL));
    char *line = logged(), *end = strchr(line, '\n');
    ck_assert_ptr_nonnull(end);
    ck_assert_ptr_eq(end[1] ? end : NULL, NULL); /* one line only */
    ck_assert(json_check(line, (size_t)(end - line), &limits, &error));
    ck_assert_ptr_nonnull(strstr(line, "\"line\":\"010****5678\""));
    ck_assert_ptr_nonnull(strstr(line, "\"short\":\"***\""));
    ck_assert_ptr_nonnull(strstr(line, "\"ms\":1.234"));
    ck_assert_ptr_nonnull(strstr(line, "\"event\":\"test.event\""));
    ck_assert_ptr_null(strstr(line, "none"));
}
END_TEST

START_TEST(threshold_and_buffering)
{
    log_to_file();
    log_set_threshold(LOG_LEVEL_WARN);
    log_info("hidden");
    ck_assert_str_eq(logged(), "");
    log_thread_buffered(true);
    log_warn("shown");
    ck_assert_str_eq(logged(), "");
    log_flush();
    ck_assert_ptr_nonnull(strstr(logged(), "shown"));
    for (int i = 0; i < 2000; i++) { /* past the buffer: written by itself */
        log_warn("many", log_str("pad", "0123456789012345678901234567890123456789"));
    }
    log_thread_buffered(false);
    enum log_level level;
    ck_assert(log_level_parse("DEBUG", &level) && level == LOG_LEVEL_DEBUG);
    ck_assert(!log_level_parse("loud", &level));
}
END_TEST

static const char *const kinds[] = {"kind=\"a\"", "kind=\"b\"", NULL};
static const double buckets[] = {0.001, 0.01, 0};
static struct metric_family counter = {
    .name = "t_total", .help = "h", .type = METRIC_COUNTER, .labels = kinds};
static struct metric_family gauge = {.name = "t_gauge", .help = "h", .type = METRIC_GAUGE};
static struct metric_family histogram = {
    .name = "t_seconds", .help = "h", .type = METRIC_HISTOGRAM, .buckets = buckets};

static void *count(void *arg)
{
    (void)arg;
    metrics_thread_init();
    for (int i = 0; i < 1000; i++) {
        metric_add(&counter, 1, 1);
        metric_gauge_add(&gauge, 0, 1);
    }
    return NULL;
}

START_TEST(exposition)
{
    struct metric_family *list[] = {&counter, &gauge, &histogram};
    pthread_t threads[3];
    struct buf out;
    metrics_register(list, 3);
    metrics_thread_init();
    for (int i = 0; i < 3; i++) {
        pthread_create(&threads[i], NULL, count, NULL);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    metric_add(&counter, 99, 1); /* no such series: ignored */
    metric_observe_ns(&histogram, 0, 1000000);
    metric_observe_ns(&histogram, 0, 5000000);
    metric_observe_ns(&histogram, 0, 50000000);
    buf_init(&out, 65536);
    metrics_print(&out);
    ck_assert_str_eq(out.data,
                     "# HELP t_total h\n# TYPE t_total counter\n"
                     "t_total{kind=\"a\"} 0\nt_total{kind=\"b\"} 3000\n"
                     "# HELP t_gauge h\n# TYPE t_gauge gauge\nt_gauge 3000\n"
                     "# HELP t_seconds h\n# TYPE t_seconds histogram\n"
                     "t_seconds_bucket{le=\"0.001\"} 1\nt_seconds_bucket{le=\"0.01\"} 2\n"
                     "t_seconds_bucket{le=\"+Inf\"} 3\nt_seconds_sum 0.056000000\nt_seconds_count 3\n");
    buf_free(&out);
}
END_TEST

static _Atomic int collecting;
static _Atomic bool overlapped;

/* What the collectors of the gates and of the process do: they remember what the last scrape saw, without a lock. */
static void collect_alone(void *arg)
{
    (void)arg;
    if (atomic_fetch_add(&collecting, 1) != 0) {
        overlapped = true;
    }
    sched_yield();
    atomic_fetch_sub(&collecting, 1);
}

static void *scrape_often(void *arg)
{
    pthread_barrier_wait(arg);
    for (int i = 0; i < 2000; i++) {
        struct buf out;
        buf_init(&out, 65536);
        metrics_print(&out);
        buf_free(&out);
    }
    return NULL;
}

/* CONVENTIONS.md 14: any reactor may be scraped, and two at once; the admin API scrapes too. */
START_TEST(collectors_of_two_scrapes_do_not_overlap)
{
    pthread_t threads[2];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, 2);
    metrics_on_scrape(collect_alone, NULL);
    for (int i = 0; i < 2; i++) {
        pthread_create(&threads[i], NULL, scrape_often, &start);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_barrier_destroy(&start);
    ck_assert(!overlapped);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("telling");
    TCase *t = tcase_create("log, metrics");
    tcase_add_test(t, one_line_of_json);
    tcase_add_test(t, threshold_and_buffering);
    tcase_add_test(t, exposition);
    tcase_add_test(t, collectors_of_two_scrapes_do_not_overlap);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
