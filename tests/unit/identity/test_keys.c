/* Which key may verify what, and where keys come from (contract, "Identity"; issue "Let no one in", 1): the
 * secret, the public key file, the JWK set. */
#include "unit/identity/token.h"

#include "identity/base64url.h"

#include <sys/stat.h>

/* ---- algorithms belong to keys ---- */

START_TEST(hmac_algorithms_of_the_secret)
{
    static const char *const only512[] = {"HS512"};
    struct identity_config c = config_with_secret();
    struct identity_memory *m = memory_of(&c), *narrow;
    char *h256 = hs256_token(good_payload);
    char *h384 = hmac_token_by(EVP_sha384(), SECRET, strlen(SECRET), "{\"alg\":\"HS384\"}", good_payload);
    char *h512 = hmac_token_by(EVP_sha512(), SECRET, strlen(SECRET), "{\"alg\":\"HS512\"}", good_payload);

    c.algorithms = (struct config_list){.items = only512, .count = 1};
    narrow = memory_of(&c);
    assert_result(m, h256, IDENTITY_OK, NULL);
    assert_result(m, h384, IDENTITY_OK, NULL);
    assert_result(m, h512, IDENTITY_OK, NULL);
    assert_result(narrow, h256, IDENTITY_INVALID, "token's alg is not a configured one");
    assert_result(narrow, h384, IDENTITY_INVALID, "token's alg is not a configured one");
    assert_result(narrow, h512, IDENTITY_OK, NULL);
    free(h256);
    free(h384);
    free(h512);
    identity_memory_free(m);
    identity_memory_free(narrow);
}
END_TEST

/* libjwt issue 200: HS256 signed with the text of the public key. Also with a secret configured beside it. */
START_TEST(key_confusion_is_refused)
{
    EVP_PKEY *rsa = EVP_RSA_gen(2048), *ec = EVP_EC_gen("P-256");
    struct identity_config c = config_with_secret();
    char pem[2048] = "", path[32], *token;
    struct identity_memory *m, *both;

    pem_append(pem, sizeof pem, rsa);
    temp_file(path, pem);
    c.public_key_file = path;
    both = memory_of(&c);
    c.secret = "";
    m = memory_of(&c);
    unlink(path);

    token = hmac_token_by(EVP_sha256(), pem, strlen(pem), "{\"alg\":\"HS256\"}", good_payload);
    assert_result(m, token, IDENTITY_INVALID, "token's alg is not a configured one");
    assert_result(both, token, IDENTITY_INVALID, "token signature does not fit");
    free(token);
    token = hmac_token_by(EVP_sha256(), pem, strlen(pem), "{\"alg\":\"RS256\"}", good_payload);
    assert_result(m, token, IDENTITY_INVALID, "token signature does not fit");
    free(token);
    token = public_token(rsa, "{\"alg\":\"RS256\"}", good_payload);
    assert_result(m, token, IDENTITY_OK, NULL);
    assert_result(both, token, IDENTITY_OK, NULL);
    free(token);
    token = public_token(rsa, "{\"alg\":\"ES256\"}", good_payload);
    assert_result(m, token, IDENTITY_INVALID, "token's alg is not a configured one");
    free(token);
    token = public_token(ec, "{\"alg\":\"ES256\",\"jwk\":{\"kty\":\"EC\"}}",
                         good_payload); /* the token's own key */
    assert_result(m, token, IDENTITY_INVALID, "token's alg is not a configured one");
    free(token);
    identity_memory_free(m);
    identity_memory_free(both);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ec);
}
END_TEST

/* ES256 with r or s of zero ("psychic signatures"), in DER instead of raw, or of the wrong length. */
START_TEST(es256_signature_forms)
{
    EVP_PKEY *ec = EVP_EC_gen("P-256");
    struct identity_config c = config_with_secret();
    char pem[1024] = "", path[32], *token;
    unsigned char raw[65] = {0};
    size_t raw_len;
    struct identity_memory *m;

    pem_append(pem, sizeof pem, ec);
    temp_file(path, pem);
    c.secret = "";
    c.public_key_file = path;
    m = memory_of(&c);
    unlink(path);
    token = public_token(ec, "{\"alg\":\"ES256\"}", good_payload);
    assert_result(m, token, IDENTITY_OK, NULL);
    free(token);
    for (size_t len = 63; len <= 65; len++) {
        token = with_signature(signing_input("{\"alg\":\"ES256\"}", good_payload), raw, len);
        assert_result(m, token, IDENTITY_INVALID, "token signature does not fit");
        free(token);
    }
    /* The right signature, a byte longer and a byte shorter. */
    token = public_token(ec, "{\"alg\":\"ES256\"}", good_payload);
    ck_assert(base64url_decode(strrchr(token, '.') + 1, 86, raw, sizeof raw, &raw_len));
    free(token);
    for (size_t len = 63; len <= 65; len++) {
        token = with_signature(signing_input("{\"alg\":\"ES256\"}", good_payload), raw, len);
        assert_result(m, token, len == 64 ? IDENTITY_OK : IDENTITY_INVALID, NULL);
        free(token);
    }
    memset(raw, 0xFF, sizeof raw);
    token = with_signature(signing_input("{\"alg\":\"ES256\"}", good_payload), raw, 64);
    assert_result(m, token, IDENTITY_INVALID, "token signature does not fit");
    free(token);
    identity_memory_free(m);
    EVP_PKEY_free(ec);
}
END_TEST

