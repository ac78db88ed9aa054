/* What KOS's answers mean: every row of CONTRACT.md 2, Reads and Order, and its untidy forms. */
#include "product/catalogue.h"
#include "product/kos_answer.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define LINE   "01012345678"
#define ID     "019a0000-0000-7000-8000-0000000000ab"
#define TARGET "LTE_PLUS"

static struct arena arena;

static void setup(void)
{
    arena_init(&arena, NULL, 0, 1 << 20);
}

static void teardown(void)
{
    arena_free(&arena);
}

static struct call_result answered(int status, const char *body)
{
    return (struct call_result){.reach = CALL_ANSWERED, .status = status, .body = body, .len = strlen(body)};
}

#define PRODUCT_INFO                                                                                         \
    "\"productInfo\":{\"lineNumber\":\"01012345678\",\"currentProductCode\":\"A\",\"currentProductName\":"   \
    "\"N\",\"monthlyFee\":1000}"
#define CUSTOMER_INFO                                                                                        \
    "\"customerInfo\":{\"customerId\":\"C1\",\"operatorCode\":\"M1\",\"lineStatus\":\"ACTIVE\"}"
#define DATA_OK "\"data\":{\"resultCode\":\"0000\"," PRODUCT_INFO "," CUSTOMER_INFO "}"
#define ENV_OK  "\"success\":true,\"resultCode\":\"0000\","

