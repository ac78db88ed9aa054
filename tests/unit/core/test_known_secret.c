/* Secrets that everybody can read somewhere are known as such; others are not (issue 5, point 5). */
#include "pcs/core/known_secret.h"

#include <check.h>
#include <stdlib.h>

START_TEST(examples_and_requests_to_be_changed)
{
    static const char *const known[] = {
        "0123456789abcdef0123456789abcdef",
        "your-256-bit-secret",
        "a-string-secret-at-least-256-bits-long",
        "changeme",
        "CHANGEME",
        "phonebill-jwt-secret-key-CHANGE-IN-PRODUCTION-please",
        "please_change_me_please_change_me_please",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        ck_assert_msg(known_secret_judge(known[i]) == SECRET_EXAMPLE, "%s", known[i]);
    }
}
END_TEST

START_TEST(words_alone_or_over_and_over)
{
    static const char *const known[] = {"secret",
                                        "Secret",
                                        "secretsecretsecretsecretsecretsecret",
                                        "jwt-secret-key",
                                        "12345678123456781234567812345678",
                                        "postgres",
                                        "test_secret_test_secret"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        ck_assert_msg(known_secret_judge(known[i]) == SECRET_WORD, "%s", known[i]);
    }
}
END_TEST

START_TEST(what_nobody_published_is_ones_own)
{
    static const char *const own[] = {
        "",
        "3f9a1c7be2d04456a8c1f00d9be77d21",
        "0123456789abcdef0123456789abcdeF", /* other bytes, another secret */
        "secret-of-37-whales-in-a-small-teacup",
        "whsec_c2VjcmV0LW9mLW91cnMtYWxvbmUtMDAxMjM0",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    };
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        ck_assert_msg(known_secret_judge(own[i]) == SECRET_OWN, "%s", own[i]);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("known_secret");
    TCase *c = tcase_create("lists");
    tcase_add_test(c, examples_and_requests_to_be_changed);
    tcase_add_test(c, words_alone_or_over_and_over);
    tcase_add_test(c, what_nobody_published_is_ones_own);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
