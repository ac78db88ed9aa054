/* The strict check before cJSON (PITFALLS.md 7; issue "Let no one in", 3): what must pass, what must not, and
 * that what passes is read by cJSON as it was meant. Cases follow the naming of JSONTestSuite (y_, n_, i_).
 */
#include "core/json_names.h"
#include "pcs/core/json.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct json_limits limits = {.max_bytes = 1 << 20, .max_depth = 32, .max_members = 64};

struct text_case {
    const char *name, *text;
    size_t len; /* 0: strlen */
};

static size_t case_len(const struct text_case *c)
{
    return c->len ? c->len : strlen(c->text);
}

static const struct text_case accepted[] = {
    {"y_array_empty", "[]", 0},
    {"y_array_with_leading_space", " \t\r\n[1]", 0},
    {"y_array_with_trailing_space", "[2] \t\r\n", 0},
    {"y_array_heterogeneous", "[null, 1, \"1\", {}]", 0},
    {"y_array_arraysWithSpaces", "[[]   ]", 0},
    {"y_array_with_several_null", "[1,null,null,null,2]", 0},
    {"y_number_0e+1", "[0e+1]", 0},
    {"y_number_0e1", "[0e1]", 0},
    {"y_number_minus_zero", "[-0]", 0},
    {"y_number_negative_int", "[-123]", 0},
    {"y_number_real_capital_e_neg_exp", "[1E-2]", 0},
    {"y_number_real_exponent", "[123e45]", 0},
    {"y_number_real_fraction_exponent", "[123.456e78]", 0},
    {"y_number_63_characters", "[-0.00000000000000000000000000000000000000000000000000000000001]", 0},
    {"y_number_largest_double", "[1.7976931348623157e308]", 0},
    {"y_object_empty_key", "{\"\":0}", 0},
    {"y_object_case_differs", "{\"a\":0,\"A\":1}", 0},
    {"y_object_same_name_in_another_object", "{\"a\":{\"a\":1},\"b\":[{\"a\":1},{\"a\":1}]}", 0},
    {"y_object_names_that_are_prefixes", "{\"a\":0,\"aa\":1,\"\\u0061aa\":2}", 0},
    {"y_object_string_unicode", "{\"title\":\"\\u041f\\u043e\"}", 0},
    {"y_string_allowed_escapes", "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]", 0},
    {"y_string_accepted_surrogate_pair", "[\"\\uD801\\udc37\"]", 0},
    {"y_string_backslash_and_u_escaped_zero", "[\"\\\\u0000\"]", 0},
    {"y_string_utf8_two_bytes", "[\"\xc2\x80\xdf\xbf\"]", 0},
    {"y_string_utf8_korean", "[\"\xed\x95\x9c\xea\xb8\x80\"]", 0},
    {"y_string_utf8_last_before_surrogates", "[\"\xed\x9f\xbf\xee\x80\x80\"]", 0},
    {"y_string_utf8_highest", "[\"\xf4\x8f\xbf\xbf\xf0\x90\x80\x80\"]", 0},
    {"y_string_noncharacter", "[\"\\uFFFF\xef\xbf\xbf\"]", 0},
    {"y_string_unescaped_char_delete", "[\"\x7f\"]", 0},
    {"y_structure_lonely_string", "\"asd\"", 0},
    {"y_structure_lonely_int", "42", 0},
    {"y_structure_lonely_true", "true", 0},
    {"y_structure_lonely_false", "false", 0},
    {"y_structure_lonely_null", " null ", 0},
};

