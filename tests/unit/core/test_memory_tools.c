/* arena.h and buf.h: bounded memory, sticky errors, JSON that is always valid. */
#include "pcs/core/arena.h"
#include "pcs/core/buf.h"
#include "pcs/core/json.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static char order[8];
static size_t order_len;

static char letter_a[] = "a", letter_b[] = "b";

static void note(void *arg)
{
    order[order_len++] = *(const char *)arg;
}

START_TEST(arena_runs_clean_ups_newest_first)
{
    struct arena a;
    order_len = 0;
    arena_init(&a, NULL, 0, 65536);
    ck_assert(arena_on_free(&a, note, letter_a));
    ck_assert(arena_on_free(&a, note, letter_b));
    arena_free(&a);
    ck_assert_uint_eq(order_len, 2);
    ck_assert(memcmp(order, "ba", 2) == 0);
}
END_TEST

START_TEST(arena_is_bounded_and_aligned)
{
    struct arena a;
    char first[100];
    arena_init(&a, first, sizeof first, 100000);
    size_t got = 0;
    void *p;
    while ((p = arena_alloc(&a, 1000))) {
        ck_assert_uint_eq((uintptr_t)p % 16, 0);
        memset(p, 1, 1000);
        got += 1000;
    }
    ck_assert_uint_le(got, 100000);
    ck_assert_uint_gt(got, 90000);
    ck_assert_ptr_null(arena_alloc(&a, SIZE_MAX));
    ck_assert_ptr_null(arena_strndup(&a, "x", SIZE_MAX));
    arena_free(&a);
    arena_init(&a, NULL, 0, 4096);
    ck_assert_str_eq(arena_printf(&a, "%d-%s", 7, "x"), "7-x");
    ck_assert_str_eq(arena_strndup(&a, "abc", 2), "ab");
    ck_assert_ptr_nonnull(arena_alloc(&a, 0));
    arena_free(&a);
}
END_TEST

START_TEST(buf_error_is_sticky)
{
    struct buf b;
    size_t len;
    buf_init(&b, 10);
    buf_puts(&b, "0123456789");
    ck_assert(buf_ok(&b));
    buf_putc(&b, 'x');
    ck_assert(!buf_ok(&b));
    buf_puts(&b, "");
    buf_put_i64(&b, 1);
    ck_assert(!buf_ok(&b));
    ck_assert_ptr_null(buf_steal(&b, &len));
    ck_assert_uint_eq(len, 0);
    buf_put_i64(&b, INT64_MIN);
    ck_assert(!buf_ok(&b)); /* 20 characters do not fit in 10 */
    buf_free(&b);
    buf_init(&b, 64);
    buf_put_i64(&b, INT64_MIN);
    buf_putc(&b, ' ');
    buf_put_i64(&b, 0);
    ck_assert_str_eq(b.data, "-9223372036854775808 0");
    buf_free(&b);
}
END_TEST

/* Whatever goes in, RFC 8259 comes out. */
START_TEST(json_text_is_always_valid)
{
    const struct json_limits limits = {.max_bytes = 65536, .max_depth = 4, .max_members = 8};
    struct json_error error;
    unsigned seed = 1;
    for (int round = 0; round < 5000; round++) {
        char raw[64];
        size_t len = (size_t)(round % 64);
        for (size_t i = 0; i < len; i++) {
            seed = seed * 1103515245 + 12345;
            raw[i] = (char)(seed >> 16);
            if (raw[i] == 0) {
                raw[i] = 1; /* \u0000 is refused by json_check on purpose */
            }
        }
        struct buf b;
        buf_init(&b, 1024);
        buf_json_open(&b, NULL, '{');
        buf_json_strn(&b, "a", raw, len);
        buf_json_int(&b, "b", round);
        buf_json_close(&b, '}');
        ck_assert(buf_ok(&b));
        ck_assert_msg(json_check(b.data, b.len, &limits, &error), "%s at %zu: %s", error.reason, error.offset,
                      b.data);
        buf_free(&b);
    }
}
END_TEST

START_TEST(json_members)
{
    struct buf b;
    buf_init(&b, 1024);
    buf_json_open(&b, NULL, '{');
    buf_json_str(&b, "none", NULL);
    buf_json_str(&b, "text", "a\"b\\c\n\x01한\xff");
    buf_json_bool(&b, "yes", true);
    buf_json_null(&b, "nothing");
    buf_json_time(&b, "never", 0);
    buf_json_time(&b, "then", 1);
    buf_json_open(&b, "list", '[');
    buf_json_int(&b, NULL, -1);
    buf_json_raw(&b, NULL, "{}", 2);
    buf_json_close(&b, ']');
    buf_json_close(&b, '}');
    ck_assert_str_eq(b.data,
                     "{\"text\":\"a\\\"b\\\\c\\n\\u0001한\xEF\xBF\xBD\",\"yes\":true,\"nothing\":null,"
                     "\"then\":\"1970-01-01T00:00:00.001Z\",\"list\":[-1,{}]}");
    buf_free(&b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("memory tools");
    TCase *t = tcase_create("arena, buf");
    tcase_add_test(t, arena_runs_clean_ups_newest_first);
    tcase_add_test(t, arena_is_bounded_and_aligned);
    tcase_add_test(t, buf_error_is_sticky);
    tcase_add_test(t, json_text_is_always_valid);
    tcase_add_test(t, json_members);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
