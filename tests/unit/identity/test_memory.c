/* The memory of verified tokens, the Authorization header, the settings (contract, "Identity" and 6; issue
 * "Let no one in", 1: "remembered until exp, bounded, emptied on key change"). */
#include "unit/identity/token.h"

#include "identity/fault.h"

#include <pthread.h>

static const struct metric_family *verifications, *uses;
static struct identity_memory *memory;
static struct identity_verifier *verifier;

static void setup_with(size_t entries)
{
    struct identity_config c = config_with_secret();

    verifier = verifier_of(&c);
    memory = identity_memory_new(verifier, entries);
    ck_assert_ptr_nonnull(memory);
}

static void setup(void)
{
    static bool registered;

    if (!registered) { /* once also without forking */
        registered = true;
        metrics_register(identity_metrics, identity_metrics_count);
        ck_assert(metrics_thread_init());
        verifications = identity_metrics[0];
        uses = identity_metrics[1];
    }
    setup_with(8);
}

static void teardown(void)
{
    identity_memory_free(memory);
    identity_verifier_unref(verifier);
}

/* The token of one of many customers. */
static char *customer_token(int number, int64_t exp)
{
    char payload[160];

    snprintf(payload, sizeof payload, "{\"sub\":\"u%d\",\"lineNumber\":\"010%08d\",\"exp\":%lld}", number,
             number, (long long)exp);
    return hs256_token(payload);
}

static double hits(void)
{
    return metric_value(uses, MEMORY_HIT);
}

static const struct identity *accepted(const char *token, int64_t now)
{
    const struct identity *id;
    const char *reason;

    ck_assert_msg(present(memory, token, now, &id, &reason) == IDENTITY_OK, "%s", reason);
    return id;
}

START_TEST(a_second_look_costs_no_signature)
{
    double before = hits(), verified = metric_value(verifications, OUTCOME_OK);
    char *token = customer_token(1, NOW + 100);
    const struct identity *first = accepted(token, NOW), *second = accepted(token, NOW + 99);

    ck_assert_ptr_eq(first, second);
    ck_assert_str_eq(second->subject, "u1");
    ck_assert_double_eq(hits(), before + 1);
    ck_assert_double_eq(metric_value(verifications, OUTCOME_OK), verified + 1);
    identity_release(first);
    identity_release(second);
    free(token);
}
END_TEST

START_TEST(entries_end_at_exp)
{
    char *token = customer_token(1, NOW + 100);
    const struct identity *id;
    const char *reason;
    double expired = metric_value(verifications, OUTCOME_EXPIRED);

    identity_release(accepted(token, NOW));
    ck_assert_uint_eq(identity_memory_count(memory), 1);
    ck_assert_int_eq(present(memory, token, NOW + 100, &id, &reason), IDENTITY_INVALID);
    ck_assert_str_eq(reason, "token has expired");
    ck_assert_uint_eq(identity_memory_count(memory), 0);
    ck_assert_double_eq(metric_value(verifications, OUTCOME_EXPIRED), expired + 1);
    free(token);
}
END_TEST

START_TEST(a_held_identity_survives_expiry_eviction_and_reload)
{
    char *token = customer_token(1, NOW + 100), *other;
    const struct identity *by_expiry = accepted(token, NOW), *by_eviction, *by_reload, *id;
    const char *reason;
    struct identity_config c = config_with_secret();
    struct identity_verifier *next = verifier_of(&c);

    ck_assert_int_eq(present(memory, token, NOW + 200, &id, &reason), IDENTITY_INVALID);
    by_eviction = accepted(token, NOW);
    for (int i = 0; i < 100; i++) {
        other = customer_token(100 + i, NOW + 100);
        identity_release(accepted(other, NOW));
        free(other);
    }
    by_reload = accepted(token, NOW);
    ck_assert_ptr_ne(by_reload, by_eviction); /* it had been evicted */
    identity_memory_set_verifier(memory, next);
    identity_verifier_unref(next);
    ck_assert_uint_eq(identity_memory_count(memory), 0);
    ck_assert_str_eq(by_expiry->lines[0], "01000000001");
    ck_assert_str_eq(by_eviction->subject, "u1");
    ck_assert_str_eq(by_reload->subject, "u1");
    identity_release(by_expiry);
    identity_release(by_eviction);
    identity_release(by_reload);
    free(token);
}
END_TEST