static const struct {
    const char *name;
    int status;
    const char *body;
    enum kos_read_answer answer;
    enum kos_outcome outcome;
    enum breaker_outcome count;
} inquiries[] = {
    {"0000", 200, "{" ENV_OK DATA_OK "}", KOS_READ_OK, KOS_CALL_OK, BREAKER_SUCCESS},
    {"0000, code only in data", 200, "{" DATA_OK "}", KOS_READ_OK, KOS_CALL_OK, BREAKER_SUCCESS},
    {"0000, code only in envelope", 200, "{" ENV_OK "\"data\":{" PRODUCT_INFO "," CUSTOMER_INFO "}}",
     KOS_READ_OK, KOS_CALL_OK, BREAKER_SUCCESS},
    {"0000, odd types and times", 200,
     "{\"success\":\"true\",\"resultCode\":0,\"timestamp\":[2026,1,2],\"traceId\":7," DATA_OK "}",
     KOS_READ_OK, KOS_CALL_OK, BREAKER_SUCCESS},
    {"3001, data null", 200, "{\"success\":false,\"resultCode\":\"3001\",\"data\":null}", KOS_UNKNOWN_LINE,
     KOS_CALL_NEGATIVE, BREAKER_SUCCESS},
    {"3001, data absent, number", 200, "{\"success\":false,\"resultCode\":3001}", KOS_UNKNOWN_LINE,
     KOS_CALL_NEGATIVE, BREAKER_SUCCESS},
    {"3001 in data", 200, "{" ENV_OK "\"data\":{\"resultCode\":\"3001\"}}", KOS_UNKNOWN_LINE,
     KOS_CALL_NEGATIVE, BREAKER_SUCCESS},
    {"3002", 200, "{\"success\":false,\"resultCode\":\"3002\",\"data\":null}", KOS_NOT_ACTIVE,
     KOS_CALL_NEGATIVE, BREAKER_SUCCESS},
    {"3003", 200, "{\"success\":false,\"resultCode\":\"3003\"}", KOS_NO_PRODUCT, KOS_CALL_NEGATIVE,
     BREAKER_SUCCESS},
    {"another 3xxx is an answer", 200, "{\"success\":false,\"resultCode\":\"3999\"}", KOS_UNAVAILABLE,
     KOS_CALL_NEGATIVE, BREAKER_SUCCESS},
    {"3xxx is four digits", 200, "{\"success\":false,\"resultCode\":\"30011\"}", KOS_UNAVAILABLE,
     KOS_CALL_SYSTEM, BREAKER_FAILURE},
    {"9xxx", 200, "{\"success\":false,\"resultCode\":\"9999\"}", KOS_UNAVAILABLE, KOS_CALL_SYSTEM,
     BREAKER_FAILURE},
    {"9xxx in data wins", 200, "{" ENV_OK "\"data\":{\"resultCode\":\"9999\"}}", KOS_UNAVAILABLE,
     KOS_CALL_SYSTEM, BREAKER_FAILURE},
    {"an order's code", 200, "{\"success\":false,\"resultCode\":\"2001\"}", KOS_UNAVAILABLE, KOS_CALL_SYSTEM,
     BREAKER_FAILURE},
    {"3001 or 3002?", 200, "{\"success\":false,\"resultCode\":\"3001\",\"data\":{\"resultCode\":\"3002\"}}",
     KOS_UNAVAILABLE, KOS_CALL_CONTRADICTORY, BREAKER_FAILURE},
    {"0000 without success", 200, "{\"success\":false,\"resultCode\":\"0000\"," DATA_OK "}", KOS_UNAVAILABLE,
     KOS_CALL_CONTRADICTORY, BREAKER_FAILURE},
    {"0000, data null", 200, "{" ENV_OK "\"data\":null}", KOS_UNAVAILABLE, KOS_CALL_UNREADABLE,
     BREAKER_FAILURE},
    {"0000, data a text", 200, "{" ENV_OK "\"data\":\"x\"}", KOS_UNAVAILABLE, KOS_CALL_UNREADABLE,
     BREAKER_FAILURE},
    {"0000, somebody else's line", 200,
     "{" ENV_OK "\"data\":{\"productInfo\":{\"lineNumber\":\"010-9999-9999\",\"currentProductCode\":\"A\"}}}",
     KOS_UNAVAILABLE, KOS_CALL_CONTRADICTORY, BREAKER_FAILURE},
    {"no code", 200, "{\"success\":true}", KOS_UNAVAILABLE, KOS_CALL_UNREADABLE, BREAKER_FAILURE},
    {"empty", 200, "", KOS_UNAVAILABLE, KOS_CALL_UNREADABLE, BREAKER_FAILURE},
    {"HTML", 200, "<html>", KOS_UNAVAILABLE, KOS_CALL_UNREADABLE, BREAKER_FAILURE},
    {"cut", 200, "{" ENV_OK, KOS_UNAVAILABLE, KOS_CALL_UNREADABLE, BREAKER_FAILURE},
    {"an array", 200, "[]", KOS_UNAVAILABLE, KOS_CALL_UNREADABLE, BREAKER_FAILURE},
    {"500", 500, "{\"success\":false,\"resultCode\":\"3001\"}", KOS_UNAVAILABLE, KOS_CALL_HTTP,
     BREAKER_FAILURE},
    {"201", 201, "{" ENV_OK DATA_OK "}", KOS_UNAVAILABLE, KOS_CALL_HTTP, BREAKER_FAILURE},
    {"400 with KOS's own validation", 400, "{\"success\":false,\"resultCode\":\"9001\"}", KOS_UNAVAILABLE,
     KOS_CALL_HTTP, BREAKER_FAILURE},
    /* lineStatus and currentProductCode */
    {"no lineStatus is ACTIVE", 200, "{" ENV_OK "\"data\":{" PRODUCT_INFO "}}", KOS_READ_OK, KOS_CALL_OK,
     BREAKER_SUCCESS},
    {"null lineStatus is ACTIVE", 200,
     "{" ENV_OK "\"data\":{" PRODUCT_INFO ",\"customerInfo\":{\"lineStatus\":null}}}", KOS_READ_OK,
     KOS_CALL_OK, BREAKER_SUCCESS},
    {"TERMINATED is like 3002", 200,
     "{" ENV_OK "\"data\":{" PRODUCT_INFO ",\"customerInfo\":{\"lineStatus\":\"TERMINATED\"}}}",
     KOS_NOT_ACTIVE, KOS_CALL_OK, BREAKER_SUCCESS},
    {"an unknown word is like 3002", 200,
     "{" ENV_OK "\"data\":{" PRODUCT_INFO ",\"customerInfo\":{\"lineStatus\":\"정지\"}}}", KOS_NOT_ACTIVE,
     KOS_CALL_OK, BREAKER_SUCCESS},
    {"no product code is like 3003", 200, "{" ENV_OK "\"data\":{" CUSTOMER_INFO "}}", KOS_NO_PRODUCT,
     KOS_CALL_OK, BREAKER_SUCCESS},
    {"an unreadable code is like 3003", 200,
     "{" ENV_OK "\"data\":{\"productInfo\":{\"currentProductCode\":\"A B\"}}}", KOS_NO_PRODUCT, KOS_CALL_OK,
     BREAKER_SUCCESS},
    {"not active without product", 200,
     "{" ENV_OK "\"data\":{\"customerInfo\":{\"lineStatus\":\"SUSPENDED\"}}}", KOS_NOT_ACTIVE, KOS_CALL_OK,
     BREAKER_SUCCESS},
};

