/* config_fixture.h - two modules' settings, and files and environments to load them from. */
#ifndef TEST_CONFIG_FIXTURE_H
#define TEST_CONFIG_FIXTURE_H

#include "pcs/core/config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct server_config {
    const char *bind, *prefix;
    int64_t port, threads;
    int64_t body_max;
    struct config_list origins, algorithms;
    bool open;
};

struct kos_config {
    const char *base_url, *secret;
    int64_t connect_timeout, timeout, offset;
    double failure_rate;
    int outage;
    int64_t soft_age;
};

static const char *const outage_modes[] = {"refuse", "hold", NULL};
static const char *const algorithm_names[] = {"HS256", "HS384", "HS512", NULL};

#define SERVER(member) offsetof(struct server_config, member)
#define KOS(member)    offsetof(struct kos_config, member)

static const struct config_setting server_settings[] = {
    {"server.bind", CONFIG_TEXT, SERVER(bind), "0.0.0.0", "1", "20", .help = "Address to listen on."},
    {"server.public_prefix", CONFIG_TEXT, SERVER(prefix), "", "2", "10", .reloadable = true,
     .help = "Prefix."},
    {"server.port", CONFIG_INT, SERVER(port), "8083", "1", "65535", .help = "Port to listen on."},
    {"server.threads", CONFIG_INT, SERVER(threads), "2", .help = "Reactors."},
    {"server.body_max", CONFIG_SIZE, SERVER(body_max), "16KiB", "1KiB", "1MiB", .reloadable = true,
     .help = "Body."},
    {"cors.allowed_origins", CONFIG_LIST, SERVER(origins), "", NULL, "3", .reloadable = true,
     .help = "CORS."},
    {"jwt.algorithms", CONFIG_LIST, SERVER(algorithms), "HS256,HS512", "1", NULL, algorithm_names,
     .help = "Alg."},
    {"server.open", CONFIG_BOOL, SERVER(open), "no", .help = "Whether it is | open."},
};

static const struct config_setting kos_settings[] = {
    {"kos.base_url", CONFIG_TEXT, KOS(base_url), NULL, "8", NULL, .reloadable = true,
     .help = "Where KOS is."},
    {"kos.secret", CONFIG_TEXT, KOS(secret), "", "8", NULL, .reloadable = true, .secret = true,
     .help = "Key."},
    {"kos.connect_timeout", CONFIG_DURATION, KOS(connect_timeout), "250ms", "10ms", "10s", .reloadable = true,
     .help = "Until connected."},
    {"kos.timeout", CONFIG_DURATION, KOS(timeout), "3s", .help = "In all."},
    {"kos.offset", CONFIG_INT, KOS(offset), "-5", NULL, "10", .help = "A number."},
    {"kos.failure_rate", CONFIG_PERCENT, KOS(failure_rate), "50", .reloadable = true, .help = "Breaker."},
    {"kos.outage", CONFIG_ENUM, KOS(outage), "refuse", .choices = outage_modes, .env = "OUTAGE_MODE",
     .reloadable = true, .help = "What to do while KOS is out."},
    {"cache.customer.soft_age", CONFIG_DURATION, KOS(soft_age), "1h", "0", NULL, .help = "Fresh for."},
};

static bool kos_check(const void *values, char *err, size_t errlen)
{
    const struct kos_config *k = values;
    if (k->connect_timeout > k->timeout) {
        snprintf(err, errlen, "kos.connect_timeout is longer than kos.timeout");
        return false;
    }
    return true;
}

static const struct config_section server_section = {"server", server_settings,
                                                     sizeof server_settings / sizeof *server_settings,
                                                     sizeof(struct server_config), NULL};
static const struct config_section kos_section = {
    "kos", kos_settings, sizeof kos_settings / sizeof *kos_settings, sizeof(struct kos_config), kos_check};
static const struct config_section *const both[] = {&server_section, &kos_section};

static char err[8192];

#define ENV(...) ((char *const *)(const char *const[]){__VA_ARGS__, NULL})
#define URL      "KOS_BASE_URL=http://kos"

static char path[] = "/tmp/pcs-config-XXXXXX"; /* of the test's one file */

static void write_file(const char *file, const void *data, size_t len)
{
    FILE *f = fopen(file, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(data, 1, len, f), len);
    ck_assert_int_eq(fclose(f), 0);
}

static void setup(void)
{
    snprintf(path, sizeof path, "/tmp/pcs-config-XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void teardown(void)
{
    unlink(path);
}

/* NULL yaml: no file. */
static inline struct config *load(const char *yaml, char *const *environment)
{
    if (yaml) {
        write_file(path, yaml, strlen(yaml));
    }
    return config_load(both, 2, yaml ? path : NULL, environment, err, sizeof err);
}

static inline struct config *loaded(const char *yaml, char *const *environment)
{
    struct config *c = load(yaml, environment);
    ck_assert_msg(c != NULL, "refused: %s", err);
    ck_assert_str_eq(err, "");
    return c;
}

/* Loading fails with exactly these lines; '@' stands for the file's path. */
static inline void refused(const char *yaml, char *const *environment, const char *expected)
{
    char wanted[8192] = "";
    for (const char *p = expected; *p; p++) {
        char one[2] = {*p, '\0'};
        strcat(wanted, *p == '@' ? path : one);
    }
    struct config *c = load(yaml, environment);
    ck_assert_msg(c == NULL, "accepted, but expected: %s", wanted);
    ck_assert_str_eq(err, wanted);
}

static inline const struct server_config *server_of(const struct config *c)
{
    return config_values(c, &server_section);
}

static inline const struct kos_config *kos_of(const struct config *c)
{
    return config_values(c, &kos_section);
}

static inline int run(const char *name, const TTest *const *tests, size_t count)
{
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    for (size_t i = 0; i < count; i++) {
        tcase_add_test(tcase, tests[i]);
    }
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