static const struct text_case refused[] = {
    {"n_structure_no_data", " ", 0},
    {"n_array_1_true_without_comma", "[1 true]", 0},
    {"n_array_comma_and_number", "[,1]", 0},
    {"n_array_double_comma", "[1,,2]", 0},
    {"n_array_extra_close", "[\"x\"]]", 0},
    {"n_array_extra_comma", "[\"\",]", 0},
    {"n_array_just_minus", "[-]", 0},
    {"n_array_unclosed", "[\"\"", 0},
    {"n_array_unclosed_after_comma", "[1,", 0},
    {"n_array_inner_array_no_comma", "[3[4]]", 0},
    {"n_array_colon_instead_of_comma", "[\"\": 1]", 0},
    {"n_array_star_inside", "[*]", 0},
    {"n_incomplete_false", "[fals]", 0},
    {"n_incomplete_null", "[nul", 0},
    {"n_capitalized_True", "[True]", 0},
    {"n_number_leading_zero", "[012]", 0},
    {"n_number_007", "007", 0},
    {"n_number_neg_leading_zero", "[-012]", 0},
    {"n_number_plus", "[+1]", 0},
    {"n_number_dot_only", "[.5]", 0},
    {"n_number_real_without_fraction", "[1.]", 0},
    {"n_number_2.e3", "[2.e3]", 0},
    {"n_number_0e", "[0e]", 0},
    {"n_number_0e+", "[0e+]", 0},
    {"n_number_1eE2", "[1eE2]", 0},
    {"n_number_two_dots", "[1.2.3]", 0},
    {"n_number_hex", "[0x1]", 0},
    {"n_number_Inf", "[Inf]", 0},
    {"n_number_NaN", "[NaN]", 0},
    {"n_number_minus_infinity", "[-Infinity]", 0},
    {"n_number_double_minus", "[--1]", 0},
    {"n_number_with_letter", "[1a]", 0},
    {"n_number_fullwidth_digit", "[\xef\xbc\x91]", 0},
    {"i_number_huge_exp", "[1e999]", 0},
    {"i_number_neg_huge_exp", "[-1e999]", 0},
    {"i_number_real_underflow", "[123e-10000000]", 0},
    {"i_number_64_characters", "[1000000000000000000000000000000000000000000000000000000000000000]", 0},
    {"n_object_bad_value", "{\"x\": truth}", 0},
    {"n_object_comma_instead_of_colon", "{\"x\", null}", 0},
    {"n_object_double_colon", "{\"x\"::\"b\"}", 0},
    {"n_object_missing_value", "{\"a\":", 0},
    {"n_object_missing_colon", "{\"a\" b}", 0},
    {"n_object_no_comma", "{\"a\":1 \"b\":2}", 0},
    {"n_object_non_string_key", "{1:1}", 0},
    {"n_object_single_quote", "{'a':0}", 0},
    {"n_object_unquoted_key", "{a: \"b\"}", 0},
    {"n_object_trailing_comma", "{\"id\":0,}", 0},
    {"n_object_trailing_comment", "{\"a\":\"b\"}/**/", 0},
    {"n_object_unterminated", "{\"a\":\"a", 0},
    {"n_object_duplicated_key", "{\"a\":1,\"a\":2}", 0},
    {"n_object_duplicated_empty_key", "{\"\":1,\"\":1}", 0},
    {"n_object_duplicated_key_escaped", "{\"a\":1,\"\\u0061\":2}", 0},
    {"n_object_duplicated_key_both_escaped", "{\"\\u0061b\":1,\"a\\u0062\":2}", 0},
    {"n_object_duplicated_key_slash", "{\"a/b\":1,\"a\\/b\":2}", 0},
    {"n_object_duplicated_key_newline", "{\"\\n\":1,\"\\u000A\":2}", 0},
    {"n_object_duplicated_key_utf8", "{\"\xed\x95\x9c\":1,\"\\ud55c\":2}", 0},
    {"n_object_duplicated_key_pair", "{\"\xf0\x9f\x98\x80\":1,\"\\uD83D\\uDE00\":2}", 0},
    {"n_object_duplicated_key_nested", "{\"x\":[{\"a\":{\"b\":1,\"c\":2,\"b\":3}}]}", 0},
    {"n_object_duplicated_after_nested", "{\"a\":{\"b\":1},\"a\":2}", 0},
    {"n_string_1_surrogate_then_escape", "[\"\\uD800\\\"]", 0},
    {"n_string_lone_high_surrogate", "[\"\\uD800x\"]", 0},
    {"n_string_lone_low_surrogate", "[\"\\uDC00\"]", 0},
    {"n_string_inverted_surrogates", "[\"\\uDC00\\uD800\"]", 0},
    {"n_string_high_high", "[\"\\uD800\\uD800\"]", 0},
    {"n_string_incomplete_surrogate", "[\"\\uD800\\u\"]", 0},
    {"n_string_invalid_unicode_escape", "[\"\\uqqqq\"]", 0},
    {"n_string_three_hex_digits", "[\"\\u00A\"]", 0},
    {"n_string_escape_x", "[\"\\x00\"]", 0},
    {"n_string_escape_capital_u", "[\"\\U0041\"]", 0},
    {"n_string_escaped_emoji", "[\"\\\xf0\x9f\x8c\x80\"]", 0},
    {"n_string_unfinished_escape", "\"\\", 0},
    {"n_string_escaped_zero", "[\"x\\u0000y\"]", 0},
    {"n_string_unescaped_newline", "[\"new\nline\"]", 0},
    {"n_string_unescaped_tab", "[\"\t\"]", 0},
    {"n_string_raw_nul", "[\"a\0a\"]", 7},
    {"n_string_single_doublequote", "\"", 0},
    {"n_string_utf8_lone_continuation", "[\"\x80\"]", 0},
    {"n_string_utf8_overlong_2", "[\"\xc0\xaf\"]", 0},
    {"n_string_utf8_overlong_2b", "[\"\xc1\xbf\"]", 0},
    {"n_string_utf8_overlong_3", "[\"\xe0\x80\xaf\"]", 0},
    {"n_string_utf8_overlong_4", "[\"\xf0\x80\x80\xaf\"]", 0},
    {"n_string_utf8_surrogate", "[\"\xed\xa0\x80\"]", 0},
    {"n_string_utf8_above_range", "[\"\xf4\x90\x80\x80\"]", 0},
    {"n_string_utf8_f5", "[\"\xf5\x80\x80\x80\"]", 0},
    {"n_string_utf8_ff", "[\"\xff\"]", 0},
    {"n_string_utf8_truncated", "[\"\xe0\xa4\"]", 0},
    {"n_string_utf8_cut_by_end", "\"\xf0\x9f\x98", 0},
    {"n_string_iso_latin_1", "[\"\xe9\"]", 0},
    {"n_structure_trailing_garbage", "{}x", 0},
    {"n_structure_trailing_hash", "[1]#", 0},
    {"n_structure_two_values", "1 2", 0},
    {"n_structure_object_followed_by_closing", "{}}", 0},
    {"n_structure_UTF8_BOM", "\xef\xbb\xbf{}", 0},
    {"n_structure_nul_after_value", "{}\0", 3},
    {"n_structure_nul_before_value", "\0{}", 3},
    {"n_structure_form_feed", "[\f]", 0},
    {"n_structure_no_break_space", "[\xc2\xa0]", 0},
    {"n_structure_line_separator", "[\xe2\x80\xa8]", 0},
    {"n_structure_comment", "[1] // x", 0},
    {"n_structure_angle_bracket", "<null>", 0},
    {"n_structure_close_alone", "]", 0},
    {"n_structure_mismatched", "[}", 0},
    {"n_structure_unclosed_object", "{", 0},
};

