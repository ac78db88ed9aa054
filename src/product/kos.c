/* kos.c - what reads and the order have in common: request, headers, account. */
#include "product/kos_internal.h"

#include "pcs/core/log.h"
#include "pcs/core/text.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_ARENA_MAX ((size_t)4 * 1024 * 1024) /* all texts of an answer of KOS_BODY_MAX, several times */
#define BODY_MAX         4096

static const struct {
    const char *method, *path;
    size_t max_answer;
} operations[KOS_OPERATIONS] = {
    [KOS_INQUIRY] = {"POST", "/api/v1/kos/product/inquiry", KOS_BODY_MAX},
    [KOS_LIST] = {"GET", "/api/v1/kos/product/list", KOS_LIST_BODY_MAX},
    [KOS_CHANGE] = {"POST", "/api/v1/kos/product/change", KOS_BODY_MAX},
};

/* "" is none. False: no memory. */
static bool copy_text(char **out, const char *text)
{
    *out = text && *text ? strdup(text) : NULL;
    return *out || !text || !*text;
}

static bool copy_settings(struct kos *k, const struct kos_config *config)
{
    size_t base = strlen(config->base_url);
    while (base && config->base_url[base - 1] == '/') {
        base--;
    }
    for (int op = 0; op < KOS_OPERATIONS; op++) {
        if (asprintf(&k->url[op], "%.*s%s", (int)base, config->base_url, operations[op].path) < 0) {
            k->url[op] = NULL;
            return false;
        }
    }
    if (!copy_text(&k->tls[0], config->ca_file) || !copy_text(&k->tls[1], config->client_cert) ||
        !copy_text(&k->tls[2], config->client_key)) {
        return false;
    }
    k->endpoint =
        (struct call_endpoint){.ca_file = k->tls[0], .client_cert = k->tls[1], .client_key = k->tls[2]};
    return true;
}

struct kos *kos_create(struct reactor *r, struct call_client *client, struct kos_gates *gates,
                       const struct kos_config *config, char *err, size_t errlen)
{
    struct kos *k = calloc(1, sizeof *k);
    if (k) {
        *k = (struct kos){.reactor = r, .client = client, .gates = gates, .config = config};
    }
    if (!k || !copy_settings(k, config)) {
        snprintf(err, errlen, "no memory for the KOS client");
        kos_destroy(k);
        return NULL;
    }
    return k;
}

void kos_destroy(struct kos *k)
{
    if (!k) {
        return;
    }
    while (k->requests) {
        struct kos_request *r = k->requests;
        if (r->op == KOS_CHANGE) {
            kos_order_shutdown(r);
        } else {
            kos_read_shutdown(r);
        }
    }
    for (int op = 0; op < KOS_OPERATIONS; op++) {
        free(k->url[op]);
    }
    for (size_t i = 0; i < sizeof k->tls / sizeof *k->tls; i++) {
        free(k->tls[i]);
    }
    free(k);
}

void kos_reconfigure(struct kos *k, const struct kos_config *config)
{
    k->config = config;
}

const struct kos_config *kos_settings(const struct kos *k)
{
    return k->config;
}

uint64_t kos_breaker_closings(struct kos *kos, enum kos_operation op)
{
    struct breaker_snapshot snapshot;
    breaker_snapshot(kos_gate(kos, op)->breaker, &snapshot);
    return snapshot.transitions[BREAKER_CLOSED];
}

struct gate *kos_gate(struct kos *k, enum kos_operation op)
{
    return &k->gates->gate[op];
}

/* ---- a request ---- */

/* Legal ways: kos_read.c and kos_order.c draw them. */
static const bool ways[KOS_DONE + 1][KOS_DONE + 1] = {
    [KOS_QUEUED] = {[KOS_CALLING] = true, [KOS_DONE] = true},
    [KOS_CALLING] = {[KOS_PAUSING] = true, [KOS_DONE] = true},
    [KOS_PAUSING] = {[KOS_QUEUED] = true, [KOS_DONE] = true},
};

void kos_enter_state(struct kos_request *r, enum kos_state to)
{
    assert(ways[r->state][to]);
    r->state = to;
}

