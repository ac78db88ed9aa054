/* Lines, product codes, operators, and the JSON of products and customers (CONTRACT.md 1, Objects). */
#include "product/catalogue.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *text, *line; /* line NULL: refused */
} lines[] = {
    {"01012345678", "01012345678"},
    {"010-1234-5678", "01012345678"},
    {"-010-12345678-", "01012345678"},
    {"0101234567", NULL},
    {"010123456789", NULL},
    {"01112345678", NULL},
    {"0101234567a", NULL},
    {"", NULL},
    {"010 1234 5678", NULL},
    {"+821012345678", NULL},
    {"-----------", NULL},
};

/* CONTRACT.md 1, line number */
START_TEST(line_numbers)
{
    char out[LINE_LEN + 1];
    bool ok = line_parse(lines[_i].text, strlen(lines[_i].text), out);
    ck_assert_msg(ok == (lines[_i].line != NULL), "%s", lines[_i].text);
    if (ok) {
        ck_assert_str_eq(out, lines[_i].line);
    }
}
END_TEST

/* CONTRACT.md 1, product code */
START_TEST(product_codes)
{
    char fifty_one[52] = {0};
    memset(fifty_one, 'A', 51);
    ck_assert(product_code_valid("5GX_PREMIUM", 11));
    ck_assert(product_code_valid("a.b-c_9", 7));
    ck_assert(product_code_valid(fifty_one, 50));
    ck_assert(!product_code_valid(fifty_one, 51));
    ck_assert(!product_code_valid("", 0));
    ck_assert(!product_code_valid("A B", 3));
    ck_assert(!product_code_valid("요금", strlen("요금")));
    ck_assert(!product_code_valid("A\0B", 3));
}
END_TEST

/* CONTRACT.md 1, Validation: unknown on either side matches */
START_TEST(operators)
{
    struct product own = {.operator_code = "MVNO01"}, none = {.operator_code = NULL};
    ck_assert(operator_matches(&own, NULL, "MVNO01"));
    ck_assert(!operator_matches(&own, NULL, "MVNO02"));
    ck_assert(!operator_matches(&own, "MVNO02", "MVNO02"));
    ck_assert(operator_matches(&own, NULL, NULL));
    ck_assert(operator_matches(&own, NULL, ""));
    ck_assert(operator_matches(&none, NULL, "MVNO01"));
    ck_assert(operator_matches(&none, "", "MVNO01"));
    ck_assert(operator_matches(&none, "MVNO01", "MVNO01"));
    ck_assert(!operator_matches(&none, "MVNO02", "MVNO01"));
}
END_TEST

/* UFR-PROD-020: every member by its contract name; optional ones are absent, not null */
START_TEST(product_members)
{
    struct buf b;
    struct product p = {.code = "A", .name = "\"가\"", .monthly_fee = 45000, .data_allowance = "10GB"};
    buf_init(&b, 4096);
    product_json(&b, &p);
    ck_assert_str_eq(b.data, "\"productCode\":\"A\",\"productName\":\"\\\"가\\\"\",\"monthlyFee\":45000,"
                             "\"dataAllowance\":\"10GB\",\"voiceAllowance\":\"정보 없음\","
                             "\"smsAllowance\":\"정보 없음\",\"isAvailable\":false,\"available\":false");
    buf_reset(&b);
    p.operator_code = "MVNO01";
    p.network_type = "5G";
    p.description = "d";
    p.available = true;
    product_json(&b, &p);
    ck_assert_ptr_nonnull(strstr(b.data,
                                 "\"isAvailable\":true,\"available\":true,\"operatorCode\":\"MVNO01\","
                                 "\"networkType\":\"5G\",\"description\":\"d\""));
    buf_free(&b);
}
END_TEST

/* UFR-PROD-010: the same for a customer; without a product or contract the members are left out */
START_TEST(customer_members)
{
    struct buf b;
    struct customer c = {.line = "01012345678", .status = LINE_SUSPENDED};
    buf_init(&b, 4096);
    customer_json(&b, &c);
    ck_assert_str_eq(b.data, "\"lineNumber\":\"01012345678\",\"lineStatus\":\"SUSPENDED\"");
    buf_reset(&b);
    c = (struct customer){.line = "01012345678",
                          .customer_id = "C1",
                          .name = "홍길동",
                          .status = LINE_ACTIVE,
                          .has_product = true,
                          .product = {.code = "A", .name = "B", .monthly_fee = 0},
                          .contract_date = "2023-03-01"};
    customer_json(&b, &c);
    ck_assert_ptr_eq(strstr(b.data,
                            "\"customerId\":\"C1\",\"lineNumber\":\"01012345678\",\"customerName\":"
                            "\"홍길동\",\"lineStatus\":\"ACTIVE\",\"currentProduct\":{\"productCode\":"
                            "\"A\",\"productName\":\"B\",\"monthlyFee\":0,"),
                     b.data);
    ck_assert_ptr_nonnull(strstr(b.data, "},\"contractInfo\":{\"contractDate\":\"2023-03-01\"}"));
    ck_assert_str_eq(line_status_name(LINE_TERMINATED), "TERMINATED");
    buf_free(&b);
}
END_TEST

/* CONTRACT.md 1, Product: a current product's missing fields come from the catalogue */
START_TEST(completing)
{
    struct catalogue *c = catalogue_new(1);
    struct product known = {
        .code = "A", .name = "이름", .monthly_fee = 100, .sms_allowance = "1건", .network_type = "LTE"};
    ck_assert(catalogue_add(c, &known));
    ck_assert(!catalogue_add(c, &known)); /* the room is used up */
    ck_assert_str_eq(catalogue_find(c, "A")->name, "이름");
    ck_assert_ptr_null(catalogue_find(c, "a"));

    struct product p = {.code = "A", .monthly_fee = PRODUCT_FEE_MISSING, .voice_allowance = "given"};
    ck_assert(product_complete(&p, c));
    ck_assert_str_eq(p.name, "이름");
    ck_assert_int_eq(p.monthly_fee, 100);
    ck_assert_str_eq(p.voice_allowance, "given");
    ck_assert_str_eq(p.sms_allowance, "1건");
    ck_assert_str_eq(p.network_type, "LTE");
    p = (struct product){.code = "A", .name = "own", .monthly_fee = 7};
    ck_assert(product_complete(&p, c));
    ck_assert_str_eq(p.name, "own");
    ck_assert_int_eq(p.monthly_fee, 7);
    p = (struct product){.code = "B", .name = "x", .monthly_fee = PRODUCT_FEE_MISSING};
    ck_assert(!product_complete(&p, c));
    catalogue_unref(c);
    catalogue_unref(NULL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("product");
    TCase *t = tcase_create("product");
    tcase_add_loop_test(t, line_numbers, 0, (int)(sizeof lines / sizeof *lines));
    tcase_add_test(t, product_codes);
    tcase_add_test(t, operators);
    tcase_add_test(t, product_members);
    tcase_add_test(t, customer_members);
    tcase_add_test(t, completing);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
