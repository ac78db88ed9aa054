/* No read that begins after a completed change sees the old product, also when another read was on its way
 * (CONTRACT.md 4; DESIGN.md, The cache). */
#include "unit/product/store_rig.h"

#define READERS 100

/* Single flight: any number of readers, one question to KOS */
START_TEST(single_flight)
{
    struct heard h[READERS] = {{0}};
    fake_kos.held = true;
    for (unsigned i = 0; i < READERS; i++) {
        ck_assert_ptr_nonnull(store_customer(store, LINE, STORE_SCREEN, &caller, in_ms(8000), hear, &h[i]));
    }
    ck_assert(rig_until(fake_kos.count[KOS_INQUIRY] >= 1, WAIT));
    rig_run(50);
    ck_assert_uint_eq(fake_kos.count[KOS_INQUIRY], 1);
    kos_release();
    for (unsigned i = 0; i < READERS; i++) {
        ck_assert(rig_until(h[i].count == 1, WAIT));
        ck_assert_int_eq(h[i].answer, STORE_OK);
        ck_assert_str_eq(h[i].json, h[0].json);
    }
    ck_assert_uint_eq(fake_kos.count[KOS_INQUIRY], 1);
}
END_TEST

/* The same for refreshing one stale entry; other lines have flights of their own */
START_TEST(single_flight_refresh)
{
    struct heard h[READERS] = {{0}}, other = {0};
    put_customer("OLD", 2 * HOUR);
    fake_kos.held = true;
    for (unsigned i = 0; i < READERS; i++) {
        store_customer(store, LINE, STORE_SCREEN, &caller, in_ms(8000), hear, &h[i]);
    }
    store_customer(store, OTHER, STORE_SCREEN, &caller, in_ms(8000), hear, &other);
    ck_assert(rig_until(fake_kos.count[KOS_INQUIRY] == 2, WAIT));
    rig_run(50);
    ck_assert_uint_eq(fake_kos.count[KOS_INQUIRY], 2);
    fake_kos.says = system_error;
    kos_release();
    for (unsigned i = 0; i < READERS; i++) {
        ck_assert(rig_until(h[i].count == 1, WAIT));
        ck_assert(h[i].stale);
    }
    ck_assert(rig_until(other.count == 1, WAIT));
    ck_assert_int_eq(other.answer, STORE_UNAVAILABLE);
}
END_TEST

/* A read was on its way during the change: the old product does not come back, and later readers do not join
 * it */
START_TEST(invalidated_during_a_flight)
{
    struct heard before = {0}, after = {0}, later = {0};
    fake_kos.held = true;
    store_customer(store, LINE, STORE_SCREEN, &caller, in_ms(8000), hear, &before);
    ck_assert(rig_until(fake_kos.count[KOS_INQUIRY] == 1, WAIT)); /* KOS has read the old product */
    ck_assert_int_eq(invalidate(), 1);
    store_customer(store, LINE, STORE_SCREEN, &caller, in_ms(8000), hear, &after);
    ck_assert(rig_until(fake_kos.count[KOS_INQUIRY] == 2, WAIT)); /* a flight of its own */

    kos_product = "OLD";
    kos_reply(&fake_kos.asked[0]);
    ck_assert(rig_until(before.count == 1, WAIT));
    ck_assert_str_eq(before.code, "OLD");
    settle();
    ck_assert(!holds_entry(KEY, "PCSC1 "));

    kos_product = "NEW";
    kos_reply(&fake_kos.asked[1]);
    ck_assert(rig_until(after.count == 1, WAIT));
    ck_assert_str_eq(after.code, "NEW");
    settle();
    load(&later);
    ck_assert(later.cached);
    ck_assert_str_eq(later.code, "NEW");
}
END_TEST

/* The same when the late read answers last: what the newer one stored stays */
START_TEST(late_answer_does_not_overwrite)
{
    struct heard before = {0}, after = {0}, later = {0};
    fake_kos.held = true;
    store_customer(store, LINE, STORE_SCREEN, &caller, in_ms(8000), hear, &before);
    ck_assert(rig_until(fake_kos.count[KOS_INQUIRY] == 1, WAIT));
    ck_assert_int_eq(invalidate(), 1);
    store_customer(store, LINE, STORE_SCREEN, &caller, in_ms(8000), hear, &after);
    ck_assert(rig_until(fake_kos.count[KOS_INQUIRY] == 2, WAIT));
    kos_product = "NEW";
    kos_reply(&fake_kos.asked[1]);
    ck_assert(rig_until(after.count == 1, WAIT));
    kos_product = "OLD";
    kos_reply(&fake_kos.asked[0]);
    ck_assert(rig_until(before.count == 1, WAIT));
    settle();
    load(&later);
    ck_assert(later.cached);
    ck_assert_str_eq(later.code, "NEW");
}
END_TEST

/* A refresh that was on its way cannot bring its old value back either */
START_TEST(invalidated_during_a_refresh)
{
    struct heard before = {0}, after = {0};
    put_customer("OLD", 2 * HOUR);
    fake_kos.held = true;
    store_customer(store, LINE, STORE_SCREEN, &caller, in_ms(8000), hear, &before);
    ck_assert(rig_until(fake_kos.count[KOS_INQUIRY] == 1, WAIT));
    ck_assert_int_eq(invalidate(), 1);
    kos_product = "OLD";
    fake_kos.held = false;
    kos_release();
    ck_assert(rig_until(before.count == 1, WAIT));
    settle();
    ck_assert(!holds_entry(KEY, "PCSC1 "));
    kos_product = "NEW";
    load(&after);
    ck_assert_str_eq(after.code, "NEW");
}
END_TEST

