/* kos_answer_read.c - what the answers to the two reads mean (CONTRACT.md 2, Reads).
 *
 * 0000 and 3xxx are answers; everything else is a failure and counts for the breaker. */
#include "product/kos_envelope.h"

#include "product/catalogue.h"

#include <string.h>
#include <strings.h>

/* What a read's result code means. First hit wins; a code that fits none is a failure of KOS's. */
static const struct read_rule {
    enum kos_operation operation; /* KOS_OPERATIONS: both */
    const char *code;
    enum kos_read_answer answer;
    enum kos_outcome outcome;
    enum breaker_outcome count;
    bool retry;
    const char *reason;
} read_rules[] = {
    {KOS_OPERATIONS, "0000", KOS_READ_OK, KOS_CALL_OK, BREAKER_SUCCESS, false, "answered"},
    {KOS_INQUIRY, "3001", KOS_UNKNOWN_LINE, KOS_CALL_NEGATIVE, BREAKER_SUCCESS, false, "unknown line"},
    {KOS_INQUIRY, "3002", KOS_NOT_ACTIVE, KOS_CALL_NEGATIVE, BREAKER_SUCCESS, false, "line not active"},
    {KOS_INQUIRY, "3003", KOS_NO_PRODUCT, KOS_CALL_NEGATIVE, BREAKER_SUCCESS, false, "product unknown"},
    {KOS_OPERATIONS, "3xxx", KOS_UNAVAILABLE, KOS_CALL_NEGATIVE, BREAKER_SUCCESS, false,
     "an answer this operation has no meaning for"},
    {KOS_OPERATIONS, "9xxx", KOS_UNAVAILABLE, KOS_CALL_SYSTEM, BREAKER_FAILURE, true, "system error"},
};

static enum kos_read_answer failed(struct kos_verdict *v, enum kos_outcome outcome, const char *reason)
{
    kos_verdict_set(v, outcome, BREAKER_FAILURE, reason);
    return KOS_UNAVAILABLE;
}

/* The code that counts: envelope's and data's agree, or one of them is 0000 and the other says what is
 * wrong. NULL when there is none, or they contradict each other. */
static const char *effective_code(const struct kos_envelope *e)
{
    const char *outer = e->code_given ? e->code : NULL;
    const char *inner = e->data_code_given ? e->data_code : NULL;
    if (!outer || !inner) {
        return outer ? outer : inner;
    }
    if (strcmp(outer, inner) == 0 || strcmp(inner, "0000") == 0) {
        return outer;
    }
    return strcmp(outer, "0000") == 0 ? inner : NULL;
}

/* HTTP status, envelope and result code; the caller looks into data only after KOS_READ_OK. */
static enum kos_read_answer judge(enum kos_operation operation, const struct call_result *result, size_t max,
                                  struct kos_envelope *e, struct kos_verdict *v)
{
    if (!kos_transport_ok(result, v)) {
        return KOS_UNAVAILABLE;
    }
    if (result->status != 200) {
        v->retry = result->status >= 500;
        return failed(v, KOS_CALL_HTTP, "another HTTP status");
    }
    kos_envelope_read(e, result->body, result->len, max);
    if (!e->root) {
        return failed(v, KOS_CALL_UNREADABLE, e->reason);
    }
    const char *code = effective_code(e);
    if (!code) {
        return e->code_given ? failed(v, KOS_CALL_CONTRADICTORY, "envelope and data disagree")
                             : failed(v, KOS_CALL_UNREADABLE, "no result code");
    }
    memcpy(v->code, code, strlen(code) + 1);
    if (strcmp(code, "0000") == 0 && e->success_given && !e->success) {
        return failed(v, KOS_CALL_CONTRADICTORY, "0000 without success");
    }
    for (size_t i = 0; i < sizeof read_rules / sizeof *read_rules; i++) {
        const struct read_rule *r = &read_rules[i];
        if ((r->operation == KOS_OPERATIONS || r->operation == operation) &&
            kos_code_matches(r->code, code)) {
            kos_verdict_set(v, r->outcome, r->count, r->reason);
            v->retry = r->retry;
            return r->answer;
        }
    }
    return failed(v, KOS_CALL_SYSTEM, "unknown result code");
}

