/* verifier.h - keys and rules together: what one token is worth. */
#ifndef IDENTITY_VERIFIER_H
#define IDENTITY_VERIFIER_H

#include "identity/claims.h"

/* FAULT_NONE: *out is a new identity with one reference. *expires_at is written with FAULT_NONE and with
 * every fault of result IDENTITY_FORBIDDEN. Any thread. */
enum fault verifier_check(const struct identity_verifier *v, const char *token, size_t len,
                          int64_t now_unix_s, struct held **out, int64_t *expires_at);

/* The rules for claims; live as long as v. */
const struct claim_rules *verifier_rules(const struct identity_verifier *v);
/* memory.c: the verifier in force. */
const struct identity_verifier *memory_verifier(const struct identity_memory *m);

#endif
