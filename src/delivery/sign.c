/* sign.c - Standard Webhooks signatures on libcrypto's EVP_MAC, keyed once. */
#include "delivery/sign.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX     "whsec_"
#define DIGEST_LEN 32

struct signer {
    EVP_MAC_CTX *mac; /* keyed; each use initialises it again without a key, which keeps the key */
    size_t key_len;
};

static bool base64_alphabet(const char *text, size_t len)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < len; i++) {
        if (!strchr(alphabet, text[i])) {
            return false;
        }
    }
    return true;
}

/* libcrypto's decoder wants whole groups, skips white space and takes '=' anywhere, so the text is checked
 * first and padded here. Returns malloc'd memory, NULL when it is no base64 or without memory. */
static unsigned char *base64_decode(const char *text, size_t *len)
{
    size_t n = strlen(text), given = 0;
    while (n > 0 && given < 2 && text[n - 1] == '=') {
        n--;
        given++;
    }
    size_t pad = (4 - n % 4) % 4;
    if (n == 0 || pad == 3 || (given && given != pad) || !base64_alphabet(text, n)) {
        return NULL;
    }
    char *whole = malloc(n + pad + 1);
    unsigned char *out = malloc((n + pad) / 4 * 3 + 1);
    int got = -1;
    if (whole && out) {
        memcpy(whole, text, n);
        memcpy(whole + n, "==", pad);
        got = EVP_DecodeBlock(out, (const unsigned char *)whole, (int)(n + pad));
        OPENSSL_cleanse(whole, n);
    }
    free(whole);
    if (got < 0) {
        free(out);
        return NULL;
    }
    *len = (size_t)got - pad;
    return out;
}

/* malloc'd, to be cleansed by the caller. */
static unsigned char *read_key(const char *secret, size_t *len, char *err, size_t errlen)
{
    unsigned char *key;
    if (strncmp(secret, PREFIX, sizeof PREFIX - 1) == 0) {
        key = base64_decode(secret + sizeof PREFIX - 1, len);
        if (!key) {
            snprintf(err, errlen,
                     "mvno.webhook_secret (MVNO_WEBHOOK_SECRET): what follows " PREFIX " must be base64");
        }
        return key;
    }
    *len = strlen(secret);
    key = *len ? (unsigned char *)strdup(secret) : NULL;
    if (!key) {
        snprintf(err, errlen, "mvno.webhook_secret (MVNO_WEBHOOK_SECRET): %s",
                 *len ? "no memory" : "must not be empty");
    }
    return key;
}

bool signer_secret_ok(const char *secret, size_t *key_len, char *err, size_t errlen)
{
    unsigned char *key = read_key(secret, key_len, err, errlen);
    if (!key) {
        return false;
    }
    OPENSSL_cleanse(key, *key_len);
    free(key);
    return true;
}

static EVP_MAC_CTX *keyed_mac(const unsigned char *key, size_t len)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                           OSSL_PARAM_construct_end()};
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *mac = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
    EVP_MAC_free(hmac); /* the context holds its own reference */
    if (mac && !EVP_MAC_init(mac, key, len, params)) {
        EVP_MAC_CTX_free(mac);
        mac = NULL;
    }
    return mac;
}

struct signer *signer_new(const char *secret, char *err, size_t errlen)
{
    size_t len = 0;
    unsigned char *key = read_key(secret, &len, err, errlen);
    if (!key) {
        return NULL;
    }
    struct signer *s = calloc(1, sizeof *s);
    if (s) {
        s->key_len = len;
        s->mac = keyed_mac(key, len);
    }
    OPENSSL_cleanse(key, len);
    free(key);
    if (!s || !s->mac) {
        snprintf(err, errlen, "mvno.webhook_secret: HMAC-SHA256 is not available or there is no memory");
        signer_free(s);
        return NULL;
    }
    return s;
}

void signer_free(struct signer *s)
{
    if (s) {
        EVP_MAC_CTX_free(s->mac);
        free(s);
    }
}

size_t signer_key_len(const struct signer *s)
{
    return s->key_len;
}

bool signer_sign(struct signer *s, const char *id, int64_t timestamp, const char *body, size_t body_len,
                 char out[SIGNATURE_LEN + 1])
{
    unsigned char digest[DIGEST_LEN];
    size_t len = 0;
    char stamp[32];
    int n = snprintf(stamp, sizeof stamp, ".%lld.", (long long)timestamp);
    if (!EVP_MAC_init(s->mac, NULL, 0, NULL) ||
        !EVP_MAC_update(s->mac, (const unsigned char *)id, strlen(id)) ||
        !EVP_MAC_update(s->mac, (const unsigned char *)stamp, (size_t)n) ||
        !EVP_MAC_update(s->mac, (const unsigned char *)body, body_len) ||
        !EVP_MAC_final(s->mac, digest, &len, sizeof digest) || len != sizeof digest) {
        return false;
    }
    memcpy(out, "v1,", 3);
    EVP_EncodeBlock((unsigned char *)out + 3, digest, (int)len);
    return true;
}
