/* migrate.c - the command `migrate`. */
#include "cli/cli.h"

#include "pcs/history/history.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Where the migrations are: as set, else beside the program (build tree), else installed with it. */
static bool find_migrations(const char *set, char *out, size_t size)
{
    char program[PATH_MAX];
    static const char *const places[] = {"../sql", "../share/product-change-service/sql", "sql"};
    if (*set) {
        snprintf(out, size, "%s", set);
        return is_folder(out);
    }
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    if (n <= 0) {
        return false;
    }
    program[n] = '\0';
    char *slash = strrchr(program, '/');
    *slash = '\0';
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        int len = snprintf(out, size, "%s/%s", program, places[i]);
        if (len > 0 && (size_t)len < size && is_folder(out)) {
            return true;
        }
    }
    return false;
}

int cli_migrate(const char *config_file)
{
    char dir[PATH_MAX + 64], err[2048] = "", problems[8192];
    struct buf out;
    struct config *c = cli_load_for_command(config_file, problems, sizeof problems);
    if (!c) {
        fprintf(stderr, "%s\n", problems);
        return EXIT_FAILURE;
    }
    const struct process_config *process = config_values(c, &process_config_section);
    if (!find_migrations(process->sql_path, dir, sizeof dir)) {
        fprintf(stderr, "db.migrations: no folder of migrations found%s%s\n", *process->sql_path ? ": " : "",
                process->sql_path);
        config_unref(c);
        return EXIT_FAILURE;
    }
    buf_init(&out, 1 << 20);
    bool ok = history_migrate(config_values(c, &history_config_section), dir, &out, err, sizeof err);
    if (out.len) {
        fwrite(out.data, 1, out.len, stdout);
    }
    if (!ok) {
        fprintf(stderr, "migrate: %s\n", err);
    }
    buf_free(&out);
    config_unref(c);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
