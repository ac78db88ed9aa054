/* Customers from cache and KOS: what is stored, what is served when KOS or Redis is out (CONTRACT.md 1, 2, 4;
 * DESIGN.md, The cache). */
#include "unit/product/store_rig.h"

/* UFR-PROD-010: miss, lease, inquiry, fill; the next one is a hit with the same bytes */
START_TEST(miss_then_hit)
{
    struct heard h = {0};
    int64_t before = clock_wall_ms();
    load(&h);
    ck_assert_int_eq(h.answer, STORE_OK);
    ck_assert(!h.cached && !h.stale);
    ck_assert_str_eq(h.code, "A");
    ck_assert_uint_eq(h.notes, 1);
    ck_assert_int_ge(h.loaded_at, before);
    ck_assert_ptr_nonnull(strstr(h.json, "\"lineNumber\":\"" LINE "\""));
    ck_assert_ptr_nonnull(
        strstr(h.json, "\"currentProduct\":{\"productCode\":\"A\",\"productName\":\"이름\""));
    char *json = strdup(h.json);
    int64_t asked = h.loaded_at;
    settle();
    ck_assert(holds_entry(KEY, "PCSC1 "));
    redisReply *ttl = ask("PTTL %s", KEY);
    ck_assert_int_le(ttl->integer, 4 * HOUR); /* the jitter only shortens, by a tenth at the most */
    ck_assert_int_ge(ttl->integer, 4 * HOUR * 9 / 10 - 5000);
    freeReplyObject(ttl);

    load(&h);
    ck_assert_int_eq(h.answer, STORE_OK);
    ck_assert(h.cached && !h.stale);
    ck_assert_str_eq(h.json, json);
    ck_assert_str_eq(h.customer_id, "C1");
    ck_assert_int_eq(h.loaded_at, asked);
    ck_assert_uint_eq(h.notes, 0);
    ck_assert_uint_eq(fake_kos.count[KOS_INQUIRY], 1);
    free(json);
}
END_TEST

static const char *code_to_answer;

static const char *refusing(const struct asked *a, int *status)
{
    static char body[128];
    (void)a;
    (void)status;
    snprintf(body, sizeof body, "{\"success\":false,\"resultCode\":\"%s\",\"data\":null}", code_to_answer);
    return body;
}

static const struct {
    const char *code;
    enum store_answer answer;
} negatives[] = {{"3001", STORE_UNKNOWN_LINE},
                 {"3002", STORE_NOT_ACTIVE},
                 {"3003", STORE_NO_PRODUCT},
                 {"9999", STORE_UNAVAILABLE}};

/* CONTRACT.md 2, Reads: only 0000 is cached; the lease goes back */
START_TEST(negatives_are_not_cached)
{
    struct heard h = {0};
    code_to_answer = negatives[_i].code;
    fake_kos.says = refusing;
    load(&h);
    ck_assert_int_eq(h.answer, negatives[_i].answer);
    ck_assert_str_eq(h.json, "");
    if (h.answer == STORE_NOT_ACTIVE) {
        ck_assert_int_eq(h.status, LINE_SUSPENDED);
    }
    settle();
    ck_assert(holds_entry(KEY, "") && !holds_entry(KEY, "PCSC1") && !holds_entry(KEY, "lease:"));
    load(&h);
    ck_assert_uint_eq(fake_kos.count[KOS_INQUIRY], 2);
}
END_TEST

static const char *inactive(const struct asked *a, int *status)
{
    (void)a;
    (void)status;
    return "{\"success\":true,\"resultCode\":\"0000\",\"data\":{\"productInfo\":{\"currentProductCode\":"
           "\"A\","
           "\"currentProductName\":\"n\",\"monthlyFee\":1},\"customerInfo\":{\"customerId\":\"C7\","
           "\"lineStatus\":\"TERMINATED\"}}}";
}

/* CONTRACT.md 2: 0000 with a line that is not active: what was given, and not cached */
START_TEST(inactive_is_not_cached)
{
    struct heard h = {0};
    put_customer("OLD", 2 * HOUR); /* past its soft age: contradicted by now */
    fake_kos.says = inactive;
    load(&h);
    ck_assert_int_eq(h.answer, STORE_NOT_ACTIVE);
    ck_assert_int_eq(h.status, LINE_TERMINATED);
    ck_assert_str_eq(h.customer_id, "C7");
    ck_assert(h.has_product);
    settle();
    ck_assert(!holds_entry(KEY, "PCSC1"));
}
END_TEST

