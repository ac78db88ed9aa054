/* How fast events go out, on a clock of the test's own; and the module's settings. */
#include "delivery/pace.h"

#include "pcs/core/clock.h"
#include "pcs/delivery/delivery.h"

#include <check.h>
#include <string.h>

#define SECOND NS_PER_SEC

/* How many go out from *now until then, asked as often as the pace says. */
static unsigned count_until(struct pace *p, uint64_t *now, uint64_t then)
{
    unsigned n = 0;
    while (*now < then && n < 1000000) {
        uint64_t wait = pace_wait(p, *now);
        if (wait) {
            *now += wait;
        } else {
            pace_spend(p);
            n++;
        }
    }
    return n;
}

START_TEST(without_a_backlog_there_is_no_limit)
{
    struct pace p;
    uint64_t now = SECOND;
    pace_init(&p, 10, now);
    for (int i = 0; i < 1000; i++) {
        ck_assert_uint_eq(pace_wait(&p, now), 0);
        pace_spend(&p);
    }
}
END_TEST

static const int rates[] = {1, 7, 100, 2000, 100000};

START_TEST(a_backlog_goes_out_at_the_rate)
{
    struct pace p;
    uint64_t now = 5 * SECOND;
    double rate = rates[_i];
    pace_init(&p, rates[_i], now);
    pace_backlog(&p, true, now);
    unsigned n = count_until(&p, &now, 15 * SECOND);
    ck_assert_msg(n >= rate * 9.9 && n <= rate * 10.1 + 2, "%u in ten seconds at %.0f", n, rate);
    now += 100 * SECOND; /* an idle moment is not saved up */
    n = 0;
    while (pace_wait(&p, now) == 0 && n < 1000000) {
        pace_spend(&p);
        n++;
    }
    ck_assert_uint_le(n, (unsigned)(rate * 0.02) + 2);
    pace_backlog(&p, false, now);
    ck_assert_uint_eq(pace_wait(&p, now), 0);
}
END_TEST

START_TEST(push_back_pauses_then_halves_then_recovers)
{
    struct pace p;
    uint64_t now = SECOND;
    pace_init(&p, 1000, now);
    pace_backlog(&p, true, now);
    ck_assert_uint_eq(pace_pushed_back(&p, 2 * SECOND, now), 3 * SECOND);
    ck_assert_uint_eq(pace_wait(&p, now), 2 * SECOND);
    for (int i = 0; i < 50; i++) { /* answers to what was under way change nothing */
        (void)pace_pushed_back(&p, SECOND, now);
    }
    ck_assert_uint_eq(pace_wait(&p, now), 2 * SECOND);
    now = 3 * SECOND;
    unsigned n = count_until(&p, &now, 4 * SECOND);
    ck_assert_msg(n >= 490 && n <= 502, "%u", n);
    now = 4 * SECOND; /* a success a second: x 1.5 */
    pace_succeeded(&p, now);
    n = count_until(&p, &now, 5 * SECOND);
    ck_assert_msg(n >= 740 && n <= 765, "%u", n);
    pace_succeeded(&p, 6 * SECOND);
    now = 6 * SECOND;
    n = count_until(&p, &now, 7 * SECOND);
    ck_assert_msg(n >= 985 && n <= 1022, "%u", n);
}
END_TEST

START_TEST(push_back_is_bounded_both_ways)
{
    struct pace p;
    uint64_t now = SECOND;
    pace_init(&p, 1000, now);
    ck_assert_uint_eq(pace_pushed_back(&p, 0, now), now + PACE_PAUSE_MIN_NS);
    ck_assert_uint_eq(pace_pushed_back(&p, UINT64_MAX / 2, now), now + PACE_PAUSE_MAX_NS);
    for (int i = 0; i < 40; i++) { /* never slower than one a second */
        now = p.pause_until_ns;
        (void)pace_pushed_back(&p, SECOND, now);
    }
    now = p.pause_until_ns;
    unsigned n = count_until(&p, &now, now + 10 * SECOND);
    ck_assert_msg(n >= 10 && n <= 12, "%u", n);
}
END_TEST

/* ---- settings ---- */

static const struct config_section *const sections[] = {&delivery_config_section};

