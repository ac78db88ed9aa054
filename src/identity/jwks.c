/* JWK sets (RFC 7517, RFC 7518 6): RSA and EC P-256 public keys with their kid. */
#include "identity/base64url.h"
#include "identity/keys.h"

#include "pcs/core/json.h"
#include "pcs/core/log.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <stdio.h>
#include <string.h>

static const struct json_limits jwks_limits = {.max_bytes = 256 * 1024, .max_depth = 8, .max_members = 32};

/* A member's base64url bytes; false when it is absent, no text or not strict. */
static bool member_bytes(const cJSON *jwk, const char *name, unsigned char *out, size_t size, size_t *len)
{
    const char *text = json_text(jwk, name);

    return text && base64url_decode(text, strlen(text), out, size, len) && *len > 0;
}

static EVP_PKEY *pkey_from(const char *type, OSSL_PARAM_BLD *build)
{
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *pkey = NULL;

    if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
        pkey = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return pkey;
}

static EVP_PKEY *rsa_key(const cJSON *jwk)
{
    unsigned char n_bytes[SIGNATURE_MAX], e_bytes[8];
    size_t n_len, e_len;
    OSSL_PARAM_BLD *build;
    BIGNUM *n, *e;
    EVP_PKEY *pkey = NULL;

    if (!member_bytes(jwk, "n", n_bytes, sizeof n_bytes, &n_len) ||
        !member_bytes(jwk, "e", e_bytes, sizeof e_bytes, &e_len))
        return NULL;
    build = OSSL_PARAM_BLD_new();
    n = BN_bin2bn(n_bytes, (int)n_len, NULL);
    e = BN_bin2bn(e_bytes, (int)e_len, NULL);
    if (build && n && e && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) == 1)
        pkey = pkey_from("RSA", build);
    OSSL_PARAM_BLD_free(build);
    BN_free(n);
    BN_free(e);
    return pkey;
}

static EVP_PKEY *ec_key(const cJSON *jwk)
{
    unsigned char point[1 + 32 + 32] = {0x04}; /* uncompressed */
    size_t x_len, y_len;
    const char *curve = json_text(jwk, "crv");
    OSSL_PARAM_BLD *build;
    EVP_PKEY *pkey = NULL;

    if (!curve || strcmp(curve, "P-256") != 0 || !member_bytes(jwk, "x", point + 1, 32, &x_len) ||
        x_len != 32 || !member_bytes(jwk, "y", point + 33, 32, &y_len) || y_len != 32)
        return NULL;
    build = OSSL_PARAM_BLD_new();
    if (build && OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point) == 1)
        pkey = pkey_from("EC", build);
    OSSL_PARAM_BLD_free(build);
    return pkey;
}

/* A member that, when present, must be this text. */
static bool absent_or(const cJSON *jwk, const char *name, const char *wanted)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(jwk, name);

    return !item || (cJSON_IsString(item) && strcmp(item->valuestring, wanted) == 0);
}

/* NULL when the key was added, else why not. RFC 7517 5: keys that we do not understand are left out. */
static const char *add_jwk(struct key_set *set, const cJSON *jwk)
{
    const char *kty = json_text(jwk, "kty"), *kid = json_text(jwk, "kid"), *why = NULL;
    bool rsa = kty && strcmp(kty, "RSA") == 0, ec = kty && strcmp(kty, "EC") == 0;
    EVP_PKEY *pkey;

    if (!rsa && !ec)
        return "only kty RSA and EC are supported";
    if (!kid && cJSON_GetObjectItemCaseSensitive(jwk, "kid"))
        return "its kid is not text";
    if (!absent_or(jwk, "use", "sig"))
        return "it is not for signatures";
    if (!absent_or(jwk, "alg", rsa ? "RS256" : "ES256"))
        return "only RS256 and ES256 are supported";
    pkey = rsa ? rsa_key(jwk) : ec_key(jwk);
    ERR_clear_error();
    if (!pkey)
        return "its members do not make a key of a supported kind";
    return key_set_add_public(set, pkey, kid ? kid : "", &why) ? NULL : why;
}

bool jwks_load(struct key_set *set, const char *text, size_t len, size_t *added, char *err, size_t errlen)
{
    struct json_error error;
    cJSON *root = json_parse(text, len, &jwks_limits, &error);
    const cJSON *keys = json_array(root, "keys"), *jwk;
    bool ok = true;

    *added = 0;
    if (!root || !keys) {
        if (root)
            snprintf(err, errlen, "it has no array keys");
        else
            snprintf(err, errlen, "line %u, column %u: %s", error.line, error.column, error.reason);
        cJSON_Delete(root);
        return false;
    }
    cJSON_ArrayForEach(jwk, keys)
    {
        const char *why;
        if (cJSON_GetObjectItemCaseSensitive(jwk, "d")) {
            snprintf(err, errlen, "it holds a private key, which does not belong here");
            ok = false;
            break;
        }
        why = add_jwk(set, jwk);
        if (why)
            log_warn("identity.key_left_out", log_str("kid", json_text(jwk, "kid")), log_str("reason", why));
        else
            (*added)++;
    }
    cJSON_Delete(root);
    return ok;
}
