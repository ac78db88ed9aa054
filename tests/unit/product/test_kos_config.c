/* Settings of KOS and the cache: names, defaults, and what is refused (CONTRACT.md 6). */
#include "pcs/product/store.h"
#include "product/kos_internal.h"

#include "pcs/core/log.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct config_section *const sections[] = {&kos_config_section, &store_config_section};
static char err[8192];

static struct config *load(char *const *environment)
{
    err[0] = '\0';
    return config_load(sections, 2, NULL, environment, err, sizeof err);
}

START_TEST(defaults)
{
    char *env[] = {(char[]){"KOS_BASE_URL=http://kos:8080"}, NULL};
    struct config *c = load(env);
    ck_assert_msg(c != NULL, "%s", err);
    const struct kos_config *k = config_values(c, &kos_config_section);
    const struct store_config *s = config_values(c, &store_config_section);
    ck_assert_str_eq(k->base_url, "http://kos:8080");
    ck_assert_str_eq(k->default_operator, "");
    ck_assert(!k->deduplicates);
    ck_assert_int_eq(k->settle_horizon_ms, 600000);
    ck_assert_int_eq(kos_deadline_ms(k, KOS_INQUIRY), 3000);
    ck_assert_int_eq(kos_deadline_ms(k, KOS_LIST), 3000);
    ck_assert_int_eq(kos_deadline_ms(k, KOS_CHANGE), 5000);
    ck_assert_int_eq(k->connect_timeout_ms, 1000);
    ck_assert_int_eq(k->max_in_flight[KOS_INQUIRY], 256);
    ck_assert_int_eq(k->max_in_flight[KOS_LIST], 16);
    ck_assert_int_eq(k->max_in_flight[KOS_CHANGE], 256);
    ck_assert_int_eq(k->max_queue[KOS_CHANGE], 1024);
    ck_assert_int_eq(k->read_retries, 1);
    ck_assert_int_eq(s->customer_ttl_ms, 4 * 3600000);
    ck_assert_int_eq(s->customer_soft_age_ms, 3600000);
    ck_assert_int_eq(s->catalogue_ttl_ms, 24 * 3600000);
    ck_assert_int_eq(s->catalogue_soft_age_ms, 6 * 3600000);
    ck_assert(s->jitter_percent == 10);
    ck_assert_int_eq(s->precheck_max_age_ms, 0);
    config_unref(c);
}
END_TEST

/* CONTRACT.md 6: KOS_BASE_URL is required */
START_TEST(base_url_is_required)
{
    char *env[] = {NULL};
    ck_assert_ptr_null(load(env));
    ck_assert_msg(strstr(err, "kos.base_url") != NULL, "%s", err);
}
END_TEST

static const struct {
    const char *url;
    bool ok;
} urls[] = {
    {"http://kos", true},
    {"HTTPS://kos.example.com:8443/base/path/", true},
    {"http://127.0.0.1:1", true},
    {"http://[::1]:65535/x", true},
    {"http://kos_order-1:80/", true},
    {"kos:8080", false},
    {"ftp://kos:8080", false},
    {"http:///path", false},
    {"http://:8080", false},
    {"http://kos:0", false},
    {"http://kos:65536", false},
    {"http://kos:", false},
    {"http://kos:80x", false},
    {"http://kos:8080?x=1", false},
    {"http://kos:8080/#a", false},
    {"http://kos:8080/a b", false},
    {"http://user@kos:8080", false},
    {"http://[::1", false},
    {"http://[]:80", false},
    {"http://kos junk", false},
    {"http://kos/\xEA\xB0\x80", false},
};

START_TEST(base_urls)
{
    char text[256];
    snprintf(text, sizeof text, "KOS_BASE_URL=%s", urls[_i].url);
    char *env[] = {text, NULL};
    struct config *c = load(env);
    ck_assert_msg((c != NULL) == urls[_i].ok, "%s: %s", urls[_i].url, err);
    if (!c) {
        ck_assert_msg(strstr(err, "kos.base_url") != NULL, "%s", err);
    }
    config_unref(c);
}
END_TEST

