/* token.h - makes tokens, good and bad ones, for the identity tests. Everything returned is malloc'd. */
#ifndef TESTS_IDENTITY_TOKEN_H
#define TESTS_IDENTITY_TOKEN_H

#include "pcs/identity/identity.h"

#include <check.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECRET "0123456789abcdef0123456789abcdef0123456789abcdef"
#define NOW    INT64_C(1800000000)

/* printf into memory of its own */
__attribute__((format(printf, 1, 2), unused)) static char *text_of(const char *format, ...)
{
    char *out = NULL;
    va_list args;

    va_start(args, format);
    ck_assert_int_ge(vasprintf(&out, format, args), 0);
    va_end(args);
    return out;
}

static inline char *b64url(const void *data, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const unsigned char *p = data;
    char *out = malloc(len / 3 * 4 + 5);
    size_t n = 0;
    uint32_t bits = 0;
    unsigned held = 0;

    for (size_t i = 0; i < len; i++) {
        bits = bits << 8 | p[i];
        for (held += 8; held >= 6; held -= 6)
            out[n++] = digits[bits >> (held - 6) & 63];
    }
    if (held)
        out[n++] = digits[bits << (6 - held) & 63];
    out[n] = '\0';
    return out;
}

static inline char *signing_input(const char *header, const char *payload)
{
    char *h = b64url(header, strlen(header)), *p = b64url(payload, strlen(payload)), *out;

    out = text_of("%s.%s", h, p);
    free(h);
    free(p);
    return out;
}

static inline char *with_signature(char *input, const void *signature, size_t len)
{
    char *s = b64url(signature, len), *out;

    out = text_of("%s.%s", input, s);
    free(s);
    free(input);
    return out;
}

/* Signs with HMAC by md, whatever the header says. */
static inline char *hmac_token_by(const EVP_MD *md, const char *secret, size_t secret_len, const char *header,
                                  const char *payload)
{
    char *input = signing_input(header, payload);
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned len;

    HMAC(md, secret, (int)secret_len, (unsigned char *)input, strlen(input), mac, &len);
    return with_signature(input, mac, len);
}

static inline char *hs256_token(const char *payload)
{
    return hmac_token_by(EVP_sha256(), SECRET, strlen(SECRET), "{\"alg\":\"HS256\",\"typ\":\"JWT\"}",
                         payload);
}

/* Signs with SHA-256 and a private key, in the form that JWS wants. */
static inline char *public_token(EVP_PKEY *pkey, const char *header, const char *payload)
{
    char *input = signing_input(header, payload);
    unsigned char signature[1024], raw[64];
    size_t len = sizeof signature;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    ck_assert_int_eq(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, pkey), 1);
    ck_assert_int_eq(EVP_DigestSign(ctx, signature, &len, (unsigned char *)input, strlen(input)), 1);
    EVP_MD_CTX_free(ctx);
    if (EVP_PKEY_is_a(pkey, "EC")) {
        const unsigned char *p = signature;
        ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)len);
        BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, 32);
        BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + 32, 32);
        ECDSA_SIG_free(sig);
        return with_signature(input, raw, sizeof raw);
    }
    return with_signature(input, signature, len);
}

/* The public half as PEM, appended to text. */
static inline void pem_append(char *text, size_t size, EVP_PKEY *pkey)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data;
    long len;
    size_t used = strlen(text);

    PEM_write_bio_PUBKEY(bio, pkey);
    len = BIO_get_mem_data(bio, &data);
    ck_assert_uint_lt(used + (size_t)len, size);
    memcpy(text + used, data, (size_t)len);
    text[used + (size_t)len] = '\0';
    BIO_free(bio);
}

/* A file of its own with that text; path is at least 32 bytes. */
static inline void temp_file(char *path, const char *text)
{
    int fd;

    strcpy(path, "/tmp/pcs-identity-XXXXXX");
    fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static inline struct identity_config config_with_secret(void)
{
    return (struct identity_config){.secret = SECRET,
                                    .previous_secret = "",
                                    .public_key_file = "",
                                    .jwks_file = "",
                                    .issuer = "",
                                    .audience = "",
                                    .leeway_ms = 30000,
                                    .memory = 64};
}

static inline struct identity_verifier *verifier_of(const struct identity_config *c)
{
    char err[512] = "";
    struct identity_verifier *v = identity_verifier_new(c, err, sizeof err);

    ck_assert_msg(v != NULL, "%s", err);
    return v;
}

/* The one assertion helper: authenticates "Bearer <token>" and gives the identity back (NULL unless OK). */
static inline enum identity_result present(struct identity_memory *m, const char *token, int64_t now,
                                           const struct identity **out, const char **reason)
{
    char *header;
    enum identity_result result;

    header = text_of("Bearer %s", token);
    *out = NULL;
    result = identity_authenticate(m, header, strlen(header), now, out, reason);
    ck_assert((result == IDENTITY_OK) == (*out != NULL));
    free(header);
    return result;
}

__attribute__((unused)) static const char good_payload[] =
    "{\"sub\":\"u1\",\"lineNumber\":\"01012345678\",\"exp\":1800000100}";

static inline struct identity_memory *memory_of(const struct identity_config *c)
{
    struct identity_verifier *v = verifier_of(c);
    struct identity_memory *m = identity_memory_new(v, 64);

    identity_verifier_unref(v);
    return m;
}

static inline void assert_result(struct identity_memory *m, const char *token, enum identity_result wanted,
                                 const char *why)
{
    const struct identity *id;
    const char *reason;
    enum identity_result result = present(m, token, NOW, &id, &reason);

    ck_assert_msg(result == wanted, "%.60s...: %d, %s", token, result, reason);
    if (why)
        ck_assert_str_eq(reason, why);
    identity_release(id);
}

static inline int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int failed;

    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
