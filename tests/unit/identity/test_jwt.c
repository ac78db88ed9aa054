/* The token's form, its signature and the configured keys (contract, "Identity"; issue "Let no one in", 1):
 * the RFCs' own examples, and the attacks that libraries have fallen for. */
#include "unit/identity/token.h"

#include "identity/jwt.h"

static const char good_payload[] = "{\"sub\":\"u1\",\"lineNumber\":\"01012345678\",\"exp\":1800000100}";

/* ---- strict base64url ---- */

START_TEST(base64url_has_one_spelling)
{
    static const struct {
        const char *text, *bytes; /* NULL: refused */
    } cases[] = {
        {"", ""},        {"Zg", "f"},           {"Zm8", "fo"},
        {"Zm9v", "foo"}, {"Zm9vYg", "foob"},    {"-_-_", "\xfb\xff\xbf"},
        {"Zg==", NULL},  {"Zm8=", NULL},        {"Zh", NULL /* bits */},
        {"Zm9", NULL},   {"Z", NULL},           {"Zm9vY", NULL},
        {"Zm 9v", NULL}, {"Zm9v\n", NULL},      {"+/+/", NULL},
        {"Zm9v!", NULL}, {"Zm\xc3\xa9v", NULL}, {"Zm.v", NULL},
    };
    unsigned char out[16];
    size_t len;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool ok = base64url_decode(cases[i].text, strlen(cases[i].text), out, sizeof out, &len);
        ck_assert_msg(ok == (cases[i].bytes != NULL), "'%s'", cases[i].text);
        if (ok) {
            ck_assert_uint_eq(len, strlen(cases[i].bytes));
            ck_assert_mem_eq(out, cases[i].bytes, len);
        }
    }
    ck_assert(!base64url_decode("Zm9vYmFy", 8, out, 5, &len)); /* too small */
    ck_assert(!base64url_decode("Zg\0A", 4, out, sizeof out, &len));
}
END_TEST

/* ---- RFC 7515 appendix A ---- */

#define RFC_PAYLOAD                                                                                          \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
#define RFC_A1                                                                                               \
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." RFC_PAYLOAD ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
#define RFC_A1_KEY "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
#define RFC_A2                                                                                               \
    "eyJhbGciOiJSUzI1NiJ9." RFC_PAYLOAD                                                                      \
    ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"                 \
    "O8W2Fp5jujGbds9uJdbF9CUAr7t"                                                                            \
    "1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_"              \
    "eSN9383LcOLn6_dO--xi12j"                                                                                \
    "zDwusC-"                                                                                                \
    "eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_"       \
    "IoypGlUPQ"                                                                                              \
    "Ge77Rw"
#define RFC_A2_JWK                                                                                           \
    "{\"kty\":\"RSA\",\"kid\":\"rsa\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_"                            \
    "wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrc"                                                             \
    "S2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-"               \
    "bSf63kpaSHSXndS5z5rexMdb"                                                                               \
    "BYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-"          \
    "DWNmoudF8NAco9_h9ia"                                                                                    \
    "GNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\",\"e\":\"AQAB\"}"
#define RFC_A3                                                                                               \
    "eyJhbGciOiJFUzI1NiJ9." RFC_PAYLOAD                                                                      \
    ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
#define RFC_A3_JWK                                                                                           \
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","               \
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}"

static void assert_rfc_token(const struct key_set *set, const char *token)
{
    static const char payload[] =
        "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";
    unsigned char out[JWT_PAYLOAD_MAX];
    char copy[2048];
    size_t len = 0;

    ck_assert_int_eq(jwt_verify(set, token, strlen(token), out, &len), FAULT_NONE);
    ck_assert_uint_eq(len, sizeof payload - 1);
    ck_assert_mem_eq(out, payload, len);
    /* Any other letter in the payload's place breaks it. */
    strcpy(copy, token);
    char *at = strchr(copy, '.') + 5;
    *at = *at == 'A' ? 'B' : 'A';
    ck_assert_int_eq(jwt_verify(set, copy, strlen(copy), out, &len), FAULT_SIGNATURE);
}

