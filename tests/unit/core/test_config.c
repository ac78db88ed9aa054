/* Settings: types, precedence, environment, secrets, tables, printing (CONTRACT.md 6). */
#include "unit/core/config_fixture.h"

#include <pthread.h>
#include <sys/stat.h>

START_TEST(defaults_hold_when_nothing_is_given)
{
    struct config *c = loaded(NULL, ENV(URL));
    ck_assert_str_eq(server_of(c)->bind, "0.0.0.0");
    ck_assert_str_eq(server_of(c)->prefix, "");
    ck_assert_int_eq(server_of(c)->port, 8083);
    ck_assert_int_eq(server_of(c)->body_max, 16384);
    ck_assert_uint_eq(server_of(c)->origins.count, 0);
    ck_assert_ptr_null(server_of(c)->origins.items);
    ck_assert_uint_eq(server_of(c)->algorithms.count, 2);
    ck_assert_str_eq(server_of(c)->algorithms.items[1], "HS512");
    ck_assert(!server_of(c)->open);
    ck_assert_str_eq(kos_of(c)->base_url, "http://kos");
    ck_assert_str_eq(kos_of(c)->secret, "");
    ck_assert_int_eq(kos_of(c)->connect_timeout, 250);
    ck_assert_int_eq(kos_of(c)->offset, -5);
    ck_assert_double_eq(kos_of(c)->failure_rate, 50);
    ck_assert_int_eq(kos_of(c)->outage, 0);
    ck_assert_int_eq(kos_of(c)->soft_age, 3600000);
    ck_assert_str_eq(config_origin(c, "server.port"), "default");
    ck_assert_str_eq(config_origin(c, "kos.base_url"), "environment");
    ck_assert_ptr_null(config_origin(c, "server.nothing"));
    config_unref(c);
}
END_TEST

/* Precedence: default < file < environment; unknown environment names are left alone. */
START_TEST(environment_wins_over_file_over_default)
{
    struct config *c =
        loaded("server:\n  port: 9000\n  threads: 4\nkos: {base_url: 'http://file', outage: HOLD}\n",
               ENV("SERVER_PORT=9001", "SERVER_PROT=x", "SERVER_PORT2=y", "OUTAGE_MODE=refuse"));
    ck_assert_int_eq(server_of(c)->port, 9001);
    ck_assert_int_eq(server_of(c)->threads, 4);
    ck_assert_str_eq(kos_of(c)->base_url, "http://file");
    ck_assert_int_eq(kos_of(c)->outage, 0);
    ck_assert_str_eq(config_origin(c, "server.port"), "environment");
    ck_assert_str_eq(config_origin(c, "server.threads"), "file:3");
    ck_assert_str_eq(config_origin(c, "server.bind"), "default");
    config_unref(c);
}
END_TEST

START_TEST(null_environment_is_the_process_s)
{
    setenv("KOS_BASE_URL", "http://process", 1);
    struct config *c = loaded(NULL, NULL);
    ck_assert_str_eq(kos_of(c)->base_url, "http://process");
    config_unref(c);
}
END_TEST

struct good {
    const char *given;
    int64_t value;
};

START_TEST(durations_and_sizes_are_read_with_units)
{
    static const struct good durations[] = {{"0", 0},        {"250ms", 250},         {"3s", 3000},
                                            {"10m", 600000}, {"4h", 14400000},       {"7d", 604800000},
                                            {"0s", 0},       {"3650d", 315360000000}};
    static const struct good sizes[] = {{"1024", 1024}, {"2048B", 2048}, {"3KiB", 3072}, {"1MiB", 1048576}};
    char env[64];
    for (size_t i = 0; i < sizeof durations / sizeof *durations; i++) {
        snprintf(env, sizeof env, "CACHE_CUSTOMER_SOFT_AGE=%s", durations[i].given);
        struct config *c = loaded(NULL, ENV(URL, env));
        ck_assert_int_eq(kos_of(c)->soft_age, durations[i].value);
        config_unref(c);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        snprintf(env, sizeof env, "SERVER_BODY_MAX=%s", sizes[i].given);
        struct config *c = loaded(NULL, ENV(URL, env));
        ck_assert_int_eq(server_of(c)->body_max, sizes[i].value);
        config_unref(c);
    }
}
END_TEST