START_TEST(accepts_what_rfc8259_allows)
{
    struct json_error error;
    cJSON *root;
    const struct text_case *c = &accepted[_i];

    ck_assert_msg(json_check(c->text, case_len(c), &limits, &error), "%s: %s", c->name, error.reason);
    root = json_parse(c->text, case_len(c), &limits, &error);
    ck_assert_msg(root != NULL, "%s: cJSON does not read it", c->name);
    cJSON_Delete(root);
}
END_TEST

START_TEST(refuses_what_rfc8259_forbids)
{
    struct json_error error = {0};
    const struct text_case *c = &refused[_i];
    size_t len = case_len(c);
    /* An exact allocation, so that a read past the end is seen. */
    char *copy = malloc(len);

    memcpy(copy, c->text, len);
    ck_assert_msg(!json_check(copy, len, &limits, &error), "%s was accepted", c->name);
    ck_assert_msg(error.reason != NULL && error.offset <= len, "%s: no reason", c->name);
    ck_assert_ptr_null(json_parse(copy, len, &limits, &error));
    free(copy);
}
END_TEST

/* Every cut of a valid text is refused, whatever stands behind the end. */
START_TEST(refuses_every_prefix)
{
    static const char text[] =
        "{\"a\":[1.5e-3,true,null,\"\\uD83D\\uDE00\xed\x95\x9c\"],\"b\":{\"c\":\"\\n\"}}";
    struct json_error error;

    for (size_t n = 0; n < sizeof text - 1; n++) {
        char *copy = malloc(n + 1);
        memcpy(copy, text, n);
        ck_assert_msg(!json_check(n ? copy : NULL, n, &limits, &error), "%zu bytes were accepted", n);
        free(copy);
    }
    ck_assert(json_check(text, sizeof text - 1, &limits, &error));
}
END_TEST

