/* Key set: built from JWT_SECRET, JWT_PUBLIC_KEY_FILE and JWT_JWKS_FILE, and the check of a signature. */
#include "identity/keys.h"

#include "pcs/core/buf.h"
#include "pcs/core/config.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#define KEY_FILE_MAX (256 * 1024)
#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX (SIGNATURE_MAX * 8)

static const struct {
    const char *name;
    const char *digest;
} algs[ALG_COUNT] = {
    [ALG_HS256] = {"HS256", "SHA256"}, [ALG_HS384] = {"HS384", "SHA384"}, [ALG_HS512] = {"HS512", "SHA512"},
    [ALG_RS256] = {"RS256", "SHA256"}, [ALG_ES256] = {"ES256", "SHA256"},
};

enum jwt_alg jwt_alg_parse(const char *name)
{
    for (enum jwt_alg a = 0; a < ALG_COUNT; a++)
        if (strcmp(algs[a].name, name) == 0)
            return a;
    return ALG_COUNT;
}

bool jwt_alg_is_hmac(enum jwt_alg alg)
{
    return alg <= ALG_HS512;
}

static bool set_allows(const struct key_set *set, enum jwt_alg alg)
{
    return set->allowed == 0 || (set->allowed & (1u << alg)) != 0;
}

/* ---- secrets ---- */

static EVP_MAC_CTX *hmac_ready(const char *secret, enum jwt_alg alg)
{
    char digest[16];
    OSSL_PARAM params[2];
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;

    EVP_MAC_free(mac);
    snprintf(digest, sizeof digest, "%s", algs[alg].digest);
    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0);
    params[1] = OSSL_PARAM_construct_end();
    if (ctx && EVP_MAC_init(ctx, (const unsigned char *)secret, strlen(secret), params) != 1) {
        EVP_MAC_CTX_free(ctx);
        ctx = NULL;
    }
    return ctx;
}

/* JWT_SECRET is used as the bytes it is (contract), one key for the three HMAC algorithms. */
static bool add_secret(struct key_set *set, const char *secret)
{
    struct jwt_key *key = &set->keys[set->count++]; /* secrets come first: there is room */

    for (enum jwt_alg a = ALG_HS256; a <= ALG_HS512; a++) {
        if (!set_allows(set, a))
            continue;
        key->mac[a] = hmac_ready(secret, a);
        if (!key->mac[a])
            return false;
        key->algs |= 1u << a;
    }
    return true;
}

/* ---- public keys ---- */

static bool is_p256(EVP_PKEY *pkey)
{
    char group[32];
    size_t len;

    return EVP_PKEY_is_a(pkey, "EC") && EVP_PKEY_get_group_name(pkey, group, sizeof group, &len) == 1 &&
           strcmp(group, "prime256v1") == 0;
}

/* The one algorithm of a public key, ALG_COUNT with a reason when we take none of its kind. */
static enum jwt_alg public_key_alg(EVP_PKEY *pkey, const char **why)
{
    int bits = EVP_PKEY_get_bits(pkey);
    EVP_PKEY_CTX *ctx;
    enum jwt_alg alg;
    bool sound;

    if (EVP_PKEY_is_a(pkey, "RSA")) {
        alg = ALG_RS256;
        *why = "an RSA key must have 2048 to 8192 bits";
        if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)
            return ALG_COUNT;
    } else {
        alg = ALG_ES256;
        *why = "only RSA and EC P-256 keys are supported";
        if (!is_p256(pkey))
            return ALG_COUNT;
    }
    *why = "the key is not sound";
    ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    sound = ctx && EVP_PKEY_public_check(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);
    return sound ? alg : ALG_COUNT;
}

bool key_set_add_public(struct key_set *set, EVP_PKEY *pkey, const char *kid, const char **why)
{
    struct jwt_key *key = &set->keys[set->count];
    enum jwt_alg alg = public_key_alg(pkey, why);

    ERR_clear_error();
    if (alg != ALG_COUNT && !set_allows(set, alg)) {
        *why = "its algorithm is not among jwt.algorithms (JWT_ALGORITHMS)";
        alg = ALG_COUNT;
    } else if (alg != ALG_COUNT && set->count == KEYS_MAX) {
        *why = "there are more than 16 keys";
        alg = ALG_COUNT;
    } else if (alg != ALG_COUNT && strlen(kid) > KID_MAX) {
        *why = "its kid is longer than 128 bytes";
        alg = ALG_COUNT;
    }
    if (alg == ALG_COUNT) {
        EVP_PKEY_free(pkey);
        return false;
    }
    *key = (struct jwt_key){.algs = 1u << alg, .pkey = pkey};
    snprintf(key->kid, sizeof key->kid, "%s", kid);
    set->count++;
    return true;
}

/* One PEM block; NULL when it is fine, else why not. Blocks of other kinds are passed over. */
static const char *add_pem_block(struct key_set *set, const char *name, const unsigned char *der, long len,
                                 size_t *added)
{
    const char *why = NULL;
    EVP_PKEY *pkey;

    if (strstr(name, "PRIVATE KEY"))
        return "it holds a private key, which does not belong here";
    if (strcmp(name, "PUBLIC KEY") != 0)
        return NULL;
    pkey = d2i_PUBKEY(NULL, &der, len);
    if (!pkey)
        return "a key in it cannot be read";
    if (!key_set_add_public(set, pkey, "", &why))
        return why;
    (*added)++;
    return NULL;
}

