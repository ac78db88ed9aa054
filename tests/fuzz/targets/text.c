/* What is written from others' bytes: JSON texts and log lines (issue 5, point 3). Whatever goes in, a JSON text comes
 * out, and one line, and it says the same. */
#include "fuzz/fuzz.h"

static void check_json(const char *text, size_t len)
{
    struct buf b;
    buf_init(&b, (size_t)1 << 24);
    buf_json_open(&b, NULL, '{');
    buf_json_strn(&b, "a", text, len);
    buf_json_strn(&b, "b", text, len);
    buf_json_close(&b, '}');
    FUZZ_CHECK(buf_ok(&b));
    bool nul = len && memchr(text, '\0', len); /* kept as \u0000, which nobody here reads */
    if (!nul) {
        FUZZ_CHECK(fuzz_is_json(b.data, b.len));
        cJSON *tree = cJSON_Parse(b.data);
        const char *read = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(tree, "a"));
        FUZZ_CHECK(read &&
                   fuzz_same(read, cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(tree, "b"))));
        bool ascii = true;
        for (size_t i = 0; i < len; i++) {
            ascii &= (unsigned char)text[i] < 0x80;
        }
        FUZZ_CHECK(!ascii || (strlen(read) == len && memcmp(read, text, len) == 0));
        cJSON_Delete(tree);
    }
    buf_free(&b);
}

static void check_log(const char *text)
{
    static int fd = -1;
    char written[65536];
    if (fd < 0) {
        fd = memfd_create("log", MFD_CLOEXEC);
        log_set_fd(fd);
    }
    FUZZ_CHECK(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
    log_write(
        LOG_LEVEL_ERROR, "fuzz",
        (const struct log_field[]){log_str("text", text), log_line("line", text), {.kind = LOG_KIND_NONE}});
    ssize_t len = pread(fd, written, sizeof written, 0);
    FUZZ_CHECK(len > 1 && written[len - 1] == '\n');
    FUZZ_CHECK(!memchr(written, '\n', (size_t)len - 1));
    FUZZ_CHECK(fuzz_is_json(written, (size_t)len - 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = fuzz_bytes(data, size), *text = fuzz_text(data, size);
    check_json(bytes, size);
    check_log(text);
    free(bytes);
    free(text);
    return 0;
}
