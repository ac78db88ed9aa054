/* fuzz.h - what the fuzz targets share.
 *
 * A target is one file, targets/<name>.c, with LLVMFuzzerTestOneInput(): it gives one parser of outside input the bytes
 * it is given, and checks what must then be true (FUZZ_CHECK), not only that nothing crashes. Under clang, libFuzzer
 * makes the bytes; everywhere else driver.c reads them from the files of corpus/<name>/, so that every seed and every
 * crash that was ever found is a test of every build. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "pcs/core/json.h"
#include "pcs/core/log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FUZZ_UNUSED __attribute__((unused))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(condition)                                                                                \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: this must hold: %s\n", __FILE__, __LINE__, #condition);                  \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

__attribute__((constructor)) static void fuzz_quiet(void)
{
    log_set_threshold(LOG_LEVEL_OFF);
}

/* A copy of exactly len bytes, or with a NUL behind them: the sanitizer then sees every byte read too far. free(). */
FUZZ_UNUSED static char *fuzz_bytes(const void *data, size_t len)
{
    char *copy = calloc(1, len ? len : 1);
    FUZZ_CHECK(copy);
    if (len) {
        memcpy(copy, data, len);
    }
    return copy;
}

FUZZ_UNUSED static char *fuzz_text(const void *data, size_t len)
{
    char *copy = malloc(len + 1);
    FUZZ_CHECK(copy);
    if (len) {
        memcpy(copy, data, len);
    }
    copy[len] = '\0';
    return copy;
}

/* An input that is read piece by piece. */
struct fuzz_input {
    const uint8_t *at;
    size_t left;
};

/* The next line without its '\n', or what is left; never NULL. free(). */
FUZZ_UNUSED static char *fuzz_line(struct fuzz_input *in)
{
    const uint8_t *end = in->left ? memchr(in->at, '\n', in->left) : NULL;
    size_t len = end ? (size_t)(end - in->at) : in->left, whole = end ? len + 1 : len;
    char *line = fuzz_text(in->at, len);
    in->at += whole;
    in->left -= whole;
    return line;
}

FUZZ_UNUSED static uint8_t fuzz_byte(struct fuzz_input *in)
{
    if (in->left == 0) {
        return 0;
    }
    in->left--;
    return *in->at++;
}

/* The next text up to a NUL; NULL when it begins with '-': how absent texts are written. free(). */
FUZZ_UNUSED static char *fuzz_optional(struct fuzz_input *in)
{
    const uint8_t *end = in->left ? memchr(in->at, '\0', in->left) : NULL;
    size_t len = end ? (size_t)(end - in->at) : in->left, whole = end ? len + 1 : len;
    char *text = len && *in->at == '-' ? NULL : fuzz_text(in->at, len);
    in->at += whole;
    in->left -= whole;
    return text;
}

/* Is this a JSON text that we would take from others? */
FUZZ_UNUSED static bool fuzz_is_json(const char *text, size_t len)
{
    const struct json_limits limits = {
        .max_bytes = SIZE_MAX, .max_depth = JSON_DEPTH_MAX, .max_members = 4096};
    struct json_error error;
    return json_check(text, len, &limits, &error);
}

/* Equal, absent ones too. */
FUZZ_UNUSED static bool fuzz_same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* A file in memory with that content, for what takes a path: path needs 32 bytes. close() it. */
FUZZ_UNUSED static int fuzz_file(const void *data, size_t len, char path[32])
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    FUZZ_CHECK(fd >= 0 && write(fd, len ? data : "", len) == (ssize_t)len);
    snprintf(path, 32, "/proc/self/fd/%d", fd);
    return fd;
}

#endif