/* Absent = ACTIVE, an unknown word = SUSPENDED (CONTRACT.md 2). */
static enum line_status line_status(const cJSON *info)
{
    const cJSON *item = kos_get(info, "lineStatus");
    if (!item || (cJSON_IsString(item) && *item->valuestring == '\0')) {
        return LINE_ACTIVE;
    }
    for (enum line_status s = LINE_ACTIVE; cJSON_IsString(item) && s <= LINE_TERMINATED; s++) {
        if (strcasecmp(item->valuestring, line_status_name(s)) == 0) {
            return s;
        }
    }
    return LINE_SUSPENDED;
}

static bool active_word(const cJSON *object, const char *name, bool when_absent)
{
    const cJSON *item = kos_get(object, name);
    return item ? cJSON_IsString(item) && strcasecmp(item->valuestring, "ACTIVE") == 0 : when_absent;
}

static const char *product_code(struct kos_reader *in, const cJSON *object, const char *name)
{
    const char *code = kos_text(in, object, name);
    return code && product_code_valid(code, strlen(code)) ? code : NULL;
}

static void read_allowances(struct kos_reader *in, const cJSON *info, struct product *p)
{
    p->data_allowance = kos_allowance(in, info, "dataAllowance", "GB");
    p->voice_allowance = kos_allowance(in, info, "voiceAllowance", "분");
    p->sms_allowance = kos_allowance(in, info, "smsAllowance", "건");
}

static void read_customer(struct kos_reader *in, const cJSON *data, struct customer *c)
{
    const cJSON *info = kos_get_object(data, "productInfo");
    const cJSON *person = kos_get_object(data, "customerInfo");
    struct product *p = &c->product;
    c->customer_id = kos_text(in, person, "customerId");
    c->name = kos_text(in, person, "customerName");
    c->operator_code = kos_text(in, person, "operatorCode");
    c->status = line_status(person);
    c->contract_date = kos_date(in, info, "contractDate");
    p->code = product_code(in, info, "currentProductCode");
    c->has_product = p->code != NULL;
    if (c->has_product) {
        p->name = kos_text(in, info, "currentProductName");
        if (!kos_fee(info, "monthlyFee", &p->monthly_fee)) {
            p->monthly_fee = PRODUCT_FEE_MISSING;
        }
        read_allowances(in, info, p);
        p->availability_given = kos_get(info, "productStatus") != NULL;
        p->available = active_word(info, "productStatus", false);
    }
}

/* KOS may say whose answer it is; somebody else's is never shown. */
static bool another_line(const cJSON *data, const char *line)
{
    const cJSON *item = kos_get(kos_get_object(data, "productInfo"), "lineNumber");
    char given[LINE_LEN + 1];
    return cJSON_IsString(item) && line_parse(item->valuestring, strlen(item->valuestring), given) &&
           strcmp(given, line) != 0;
}

static enum kos_read_answer inquiry_answered(const struct kos_envelope *e, const char *line,
                                             struct arena *arena, struct kos_inquiry_answer *out)
{
    struct kos_reader in = {.arena = arena};
    struct customer *c = out->customer;
    if (!e->data) {
        return failed(&out->verdict, KOS_CALL_UNREADABLE, "0000 without data");
    }
    if (another_line(e->data, line)) {
        return failed(&out->verdict, KOS_CALL_CONTRADICTORY, "the answer is about another line");
    }
    read_customer(&in, e->data, c);
    if (in.no_memory) {
        kos_verdict_set(&out->verdict, KOS_CALL_ABANDONED, BREAKER_IGNORED, "no memory");
        return KOS_UNAVAILABLE;
    }
    out->product_incomplete = c->has_product && !product_is_complete(&c->product);
    if (c->status != LINE_ACTIVE) {
        return KOS_NOT_ACTIVE;
    }
    return c->has_product ? KOS_READ_OK : KOS_NO_PRODUCT;
}