START_TEST(tells_where_it_went_wrong)
{
    static const char text[] = "{\n  \"a\": 1,\n  \"a\": 2\n}";
    struct json_error error;

    ck_assert(!json_check(text, sizeof text - 1, &limits, &error));
    ck_assert_str_eq(error.reason, "duplicate member");
    ck_assert_uint_eq(error.line, 3);
    ck_assert_uint_eq(error.column, 3);
    ck_assert_uint_eq(error.offset, 14);
}
END_TEST

/* Strings are looked through eight bytes at a time: every byte, at every place of such a word. */
START_TEST(every_byte_of_a_string)
{
    struct json_error error;
    char text[24];

    for (int c = 1; c < 256; c++) {
        for (size_t len = 1; len <= 18; len++) {
            for (size_t at = 0; at < len; at++) {
                char *exact = malloc(len + 2);
                ck_assert_ptr_nonnull(exact);
                memset(text, 'a', sizeof text);
                text[0] = text[len + 1] = '"';
                text[1 + at] = (char)c;
                memcpy(exact, text, len + 2);
                bool ok = json_check(exact, len + 2, &limits, &error);
                ck_assert_msg(ok == (c >= 0x20 && c < 0x80 && c != '"' && c != '\\'),
                              "byte %02x at %zu of %zu", c, at, len);
                if (c < 0x20 || c >= 0x80)
                    ck_assert_uint_eq(error.offset, 1 + at);
                else if (c == '"')
                    ck_assert_uint_eq(error.offset, 2 + at);
                free(exact);
            }
        }
    }
}
END_TEST

START_TEST(keeps_its_limits)
{
    struct json_limits small = {.max_bytes = 20, .max_depth = 2, .max_members = 2};
    struct json_error error;

    ck_assert(json_check("[[1],{\"a\":1}]", 13, &small, &error));
    ck_assert(!json_check("[[[1]]]", 7, &small, &error));
    ck_assert_str_eq(error.reason, "nested too deeply");
    ck_assert_uint_eq(error.offset, 2);
    ck_assert(json_check("{\"a\":1,\"b\":2}", 13, &small, &error));
    ck_assert(!json_check("{\"a\":1,\"b\":2,\"c\":3}", 19, &small, &error));
    ck_assert_str_eq(error.reason, "too many members in an object");
    ck_assert(!json_check("[1,2,3,4,5,6,7,8,9,1]", 21, &small, &error));
    ck_assert_str_eq(error.reason, "too long");
}
END_TEST

