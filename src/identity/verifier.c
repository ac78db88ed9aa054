/* The verifier, and the settings that it is made from. */
#include "identity/verifier.h"

#include "identity/jwt.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct identity_verifier {
    atomic_uint refs;
    struct claim_rules rules;
    char *issuer, *audience; /* what rules points to */
    struct key_set keys;
};

/* ---- settings ---- */

#define SETTING(n, t, member, def, ...)                                                                      \
    {                                                                                                        \
        .name = (n), .type = (t), .offset = offsetof(struct identity_config, member), .default_text = (def), \
        __VA_ARGS__                                                                                          \
    }

static const struct config_setting settings[] = {
    SETTING("jwt.secret", CONFIG_TEXT, secret, "", .reloadable = true, .secret = true,
            .help = "Key of HS256, HS384 and HS512 tokens, used as the bytes it is; at least 32 bytes"),
    SETTING("jwt.previous_secret", CONFIG_TEXT, previous_secret, "", .reloadable = true, .secret = true,
            .help = "The secret before jwt.secret, still accepted while issuers change over"),
    SETTING("jwt.public_key_file", CONFIG_TEXT, public_key_file, "", .reloadable = true,
            .help = "PEM file with public keys of the issuer: RSA verifies RS256, EC P-256 verifies ES256"),
    SETTING("jwt.jwks_file", CONFIG_TEXT, jwks_file, "", .reloadable = true,
            .help = "JWK set of the issuer (RFC 7517); read again on SIGHUP"),
    SETTING(
        "jwt.algorithms", CONFIG_LIST, algorithms, "", .reloadable = true,
        .help =
            "Algorithms accepted, of HS256, HS384, HS512, RS256, ES256; empty: HS256, HS384 and HS512 with "
            "jwt.secret, a public key's own otherwise"),
    SETTING("jwt.issuer", CONFIG_TEXT, issuer, "", .reloadable = true,
            .help = "What iss must be; empty: not checked"),
    SETTING("jwt.audience", CONFIG_TEXT, audience, "", .reloadable = true,
            .help = "What aud must be or contain; empty: not checked"),
    SETTING("auth.require_permission", CONFIG_BOOL, require_permission, "false", .reloadable = true,
            .help = "Refuse tokens without a permissions claim (with one, PRODUCT_CHANGE is always needed)"),
    SETTING("auth.leeway", CONFIG_DURATION, leeway_ms, "30s", .min = "0s", .max = "5m", .reloadable = true,
            .help = "How far the issuer's clock may be ahead (nbf, iat)"),
    SETTING("auth.memory", CONFIG_INT, memory, "65536", .min = "0", .max = "1048576",
            .help = "Verified tokens remembered per reactor; 0: verify on every request"),
};

#define HMAC_ALGS (1u << ALG_HS256 | 1u << ALG_HS384 | 1u << ALG_HS512)

static bool check_secret(const char *setting, const char *secret, char *err, size_t errlen)
{
    if (!*secret)
        return true;
    if (strlen(secret) < IDENTITY_SECRET_MIN) {
        snprintf(err, errlen, "%s has %zu bytes, at least %d are needed", setting, strlen(secret),
                 IDENTITY_SECRET_MIN);
        return false;
    }
    /* A public key as an HMAC secret would let everybody sign. */
    if (strncmp(secret, "-----BEGIN ", 11) == 0) {
        snprintf(err, errlen,
                 "%s holds a PEM key; name its file in jwt.public_key_file (JWT_PUBLIC_KEY_FILE)", setting);
        return false;
    }
    return true;
}

