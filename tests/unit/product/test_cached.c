/* What support is told of a cached customer (issue 3, point 6): a value, a lease, or garbage that nobody believes. */
#include "pcs/product/cached.h"
#include "product/entry.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define LINE "01012345678"
#define JSON "\"lineNumber\":\"01012345678\""
#define AT   INT64_C(1763857173123)

START_TEST(key_is_the_stores)
{
    char key[CACHED_KEY_MAX];
    cached_customer_key(key, LINE);
    ck_assert_str_eq(key, "pcs:customer:1:" LINE);
}
END_TEST

START_TEST(value_is_told)
{
    const struct customer c = {
        .line = LINE,
        .status = LINE_ACTIVE,
        .has_product = true,
        .product = {.code = "LTE_PLUS", .name = "n", .monthly_fee = 1, .available = true}};
    struct buf b;
    struct cached_customer out;
    buf_init(&b, ENTRY_CUSTOMER_MAX);
    entry_customer_write(&b, &c, JSON, strlen(JSON), AT);
    ck_assert(buf_ok(&b));
    cached_customer_read(b.data, b.len, LINE, &out);
    ck_assert_int_eq(out.kind, CACHED_VALUE);
    ck_assert_int_eq(out.filled_at, AT);
    ck_assert_str_eq(out.product_code, "LTE_PLUS");
    ck_assert_int_eq(out.status, LINE_ACTIVE);
    cached_customer_read(b.data, b.len, "01099999999", &out);
    ck_assert_int_eq(out.kind, CACHED_GARBAGE); /* another line's */
    b.data[b.len - 1] ^= 1;
    cached_customer_read(b.data, b.len, LINE, &out);
    ck_assert_int_eq(out.kind, CACHED_GARBAGE);
    buf_free(&b);
}
END_TEST

START_TEST(lease_and_garbage_are_told)
{
    static const char lease[] = "lease:01890000-0000-7000-8000-000000000000";
    struct cached_customer out;
    cached_customer_read(lease, sizeof lease - 1, LINE, &out);
    ck_assert_int_eq(out.kind, CACHED_LEASE);
    ck_assert_str_eq(cached_kind_name(out.kind), "lease");
    for (size_t len = 0; len < 6; len++) {
        cached_customer_read(lease, len, LINE, &out);
        ck_assert_int_eq(out.kind, CACHED_GARBAGE);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("product.cached");
    TCase *t = tcase_create("cached");
    tcase_add_test(t, key_is_the_stores);
    tcase_add_test(t, value_is_told);
    tcase_add_test(t, lease_and_garbage_are_told);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
