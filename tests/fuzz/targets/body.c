/* The body of a change request (CONTRACT.md 1, UFR-PROD-030): what is taken is what the JSON says. */
#include "fuzz/fake_request.h"

#include "api/common.h"
#include "pcs/core/clock.h"

static const char *text_of(const cJSON *root, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, name));
}

static void check_taken(const struct change_body *b, const char *body)
{
    static const char codes[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    char line[LINE_LEN + 1];
    cJSON *root = cJSON_Parse(body);
    const char *given = text_of(root, "lineNumber"), *now = text_of(root, "currentProductCode"),
               *target = text_of(root, "targetProductCode"), *day = text_of(root, "changeEffectiveDate");
    int64_t at;
    FUZZ_CHECK(given && now && target && b->dates);
    FUZZ_CHECK(line_parse(given, strlen(given), line) && strcmp(line, b->line) == 0);
    FUZZ_CHECK(strcmp(now, b->current) == 0 && strcmp(target, b->target) == 0);
    FUZZ_CHECK(*now && strlen(now) <= 50 && strspn(now, codes) == strlen(now));
    FUZZ_CHECK(*target && strlen(target) <= 50 && strspn(target, codes) == strlen(target));
    if (day && clock_parse_seoul_date(day, strlen(day), &at)) {
        FUZZ_CHECK(at <= clock_wall_ms()); /* a future day is never taken */
    }
    cJSON_Delete(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *body = fuzz_text(data, size);
    struct request *rq = fake_request(NULL, body, size);
    struct change_body out;
    bool taken = body_read(&rq->pub, &out);
    if (taken) {
        check_taken(&out, body);
    }
    int status = fake_end(rq);
    FUZZ_CHECK(taken ? status == 0 : status == 400);
    free(body);
    return 0;
}