START_TEST(other_types_are_read)
{
    struct config *c =
        loaded(NULL, ENV(URL, "SERVER_OPEN=On", "KOS_FAILURE_RATE=12.5%", "KOS_OFFSET=-9223372036854775807",
                         "CORS_ALLOWED_ORIGINS= http://a , http://b", "OUTAGE_MODE=Hold"));
    ck_assert(server_of(c)->open);
    ck_assert_double_eq(kos_of(c)->failure_rate, 12.5);
    ck_assert_int_eq(kos_of(c)->offset, -INT64_MAX);
    ck_assert_int_eq(kos_of(c)->outage, 1);
    ck_assert_uint_eq(server_of(c)->origins.count, 2);
    ck_assert_str_eq(server_of(c)->origins.items[0], "http://a");
    ck_assert_str_eq(server_of(c)->origins.items[1], "http://b");
    config_unref(c);
}
END_TEST

struct bad {
    const char *env, *message;
};

/* Each error names the setting, what is wrong and the accepted range. */
START_TEST(bad_environment_values_are_refused)
{
    static const struct bad cases[] = {
        /* a long value is cut, between characters */
        {"SERVER_PORT=0123456789012345678901234567890123456789012345678901234567890123456789가나다라마",
         "environment SERVER_PORT: "
         "\"0123456789012345678901234567890123456789012345678901234567890123456789가나...\" is "
         "not a whole number (1 to 65535)"},
        {"SERVER_PORT=abc", "environment SERVER_PORT: \"abc\" is not a whole number (1 to 65535)"},
        {"SERVER_PORT=70000", "environment SERVER_PORT: 70000 is out of range (1 to 65535)"},
        {"SERVER_PORT=0", "environment SERVER_PORT: 0 is out of range (1 to 65535)"},
        {"SERVER_PORT=-", "environment SERVER_PORT: \"-\" is not a whole number (1 to 65535)"},
        {"SERVER_PORT=80 ", "environment SERVER_PORT: \"80 \" is not a whole number (1 to 65535)"},
        {"SERVER_PORT=0x50", "environment SERVER_PORT: \"0x50\" is not a whole number (1 to 65535)"},
        {"SERVER_PORT=99999999999999999999",
         "environment SERVER_PORT: 99999999999999999999 is out of range (1 to 65535)"},
        {"SERVER_THREADS=99999999999999999999",
         "environment SERVER_THREADS: 99999999999999999999 is too large"},
        {"SERVER_THREADS=", NULL},
        {"KOS_OFFSET=11", "environment KOS_OFFSET: 11 is out of range (at most 10)"},
        {"SERVER_OPEN=maybe", "environment SERVER_OPEN: \"maybe\" is not true or false"},
        {"SERVER_BIND=123456789012345678901",
         "environment SERVER_BIND: a text of 21 bytes is out of range (1 to 20 bytes)"},
        {"SERVER_BIND=a\nb", "environment SERVER_BIND: the value contains a control character"},
        {"SERVER_PUBLIC_PREFIX=/",
         "environment SERVER_PUBLIC_PREFIX: a text of 1 byte is out of range (2 to 10 bytes)"},
        {"SERVER_BODY_MAX=2MiB", "environment SERVER_BODY_MAX: 2MiB is out of range (1KiB to 1MiB)"},
        {"SERVER_BODY_MAX=2MB",
         "environment SERVER_BODY_MAX: \"2MB\" is not a size such as 512, 16KiB or 4MiB (1KiB to 1MiB)"},
        {"SERVER_BODY_MAX=9223372036854775807KiB",
         "environment SERVER_BODY_MAX: 9223372036854775807KiB is out of range (1KiB to 1MiB)"},
        {"CORS_ALLOWED_ORIGINS=a,,b", "environment CORS_ALLOWED_ORIGINS: the list has an empty item"},
        {"CORS_ALLOWED_ORIGINS=a,b,c,d",
         "environment CORS_ALLOWED_ORIGINS: a list of 4 items is out of range (at most 3 items)"},
        {"JWT_ALGORITHMS=HS256,none",
         "environment JWT_ALGORITHMS: \"none\" is not known (at least 1 item of HS256, HS384, HS512)"},
        {"OUTAGE_MODE=queue", "environment OUTAGE_MODE: \"queue\" is not known (one of refuse, hold)"},
        {"KOS_CONNECT_TIMEOUT=3",
         "environment KOS_CONNECT_TIMEOUT: \"3\" is not a duration such as 250ms, 3s, 10m, 4h "
         "or 7d (10ms to 10s)"},
        {"KOS_CONNECT_TIMEOUT=1.5s",
         "environment KOS_CONNECT_TIMEOUT: \"1.5s\" is not a duration such as 250ms, 3s, "
         "10m, 4h or 7d (10ms to 10s)"},
        {"KOS_CONNECT_TIMEOUT=11s", "environment KOS_CONNECT_TIMEOUT: 11s is out of range (10ms to 10s)"},
        {"KOS_TIMEOUT=3651d", "environment KOS_TIMEOUT: 3651d is too large"},
        {"KOS_TIMEOUT=9223372036854775807d", "environment KOS_TIMEOUT: 9223372036854775807d is too large"},
        {"CACHE_CUSTOMER_SOFT_AGE=-1s",
         "environment CACHE_CUSTOMER_SOFT_AGE: \"-1s\" is not a duration such as 250ms, "
         "3s, 10m, 4h or 7d (at least 0)"},
        {"KOS_FAILURE_RATE=0", "environment KOS_FAILURE_RATE: 0 is out of range (over 0 to 100)"},
        {"KOS_FAILURE_RATE=100.000001",
         "environment KOS_FAILURE_RATE: 100.000001 is out of range (over 0 to 100)"},
        {"KOS_FAILURE_RATE=1e1",
         "environment KOS_FAILURE_RATE: \"1e1\" is not a percentage such as 50 or 0.5 (over 0 to 100)"},
        {"KOS_FAILURE_RATE=5.",
         "environment KOS_FAILURE_RATE: \"5.\" is not a percentage such as 50 or 0.5 (over 0 to 100)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (cases[i].message) {
            refused(NULL, ENV(URL, cases[i].env), cases[i].message);
        } else {
            config_unref(loaded(NULL, ENV(URL, cases[i].env)));
        }
    }
}
END_TEST

