/* known_secret.c - the lists. tests/tools/example-secrets.sh finds the literal secrets of tests, scripts and documents
 * and asks the program about each, so that a new one cannot be forgotten here. */
#include "pcs/core/known_secret.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

/* Exactly these. */
static const char *const examples[] = {
    /* this repository's tests and scripts */
    "0123456789abcdef0123456789abcdef",
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "integration-test-secret-of-more-than-64-bytes-so-that-HS512-is-at-home-here",
    "webhook-secret-of-the-integration-tests",
    "another-secret-of-at-least-thirty-two-bytes",
    "another-secret-that-is-long-enough-for-this",
    "a-new-secret-of-the-issuer-of-more-than-32-bytes",
    "admin-token-of-the-tests-0123456789abcdef",
    "webhook-secret-of-the-benches-0123456789",
    "redis-password-of-the-tests",
    "service-password",
    "migrate-password",
    "super-password",
    "not-used-by-a-command-of-an-operator",
    /* jwt.io and the manuals that copy it */
    "your-256-bit-secret",
    "your-384-bit-secret",
    "your-512-bit-secret",
    "a-string-secret-at-least-256-bits-long",
    "a-valid-string-secret-that-is-at-least-384-bits-long",
    "a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",
    /* of Spring tutorials, much copied */
    "404E635266556A586E3272357538782F413F4428472B4B6250645367566B5970",
    "413F4428472B4B6250655368566D5970337336763979244226452948404D6351",
    /* RFC 7515 A.1 */
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
    /* Standard Webhooks and its libraries */
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
    "whsec_plJ3nmyCDGBKInavdOK15jsl",
};

/* Anywhere in it: such a text says itself that it is an example. */
static const char *const requests[] = {"changeme",       "change-me",   "change_me",   "change-in-prod",
                                       "change_in_prod", "change-this", "change_this", "replace-me",
                                       "replace_me",     "replaceme",   "your-secret", "your_secret",
                                       "insert-secret"};

static const char *const words[] = {"secret",   "password", "passw0rd", "pass", "admin",  "root",
                                    "guest",    "default",  "example",  "test", "qwerty", "letmein",
                                    "postgres", "redis",    "mvno",     "kos",  "jwt",    "token",
                                    "key",      "1234",     "12345678", "abcd", "abc123"};

static bool contains(const char *text, const char *part)
{
    size_t len = strlen(part);
    for (; *text; text++) {
        if (strncasecmp(text, part, len) == 0) {
            return true;
        }
    }
    return false;
}

/* The length of the word that text begins with; 0: none. The longest, so that "12345678" is not "1234" and a rest. */
static size_t word_at(const char *text)
{
    size_t best = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t len = strlen(words[i]);
        if (len > best && strncasecmp(text, words[i], len) == 0) {
            best = len;
        }
    }
    return best;
}

/* "secret", "secret-secret-secret", "jwt_secret_key": nothing but those words. */
static bool only_words(const char *text)
{
    while (*text) {
        size_t len = word_at(text);
        if (len == 0) {
            return false;
        }
        text += len;
        text += strspn(text, "-_. ");
    }
    return true;
}

enum known_secret known_secret_judge(const char *secret)
{
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        if (strcmp(secret, examples[i]) == 0) {
            return SECRET_EXAMPLE;
        }
    }
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        if (contains(secret, requests[i])) {
            return SECRET_EXAMPLE;
        }
    }
    return *secret && only_words(secret) ? SECRET_WORD : SECRET_OWN;
}
