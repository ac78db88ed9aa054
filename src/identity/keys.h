/* keys.h - the configured keys: what each may verify is decided here and never by a token. */
#ifndef IDENTITY_KEYS_H
#define IDENTITY_KEYS_H

#include "pcs/identity/identity.h"

#include <openssl/evp.h>

#define KEYS_MAX      16 /* a token without kid may be tried against each */
#define KID_MAX       128
#define SIGNATURE_MAX 1024 /* bytes: RSA of 8192 bits */

enum jwt_alg { ALG_HS256, ALG_HS384, ALG_HS512, ALG_RS256, ALG_ES256, ALG_COUNT };

/* ALG_COUNT when the name is none of ours ("none" is not). Case-sensitive (RFC 7515 4.1.1). */
enum jwt_alg jwt_alg_parse(const char *name);
bool jwt_alg_is_hmac(enum jwt_alg alg);

struct jwt_key {
    char kid[KID_MAX + 1];           /* "": serves tokens of any kid and of none */
    unsigned algs;                   /* bit per enum jwt_alg */
    EVP_MAC_CTX *mac[ALG_HS512 + 1]; /* keyed and ready to be copied; NULL when not allowed */
    EVP_PKEY *pkey;                  /* RS256 or ES256 */
};

/* Immutable once loaded; verification copies what it changes, so any thread may use it at the same time. */
struct key_set {
    struct jwt_key keys[KEYS_MAX];
    size_t count;
    unsigned allowed; /* algorithms of the configuration, bit per enum jwt_alg; 0: each key's own */
};

/* Fills an empty (zeroed) set from the settings. False: a sentence naming the setting in err; free it all the
 * same. */
bool key_set_load(struct key_set *set, const struct identity_config *config, char *err, size_t errlen);
void key_set_free(struct key_set *set);

/* Adds one public key with its own algorithm (RS256 for RSA of 2048 to 8192 bits, ES256 for P-256) and takes
 * pkey over, also on failure. why: static text on failure. */
bool key_set_add_public(struct key_set *set, EVP_PKEY *pkey, const char *kid, const char **why);

/* jwks.c: adds every usable key of a JWK set (RFC 7517); the others are logged and left out. *added counts.
 */
bool jwks_load(struct key_set *set, const char *text, size_t len, size_t *added, char *err, size_t errlen);

enum key_verdict { KEY_REFUSES, KEY_ACCEPTS, KEY_NO_MEMORY };
/* Whether signature is key's over input by alg, which must be one of key->algs. Any thread. */
enum key_verdict jwt_key_verify(const struct jwt_key *key, enum jwt_alg alg, const char *input,
                                size_t input_len, const unsigned char *signature, size_t signature_len);

#endif
