/* fault.h - every way in which a token is not accepted: one vocabulary for result, log text and metric. */
#ifndef IDENTITY_FAULT_H
#define IDENTITY_FAULT_H

#include "pcs/identity/identity.h"

/* The metric's label sets, in the order of identity_verifications' labels. */
enum token_outcome {
    OUTCOME_OK,
    OUTCOME_MISSING,
    OUTCOME_MALFORMED, /* form, header, encoding */
    OUTCOME_SIGNATURE, /* algorithm, key or signature */
    OUTCOME_EXPIRED,
    OUTCOME_CLAIMS, /* a good signature over claims we refuse */
    OUTCOME_FORBIDDEN,
    OUTCOME_ERROR,
};

enum fault {
    FAULT_NONE,
    FAULT_MISSING,
    FAULT_SCHEME,
    FAULT_TOO_LONG,
    FAULT_PARTS,
    FAULT_ENCODING,
    FAULT_HEADER,
    FAULT_CRIT,
    FAULT_TYP,
    FAULT_KID,
    FAULT_ALG,
    FAULT_KEY,
    FAULT_SIGNATURE,
    FAULT_PAYLOAD,
    FAULT_EXP,
    FAULT_EXPIRED,
    FAULT_NBF,
    FAULT_IAT,
    FAULT_ISSUER,
    FAULT_AUDIENCE,
    FAULT_TYPE,
    FAULT_SUBJECT,
    FAULT_CUSTOMER,
    FAULT_LINES,
    FAULT_PERMISSIONS,
    FAULT_NO_PERMISSION,
    FAULT_NO_LINE,
    FAULT_GATEWAY,
    FAULT_NO_MEMORY,
    FAULT_COUNT,
};

enum identity_result fault_result(enum fault f);
enum token_outcome fault_outcome(enum fault f);
const char *fault_reason(enum fault f);

/* The families; series are the two enums. */
extern struct metric_family identity_verifications, identity_memory_uses;
enum memory_use { MEMORY_HIT, MEMORY_MISS };

#endif
