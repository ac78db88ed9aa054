/* The three operations of KOS-Order: reading the request, noting the call, and the effect. */
#include "kos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SYSTEM_ERROR "9999"
#define FULL_ERROR   "9900"

const char *const kos_operation_names[KOS_OPERATIONS + 1] = {"inquiry", "list", "change", NULL};

/* What the request asks; `bad` is KOS's own validation error, "" when it is fine. */
struct ask {
    struct kos *kos;
    enum kos_operation operation;
    char bad[5];
    bool wrong_type; /* a body that is not declared as JSON: 415, like a Spring server */
    char line[16];
    char current[KOS_CODE_SIZE];
    char target[KOS_CODE_SIZE];
    char request_id[KOS_ID_SIZE];
};

/* A member as text: strings only; true when it is there, not blank and not too long. */
static bool text_member(const cJSON *body, const char *name, char *out, size_t size)
{
    const char *text = sim_json_text(body, name, "");

    sim_copy(out, size, text);
    return text[strspn(text, " \t\r\n")] != '\0' && strlen(text) < size;
}

static void read_body(struct ask *a, const struct sim_req *req)
{
    cJSON *body = req->body.length ? cJSON_ParseWithLength(req->body.data, req->body.length) : NULL;
    const char *type = sim_req_header(req, "Content-Type");
    bool id, line, codes;

    a->wrong_type = !type || strncasecmp(type, "application/json", 16) != 0;
    if (a->wrong_type || !cJSON_IsObject(body)) {
        sim_copy(a->bad, sizeof a->bad, "9004");
        cJSON_Delete(body);
        return;
    }
    id = text_member(body, "requestId", a->request_id, sizeof a->request_id);
    line = text_member(body, "lineNumber", a->line, sizeof a->line);
    line = line && strlen(a->line) == 11 && strspn(a->line, "0123456789") == 11;
    codes = true;
    if (a->operation == KOS_CHANGE) {
        codes = text_member(body, "currentProductCode", a->current, sizeof a->current);
        codes = text_member(body, "targetProductCode", a->target, sizeof a->target) && codes;
    }
    if (!id)
        sim_copy(a->bad, sizeof a->bad, "9001");
    else if (!line)
        sim_copy(a->bad, sizeof a->bad, "9002");
    else if (!codes)
        sim_copy(a->bad, sizeof a->bad, "9003");
    cJSON_Delete(body);
}

static void note_call(struct kos *k, const struct ask *a, const struct sim_req *req)
{
    struct kos_call *c = &k->calls[k->call_count++ % KOS_CALLS_MAX];

    c->at_ms = sim_wall_ms();
    c->operation = a->operation;
    sim_copy(c->request_id, sizeof c->request_id, a->request_id);
    sim_copy(c->line, sizeof c->line, a->line);
    sim_copy(c->x_request_id, sizeof c->x_request_id, sim_req_header(req, "X-Request-ID"));
    sim_copy(c->x_service_name, sizeof c->x_service_name, sim_req_header(req, "X-Service-Name"));
    sim_copy(c->traceparent, sizeof c->traceparent, sim_req_header(req, "traceparent"));
    sim_copy(c->content_type, sizeof c->content_type, sim_req_header(req, "Content-Type"));
}

/* How the answer says `code`, bent by the fault. */
static struct kos_shape shape_of(const struct ask *a, const char *code, const struct sim_fault *f)
{
    struct kos_shape s = {.code = code,
                          .envelope_code = code,
                          .success = strcmp(code, "0000") == 0,
                          .request_id = a->request_id,
                          .line = a->line,
                          .target = a->target};
    const char *variant = f ? f->variant : "";

    if (!f)
        return s;
    s.null_data = f->kind == SIM_NULL_DATA;
    s.force_data = f->kind == SIM_CONTRADICTION || f->kind == SIM_WRONG_REQUEST_ID;
    if (f->kind == SIM_CONTRADICTION && strcmp(variant, "success") == 0)
        s.success = !s.success;
    else if (f->kind == SIM_CONTRADICTION && strcmp(variant, "envelope") == 0) {
        s.envelope_code = f->result_code[0] ? f->result_code : (s.success ? "2099" : "0000");
        s.success = strcmp(s.envelope_code, "0000") == 0;
    } else if (f->kind == SIM_CONTRADICTION)
        s.code = f->result_code[0] ? f->result_code : (s.success ? "2099" : "0000");
    if (f->kind == SIM_WRONG_REQUEST_ID && strcmp(variant, "lineNumber") == 0)
        s.line = "01000000000";
    else if (f->kind == SIM_WRONG_REQUEST_ID && strcmp(variant, "newProductCode") == 0)
        s.target = "SOMETHING_ELSE";
    else if (f->kind == SIM_WRONG_REQUEST_ID)
        s.request_id = "00000000-0000-7000-8000-000000000000";
    return s;
}