START_TEST(rfc7515_a1_hs256)
{
    unsigned char secret[65] = {0};
    struct identity_config c = config_with_secret();
    struct key_set set = {0};
    size_t len;
    char err[256];

    ck_assert(base64url_decode(RFC_A1_KEY, strlen(RFC_A1_KEY), secret, 64, &len));
    c.secret = (const char *)secret;
    ck_assert(key_set_load(&set, &c, err, sizeof err));
    assert_rfc_token(&set, RFC_A1);
    key_set_free(&set);
}
END_TEST

START_TEST(rfc7515_a2_rs256_and_a3_es256)
{
    struct key_set set = {0};
    static const char jwks[] = "{\"keys\":[" RFC_A2_JWK "," RFC_A3_JWK "]}";
    size_t added;
    char err[256];

    ck_assert(jwks_load(&set, jwks, strlen(jwks), &added, err, sizeof err));
    ck_assert_uint_eq(added, 2);
    assert_rfc_token(&set, RFC_A2);
    assert_rfc_token(&set, RFC_A3);
    key_set_free(&set);
}
END_TEST

/* ---- a table of headers, each properly signed ---- */

START_TEST(header_table)
{
    static const struct {
        const char *header;
        enum fault fault;
    } cases[] = {
        {"{\"alg\":\"HS256\"}", FAULT_NONE}, /* "A header without typ is fine" */
        {"{\"alg\":\"HS256\",\"typ\":\"JWT\"}", FAULT_NONE},
        {"{\"alg\":\"HS256\",\"typ\":\"jwt\"}", FAULT_NONE},
        {"{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}", FAULT_NONE},
        {"{\"alg\":\"HS256\",\"typ\":\"application/at+JWT\"}", FAULT_NONE},
        {"{\"alg\":\"HS256\",\"kid\":\"any\",\"x-other\":[1]}", FAULT_NONE},
        {" {\"typ\":\"JWT\",\r\n \"alg\":\"HS256\"} ", FAULT_NONE},
        {"{\"alg\":\"HS256\",\"typ\":\"logout+jwt\"}", FAULT_TYP},
        {"{\"alg\":\"HS256\",\"typ\":7}", FAULT_TYP},
        {"{\"alg\":\"HS256\",\"kid\":7}", FAULT_KID},
        {"{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", FAULT_CRIT},
        {"{\"alg\":\"HS256\",\"crit\":[]}", FAULT_CRIT},
        {"{\"alg\":\"HS256\",\"crit\":null}", FAULT_CRIT},
        {"{\"alg\":\"HS256\",\"b64\":false,\"crit\":[\"b64\"]}", FAULT_CRIT},
        {"{\"alg\":\"none\"}", FAULT_ALG},
        {"{\"alg\":\"None\"}", FAULT_ALG},
        {"{\"alg\":\"hs256\"}", FAULT_ALG},
        {"{\"alg\":\"HS256 \"}", FAULT_ALG},
        {"{\"alg\":\"\"}", FAULT_ALG},
        {"{\"alg\":\"RS256\"}", FAULT_ALG},
        {"{\"alg\":\"ES256\"}", FAULT_ALG},
        {"{\"alg\":\"HS512\"}", FAULT_SIGNATURE}, /* signed by HS256 */
        {"{\"alg\":null}", FAULT_HEADER},
        {"{\"alg\":[\"HS256\"]}", FAULT_HEADER},
        {"{\"ALG\":\"HS256\"}", FAULT_HEADER},
        {"{}", FAULT_HEADER},
        {"[]", FAULT_HEADER},
        {"\"HS256\"", FAULT_HEADER},
        {"null", FAULT_HEADER},
        {"{\"alg\":\"HS256\"}x", FAULT_HEADER},
        {"{\"alg\":\"HS256\",\"alg\":\"HS256\"}", FAULT_HEADER},
        {"{\"alg\":\"none\",\"\\u0061lg\":\"HS256\"}", FAULT_HEADER},
        {"{\"alg\":\"HS256\\u0000\"}", FAULT_HEADER},
        {"{\"alg\":\"HS256\",\"x\":\"\xff\"}", FAULT_HEADER},
        {"{\"alg\":\"HS256\",}", FAULT_HEADER},
        {"\xef\xbb\xbf{\"alg\":\"HS256\"}", FAULT_HEADER},
    };
    struct identity_config c = config_with_secret();
    struct key_set set = {0};
    unsigned char out[JWT_PAYLOAD_MAX];
    char err[256];
    size_t len;

    ck_assert(key_set_load(&set, &c, err, sizeof err));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *token = hmac_token_by(EVP_sha256(), SECRET, strlen(SECRET), cases[i].header, good_payload);
        enum fault fault = jwt_verify(&set, token, strlen(token), out, &len);
        ck_assert_msg(fault == cases[i].fault, "%s: %s", cases[i].header, fault_reason(fault));
        free(token);
    }
    key_set_free(&set);
}
END_TEST