static const struct {
    const char *one, *two, *named; /* named: what the error must say; NULL: it is fine */
} rules[] = {
    {"KOS_INQUIRY_DEADLINE=4s", "KOS_LIST_DEADLINE=4s", "kos.list.deadline"},
    {"KOS_INQUIRY_DEADLINE=4s", "KOS_LIST_DEADLINE=3s", NULL},
    {"KOS_BREAKER_WAIT=2m", "KOS_BREAKER_WAIT_MAX=1m", "kos.breaker.wait"},
    {"KOS_TLS_CLIENT_CERT=/a", "X=1", "kos.tls.client_key"},
    {"KOS_TLS_CLIENT_CERT=/a", "KOS_TLS_CLIENT_KEY=/b", NULL},
    {"KOS_READ_RETRIES=4", "X=1", "KOS_READ_RETRIES"},
    {"KOS_CHANGE_MAX_IN_FLIGHT=0", "X=1", "KOS_CHANGE_MAX_IN_FLIGHT"},
    {"CACHE_CUSTOMER_SOFT_AGE=5h", "X=1", "cache.customer.soft_age"},
    {"CACHE_CATALOGUE_SOFT_AGE=25h", "X=1", "cache.catalogue.soft_age"},
    {"CACHE_JITTER=11", "X=1", "CACHE_JITTER"},
    {"PRECHECK_MAX_AGE=2h", "X=1", "PRECHECK_MAX_AGE"},
    {"PRECHECK_MAX_AGE=1s", "KOS_DEDUPLICATES=true", NULL},
};

START_TEST(cross_checks)
{
    char one[64], two[64];
    snprintf(one, sizeof one, "%s", rules[_i].one);
    snprintf(two, sizeof two, "%s", rules[_i].two);
    char *env[] = {(char[]){"KOS_BASE_URL=http://kos:8080"}, one, two, NULL};
    struct config *c = load(env);
    ck_assert_msg((c == NULL) == (rules[_i].named != NULL), "%s: %s", one, err);
    if (!c) {
        ck_assert_msg(strstr(err, rules[_i].named) != NULL, "%s", err);
    }
    config_unref(c);
}
END_TEST

/* DESIGN.md, Failure: one breaker and one bulkhead an operation; slow is a share of its own deadline */
START_TEST(gates_from_settings)
{
    char *env[] = {(char[]){"KOS_BASE_URL=http://kos:8080"}, NULL};
    struct config *c = load(env);
    struct kos_gates gates;
    struct kos_config changed = *(const struct kos_config *)config_values(c, &kos_config_section);
    log_set_threshold(LOG_LEVEL_OFF);
    ck_assert(kos_gates_init(&gates, &changed, err, sizeof err));
    ck_assert_str_eq(gates.gate[KOS_LIST].name, "kos.list");

    struct bulkhead_snapshot h;
    bulkhead_snapshot(gates.gate[KOS_LIST].bulkhead, &h);
    ck_assert_uint_eq(h.max_in_flight, 16);
    changed.max_in_flight[KOS_LIST] = 5;
    changed.breaker_consecutive = 1;
    ck_assert(kos_gates_reload(&gates, &changed, err, sizeof err));
    bulkhead_snapshot(gates.gate[KOS_LIST].bulkhead, &h);
    ck_assert_uint_eq(h.max_in_flight, 5);

    /* 80 % of 3 s: slow is strictly longer */
    struct breaker *b = gates.gate[KOS_INQUIRY].breaker;
    struct breaker_permit permit;
    struct breaker_snapshot s;
    ck_assert(breaker_acquire(b, 0, &permit, NULL));
    breaker_complete(b, &permit, BREAKER_SUCCESS, UINT64_C(2400000000), NULL);
    ck_assert(breaker_acquire(b, 0, &permit, NULL));
    breaker_complete(b, &permit, BREAKER_SUCCESS, UINT64_C(2400000001), NULL);
    breaker_snapshot(b, &s);
    ck_assert_uint_eq(s.slow, 1);
    ck_assert(breaker_acquire(b, 0, &permit, NULL));
    breaker_complete(b, &permit, BREAKER_FAILURE, 1, NULL);
    ck_assert(!breaker_would_permit(b, NULL)); /* the reloaded rule */

    changed.breaker_wait_ms = changed.breaker_wait_max_ms + 1;
    changed.max_in_flight[KOS_LIST] = 6;
    ck_assert(!kos_gates_reload(&gates, &changed, err, sizeof err));
    bulkhead_snapshot(gates.gate[KOS_LIST].bulkhead, &h);
    ck_assert_uint_eq(h.max_in_flight, 5); /* nothing of it was taken over */
    kos_gates_free(&gates);
    config_unref(c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("kos_config");
    TCase *t = tcase_create("kos_config");
    tcase_add_test(t, defaults);
    tcase_add_test(t, base_url_is_required);
    tcase_add_loop_test(t, base_urls, 0, (int)(sizeof urls / sizeof *urls));
    tcase_add_loop_test(t, cross_checks, 0, (int)(sizeof rules / sizeof *rules));
    tcase_add_test(t, gates_from_settings);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