void kos_answer_inquiry(const struct call_result *result, const char *line, struct arena *arena,
                        struct kos_inquiry_answer *out)
{
    struct kos_envelope e = {.root = NULL};
    *out = (struct kos_inquiry_answer){.customer = arena_zalloc(arena, sizeof *out->customer)};
    if (!out->customer || !(out->customer->line = arena_strdup(arena, line))) {
        kos_verdict_set(&out->verdict, KOS_CALL_ABANDONED, BREAKER_IGNORED, "no memory");
        out->answer = KOS_UNAVAILABLE;
        out->customer = NULL;
        return;
    }
    out->answer = judge(KOS_INQUIRY, result, KOS_BODY_MAX, &e, &out->verdict);
    if (out->answer == KOS_READ_OK) {
        out->answer = inquiry_answered(&e, line, arena, out);
    } else {
        out->customer->status = out->answer == KOS_NOT_ACTIVE ? LINE_SUSPENDED : LINE_ACTIVE;
    }
    if (out->answer == KOS_UNKNOWN_LINE || out->answer == KOS_UNAVAILABLE) {
        out->customer = NULL;
    }
    cJSON_Delete(e.root);
}

/* Returns false only without memory; a product that cannot be used is counted. */
static bool add_product(struct kos_list_answer *out, const cJSON *item)
{
    char memory[2048];
    struct arena scratch;
    struct product p = {.code = NULL};
    arena_init(&scratch, memory, sizeof memory, KOS_LIST_BODY_MAX * 2);
    struct kos_reader in = {.arena = &scratch};
    p.code = product_code(&in, item, "productCode");
    bool usable = p.code && kos_fee(item, "monthlyFee", &p.monthly_fee);
    bool ok = true;
    if (usable) {
        p.name = kos_text(&in, item, "productName");
        if (!p.name) {
            p.name = p.code; /* never null, and the code is what it is called then */
        }
        read_allowances(&in, item, &p);
        p.available = active_word(item, "status", false);
        p.operator_code = kos_text(&in, item, "operatorCode");
        p.network_type = kos_text(&in, item, "networkType");
        p.description = kos_text(&in, item, "description");
        ok = !in.no_memory && catalogue_add(out->catalogue, &p);
    } else {
        out->dropped++;
    }
    arena_free(&scratch);
    return ok && !in.no_memory;
}

static enum kos_read_answer list_answered(const struct kos_envelope *e, struct kos_list_answer *out)
{
    const cJSON *list = kos_get(e->data, "products"), *item;
    if (!cJSON_IsArray(list)) {
        return failed(&out->verdict, KOS_CALL_UNREADABLE, "0000 without products");
    }
    out->catalogue = catalogue_new((size_t)cJSON_GetArraySize(list));
    bool ok = out->catalogue != NULL;
    cJSON_ArrayForEach(item, list)
    {
        if (!ok) {
            break;
        }
        ok = add_product(out, item);
    }
    if (!ok) {
        kos_verdict_set(&out->verdict, KOS_CALL_ABANDONED, BREAKER_IGNORED, "no memory");
        return KOS_UNAVAILABLE;
    }
    if (out->catalogue->count == 0 && out->dropped) {
        return failed(&out->verdict, KOS_CALL_UNREADABLE, "no product of the list is readable");
    }
    return KOS_READ_OK;
}

void kos_answer_list(const struct call_result *result, struct kos_list_answer *out)
{
    struct kos_envelope e = {.root = NULL};
    *out = (struct kos_list_answer){.catalogue = NULL};
    out->answer = judge(KOS_LIST, result, KOS_LIST_BODY_MAX, &e, &out->verdict);
    if (out->answer == KOS_READ_OK) {
        out->answer = list_answered(&e, out);
    }
    if (out->answer != KOS_READ_OK) {
        catalogue_unref(out->catalogue);
        out->catalogue = NULL;
    }
    cJSON_Delete(e.root);
}
