/* validation.c - POST /request/validation (UFR-PROD-030): the pre-check alone; nothing ordered, nothing
 * recorded. */
#include "api/common.h"

#include "pcs/core/clock.h"

#include <string.h>

struct validation {
    struct http_request *rq;
    struct change_body body;
    struct store_load *customer_load, *catalogue_load;
    bool line_busy, answered;
    int64_t age_s; /* of the older stale part, -1: none is stale */
    enum store_answer answer;
    struct customer customer; /* texts in the request's arena */
    struct catalogue *catalogue;
};

/* NULL: nothing fails. */
static const char *failure_reason(const struct validation *v, const struct precheck *checks,
                                  struct buf *scratch)
{
    const struct http_request *rq = v->rq;
    const struct http_problem *p = NULL;
    if (v->line_busy) {
        p = &problem_change_in_progress;
    } else if (strcmp(v->body.current, v->body.target) == 0) {
        p = &problem_same_product;
    } else if (v->answer == STORE_NO_PRODUCT) {
        p = &problem_product_unknown;
    } else if (v->answer == STORE_OK && strcmp(v->customer.product.code, v->body.current) != 0) {
        p = &problem_product_mismatch;
    }
    if (p) {
        return say(rq, p->ko, p->en);
    }
    if (precheck_passed(checks)) {
        return NULL;
    }
    precheck_failure_text(scratch, checks, rq->english);
    if (!buf_ok(scratch) || !scratch->data) { /* no memory for all of it: the first that fails */
        enum check first = precheck_first_failure(checks);
        return check_text(first, checks->reason[first], rq->english);
    }
    return scratch->data;
}

static void validation_answer(struct validation *v)
{
    struct http_request *rq = v->rq;
    const char *default_operator = kos_settings(api_of(rq)->kos)->default_operator;
    const struct product *target = catalogue_find(v->catalogue, v->body.target);
    const struct customer *customer = v->answer == STORE_UNKNOWN_LINE ? NULL : &v->customer;
    struct precheck checks = precheck_run(target, customer, default_operator);
    struct buf b, scratch;
    buf_init(&scratch, 2048);
    const char *reason = failure_reason(v, &checks, &scratch);
    data_open(rq, &b);
    buf_json_str(&b, "validationResult", reason ? "FAILURE" : "SUCCESS");
    precheck_json(&b, "validationDetails", &checks, rq->english);
    buf_json_str(&b, "failureReason", reason);
    data_send(rq, &b, 200, v->age_s);
    buf_free(&scratch);
}

static void part_done(struct validation *v)
{
    if (!v->answered && !v->customer_load && !v->catalogue_load) {
        v->answered = true;
        validation_answer(v);
    }
}

static void give_up(struct validation *v)
{
    v->answered = true;
    if (v->customer_load) {
        store_cancel(v->customer_load);
    }
    if (v->catalogue_load) {
        store_cancel(v->catalogue_load);
    }
    v->customer_load = v->catalogue_load = NULL;
}

static void note_age(struct validation *v, bool stale, int64_t age_s)
{
    if (stale && age_s > v->age_s) {
        v->age_s = age_s;
    }
}

static const char *keep(struct validation *v, const char *text)
{
    return text ? arena_strdup(&v->rq->arena, text) : NULL;
}

static void on_customer(void *arg, const struct store_customer *c)
{
    struct validation *v = arg;
    v->customer_load = NULL;
    if (v->answered) {
        return;
    }
    if (c->answer == STORE_UNAVAILABLE) {
        give_up(v);
        fail_unavailable(v->rq, &problem_kos_unavailable, c->retry_after_ns, c->reason);
        return;
    }
    v->answer = c->answer;
    v->customer = c->customer;
    v->customer.operator_code = keep(v, c->customer.operator_code);
    v->customer.product.code = keep(v, c->customer.product.code ? c->customer.product.code : "");
    if (!v->customer.product.code || !v->customer.operator_code != !c->customer.operator_code) {
        give_up(v); /* an operator that is lost would be taken for an unknown one, which matches any */
        fail_plain(v->rq, &http_problem_internal_error, "no memory");
        return;
    }
    if (c->answer == STORE_NOT_ACTIVE && v->customer.status == LINE_ACTIVE) {
        v->customer.status = LINE_SUSPENDED;
    }
    note_age(v, c->stale, c->age_s);
    part_done(v);
}

static void release_catalogue(void *catalogue)
{
    catalogue_unref(catalogue);
}

static void on_catalogue(void *arg, const struct store_catalogue *c)
{
    struct validation *v = arg;
    v->catalogue_load = NULL;
    if (v->answered) {
        return;
    }
    if (c->answer != STORE_OK) {
        give_up(v);
        fail_unavailable(v->rq, &problem_kos_unavailable, c->retry_after_ns, c->reason);
        return;
    }
    if (!arena_on_free(&v->rq->arena, release_catalogue, c->catalogue)) {
        give_up(v);
        fail_plain(v->rq, &http_problem_internal_error, "no memory");
        return;
    }
    c->catalogue->refs++;
    v->catalogue = c->catalogue;
    note_age(v, c->stale, c->age_s);
    part_done(v);
}

static void start_loads(struct validation *v)
{
    struct api *api = api_of(v->rq);
    struct kos_caller caller = kos_caller_of(v->rq);
    uint64_t deadline = v->rq->started_ns + (uint64_t)api->config->read_deadline_ms * NS_PER_MS;
    v->customer_load =
        store_customer(api->store, v->body.line, STORE_SCREEN, &caller, deadline, on_customer, v);
    v->catalogue_load =
        v->customer_load ? store_catalogue(api->store, &caller, deadline, on_catalogue, v) : NULL;
    if (!v->catalogue_load) {
        give_up(v);
        fail_plain(v->rq, &http_problem_internal_error, "no memory");
    }
}

/* The journal always answers, so it is asked first and alone: nothing is left under way behind an answer. */
static void on_line(void *arg, bool busy)
{
    struct validation *v = arg;
    v->line_busy = busy;
    start_loads(v);
}

void handle_validation(struct http_request *rq)
{
    struct validation *v = arena_zalloc(&rq->arena, sizeof *v);
    if (!v) {
        fail_plain(rq, &http_problem_internal_error, "no memory");
        return;
    }
    v->rq = rq;
    v->age_s = -1;
    if (!body_read(rq, &v->body)) {
        return;
    }
    rq->log_line = v->body.line;
    if (!identity_owns(caller_of(rq), v->body.line)) {
        fail_plain(rq, &problem_forbidden, "somebody else's line");
        return;
    }
    if (!change_line_busy(api_of(rq)->changes, v->body.line, on_line, v)) {
        fail_unavailable(rq, &http_problem_service_unavailable, 0, "journal queue full");
    }
}