/* ---- attacks on the whole token ---- */

static struct identity_memory *memory_of(const struct identity_config *c)
{
    struct identity_verifier *v = verifier_of(c);
    struct identity_memory *m = identity_memory_new(v, 64);

    identity_verifier_unref(v);
    return m;
}

static void assert_result(struct identity_memory *m, const char *token, enum identity_result wanted,
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

START_TEST(every_changed_letter_is_refused)
{
    struct identity_config c = config_with_secret();
    struct identity_memory *m = memory_of(&c);
    char *token = hs256_token(good_payload);

    assert_result(m, token, IDENTITY_OK, "ok");
    for (size_t i = 0; token[i]; i++) {
        static const char others[] = {'A', 'z', '.', '=', ' ', '\n', '!', '+', '/', (char)0xC3};
        char was = token[i];
        for (size_t k = 0; k < sizeof others; k++) {
            if (others[k] == was)
                continue;
            token[i] = others[k];
            assert_result(m, token, IDENTITY_INVALID, NULL);
        }
        token[i] = was;
    }
    assert_result(m, token, IDENTITY_OK, "ok");
    ck_assert_uint_eq(identity_memory_count(m), 1);
    free(token);
    identity_memory_free(m);
}
END_TEST

/* PITFALLS.md 6: libjwt accepted a trailing "!" and "====". The last letter of a 32-byte signature carries
 * two unused bits, so it has four spellings of which one is right. */
START_TEST(malleable_forms_are_refused)
{
    static const char *const tails[] = {"!",  "=", "==", "====", "A", "AAAA", ".",
                                        "..", " ", "\t", "\n",   ",", "%00"};
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    struct identity_config c = config_with_secret();
    struct identity_memory *m = memory_of(&c);
    char *token = hs256_token(good_payload), *other;
    size_t last = strlen(token) - 1;
    const char *digit = strchr(digits, token[last]);

    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        other = text_of("%s%s", token, tails[i]);
        assert_result(m, other, IDENTITY_INVALID, NULL);
        free(other);
    }
    for (int bits = 1; bits < 4; bits++) {
        token[last] = digits[(digit - digits) | bits];
        assert_result(m, token, IDENTITY_INVALID, "token is not strict base64url");
    }
    free(token);
    identity_memory_free(m);
}
END_TEST