/* CONTRACT.md 2, Reads: inquiry */
START_TEST(inquiry_rows)
{
    struct call_result r = answered(inquiries[_i].status, inquiries[_i].body);
    struct kos_inquiry_answer a;
    kos_answer_inquiry(&r, LINE, &arena, &a);
    ck_assert_msg(a.answer == inquiries[_i].answer, "%s: answer %d, %s", inquiries[_i].name, a.answer,
                  a.verdict.reason);
    ck_assert_msg(a.verdict.outcome == inquiries[_i].outcome, "%s: %s", inquiries[_i].name,
                  kos_outcome_names[a.verdict.outcome]);
    ck_assert_msg(a.verdict.count == inquiries[_i].count, "%s", inquiries[_i].name);
    bool some = a.answer == KOS_READ_OK || a.answer == KOS_NOT_ACTIVE || a.answer == KOS_NO_PRODUCT;
    ck_assert((a.customer != NULL) == some);
}
END_TEST

static const struct {
    enum call_reach reach;
    enum call_error error;
    enum kos_outcome outcome;
    enum breaker_outcome count;
    enum kos_order_answer order;
    bool retry;
} transports[] = {
    {CALL_NOT_SENT, CALL_REFUSED, KOS_CALL_NOT_SENT, BREAKER_FAILURE, KOS_NOT_SENT, true},
    {CALL_NOT_SENT, CALL_CONNECT_TIMEOUT, KOS_CALL_NOT_SENT, BREAKER_FAILURE, KOS_NOT_SENT, true},
    {CALL_NOT_SENT, CALL_DNS, KOS_CALL_NOT_SENT, BREAKER_FAILURE, KOS_NOT_SENT, true},
    {CALL_NOT_SENT, CALL_TLS, KOS_CALL_NOT_SENT, BREAKER_FAILURE, KOS_NOT_SENT, false},
    {CALL_NOT_SENT, CALL_TIMEOUT, KOS_CALL_NOT_SENT, BREAKER_FAILURE, KOS_NOT_SENT, false},
    {CALL_NOT_SENT, CALL_SHUTDOWN, KOS_CALL_ABANDONED, BREAKER_IGNORED, KOS_NOT_SENT, false},
    {CALL_NOT_SENT, CALL_NO_MEMORY, KOS_CALL_ABANDONED, BREAKER_IGNORED, KOS_NOT_SENT, false},
    {CALL_MAYBE_SENT, CALL_TIMEOUT, KOS_CALL_TIMEOUT, BREAKER_FAILURE, KOS_IN_DOUBT, false},
    {CALL_MAYBE_SENT, CALL_RESET, KOS_CALL_LOST, BREAKER_FAILURE, KOS_IN_DOUBT, true},
    {CALL_MAYBE_SENT, CALL_TLS, KOS_CALL_LOST, BREAKER_FAILURE, KOS_IN_DOUBT, false},
    {CALL_MAYBE_SENT, CALL_TOO_LARGE, KOS_CALL_UNREADABLE, BREAKER_FAILURE, KOS_IN_DOUBT, false},
    {CALL_MAYBE_SENT, CALL_PROTOCOL, KOS_CALL_UNREADABLE, BREAKER_FAILURE, KOS_IN_DOUBT, false},
    {CALL_MAYBE_SENT, CALL_SHUTDOWN, KOS_CALL_ABANDONED, BREAKER_IGNORED, KOS_IN_DOUBT, false},
};

/* CONTRACT.md 2: not sent, and in doubt, by how far the request went */
START_TEST(transport_rows)
{
    struct call_result r = {.reach = transports[_i].reach, .error = transports[_i].error, .body = ""};
    struct kos_change_expected x = {ID, LINE, TARGET};
    struct kos_inquiry_answer a;
    struct kos_list_answer l;
    struct kos_change_answer c;
    kos_answer_inquiry(&r, LINE, &arena, &a);
    ck_assert_int_eq(a.answer, KOS_UNAVAILABLE);
    ck_assert_int_eq(a.verdict.outcome, transports[_i].outcome);
    ck_assert_int_eq(a.verdict.count, transports[_i].count);
    ck_assert_int_eq(a.verdict.retry, transports[_i].retry);
    kos_answer_list(&r, &l);
    ck_assert_int_eq(l.answer, KOS_UNAVAILABLE);
    kos_answer_change(&r, &x, &arena, &c);
    ck_assert_int_eq(c.answer, transports[_i].order);
    ck_assert_int_eq(c.verdict.outcome, transports[_i].outcome);
    ck_assert_int_eq(c.verdict.count, transports[_i].count);
    ck_assert(!c.verdict.retry); /* an order is never sent again by this layer */
}
END_TEST

#define INFO(id, line, code)                                                                                 \
    "\"data\":{\"requestId\":" id ",\"resultCode\":\"0000\",\"changeInfo\":{\"lineNumber\":" line            \
    ",\"newProductCode\":" code ",\"newProductName\":\"플러스\",\"kosOrderNumber\":77,\"effectiveDate\":" \
    "\"20260102\"}}"