/* Asking for more depth than JSON_DEPTH_MAX does not give it: the frames are bounded. */
START_TEST(depth_is_bounded_whatever_is_asked)
{
    struct json_limits deep = {.max_bytes = 1 << 20, .max_depth = 1000000, .max_members = 1};
    char text[2 * JSON_DEPTH_MAX + 3];
    struct json_error error;

    memset(text, '[', JSON_DEPTH_MAX + 1);
    memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    ck_assert(json_check(text + 1, 2 * JSON_DEPTH_MAX, &deep, &error));
    ck_assert(!json_check(text, 2 * JSON_DEPTH_MAX + 2, &deep, &error));
}
END_TEST

static char *many_members(size_t count, long duplicate_of, size_t *len)
{
    char *text = malloc(count * 24 + 64), *p = text;

    *p++ = '{';
    for (size_t i = 0; i < count; i++)
        p += sprintf(p, "%s\"m%zu\":%zu", i ? "," : "", i, i);
    if (duplicate_of >= 0)
        p += sprintf(p, ",\"\\u006d%ld\":0", duplicate_of);
    *p++ = '}';
    *len = (size_t)(p - text);
    return text;
}

/* 200 000 members would be 2 * 10^10 comparisons if they were compared pair by pair. */
START_TEST(big_objects_are_not_quadratic)
{
    struct json_limits big = {.max_bytes = 1 << 24, .max_depth = 2, .max_members = 1 << 20};
    struct json_error error;
    size_t len;
    char *text = many_members(200000, -1, &len);

    ck_assert_msg(json_check(text, len, &big, &error), "%s", error.reason);
    free(text);
    text = many_members(200000, 7, &len);
    ck_assert(!json_check(text, len, &big, &error));
    ck_assert_str_eq(error.reason, "duplicate member");
    ck_assert_uint_eq(error.offset, len - strlen("\"\\u006d7\":0}"));
    free(text);
}
END_TEST

/* Around the change from comparing to sorting, and from the frame to the heap. */
START_TEST(duplicates_are_found_at_every_size)
{
    struct json_limits wide = {.max_bytes = 1 << 20, .max_depth = 2, .max_members = 1000};
    struct json_error error;
    size_t len;
    char *text;

    for (size_t count = 1; count < 200; count++) {
        for (long of = 0; of < (long)count; of += 1 + (long)count / 7) {
            text = many_members(count, of, &len);
            ck_assert_msg(!json_check(text, len, &wide, &error), "%zu members, %ld", count, of);
            ck_assert_str_eq(error.reason, "duplicate member");
            free(text);
        }
        text = many_members(count, -1, &len);
        ck_assert_msg(json_check(text, len, &wide, &error), "%zu members", count);
        free(text);
    }
}
END_TEST

/* Names whose hashes collide are told apart by their bytes, in one order whichever way they are written. */
START_TEST(colliding_names_are_told_apart)
{
    static const char *const same[][2] = {
        {"ab", "\\u0061b"}, {"\\u0061b", "a\\u0062"}, {"\\/", "/"}, {"", ""}};
    static const char *const ascending[] = {"",         "a",        "\\u0062", "ab",
                                            "\\u0061c", "b\\u0061", "abc",     "\\ud55c\\u0061"};

    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct json_name a = {.text = same[i][0], .len = (uint32_t)strlen(same[i][0])}, b = a;
        b.text = same[i][1];
        b.len = (uint32_t)strlen(b.text);
        a.escaped = strchr(a.text, '\\') != NULL;
        b.escaped = strchr(b.text, '\\') != NULL;
        ck_assert_uint_eq(json_name_hash(&a), json_name_hash(&b));
        ck_assert_int_eq(json_name_compare(&a, &b), 0);
    }
    for (size_t i = 0; i < sizeof ascending / sizeof *ascending; i++)
        for (size_t k = 0; k < sizeof ascending / sizeof *ascending; k++) {
            struct json_name a = {.text = ascending[i], .len = (uint32_t)strlen(ascending[i])};
            struct json_name b = {.text = ascending[k], .len = (uint32_t)strlen(ascending[k])};
            a.escaped = strchr(a.text, '\\') != NULL; /* the hashes stay 0: as if they collided */
            b.escaped = strchr(b.text, '\\') != NULL;
            int order = json_name_compare(&a, &b);
            ck_assert_msg((order > 0) - (order < 0) == (i > k) - (i < k), "%s, %s", a.text, b.text);
        }
}
END_TEST

