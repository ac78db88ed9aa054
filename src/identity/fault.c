/* The table behind fault.h, and the module's metrics. */
#include "identity/fault.h"

static const struct {
    enum identity_result result;
    enum token_outcome outcome;
    const char *reason;
} faults[FAULT_COUNT] = {
    [FAULT_NONE] = {IDENTITY_OK, OUTCOME_OK, "ok"},
    [FAULT_MISSING] = {IDENTITY_MISSING, OUTCOME_MISSING, "no Authorization header"},
    [FAULT_SCHEME] = {IDENTITY_INVALID, OUTCOME_MALFORMED, "Authorization is not 'Bearer <token>'"},
    [FAULT_TOO_LONG] = {IDENTITY_INVALID, OUTCOME_MALFORMED, "token over 4 KiB"},
    [FAULT_PARTS] = {IDENTITY_INVALID, OUTCOME_MALFORMED, "token does not have three parts"},
    [FAULT_ENCODING] = {IDENTITY_INVALID, OUTCOME_MALFORMED, "token is not strict base64url"},
    [FAULT_HEADER] = {IDENTITY_INVALID, OUTCOME_MALFORMED, "token header is not strict JSON"},
    [FAULT_CRIT] = {IDENTITY_INVALID, OUTCOME_MALFORMED, "token header has crit"},
    [FAULT_TYP] = {IDENTITY_INVALID, OUTCOME_MALFORMED, "token header's typ is not JWT"},
    [FAULT_KID] = {IDENTITY_INVALID, OUTCOME_MALFORMED, "token header's kid is not text"},
    [FAULT_ALG] = {IDENTITY_INVALID, OUTCOME_SIGNATURE, "token's alg is not a configured one"},
    [FAULT_KEY] = {IDENTITY_INVALID, OUTCOME_SIGNATURE, "no configured key for the token's alg and kid"},
    [FAULT_SIGNATURE] = {IDENTITY_INVALID, OUTCOME_SIGNATURE, "token signature does not fit"},
    [FAULT_PAYLOAD] = {IDENTITY_INVALID, OUTCOME_MALFORMED, "token payload is not strict JSON"},
    [FAULT_EXP] = {IDENTITY_INVALID, OUTCOME_CLAIMS, "exp is missing or no date"},
    [FAULT_EXPIRED] = {IDENTITY_INVALID, OUTCOME_EXPIRED, "token has expired"},
    [FAULT_NBF] = {IDENTITY_INVALID, OUTCOME_CLAIMS, "nbf is in the future or no date"},
    [FAULT_IAT] = {IDENTITY_INVALID, OUTCOME_CLAIMS, "iat is in the future or no date"},
    [FAULT_ISSUER] = {IDENTITY_INVALID, OUTCOME_CLAIMS, "iss is not the configured one"},
    [FAULT_AUDIENCE] = {IDENTITY_INVALID, OUTCOME_CLAIMS, "aud does not name this service"},
    [FAULT_TYPE] = {IDENTITY_INVALID, OUTCOME_CLAIMS, "type is not ACCESS"},
    [FAULT_SUBJECT] = {IDENTITY_INVALID, OUTCOME_CLAIMS, "sub or userId is missing or not usable"},
    [FAULT_CUSTOMER] = {IDENTITY_INVALID, OUTCOME_CLAIMS, "customerId is not usable"},
    [FAULT_LINES] = {IDENTITY_INVALID, OUTCOME_CLAIMS, "lineNumber or lineNumbers is not usable"},
    [FAULT_PERMISSIONS] = {IDENTITY_INVALID, OUTCOME_CLAIMS,
                           "permissions is neither an array of texts nor text"},
    [FAULT_NO_PERMISSION] = {IDENTITY_FORBIDDEN, OUTCOME_FORBIDDEN, "token lacks PRODUCT_CHANGE"},
    [FAULT_NO_LINE] = {IDENTITY_FORBIDDEN, OUTCOME_FORBIDDEN, "token has no line"},
    [FAULT_GATEWAY] = {IDENTITY_INVALID, OUTCOME_MALFORMED, "the gateway's identity headers are not usable"},
    [FAULT_NO_MEMORY] = {IDENTITY_ERROR, OUTCOME_ERROR, "no memory"},
};

enum identity_result fault_result(enum fault f)
{
    return faults[f].result;
}

enum token_outcome fault_outcome(enum fault f)
{
    return faults[f].outcome;
}

const char *fault_reason(enum fault f)
{
    return faults[f].reason;
}

struct metric_family identity_verifications = {
    .name = "pcs_token_verifications_total",
    .help = "Authorization headers judged without the token memory, by result.",
    .type = METRIC_COUNTER,
    .labels = (const char *const[]){"result=\"ok\"", "result=\"missing\"", "result=\"malformed\"",
                                    "result=\"signature\"", "result=\"expired\"", "result=\"claims\"",
                                    "result=\"forbidden\"", "result=\"error\"", NULL},
};

struct metric_family identity_memory_uses = {
    .name = "pcs_token_memory_total",
    .help = "Look-ups of verified tokens in the reactors' memory, by result.",
    .type = METRIC_COUNTER,
    .labels = (const char *const[]){"result=\"hit\"", "result=\"miss\"", NULL},
};

struct metric_family *const identity_metrics[] = {&identity_verifications, &identity_memory_uses};
const size_t identity_metrics_count = sizeof identity_metrics / sizeof *identity_metrics;