/* `FOO=` is what docker compose hands on for a variable that nobody set. */
START_TEST(empty_environment_values_empty_a_text_or_count_as_unset)
{
    struct config *c =
        loaded("server: {public_prefix: /p, bind: 1.2.3.4, port: 9000}\n"
               "cors: {allowed_origins: [http://a]}\nkos: {secret: from-the-file}\n",
               ENV(URL, "SERVER_PORT=", "SERVER_PUBLIC_PREFIX=", "SERVER_BIND=", "OUTAGE_MODE=",
                   "CORS_ALLOWED_ORIGINS=", "JWT_ALGORITHMS=", "KOS_SECRET=", "KOS_SECRET_FILE="));
    ck_assert_int_eq(server_of(c)->port, 9000);
    ck_assert_str_eq(server_of(c)->prefix, "");
    ck_assert_str_eq(server_of(c)->bind, "1.2.3.4"); /* has a min of 1 and another default */
    ck_assert_uint_eq(server_of(c)->origins.count, 0);
    ck_assert_uint_eq(server_of(c)->algorithms.count, 2);
    ck_assert_str_eq(kos_of(c)->secret, "");
    config_unref(c);
    refused(NULL, ENV("KOS_BASE_URL="),
            "kos.base_url: required, but given neither in a file nor in the environment as KOS_BASE_URL");
}
END_TEST