/* CONTRACT.md 1: past its soft age it is fetched again; if KOS fails it is served, marked */
START_TEST(served_stale)
{
    struct heard h = {0};
    put_customer("OLD", 2 * HOUR);
    fake_kos.says = system_error;
    load(&h);
    ck_assert_int_eq(h.answer, STORE_OK);
    ck_assert(h.cached && h.stale);
    ck_assert_str_eq(h.code, "OLD");
    ck_assert_int_ge(h.age_s, 7200);
    ck_assert_int_le(h.age_s, 7210);
    ck_assert_ptr_nonnull(strstr(h.json, "\"productCode\":\"OLD\""));
    ck_assert_uint_eq(fake_kos.count[KOS_INQUIRY], 1);
    settle();
    ck_assert(holds_entry(KEY, "PCSC1 "));

    fake_kos.says = healthy;
    load(&h);
    ck_assert(!h.cached && !h.stale);
    ck_assert_str_eq(h.code, "A");
    settle();
    load(&h); /* the refresh replaced it */
    ck_assert(h.cached && !h.stale);
    ck_assert_str_eq(h.code, "A");
    ck_assert_uint_eq(fake_kos.count[KOS_INQUIRY], 2);
}
END_TEST

/* Past its hard TTL (a shorter one was configured) it is not served at all */
START_TEST(too_old_to_serve)
{
    struct heard h = {0};
    put_customer("OLD", 5 * HOUR);
    fake_kos.says = system_error;
    load(&h);
    ck_assert_int_eq(h.answer, STORE_UNAVAILABLE);
    ck_assert_uint_gt(h.retry_after_ns, 0);
}
END_TEST

/* KOS's breaker open: what is cached is served at once, stale or not; without it 503 */
START_TEST(breaker_open)
{
    struct heard h = {0};
    char err[128];
    ck_assert(breaker_transition(gates.gate[KOS_INQUIRY].breaker, BREAKER_OPEN, 5000, err, sizeof err));
    put_customer("OLD", 2 * HOUR);
    load(&h);
    ck_assert(h.answer == STORE_OK && h.stale);
    put_customer("NEW", 1000);
    load(&h);
    ck_assert(h.answer == STORE_OK && !h.stale);
    freeReplyObject(ask("DEL %s", KEY));
    load(&h);
    ck_assert_int_eq(h.answer, STORE_UNAVAILABLE);
    ck_assert_str_eq(h.reason, "breaker open");
    ck_assert_uint_gt(h.retry_after_ns, 3 * NS_PER_SEC);
    ck_assert_uint_eq(fake_kos.count[KOS_INQUIRY], 0);
}
END_TEST

/* CONTRACT.md 4: Redis down is a miss; loads share flights all the same */
START_TEST(redis_down)
{
    struct heard h[20] = {{0}};
    redis_kill();
    ck_assert(rig_until(!redis_link_up(link_), WAIT));
    fake_kos.held = true;
    for (unsigned i = 0; i < 20; i++) {
        store_customer(store, LINE, STORE_SCREEN, &caller, in_ms(8000), hear, &h[i]);
    }
    ck_assert(rig_until(fake_kos.count[KOS_INQUIRY] == 1, WAIT));
    kos_release();
    for (unsigned i = 0; i < 20; i++) {
        ck_assert(rig_until(h[i].count == 1, WAIT));
        ck_assert_int_eq(h[i].answer, STORE_OK);
        ck_assert(!h[i].cached);
    }
    ck_assert_uint_eq(fake_kos.count[KOS_INQUIRY], 1);
}
END_TEST

/* Redis hangs: after its deadline it is a miss */
START_TEST(redis_hung)
{
    struct heard h = {0};
    kill(redis_pid, SIGSTOP);
    load(&h);
    kill(redis_pid, SIGCONT);
    ck_assert_int_eq(h.answer, STORE_OK);
    ck_assert_uint_eq(fake_kos.count[KOS_INQUIRY], 1);
}
END_TEST