START_TEST(duplicates_may_be_allowed)
{
    struct json_limits lax = limits;
    struct json_error error;

    lax.allow_duplicates = true;
    ck_assert(json_check("{\"a\":1,\"a\":2}", 13, &lax, &error));
    lax.max_members = 1;
    ck_assert(!json_check("{\"a\":1,\"a\":2}", 13, &lax, &error));
}
END_TEST

/* PITFALLS.md 7: names are case-sensitive, integers are exact or refused. */
START_TEST(reads_typed_members)
{
    static const char text[] =
        "{\"Amount\":1,\"amount\":45000.00,\"e\":4.5E4,\"half\":0.5,\"text\":\"\\uD83D\\uDE00\","
        "\"yes\":true,\"none\":null,\"max\":9007199254740991,\"over\":9007199254740993,"
        "\"min\":-9007199254740991,\"o\":{},\"l\":[7]}";
    struct json_error error;
    cJSON *root = json_parse(text, sizeof text - 1, &limits, &error);
    int64_t n = -1;
    bool yes = false;

    ck_assert_ptr_nonnull(root);
    ck_assert(json_int(root, "amount", &n) && n == 45000);
    ck_assert(json_int(root, "e", &n) && n == 45000);
    ck_assert(json_int(root, "max", &n) && n == JSON_INT_MAX);
    ck_assert(json_int(root, "min", &n) && n == -JSON_INT_MAX);
    n = 5;
    ck_assert(!json_int(root, "over", &n) && !json_int(root, "half", &n) && !json_int(root, "text", &n));
    ck_assert(!json_int(root, "AMOUNT", &n) && !json_int(root, "none", &n) && !json_int(NULL, "a", &n));
    ck_assert_int_eq(n, 5);
    ck_assert_str_eq(json_text(root, "text"), "\xf0\x9f\x98\x80");
    ck_assert_ptr_null(json_text(root, "none"));
    ck_assert_ptr_null(json_text(root, "amount"));
    ck_assert(json_bool(root, "yes", &yes) && yes);
    ck_assert(!json_bool(root, "amount", &yes));
    ck_assert_ptr_nonnull(json_object(root, "o"));
    ck_assert_ptr_null(json_object(root, "l"));
    ck_assert_ptr_nonnull(json_array(root, "l"));
    ck_assert_ptr_null(json_array(root, "o"));
    ck_assert(json_number_int(cJSON_GetArrayItem(json_array(root, "l"), 0), &n) && n == 7);
    cJSON_Delete(root);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json");
    TCase *tc = tcase_create("check");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, accepts_what_rfc8259_allows, 0, sizeof accepted / sizeof *accepted);
    tcase_add_loop_test(tc, refuses_what_rfc8259_forbids, 0, sizeof refused / sizeof *refused);
    tcase_add_test(tc, refuses_every_prefix);
    tcase_add_test(tc, tells_where_it_went_wrong);
    tcase_add_test(tc, every_byte_of_a_string);
    tcase_add_test(tc, keeps_its_limits);
    tcase_add_test(tc, depth_is_bounded_whatever_is_asked);
    tcase_add_test(tc, big_objects_are_not_quadratic);
    tcase_add_test(tc, duplicates_are_found_at_every_size);
    tcase_add_test(tc, colliding_names_are_told_apart);
    tcase_add_test(tc, duplicates_may_be_allowed);
    tcase_add_test(tc, reads_typed_members);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