static bool add_pem(struct key_set *set, const char *text, size_t len, size_t *added, char *err,
                    size_t errlen)
{
    BIO *bio = BIO_new_mem_buf(text, (int)len);
    const char *why = bio ? NULL : "no memory";

    *added = 0;
    while (!why) {
        char *name, *header;
        unsigned char *der;
        long der_len;

        ERR_clear_error();
        if (PEM_read_bio(bio, &name, &header, &der, &der_len) != 1) {
            if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
                why = "it is damaged";
            break;
        }
        why = add_pem_block(set, name, der, der_len, added);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_free(der);
    }
    ERR_clear_error();
    BIO_free(bio);
    if (!why && *added == 0)
        why = "it has no PEM block PUBLIC KEY";
    if (why)
        snprintf(err, errlen, "%s", why);
    return !why;
}

/* ---- files ---- */

/* One of the two files, named by its setting in every error. */
static bool load_file(struct key_set *set, const char *setting, const char *path, bool jwks, char *err,
                      size_t errlen)
{
    struct buf text;
    char why[256] = "no memory";
    size_t added = 0;
    bool ok;

    buf_init(&text, KEY_FILE_MAX + 8192);
    ok = config_read_file(path, KEY_FILE_MAX, &text, why, sizeof why);
    if (ok && text.len == 0) {
        snprintf(why, sizeof why, "it is empty");
        ok = false;
    } else if (ok) {
        ok = jwks ? jwks_load(set, text.data, text.len, &added, why, sizeof why)
                  : add_pem(set, text.data, text.len, &added, why, sizeof why);
    }
    if (ok && added == 0) {
        snprintf(why, sizeof why, "it has no key that can be used");
        ok = false;
    }
    buf_free(&text);
    if (!ok)
        snprintf(err, errlen, "%s: cannot use %s: %s", setting, path, why);
    return ok;
}

/* ---- public ---- */

bool key_set_load(struct key_set *set, const struct identity_config *config, char *err, size_t errlen)
{
    for (size_t i = 0; i < config->algorithms.count; i++)
        set->allowed |= 1u << jwt_alg_parse(config->algorithms.items[i]);
    if ((*config->secret && !add_secret(set, config->secret)) ||
        (*config->previous_secret && !add_secret(set, config->previous_secret))) {
        snprintf(err, errlen, "jwt.secret (JWT_SECRET): the key cannot be set up");
        return false;
    }
    if (*config->public_key_file && !load_file(set, "jwt.public_key_file (JWT_PUBLIC_KEY_FILE)",
                                               config->public_key_file, false, err, errlen))
        return false;
    return !*config->jwks_file ||
           load_file(set, "jwt.jwks_file (JWT_JWKS_FILE)", config->jwks_file, true, err, errlen);
}

void key_set_free(struct key_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        for (enum jwt_alg a = ALG_HS256; a <= ALG_HS512; a++)
            EVP_MAC_CTX_free(set->keys[i].mac[a]);
        EVP_PKEY_free(set->keys[i].pkey);
    }
    *set = (struct key_set){0};
}

/* ---- verification ---- */

static enum key_verdict verify_hmac(const EVP_MAC_CTX *ready, const char *input, size_t input_len,
                                    const unsigned char *signature, size_t signature_len)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    size_t mac_len = 0;
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_dup(ready);
    bool done = ctx && EVP_MAC_update(ctx, (const unsigned char *)input, input_len) == 1 &&
                EVP_MAC_final(ctx, mac, &mac_len, sizeof mac) == 1;

    EVP_MAC_CTX_free(ctx);
    if (!done)
        return KEY_NO_MEMORY;
    return signature_len == mac_len && CRYPTO_memcmp(mac, signature, mac_len) == 0 ? KEY_ACCEPTS
                                                                                   : KEY_REFUSES;
}

/* JWS carries ECDSA's r and s as 32 bytes each (RFC 7518 3.4), OpenSSL wants them in DER. -1: no memory. */
static int ecdsa_to_der(const unsigned char *raw, unsigned char out[80])
{
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw, 32, NULL), *s = BN_bin2bn(raw + 32, 32, NULL);
    int len = -1;

    if (sig && r && s && ECDSA_SIG_set0(sig, r, s) == 1) {
        r = s = NULL;
        len = i2d_ECDSA_SIG(sig, &out);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(sig);
    return len > 0 ? len : -1;
}

static enum key_verdict verify_public(const struct jwt_key *key, enum jwt_alg alg, const char *input,
                                      size_t input_len, const unsigned char *signature, size_t signature_len)
{
    unsigned char der[80]; /* 2 + 2 * (2 + 33) at the most */
    EVP_MD_CTX *ctx;
    int accepted = -1;

    if (alg == ALG_ES256) {
        int der_len;
        if (signature_len != 64)
            return KEY_REFUSES;
        der_len = ecdsa_to_der(signature, der);
        if (der_len < 0)
            return KEY_NO_MEMORY;
        signature = der;
        signature_len = (size_t)der_len;
    }
    ctx = EVP_MD_CTX_new();
    if (!ctx)
        return KEY_NO_MEMORY;
    if (EVP_DigestVerifyInit_ex(ctx, NULL, algs[alg].digest, NULL, NULL, key->pkey, NULL) == 1)
        accepted = EVP_DigestVerify(ctx, signature, signature_len, (const unsigned char *)input, input_len);
    EVP_MD_CTX_free(ctx);
    ERR_clear_error(); /* the thread's TLS connections look at the same queue */
    return accepted == 1 ? KEY_ACCEPTS : KEY_REFUSES;
}

enum key_verdict jwt_key_verify(const struct jwt_key *key, enum jwt_alg alg, const char *input,
                                size_t input_len, const unsigned char *signature, size_t signature_len)
{
    if ((key->algs & (1u << alg)) == 0)
        return KEY_REFUSES;
    return jwt_alg_is_hmac(alg) ? verify_hmac(key->mac[alg], input, input_len, signature, signature_len)
                                : verify_public(key, alg, input, input_len, signature, signature_len);
}
