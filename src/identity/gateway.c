/* gateway.c - an identity that a trusted gateway tells in headers (issue 5, point 1). The caller has made sure that the
 * connection is such a gateway's; here the headers are held to the same rules as a token's claims. */
#include "identity/verifier.h"

#include "pcs/core/buf.h"

#include <stdlib.h>
#include <string.h>

#define VALUE_MAX  512 /* bytes of one header */
#define CLAIMS_MAX 8192
#define DIGITS_MAX 15
#define FRESH_S    60 /* without X-Token-Expires-At: it is asked for anew with every request anyway */

/* One value, not a list of them: two that were joined on the way are nobody's. Visible ASCII: what a header can hold
 * beyond doubt. */
static bool single(const char *value)
{
    size_t len = 0;
    for (; value && value[len]; len++)
        if (value[len] < ' ' || value[len] > '~' || value[len] == ',' || len == VALUE_MAX)
            return false;
    return true;
}

static bool seconds(const char *text, int64_t *out)
{
    size_t len = strlen(text);
    if (len == 0 || len > DIGITS_MAX || strspn(text, "0123456789") != len) {
        return false;
    }
    *out = strtoll(text, NULL, 10);
    return true;
}

static enum fault read_headers(const struct identity_verifier *v, const struct identity_headers *h,
                               int64_t now, struct held **held)
{
    struct claim_rules rules = *verifier_rules(v);
    int64_t expires_at = now + FRESH_S;
    struct buf claims;
    enum fault fault = FAULT_NO_MEMORY;

    if (!single(h->user_id) || !single(h->user_role) || !single(h->customer_id) || !single(h->line_number) ||
        !single(h->permissions) || (h->expires_at && !seconds(h->expires_at, &expires_at)))
        return FAULT_GATEWAY;
    rules.issuer = rules.audience = ""; /* of tokens: the gateway has seen to it */
    buf_init(&claims, CLAIMS_MAX);
    buf_lit(&claims, "{");
    buf_json_str(&claims, "sub", h->user_id);
    buf_json_str(&claims, "role", h->user_role);
    buf_json_str(&claims, "customerId", h->customer_id);
    buf_json_str(&claims, "lineNumber", h->line_number);
    buf_json_str(&claims, "permissions", h->permissions);
    buf_json_int(&claims, "exp", expires_at);
    buf_lit(&claims, "}");
    if (buf_ok(&claims))
        fault = claims_read(&rules, claims.data, claims.len, now, held, &expires_at);
    buf_free(&claims);
    return fault;
}

enum identity_result identity_from_gateway(struct identity_memory *m, const struct identity_headers *h,
                                           int64_t now_unix_s, const struct identity **out,
                                           const char **reason)
{
    struct held *held = NULL;
    enum fault fault =
        h->user_id && *h->user_id ? read_headers(memory_verifier(m), h, now_unix_s, &held) : FAULT_MISSING;

    metric_add(&identity_verifications, fault_outcome(fault), 1);
    if (fault == FAULT_NONE)
        *out = &held->identity;
    *reason = fault_reason(fault);
    return fault_result(fault);
}

bool identity_agrees(const struct identity *id, const char *user_id)
{
    return !user_id || !*user_id || strcmp(id->subject, user_id) == 0;
}
