/* Who may use the admin API (issue 5, point 7): Host against rebinding, the token's file, the socket; and the routes
 * against their description. */
#include "admin/internal.h"

#include "pcs/core/log.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char dir[64], path[128], err[512];

static void setup(void)
{
    log_set_threshold(LOG_LEVEL_OFF);
    snprintf(dir, sizeof dir, "/tmp/pcs-admin-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/file", dir);
}

static void teardown(void)
{
    unlink(path);
    rmdir(dir);
}

static void write_file(const char *text, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, len), (ssize_t)len);
    close(fd);
}

/* A page of an attacker whose name was rebound to our address sends its own name. */
START_TEST(host_must_be_ours)
{
    static const struct {
        const char *host, *bind;
        bool allowed;
    } cases[] = {
        {"127.0.0.1", "127.0.0.1", true},
        {"127.0.0.1:9090", "127.0.0.1", true},
        {"localhost", "127.0.0.1", true},
        {"LocalHost:1", "127.0.0.1", true},
        {"[::1]:9090", "::1", true},
        {"[::1]", "::1", true},
        {"admin.internal:9090", "admin.internal", true},
        {"10.1.2.3:9090", "0.0.0.0", true},
        {"[fe80::1]", "::", true},
        {"evil.example", "127.0.0.1", false},
        {"evil.example:9090", "0.0.0.0", false},
        {"10.1.2.3", "127.0.0.1", false},
        {"127.0.0.1.evil.example", "127.0.0.1", false},
        {"localhost.evil.example", "127.0.0.1", false},
        {"localhost@evil.example", "127.0.0.1", false},
        {"127.0.0.1:", "127.0.0.1", true},
        {"127.0.0.1:80x", "127.0.0.1", false},
        {"127.0.0.1:80:80", "127.0.0.1", false},
        {"[::1", "::1", false},
        {"[::1]x", "::1", false},
        {"", "127.0.0.1", false},
        {":80", "127.0.0.1", false},
        {"0x7f.1", "0.0.0.0", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_msg(host_allowed(cases[i].host, cases[i].bind) == cases[i].allowed, "%s at %s",
                      cases[i].host, cases[i].bind);
    }
    ck_assert(!host_allowed(NULL, "127.0.0.1"));
}
END_TEST

START_TEST(token_file_is_read_strictly)
{
    char hash[SHA256_HEX_LEN + 1], other[SHA256_HEX_LEN + 1], text[5000];
    memset(text, 'x', sizeof text);
    write_file(text, 32);
    ck_assert(token_read(path, hash, err, sizeof err));
    text[32] = '\n';
    write_file(text, 33);
    ck_assert(token_read(path, other, err, sizeof err));
    ck_assert_str_eq(hash, other); /* the final newline is not of the token */
    text[32] = 'x';
    static const size_t bad[] = {0, 1, 31, 4097, 4999};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_file(text, bad[i]);
        ck_assert_msg(!token_read(path, hash, err, sizeof err), "%zu bytes", bad[i]);
        ck_assert_ptr_nonnull(strstr(err, "admin.token_file"));
    }
    write_file("0123456789abcdef 0123456789abcdef", 33);
    ck_assert(!token_read(path, hash, err, sizeof err));
    write_file("0123456789abcdef0123456789abcdef\0x", 34);
    ck_assert(!token_read(path, hash, err, sizeof err));
    write_file("0123456789abcdef0123456789abcdef", 32); /* in this repository: issue 5, point 5 */
    ck_assert(!token_read(path, hash, err, sizeof err));
    ck_assert_ptr_nonnull(strstr(err, "example"));
    unlink(path);
    ck_assert(!token_read(path, hash, err, sizeof err));
    ck_assert(mkfifo(path, 0600) == 0); /* would hold up the start, or a reload, for ever */
    ck_assert(!token_read(path, hash, err, sizeof err));
    ck_assert_ptr_nonnull(strstr(err, "is not a regular file"));
    unlink(path);
}
END_TEST

static mode_t mode_of(const char *file)
{
    struct stat st;
    ck_assert_int_eq(lstat(file, &st), 0);
    return st.st_mode & 0777;
}