static const struct {
    const char *name, *value;
    size_t len;
} garbage[] = {
    {"text", "hello", 5},
    {"empty", "", 0},
    {"zeros", "\0\0\0\0", 4},
    {"half a head", "PCSC1 019a0000-0000-7000-8000-000000000000 ", 43},
    {"a short lease", "lease:1", 7},
    {"json", "{\"a\":1}", 7},
};

/* CONTRACT.md 4: Redis full of garbage is a miss, and healed */
START_TEST(garbage_is_healed)
{
    struct heard h = {0};
    set_value(KEY, garbage[_i].value, garbage[_i].len);
    load(&h);
    ck_assert_msg(h.answer == STORE_OK && !h.cached, "%s", garbage[_i].name);
    settle();
    ck_assert_msg(holds_entry(KEY, "PCSC1 "), "%s", garbage[_i].name);
    load(&h);
    ck_assert(h.cached);
    ck_assert_uint_eq(fake_kos.count[KOS_INQUIRY], 1);
}
END_TEST

/* A flipped byte, and an entry of another line under this key */
START_TEST(damaged_entries_are_healed)
{
    struct heard h = {0};
    size_t len;
    put_customer("OLD", 0);
    char *value = value_of(KEY, &len);
    value[len / 2] ^= 1;
    set_value(KEY, value, len);
    load(&h);
    ck_assert(!h.cached);
    ck_assert_str_eq(h.code, "A");
    value[len / 2] ^= 1;
    set_value(CUSTOMER_KEY OTHER, value, len);
    free(value);
    unsigned before = h.count;
    store_customer(store, OTHER, STORE_SCREEN, &caller, in_ms(8000), hear, &h);
    ck_assert(rig_until(h.count == before + 1, WAIT));
    ck_assert(!h.cached);
    ck_assert_str_eq(h.code, "A");
    settle();
    ck_assert(holds_entry(CUSTOMER_KEY OTHER, "PCSC1 "));
}
END_TEST

START_TEST(wrong_type_is_healed)
{
    struct heard h = {0};
    freeReplyObject(ask("LPUSH %s x", KEY));
    load(&h);
    ck_assert(h.answer == STORE_OK && !h.cached);
    settle();
    load(&h);
    ck_assert(h.cached);
}
END_TEST

/* CONTRACT.md 1: an order's customer is asked of KOS afresh, or young enough where configured */
START_TEST(order_mode)
{
    struct heard h = {0}, screen = {0};
    put_customer("OLD", 1000);
    load_mode(&h, STORE_ORDER);
    ck_assert(!h.cached);
    ck_assert_str_eq(h.code, "A");
    settle();
    ck_assert(value_contains(KEY, "\"productCode\":\"OLD\"")); /* no lease, nothing stored */

    store_settings.precheck_max_age_ms = 5000;
    load_mode(&h, STORE_ORDER);
    ck_assert(h.cached);
    ck_assert_str_eq(h.code, "OLD");
    put_customer("OLD", 6000);
    load_mode(&h, STORE_ORDER);
    ck_assert(!h.cached);
    put_customer("OLD", 2 * HOUR);
    fake_kos.says = system_error;
    load_mode(&h, STORE_ORDER); /* never stale */
    ck_assert_int_eq(h.answer, STORE_UNAVAILABLE);

    /* never joins, is never joined */
    store_settings.precheck_max_age_ms = 0;
    freeReplyObject(ask("DEL %s", KEY));
    fake_kos.says = healthy;
    fake_kos.held = true;
    unsigned asked = fake_kos.count[KOS_INQUIRY];
    store_customer(store, LINE, STORE_SCREEN, &caller, in_ms(8000), hear, &screen);
    ck_assert(rig_until(fake_kos.count[KOS_INQUIRY] == asked + 1, WAIT));
    unsigned before = h.count;
    store_customer(store, LINE, STORE_ORDER, &caller, in_ms(8000), hear, &h);
    store_customer(store, LINE, STORE_ORDER, &caller, in_ms(8000), hear, &h);
    ck_assert(rig_until(fake_kos.count[KOS_INQUIRY] == asked + 3, WAIT));
    kos_release();
    ck_assert(rig_until(h.count == before + 2 && screen.count == 1, WAIT));
}
END_TEST

