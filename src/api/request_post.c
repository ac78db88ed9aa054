/* request_post.c - POST /request (UFR-PROD-030, UFR-PROD-040, SCR-007): asks for a change and tells what came
 * of it. */
#include "api/common.h"

#include "pcs/core/clock.h"

#include <stdio.h>
#include <string.h>

#define KEY_LENGTH_MAX 255

struct posting {
    struct http_request *rq;
    struct change *change;
    bool async;
};

/* An error about a change: its id and path are told once it is recorded. */
static void fail_change(struct posting *p, const struct http_problem *problem, const struct change_answer *a,
                        struct http_error_extra *extra)
{
    if (a->record && a->recorded && a->record->request_id) {
        extra->request_id = arena_strdup(&p->rq->arena, a->record->request_id);
        extra->location = location_of(p->rq, a->record->request_id);
        p->rq->log_change = extra->request_id;
    }
    extra->replayed = a->replayed;
    extra->reason = a->reason ? arena_strdup(&p->rq->arena, a->reason) : NULL;
    http_fail(p->rq, problem, extra);
}

static char *next_actions(struct posting *p, const struct change_record *record)
{
    struct result_view view = view_of(p->rq);
    struct buf b;
    buf_init(&b, 8192);
    result_next_actions(&b, NULL, record, &view);
    char *json = buf_ok(&b) ? arena_strndup(&p->rq->arena, b.data, b.len) : NULL;
    buf_free(&b);
    return json;
}

/* The one that runs, once it is recorded: how to follow it. */
static void fail_in_progress(struct posting *p, const struct change_answer *a)
{
    struct http_error_extra extra = {0};
    if (a->record && a->recorded && a->record->request_id) {
        extra.next_actions_json = next_actions(p, a->record);
    }
    fail_change(p, &problem_change_in_progress, a, &extra);
}

static void fail_invalid(struct posting *p, const struct change_answer *a)
{
    struct http_request *rq = p->rq;
    struct http_error_extra extra = {0};
    struct precheck checks;
    char reason[512];
    struct buf b;
    const struct precheck *shown = a->checks;
    if (!shown && a->record->check_codes && precheck_decode(a->record->check_codes, &checks)) {
        shown = &checks;
    }
    buf_init(&b, 8192);
    if (shown) {
        precheck_json(&b, NULL, shown, rq->english);
        extra.checks_json = buf_ok(&b) ? b.data : NULL;
    }
    extra.details = result_failure_reason(a->record, rq->english, reason, sizeof reason);
    extra.next_actions_json = next_actions(p, a->record);
    fail_change(p, &problem_validation_failed, a, &extra);
    buf_free(&b);
}

/* KOS refused: 409 on core; the existing frontend shows its failure screen only for 200 (CONTRACT.md 1). */
static void answer_denied(struct posting *p, const struct change_answer *a)
{
    struct http_request *rq = p->rq;
    char reason[512];
    if (rq->route->family == HTTP_FRONTEND && !a->replayed) { /* a replay denies only what was a 409 first */
        send_result(rq, 200, a->record, a->replayed, p->async);
        return;
    }
    struct http_error_extra extra = {
        .details = result_failure_reason(a->record, rq->english, reason, sizeof reason),
        .result_code = result_code(a->record),
        .next_actions_json = next_actions(p, a->record),
    };
    fail_change(p, &problem_change_denied, a, &extra);
}

static void on_answer(void *arg, const struct change_answer *a)
{
    struct posting *p = arg;
    struct http_request *rq = p->rq;
    p->change = NULL;
    rq->log_reason = a->reason ? arena_strdup(&rq->arena, a->reason) : NULL;
    switch (a->verdict) {
    case VERDICT_COMPLETED:
        send_result(rq, 200, a->record, a->replayed, p->async);
        return;
    case VERDICT_ACCEPTED:
        send_result(rq, 202, a->record, a->replayed, p->async);
        return;
    case VERDICT_DENIED:
        answer_denied(p, a);
        return;
    case VERDICT_INVALID:
        fail_invalid(p, a);
        return;
    case VERDICT_LINE_NOT_FOUND:
        fail_plain(rq, &problem_line_not_found, rq->log_reason);
        return;
    case VERDICT_NO_PRODUCT:
        fail_plain(rq, &problem_product_unknown, rq->log_reason);
        return;
    case VERDICT_MISMATCH:
        fail_plain(rq, &problem_product_mismatch, rq->log_reason);
        return;
    case VERDICT_SAME_PRODUCT:
        fail_plain(rq, &problem_same_product, rq->log_reason);
        return;
    case VERDICT_IN_PROGRESS:
        fail_in_progress(p, a);
        return;
    case VERDICT_KEY_REUSED:
        fail_plain(rq, &problem_key_reused, rq->log_reason);
        return;
    case VERDICT_KOS_UNAVAILABLE:
        fail_unavailable(rq, &problem_kos_unavailable, a->retry_after_ns, a->reason);
        return;
    case VERDICT_UNAVAILABLE:
        fail_unavailable(rq, &http_problem_service_unavailable, a->retry_after_ns, a->reason);
        return;
    }
}

static void on_gone(struct http_request *rq)
{
    struct posting *p = rq->user;
    if (p->change) {
        change_caller_gone(p->change);
    }
}

/* The Idempotency-Key as a Structured-Field string or bare (CONVENTIONS.md 1). False: answered with 400. */
static bool read_key(struct http_request *rq, const char **key)
{
    const char *text = http_header(rq, "Idempotency-Key");
    size_t len = text ? strlen(text) : 0;
    *key = NULL;
    if (!text) {
        return true;
    }
    bool quoted = len >= 2 && text[0] == '"' && text[len - 1] == '"';
    if (quoted) {
        text++;
        len -= 2;
    }
    if (len == 0 || len > KEY_LENGTH_MAX) {
        fail_field(rq, "Idempotency-Key", "1자 이상 255자 이하여야 합니다", "must be 1 to 255 characters");
        return false;
    }
    *key = arena_strndup(&rq->arena, text, len);
    if (!*key) {
        fail_plain(rq, &http_problem_internal_error, "no memory");
    }
    return *key != NULL;
}

void handle_request_post(struct http_request *rq)
{
    struct api *api = api_of(rq);
    const struct identity *caller = caller_of(rq);
    struct change_body body;
    const char *key;
    if (!read_key(rq, &key) || !body_read(rq, &body)) {
        return;
    }
    rq->log_line = arena_strdup(&rq->arena, body.line);
    if (!identity_owns(caller, body.line)) {
        fail_plain(rq, &problem_forbidden, "somebody else's line");
        return;
    }
    struct posting *p = arena_zalloc(&rq->arena, sizeof *p);
    if (p) {
        p->rq = rq;
        p->async = http_prefers(rq, "respond-async");
        struct change_request request = {
            .subject = caller->subject,
            .customer_id = caller->customer_id,
            .actor = caller->subject,
            .line = body.line,
            .current_code = body.current,
            .target_code = body.target,
            .idempotency_key = key,
            .dates = body.dates,
            .correlation_id = rq->correlation_id,
            .traceparent = rq->traceparent,
            .async = p->async,
            .frontend = rq->route->family == HTTP_FRONTEND,
        };
        rq->user = p;
        if (change_refuse_at_once(api->changes, &request, on_answer, p)) {
            return;
        }
        p->change = change_submit(api->changes, &request, on_answer, p);
    }
    if (!p || !p->change) {
        fail_plain(rq, &http_problem_internal_error, "no memory");
        return;
    }
    http_watch_client(rq, on_gone);
}
