/* The products: memory, cache, KOS; and a customer's product completed from them (UFR-PROD-020, CONTRACT.md 1,
 * Product). */
#include "unit/product/store_rig.h"

START_TEST(miss_then_hit)
{
    struct heard h = {0};
    load_catalogue(&h);
    ck_assert_int_eq(h.answer, STORE_OK);
    ck_assert(!h.cached && !h.stale);
    ck_assert_uint_eq(h.products, 2);
    ck_assert_str_eq(h.code, "A");
    settle();
    ck_assert(holds_entry(CATALOGUE_KEY, "PCSK1 "));
    load_catalogue(&h);
    ck_assert(h.cached);
    ck_assert_uint_eq(h.products, 2);
    store_reopen(); /* another reactor: it has to read the whole entry */
    load_catalogue(&h);
    ck_assert(h.cached);
    ck_assert_uint_eq(h.products, 2);
    ck_assert_uint_eq(fake_kos.total, 1);
}
END_TEST

/* The large value is fetched only when it is another one */
START_TEST(only_the_head_is_fetched)
{
    struct heard h = {0};
    load_catalogue(&h);
    settle();
    freeReplyObject(ask("CONFIG RESETSTAT"));
    for (int i = 0; i < 5; i++) {
        load_catalogue(&h);
    }
    redisReply *r = ask("INFO commandstats");
    ck_assert_ptr_nonnull(strstr(r->str, "cmdstat_getrange:calls=5,"));
    ck_assert_ptr_null(strstr(r->str, "cmdstat_get:"));
    freeReplyObject(r);
    put_catalogue("THEIRS", 0); /* another instance refreshed it */
    load_catalogue(&h);
    ck_assert(h.cached);
    ck_assert_str_eq(h.code, "THEIRS");
    ck_assert_uint_eq(fake_kos.total, 1);
}
END_TEST

START_TEST(single_flight)
{
    struct heard h[100] = {{0}}, more[100] = {{0}};
    fake_kos.held = true;
    for (unsigned i = 0; i < 100; i++) {
        store_catalogue(store, &caller, in_ms(8000), hear_catalogue, &h[i]);
    }
    ck_assert(rig_until(fake_kos.total == 1, WAIT));
    rig_run(30);
    kos_release();
    for (unsigned i = 0; i < 100; i++) {
        ck_assert(rig_until(h[i].count == 1, WAIT));
        ck_assert_uint_eq(h[i].products, 2);
    }
    ck_assert_uint_eq(fake_kos.total, 1);
    settle();
    store_reopen();
    freeReplyObject(ask("CONFIG RESETSTAT"));
    for (unsigned i = 0; i < 100; i++) { /* the whole entry is read once for all of them */
        store_catalogue(store, &caller, in_ms(8000), hear_catalogue, &more[i]);
    }
    for (unsigned i = 0; i < 100; i++) {
        ck_assert(rig_until(more[i].count == 1, WAIT));
        ck_assert(more[i].cached);
    }
    redisReply *r = ask("INFO commandstats");
    ck_assert_ptr_nonnull(strstr(r->str, "cmdstat_get:calls=1,"));
    freeReplyObject(r);
}
END_TEST

/* CONTRACT.md 1: stale when KOS fails, afresh when it does not */
START_TEST(stale)
{
    struct heard h = {0};
    put_catalogue("OLD", 7 * HOUR);
    fake_kos.says = system_error;
    load_catalogue(&h);
    ck_assert(h.answer == STORE_OK && h.stale && h.cached);
    ck_assert_int_ge(h.age_s, 7 * 3600);
    ck_assert_str_eq(h.code, "OLD");
    fake_kos.says = healthy;
    load_catalogue(&h);
    ck_assert(!h.stale && !h.cached);
    ck_assert_str_eq(h.code, "A");
    settle();
    load_catalogue(&h);
    ck_assert(h.cached && !h.stale);
    ck_assert_str_eq(h.code, "A");
    ck_assert_uint_eq(fake_kos.count[KOS_LIST], 2);
}
END_TEST

START_TEST(breaker_open)
{
    struct heard h = {0};
    char err[128];
    breaker_transition(gates.gate[KOS_LIST].breaker, BREAKER_OPEN, 5000, err, sizeof err);
    load_catalogue(&h);
    ck_assert_int_eq(h.answer, STORE_UNAVAILABLE);
    ck_assert_uint_gt(h.retry_after_ns, 3 * NS_PER_SEC);
    put_catalogue("OLD", 7 * HOUR);
    load_catalogue(&h);
    ck_assert(h.answer == STORE_OK && h.stale);
    load_catalogue(&h);
    ck_assert(h.answer == STORE_OK && h.stale);
    ck_assert_uint_eq(fake_kos.total, 0);
}
END_TEST