#define OURS       "\"" ID "\"", "\"010-1234-5678\"", "\"" TARGET "\""
#define WRAP_(...) INFO(__VA_ARGS__)
#define FULL       WRAP_(OURS)

static const struct {
    const char *name;
    int status;
    const char *body;
    enum kos_order_answer answer;
    enum kos_outcome outcome;
    enum breaker_outcome count;
} orders[] = {
    {"applied", 200, "{" ENV_OK FULL "}", KOS_APPLIED, KOS_CALL_OK, BREAKER_SUCCESS},
    {"applied, data null", 200, "{" ENV_OK "\"data\":null}", KOS_APPLIED, KOS_CALL_OK, BREAKER_SUCCESS},
    {"applied, data absent", 200, "{\"success\":true,\"resultCode\":\"0000\"}", KOS_APPLIED, KOS_CALL_OK,
     BREAKER_SUCCESS},
    {"applied, nothing given in data", 200, "{" ENV_OK "\"data\":{}}", KOS_APPLIED, KOS_CALL_OK,
     BREAKER_SUCCESS},
    {"applied, ids null", 200, "{" ENV_OK WRAP_("null", "null", "null") "}", KOS_APPLIED, KOS_CALL_OK,
     BREAKER_SUCCESS},
    {"refused", 200, "{\"success\":false,\"resultCode\":\"2099\",\"resultMessage\":\"불가\",\"data\":null}",
     KOS_REFUSED, KOS_CALL_REFUSED, BREAKER_SUCCESS},
    {"refused, any 2xxx", 200, "{\"success\":false,\"resultCode\":2777}", KOS_REFUSED, KOS_CALL_REFUSED,
     BREAKER_SUCCESS},
    {"refused, both agree", 200,
     "{\"success\":false,\"resultCode\":\"2004\",\"data\":{\"resultCode\":\"2004\",\"requestId\":\"" ID
     "\"}}",
     KOS_REFUSED, KOS_CALL_REFUSED, BREAKER_SUCCESS},
    {"our bug 9001", 400, "{\"success\":false,\"resultCode\":\"9001\",\"data\":null}", KOS_REFUSED,
     KOS_CALL_INVALID, BREAKER_IGNORED},
    {"our bug 9004, no success", 400, "{\"resultCode\":\"9004\"}", KOS_REFUSED, KOS_CALL_INVALID,
     BREAKER_IGNORED},
    /* everything else is in doubt, counted */
    {"400 with 9005", 400, "{\"success\":false,\"resultCode\":\"9005\"}", KOS_IN_DOUBT, KOS_CALL_HTTP,
     BREAKER_FAILURE},
    {"400 with success", 400, "{\"success\":true,\"resultCode\":\"9001\"}", KOS_IN_DOUBT, KOS_CALL_HTTP,
     BREAKER_FAILURE},
    {"400 with 2xxx", 400, "{\"success\":false,\"resultCode\":\"2001\"}", KOS_IN_DOUBT, KOS_CALL_HTTP,
     BREAKER_FAILURE},
    {"400, HTML", 400, "<html>", KOS_IN_DOUBT, KOS_CALL_HTTP, BREAKER_FAILURE},
    {"200 with 9001", 200, "{\"success\":false,\"resultCode\":\"9001\"}", KOS_IN_DOUBT, KOS_CALL_SYSTEM,
     BREAKER_FAILURE},
    {"500 with 0000", 500, "{" ENV_OK FULL "}", KOS_IN_DOUBT, KOS_CALL_HTTP, BREAKER_FAILURE},
    {"201", 201, "{" ENV_OK FULL "}", KOS_IN_DOUBT, KOS_CALL_HTTP, BREAKER_FAILURE},
    {"503", 503, "", KOS_IN_DOUBT, KOS_CALL_HTTP, BREAKER_FAILURE},
    {"0000 without success", 200, "{\"success\":false,\"resultCode\":\"0000\"}", KOS_IN_DOUBT,
     KOS_CALL_SYSTEM, BREAKER_FAILURE},
    {"2xxx with success", 200, "{\"success\":true,\"resultCode\":\"2001\"}", KOS_IN_DOUBT, KOS_CALL_SYSTEM,
     BREAKER_FAILURE},
    {"success absent", 200, "{\"resultCode\":\"0000\"}", KOS_IN_DOUBT, KOS_CALL_UNREADABLE, BREAKER_FAILURE},
    {"code absent", 200, "{\"success\":true}", KOS_IN_DOUBT, KOS_CALL_UNREADABLE, BREAKER_FAILURE},
    {"code only in data", 200, "{\"success\":true," FULL "}", KOS_IN_DOUBT, KOS_CALL_UNREADABLE,
     BREAKER_FAILURE},
    {"success a number", 200, "{\"success\":1,\"resultCode\":\"0000\"}", KOS_IN_DOUBT, KOS_CALL_UNREADABLE,
     BREAKER_FAILURE},
    {"envelope 0000, data 2001", 200, "{" ENV_OK "\"data\":{\"resultCode\":\"2001\"}}", KOS_IN_DOUBT,
     KOS_CALL_CONTRADICTORY, BREAKER_FAILURE},
    {"envelope 2001, data 0000", 200, "{\"success\":false,\"resultCode\":\"2001\"," FULL "}", KOS_IN_DOUBT,
     KOS_CALL_CONTRADICTORY, BREAKER_FAILURE},
    {"2001 or 2002?", 200, "{\"success\":false,\"resultCode\":\"2001\",\"data\":{\"resultCode\":\"2002\"}}",
     KOS_IN_DOUBT, KOS_CALL_CONTRADICTORY, BREAKER_FAILURE},
    {"data's code unreadable", 200, "{" ENV_OK "\"data\":{\"resultCode\":true}}", KOS_IN_DOUBT,
     KOS_CALL_CONTRADICTORY, BREAKER_FAILURE},
    {"data an array", 200, "{" ENV_OK "\"data\":[]}", KOS_IN_DOUBT, KOS_CALL_UNREADABLE, BREAKER_FAILURE},
    {"another requestId", 200, "{" ENV_OK WRAP_("\"x\"", "null", "null") "}", KOS_IN_DOUBT,
     KOS_CALL_CONTRADICTORY, BREAKER_FAILURE},
    {"another line", 200, "{" ENV_OK WRAP_("null", "\"01099999999\"", "null") "}", KOS_IN_DOUBT,
     KOS_CALL_CONTRADICTORY, BREAKER_FAILURE},
    {"another product", 200, "{" ENV_OK WRAP_("null", "null", "\"LTE_BASIC\"") "}", KOS_IN_DOUBT,
     KOS_CALL_CONTRADICTORY, BREAKER_FAILURE},
    {"a line that is a number", 200, "{" ENV_OK WRAP_("null", "1012345678", "null") "}", KOS_IN_DOUBT,
     KOS_CALL_CONTRADICTORY, BREAKER_FAILURE},
    {"an empty requestId", 200, "{" ENV_OK WRAP_("\"\"", "null", "null") "}", KOS_IN_DOUBT,
     KOS_CALL_CONTRADICTORY, BREAKER_FAILURE},
    {"an inquiry's answer", 200,
     "{" ENV_OK "\"data\":{\"requestId\":\"" ID
     "\",\"resultCode\":\"0000\",\"productInfo\":{\"currentProductCode\":\"LTE_BASIC\"}}}",
     KOS_IN_DOUBT, KOS_CALL_CONTRADICTORY, BREAKER_FAILURE},
    {"a list's answer", 200, "{" ENV_OK "\"data\":{\"result_code\":\"0000\",\"products\":[]}}", KOS_IN_DOUBT,
     KOS_CALL_CONTRADICTORY, BREAKER_FAILURE},
    {"applied, more than was asked", 200,
     "{" ENV_OK "\"data\":{\"productInfo\":{},\"changeInfo\":{\"kosOrderNumber\":\"K\"}}}", KOS_APPLIED,
     KOS_CALL_OK, BREAKER_SUCCESS},
    {"refused, another requestId", 200,
     "{\"success\":false,\"resultCode\":\"2004\",\"data\":{\"requestId\":\"x\"}}", KOS_IN_DOUBT,
     KOS_CALL_CONTRADICTORY, BREAKER_FAILURE},
    {"our bug, another requestId", 400,
     "{\"success\":false,\"resultCode\":\"9001\",\"data\":{\"requestId\":\"x\"}}", KOS_IN_DOUBT,
     KOS_CALL_CONTRADICTORY, BREAKER_FAILURE},
    {"9xxx", 200, "{\"success\":false,\"resultCode\":\"9999\"}", KOS_IN_DOUBT, KOS_CALL_SYSTEM,
     BREAKER_FAILURE},
    {"3xxx", 200, "{\"success\":false,\"resultCode\":\"3001\"}", KOS_IN_DOUBT, KOS_CALL_SYSTEM,
     BREAKER_FAILURE},
    {"0000 with a tail", 200, "{\"success\":true,\"resultCode\":\"0000 \"}", KOS_IN_DOUBT, KOS_CALL_SYSTEM,
     BREAKER_FAILURE},
    {"duplicate members", 200, "{\"success\":true,\"resultCode\":\"0000\",\"resultCode\":\"2001\"}",
     KOS_IN_DOUBT, KOS_CALL_UNREADABLE, BREAKER_FAILURE},
    {"empty", 200, "", KOS_IN_DOUBT, KOS_CALL_UNREADABLE, BREAKER_FAILURE},
    {"null", 200, "null", KOS_IN_DOUBT, KOS_CALL_UNREADABLE, BREAKER_FAILURE},
    {"cut", 200, "{" ENV_OK, KOS_IN_DOUBT, KOS_CALL_UNREADABLE, BREAKER_FAILURE},
};

