/* arena.h, buf.h and text.h: bounded memory, sticky errors, JSON that is always valid. */
#include "pcs/core/arena.h"
#include "pcs/core/buf.h"
#include "pcs/core/json.h"
#include "pcs/core/text.h"

#include <check.h>
#include <stdio.h>
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

/* What snprintf() would have written, at every size. */
START_TEST(texts_are_cut_as_snprintf_cuts_them)
{
    static const char *const texts[] = {"", "a", "webhook-id: ", "01900000-0000-7000-8000-000000000000",
                                        "한글"};
    const size_t count = sizeof texts / sizeof *texts;
    for (size_t i = 0; i < count * count; i++) {
        const char *first = texts[i / count], *second = texts[i % count];
        for (size_t size = 1; size < 80; size++) {
            char expected[80], joined[80], copied[80];
            memset(joined, '#', sizeof joined);
            memset(copied, '#', sizeof copied);
            int wanted = snprintf(expected, size, "%s%s", first, second);
            ck_assert_uint_eq(text_join(joined, size, first, second), (size_t)wanted);
            ck_assert_str_eq(joined, expected);
            ck_assert_int_eq(joined[size], '#');
            wanted = snprintf(expected, size, "%s", first);
            ck_assert_uint_eq(text_copy(copied, size, first), (size_t)wanted);
            ck_assert_str_eq(copied, expected);
            ck_assert_int_eq(copied[size], '#');
        }
    }
}
END_TEST

START_TEST(text_of_a_number)
{
    static const int64_t numbers[] = {0, 7, -7, 10, 99, 1234567890123, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char expected[24], room[TEXT_I64_SIZE];
        snprintf(expected, sizeof expected, "%lld", (long long)numbers[i]);
        ck_assert_str_eq(text_i64(room, numbers[i]), expected);
    }
}
END_TEST

/* How one byte that is not part of a longer character is written. */
static size_t written_byte(unsigned char c, char out[8])
{
    const char *as = c == '"'    ? "\\\""
                     : c == '\\' ? "\\\\"
                     : c == '\n' ? "\\n"
                     : c == '\r' ? "\\r"
                     : c == '\t' ? "\\t"
                     : c >= 0x80 ? "\xEF\xBF\xBD"
                                 : NULL;
    if (as) {
        return (size_t)snprintf(out, 8, "%s", as);
    }
    return (size_t)snprintf(out, 8, c < 0x20 || c == 0x7F ? "\\u%04x" : "%c", c);
}

/* len letters, the piece in the place of the letter at; into a buffer of exactly the size it takes, and one less. */
static void write_piece(size_t len, size_t at, const char *piece, size_t piece_len, const char *as,
                        size_t as_len)
{
    char raw[64], expected[64];
    struct buf b;
    memset(raw, 'a', sizeof raw);
    memcpy(raw + at, piece, piece_len);
    memset(expected, 'a', sizeof expected);
    expected[0] = '"';
    memcpy(expected + 1 + at, as, as_len);
    size_t whole = len - 1 + as_len + 2;
    expected[whole - 1] = '"';
    char *exact = malloc(len - 1 + piece_len); /* what is read beyond it, AddressSanitizer sees */
    ck_assert_ptr_nonnull(exact);
    memcpy(exact, raw, len - 1 + piece_len);
    buf_init(&b, whole);
    buf_json_text(&b, exact, len - 1 + piece_len);
    ck_assert(buf_ok(&b));
    ck_assert_uint_eq(b.len, whole);
    ck_assert_int_eq(b.data[whole], '\0');
    ck_assert_mem_eq(b.data, expected, whole);
    buf_free(&b);
    buf_init(&b, whole - 1);
    buf_json_text(&b, exact, len - 1 + piece_len);
    ck_assert(!buf_ok(&b));
    buf_free(&b);
    free(exact);
}

/* Runs are looked through eight bytes at a time: every byte, at every place of such a word, at both ends too. */
START_TEST(json_text_of_every_byte)
{
    for (int c = 0; c < 256; c++) {
        char piece = (char)c, as[8];
        size_t as_len = written_byte((unsigned char)c, as);
        for (size_t len = 1; len <= 18; len++) {
            for (size_t at = 0; at < len; at++) {
                write_piece(len, at, &piece, 1, as, as_len);
            }
        }
    }
}
END_TEST

START_TEST(json_text_of_characters_whole_and_cut)
{
    static const char *const whole[] = {
        "\xC2\x80",     "\xDF\xBF",         "\xE0\xA0\x80",     "\xED\x9F\xBF", "\xEE\x80\x80",
        "\xEF\xBF\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF", "한글",         "é\xF0\x9F\x98\x80"};
    static const char *const bad[] = {"\xC0\x80",     "\xC1\xBF",         "\xE0\x9F\xBF",
                                      "\xED\xA0\x80", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80",
                                      "\xE1\x80",     "\xF1\x80\x80",     "\xF5\x80\x80\x80"};
    for (size_t at = 0; at < 18; at++) {
        for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
            write_piece(18, at, whole[i], strlen(whole[i]), whole[i], strlen(whole[i]));
        }
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) { /* each of its bytes by itself */
            char as[16];
            size_t as_len = 0;
            for (size_t n = 0; bad[i][n]; n++, as_len += 3) {
                memcpy(as + as_len, "\xEF\xBF\xBD", 3);
            }
            write_piece(18, at, bad[i], strlen(bad[i]), as, as_len);
        }
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
    tcase_add_test(t, texts_are_cut_as_snprintf_cuts_them);
    tcase_add_test(t, text_of_a_number);
    tcase_add_test(t, json_text_of_every_byte);
    tcase_add_test(t, json_text_of_characters_whole_and_cut);
    tcase_add_test(t, json_members);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
