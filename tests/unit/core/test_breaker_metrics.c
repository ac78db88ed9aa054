/* Breakers on a scrape (issue 4, point 3: state, rates, what is left and the last cause of each). */
#include "breaker_fixture.h"

#include "pcs/core/breaker_metrics.h"
#include "pcs/core/clock.h"

static struct buf out;

static const char *scrape(void)
{
    buf_reset(&out);
    metrics_print(&out);
    return out.data;
}

static struct breaker *named(const char *name)
{
    struct breaker_config c = plain_config();
    char err[200] = "";
    test_now_ns = clock_mono_ns();
    struct breaker *b = breaker_create(name, &c, err, sizeof err);
    ck_assert_msg(b != NULL, "%s", err);
    return b;
}

static void setup(void)
{
    static const char *const names[] = {"first", "second"};
    breaker_metrics_register(names, 2);
    metrics_thread_init();
    buf_init(&out, 1 << 20);
}

START_TEST(a_breaker_that_opened_shows_why_and_for_how_long)
{
    struct breaker *b = named("second");
    breaker_metrics_show(b);
    for (int i = 0; i < 4; i++) {
        call(b, BREAKER_FAILURE);
    }
    ck_assert(rejected(b));
    scrape();
    const char *text = scrape(); /* the second scrape counts nothing twice */
    ck_assert_ptr_nonnull(strstr(text, "pcs_breaker_state{breaker=\"second\",state=\"OPEN\"} 1\n"));
    ck_assert_ptr_nonnull(strstr(text, "pcs_breaker_state{breaker=\"second\",state=\"CLOSED\"} 0\n"));
    ck_assert_ptr_nonnull(
        strstr(text, "pcs_breaker_transitions_total{breaker=\"second\",state=\"OPEN\"} 1\n"));
    ck_assert_ptr_nonnull(strstr(text, "pcs_breaker_failure_rate{breaker=\"second\"} 100\n"));
    ck_assert_ptr_nonnull(strstr(text, "pcs_breaker_open_seconds_left{breaker=\"second\"} 1\n"));
    ck_assert_ptr_nonnull(strstr(text, "pcs_breaker_rejected_total{breaker=\"second\"} 1\n"));
    ck_assert_ptr_nonnull(
        strstr(text, "pcs_breaker_last_cause{breaker=\"second\",cause=\"refused by test\"} "));
    breaker_metrics_hide(b);
    breaker_destroy(b);
}
END_TEST

/* A breaker that is not there yet, or is gone, is no crash and no invented state. */
START_TEST(a_hidden_breaker_is_not_looked_at)
{
    struct breaker *b = named("first");
    ck_assert_ptr_nonnull(strstr(scrape(), "pcs_breaker_state{breaker=\"first\",state=\"CLOSED\"} 0\n"));
    breaker_metrics_show(b);
    ck_assert_ptr_nonnull(strstr(scrape(), "pcs_breaker_state{breaker=\"first\",state=\"CLOSED\"} 1\n"));
    breaker_metrics_hide(b);
    breaker_destroy(b);
    scrape();
    breaker_metrics_hide(NULL);
}
END_TEST

/* The cause is anybody's text: it cannot break the exposition. */
START_TEST(a_cause_is_escaped)
{
    struct breaker *b = named("first");
    struct breaker_permit p = take(b, 0);
    breaker_complete(b, &p, BREAKER_FAILURE, 0, "a \"b\" \\ c\nd");
    breaker_metrics_show(b);
    ck_assert_ptr_nonnull(
        strstr(scrape(), "pcs_breaker_last_cause{breaker=\"first\",cause=\"a \\\"b\\\" \\\\ c\\nd\"} "));
    breaker_metrics_hide(b);
    breaker_destroy(b);
}
END_TEST

START_TEST(another_name_is_ignored)
{
    struct breaker *b = named("third");
    breaker_metrics_show(b);
    ck_assert_ptr_null(strstr(scrape(), "third"));
    breaker_metrics_hide(b);
    breaker_destroy(b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("breaker_metrics");
    TCase *t = tcase_create("breaker_metrics");
    setup();
    tcase_add_test(t, a_breaker_that_opened_shows_why_and_for_how_long);
    tcase_add_test(t, a_hidden_breaker_is_not_looked_at);
    tcase_add_test(t, a_cause_is_escaped);
    tcase_add_test(t, another_name_is_ignored);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    buf_free(&out);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