START_TEST(parts_that_are_missing_or_too_many)
{
    struct identity_config c = config_with_secret();
    struct identity_memory *m = memory_of(&c);
    char *token = hs256_token(good_payload), *input = signing_input("{\"alg\":\"HS256\"}", good_payload);
    char *none = signing_input("{\"alg\":\"none\"}", good_payload), *text;
    const char *why = "token does not have three parts";

    assert_result(m, input, IDENTITY_INVALID, why);
    assert_result(m, "..", IDENTITY_INVALID, why);
    assert_result(m, ".", IDENTITY_INVALID, why);
    assert_result(m, "a", IDENTITY_INVALID, why);
    assert_result(m, "a..c", IDENTITY_INVALID, why);
    assert_result(m, "....", IDENTITY_INVALID, why);
    text = text_of("%s.", input); /* signature stripped */
    assert_result(m, text, IDENTITY_INVALID, why);
    free(text);
    text = text_of("%s.", none); /* RFC 7519 6.1, unsecured */
    assert_result(m, text, IDENTITY_INVALID, why);
    free(text);
    text = text_of("%s.AAAA", none);
    assert_result(m, text, IDENTITY_INVALID, "token's alg is not a configured one");
    free(text);
    text = text_of("%s.AAAA", token); /* four parts */
    assert_result(m, text, IDENTITY_INVALID, why);
    free(text);
    text = text_of("%s.AAAA.AAAA", token); /* a JWE's five */
    assert_result(m, text, IDENTITY_INVALID, why);
    free(text);
    free(token);
    free(input);
    free(none);
    identity_memory_free(m);
}
END_TEST

START_TEST(replaced_payload_and_short_signature)
{
    struct identity_config c = config_with_secret();
    struct identity_memory *m = memory_of(&c);
    char *token = hs256_token(good_payload);
    char *input = signing_input("{\"alg\":\"HS256\",\"typ\":\"JWT\"}",
                                "{\"sub\":\"u1\",\"role\":\"ADMIN\",\"exp\":1800000100}");
    char *text;

    text = text_of("%s%s", input, strrchr(token, '.'));
    assert_result(m, text, IDENTITY_INVALID, "token signature does not fit");
    free(text);
    token[strlen(token) - 3] = '\0'; /* 30 bytes of the right signature */
    assert_result(m, token, IDENTITY_INVALID, NULL);
    free(token);
    free(input);
    identity_memory_free(m);
}
END_TEST

/* Contract: a token over 4 KiB is 401; one of exactly 4 KiB is judged. */
START_TEST(size_is_bounded)
{
    struct identity_config c = config_with_secret();
    struct identity_memory *m = memory_of(&c);

    for (size_t pad = 2900; pad < 3100; pad++) {
        char *payload, *token;
        payload = text_of("{\"sub\":\"u1\",\"lineNumber\":\"01012345678\",\"exp\":1800000100,\"p\":\"%*s\"}",
                          (int)pad, "");
        token = hs256_token(payload);
        if (strlen(token) <= IDENTITY_TOKEN_MAX)
            assert_result(m, token, IDENTITY_OK, "ok");
        else
            assert_result(m, token, IDENTITY_INVALID, "token over 4 KiB");
        free(token);
        free(payload);
    }
    identity_memory_free(m);
}
END_TEST

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
    Suite *suite = suite_create("jwt");
    TCase *tc = tcase_create("jwt");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, base64url_has_one_spelling);
    tcase_add_test(tc, rfc7515_a1_hs256);
    tcase_add_test(tc, rfc7515_a2_rs256_and_a3_es256);
    tcase_add_test(tc, header_table);
    tcase_add_test(tc, every_changed_letter_is_refused);
    tcase_add_test(tc, malleable_forms_are_refused);
    tcase_add_test(tc, parts_that_are_missing_or_too_many);
    tcase_add_test(tc, replaced_payload_and_short_signature);
    tcase_add_test(tc, size_is_bounded);
    tcase_add_test(tc, hmac_algorithms_of_the_secret);
    tcase_add_test(tc, key_confusion_is_refused);
    tcase_add_test(tc, es256_signature_forms);
    tcase_add_test(tc, jwks_with_two_keys);
    tcase_add_test(tc, pem_with_two_keys);
    tcase_add_test(tc, bad_key_files_are_named);
    tcase_add_test(tc, two_secrets_at_once);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