START_TEST(a_secret_comes_from_a_file_without_its_final_newline)
{
    char env[64];
    snprintf(env, sizeof env, "KOS_SECRET_FILE=%s", path);
    write_file(path, "two\r\nlines\n\n", 12);
    struct config *c = loaded(NULL, ENV(URL, env, "KOS_SECRET="));
    ck_assert_str_eq(kos_of(c)->secret, "two\r\nlines\n");
    ck_assert_str_eq(config_origin(c, "kos.secret"), "environment file");
    config_unref(c);
}
END_TEST

static void secret_file_refused(const void *content, size_t len, const char *message)
{
    char env[64], expected[256];
    snprintf(env, sizeof env, "KOS_SECRET_FILE=%s", path);
    snprintf(expected, sizeof expected, "environment KOS_SECRET_FILE (@): %s", message);
    write_file(path, content, len);
    refused(NULL, ENV(URL, env), expected);
}

START_TEST(bad_secret_files_are_refused_without_showing_them)
{
    static char large[65537];
    memset(large, 'x', sizeof large);
    secret_file_refused("", 0, "the file is empty");
    secret_file_refused("\n", 1, "the file is empty");
    secret_file_refused("short\n", 6, "a text of 5 bytes is out of range (at least 8 bytes)");
    secret_file_refused("with\0zero\n", 10, "the value contains a NUL byte");
    secret_file_refused(large, sizeof large, "is larger than 64 KiB");
    refused(NULL, ENV(URL, "KOS_SECRET_FILE=/nonexistent/x"),
            "environment KOS_SECRET_FILE (/nonexistent/x): cannot be read: No such file or directory");
    refused(NULL, ENV(URL, "KOS_SECRET_FILE=/tmp"),
            "environment KOS_SECRET_FILE (/tmp): is not a regular file");
    refused(NULL, ENV(URL, "KOS_SECRET=12345678", "KOS_SECRET_FILE=/tmp"),
            "environment KOS_SECRET and KOS_SECRET_FILE are both set: give only one");
    refused(NULL, ENV(URL, "KOS_SECRET=hunter2"),
            "environment KOS_SECRET: a text of 7 bytes is out of range (at least 8 bytes)");
}
END_TEST

/* <ENV>_FILE is for secrets only: other names are left alone. */
START_TEST(file_variables_of_other_settings_are_left_alone)
{
    struct config *c = loaded(NULL, ENV(URL, "SERVER_BIND_FILE=/nonexistent"));
    ck_assert_str_eq(server_of(c)->bind, "0.0.0.0");
    config_unref(c);
}
END_TEST

/* CONTRACT 6: the error names the setting, as the environment calls it too. */
START_TEST(cross_field_checks_run_when_single_values_are_right)
{
    refused(NULL, ENV(URL, "KOS_TIMEOUT=100ms"),
            "kos: kos.connect_timeout (KOS_CONNECT_TIMEOUT) is longer than kos.timeout");
    /* A bad value of another module does not hide it; one of its own does. */
    refused(NULL, ENV(URL, "KOS_TIMEOUT=100ms", "SERVER_PORT=0"),
            "environment SERVER_PORT: 0 is out of range (1 to 65535)\n"
            "kos: kos.connect_timeout (KOS_CONNECT_TIMEOUT) is longer than kos.timeout");
    refused(NULL, ENV(URL, "KOS_TIMEOUT=100ms", "KOS_OFFSET=x"),
            "environment KOS_OFFSET: \"x\" is not a whole number (at most 10)");
}
END_TEST

/* ---- tables ---- */

struct small {
    int64_t number;
    const char *text;
};

static void table_refused(const struct config_setting *settings, size_t count, const char *message)
{
    const struct config_section section = {"small", settings, count, sizeof(struct small), NULL};
    const struct config_section *const one[] = {&section};
    ck_assert_ptr_null(config_load(one, 1, NULL, ENV(NULL), err, sizeof err));
    ck_assert_str_eq(err, message);
}

