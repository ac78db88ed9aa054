/* CONTRACT.md 1, Times: RFC 3339 in UTC with milliseconds; days in Asia/Seoul; no zone means Seoul. */
#include "pcs/core/clock.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    int64_t ms;
    const char *text, *seoul_day;
} instants[] = {
    {0, "1970-01-01T00:00:00.000Z", "1970-01-01"},
    {1795397863265, "2026-11-23T01:37:43.265Z", "2026-11-23"},
    {1767193199999, "2025-12-31T14:59:59.999Z", "2025-12-31"}, /* a moment before midnight in Seoul */
    {1767193200000, "2025-12-31T15:00:00.000Z", "2026-01-01"},
    {951782400000, "2000-02-29T00:00:00.000Z", "2000-02-29"},
    {-1, "1969-12-31T23:59:59.999Z", "1970-01-01"},
};

/* Found by fuzz.row: a journal's row may hold any number. */
START_TEST(no_number_is_too_large)
{
    char text[CLOCK_RFC3339_LEN + 1], day[CLOCK_DATE_LEN + 1];
    ck_assert_str_eq(clock_format_rfc3339(text, INT64_MIN), "0000-01-01T00:00:00.000Z");
    ck_assert_str_eq(clock_format_rfc3339(text, INT64_MAX), "9999-12-31T23:59:59.999Z");
    ck_assert_str_eq(clock_format_seoul_date(day, INT64_MIN), "0000-01-01");
    ck_assert_str_eq(clock_format_seoul_date(day, INT64_MAX), "9999-12-31");
    ck_assert_int_lt(clock_seoul_midnight(INT64_MIN), clock_seoul_midnight(INT64_MAX));
}
END_TEST

START_TEST(formats)
{
    char text[CLOCK_RFC3339_LEN + 1], day[CLOCK_DATE_LEN + 1];
    ck_assert_str_eq(clock_format_rfc3339(text, instants[_i].ms), instants[_i].text);
    ck_assert_str_eq(clock_format_seoul_date(day, instants[_i].ms), instants[_i].seoul_day);
    int64_t back;
    ck_assert(clock_parse_rfc3339(text, strlen(text), &back));
    ck_assert_int_eq(back, instants[_i].ms);
}
END_TEST

static const struct {
    const char *text;
    bool ok;
    int64_t ms;
} read_cases[] = {
    {"2026-01-01T00:00:00+09:00", true, 1767193200000},
    {"2026-01-01T00:00:00", true, 1767193200000}, /* no zone: Seoul */
    {"2026-01-01 00:00:00.5", true, 1767193200500},
    {"2026-01-01T00:00:00.123456789Z", true, 1767225600123},
    {"2026-01-01T00:00:00-0130", true, 1767231000000},
    {"2026-01-01T00:00", true, 1767193200000},
    {"2026-02-29T00:00:00Z", false, 0},
    {"2026-13-01T00:00:00Z", false, 0},
    {"2026-01-01T24:00:00Z", false, 0},
    {"2026-01-01T00:60:00Z", false, 0},
    {"2026-01-01T00:00:00.Z", false, 0},
    {"2026-01-01T00:00:00Zx", false, 0},
    {"2026-01-01", false, 0},
    {"", false, 0},
    {"2026-1-1T00:00:00Z", false, 0},
    {"２026-01-01T00:00:00Z", false, 0},
};

START_TEST(reads_rfc3339)
{
    int64_t ms = 0;
    ck_assert_int_eq(clock_parse_rfc3339(read_cases[_i].text, strlen(read_cases[_i].text), &ms),
                     read_cases[_i].ok);
    if (read_cases[_i].ok) {
        ck_assert_int_eq(ms, read_cases[_i].ms);
    }
}
END_TEST

START_TEST(reads_days)
{
    int64_t ms;
    ck_assert(clock_parse_seoul_date("2026-01-01", 10, &ms));
    ck_assert_int_eq(ms, 1767193200000);
    ck_assert_int_eq(clock_seoul_midnight(ms), ms);
    ck_assert_int_eq(clock_seoul_midnight(ms + 86399999), ms);
    ck_assert_int_eq(clock_seoul_midnight(ms - 1), ms - 86400000);
    ck_assert(clock_parse_seoul_date("2024-02-29", 10, &ms));
    ck_assert(!clock_parse_seoul_date("2026-02-29", 10, &ms));
    ck_assert(!clock_parse_seoul_date("2026-00-10", 10, &ms));
    ck_assert(!clock_parse_seoul_date("2026-01-01T", 11, &ms));
    ck_assert(!clock_parse_seoul_date("20260101", 8, &ms));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("clock");
    TCase *t = tcase_create("times");
    tcase_add_loop_test(t, formats, 0, sizeof instants / sizeof instants[0]);
    tcase_add_test(t, no_number_is_too_large);
    tcase_add_loop_test(t, reads_rfc3339, 0, sizeof read_cases / sizeof read_cases[0]);
    tcase_add_test(t, reads_days);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
