/* The token's form and its signature (contract, "Identity"; issue "Let no one in", 1):
 * the RFCs' own examples, and the attacks that libraries have fallen for. */
#include "unit/identity/token.h"

#include "identity/jwt.h"

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
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