START_TEST(mistakes_in_tables_are_reported)
{
    const struct config_setting ok = {"a.b", CONFIG_INT, 0, "1", .help = "h"};
    struct config_setting s[2] = {ok, ok};
    table_refused(s, 2, "settings table: a.b: declared twice");
    s[1].name = "a.b.c";
    table_refused(s, 2, "settings table: a.b and a.b.c: one is the other's group");
    s[1].name = "a_b";
    table_refused(s, 2, "settings table: a.b and a_b: same environment name");
    s[1] = (struct config_setting){"x", CONFIG_TEXT, 8, "", .secret = true, .env = "A", .help = "h"};
    s[0].env = "A_FILE";
    table_refused(s, 2, "settings table: a.b and x: same environment name");
    s[0] = ok;
    s[0].name = "A";
    table_refused(s, 1, "settings table: A: a name is words of a-z, 0-9 and _, joined by dots");
    s[0] = ok;
    s[0].default_text = "one";
    table_refused(s, 1, "settings table: a.b: default: \"one\" is not a whole number");
    s[0] = ok;
    s[0].offset = 12;
    table_refused(s, 1, "settings table: a.b: its offset does not fit the struct");
    s[0].offset = 16;
    table_refused(s, 1, "settings table: a.b: its offset does not fit the struct");
    s[0] = ok;
    s[0].min = "many";
    table_refused(s, 1, "settings table: a.b: its min or max cannot be used");
    s[0].min = "2", s[0].max = "1";
    table_refused(s, 1, "settings table: a.b: its min or max cannot be used");
    s[0] = ok;
    s[0].secret = true;
    table_refused(s, 1, "settings table: a.b: only a TEXT can be secret");
    s[0] = ok;
    s[0].type = CONFIG_ENUM;
    table_refused(s, 1, "settings table: a.b: choices are for ENUM, which needs them, and LIST");
    s[0] = ok;
    s[0].help = NULL;
    table_refused(s, 1, "settings table: a.b: has no help");
}
END_TEST

/* ---- printing ---- */

START_TEST(help_names_everything_in_110_columns)
{
    struct buf out;
    buf_init(&out, 65536);
    config_print_help(both, 2, &out);
    ck_assert(buf_ok(&out));
    ck_assert_ptr_nonnull(strstr(out.data, "  server.port                          SERVER_PORT\n"
                                           "    Port to listen on.\n"
                                           "    whole number, 1 to 65535; default 8083; needs a restart\n"));
    ck_assert_ptr_nonnull(
        strstr(out.data, "  kos.secret                           KOS_SECRET, also _FILE\n"));
    ck_assert_ptr_nonnull(strstr(out.data, "text, at least 8 bytes; required; taken over on SIGHUP\n"));
    ck_assert_ptr_nonnull(strstr(out.data, "  kos.outage                           OUTAGE_MODE\n"));
    ck_assert_ptr_nonnull(
        strstr(out.data, "choice, one of refuse, hold; default refuse; taken over on SIGHUP\n"));
    buf_free(&out);
}
END_TEST

START_TEST(long_help_is_wrapped)
{
    static char help[400];
    memset(help, 'w', sizeof help - 1);
    for (size_t i = 6; i < sizeof help - 1; i += 7) {
        help[i] = ' ';
    }
    const struct config_setting s = {"a.b", CONFIG_INT, 0, "1", .help = help};
    const struct config_section section = {"small", &s, 1, sizeof(struct small), NULL};
    const struct config_section *const one[] = {&section};
    struct buf out;
    buf_init(&out, 65536);
    config_print_help(one, 1, &out);
    size_t lines = 0;
    for (char *line = strtok(out.data, "\n"); line; line = strtok(NULL, "\n")) {
        ck_assert_uint_le(strlen(line), 110);
        lines++;
    }
    ck_assert_uint_ge(lines, 6);
    buf_free(&out);
}
END_TEST