START_TEST(it_is_bounded_and_spares_the_busy)
{
    char *busy = customer_token(1, NOW + 100), *token;
    const struct identity *first = accepted(busy, NOW), *again;

    for (int i = 0; i < 1000; i++) {
        token = customer_token(1000 + i, NOW + 100);
        identity_release(accepted(token, NOW));
        free(token);
        again = accepted(busy, NOW);
        ck_assert_ptr_eq(again, first);
        identity_release(again);
        ck_assert_uint_le(identity_memory_count(memory), 8);
    }
    ck_assert_uint_eq(identity_memory_count(memory), 8);
    identity_release(first);
    free(busy);
}
END_TEST

/* Against a model: every token that was taken in is found again or verified anew, and is always the right
 * one. */
START_TEST(it_never_mixes_up_customers)
{
    enum { CUSTOMERS = 200 };
    char *tokens[CUSTOMERS], subject[16];
    unsigned seed = 1;

    teardown();
    setup_with(64);
    for (int i = 0; i < CUSTOMERS; i++)
        tokens[i] = customer_token(i, NOW + 50 + i);
    for (int step = 0; step < 20000; step++) {
        int i = (int)((seed = seed * 1103515245u + 12345u) >> 16) % CUSTOMERS;
        int64_t now = NOW + step / 100;
        const struct identity *id;
        const char *reason;
        enum identity_result result = present(memory, tokens[i], now, &id, &reason);

        ck_assert_int_eq(result, now < NOW + 50 + i ? IDENTITY_OK : IDENTITY_INVALID);
        if (id) {
            snprintf(subject, sizeof subject, "u%d", i);
            ck_assert_str_eq(id->subject, subject);
        }
        identity_release(id);
        ck_assert_uint_le(identity_memory_count(memory), 64);
    }
    for (int i = 0; i < CUSTOMERS; i++)
        free(tokens[i]);
}
END_TEST

START_TEST(a_memory_of_none_verifies_every_time)
{
    char *token = customer_token(1, NOW + 100);
    double before = metric_value(verifications, OUTCOME_OK);

    teardown();
    setup_with(0);
    identity_release(accepted(token, NOW));
    identity_release(accepted(token, NOW));
    ck_assert_double_eq(metric_value(verifications, OUTCOME_OK), before + 2);
    ck_assert_uint_eq(identity_memory_count(memory), 0);
    free(token);
}
END_TEST

START_TEST(a_memory_of_one_works)
{
    char *a = customer_token(1, NOW + 100), *b = customer_token(2, NOW + 100);

    teardown();
    setup_with(1);
    for (int i = 0; i < 3; i++) {
        const struct identity *id = accepted(a, NOW);
        ck_assert_str_eq(id->subject, "u1");
        identity_release(id);
        id = accepted(b, NOW);
        ck_assert_str_eq(id->subject, "u2");
        identity_release(id);
    }
    free(a);
    free(b);
}
END_TEST

START_TEST(bad_tokens_do_not_get_in)
{
    char *token = customer_token(1, NOW + 100);
    const struct identity *id;
    const char *reason;

    token[strlen(token) - 2] = token[strlen(token) - 2] == 'A' ? 'B' : 'A';
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(present(memory, token, NOW, &id, &reason), IDENTITY_INVALID);
    ck_assert_uint_eq(identity_memory_count(memory), 0);
    free(token);
}
END_TEST

/* A good token of somebody without the permission is remembered too, and stays refused. */
START_TEST(forbidden_is_remembered_until_exp)
{
    char *token = hs256_token("{\"sub\":\"u1\",\"exp\":1800000100,\"permissions\":[\"X\"]}");
    const struct identity *id;
    const char *reason;
    double before = hits(), forbidden = metric_value(verifications, OUTCOME_FORBIDDEN);

    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(present(memory, token, NOW, &id, &reason), IDENTITY_FORBIDDEN);
        ck_assert_str_eq(reason, "token lacks PRODUCT_CHANGE");
    }
    ck_assert_double_eq(hits(), before + 2);
    ck_assert_double_eq(metric_value(verifications, OUTCOME_FORBIDDEN), forbidden + 1);
    ck_assert_int_eq(present(memory, token, NOW + 100, &id, &reason), IDENTITY_INVALID);
    free(token);
}
END_TEST