/* CONTRACT.md 2, Order */
START_TEST(order_rows)
{
    struct call_result r = answered(orders[_i].status, orders[_i].body);
    struct kos_change_expected x = {ID, LINE, TARGET};
    struct kos_change_answer a;
    kos_answer_change(&r, &x, &arena, &a);
    ck_assert_msg(a.answer == orders[_i].answer, "%s: answer %d, %s", orders[_i].name, a.answer,
                  a.verdict.reason);
    ck_assert_msg(a.verdict.outcome == orders[_i].outcome, "%s: %s", orders[_i].name,
                  kos_outcome_names[a.verdict.outcome]);
    ck_assert_msg(a.verdict.count == orders[_i].count, "%s", orders[_i].name);
}
END_TEST

/* UFR-PROD-040: what the customer is told comes from KOS's own words */
START_TEST(order_details)
{
    struct kos_change_expected x = {"019A0000-0000-7000-8000-0000000000AB", LINE, TARGET};
    struct kos_change_answer a;
    struct call_result r = answered(200, "{" ENV_OK "\"resultMessage\":\"정상\"," FULL "}");
    kos_answer_change(&r, &x, &arena, &a);
    ck_assert_int_eq(a.answer, KOS_APPLIED);
    ck_assert_str_eq(a.result_message, "정상");
    ck_assert_str_eq(a.new_product_code, TARGET);
    ck_assert_str_eq(a.new_product_name, "플러스");
    ck_assert_str_eq(a.kos_order_number, "77");
    ck_assert_str_eq(a.effective_date, "20260102");
    ck_assert_str_eq(a.verdict.code, "0000");
    r = answered(200,
                 "{\"success\":false,\"resultCode\":\"2004\",\"data\":{\"resultMessage\":\"판매 중지\"}}");
    kos_answer_change(&r, &x, &arena, &a);
    ck_assert_str_eq(a.result_message, "판매 중지");
    ck_assert_str_eq(a.verdict.code, "2004");
    ck_assert_ptr_null(a.new_product_code);
}
END_TEST