struct kos_request *kos_request_new(struct kos *k, enum kos_operation op, const char *line,
                                    const struct kos_caller *caller, void *arg)
{
    struct kos_request *r = calloc(1, sizeof *r);
    if (!r) {
        return NULL;
    }
    r->kos = k;
    r->op = op;
    r->arg = arg;
    text_copy(r->line, sizeof r->line, line ? line : "");
    text_copy(r->correlation_id, sizeof r->correlation_id, caller->correlation_id);
    text_copy(r->traceparent, sizeof r->traceparent, caller->traceparent ? caller->traceparent : "");
    text_copy(r->body_id, sizeof r->body_id, caller->change_id ? caller->change_id : caller->correlation_id);
    buf_init(&r->body, BODY_MAX);
    arena_init(&r->arena, NULL, 0, ANSWER_ARENA_MAX);
    r->next = k->requests;
    r->link = &k->requests;
    if (r->next) {
        r->next->link = &r->next;
    }
    k->requests = r;
    return r;
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void kos_request_free(struct kos_request *r)
{
    *r->link = r->next;
    if (r->next) {
        r->next->link = r->link;
    }
    arena_free(&r->arena);
    buf_free(&r->body);
    if (r->timer_open) {
        r->timer.data = r;
        uv_close((uv_handle_t *)&r->timer, on_timer_closed);
    } else {
        free(r);
    }
}

bool kos_send(struct kos_request *r, call_done done)
{
    struct kos *k = r->kos;
    char id[REQUEST_ID_MAX + 32], trace[TRACEPARENT_LEN + 32], child[TRACEPARENT_LEN + 1];
    traceparent_child(*r->traceparent ? r->traceparent : NULL, strlen(r->traceparent), child);
    text_join(id, sizeof id, "X-Request-ID: ", r->correlation_id);
    text_join(trace, sizeof trace, "traceparent: ", child);
    const char *const headers[] = {id,
                                   "X-Service-Name: product-change-service",
                                   trace,
                                   "Accept: application/json",
                                   r->op == KOS_LIST ? NULL : "Content-Type: application/json",
                                   NULL};
    struct call_request request = {
        .method = operations[r->op].method,
        .url = k->url[r->op],
        .headers = headers,
        .body = r->op == KOS_LIST ? NULL : r->body.data,
        .body_len = r->body.len,
        .deadline_ns = r->deadline_ns,
        .connect_timeout_ms = (uint32_t)k->config->connect_timeout_ms,
        .max_answer = operations[r->op].max_answer,
        .once = r->op == KOS_CHANGE,
        .endpoint = &k->endpoint,
    };
    r->attempt_ns = clock_mono_ns();
    r->call = call_start(k->client, &request, done, r);
    if (!r->call) {
        return false;
    }
    kos_enter_state(r, KOS_CALLING);
    return true;
}

static bool counts_as_failed(enum kos_outcome outcome)
{
    return outcome != KOS_CALL_OK && outcome != KOS_CALL_NEGATIVE && outcome != KOS_CALL_REFUSED;
}

static void log_call(const struct kos_request *r, const struct kos_call_note *n,
                     const struct call_result *result, const struct kos_verdict *v, uint64_t elapsed)
{
    log_at(v->outcome == KOS_CALL_INVALID ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, "kos.call",
           log_str("operation", kos_operation_names[r->op]), log_str("outcome", n->outcome),
           log_int("attempt", n->attempt), log_int("httpStatus", n->http_status),
           log_str("resultCode", *n->result_code ? n->result_code : NULL),
           log_str("reason", result->reach == CALL_ANSWERED || !result->reason ? v->reason : result->reason),
           log_ms("milliseconds", elapsed), log_str("correlationId", r->correlation_id),
           log_str("requestId", r->op == KOS_CHANGE ? r->body_id : NULL));
}

void kos_account(struct kos_request *r, const struct call_result *result, const struct kos_verdict *v)
{
    struct gate *gate = kos_gate(r->kos, r->op);
    uint64_t elapsed = clock_mono_ns() - r->attempt_ns;
    struct breaker_snapshot breaker;
    breaker_snapshot(gate->breaker, &breaker);
    struct kos_call_note *n =
        &r->notes[r->note_count < KOS_ATTEMPTS_MAX ? r->note_count++ : r->note_count - 1];
    *n = (struct kos_call_note){.operation = r->op,
                                .attempt = (int)r->note_count,
                                .http_status = result->status,
                                .outcome = kos_outcome_names[v->outcome],
                                .breaker_state = breaker_state_name(breaker.state),
                                .milliseconds = (int64_t)(elapsed / NS_PER_MS)};
    n->at = clock_wall_ms() - n->milliseconds;
    text_copy(n->result_code, sizeof n->result_code, v->code);
    if (counts_as_failed(v->outcome)) {
        log_call(r, n, result, v, elapsed);
    }
    kos_count_call(r->op, v->outcome, elapsed);
    gate_leave(r->pass, v->count, elapsed, counts_as_failed(v->outcome) ? v->reason : NULL);
    r->pass = NULL;
    r->call = NULL;
}
