/* kos_envelope.c - transport and envelope of KOS's answers. */
#include "product/kos_envelope.h"

#include <stdio.h>
#include <string.h>

#define DEPTH_MAX   16
#define MEMBERS_MAX 256

const char *const kos_outcome_names[KOS_CALL_OUTCOMES] = {
    "ok",         "negative",   "refused",       "invalid", "system_error",
    "http_error", "unreadable", "contradictory", "timeout", "not_sent",
    "lost",       "abandoned",  "breaker_open",  "full",    "late",
};

void kos_verdict_set(struct kos_verdict *v, enum kos_outcome outcome, enum breaker_outcome count,
                     const char *reason)
{
    v->outcome = outcome;
    v->count = count;
    v->reason = reason;
}

/* What a call without a whole answer means. First hit wins; retry concerns reads only. */
static const struct {
    enum call_error error;
    enum kos_outcome outcome;
    enum breaker_outcome count;
    bool retry;
    const char *reason;
} transport_rules[] = {
    {CALL_REFUSED, KOS_CALL_NOT_SENT, BREAKER_FAILURE, true, "connection refused"},
    {CALL_CONNECT_TIMEOUT, KOS_CALL_NOT_SENT, BREAKER_FAILURE, true, "connect time-out"},
    {CALL_DNS, KOS_CALL_NOT_SENT, BREAKER_FAILURE, true, "name not resolved"},
    {CALL_TLS, KOS_CALL_NOT_SENT, BREAKER_FAILURE, false, "TLS failure"},
    {CALL_TIMEOUT, KOS_CALL_TIMEOUT, BREAKER_FAILURE, false, "no answer within the deadline"},
    {CALL_RESET, KOS_CALL_LOST, BREAKER_FAILURE, true, "connection lost"},
    {CALL_TOO_LARGE, KOS_CALL_UNREADABLE, BREAKER_FAILURE, false, "answer too large"},
    {CALL_PROTOCOL, KOS_CALL_UNREADABLE, BREAKER_FAILURE, false, "no HTTP answer"},
    {CALL_NO_MEMORY, KOS_CALL_ABANDONED, BREAKER_IGNORED, false, "no memory"},
    {CALL_SHUTDOWN, KOS_CALL_ABANDONED, BREAKER_IGNORED, false, "shutting down"},
};

bool kos_transport_ok(const struct call_result *result, struct kos_verdict *v)
{
    if (result->reach == CALL_ANSWERED) {
        return true;
    }
    kos_verdict_set(v, KOS_CALL_LOST, BREAKER_FAILURE, "no whole answer");
    for (size_t i = 0; i < sizeof transport_rules / sizeof *transport_rules; i++) {
        if (transport_rules[i].error == result->error) {
            kos_verdict_set(v, transport_rules[i].outcome, transport_rules[i].count,
                            transport_rules[i].reason);
            v->retry = transport_rules[i].retry;
            break;
        }
    }
    if (result->reach == CALL_NOT_SENT && v->outcome != KOS_CALL_ABANDONED) {
        v->outcome = KOS_CALL_NOT_SENT;
    } else if (result->reach != CALL_NOT_SENT && v->outcome == KOS_CALL_NOT_SENT) {
        v->outcome = KOS_CALL_LOST; /* e.g. TLS broke in the middle of the answer */
    }
    return false;
}

void kos_envelope_read(struct kos_envelope *e, const char *body, size_t len, size_t max)
{
    const struct json_limits limits = {.max_bytes = max, .max_depth = DEPTH_MAX, .max_members = MEMBERS_MAX};
    struct json_error error;
    *e = (struct kos_envelope){.reason = "no JSON object"};
    e->root = json_parse(body, len, &limits, &error);
    if (!e->root) {
        e->reason = error.reason;
        return;
    }
    if (!cJSON_IsObject(e->root)) {
        cJSON_Delete(e->root);
        e->root = NULL;
        return;
    }
    /* a boolean and nothing else: a word that looks like one is no clear answer to an order */
    e->success_given = json_bool(e->root, "success", &e->success);
    e->code_given = kos_code(e->root, "resultCode", e->code, NULL);
    const cJSON *data = kos_get(e->root, "data");
    e->data_given = data != NULL;
    e->data = cJSON_IsObject(data) ? data : NULL;
    kos_code(e->data, "resultCode", e->data_code, &e->data_code_given);
}

bool kos_code_matches(const char *pattern, const char *code)
{
    for (; *pattern && *code; pattern++, code++) {
        if (*pattern == 'x' ? *code < '0' || *code > '9' : *pattern != *code) {
            return false;
        }
    }
    return *pattern == *code;
}