/* CONTRACT.md 2: numbers come as integers, decimals or text; texts as numbers; both spellings of names */
START_TEST(customer_fields)
{
    struct kos_inquiry_answer a;
    struct call_result r = answered(
        200,
        "{" ENV_OK "\"data\":{\"product_info\":{\"line_number\":\"010-1234-5678\",\"current_product_code\":"
        "\"5GX\",\"current_product_name\":\"5GX \\u0041\",\"monthly_fee\":\"55000.00\","
        "\"data_allowance\":\"50\",\"voice_allowance\":600.0,\"sms_allowance\":null,"
        "\"contract_date\":20230415},"
        "\"customerInfo\":{\"customerName\":\"홍길동\",\"customerId\":1234,\"operatorCode\":\"M1\","
        "\"line_status\":\"active\"}}}");
    kos_answer_inquiry(&r, LINE, &arena, &a);
    ck_assert_int_eq(a.answer, KOS_READ_OK);
    ck_assert(!a.product_incomplete);
    ck_assert_str_eq(a.customer->line, LINE);
    ck_assert_str_eq(a.customer->customer_id, "1234");
    ck_assert_str_eq(a.customer->name, "홍길동");
    ck_assert_str_eq(a.customer->operator_code, "M1");
    ck_assert_str_eq(a.customer->contract_date, "2023-04-15");
    ck_assert_int_eq(a.customer->status, LINE_ACTIVE);
    const struct product *p = &a.customer->product;
    ck_assert_str_eq(p->code, "5GX");
    ck_assert_str_eq(p->name, "5GX A");
    ck_assert_int_eq(p->monthly_fee, 55000);
    ck_assert_str_eq(p->data_allowance, "50GB");
    ck_assert_str_eq(p->voice_allowance, "600분");
    ck_assert_ptr_null(p->sms_allowance);
    ck_assert(!p->availability_given); /* the catalogue's to say */
}
END_TEST

