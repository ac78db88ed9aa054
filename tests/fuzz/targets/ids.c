/* Identifiers from outside: UUIDs, request ids, trace context, line numbers, product codes (CONTRACT.md 1). Each is
 * compared with its rule, written once more as a regular expression. */
#include "fuzz/fuzz.h"

#include "pcs/core/id.h"
#include "pcs/product/product.h"

#include <regex.h>
#include <strings.h>

struct rule {
    bool compiled;
    regex_t expression;
};

static bool matches(const char *text, size_t len, const char *pattern, struct rule *rule)
{
    if (!rule->compiled) {
        FUZZ_CHECK(regcomp(&rule->expression, pattern, REG_EXTENDED | REG_NOSUB) == 0);
        rule->compiled = true;
    }
    return strlen(text) == len && !strchr(text, '\n') && regexec(&rule->expression, text, 0, NULL, 0) == 0;
}

static void check_uuid(const char *text, size_t len)
{
    static struct rule rule;
    char out[UUID_LEN + 1], again[UUID_LEN + 1];
    int64_t at;
    bool ok = uuid_parse(text, len, out);
    FUZZ_CHECK(ok == matches(text, len, "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$", &rule));
    if (!ok) {
        return;
    }
    FUZZ_CHECK(strncasecmp(out, text, len) == 0 && uuid_parse(out, UUID_LEN, again) &&
               strcmp(out, again) == 0);
    if (uuid_v7_time(out, &at)) {
        FUZZ_CHECK(at >= 0 && at < INT64_C(1) << 48);
    }
}

static void check_trace(const char *text, size_t len)
{
    static struct rule rule;
    char out[TRACEPARENT_LEN + 1], next[TRACEPARENT_LEN + 1];
    traceparent_child(text, len, out);
    FUZZ_CHECK(matches(out, TRACEPARENT_LEN, "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$", &rule));
    traceparent_child(out, TRACEPARENT_LEN, next);
    FUZZ_CHECK(memcmp(out, next, 35) == 0); /* what we send is taken for what it is */
    if (len >= TRACEPARENT_LEN && memcmp(out + 3, text + 3, 32) == 0) {
        FUZZ_CHECK(memcmp(text, "ff", 2) != 0);
    }
}

static void check_line(const char *text, size_t len)
{
    static struct rule rule;
    char out[LINE_LEN + 1], plain[64];
    size_t n = 0;
    for (size_t i = 0; i < len && n < sizeof plain - 1; i++) {
        if (text[i] != '-') {
            plain[n++] = text[i];
        }
    }
    plain[n] = '\0';
    bool ok = line_parse(text, len, out);
    FUZZ_CHECK(!ok || matches(out, LINE_LEN, "^010[0-9]{8}$", &rule));
    FUZZ_CHECK(!ok || strcmp(plain, out) == 0);
    FUZZ_CHECK(ok || len > 32 || !matches(plain, n, "^010[0-9]{8}$", &rule));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rule request, product;
    char *text = fuzz_text(data, size), *exact = fuzz_bytes(data, size);
    check_uuid(text, size);
    check_trace(exact, size);
    check_line(text, size);
    FUZZ_CHECK(request_id_valid(exact, size) == matches(text, size, "^[A-Za-z0-9._:-]{1,128}$", &request));
    FUZZ_CHECK(product_code_valid(exact, size) == matches(text, size, "^[A-Za-z0-9_.-]{1,50}$", &product));
    free(exact);
    free(text);
    return 0;
}
