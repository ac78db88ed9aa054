/* kos_answer_change.c - what the answer to an order means: applied, refused, not sent, or in doubt
 * (CONTRACT.md 2, Order).
 *
 * An order has an outcome only if everything that KOS says agrees. What is not in order_rules is in doubt. */
#include "product/kos_envelope.h"

#include <string.h>
#include <strings.h>

static const struct order_rule {
    int status;
    bool success;
    const char *code; /* of envelope and, where given, data */
    enum kos_order_answer answer;
    enum kos_outcome outcome;
    enum breaker_outcome count;
    const char *reason;
} order_rules[] = {
    {200, true, "0000", KOS_APPLIED, KOS_CALL_OK, BREAKER_SUCCESS, "applied"},
    {200, false, "2xxx", KOS_REFUSED, KOS_CALL_REFUSED, BREAKER_SUCCESS, "refused"},
    {400, false, "9001", KOS_REFUSED, KOS_CALL_INVALID, BREAKER_IGNORED, "KOS found our request invalid"},
    {400, false, "9002", KOS_REFUSED, KOS_CALL_INVALID, BREAKER_IGNORED, "KOS found our request invalid"},
    {400, false, "9003", KOS_REFUSED, KOS_CALL_INVALID, BREAKER_IGNORED, "KOS found our request invalid"},
    {400, false, "9004", KOS_REFUSED, KOS_CALL_INVALID, BREAKER_IGNORED, "KOS found our request invalid"},
};

static enum kos_order_answer doubt(struct kos_verdict *v, enum kos_outcome outcome, const char *reason)
{
    kos_verdict_set(v, outcome, BREAKER_FAILURE, reason);
    v->retry = false;
    return KOS_IN_DOUBT;
}

/* True when the member is absent, or equals ours. */
static bool ours(const cJSON *object, const char *name, const char *expected,
                 int (*compare)(const char *, const char *))
{
    const cJSON *item = kos_get(object, name);
    return !item || (cJSON_IsString(item) && compare(item->valuestring, expected) == 0);
}

static int compare_lines(const char *given, const char *expected)
{
    char line[LINE_LEN + 1];
    return line_parse(given, strlen(given), line) ? strcmp(line, expected) : 1;
}

/* In data and in its changeInfo alike. A UUID's case says nothing. */
static bool all_ours(const cJSON *object, const struct kos_change_expected *x)
{
    return ours(object, "requestId", x->request_id, strcasecmp) &&
           ours(object, "lineNumber", x->line, compare_lines) &&
           ours(object, "newProductCode", x->target_code, strcmp);
}

/* An inquiry of a change carries the change's id, a list none: their answers, when they come late or twice on the order's
 * connection, say 0000 too. */
static bool of_a_read(const cJSON *data)
{
    return !kos_get(data, "changeInfo") && (kos_get(data, "productInfo") || kos_get(data, "products"));
}

static enum kos_order_answer judge_envelope(int status, const struct kos_envelope *e,
                                            const struct kos_change_expected *expected, struct kos_verdict *v)
{
    bool success = e->success_given && e->success;
    if (!e->code_given || (!e->success_given && status == 200)) {
        return doubt(v, KOS_CALL_UNREADABLE, "no success or no result code");
    }
    if (e->data_given && !e->data) {
        return doubt(v, KOS_CALL_UNREADABLE, "data is no object");
    }
    if (e->data_code_given && strcmp(e->code, e->data_code) != 0) {
        return doubt(v, KOS_CALL_CONTRADICTORY, "envelope and data disagree");
    }
    for (size_t i = 0; i < sizeof order_rules / sizeof *order_rules; i++) {
        const struct order_rule *r = &order_rules[i];
        if (r->status != status || r->success != success || !kos_code_matches(r->code, e->code)) {
            continue;
        }
        if (!all_ours(e->data, expected) || !all_ours(kos_get_object(e->data, "changeInfo"), expected)) {
            return doubt(v, KOS_CALL_CONTRADICTORY, "the answer is about another order");
        }
        if (of_a_read(e->data)) {
            return doubt(v, KOS_CALL_CONTRADICTORY, "the answer is about no order");
        }
        kos_verdict_set(v, r->outcome, r->count, r->reason);
        return r->answer;
    }
    return status == 200 ? doubt(v, KOS_CALL_SYSTEM, "no outcome of an order")
                         : doubt(v, KOS_CALL_HTTP, "another HTTP status");
}

/* What may be told about an order with an outcome. A text lost for want of memory changes no outcome. */
static void read_details(const struct kos_envelope *e, struct arena *arena, struct kos_change_answer *out)
{
    struct kos_reader in = {.arena = arena};
    const cJSON *info = kos_get_object(e->data, "changeInfo");
    out->result_message = kos_text(&in, e->root, "resultMessage");
    if (!out->result_message) {
        out->result_message = kos_text(&in, e->data, "resultMessage");
    }
    if (out->answer == KOS_APPLIED) {
        out->new_product_code = kos_text(&in, info, "newProductCode");
        out->new_product_name = kos_text(&in, info, "newProductName");
        out->kos_order_number = kos_text(&in, info, "kosOrderNumber");
        out->effective_date = kos_text(&in, info, "effectiveDate");
    }
}

void kos_answer_change(const struct call_result *result, const struct kos_change_expected *expected,
                       struct arena *arena, struct kos_change_answer *out)
{
    struct kos_verdict *v = &out->verdict;
    struct kos_envelope e;
    *out = (struct kos_change_answer){.answer = KOS_IN_DOUBT};
    if (!kos_transport_ok(result, v)) {
        v->retry = false;
        if (result->reach == CALL_NOT_SENT) {
            out->answer = KOS_NOT_SENT;
        }
        return;
    }
    kos_envelope_read(&e, result->body, result->len, KOS_BODY_MAX);
    if (!e.root) {
        out->answer = doubt(v, result->status == 200 ? KOS_CALL_UNREADABLE : KOS_CALL_HTTP, e.reason);
        return;
    }
    memcpy(v->code, e.code, sizeof v->code);
    out->answer = judge_envelope(result->status, &e, expected, v);
    read_details(&e, arena, out);
    cJSON_Delete(e.root);
}