/* Without Redis: a reader after the invalidation does not join the flight from before it */
START_TEST(invalidated_without_redis)
{
    struct heard before = {0}, after = {0}, joined = {0};
    redis_kill();
    ck_assert(rig_until(!redis_link_up(link_), WAIT));
    fake_kos.held = true;
    store_customer(store, LINE, STORE_SCREEN, &caller, in_ms(8000), hear, &before);
    ck_assert(rig_until(fake_kos.count[KOS_INQUIRY] == 1, WAIT));
    ck_assert_int_eq(invalidate(), -1); /* not acknowledged */
    bypass_add(LINE, 1);
    store_customer(store, LINE, STORE_SCREEN, &caller, in_ms(8000), hear, &after);
    store_customer(store, LINE, STORE_SCREEN, &caller, in_ms(8000), hear, &joined);
    ck_assert(rig_until(fake_kos.count[KOS_INQUIRY] == 2, WAIT));
    rig_run(20);
    ck_assert_uint_eq(fake_kos.count[KOS_INQUIRY], 2);
    kos_release();
    ck_assert(rig_until(before.count == 1 && after.count == 1 && joined.count == 1, WAIT));
}
END_TEST

/* Redis was away: this process bypasses the cache for that line until the delete is acknowledged */
START_TEST(bypass)
{
    struct heard h = {0}, other = {0};
    put_customer("OLD", 0);
    bypass_add(LINE, 7);
    load(&h);
    ck_assert(!h.cached);
    ck_assert_str_eq(h.code, "A");
    settle();
    ck_assert(value_contains(KEY, "OLD")); /* neither read nor written */
    bypass_remove(LINE, 7);
    load(&h);
    ck_assert(h.cached);
    ck_assert_str_eq(h.code, "OLD");

    /* it begins while the look-up is on its way */
    unsigned before = h.count;
    store_customer(store, LINE, STORE_SCREEN, &caller, in_ms(8000), hear, &h);
    bypass_add(LINE, 8);
    ck_assert(rig_until(h.count == before + 1, WAIT));
    ck_assert(!h.cached);
    ck_assert_str_eq(h.code, "A");

    /* ... and while KOS is being asked under a lease: nothing is stored */
    freeReplyObject(ask("DEL %s", CUSTOMER_KEY OTHER));
    fake_kos.held = true;
    unsigned asked = fake_kos.count[KOS_INQUIRY];
    store_customer(store, OTHER, STORE_SCREEN, &caller, in_ms(8000), hear, &other);
    ck_assert(rig_until(fake_kos.count[KOS_INQUIRY] == asked + 1, WAIT));
    bypass_add(OTHER, 9);
    kos_release();
    ck_assert(rig_until(other.count, WAIT));
    ck_assert_int_eq(other.answer, STORE_OK);
    settle();
    ck_assert(!holds_entry(CUSTOMER_KEY OTHER, "PCSC1 "));
}
END_TEST

/* Redis comes back after an outage: the delete is repeated, and the old entry is gone */
START_TEST(redis_comes_back)
{
    struct heard h = {0};
    put_customer("OLD", 0);
    kill(redis_pid, SIGSTOP); /* away, with its data */
    ck_assert_int_eq(invalidate(), -1);
    bypass_add(LINE, 1);
    kill(redis_pid, SIGCONT);
    ck_assert(rig_until(redis_link_up(link_), WAIT));
    load(&h);
    ck_assert_str_eq(h.code, "A");
    ck_assert(rig_until(invalidate() == 1, WAIT));
    bypass_remove(LINE, 1);
    load(&h);
    ck_assert(!h.cached);
    ck_assert_str_eq(h.code, "A");
}
END_TEST

/* Somebody else's lease: we load too, and whoever comes first stores */
START_TEST(another_instances_lease)
{
    struct heard h = {0};
    const char *token = "lease:019a0000-0000-7000-8000-0000000000ab";
    set_value(KEY, token, strlen(token));
    fake_kos.held = true;
    store_customer(store, LINE, STORE_SCREEN, &caller, in_ms(8000), hear, &h);
    ck_assert(rig_until(fake_kos.count[KOS_INQUIRY] == 1, WAIT));
    put_customer("THEIRS", 0); /* the other one was faster */
    kos_release();
    ck_assert(rig_until(h.count, WAIT));
    ck_assert_str_eq(h.code, "A");
    settle();
    load(&h);
    ck_assert_str_eq(h.code, "THEIRS");
}
END_TEST

START_TEST(drop_cancelled)
{
    int done = 0;
    put_customer("OLD", 0);
    store_drop_cancel(store_invalidate(store, LINE, dropped, &done));
    settle();
    ck_assert_int_eq(done, 0);
    ck_assert(!holds_entry(KEY, "PCSC1 ")); /* it had been sent */
}
END_TEST

int main(void)
{
    Suite *s = suite_create("store_invalidation");
    TCase *t = tcase_create("store_invalidation");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, store_setup, store_teardown);
    tcase_add_test(t, single_flight);
    tcase_add_test(t, single_flight_refresh);
    tcase_add_test(t, invalidated_during_a_flight);
    tcase_add_test(t, late_answer_does_not_overwrite);
    tcase_add_test(t, invalidated_during_a_refresh);
    tcase_add_test(t, invalidated_without_redis);
    tcase_add_test(t, bypass);
    tcase_add_test(t, redis_comes_back);
    tcase_add_test(t, another_instances_lease);
    tcase_add_test(t, drop_cancelled);
    suite_add_tcase(s, t);
    return run_suite(s);
}
