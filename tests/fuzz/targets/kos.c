/* KOS's answers (CONTRACT.md 2): first line "inquiry|list|change STATUS", the rest the body. What is shown, stored or
 * charged comes from here: an order has an outcome only if everything agrees, and what is kept is of the right form. */
#include "fuzz/fuzz.h"

#include "product/catalogue.h"
#include "product/kos_answer.h"

#define LINE   "01012345678"
#define ID     "019a0000-0000-7000-8000-0000000000ab"
#define TARGET "LTE_PLUS"

static bool kept_text(const char *text)
{
    return !text || (*text && strlen(text) <= KOS_TEXT_MAX);
}

static void check_product(const struct product *p, bool whole)
{
    FUZZ_CHECK(p->code && product_code_valid(p->code, strlen(p->code)));
    FUZZ_CHECK(p->monthly_fee >= 0 || (!whole && p->monthly_fee == PRODUCT_FEE_MISSING));
    FUZZ_CHECK(p->monthly_fee <= JSON_INT_MAX && (p->name || !whole));
    FUZZ_CHECK(kept_text(p->name) && kept_text(p->data_allowance) && kept_text(p->voice_allowance) &&
               kept_text(p->sms_allowance) && kept_text(p->operator_code) && kept_text(p->network_type) &&
               kept_text(p->description));
}

/* Members without braces, as they are spliced into answers. */
static void check_members(const struct buf *b)
{
    char *object;
    FUZZ_CHECK(!b->failed && asprintf(&object, "{%s}", b->len ? b->data : "") > 0);
    FUZZ_CHECK(fuzz_is_json(object, strlen(object)));
    free(object);
}

static void check_verdict(const struct kos_verdict *v)
{
    FUZZ_CHECK(v->outcome < KOS_CALL_OUTCOMES && v->reason && strlen(v->code) <= KOS_CODE_MAX);
    for (const char *p = v->code; *p; p++) {
        FUZZ_CHECK(*p > ' ' && *p < 0x7f);
    }
}

static void check_inquiry(const struct call_result *result)
{
    struct kos_inquiry_answer out;
    struct arena arena;
    arena_init(&arena, NULL, 0, (size_t)4 << 20);
    kos_answer_inquiry(result, LINE, &arena, &out);
    check_verdict(&out.verdict);
    FUZZ_CHECK(!out.customer == (out.answer == KOS_UNKNOWN_LINE || out.answer == KOS_UNAVAILABLE));
    FUZZ_CHECK(result->status == 200 || out.answer == KOS_UNAVAILABLE);
    if (out.customer) {
        const struct customer *c = out.customer;
        FUZZ_CHECK(strcmp(c->line, LINE) == 0 && kept_text(c->customer_id) && kept_text(c->name));
        FUZZ_CHECK(!c->contract_date || strlen(c->contract_date) == 10);
        if (c->has_product) {
            check_product(&c->product, !out.product_incomplete);
        }
        if (out.answer == KOS_READ_OK && !out.product_incomplete) {
            struct buf b;
            FUZZ_CHECK(c->has_product && c->status == LINE_ACTIVE);
            buf_init(&b, (size_t)1 << 20);
            customer_json(&b, c);
            check_members(&b);
            buf_free(&b);
        }
    }
    arena_free(&arena);
}

static void check_list(const struct call_result *result)
{
    struct kos_list_answer out;
    kos_answer_list(result, &out);
    check_verdict(&out.verdict);
    FUZZ_CHECK(!out.catalogue == (out.answer != KOS_READ_OK));
    for (size_t i = 0; out.catalogue && i < out.catalogue->count; i++) {
        check_product(&out.catalogue->products[i], true);
        const char *json = out.catalogue->json[i];
        struct buf b;
        buf_init(&b, (size_t)1 << 20);
        buf_puts(&b, json);
        check_members(&b);
        buf_free(&b);
    }
    catalogue_unref(out.catalogue);
}

static const cJSON *member(const cJSON *object, const char *camel, const char *snake)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, camel);
    return item && !cJSON_IsNull(item) ? item : cJSON_GetObjectItemCaseSensitive(object, snake);
}

/* "0000" as text, or the number that a careless encoder makes of it. */
static bool says(const cJSON *object, const char *code)
{
    const cJSON *item = member(object, "resultCode", "result_code");
    return cJSON_IsString(item) ? strcmp(item->valuestring, code) == 0
                                : cJSON_IsNumber(item) && item->valuedouble == strtod(code, NULL);
}

/* What must be in the body of an order that is said to be applied: read by hand. */
static void check_applied(const struct call_result *result)
{
    cJSON *root = cJSON_ParseWithLength(result->body, result->len);
    FUZZ_CHECK(result->status == 200 && cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(root, "success")));
    FUZZ_CHECK(says(root, "0000"));
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(root, "data");
    FUZZ_CHECK(!data || cJSON_IsNull(data) || cJSON_IsObject(data));
    const cJSON *code = member(data, "resultCode", "result_code");
    FUZZ_CHECK(!code || cJSON_IsNull(code) || says(data, "0000"));
    const cJSON *info = member(data, "changeInfo", "change_info"),
                *product = member(info, "newProductCode", "new_product_code");
    FUZZ_CHECK(!product || cJSON_IsNull(product) || fuzz_same(cJSON_GetStringValue(product), TARGET));
    cJSON_Delete(root);
}

static void check_change(const struct call_result *result)
{
    static const struct kos_change_expected expected = {ID, LINE, TARGET};
    struct kos_change_answer out;
    struct arena arena;
    arena_init(&arena, NULL, 0, (size_t)4 << 20);
    kos_answer_change(result, &expected, &arena, &out);
    check_verdict(&out.verdict);
    FUZZ_CHECK(out.answer != KOS_NOT_SENT &&
               !out.verdict.retry); /* it was answered: never "nothing was ordered" */
    FUZZ_CHECK(kept_text(out.result_message) && kept_text(out.kos_order_number) &&
               kept_text(out.new_product_name));
    if (out.answer == KOS_APPLIED) {
        check_applied(result);
    } else if (out.answer == KOS_REFUSED) {
        FUZZ_CHECK((result->status == 200 && out.verdict.code[0] == '2') ||
                   (result->status == 400 && strncmp(out.verdict.code, "900", 3) == 0));
    }
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    char *head = fuzz_line(&in), operation[16] = "";
    int status = 200;
    if (sscanf(head, "%15s %d", operation, &status) == 2) {
        char *body = fuzz_bytes(in.at, in.left);
        const struct call_result result = {.reach = CALL_ANSWERED,
                                           .status = status,
                                           .body = body,
                                           .len = in.left,
                                           .content_type = "",
                                           .reason = ""};
        if (strcmp(operation, "inquiry") == 0) {
            check_inquiry(&result);
        } else if (strcmp(operation, "list") == 0) {
            check_list(&result);
        } else {
            check_change(&result);
        }
        free(body);
    }
    free(head);
    return 0;
}
