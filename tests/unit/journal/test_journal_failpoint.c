/* Failpoints: the process ends at the named passage, as a power cut would end it. Compiled in here, whatever the build
 * says. */
#ifndef PCS_FAILPOINTS
#define PCS_FAILPOINTS 1
#include "../../../src/core/failpoint.c"
#else
#include "pcs/core/failpoint.h"
#endif

#include <check.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Runs this program as its own victim; its wait status and what it wrote. */
static int run(const char *failpoint, char *out, size_t size)
{
    int pipe_fd[2], status;
    pid_t pid;
    char self[] = "/proc/self/exe", role[] = "victim", variable[128];
    char *const argv[] = {self, role, NULL};
    snprintf(variable, sizeof variable, "PCS_FAILPOINT=%s", failpoint);
    char *const env[] = {variable, NULL};
    posix_spawn_file_actions_t actions;
    ck_assert_int_eq(pipe(pipe_fd), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_fd[1], STDOUT_FILENO);
    ck_assert_int_eq(posix_spawn(&pid, self, &actions, NULL, argv, env), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(pipe_fd[1]);
    size_t len = 0;
    for (ssize_t n; len < size - 1 && (n = read(pipe_fd[0], out + len, size - 1 - len)) > 0;) {
        len += (size_t)n;
    }
    out[len] = '\0';
    close(pipe_fd[0]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return status;
}

static int victim(void)
{
    for (int i = 1; i <= 3; i++) {
        FAILPOINT("test.step");
        printf("%d", i);
        fflush(stdout);
    }
    FAILPOINT("test.end");
    return 0;
}

START_TEST(kills_at_the_passage)
{
    static const struct {
        const char *spec, *out;
        int killed;
    } rows[] = {
        {"", "123", 0},         {"test.step", "", 1},   {"test.step:3", "12", 1}, {"test.step:4", "123", 0},
        {"test.end", "123", 1}, {"test.ste", "123", 0}, {"test.step2", "123", 0}};
    char out[256];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int status = run(rows[i].spec, out, sizeof out);
        ck_assert_msg(WIFSIGNALED(status) == rows[i].killed, "%s", rows[i].spec);
        ck_assert_str_eq(out, rows[i].out);
    }
}
END_TEST

START_TEST(names_can_be_listed)
{
    char out[4096];
    int status = run("list", out, sizeof out);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    ck_assert_ptr_nonnull(strstr(out, "test.step\n"));
    ck_assert_ptr_nonnull(strstr(out, "test.end\n"));
    const char *names[64];
    ck_assert_uint_ge(failpoint_names(names, 64), 2);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "victim") == 0) {
        return victim();
    }
    Suite *s = suite_create("failpoint");
    TCase *t = tcase_create("failpoint");
    tcase_add_test(t, kills_at_the_passage);
    tcase_add_test(t, names_can_be_listed);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