static const struct delivery_config *load(char *const *environment, struct config **snapshot, char *err,
                                          size_t errlen)
{
    *snapshot = config_load(sections, 1, NULL, environment, err, errlen);
    return *snapshot ? config_values(*snapshot, &delivery_config_section) : NULL;
}

START_TEST(contract_6_defaults)
{
    char err[1024];
    char *none[] = {NULL};
    struct config *snapshot;
    const struct delivery_config *c = load(none, &snapshot, err, sizeof err);
    ck_assert_msg(c != NULL, "%s", err);
    ck_assert_str_eq(c->base_url, "");
    ck_assert_str_eq(c->webhook_secret, "");
    ck_assert_int_eq(c->deadline_ms, 5000);
    ck_assert_int_eq(c->connect_timeout_ms, 1000);
    ck_assert_int_eq(c->concurrency, 64);
    ck_assert_int_eq(c->rate, 2000);
    ck_assert_int_eq(c->probe_ms, 30000);
    ck_assert_int_eq(c->breaker_wait_ms, 1000);
    config_unref(snapshot);
}
END_TEST

START_TEST(contract_6_environment)
{
    char err[1024];
    char url[] = "MVNO_BASE_URL=https://mvno-ap.example:8443/ap", secret[] = "MVNO_WEBHOOK_SECRET=s",
         rate[] = "MVNO_RATE=5";
    char *environment[] = {url, secret, rate, NULL};
    struct config *snapshot;
    const struct delivery_config *c = load(environment, &snapshot, err, sizeof err);
    ck_assert_msg(c != NULL, "%s", err);
    ck_assert_str_eq(c->base_url, "https://mvno-ap.example:8443/ap");
    ck_assert_str_eq(c->webhook_secret, "s");
    ck_assert_int_eq(c->rate, 5);
    config_unref(snapshot);
}
END_TEST

static const struct wrong {
    const char *environment[3];
    const char *named;
} wrongs[] = {
    {{"MVNO_BASE_URL=mvno-ap:8080"}, "mvno.base_url"},
    {{"MVNO_BASE_URL=ftp://mvno-ap"}, "mvno.base_url"},
    {{"MVNO_BASE_URL=http://"}, "mvno.base_url"},
    {{"MVNO_BASE_URL=http:///x"}, "mvno.base_url"},
    {{"MVNO_BASE_URL=http://mvno ap"}, "mvno.base_url"},
    {{"MVNO_BASE_URL=http://mvno-ap/?a=b"}, "mvno.base_url"},
    {{"MVNO_WEBHOOK_SECRET=whsec_***"}, "mvno.webhook_secret"},
    {{"MVNO_TLS_CLIENT_CERT=/a.pem"}, "mvno.tls.client_key"},
    {{"MVNO_DEADLINE=500ms"}, "mvno.connect_timeout"},
    {{"MVNO_PROBE=500ms"}, "mvno.breaker.wait"},
    {{"MVNO_CONCURRENCY=0"}, "MVNO_CONCURRENCY"},
    {{"MVNO_RATE=0"}, "MVNO_RATE"},
};

START_TEST(a_wrong_setting_is_named)
{
    char err[1024], text[2][128];
    char *environment[3] = {NULL, NULL, NULL};
    struct config *snapshot;
    for (int i = 0; i < 2 && wrongs[_i].environment[i]; i++) {
        strcpy(text[i], wrongs[_i].environment[i]);
        environment[i] = text[i];
    }
    ck_assert_ptr_null(load(environment, &snapshot, err, sizeof err));
    ck_assert_msg(strstr(err, wrongs[_i].named) != NULL, "%s does not name %s", err, wrongs[_i].named);
    ck_assert_ptr_null(strstr(err, "***"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pace");
    TCase *tc = tcase_create("pace");
    tcase_add_test(tc, without_a_backlog_there_is_no_limit);
    tcase_add_loop_test(tc, a_backlog_goes_out_at_the_rate, 0, sizeof rates / sizeof rates[0]);
    tcase_add_test(tc, push_back_pauses_then_halves_then_recovers);
    tcase_add_test(tc, push_back_is_bounded_both_ways);
    tcase_add_test(tc, contract_6_defaults);
    tcase_add_test(tc, contract_6_environment);
    tcase_add_loop_test(tc, a_wrong_setting_is_named, 0, sizeof wrongs / sizeof wrongs[0]);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
