/* Settings from the YAML file: groups, lists, and every way in which a file can be wrong (CONTRACT.md 6). */
#include "unit/core/config_fixture.h"

#include <time.h>

START_TEST(groups_nest_and_dots_join)
{
    static const char *const forms[] = {
        "cache: {customer: {soft_age: 2h}}\n",   "cache:\n  customer:\n    soft_age: 2h\n",
        "cache.customer:\n  soft_age: '2h'\n",   "cache.customer.soft_age: 2h\n",
        "cache:\n  customer.soft_age: \"2h\"\n", "\xEF\xBB\xBF---\ncache.customer.soft_age: 2h\n...\n",
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct config *c = loaded(forms[i], ENV(URL));
        ck_assert_int_eq(kos_of(c)->soft_age, 7200000);
        config_unref(c);
    }
}
END_TEST

/* A file, or a group, whose lines are all commented out says nothing. */
START_TEST(empty_files_and_groups_are_fine)
{
    static const char *const forms[] = {"",          "\n\n",         "# nothing\n", "---\n",
                                        "server:\n", "server: {}\n", "server: ~\n"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        config_unref(loaded(forms[i], ENV(URL)));
    }
}
END_TEST

START_TEST(lists_are_sequences_or_text)
{
    static const char *const forms[] = {"cors: {allowed_origins: [http://a, 'http://b']}\n",
                                        "cors:\n  allowed_origins:\n  - http://a\n  - http://b\n",
                                        "cors.allowed_origins: http://a, http://b\n"};
    struct config *c;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        c = loaded(forms[i], ENV(URL));
        ck_assert_uint_eq(server_of(c)->origins.count, 2);
        ck_assert_str_eq(server_of(c)->origins.items[0], "http://a");
        ck_assert_str_eq(server_of(c)->origins.items[1], "http://b");
        config_unref(c);
    }
    c = loaded("cors: {allowed_origins: []}\n", ENV(URL));
    ck_assert_uint_eq(server_of(c)->origins.count, 0);
    config_unref(c);
}
END_TEST

struct wrong {
    const char *yaml, *message;
};

