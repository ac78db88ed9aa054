/* claims.h - what a verified token says about its bearer. Knows nothing of keys. */
#ifndef IDENTITY_CLAIMS_H
#define IDENTITY_CLAIMS_H

#include "identity/fault.h"

struct claim_rules {
    const char *issuer, *audience; /* "": not checked */
    bool require_permission;
    int64_t leeway_s;
};

/* A counted identity; struct identity is what others see of it. */
struct held {
    struct identity identity;
    unsigned refs; /* own reactor only */
};

/* Judges the JSON of a verified token (contract, "Claims"). FAULT_NONE: *out is a new identity with one
 * reference. *expires_at is written with FAULT_NONE and with every fault of result IDENTITY_FORBIDDEN. */
enum fault claims_read(const struct claim_rules *rules, const char *payload, size_t len, int64_t now_unix_s,
                       struct held **out, int64_t *expires_at);

#endif
