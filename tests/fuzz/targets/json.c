/* The strict check in front of cJSON (issue 5, point 3; PITFALLS 7): what it accepts, cJSON reads as the same. */
#include "fuzz/fuzz.h"

/* Deeper or more than allowed anywhere? Duplicate names are looked for the slow way. */
static void check_tree(const cJSON *item, const struct json_limits *limits, unsigned depth)
{
    const cJSON *a, *b;
    size_t members = 0;
    FUZZ_CHECK(!cJSON_IsInvalid(item));
    if (cJSON_IsNumber(item)) {
        FUZZ_CHECK(item->valuedouble - item->valuedouble == 0); /* neither infinite nor NaN */
    }
    if (!cJSON_IsObject(item) && !cJSON_IsArray(item)) {
        return;
    }
    FUZZ_CHECK(depth < limits->max_depth);
    cJSON_ArrayForEach(a, item)
    {
        members++;
        check_tree(a, limits, depth + 1);
        for (b = a->next; cJSON_IsObject(item) && !limits->allow_duplicates && members < 64 && b;
             b = b->next) {
            FUZZ_CHECK(strcmp(a->string, b->string) != 0);
        }
    }
    FUZZ_CHECK(!cJSON_IsObject(item) || members <= limits->max_members);
}

static bool member_utf8(const char *text)
{
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    buf_json_text(&b, text, strlen(text));
    bool replaced = !buf_ok(&b) || (strstr(b.data, "\xEF\xBF\xBD") && !strstr(text, "\xEF\xBF\xBD"));
    buf_free(&b);
    return !replaced;
}

static void check_texts(const cJSON *item)
{
    const cJSON *child;
    FUZZ_CHECK(!item->string || member_utf8(item->string));
    FUZZ_CHECK(!cJSON_IsString(item) || member_utf8(item->valuestring));
    cJSON_ArrayForEach(child, item)
    {
        check_texts(child);
    }
}

static void check_accepted(const char *text, size_t len, const struct json_limits *limits)
{
    struct json_error error;
    cJSON *tree = json_parse(text, len, limits, &error);
    FUZZ_CHECK(tree); /* the check and cJSON agree */
    check_tree(tree, limits, 0);
    check_texts(tree);
    char *printed = cJSON_PrintUnformatted(tree);
    FUZZ_CHECK(printed && (limits->allow_duplicates || fuzz_is_json(printed, strlen(printed))));
    cJSON *again = cJSON_Parse(printed);
    FUZZ_CHECK(again && (limits->allow_duplicates || cJSON_Compare(tree, again, true)));
    cJSON_Delete(again);
    free(printed);
    cJSON_Delete(tree);
    /* a text is a whole text: neither a part of it nor more than it (a number may be a part of a number) */
    char *more = malloc(len + 1);
    FUZZ_CHECK(more);
    memcpy(more, text, len);
    more[len] = ']';
    FUZZ_CHECK(!json_check(more, len + 1, limits, &error));
    if (text[len - 1] == '}' || text[len - 1] == ']' || text[len - 1] == '"') {
        FUZZ_CHECK(!json_check(text, len - 1, limits, &error));
    }
    free(more);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    uint8_t choice = fuzz_byte(&in);
    struct json_limits limits = {.max_bytes = 65536,
                                 .max_depth = choice & 1 ? 4 : JSON_DEPTH_MAX,
                                 .max_members = choice & 2 ? 3 : 256,
                                 .allow_duplicates = choice & 4};
    struct json_error error;
    char *text = fuzz_bytes(in.at, in.left);
    if (json_check(text, in.left, &limits, &error)) {
        check_accepted(text, in.left, &limits);
    } else {
        FUZZ_CHECK(error.reason && error.offset <= in.left && error.line >= 1 && error.column >= 1);
        FUZZ_CHECK(!json_parse(text, in.left, &limits, &error));
    }
    free(text);
    return 0;
}