/* Answers that do not depend on the operation: faults that replace it, KOS's own validation. */
static bool answered_before(struct ask *a, const struct sim_fault *f, bool apply, struct sim_answer *out)
{
    if (!apply) {
        kos_answer_failure(a->kos, out, f->kind == SIM_HTTP_STATUS ? 500 : 200,
                           f->result_code[0] ? f->result_code : SYSTEM_ERROR);
        return true;
    }
    if (a->bad[0]) {
        kos_answer_failure(a->kos, out, a->wrong_type ? 415 : 400, a->bad);
        return true;
    }
    return false;
}

/* With phase "after" the operation took place and its answer is replaced. */
static void replace_answer(struct ask *a, const struct sim_fault *f, struct sim_answer *out)
{
    if (f && (f->kind == SIM_RESULT_CODE || f->kind == SIM_HTTP_STATUS))
        kos_answer_failure(a->kos, out, f->kind == SIM_HTTP_STATUS ? 500 : 200,
                           f->result_code[0] ? f->result_code : SYSTEM_ERROR);
}

static const char *inquiry_code(struct kos *k, const struct kos_customer *c)
{
    if (!c)
        return "3001";
    if (c->inquiry_result[0])
        return c->inquiry_result;
    if (c->status[0] && strcmp(c->status, "ACTIVE") != 0 && !c->answers_inactive)
        return "3002";
    if (!c->over && (!c->product || !sim_map_get(&k->products, c->product)))
        return "3003";
    return "0000";
}

static void inquiry_effect(void *app, void *data, const struct sim_fault *f, bool apply,
                           struct sim_answer *out)
{
    struct kos *k = app;
    struct ask *a = data;
    const struct kos_customer *c;
    struct kos_shape s;

    if (answered_before(a, f, apply, out))
        return;
    c = sim_map_get(&k->customers, a->line);
    s = shape_of(a, inquiry_code(k, c), f);
    kos_answer_inquiry(k, out, &s, c);
    replace_answer(a, f, out);
}

static void list_effect(void *app, void *data, const struct sim_fault *f, bool apply, struct sim_answer *out)
{
    struct ask *a = data;
    struct kos_shape s = shape_of(a, "0000", f);

    if (answered_before(a, f, apply, out))
        return;
    kos_answer_list(app, out, &s);
    replace_answer(a, f, out);
}

/* The mock in use looks at the line and at the target product, never at currentProductCode. */
static const char *change_code(struct kos *k, const struct kos_customer *c, const struct ask *a)
{
    const struct kos_product *p = sim_map_get(&k->products, a->target);

    if (!c)
        return "2001";
    if (c->order_result[0])
        return c->order_result;
    if (c->status[0] && strcmp(c->status, "ACTIVE") != 0)
        return "2002";
    if (!p)
        return "2003";
    if (!p->active)
        return "2004";
    if (p->operator_code && c->operator_code && strcmp(p->operator_code, c->operator_code) != 0)
        return "2005";
    return "0000";
}

static void change_effect(void *app, void *data, const struct sim_fault *f, bool apply,
                          struct sim_answer *out)
{
    struct kos *k = app;
    struct ask *a = data;
    struct kos_customer *c;
    const struct kos_order *first, *o;
    struct kos_order order = {0};
    struct kos_shape s;

    if (answered_before(a, f, apply, out))
        return;
    c = sim_map_get(&k->customers, a->line);
    first = k->settings.deduplicate ? kos_first_order(k, a->request_id) : NULL;
    order.at_ms = sim_wall_ms();
    order.duplicate = first != NULL;
    order.target = first ? first->target : kos_intern(k, a->target);
    order.previous = first ? first->previous : (c ? c->product : NULL);
    sim_copy(order.line, sizeof order.line, a->line);
    sim_copy(order.result, sizeof order.result, first ? first->result : change_code(k, c, a));
    order.applied = !first && strcmp(order.result, "0000") == 0;
    o = kos_add_order(k, &order, a->request_id);
    if (!o) {
        kos_answer_failure(k, out, 200, FULL_ERROR);
        return;
    }
    s = shape_of(a, o->result, f);
    if (first && s.target == a->target)
        s.target = first->target;
    kos_answer_change(k, out, &s, first ? first : o);
    replace_answer(a, f, out);
}

static void run(struct kos *k, struct sim_req *req, enum kos_operation operation, sim_effect_fn effect)
{
    struct ask *a = sim_alloc(sizeof *a);

    a->kos = k;
    a->operation = operation;
    if (operation != KOS_LIST)
        read_body(a, req);
    sim_req_count(req, &k->stats[operation]);
    note_call(k, a, req);
    sim_exchange_start(&k->faults, req, kos_operation_names[operation], a->line, effect, k, a, free);
}

void kos_inquiry(void *app, struct sim_req *req)
{
    run(app, req, KOS_INQUIRY, inquiry_effect);
}

void kos_list(void *app, struct sim_req *req)
{
    run(app, req, KOS_LIST, list_effect);
}

void kos_change(void *app, struct sim_req *req)
{
    run(app, req, KOS_CHANGE, change_effect);
}