/* 0600 whatever the umask; what a killed process left is replaced; what somebody uses, or is no socket, is not. */
START_TEST(socket_is_private_and_replaces_only_the_dead)
{
    mode_t mask = umask(0);
    int fd = listen_local(path, err, sizeof err);
    ck_assert_msg(fd >= 0, "%s", err);
    ck_assert_uint_eq(mode_of(path), 0600);
    ck_assert_uint_eq(umask(mask), 0);
    ck_assert_int_lt(listen_local(path, err, sizeof err), 0);
    ck_assert_ptr_nonnull(strstr(err, "in use"));
    close(fd); /* as a kill leaves it */
    fd = listen_local(path, err, sizeof err);
    ck_assert_msg(fd >= 0, "%s", err);
    close(fd);
    unlink(path);
    write_file("precious", 8);
    ck_assert_int_lt(listen_local(path, err, sizeof err), 0);
    ck_assert_ptr_nonnull(strstr(err, "no socket"));
    ck_assert_int_lt(listen_local("/nowhere/at/all/admin.sock", err, sizeof err), 0);
    ck_assert_ptr_nonnull(strstr(err, "admin.socket"));
}
END_TEST

/* Paths longer than a socket's address can be. */
START_TEST(socket_may_be_far_down)
{
    char deep[256], file[300];
    snprintf(deep, sizeof deep, "%s/%0150d", dir, 7);
    ck_assert_int_eq(mkdir(deep, 0700), 0);
    snprintf(file, sizeof file, "%s/admin.sock", deep);
    int fd = listen_local(file, err, sizeof err);
    ck_assert_msg(fd >= 0, "%s", err);
    ck_assert_uint_eq(mode_of(file), 0600);
    close(fd);
    unlink(file);
    rmdir(deep);
}
END_TEST

START_TEST(socket_is_in_the_slot_unless_configured)
{
    char out[64];
    ck_assert(admin_socket_path("", "/j", 3, out, sizeof out));
    ck_assert_str_eq(out, "/j/3/admin.sock");
    ck_assert(admin_socket_path("/run/pcs.sock", "/j", 3, out, sizeof out));
    ck_assert_str_eq(out, "/run/pcs.sock");
    ck_assert(!admin_socket_path("", "/j", 3, out, 8));
}
END_TEST

/* docs/admin-api.md has every route, and each route answers somebody without rights. */
START_TEST(routes_are_described)
{
    FILE *f = fopen(PCS_SOURCE_DIR "/docs/admin-api.md", "r");
    ck_assert_ptr_nonnull(f);
    static char text[65536];
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    for (size_t i = 0; i < admin_route_count; i++) {
        char wanted[128];
        snprintf(wanted, sizeof wanted, "`%s %s", admin_routes[i].method, admin_routes[i].path);
        ck_assert_msg(strstr(text, wanted) != NULL, "%s is not in docs/admin-api.md", wanted);
        ck_assert_msg(strncmp(admin_routes[i].path, "/admin/", 7) == 0, "%s", admin_routes[i].path);
        bool page = strncmp(admin_routes[i].path, "/admin/console", 14) == 0; /* holds no data */
        ck_assert_msg(page || !(admin_routes[i].flags & HTTP_OPEN), "%s is open", admin_routes[i].path);
    }
}
END_TEST

START_TEST(event_states_are_named)
{
    enum journal_event_state s;
    ck_assert(view_event_state_parse(NULL, &s) && s == EVENT_ANY);
    ck_assert(view_event_state_parse("", &s) && s == EVENT_ANY);
    for (int i = 0; i < EVENT_ANY; i++) {
        ck_assert(view_event_state_parse(view_event_state((enum journal_event_state)i), &s) && (int)s == i);
    }
    ck_assert(!view_event_state_parse("lost", &s));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("admin");
    TCase *t = tcase_create("gate");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, host_must_be_ours);
    tcase_add_test(t, token_file_is_read_strictly);
    tcase_add_test(t, socket_is_private_and_replaces_only_the_dead);
    tcase_add_test(t, socket_may_be_far_down);
    tcase_add_test(t, socket_is_in_the_slot_unless_configured);
    tcase_add_test(t, routes_are_described);
    tcase_add_test(t, event_states_are_named);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