/* CONTRACT.md 2: missing name or fee is the store's to complete; 3002 shows SUSPENDED */
START_TEST(customer_incomplete)
{
    struct kos_inquiry_answer a;
    struct call_result r = answered(200, "{" ENV_OK "\"data\":{\"productInfo\":{\"currentProductCode\":\"A\","
                                         "\"monthlyFee\":\"협의\",\"productStatus\":\"DISCONTINUED\"}}}");
    kos_answer_inquiry(&r, LINE, &arena, &a);
    ck_assert_int_eq(a.answer, KOS_READ_OK);
    ck_assert(a.product_incomplete);
    ck_assert_ptr_null(a.customer->product.name);
    ck_assert_int_eq(a.customer->product.monthly_fee, PRODUCT_FEE_MISSING);
    ck_assert(!a.customer->product.available);
    r = answered(200, "{\"success\":false,\"resultCode\":\"3002\"}");
    kos_answer_inquiry(&r, LINE, &arena, &a);
    ck_assert_int_eq(a.customer->status, LINE_SUSPENDED);
    ck_assert(!a.customer->has_product);
    r = answered(200, "{" ENV_OK "\"data\":{" PRODUCT_INFO ",\"customerInfo\":{\"lineStatus\":\"TERMINATED\","
                      "\"customerId\":\"C9\"}}}");
    kos_answer_inquiry(&r, LINE, &arena, &a);
    ck_assert_int_eq(a.customer->status, LINE_TERMINATED);
    ck_assert_str_eq(a.customer->customer_id, "C9");
    ck_assert(a.customer->has_product);
}
END_TEST

/* No memory is neither an answer of KOS's nor its fault */
START_TEST(inquiry_without_memory)
{
    struct kos_inquiry_answer a;
    struct call_result r = answered(200, "{" ENV_OK DATA_OK "}");
    for (size_t limit = 0; limit < 4096; limit += 16) {
        struct arena small;
        arena_init(&small, NULL, 0, limit);
        kos_answer_inquiry(&r, LINE, &small, &a);
        if (a.answer != KOS_READ_OK) {
            ck_assert_int_eq(a.answer, KOS_UNAVAILABLE);
            ck_assert_int_eq(a.verdict.count, BREAKER_IGNORED);
            ck_assert_ptr_null(a.customer);
        }
        arena_free(&small);
    }
    ck_assert_int_eq(a.answer, KOS_READ_OK);
}
END_TEST

#define LIST(products)                                                                                       \
    "{\"success\":true,\"resultCode\":\"0000\",\"data\":{\"result_code\":\"0000\",\"product_count\":\"3\","  \
    "\"products\":" products "}}"

/* UFR-PROD-020: the list in KOS's order, on sale or not; what cannot be used is dropped and counted */
START_TEST(list_products)
{
    struct kos_list_answer a;
    struct call_result r = answered(
        200,
        LIST("[{\"product_code\":\"B\",\"product_name\":\"비\",\"monthly_fee\":4.5E4,\"data_allowance\":-1,"
             "\"network_type\":\"5G\",\"status\":\"ACTIVE\",\"description\":null,\"operator_code\":\"M1\"},"
             "{\"product_name\":\"no code\",\"monthly_fee\":1},"
             "{\"product_code\":\"NOFEE\",\"monthly_fee\":\"협의\"},"
             "{\"product_code\":\"bad code\",\"monthly_fee\":1},7,null,"
             "{\"productCode\":\"A\",\"monthlyFee\":\"100\",\"status\":\"PENDING\"}]"));
    kos_answer_list(&r, &a);
    ck_assert_int_eq(a.answer, KOS_READ_OK);
    ck_assert_uint_eq(a.dropped, 5);
    ck_assert_uint_eq(a.catalogue->count, 2);
    ck_assert_str_eq(a.catalogue->products[0].code, "B");
    ck_assert(a.catalogue->products[0].available);
    ck_assert_str_eq(a.catalogue->products[0].data_allowance, "무제한");
    ck_assert_str_eq(a.catalogue->products[0].operator_code, "M1");
    ck_assert_str_eq(a.catalogue->products[0].network_type, "5G");
    ck_assert_ptr_nonnull(strstr(a.catalogue->json[0], "\"productCode\":\"B\",\"productName\":\"비\""));
    ck_assert_str_eq(a.catalogue->products[1].code, "A");
    ck_assert_str_eq(a.catalogue->products[1].name, "A"); /* never null */
    ck_assert_int_eq(a.catalogue->products[1].monthly_fee, 100);
    ck_assert(!a.catalogue->products[1].available);
    catalogue_unref(a.catalogue);
}
END_TEST

