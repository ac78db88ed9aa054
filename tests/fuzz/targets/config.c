/* Settings (CONTRACT.md 6): the YAML file and the environment. Lines "NAME=value" behind a line "---ENV---" are the
 * environment. What loads prints as a file that loads as the same; what does not says why, in lines that nobody can
 * forge. */
#include "fuzz/fuzz.h"

#include "cli/cli.h"

#define ENV_MARK "\n---ENV---\n"
#define ENV_MAX  32

static void check_problem(const char *err)
{
    FUZZ_CHECK(*err && err[strlen(err) - 1] != '\n');
    for (const char *p = err; *p; p++) {
        FUZZ_CHECK((unsigned char)*p >= ' ' || *p == '\n');
        FUZZ_CHECK(*p != 0x7f);
    }
}

/* Secrets are not printed: a file that held one cannot be made again. */
static bool secret_in_file(const struct config *c)
{
    for (size_t i = 0; i < cli_section_count; i++) {
        for (size_t j = 0; j < cli_sections[i]->count; j++) {
            const struct config_setting *s = &cli_sections[i]->settings[j];
            if (s->secret && strncmp(config_origin(c, s->name), "file", 4) == 0) {
                return true;
            }
        }
    }
    return false;
}

static void check_loaded(struct config *c, char **environment)
{
    char err[8192], path[32];
    struct buf printed, applied, refused;
    buf_init(&printed, (size_t)1 << 20);
    buf_init(&applied, (size_t)1 << 20);
    buf_init(&refused, (size_t)1 << 20);
    config_print_values(c, &printed);
    FUZZ_CHECK(buf_ok(&printed));
    int fd = fuzz_file(printed.data, printed.len, path);
    struct config *again = config_load(cli_sections, cli_section_count, path, environment, err, sizeof err);
    if (!again) {
        FUZZ_CHECK(secret_in_file(c));
    } else {
        struct config *merged = config_merge(c, again, &applied, &refused, err, sizeof err);
        FUZZ_CHECK(secret_in_file(c) || (merged && applied.len == 0 && refused.len == 0));
        config_unref(merged);
        config_unref(again);
    }
    close(fd);
    buf_free(&printed);
    buf_free(&applied);
    buf_free(&refused);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size), *environment[ENV_MAX + 1] = {NULL}, err[8192] = "", path[32];
    char *mark = memmem(text, size, ENV_MARK, strlen(ENV_MARK)), *save = NULL;
    size_t len = mark ? (size_t)(mark - text) : size, count = 0;
    for (char *line = mark ? strtok_r(mark + strlen(ENV_MARK), "\n", &save) : NULL; line && count < ENV_MAX;
         line = strtok_r(NULL, "\n", &save)) {
        environment[count++] = line;
    }
    int fd = fuzz_file(text, len, path);
    struct config *c = config_load(cli_sections, cli_section_count, path, environment, err, sizeof err);
    if (c) {
        check_loaded(c, environment);
        config_unref(c);
    } else {
        check_problem(err);
    }
    close(fd);
    free(text);
    return 0;
}
