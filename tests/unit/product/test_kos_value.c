/* Untidy values of KOS's: fees, allowances, dates, texts (CONTRACT.md 1, Product and Customer; 2). */
#include "product/kos_value.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct arena arena;

static void setup(void)
{
    arena_init(&arena, NULL, 0, 1 << 20);
}

static void teardown(void)
{
    arena_free(&arena);
}

static const struct {
    const char *json;
    int64_t fee; /* -1: unreadable */
} fees[] = {
    {"45000", 45000},
    {"\"45000.00\"", 45000},
    {"4.5E4", 45000},
    {"45000.0", 45000},
    {"0", 0},
    {"-0", 0},
    {"\"0\"", 0},
    {"\"0045\"", 45},
    {"9007199254740991", INT64_C(9007199254740991)},
    {"\"9007199254740991\"", INT64_C(9007199254740991)},
    {"9007199254740992", -1},
    {"9007199254740993", -1},
    {"\"9007199254740992\"", -1},
    {"\"99999999999999999999999999\"", -1},
    {"1e300", -1},
    {"45000.5", -1},
    {"\"45000.50\"", -1},
    {"-1", -1},
    {"\"-1\"", -1},
    {"\"4.5E4\"", -1}, /* plain decimal text only */
    {"\"45,000\"", -1},
    {"\" 45000\"", -1},
    {"\"45000.\"", -1},
    {"\".5\"", -1},
    {"\"+1\"", -1},
    {"\"협의\"", -1},
    {"\"\"", -1},
    {"null", -1},
    {"true", -1},
    {"[1]", -1},
    {"{\"amount\":1}", -1},
};

/* CONTRACT.md 1, Product: when a fee is readable */
START_TEST(fee_rows)
{
    cJSON *o = cJSON_CreateObject();
    int64_t won = -1;
    cJSON_AddItemToObject(o, "monthlyFee", cJSON_Parse(fees[_i].json));
    bool ok = kos_fee(o, "monthlyFee", &won);
    ck_assert_msg(ok == (fees[_i].fee >= 0), "%s", fees[_i].json);
    ck_assert_int_eq(won, fees[_i].fee);
    cJSON_Delete(o);
}
END_TEST

static const struct {
    const char *json, *text;
} allowances[] = {
    {"-1", "무제한"},         {"-1.0", "무제한"},    {"\"-1\"", "무제한"},   {"100", "100GB"},
    {"100.0", "100GB"},       {"1.5", "1.5GB"},      {"0", "0GB"},           {"-0", "0GB"},
    {"\"100\"", "100GB"},     {"\"1.50\"", "1.5GB"}, {"\"100GB\"", "100GB"}, {"\"기본 제공\"", "기본 제공"},
    {"\"무제한\"", "무제한"}, {"null", NULL},        {"\"\"", NULL},         {"-2", NULL},
    {"1e300", NULL},          {"true", NULL},        {"{}", NULL},           {"1e2", "100GB"},
};

/* CONTRACT.md 1, Product: allowance numbers become text */
START_TEST(allowance_rows)
{
    struct kos_reader in = {.arena = &arena};
    cJSON *o = cJSON_CreateObject();
    cJSON_AddItemToObject(o, "data_allowance", cJSON_Parse(allowances[_i].json));
    const char *text = kos_allowance(&in, o, "dataAllowance", "GB");
    if (allowances[_i].text) {
        ck_assert_msg(text && strcmp(text, allowances[_i].text) == 0, "%s: %s", allowances[_i].json, text);
    } else {
        ck_assert_msg(!text, "%s: %s", allowances[_i].json, text);
    }
    cJSON_Delete(o);
}
END_TEST

static const struct {
    const char *json, *date;
} dates[] = {
    {"\"2023-03-01\"", "2023-03-01"},
    {"\"20230301\"", "2023-03-01"},
    {"20230301", "2023-03-01"},
    {"\"2023-03-01T23:59:59\"", "2023-03-01"},
    {"\"2023-03-01T23:59:59Z\"", "2023-03-02"},
    {"\"2023-03-01T00:00:00.123+09:00\"", "2023-03-01"},
    {"\"20230230\"", NULL},
    {"\"2023-13-01\"", NULL},
    {"\"어제\"", NULL},
    {"[2023,3,1]", NULL},
    {"null", NULL},
    {"\"\"", NULL},
    {"\"2023030\"", NULL},
};

/* CONTRACT.md 1, Customer: contractDate is yyyy-MM-dd whatever KOS writes */
START_TEST(date_rows)
{
    struct kos_reader in = {.arena = &arena};
    cJSON *o = cJSON_CreateObject();
    cJSON_AddItemToObject(o, "contractDate", cJSON_Parse(dates[_i].json));
    const char *text = kos_date(&in, o, "contractDate");
    if (dates[_i].date) {
        ck_assert_msg(text && strcmp(text, dates[_i].date) == 0, "%s: %s", dates[_i].json, text);
    } else {
        ck_assert_msg(!text, "%s: %s", dates[_i].json, text);
    }
    cJSON_Delete(o);
}
END_TEST

/* What goes on to logs, tables and screens is bounded and whole UTF-8 */
START_TEST(texts_are_cut)
{
    struct kos_reader in = {.arena = &arena};
    char code[KOS_CODE_MAX + 1], long_text[3 * KOS_TEXT_MAX + 1] = {0};
    cJSON *o = cJSON_Parse("{\"resultCode\":\"한\\n0000000000000000000000\"}");
    ck_assert(kos_code(o, "resultCode", code, NULL));
    ck_assert_str_eq(code, "???????????????");
    for (size_t i = 0; i + 3 < sizeof long_text; i += 3) {
        memcpy(long_text + i, "가", 3);
    }
    cJSON_AddStringToObject(o, "name", long_text);
    const char *text = kos_text(&in, o, "name");
    ck_assert_uint_eq(strlen(text), KOS_TEXT_MAX - KOS_TEXT_MAX % 3);
    cJSON_Delete(o);
}
END_TEST

/* A code goes into logs and kos_integration_log, which hold no personal data (issue 5, point 9). */
START_TEST(a_line_number_is_no_code)
{
    static const struct {
        const char *given, *kept;
    } rows[] = {{"2004", "2004"},
                {"E-2004_01", "E-2004_01"},
                {"1234567", "1234567"},
                {"01012345678", "???????????"},
                {"010-1234-5678", "?"
                                  "?"
                                  "?-?"
                                  "?"
                                  "?"
                                  "?-?"
                                  "?"
                                  "?"
                                  "?"},
                {"CUST-77778888", "CUST-????????"},
                {"X01012345678", "X???????????"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char code[KOS_CODE_MAX + 1];
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "resultCode", rows[i].given);
        ck_assert(kos_code(o, "resultCode", code, NULL));
        ck_assert_str_eq(code, rows[i].kept);
        cJSON_Delete(o);
    }
}
END_TEST

#define ROWS(t) (int)(sizeof(t) / sizeof *(t))

int main(void)
{
    Suite *s = suite_create("kos_value");
    TCase *t = tcase_create("kos_value");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, fee_rows, 0, ROWS(fees));
    tcase_add_loop_test(t, allowance_rows, 0, ROWS(allowances));
    tcase_add_loop_test(t, date_rows, 0, ROWS(dates));
    tcase_add_test(t, texts_are_cut);
    tcase_add_test(t, a_line_number_is_no_code);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