START_TEST(wrong_files_are_refused_with_file_line_and_name)
{
    static const struct wrong cases[] = {
        {"server:\n  port: 70000\n", "@:2: server.port: 70000 is out of range (1 to 65535)"},
        {"server:\n\n  port: x\n", "@:3: server.port: \"x\" is not a whole number (1 to 65535)"},
        {"server: {bind: \"\"}\n", "@:1: server.bind: an empty value is not accepted (1 to 20 bytes)"},
        {"server: {bind: \"a\\0b\"}\n", "@:1: server.bind: the value contains a NUL byte"},
        {"server: {bind: \"a\\tb\"}\n", "@:1: server.bind: the value contains a control character"},
        {"server: {port: }\n", "@:1: server.port: has no value"},
        {"server: {public_prefix: ~}\n",
         "@:1: server.public_prefix: has no value; write \"\" for an empty one, or remove the line"},
        {"server: {port: [1]}\n", "@:1: server.port: is a single value, not a list"},
        {"server: {port: {a: 1}}\n", "@:1: server.port: is a single value, not a group"},
        {"server: 5\n", "@:1: server: is a group of settings, not a value"},
        {"server: [5]\n", "@:1: server: is a group of settings, not a list"},
        {"5\n", "@:1: the file must consist of groups of settings, such as \"server:\""},
        {"- a\n", "@:1: the file must consist of groups of settings, such as \"server:\""},
        /* unknown */
        {"server:\n  prot: 1\n", "@:2: server.prot: unknown setting; did you mean server.port?"},
        {"sever:\n  port: 1\n", "@:1: sever: unknown setting; did you mean server?"},
        {"kos.tineout: 1s\n", "@:1: kos.tineout: unknown setting; did you mean kos.timeout?"},
        {"cache: {custmer: {soft_age: 1h}}\n",
         "@:1: cache.custmer: unknown setting; did you mean cache.customer?"},
        {"other: {x: [1, {y: 2}]}\n", "@:1: other: unknown setting"},
        {"server: {port: 1, '': 2}\n", "@:1: server.: unknown setting; did you mean server?"},
        {"\"server\\0\": {}\n", "@:1: server: unknown setting"},
        {"\"a\\nb\": 1\n", "@:1: a?b: unknown setting"},
        {"? [1, 2]\n: 3\n", "@:1: the file: a key is not a text"},
        /* twice */
        {"server:\n  port: 1\n  port: 2\n", "@:3: server.port: given twice, first on line 2"},
        {"server: {port: 1}\nserver.port: 2\n", "@:2: server.port: given twice, first on line 1"},
        {"server: {port: 1}\nkos:\nserver: {threads: 2}\n", "@:3: server: given twice, first on line 1"},
        /* what YAML can do and settings do not need */
        {"server: {port: &p 1}\n", "@:1: server.port: anchors (&p) are not supported"},
        {"server: &s {port: 1}\n", "@:1: server: anchors (&s) are not supported"},
        {"server: {port: *p}\n", "@:1: server.port: aliases (*p) are not supported"},
        {"server: {&k port: 1}\n", "@:1: a key: anchors (&k) are not supported"},
        {"*p : 1\n", "@:1: the file: a key is not a text"},
        {"cors: {allowed_origins: [*p, b]}\n", "@:1: cors.allowed_origins: aliases (*p) are not supported"},
        {"server: {port: !!int 1}\n", "@:1: server.port: tags (tag:yaml.org,2002:int) are not supported"},
        {"--- &r\nserver: {port: 1}\n", "@:1: the file: anchors (&r) are not supported"},
        {"server: {port: 1}\n---\nkos: {}\n",
         "@:2: a second document begins here; the file may have only one"},
        /* lists */
        {"cors:\n  allowed_origins:\n  - a\n  - [b]\n", "@:4: cors.allowed_origins: item 2 is not a text"},
        {"cors:\n  allowed_origins:\n  - a\n  -\n", "@:4: cors.allowed_origins: item 2 is not a text"},
        {"cors:\n  allowed_origins:\n  - a,b\n", "@:3: cors.allowed_origins: item 1 contains a comma"},
        {"cors: {allowed_origins: ['']}\n", "@:1: cors.allowed_origins: the list has an empty item"},
        {"cors: {allowed_origins: [a, '']}\n", "@:1: cors.allowed_origins: the list has an empty item"},
        {"cors: {allowed_origins: [a, b, c, d]}\n",
         "@:1: cors.allowed_origins: a list of 4 items is out of range (at most 3 items)"},
        {"jwt: {algorithms: []}\n",
         "@:1: jwt.algorithms: an empty value is not accepted (at least 1 item of HS256, "
         "HS384, HS512)"},
        {"cors: {allowed_origins: {a: b}}\n", "@:1: cors.allowed_origins: is a single value, not a group"},
        /* secrets are not shown */
        {"kos: {secret: hunter2}\n", "@:1: kos.secret: a text of 7 bytes is out of range (at least 8 bytes)"},
        /* syntax */
        {"server:\n  port: 1\n bind: x\n",
         "@:3: did not find expected key, while parsing a block mapping (line 1)"},
        {"server: {port: 1\n",
         "@:2: did not find expected ',' or '}', while parsing a flow mapping (line 1)"},
        {"server:\n\tport: 1\n",
         "@:2: found character that cannot start any token, while scanning for the next token "
         "(line 2)"},
        {"server: {port: 1}\n# \xff\n", "@:2: invalid leading UTF-8 octet"},
        {"server: {port: 1}\n# \x01\n", "@:2: control characters are not allowed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        refused(cases[i].yaml, ENV(URL), cases[i].message);
    }
}
END_TEST

START_TEST(all_problems_are_listed_in_order)
{
    refused("server:\n  port: 0\n  prot: 1\nkos:\n  offset: 99\n", ENV("SERVER_OPEN=x"),
            "@:2: server.port: 0 is out of range (1 to 65535)\n"
            "@:3: server.prot: unknown setting; did you mean server.port?\n"
            "@:5: kos.offset: 99 is out of range (at most 10)\n"
            "environment SERVER_OPEN: \"x\" is not true or false\n"
            "kos.base_url: required, but given neither in @ nor in the environment as KOS_BASE_URL");
    /* What a file that breaks off does not give is not called missing. */
    refused("server:\n  port: 0\n x\n", ENV("SERVER_OPEN=x"),
            "@:2: server.port: 0 is out of range (1 to 65535)\n"
            "@:3: did not find expected key, while parsing a block mapping (line 1)\n"
            "environment SERVER_OPEN: \"x\" is not true or false");
}
END_TEST

/* The list is bounded by 50 and by the caller's memory; it says how many more there are. */
START_TEST(the_list_of_problems_is_bounded)
{
    static char yaml[8192];
    char small[200], tail[128];
    yaml[0] = '\0';
    for (int i = 0; i < 60; i++) {
        sprintf(yaml + strlen(yaml), "unknown%02d: 1\n", i);
    }
    ck_assert_ptr_null(load(yaml, ENV(URL)));
    snprintf(tail, sizeof tail, "%s:50: unknown49: unknown setting\nand 10 more problems", path);
    ck_assert_str_eq(err + strlen(err) - strlen(tail), tail);
    ck_assert_ptr_null(config_load(both, 2, path, ENV(URL), small, sizeof small));
    ck_assert_uint_lt(strlen(small), sizeof small);
    ck_assert_ptr_nonnull(strstr(small, "unknown setting\nand 57 more problems"));
    /* Any room at all, or none, is safe. */
    for (size_t size = 0; size < 64; size++) {
        char *room = malloc(size ? size : 1);
        ck_assert_ptr_null(config_load(both, 2, path, ENV(URL), room, size));
        if (size) {
            ck_assert_uint_lt(strlen(room), size);
        }
        free(room);
    }
    ck_assert_ptr_null(config_load(both, 2, path, ENV(URL), NULL, 0));
}
END_TEST

START_TEST(unreadable_and_oversize_files_are_refused)
{
    char expected[128];
    static char large[256 * 1024 + 1];
    unlink(path);
    snprintf(expected, sizeof expected, "%s: cannot be read: No such file or directory", path);
    ck_assert_ptr_null(config_load(both, 2, path, ENV(NULL), err, sizeof err));
    ck_assert_str_eq(err, expected);
    ck_assert_ptr_null(config_load(both, 2, "/tmp", ENV(NULL), err, sizeof err));
    ck_assert_str_eq(err, "/tmp: is not a regular file");
    memset(large, '#', sizeof large);
    write_file(path, large, sizeof large);
    snprintf(expected, sizeof expected, "%s: is larger than 256 KiB", path);
    ck_assert_ptr_null(config_load(both, 2, path, ENV(NULL), err, sizeof err));
    ck_assert_str_eq(err, expected);
    write_file(path, large, sizeof large - 1);
    struct config *c = config_load(both, 2, path, ENV(URL), err, sizeof err);
    ck_assert_msg(c != NULL, "%s", err);
    config_unref(c);
}
END_TEST

/* The largest file of brackets, keys or items ends in time: no quadratic work on what is outside. */
START_TEST(hostile_files_end_quickly)
{
    static const char *const patterns[] = {
        "[", "{", "- ", "a: {", "? ", "&a ", "x: 1\n", "server.port: 1\n", "!", "- a\n"};
    static char yaml[256 * 1024];
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        for (int prefixed = 0; prefixed < 2; prefixed++) {
            size_t len = 0, unit = strlen(patterns[i]);
            if (prefixed) {
                len = (size_t)sprintf(yaml, "cors.allowed_origins: ");
            }
            for (; len + unit <= sizeof yaml; len += unit) {
                memcpy(yaml + len, patterns[i], unit);
            }
            write_file(path, yaml, len);
            struct timespec before, after;
            clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
            struct config *c = config_load(both, 2, path, ENV(URL), err, sizeof err);
            clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
            ck_assert_ptr_null(c);
            ck_assert_uint_gt(strlen(err), 0);
            ck_assert_msg(after.tv_sec - before.tv_sec < 5, "pattern %s takes too long", patterns[i]);
        }
    }
}
END_TEST

