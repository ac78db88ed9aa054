/* sign.h - Standard Webhooks, symmetric: HMAC-SHA256 over "id.timestamp.body" (CONTRACT.md 3).
 *
 * A signer belongs to one thread. */
#ifndef DELIVERY_SIGN_H
#define DELIVERY_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIGN_SECRET_GOOD 24 /* bytes of key; fewer are warned about (CONTRACT.md 6) */
#define SIGNATURE_LEN    47 /* "v1," and 44 characters of base64 */

struct signer;

/* secret: the key as it is, or base64 (padded or not) of the key after "whsec_". NULL with a sentence in err,
 * which never quotes the secret: not base64, an empty key, no memory. */
struct signer *signer_new(const char *secret, char *err, size_t errlen);
void signer_free(struct signer *s); /* NULL is fine */
size_t signer_key_len(const struct signer *s);
/* Writes "v1,<base64>" and a NUL. timestamp: Unix seconds. False: libcrypto failed (no memory). */
__attribute__((warn_unused_result)) bool signer_sign(struct signer *s, const char *id, int64_t timestamp,
                                                     const char *body, size_t body_len,
                                                     char out[SIGNATURE_LEN + 1]);
/* Could signer_new() read this secret? For the check of the configuration; err as above. */
bool signer_secret_ok(const char *secret, size_t *key_len, char *err, size_t errlen);

#endif