/* Redis and KOS out: what this reactor remembers is as good as it is young */
START_TEST(memory_outlives_redis)
{
    struct heard h = {0};
    load_catalogue(&h);
    redis_kill();
    ck_assert(rig_until(!redis_link_up(link_), WAIT));
    fake_kos.says = system_error;
    load_catalogue(&h);
    ck_assert(h.answer == STORE_OK && !h.stale);
    ck_assert_uint_eq(fake_kos.total, 1);
    store->catalogue->filled_at -= 7 * HOUR;
    load_catalogue(&h);
    ck_assert(h.answer == STORE_OK && h.stale);
    ck_assert_uint_eq(fake_kos.total, 2);
    store->catalogue->filled_at -= 24 * HOUR;
    load_catalogue(&h);
    ck_assert_int_eq(h.answer, STORE_UNAVAILABLE);
}
END_TEST

START_TEST(garbage_is_healed)
{
    struct heard h = {0};
    size_t len;
    set_value(CATALOGUE_KEY, "junk", 4);
    load_catalogue(&h);
    ck_assert(h.answer == STORE_OK && !h.cached);
    settle();
    ck_assert(holds_entry(CATALOGUE_KEY, "PCSK1 "));
    char *value = value_of(CATALOGUE_KEY, &len); /* a good head, a bad rest */
    value[len - 3] ^= 1;
    set_value(CATALOGUE_KEY, value, len);
    free(value);
    store_reopen();
    load_catalogue(&h);
    ck_assert(h.answer == STORE_OK && !h.cached);
    settle();
    load_catalogue(&h);
    settle();
    ck_assert(holds_entry(CATALOGUE_KEY, "PCSK1 "));
    load_catalogue(&h);
    ck_assert(h.cached);
}
END_TEST

/* CONTRACT.md 1, Product: a current product's missing fields come from the catalogue */
START_TEST(product_is_completed)
{
    struct heard h = {0};
    kos_name = NULL;
    load(&h);
    ck_assert_int_eq(h.answer, STORE_OK);
    ck_assert_str_eq(h.name, "에이");
    ck_assert_str_eq(h.network, "LTE");
    ck_assert_ptr_nonnull(strstr(h.json, "\"monthlyFee\":1000"));
    ck_assert_uint_eq(fake_kos.count[KOS_LIST], 1);
    settle();
    load(&h);
    ck_assert(h.cached);
    ck_assert_str_eq(h.name, "에이");
    ck_assert_uint_eq(fake_kos.total, 2);
}
END_TEST

/* CONTRACT.md 2: name or fee neither there nor in the catalogue = like 3003, and not cached */
START_TEST(product_is_nowhere)
{
    struct heard h = {0};
    kos_name = NULL;
    kos_product = "GONE";
    load(&h);
    ck_assert_int_eq(h.answer, STORE_NO_PRODUCT);
    ck_assert(!h.has_product);
    ck_assert_str_eq(h.customer_id, "C1");
    settle();
    ck_assert(!holds_entry(KEY, "PCSC1 "));
}
END_TEST

static const char *list_fails(const struct asked *a, int *status)
{
    return a->op == KOS_LIST ? system_error(a, status) : healthy(a, status);
}

/* The catalogue might know but cannot be asked: that is no answer, it is KOS being out */
START_TEST(product_without_catalogue)
{
    struct heard h = {0};
    kos_name = NULL;
    fake_kos.says = list_fails;
    load(&h);
    ck_assert_int_eq(h.answer, STORE_UNAVAILABLE);
    put_customer("OLD", 2 * HOUR);
    load(&h);
    ck_assert(h.answer == STORE_OK && h.stale);
}
END_TEST

/* "A current product's missing fields come from the catalogue": it is asked, but a screen can do without them */
START_TEST(details_are_asked_but_not_needed)
{
    struct heard h = {0};
    fake_kos.says = list_fails;
    load(&h);
    ck_assert_int_eq(h.answer, STORE_OK);
    ck_assert_uint_ge(fake_kos.count[KOS_LIST], 1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("store_catalogue");
    TCase *t = tcase_create("store_catalogue");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, store_setup, store_teardown);
    tcase_add_test(t, miss_then_hit);
    tcase_add_test(t, only_the_head_is_fetched);
    tcase_add_test(t, single_flight);
    tcase_add_test(t, stale);
    tcase_add_test(t, breaker_open);
    tcase_add_test(t, memory_outlives_redis);
    tcase_add_test(t, garbage_is_healed);
    tcase_add_test(t, product_is_completed);
    tcase_add_test(t, product_is_nowhere);
    tcase_add_test(t, product_without_catalogue);
    tcase_add_test(t, details_are_asked_but_not_needed);
    suite_add_tcase(s, t);
    return run_suite(s);
}