static bool check_algorithms(const struct identity_config *c, char *err, size_t errlen)
{
    unsigned allowed = 0;

    for (size_t i = 0; i < c->algorithms.count; i++) {
        enum jwt_alg alg = jwt_alg_parse(c->algorithms.items[i]);
        if (alg == ALG_COUNT) {
            snprintf(err, errlen,
                     "jwt.algorithms (JWT_ALGORITHMS): '%s' is none of HS256, HS384, HS512, RS256, ES256",
                     c->algorithms.items[i]);
            return false;
        }
        allowed |= 1u << alg;
    }
    if (allowed == 0)
        return true;
    if (!(allowed & HMAC_ALGS) != !*c->secret) {
        snprintf(err, errlen, "jwt.algorithms (JWT_ALGORITHMS) and jwt.secret (JWT_SECRET) do not fit: %s",
                 *c->secret ? "a secret is set but no HS algorithm is accepted"
                            : "an HS algorithm is accepted but no secret is set");
        return false;
    }
    if ((allowed & ~HMAC_ALGS) && !*c->public_key_file && !*c->jwks_file) {
        snprintf(err, errlen,
                 "jwt.algorithms (JWT_ALGORITHMS) accepts RS256 or ES256, but neither "
                 "jwt.public_key_file (JWT_PUBLIC_KEY_FILE) nor jwt.jwks_file (JWT_JWKS_FILE) is set");
        return false;
    }
    return true;
}

static bool config_check(const void *values, char *err, size_t errlen)
{
    const struct identity_config *c = values;

    if (!*c->secret && !*c->public_key_file && !*c->jwks_file) {
        snprintf(err, errlen,
                 "no key to verify tokens with: set jwt.secret (JWT_SECRET), jwt.public_key_file "
                 "(JWT_PUBLIC_KEY_FILE) or jwt.jwks_file (JWT_JWKS_FILE)");
        return false;
    }
    if (*c->previous_secret && !*c->secret) {
        snprintf(err, errlen,
                 "jwt.previous_secret (JWT_PREVIOUS_SECRET) is set without jwt.secret (JWT_SECRET)");
        return false;
    }
    return check_secret("jwt.secret (JWT_SECRET)", c->secret, err, errlen) &&
           check_secret("jwt.previous_secret (JWT_PREVIOUS_SECRET)", c->previous_secret, err, errlen) &&
           check_algorithms(c, err, errlen);
}

const struct config_section identity_config_section = {
    .module = "identity",
    .settings = settings,
    .count = sizeof settings / sizeof *settings,
    .struct_size = sizeof(struct identity_config),
    .check = config_check,
};

/* ---- the verifier ---- */

struct identity_verifier *identity_verifier_new(const struct identity_config *config, char *err,
                                                size_t errlen)
{
    struct identity_verifier *v;

    if (!config_check(config, err, errlen))
        return NULL;
    v = calloc(1, sizeof *v);
    if (!v) {
        snprintf(err, errlen, "no memory");
        return NULL;
    }
    atomic_init(&v->refs, 1);
    v->issuer = strdup(config->issuer);
    v->audience = strdup(config->audience);
    v->rules = (struct claim_rules){.issuer = v->issuer,
                                    .audience = v->audience,
                                    .require_permission = config->require_permission,
                                    .leeway_s = config->leeway_ms / 1000};
    if (!v->issuer || !v->audience)
        snprintf(err, errlen, "no memory");
    else if (key_set_load(&v->keys, config, err, errlen))
        return v;
    identity_verifier_unref(v);
    return NULL;
}

struct identity_verifier *identity_verifier_ref(struct identity_verifier *v)
{
    atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
    return v;
}

void identity_verifier_unref(struct identity_verifier *v)
{
    if (!v || atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) != 1)
        return;
    key_set_free(&v->keys);
    free(v->issuer);
    free(v->audience);
    free(v);
}

enum fault verifier_check(const struct identity_verifier *v, const char *token, size_t len,
                          int64_t now_unix_s, struct held **out, int64_t *expires_at)
{
    unsigned char payload[JWT_PAYLOAD_MAX];
    size_t payload_len;
    enum fault fault = jwt_verify(&v->keys, token, len, payload, &payload_len);

    if (fault != FAULT_NONE)
        return fault;
    return claims_read(&v->rules, (const char *)payload, payload_len, now_unix_s, out, expires_at);
}

const struct claim_rules *verifier_rules(const struct identity_verifier *v)
{
    return &v->rules;
}