static const struct {
    int status;
    const char *body;
    enum kos_read_answer answer;
    enum kos_outcome outcome;
    enum breaker_outcome count;
} lists[] = {
    {200, LIST("[]"), KOS_READ_OK, KOS_CALL_OK, BREAKER_SUCCESS},
    {200, LIST("null"), KOS_UNAVAILABLE, KOS_CALL_UNREADABLE, BREAKER_FAILURE},
    {200, LIST("{}"), KOS_UNAVAILABLE, KOS_CALL_UNREADABLE, BREAKER_FAILURE},
    {200, LIST("[{\"product_code\":\"A\"}]"), KOS_UNAVAILABLE, KOS_CALL_UNREADABLE, BREAKER_FAILURE},
    {200, "{\"success\":true,\"resultCode\":\"0000\",\"data\":null}", KOS_UNAVAILABLE, KOS_CALL_UNREADABLE,
     BREAKER_FAILURE},
    {200, "{\"success\":false,\"resultCode\":\"9001\"}", KOS_UNAVAILABLE, KOS_CALL_SYSTEM, BREAKER_FAILURE},
    {200, "{\"success\":false,\"resultCode\":\"3001\"}", KOS_UNAVAILABLE, KOS_CALL_NEGATIVE, BREAKER_SUCCESS},
    {502, LIST("[]"), KOS_UNAVAILABLE, KOS_CALL_HTTP, BREAKER_FAILURE},
    {200, "[", KOS_UNAVAILABLE, KOS_CALL_UNREADABLE, BREAKER_FAILURE},
};

/* CONTRACT.md 2, Reads: list */
START_TEST(list_rows)
{
    struct call_result r = answered(lists[_i].status, lists[_i].body);
    struct kos_list_answer a;
    kos_answer_list(&r, &a);
    ck_assert_int_eq(a.answer, lists[_i].answer);
    ck_assert_int_eq(a.verdict.outcome, lists[_i].outcome);
    ck_assert_int_eq(a.verdict.count, lists[_i].count);
    ck_assert((a.catalogue != NULL) == (a.answer == KOS_READ_OK));
    catalogue_unref(a.catalogue);
}
END_TEST

/* PITFALLS.md 7: depth and size are bounded before cJSON sees the text */
START_TEST(bounds)
{
    struct kos_list_answer l;
    struct kos_inquiry_answer a;
    struct call_result r = {.reach = CALL_ANSWERED, .status = 200};
    size_t len = KOS_BODY_MAX + 1;
    char *big = malloc(KOS_LIST_BODY_MAX + 1);
    memset(big, ' ', KOS_LIST_BODY_MAX + 1);
    const char *list = LIST("[]"), *inquiry = "{" ENV_OK DATA_OK "}";
    memcpy(big, inquiry, strlen(inquiry));
    r.body = big;
    r.len = len;
    kos_answer_inquiry(&r, LINE, &arena, &a);
    ck_assert_int_eq(a.verdict.outcome, KOS_CALL_UNREADABLE);
    r.len = len - 1;
    kos_answer_inquiry(&r, LINE, &arena, &a);
    ck_assert_int_eq(a.answer, KOS_READ_OK);
    memset(big, ' ', strlen(inquiry));
    memcpy(big, list, strlen(list));
    r.len = KOS_LIST_BODY_MAX;
    kos_answer_list(&r, &l);
    ck_assert_int_eq(l.answer, KOS_READ_OK);
    catalogue_unref(l.catalogue);
    r.len = KOS_LIST_BODY_MAX + 1;
    kos_answer_list(&r, &l);
    ck_assert_int_eq(l.verdict.outcome, KOS_CALL_UNREADABLE);
    memset(big, '[', 100);
    memset(big + 100, ']', 100);
    r.len = 200;
    kos_answer_inquiry(&r, LINE, &arena, &a);
    ck_assert_int_eq(a.verdict.outcome, KOS_CALL_UNREADABLE);
    free(big);
}
END_TEST

#define ROWS(t) (int)(sizeof(t) / sizeof *(t))

int main(void)
{
    Suite *s = suite_create("kos_answer");
    TCase *t = tcase_create("kos_answer");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, inquiry_rows, 0, ROWS(inquiries));
    tcase_add_loop_test(t, transport_rows, 0, ROWS(transports));
    tcase_add_loop_test(t, order_rows, 0, ROWS(orders));
    tcase_add_test(t, order_details);
    tcase_add_test(t, customer_fields);
    tcase_add_test(t, customer_incomplete);
    tcase_add_test(t, inquiry_without_memory);
    tcase_add_test(t, list_products);
    tcase_add_loop_test(t, list_rows, 0, ROWS(lists));
    tcase_add_test(t, bounds);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
