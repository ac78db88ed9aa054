/* config_number.c - reading and printing the settings' numbers: each type as one int64_t. */
#include "core/config_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit duration_units[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {NULL, 0},
};
static const struct unit size_units[] = {
    {"TiB", INT64_C(1) << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}, {NULL, 0},
};

/* Reads the digits at *p; at least one. */
static enum number read_digits(const char **p, int64_t *n)
{
    const char *start = *p;
    bool huge = false;
    *n = 0;
    for (; **p >= '0' && **p <= '9'; ++*p) {
        huge = huge || __builtin_mul_overflow(*n, 10, n) || __builtin_add_overflow(*n, **p - '0', n);
    }
    return *p == start ? NUMBER_BAD : huge ? NUMBER_HUGE : NUMBER_OK;
}

static enum number read_int(const char *text, int64_t *n)
{
    const char *p = *text == '-' ? text + 1 : text;
    enum number result = read_digits(&p, n);
    if (*p) {
        return NUMBER_BAD;
    }
    if (*text == '-') {
        *n = -*n;
    }
    return result;
}

static enum number read_with_unit(const char *text, const struct unit *units, int64_t *n)
{
    enum number result = read_digits(&text, n);
    if (result == NUMBER_BAD) {
        return result;
    }
    if (!*text) {
        /* A bare number is bytes; of durations only 0 needs no unit. */
        return units == size_units || (result == NUMBER_OK && *n == 0) ? result : NUMBER_BAD;
    }
    for (const struct unit *u = units; u->name; u++) {
        if (strcmp(text, u->name) == 0) {
            return __builtin_mul_overflow(*n, u->factor, n) ? NUMBER_HUGE : result;
        }
    }
    return NUMBER_BAD;
}

static enum number read_percent(const char *text, int64_t *n)
{
    int64_t fraction = 0, scale = MILLIONTHS;
    enum number result = read_digits(&text, n);
    if (result == NUMBER_BAD) {
        return result;
    }
    if (*text == '.') {
        const char *start = ++text;
        for (; *text >= '0' && *text <= '9'; text++) {
            if (text - start >= 6) {
                return NUMBER_BAD;
            }
            scale /= 10;
            fraction += (*text - '0') * scale;
        }
        if (text == start) {
            return NUMBER_BAD;
        }
    }
    if (*text == '%') {
        text++;
    }
    if (*text) {
        return NUMBER_BAD;
    }
    if (__builtin_mul_overflow(*n, MILLIONTHS, n) || __builtin_add_overflow(*n, fraction, n)) {
        return NUMBER_HUGE;
    }
    return result;
}

static enum number read_bool(const char *text, int64_t *n)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcasecmp(text, words[i]) == 0) {
            *n = (int64_t)(i % 2);
            return NUMBER_OK;
        }
    }
    return NUMBER_BAD;
}

static enum number read_choice(const char *text, const char *const *choices, int64_t *n)
{
    for (int64_t i = 0; choices && choices[i]; i++) {
        if (strcasecmp(text, choices[i]) == 0) {
            *n = i;
            return NUMBER_OK;
        }
    }
    return NUMBER_BAD;
}

enum number number_read(const struct config_setting *s, const char *text, int64_t *n)
{
    switch (s->type) {
    case CONFIG_BOOL:
        return read_bool(text, n);
    case CONFIG_DURATION:
        return read_with_unit(text, duration_units, n);
    case CONFIG_SIZE:
        return read_with_unit(text, size_units, n);
    case CONFIG_PERCENT:
        return read_percent(text, n);
    case CONFIG_ENUM:
        return read_choice(text, s->choices, n);
    default: /* also the counts that bound TEXT and LIST */
        return read_int(text, n);
    }
}

static void print_with_unit(int64_t n, const struct unit *units, char *out, size_t size)
{
    const struct unit *u = units;
    while (u->factor > 1 && (n == 0 || n % u->factor != 0)) {
        u++;
    }
    snprintf(out, size, "%" PRId64 "%s", n / u->factor, n == 0 || u->name[0] == 'B' ? "" : u->name);
}

static void print_percent(int64_t n, char *out, size_t size)
{
    snprintf(out, size, "%" PRId64 ".%06" PRId64, n / MILLIONTHS, n % MILLIONTHS);
    size_t len = strlen(out);
    while (out[len - 1] == '0') {
        out[--len] = '\0';
    }
    if (out[len - 1] == '.') {
        out[len - 1] = '\0';
    }
}

void number_print(const struct config_setting *s, int64_t n, char *out, size_t size)
{
    switch (s->type) {
    case CONFIG_BOOL:
        snprintf(out, size, "%s", n ? "true" : "false");
        return;
    case CONFIG_DURATION:
        print_with_unit(n, duration_units, out, size);
        return;
    case CONFIG_SIZE:
        print_with_unit(n, size_units, out, size);
        return;
    case CONFIG_PERCENT:
        print_percent(n, out, size);
        return;
    case CONFIG_ENUM:
        snprintf(out, size, "%s", s->choices[n]);
        return;
    default:
        snprintf(out, size, "%" PRId64, n);
    }
}