/* ---- key files ---- */

static void jwk_of(EVP_PKEY *ec, const char *kid, char *out, size_t size)
{
    unsigned char point[65];
    size_t len;
    char *x, *y;

    ck_assert_int_eq(EVP_PKEY_get_octet_string_param(ec, "encoded-pub-key", point, sizeof point, &len), 1);
    ck_assert_uint_eq(len, 65);
    x = b64url(point + 1, 32);
    y = b64url(point + 33, 32);
    snprintf(out, size,
             "{\"kty\":\"EC\",\"use\":\"sig\",\"alg\":\"ES256\",\"crv\":\"P-256\",\"kid\":\"%s\",\"x\":\"%"
             "s\",\"y\":\"%s\"}",
             kid, x, y);
    free(x);
    free(y);
}

/* Two keys valid at once, told apart by kid; keys of other kinds in the set are passed over (RFC 7517 5). */
START_TEST(jwks_with_two_keys)
{
    EVP_PKEY *a = EVP_EC_gen("P-256"), *b = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
    struct identity_config c = config_with_secret();
    char jwk_a[512], jwk_b[512], jwks[2048], path[32], *token;
    struct identity_memory *m;

    jwk_of(a, "a", jwk_a, sizeof jwk_a);
    jwk_of(b, "b", jwk_b, sizeof jwk_b);
    snprintf(jwks, sizeof jwks,
             "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"},{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\"},"
             "7,%s,%s,"
             "{\"kty\":\"RSA\",\"use\":\"enc\",\"n\":\"AQ\",\"e\":\"AQAB\"}]}",
             jwk_a, jwk_b);
    temp_file(path, jwks);
    c.secret = "";
    c.jwks_file = path;
    m = memory_of(&c);
    unlink(path);
    const struct {
        EVP_PKEY *key;
        const char *header;
        enum identity_result result;
        const char *why;
    } cases[] = {
        {a, "{\"alg\":\"ES256\",\"kid\":\"a\"}", IDENTITY_OK, "ok"},
        {b, "{\"alg\":\"ES256\",\"kid\":\"b\"}", IDENTITY_OK, "ok"},
        {b, "{\"alg\":\"ES256\"}", IDENTITY_OK, "ok"},
        {a, "{\"alg\":\"ES256\",\"kid\":\"b\"}", IDENTITY_INVALID, "token signature does not fit"},
        {a, "{\"alg\":\"ES256\",\"kid\":\"c\"}", IDENTITY_INVALID,
         "no configured key for the token's alg and kid"},
        {a, "{\"alg\":\"ES256\",\"kid\":\"\"}", IDENTITY_INVALID,
         "no configured key for the token's alg and kid"},
        {other, "{\"alg\":\"ES256\"}", IDENTITY_INVALID, "token signature does not fit"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        token = public_token(cases[i].key, cases[i].header, good_payload);
        assert_result(m, token, cases[i].result, cases[i].why);
        free(token);
    }
    identity_memory_free(m);
    EVP_PKEY_free(a);
    EVP_PKEY_free(b);
    EVP_PKEY_free(other);
}
END_TEST

START_TEST(pem_with_two_keys)
{
    EVP_PKEY *a = EVP_EC_gen("P-256"), *b = EVP_RSA_gen(2048);
    struct identity_config c = config_with_secret();
    char pem[2048] = "", path[32], *token;
    struct identity_memory *m;

    pem_append(pem, sizeof pem, a);
    pem_append(pem, sizeof pem, b);
    temp_file(path, pem);
    c.secret = "";
    c.public_key_file = path;
    m = memory_of(&c);
    unlink(path);
    token = public_token(a, "{\"alg\":\"ES256\"}", good_payload);
    assert_result(m, token, IDENTITY_OK, NULL);
    free(token);
    token = public_token(b, "{\"alg\":\"RS256\",\"kid\":\"x\"}", good_payload);
    assert_result(m, token, IDENTITY_OK, NULL);
    free(token);
    identity_memory_free(m);
    EVP_PKEY_free(a);
    EVP_PKEY_free(b);
}
END_TEST

/* A key file that cannot be used says which setting, which file and why; nothing half-loaded remains. */
START_TEST(bad_key_files_are_named)
{
    EVP_PKEY *small = EVP_RSA_gen(1024), *p384 = EVP_EC_gen("P-384"), *good = EVP_EC_gen("P-256");
    char pem_small[1024] = "", pem_384[1024] = "", pem_good[2048] = "", damaged[2048] = "";
    static const char *const only_rs[] = {"RS256"};
    pem_append(pem_small, sizeof pem_small, small);
    pem_append(pem_384, sizeof pem_384, p384);
    pem_append(pem_good, sizeof pem_good, good);
    snprintf(damaged, sizeof damaged, "%s", pem_good);
    damaged[60] = '!';
    const struct {
        bool jwks;
        const char *text, *why;
        bool rs_only;
    } cases[] = {
        {false, "", "it is empty", false},
        {false, "hello\n", "no PEM block PUBLIC KEY", false},
        {false, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no PEM block PUBLIC KEY",
         false},
        {false, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "private key", false},
        {false, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "cannot be read", false},
        {false, damaged, "damaged", false},
        {false, pem_small, "2048", false},
        {false, pem_384, "P-256", false},
        {false, pem_good, "JWT_ALGORITHMS", true},
        {true, "{\"keys\":[]}", "no key that can be used", false},
        {true, "{\"keys\":{}}", "no array keys", false},
        {true, "[]", "no array keys", false},
        {true, "{\"keys\":[}", "line 1, column 10", false},
        {true, "{\"keys\":[{\"kty\":\"EC\",\"d\":\"AA\"}]}", "private key", false},
        {true, "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}", "no key that can be used",
         false},
        /* a point that is not on the curve */
        {true,
         "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
         "\"y\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"}]}",
         "no key that can be used", false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct identity_config c = config_with_secret();
        char path[32], err[512] = "";

        temp_file(path, cases[i].text);
        c.secret = "";
        *(cases[i].jwks ? &c.jwks_file : &c.public_key_file) = path;
        if (cases[i].rs_only)
            c.algorithms = (struct config_list){.items = only_rs, .count = 1};
        ck_assert_msg(!identity_verifier_new(&c, err, sizeof err), "%s", cases[i].text);
        ck_assert_msg(strstr(err, cases[i].why), "case %zu: %s", i, err);
        ck_assert_msg(strstr(err, cases[i].jwks ? "JWT_JWKS_FILE" : "JWT_PUBLIC_KEY_FILE"), "%s", err);
        ck_assert_msg(strstr(err, path), "%s", err);
        unlink(path);
        ck_assert(!identity_verifier_new(&c, err, sizeof err));
        ck_assert_msg(strstr(err, "No such file"), "%s", err);
    }
    EVP_PKEY_free(small);
    EVP_PKEY_free(p384);
    EVP_PKEY_free(good);
}
END_TEST

