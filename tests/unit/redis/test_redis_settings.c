/* The Redis settings: names, defaults and ranges of CONTRACT.md 6. */
#include "unit/redis/rig.h"

static const struct config_section *const sections[] = {&redis_config_section};

static struct config *load(const char *const *environment, char *err, size_t errlen)
{
    return config_load(sections, 1, NULL, (char *const *)(uintptr_t)environment, err, errlen);
}

START_TEST(defaults)
{
    const char *environment[] = {NULL};
    char err[512];
    struct config *c = load(environment, err, sizeof err);
    ck_assert_msg(c != NULL, "%s", err);
    const struct redis_config *r = config_values(c, &redis_config_section);
    ck_assert_str_eq(r->host, "127.0.0.1");
    ck_assert_int_eq((int)r->port, 6379);
    ck_assert_str_eq(r->password, "");
    ck_assert_int_eq((int)r->database, 0);
    ck_assert_int_eq((int)r->deadline_ms, 50);
    ck_assert_int_eq((int)r->connect_timeout_ms, 500);
    ck_assert_int_eq((int)r->max_in_flight, 4096);
    config_unref(c);
}
END_TEST

START_TEST(from_the_environment)
{
    const char *environment[] = {"REDIS_HOST=redis", "REDIS_PORT=7000", "REDIS_PASSWORD=very secret",
                                 "REDIS_DATABASE=3", NULL};
    char err[512];
    struct buf printed;
    struct config *c = load(environment, err, sizeof err);
    ck_assert_msg(c != NULL, "%s", err);
    const struct redis_config *r = config_values(c, &redis_config_section);
    ck_assert_str_eq(r->host, "redis");
    ck_assert_int_eq((int)r->port, 7000);
    ck_assert_str_eq(r->password, "very secret");
    ck_assert_int_eq((int)r->database, 3);
    buf_init(&printed, 65536);
    config_print_values(c, &printed);
    ck_assert_ptr_null(strstr(printed.data, "very secret"));
    buf_free(&printed);
    config_unref(c);
}
END_TEST

START_TEST(out_of_range)
{
    static const char *const wrong[] = {"REDIS_PORT=0", "REDIS_PORT=x", "REDIS_DATABASE=-1",
                                        "REDIS_DEADLINE=0ms", "REDIS_MAX_IN_FLIGHT=0"};
    const char *environment[] = {wrong[_i], NULL};
    char err[512], name[64];
    ck_assert_ptr_null(load(environment, err, sizeof err));
    snprintf(name, sizeof name, "%.*s", (int)strcspn(wrong[_i], "="), wrong[_i]);
    ck_assert_msg(strstr(err, name) != NULL, "%s", err);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redis settings");
    TCase *c = tcase_create("settings");
    tcase_add_test(c, defaults);
    tcase_add_test(c, from_the_environment);
    tcase_add_loop_test(c, out_of_range, 0, 5);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