/* Reload: tokens of the old key are refused at once, not at their exp. */
START_TEST(a_key_change_empties_it)
{
    struct identity_config c = config_with_secret();
    char *token = customer_token(1, NOW + 100);
    struct identity_verifier *next;
    const struct identity *id;
    const char *reason;

    identity_release(accepted(token, NOW));
    c.secret = "another secret that has more than 32 bytes";
    next = verifier_of(&c);
    identity_memory_set_verifier(memory, next);
    identity_verifier_unref(next);
    ck_assert_int_eq(present(memory, token, NOW, &id, &reason), IDENTITY_INVALID);
    ck_assert_str_eq(reason, "token signature does not fit");
    identity_memory_set_verifier(memory, verifier);
    identity_release(accepted(token, NOW));
    free(token);
}
END_TEST

START_TEST(authorization_header_forms)
{
    char *token = customer_token(1, NOW + 100);
    const struct {
        const char *before, *after;
        enum identity_result result;
    } cases[] = {
        {"Bearer ", "", IDENTITY_OK},
        {"bearer ", "", IDENTITY_OK},
        {"BEARER ", "", IDENTITY_OK},
        {"Bearer  ", "", IDENTITY_INVALID},
        {"Bearer\t", "", IDENTITY_INVALID},
        {"Bearer", "", IDENTITY_INVALID},
        {" Bearer ", "", IDENTITY_INVALID},
        {"", "", IDENTITY_INVALID},
        {"Basic ", "", IDENTITY_INVALID},
        {"Bearer ", " ", IDENTITY_INVALID},
        {"Bearer ", ",x", IDENTITY_INVALID},
        {"Bearers ", "", IDENTITY_INVALID},
        {"Bearer Bearer ", "", IDENTITY_INVALID},
    };
    const struct identity *id = NULL;
    const char *reason;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *header;
        header = text_of("%s%s%s", cases[i].before, token, cases[i].after);
        id = NULL;
        ck_assert_msg(identity_authenticate(memory, header, strlen(header), NOW, &id, &reason) ==
                          cases[i].result,
                      "'%s': %s", header, reason);
        identity_release(id);
        free(header);
    }
    ck_assert_int_eq(identity_authenticate(memory, NULL, 0, NOW, &id, &reason), IDENTITY_MISSING);
    ck_assert_int_eq(identity_authenticate(memory, "", 0, NOW, &id, &reason), IDENTITY_MISSING);
    ck_assert_int_eq(identity_authenticate(memory, "Bearer ", 7, NOW, &id, &reason), IDENTITY_INVALID);
    ck_assert_int_eq(identity_authenticate(memory, "B", 1, NOW, &id, &reason), IDENTITY_INVALID);
    free(token);
}
END_TEST

/* One verifier, many reactors: each thread with its own memory, all verifying at once. */
static void *reactor_thread(void *arg)
{
    char **tokens = arg;
    struct identity_memory *m = identity_memory_new(verifier, 4);
    long good = 0;

    for (int i = 0; i < 400; i++) {
        const struct identity *id;
        const char *reason;
        good += present(m, tokens[i % 8], NOW, &id, &reason) == IDENTITY_OK;
        identity_release(id);
    }
    identity_memory_free(m);
    return (void *)good;
}

START_TEST(the_verifier_is_shared_by_threads)
{
    EVP_PKEY *ec = EVP_EC_gen("P-256");
    struct identity_config c = config_with_secret();
    char pem[1024] = "", path[32], *tokens[8];
    pthread_t threads[3];
    void *good;

    pem_append(pem, sizeof pem, ec);
    temp_file(path, pem);
    c.public_key_file = path;
    identity_verifier_unref(verifier);
    verifier = verifier_of(&c);
    unlink(path);
    for (int i = 0; i < 8; i++)
        tokens[i] = i % 2 ? customer_token(i, NOW + 100)
                          : public_token(ec, "{\"alg\":\"ES256\"}",
                                         "{\"sub\":\"u\",\"lineNumber\":\"01000000000\",\"exp\":1800000100}");
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, reactor_thread, tokens), 0);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], &good);
        ck_assert_int_eq((long)good, 400);
    }
    for (int i = 0; i < 8; i++)
        free(tokens[i]);
    EVP_PKEY_free(ec);
}
END_TEST

/* ---- settings (contract 6) ---- */