START_TEST(markdown_is_one_row_per_setting)
{
    struct buf out;
    buf_init(&out, 65536);
    config_print_markdown(both, 2, &out);
    ck_assert(buf_ok(&out));
    ck_assert_ptr_nonnull(strstr(out.data,
                                 "| `server.port` | `SERVER_PORT` | whole number | `8083` | 1 to 65535 | no "
                                 "| Port to listen on. |\n"));
    ck_assert_ptr_nonnull(strstr(out.data,
                                 "| `server.open` | `SERVER_OPEN` | true or false | `no` | - | no | Whether "
                                 "it is \\| open. |\n"));
    ck_assert_ptr_nonnull(strstr(out.data, "| `kos.base_url` | `KOS_BASE_URL` | text | **required** |"));
    ck_assert_ptr_nonnull(strstr(out.data, "| `kos.secret` | `KOS_SECRET` | secret text | empty |"));
    size_t rows = 0;
    for (const char *p = out.data; (p = strchr(p, '\n')); p++) {
        rows++;
    }
    ck_assert_uint_eq(rows, 2 + server_section.count + kos_section.count);
    buf_free(&out);
}
END_TEST

/* --print-config writes what a file may say, and never a secret. */
START_TEST(printed_values_can_be_loaded_again)
{
    struct buf first, second;
    buf_init(&first, 65536);
    buf_init(&second, 65536);
    struct config *c =
        loaded("kos: {timeout: 90s, failure_rate: 0.125}\n",
               ENV("KOS_BASE_URL=http://\"k\\os\" # 한국", "KOS_SECRET=hunter2hunter2",
                   "CORS_ALLOWED_ORIGINS=a, b", "SERVER_BODY_MAX=1025", "KOS_CONNECT_TIMEOUT=2000ms"));
    config_print_values(c, &first);
    config_unref(c);
    ck_assert_ptr_null(strstr(first.data, "hunter2"));
    ck_assert_ptr_nonnull(strstr(first.data, "# kos.secret: ***  # environment\n"));
    ck_assert_ptr_nonnull(strstr(first.data, "kos.timeout: 90s  # file:1\n"));
    ck_assert_ptr_nonnull(strstr(first.data, "kos.connect_timeout: 2s  # environment\n"));
    ck_assert_ptr_nonnull(strstr(first.data, "kos.failure_rate: 0.125  # file:1\n"));
    ck_assert_ptr_nonnull(strstr(first.data, "server.body_max: 1025  # environment\n"));
    ck_assert_ptr_nonnull(strstr(first.data, "server.open: false  # default\n"));
    ck_assert_ptr_nonnull(strstr(first.data, "cors.allowed_origins: \"a,b\"  # environment\n"));
    c = loaded(first.data, ENV(NULL));
    ck_assert_str_eq(kos_of(c)->secret, "");
    ck_assert_str_eq(kos_of(c)->base_url, "http://\"k\\os\" # 한국");
    config_print_values(c, &second);
    ck_assert_ptr_nonnull(strstr(second.data, "cors.allowed_origins: \"a,b\"  # file:"));
    config_unref(c);
    buf_free(&first);
    buf_free(&second);
}
END_TEST

/* ---- reload ---- */

