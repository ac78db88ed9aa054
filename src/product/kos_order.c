/* kos_order.c - the order: sent once, never cancelled, never again by itself (DESIGN.md, Failure).
 *
 *   kos_change -> CALLING -> told: APPLIED | REFUSED | NOT_SENT | IN_DOUBT */
#include "product/kos_internal.h"

#include "pcs/core/text.h"

#include <string.h>

static void tell(struct kos_request *r, const struct kos_change_answer *a)
{
    struct kos_order order = {
        .answer = a->answer,
        .result_code = a->verdict.code,
        .result_message = a->result_message,
        .new_product_code = a->new_product_code,
        .new_product_name = a->new_product_name,
        .kos_order_number = a->kos_order_number,
        .effective_date = a->effective_date,
        .note = &r->notes[0],
        .reason = a->verdict.reason,
    };
    kos_enter_state(r, KOS_DONE);
    r->order_done(r->arg, &order);
    kos_request_free(r);
}

static void on_called(void *arg, const struct call_result *result)
{
    struct kos_request *r = arg;
    const struct kos_change_expected expected = {r->body_id, r->line, r->target};
    struct kos_change_answer a;
    kos_answer_change(result, &expected, &r->arena, &a);
    kos_account(r, result, &a.verdict);
    tell(r, &a);
}

struct kos_request *kos_change(struct kos *k, struct gate_pass *pass, const char *line,
                               const char *current_code, const char *target_code,
                               const struct kos_caller *caller, kos_order_done done, void *arg)
{
    struct kos_request *r = kos_request_new(k, KOS_CHANGE, line, caller, arg);
    if (!r) {
        gate_return(pass);
        return NULL;
    }
    r->order_done = done;
    r->pass = pass;
    r->deadline_ns = clock_mono_ns() + (uint64_t)k->config->change_deadline_ms * NS_PER_MS;
    text_copy(r->target, sizeof r->target, target_code);
    buf_json_open(&r->body, NULL, '{');
    buf_json_str(&r->body, "lineNumber", line);
    buf_json_str(&r->body, "currentProductCode", current_code);
    buf_json_str(&r->body, "targetProductCode", target_code);
    buf_json_str(&r->body, "requestId", r->body_id);
    buf_json_close(&r->body, '}');
    if (!buf_ok(&r->body) || !kos_send(r, on_called)) {
        gate_return(pass);
        kos_request_free(r);
        return NULL;
    }
    return r;
}

/* The process is going down while an order is at KOS: its answer will not be heard. */
void kos_order_shutdown(struct kos_request *r)
{
    struct call_result result = {
        .reach = CALL_MAYBE_SENT, .error = CALL_SHUTDOWN, .body = "", .reason = "shutting down"};
    call_cancel(r->call);
    on_called(r, &result);
}