/* Random bytes and random damage to a good file: refused or loaded, never a crash, a leak or an empty
 * message. */
START_TEST(random_files_never_crash)
{
    static const char good[] =
        "server:\n  port: 9000\n  bind: \"1.2.3.4\"\n  open: yes\ncors:\n  allowed_origins:\n"
        "  - http://a\n  - 'http://b'\nkos: {base_url: http://kos, timeout: 3s, outage: hold}\n"
        "cache:\n  customer: {soft_age: 1h}\njwt.algorithms: HS256,HS512\n";
    static const char alphabet[] = "{}[]:,-?&*!|>'\"%@`#~ \n\tserverport.0129\\x\0\xff\xed\x95\x9c";
    unsigned loads = 0;
    srandom(20240601);
    for (int round = 0; round < 4000; round++) {
        char text[512];
        size_t len = sizeof good - 1;
        if (round % 2) {
            len = (size_t)random() % 200;
            for (size_t i = 0; i < len; i++) {
                text[i] =
                    round % 4 == 1 ? (char)random() : alphabet[(size_t)random() % (sizeof alphabet - 1)];
            }
        } else {
            memcpy(text, good, len);
            for (long hits = random() % 4; hits >= 0; hits--) {
                text[(size_t)random() % len] = alphabet[(size_t)random() % (sizeof alphabet - 1)];
            }
        }
        write_file(path, text, len);
        struct config *c = config_load(both, 2, path, ENV(URL), err, sizeof err);
        ck_assert((c == NULL) == (*err != '\0'));
        loads += c != NULL;
        config_unref(c);
    }
    ck_assert_uint_gt(loads, 30); /* the damage is not always fatal: both ways were taken */
    ck_assert_uint_lt(loads, 3000);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        groups_nest_and_dots_join,
        empty_files_and_groups_are_fine,
        lists_are_sequences_or_text,
        wrong_files_are_refused_with_file_line_and_name,
        all_problems_are_listed_in_order,
        the_list_of_problems_is_bounded,
        unreadable_and_oversize_files_are_refused,
        hostile_files_end_quickly,
        random_files_never_crash,
    };
    return run("config file", tests, sizeof tests / sizeof *tests);
}