static struct config *load(const char *const *environment, char *err, size_t errlen)
{
    static const struct config_section *const sections[] = {&identity_config_section};

    return config_load(sections, 1, NULL, (char *const *)(uintptr_t)environment, err, errlen);
}

START_TEST(settings_from_the_environment)
{
    const char *const environment[] = {
        "JWT_SECRET=" SECRET, "JWT_ALGORITHMS=HS512,HS256",   "JWT_ISSUER=phonebill-auth-service",
        "JWT_AUDIENCE=pcs",   "AUTH_REQUIRE_PERMISSION=true", NULL};
    char err[1024] = "";
    struct config *config = load(environment, err, sizeof err);
    const struct identity_config *c;

    ck_assert_msg(config != NULL, "%s", err);
    c = config_values(config, &identity_config_section);
    ck_assert_str_eq(c->secret, SECRET);
    ck_assert_uint_eq(c->algorithms.count, 2);
    ck_assert_str_eq(c->algorithms.items[0], "HS512");
    ck_assert_str_eq(c->issuer, "phonebill-auth-service");
    ck_assert_str_eq(c->audience, "pcs");
    ck_assert(c->require_permission);
    ck_assert_int_eq(c->leeway_ms, 30000);
    ck_assert_int_eq(c->memory, 65536);
    identity_verifier_unref(verifier_of(c));
    config_unref(config);
}
END_TEST

START_TEST(settings_that_are_refused)
{
    static const struct {
        const char *environment[4], *names;
    } cases[] = {
        {{NULL}, "JWT_SECRET"},
        {{"JWT_SECRET=0123456789012345678901234567890"}, "JWT_SECRET"}, /* 31 bytes */
        {{"JWT_SECRET=-----BEGIN PUBLIC KEY-----AAAAAAAAAAAAAAAA"}, "JWT_PUBLIC_KEY_FILE"},
        {{"JWT_SECRET=" SECRET, "JWT_ALGORITHMS=none"}, "JWT_ALGORITHMS"},
        {{"JWT_SECRET=" SECRET, "JWT_ALGORITHMS=hs256"}, "JWT_ALGORITHMS"},
        {{"JWT_SECRET=" SECRET, "JWT_ALGORITHMS=HS256,RS256"}, "JWT_PUBLIC_KEY_FILE"},
        {{"JWT_SECRET=" SECRET, "JWT_ALGORITHMS=ES256", "JWT_JWKS_FILE=/x"}, "JWT_SECRET"},
        {{"JWT_ALGORITHMS=HS256", "JWT_JWKS_FILE=/x"}, "JWT_SECRET"},
        {{"JWT_PREVIOUS_SECRET=" SECRET, "JWT_JWKS_FILE=/x"}, "JWT_PREVIOUS_SECRET"},
        {{"JWT_SECRET=" SECRET, "JWT_PREVIOUS_SECRET=short"}, "JWT_PREVIOUS_SECRET"},
    };
    char err[1024];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        err[0] = '\0';
        ck_assert_msg(load(cases[i].environment, err, sizeof err) == NULL, "case %zu", i);
        ck_assert_msg(strstr(err, cases[i].names), "case %zu: %s", i, err);
        ck_assert_msg(!strstr(err, SECRET), "a secret is told: %s", err);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory");
    TCase *tc = tcase_create("memory"), *settings = tcase_create("settings");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_second_look_costs_no_signature);
    tcase_add_test(tc, entries_end_at_exp);
    tcase_add_test(tc, a_held_identity_survives_expiry_eviction_and_reload);
    tcase_add_test(tc, it_is_bounded_and_spares_the_busy);
    tcase_add_test(tc, it_never_mixes_up_customers);
    tcase_add_test(tc, a_memory_of_none_verifies_every_time);
    tcase_add_test(tc, a_memory_of_one_works);
    tcase_add_test(tc, bad_tokens_do_not_get_in);
    tcase_add_test(tc, forbidden_is_remembered_until_exp);
    tcase_add_test(tc, a_key_change_empties_it);
    tcase_add_test(tc, authorization_header_forms);
    tcase_add_test(tc, the_verifier_is_shared_by_threads);
    tcase_add_test(settings, settings_from_the_environment);
    tcase_add_test(settings, settings_that_are_refused);
    suite_add_tcase(suite, tc);
    suite_add_tcase(suite, settings);
    return run_suite(suite);
}