/* Neither the start nor a reload is held up by a file that never ends or never begins (issue 5, point 1). */
START_TEST(what_is_no_regular_file_is_refused_at_once)
{
    struct identity_config c = {.public_key_file = "",
                                .jwks_file = "",
                                .secret = "",
                                .previous_secret = "",
                                .issuer = "",
                                .audience = ""};
    char fifo[] = "/tmp/pcs-keys-fifo-XXXXXX";
    const char *const files[] = {fifo, "/dev/zero", "/"};
    char err[512];

    ck_assert(mkdtemp(fifo) && rmdir(fifo) == 0 && mkfifo(fifo, 0600) == 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        for (int jwks = 0; jwks < 2; jwks++) {
            *(jwks ? &c.jwks_file : &c.public_key_file) = files[i];
            ck_assert(!identity_verifier_new(&c, err, sizeof err));
            ck_assert_msg(strstr(err, "is not a regular file"), "%s", err);
            *(jwks ? &c.jwks_file : &c.public_key_file) = "";
        }
    }
    unlink(fifo);
}
END_TEST

/* The secret before the present one stays good while issuers change over. */
START_TEST(two_secrets_at_once)
{
    static const char older[] = "an older secret of more than 32 bytes....";
    struct identity_config c = config_with_secret();
    struct identity_memory *m = memory_of(&c), *both;
    char *token = hmac_token_by(EVP_sha512(), older, strlen(older), "{\"alg\":\"HS512\"}", good_payload);
    char *fresh = hs256_token(good_payload);

    c.previous_secret = older;
    both = memory_of(&c);
    assert_result(m, token, IDENTITY_INVALID, "token signature does not fit");
    assert_result(both, token, IDENTITY_OK, NULL);
    assert_result(both, fresh, IDENTITY_OK, NULL);
    free(token);
    free(fresh);
    identity_memory_free(m);
    identity_memory_free(both);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("keys");
    TCase *tc = tcase_create("keys");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, hmac_algorithms_of_the_secret);
    tcase_add_test(tc, key_confusion_is_refused);
    tcase_add_test(tc, es256_signature_forms);
    tcase_add_test(tc, jwks_with_two_keys);
    tcase_add_test(tc, pem_with_two_keys);
    tcase_add_test(tc, bad_key_files_are_named);
    tcase_add_test(tc, two_secrets_at_once);
    tcase_add_test(tc, what_is_no_regular_file_is_refused_at_once);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
