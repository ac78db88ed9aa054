/* Signatures: the published vector of Standard Webhooks, an independent HMAC, and bad secrets (CONTRACT.md 3, 6). */
#include "delivery/sign.h"

#include <check.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct signer *open_signer(const char *secret)
{
    char err[256] = "";
    struct signer *s = signer_new(secret, err, sizeof err);
    ck_assert_msg(s != NULL, "%s", err);
    return s;
}

static void sign(const char *secret, const char *id, int64_t at, const char *body,
                 char out[SIGNATURE_LEN + 1])
{
    struct signer *s = open_signer(secret);
    ck_assert(signer_sign(s, id, at, body, strlen(body), out));
    signer_free(s);
}

START_TEST(standard_webhooks_published_vector)
{
    char out[SIGNATURE_LEN + 1];
    sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
         "{\"test\": 2432232314}", out);
    ck_assert_str_eq(out, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}
END_TEST

/* The same by the openssl program, over id.timestamp.body with a raw secret. */
START_TEST(raw_secret_agrees_with_the_openssl_program)
{
    char out[SIGNATURE_LEN + 1], line[128] = "";
    sign("a raw secret, used as the bytes it is", "0192-id", 1700000000, "{\"text\":\"정상\"}", out);
    FILE *p = popen("printf '%s' '0192-id.1700000000.{\"text\":\"정상\"}' | openssl dgst -sha256 -mac HMAC "
                    "-macopt 'key:a raw secret, used as the bytes it is' -binary | openssl base64 -A",
                    "r");
    ck_assert_ptr_nonnull(p);
    ck_assert_ptr_nonnull(fgets(line, sizeof line, p));
    pclose(p);
    ck_assert_str_eq(out + 3, line);
    ck_assert_int_eq(strncmp(out, "v1,", 3), 0);
}
END_TEST

/* One signer, many uses; keys shorter and longer than a block; the body may hold anything. */
START_TEST(every_use_starts_afresh)
{
    char secret[200], out[SIGNATURE_LEN + 1], text[256], wanted[64];
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    for (size_t len = 1; len < sizeof secret; len += 33) {
        memset(secret, 'k', len);
        secret[len] = '\0';
        struct signer *s = open_signer(secret);
        ck_assert_uint_eq(signer_key_len(s), len);
        for (int i = 0; i < 3; i++) {
            int total = snprintf(text, sizeof text, "id%d.%d.body%d", i, 1000 + i, i);
            char body[24], id[24];
            snprintf(body, sizeof body, "body%d", i);
            snprintf(id, sizeof id, "id%d", i);
            ck_assert(signer_sign(s, id, 1000 + i, body, strlen(body), out));
            HMAC(EVP_sha256(), secret, (int)len, (unsigned char *)text, (size_t)total, mac, &n);
            EVP_EncodeBlock((unsigned char *)wanted, mac, (int)n);
            ck_assert_str_eq(out + 3, wanted);
        }
        signer_free(s);
    }
}
END_TEST

START_TEST(whsec_is_decoded_with_or_without_padding)
{
    struct signer *s = open_signer("whsec_YWJjZA=="); /* abcd */
    ck_assert_uint_eq(signer_key_len(s), 4);
    signer_free(s);
    s = open_signer("whsec_YWJjZA");
    ck_assert_uint_eq(signer_key_len(s), 4);
    signer_free(s);
    char a[SIGNATURE_LEN + 1], b[SIGNATURE_LEN + 1];
    sign("whsec_YWJjZA", "i", 1, "b", a);
    sign("abcd", "i", 1, "b", b);
    ck_assert_str_eq(a, b);
}
END_TEST

static const char *const bad[] = {"whsec_",
                                  "whsec_=",
                                  "whsec_Y",
                                  "whsec_YWJj=",
                                  "whsec_YWJjZA=",
                                  "whsec_YW Jj",
                                  "whsec_YWJj\n",
                                  "whsec_Y=Jj",
                                  "whsec_YWJj====",
                                  "whsec_YW-_",
                                  ""};

START_TEST(contract_6_a_secret_that_is_not_base64_is_refused_by_name)
{
    char err[256] = "";
    size_t len;
    ck_assert_ptr_null(signer_new(bad[_i], err, sizeof err));
    ck_assert_ptr_nonnull(strstr(err, "MVNO_WEBHOOK_SECRET"));
    ck_assert(!signer_secret_ok(bad[_i], &len, err, sizeof err));
    ck_assert(!*bad[_i] || strlen(bad[_i]) < 8 || !strstr(err, bad[_i]));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sign");
    TCase *tc = tcase_create("sign");
    tcase_add_test(tc, standard_webhooks_published_vector);
    tcase_add_test(tc, raw_secret_agrees_with_the_openssl_program);
    tcase_add_test(tc, every_use_starts_afresh);
    tcase_add_test(tc, whsec_is_decoded_with_or_without_padding);
    tcase_add_loop_test(tc, contract_6_a_secret_that_is_not_base64_is_refused_by_name, 0,
                        sizeof bad / sizeof bad[0]);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
