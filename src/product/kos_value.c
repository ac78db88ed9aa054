/* kos_value.c - untidy numbers, texts and dates. */
#include "product/kos_value.h"

#include "pcs/core/clock.h"
#include "pcs/core/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_LEN  63
#define ALLOWANCE_MAX 1e9 /* beyond it a number is no allowance */
#define CODE_DIGITS   8   /* so many digits are no result code */

static void snake_case(const char *name, char out[NAME_MAX_LEN + 1])
{
    size_t n = 0;
    for (; *name && n < NAME_MAX_LEN - 1; name++) {
        if (*name >= 'A' && *name <= 'Z') {
            out[n++] = '_';
            out[n++] = (char)(*name - 'A' + 'a');
        } else {
            out[n++] = *name;
        }
    }
    out[n] = '\0';
}

const cJSON *kos_get(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    if (!item || cJSON_IsNull(item)) {
        char other[NAME_MAX_LEN + 1];
        snake_case(name, other);
        item = cJSON_GetObjectItemCaseSensitive(object, other);
    }
    return item && !cJSON_IsNull(item) ? item : NULL;
}

const cJSON *kos_get_object(const cJSON *object, const char *name)
{
    const cJSON *item = kos_get(object, name);
    return cJSON_IsObject(item) ? item : NULL;
}

/* At most KOS_TEXT_MAX bytes, cut between two characters: what KOS sends goes on to screens and tables. */
static const char *kept(struct kos_reader *in, const char *text)
{
    size_t len = strnlen(text, KOS_TEXT_MAX + 1);
    if (len > KOS_TEXT_MAX) {
        for (len = KOS_TEXT_MAX; len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80;) {
            len--;
        }
    }
    const char *copy = arena_strndup(in->arena, text, len);
    if (!copy) {
        in->no_memory = true;
    }
    return copy;
}

const char *kos_text(struct kos_reader *in, const cJSON *object, const char *name)
{
    const cJSON *item = kos_get(object, name);
    int64_t number;
    if (cJSON_IsString(item) && *item->valuestring) {
        return kept(in, item->valuestring);
    }
    if (json_number_int(item, &number)) {
        char room[TEXT_I64_SIZE];
        return kept(in, text_i64(room, number));
    }
    return NULL;
}

/* It goes into logs and into kos_integration_log: visible ASCII, and nothing that could be a line number or the like. */
static void make_presentable(char *code)
{
    size_t digits = 0;
    for (char *p = code; *p; p++) {
        *p = *p > ' ' && *p < 0x7F ? *p : '?';
        digits += *p >= '0' && *p <= '9';
    }
    for (char *p = code; digits >= CODE_DIGITS && *p; p++) {
        *p = *p >= '0' && *p <= '9' ? '?' : *p;
    }
}

bool kos_code(const cJSON *object, const char *name, char code[KOS_CODE_MAX + 1], bool *given)
{
    const cJSON *item = kos_get(object, name);
    int64_t number;
    code[0] = '\0';
    if (given) {
        *given = item != NULL;
    }
    if (cJSON_IsString(item)) {
        text_copy(code, KOS_CODE_MAX + 1, item->valuestring);
        make_presentable(code);
        return true;
    }
    if (json_number_int(item, &number) && number >= 0 && number <= 9999) {
        snprintf(code, KOS_CODE_MAX + 1, "%04d", (int)number);
        return true;
    }
    return false;
}

/* [0-9]+(\.[0-9]+)? with a minus in front where allowed: the text, or NULL. */
static const char *plain_decimal(const char *text, bool minus)
{
    const char *p = text + (minus && *text == '-');
    size_t digits = strspn(p, "0123456789");
    if (digits == 0) {
        return NULL;
    }
    p += digits;
    if (*p == '.') {
        digits = strspn(++p, "0123456789");
        if (digits == 0) {
            return NULL;
        }
        p += digits;
    }
    return *p == '\0' ? text : NULL;
}

/* Exact, unlike strtod(): a fraction must be zeros. */
static bool whole_decimal(const char *text, int64_t *out)
{
    int64_t value = 0;
    if (!plain_decimal(text, false)) {
        return false;
    }
    for (; *text && *text != '.'; text++) {
        value = value * 10 + (*text - '0');
        if (value > JSON_INT_MAX) {
            return false;
        }
    }
    if (*text == '.' && text[1 + strspn(text + 1, "0")] != '\0') {
        return false;
    }
    *out = value;
    return true;
}

bool kos_fee(const cJSON *object, const char *name, int64_t *won)
{
    const cJSON *item = kos_get(object, name);
    if (cJSON_IsString(item)) {
        return whole_decimal(item->valuestring, won);
    }
    int64_t value;
    if (!json_number_int(item, &value) || value < 0) {
        return false;
    }
    *won = value;
    return true;
}

/* At most three decimals, none that are zero: 1.5, 100. */
static const char *number_text(struct kos_reader *in, double value, const char *unit)
{
    char text[64], room[TEXT_I64_SIZE];
    int64_t whole = (int64_t)value; /* it is at most ALLOWANCE_MAX */
    if ((double)whole == value) {   /* nearly always */
        text_join(text, sizeof text, text_i64(room, whole), unit);
        return kept(in, text);
    }
    int n = snprintf(text, sizeof text, "%.3f", value);
    while (text[n - 1] == '0') {
        n--;
    }
    if (text[n - 1] == '.') {
        n--;
    }
    snprintf(text + n, sizeof text - (size_t)n, "%s", unit);
    return kept(in, text);
}

const char *kos_allowance(struct kos_reader *in, const cJSON *object, const char *name, const char *unit)
{
    const cJSON *item = kos_get(object, name);
    double value;
    if (cJSON_IsString(item)) {
        const char *number = plain_decimal(item->valuestring, true);
        if (!number) {
            return *item->valuestring ? kept(in, item->valuestring) : NULL;
        }
        value = strtod(number, NULL);
    } else if (cJSON_IsNumber(item)) {
        value = item->valuedouble;
    } else {
        return NULL;
    }
    if (value == -1) {
        return kept(in, "무제한");
    }
    if (!(value >= 0 && value <= ALLOWANCE_MAX)) {
        return NULL;
    }
    return number_text(in, fabs(value), unit); /* fabs: -0 is 0 */
}

const char *kos_date(struct kos_reader *in, const cJSON *object, const char *name)
{
    const char *text = kos_text(in, object, name);
    char date[CLOCK_DATE_LEN + 1];
    int64_t ms;
    if (!text) {
        return NULL;
    }
    size_t len = strlen(text);
    if (len == 8 && strspn(text, "0123456789") == 8) {
        snprintf(date, sizeof date, "%.4s-%.2s-%.2s", text, text + 4, text + 6);
        text = date;
        len = CLOCK_DATE_LEN;
    }
    if (!clock_parse_seoul_date(text, len, &ms) && !clock_parse_rfc3339(text, len, &ms)) {
        return NULL;
    }
    clock_format_seoul_date(date, ms);
    return kept(in, date);
}