/* A caller's deadline is kept, and the flight goes on for the cache */
START_TEST(caller_deadline)
{
    struct heard h = {0}, stale = {0};
    fake_kos.held = true;
    store_customer(store, LINE, STORE_SCREEN, &caller, in_ms(100), hear, &h);
    ck_assert(rig_until(h.count, 1500));
    ck_assert_int_eq(h.answer, STORE_UNAVAILABLE);
    ck_assert_str_eq(h.reason, "deadline");
    kos_release();
    ck_assert(rig_until(holds_entry(KEY, "PCSC1 "), WAIT));

    put_customer("OLD", 2 * HOUR);
    store_customer(store, LINE, STORE_SCREEN, &caller, in_ms(100), hear, &stale);
    ck_assert(rig_until(stale.count, 1500));
    ck_assert(stale.answer == STORE_OK && stale.stale);
    ck_assert_str_eq(stale.code, "OLD");
}
END_TEST

/* No callback after a cancel: while looking up, and while in a flight that others wait for */
START_TEST(cancelling)
{
    struct heard gone = {0}, stays = {0};
    store_cancel(store_customer(store, LINE, STORE_SCREEN, &caller, in_ms(8000), hear, &gone));
    store_cancel(store_catalogue(store, &caller, in_ms(8000), hear_catalogue, &gone));
    fake_kos.held = true;
    struct store_load *l = store_customer(store, LINE, STORE_SCREEN, &caller, in_ms(8000), hear, &gone);
    store_customer(store, LINE, STORE_SCREEN, &caller, in_ms(8000), hear, &stays);
    ck_assert(rig_until(fake_kos.count[KOS_INQUIRY] == 1, WAIT));
    store_cancel(l);
    kos_release();
    ck_assert(rig_until(stays.count, WAIT));
    ck_assert_int_eq(stays.answer, STORE_OK);
    ck_assert_uint_eq(gone.count, 0);
}
END_TEST

/* Taken down with loads in every stage: each is told once */
START_TEST(shutdown_tells)
{
    struct heard looking = {0}, flying = {0}, listing = {0}, joining = {0};
    int drop = 0;
    kos_name = NULL; /* the inquiry then waits for the catalogue */
    fake_kos.held = true;
    store_customer(store, OTHER, STORE_SCREEN, &caller, in_ms(8000), hear, &joining);
    ck_assert(rig_until(fake_kos.count[KOS_INQUIRY] == 1, WAIT));
    kos_release();
    ck_assert(rig_until(fake_kos.count[KOS_LIST] == 1, WAIT));
    store_customer(store, LINE, STORE_SCREEN, &caller, in_ms(8000), hear, &flying);
    store_catalogue(store, &caller, in_ms(8000), hear_catalogue, &listing);
    ck_assert(rig_until(fake_kos.count[KOS_INQUIRY] == 2, WAIT));
    store_customer(store, "01000000000", STORE_SCREEN, &caller, in_ms(8000), hear, &looking);
    store_invalidate(store, LINE, dropped, &drop);
    store_destroy(store);
    ck_assert(looking.count == 1 && flying.count == 1 && listing.count == 1 && joining.count == 1);
    ck_assert_int_eq(joining.answer, STORE_UNAVAILABLE);
    ck_assert_int_eq(drop, -1);
    store_open();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("store");
    TCase *t = tcase_create("store");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, store_setup, store_teardown);
    tcase_add_test(t, miss_then_hit);
    tcase_add_loop_test(t, negatives_are_not_cached, 0, 4);
    tcase_add_test(t, inactive_is_not_cached);
    tcase_add_test(t, served_stale);
    tcase_add_test(t, too_old_to_serve);
    tcase_add_test(t, breaker_open);
    tcase_add_test(t, redis_down);
    tcase_add_test(t, redis_hung);
    tcase_add_loop_test(t, garbage_is_healed, 0, (int)(sizeof garbage / sizeof *garbage));
    tcase_add_test(t, damaged_entries_are_healed);
    tcase_add_test(t, wrong_type_is_healed);
    tcase_add_test(t, order_mode);
    tcase_add_test(t, caller_deadline);
    tcase_add_test(t, cancelling);
    tcase_add_test(t, shutdown_tells);
    suite_add_tcase(s, t);
    return run_suite(s);
}