START_TEST(a_reload_takes_reloadable_settings_and_refuses_the_others)
{
    struct buf applied, refused_list;
    buf_init(&applied, 4096);
    buf_init(&refused_list, 4096);
    struct config *current = loaded(NULL, ENV(URL, "KOS_SECRET=secret-one", "CORS_ALLOWED_ORIGINS=a"));
    struct config *fresh = loaded("kos: {outage: hold}\nserver: {port: 9000, body_max: 32KiB}\n",
                                  ENV(URL, "KOS_SECRET=secret-two", "KOS_CONNECT_TIMEOUT=0250ms"));
    struct config *c = config_merge(current, fresh, &applied, &refused_list, err, sizeof err);
    ck_assert_msg(c != NULL, "%s", err);
    ck_assert_str_eq(applied.data, "server.body_max: 16KiB -> 32KiB\n"
                                   "cors.allowed_origins: a -> \"\"\n"
                                   "kos.secret: *** -> ***\n"
                                   "kos.outage: refuse -> hold\n");
    ck_assert_str_eq(refused_list.data, "server.port: 8083 -> 9000\n");
    config_unref(current);
    config_unref(fresh); /* the result stands alone */
    ck_assert_int_eq(server_of(c)->port, 8083);
    ck_assert_int_eq(server_of(c)->body_max, 32768);
    ck_assert_uint_eq(server_of(c)->origins.count, 0);
    ck_assert_str_eq(kos_of(c)->secret, "secret-two");
    ck_assert_int_eq(kos_of(c)->outage, 1);
    ck_assert_str_eq(config_origin(c, "server.port"), "default");
    ck_assert_str_eq(config_origin(c, "server.body_max"), "file:2");
    config_unref(c);
    buf_free(&applied);
    buf_free(&refused_list);
}
END_TEST

/* The mixture of old and new values is judged too: here 2s <= 5s and 200ms <= 1s are right, but not 2s <= 1s.
 */
START_TEST(a_reload_whose_mixture_is_wrong_is_refused)
{
    struct config *current = loaded(NULL, ENV(URL, "KOS_TIMEOUT=1s"));
    struct config *fresh = loaded(NULL, ENV(URL, "KOS_TIMEOUT=5s", "KOS_CONNECT_TIMEOUT=2s"));
    ck_assert_ptr_null(config_merge(current, fresh, NULL, NULL, err, sizeof err));
    ck_assert_str_eq(err, "kos: kos.connect_timeout (KOS_CONNECT_TIMEOUT) is longer than kos.timeout");
    const struct config_section *const one[] = {&server_section};
    struct config *other = config_load(one, 1, NULL, ENV(NULL), err, sizeof err);
    ck_assert_ptr_nonnull(other);
    ck_assert_ptr_null(config_values(other, &kos_section));
    ck_assert_ptr_null(config_merge(current, other, NULL, NULL, err, sizeof err));
    config_unref(other);
    config_unref(current);
    config_unref(fresh);
}
END_TEST

static void *hold_and_drop(void *arg)
{
    struct config *c = arg;
    for (int i = 0; i < 20000; i++) {
        config_ref(c);
        ck_assert_int_eq(server_of(c)->port, 8083);
        config_unref(c);
    }
    config_unref(c);
    return NULL;
}

/* The last of many threads frees the snapshot, once (sanitizers watch). */
START_TEST(a_snapshot_lives_as_long_as_its_last_reference)
{
    pthread_t threads[4];
    struct config *c = loaded(NULL, ENV(URL));
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, hold_and_drop, config_ref(c)), 0);
    }
    config_unref(c);
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    config_unref(NULL);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        defaults_hold_when_nothing_is_given,
        environment_wins_over_file_over_default,
        null_environment_is_the_process_s,
        durations_and_sizes_are_read_with_units,
        other_types_are_read,
        bad_environment_values_are_refused,
        empty_environment_values_empty_a_text_or_count_as_unset,
        a_secret_comes_from_a_file_without_its_final_newline,
        bad_secret_files_are_refused_without_showing_them,
        file_variables_of_other_settings_are_left_alone,
        cross_field_checks_run_when_single_values_are_right,
        mistakes_in_tables_are_reported,
        help_names_everything_in_110_columns,
        long_help_is_wrapped,
        markdown_is_one_row_per_setting,
        printed_values_can_be_loaded_again,
        a_reload_takes_reloadable_settings_and_refuses_the_others,
        a_reload_whose_mixture_is_wrong_is_refused,
        a_snapshot_lives_as_long_as_its_last_reference,
    };
    return run("config", tests, sizeof tests / sizeof *tests);
}
