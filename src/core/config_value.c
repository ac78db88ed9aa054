/* config_value.c - the types of settings: reading, bounds, canonical text, storing.
 *
 * Every type but TEXT and LIST is one int64_t inside (config_number.c), so that bounds are compared exactly
 * and in one place; TEXT and LIST are bounded by a count. */
#include "core/config_internal.h"

#include <stdalign.h>
#include <stdio.h>
#include <string.h>

size_t value_size(enum config_type type)
{
    switch (type) {
    case CONFIG_TEXT:
        return sizeof(const char *);
    case CONFIG_BOOL:
        return sizeof(bool);
    case CONFIG_PERCENT:
        return sizeof(double);
    case CONFIG_ENUM:
        return sizeof(int);
    case CONFIG_LIST:
        return sizeof(struct config_list);
    default:
        return sizeof(int64_t);
    }
}

size_t value_align(enum config_type type)
{
    switch (type) {
    case CONFIG_TEXT:
        return alignof(const char *);
    case CONFIG_BOOL:
        return alignof(bool);
    case CONFIG_PERCENT:
        return alignof(double);
    case CONFIG_ENUM:
        return alignof(int);
    case CONFIG_LIST:
        return alignof(struct config_list);
    default:
        return alignof(int64_t);
    }
}

const char *value_shown(const char *text, size_t len, char out[SHOWN_SIZE])
{
    const size_t most = SHOWN_SIZE - 4;
    size_t n = len;
    if (n > most) {
        n = most;
        while (n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80) {
            n--;
        }
    }
    snprintf(out, SHOWN_SIZE, "%.*s%s", (int)n, text, len > n ? "..." : "");
    return out;
}

/* ---- bounds ---- */

/* What every value of the type must keep to, tightened by the setting's own bounds. */
static bool bounds(const struct config_setting *s, int64_t *min, int64_t *max)
{
    *min = s->type == CONFIG_PERCENT ? 1 : s->type == CONFIG_INT ? INT64_MIN : 0;
    *max = s->type == CONFIG_PERCENT ? 100 * MILLIONTHS
           : s->type == CONFIG_LIST  ? CONFIG_ITEMS_MAX
                                     : INT64_MAX;
    if (s->type == CONFIG_DURATION) {
        (void)number_read(s, CONFIG_DURATION_MAX, max);
    } else if (s->type == CONFIG_TEXT) {
        *max = (int64_t)CONFIG_VALUE_MAX;
    }
    int64_t n;
    bool valid = true;
    if (s->min) {
        valid = number_read(s, s->min, &n) == NUMBER_OK && n >= *min;
        *min = valid ? n : *min;
    }
    if (s->max) {
        bool max_valid = number_read(s, s->max, &n) == NUMBER_OK && n <= *max;
        *max = max_valid ? n : *max;
        valid = valid && max_valid;
    }
    return valid && *min <= *max;
}

bool value_bounds_valid(const struct config_setting *s)
{
    int64_t min, max;
    return bounds(s, &min, &max);
}

bool value_accepts_empty(const struct config_setting *s)
{
    int64_t min, max;
    if ((s->type != CONFIG_TEXT && s->type != CONFIG_LIST) || !s->default_text) {
        return false;
    }
    (void)bounds(s, &min, &max);
    return !*s->default_text || min == 0;
}

void value_range(const struct config_setting *s, char *out, size_t size)
{
    struct buf b;
    buf_init(&b, size - sizeof "...");
    const char *min = s->min, *max = s->max;
    if (s->type == CONFIG_PERCENT) {
        max = max ? max : "100";
        buf_printf(&b, min ? "%s to %s" : "over %s to %s", min ? min : "0", max);
    } else if (min && max) {
        buf_printf(&b, "%s to %s", min, max);
    } else if (min || max) {
        buf_printf(&b, "%s %s", min ? "at least" : "at most", min ? min : max);
    }
    if (b.len && (s->type == CONFIG_TEXT || s->type == CONFIG_LIST)) {
        buf_puts(&b, s->type == CONFIG_TEXT ? " byte" : " item");
        buf_puts(&b, strcmp(max ? max : min, "1") == 0 ? "" : "s");
    }
    for (size_t i = 0; s->choices && s->choices[i]; i++) {
        buf_puts(&b, i ? ", " : b.len ? " of " : s->type == CONFIG_LIST ? "any of " : "one of ");
        buf_puts(&b, s->choices[i]);
    }
    snprintf(out, size, "%s%s", b.data ? b.data : "", buf_ok(&b) ? "" : "...");
    buf_free(&b);
}

/* ---- judging ---- */

/* Writes "<what> <verdict>[ (<range>)]". */
static void say(const struct config_setting *s, const char *what, const char *verdict, char *why,
                size_t whylen)
{
    char range[WHY_SIZE / 2];
    value_range(s, range, sizeof range);
    snprintf(why, whylen, *range ? "%s %s (%s)" : "%s %s", what, verdict, range);
}

static const char *not_a(enum config_type type)
{
    switch (type) {
    case CONFIG_BOOL:
        return "is not true or false";
    case CONFIG_DURATION:
        return "is not a duration such as 250ms, 3s, 10m, 4h or 7d";
    case CONFIG_SIZE:
        return "is not a size such as 512, 16KiB or 4MiB";
    case CONFIG_PERCENT:
        return "is not a percentage such as 50 or 0.5";
    case CONFIG_ENUM:
        return "is not known";
    default:
        return "is not a whole number";
    }
}

static const char *read_scalar(const struct config_setting *s, const char *text, struct arena *a, char *why,
                               size_t whylen)
{
    char shown[SHOWN_SIZE], quoted[SHOWN_SIZE + 2];
    int64_t n, min, max;
    value_shown(text, strlen(text), shown);
    enum number result = number_read(s, text, &n);
    if (result == NUMBER_BAD) {
        snprintf(quoted, sizeof quoted, "\"%s\"", shown);
        say(s, quoted, not_a(s->type), why, whylen);
        return NULL;
    }
    (void)bounds(s, &min, &max);
    if (result == NUMBER_HUGE || n < min || n > max) {
        char range[WHY_SIZE / 2];
        value_range(s, range, sizeof range);
        say(s, shown, *range ? "is out of range" : "is too large", why, whylen);
        return NULL;
    }
    char canonical[64];
    if (s->type == CONFIG_ENUM) {
        return s->choices[n];
    }
    number_print(s, n, canonical, sizeof canonical);
    const char *copy = arena_strdup(a, canonical);
    if (!copy) {
        snprintf(why, whylen, "no memory");
    }
    return copy;
}

/* Bounds of a TEXT's length or a LIST's items. */
static bool count_fits(const struct config_setting *s, size_t count, char *why, size_t whylen)
{
    char what[64];
    int64_t min, max;
    (void)bounds(s, &min, &max);
    if ((count == 0 && value_accepts_empty(s)) ||
        (count > 0 && (int64_t)count >= min && (int64_t)count <= max)) {
        return true;
    }
    if (count == 0) {
        say(s, "an empty value", "is not accepted", why, whylen);
    } else {
        snprintf(what, sizeof what, "a %s of %zu %s%s", s->type == CONFIG_LIST ? "list" : "text", count,
                 s->type == CONFIG_LIST ? "item" : "byte", count == 1 ? "" : "s");
        say(s, what, "is out of range", why, whylen);
    }
    return false;
}

/* The next item of comma-separated text, without blanks around it. False: there is none. */
static bool next_item(const char **text, const char **item, size_t *len)
{
    if (!*text) {
        return false;
    }
    const char *start = *text + strspn(*text, " \t"), *comma = strchr(start, ',');
    size_t n = comma ? (size_t)(comma - start) : strlen(start);
    while (n > 0 && (start[n - 1] == ' ' || start[n - 1] == '\t')) {
        n--;
    }
    *item = start;
    *len = n;
    *text = comma ? comma + 1 : NULL;
    return true;
}

static bool item_fits(const struct config_setting *s, const char *item, size_t len, char *why, size_t whylen)
{
    char shown[SHOWN_SIZE], quoted[SHOWN_SIZE + 2];
    if (len == 0) {
        snprintf(why, whylen, "the list has an empty item");
        return false;
    }
    for (size_t i = 0; s->choices && s->choices[i]; i++) {
        if (strlen(s->choices[i]) == len && memcmp(s->choices[i], item, len) == 0) {
            return true;
        }
    }
    if (s->choices) {
        snprintf(quoted, sizeof quoted, "\"%s\"", value_shown(item, len, shown));
        say(s, quoted, "is not known", why, whylen);
        return false;
    }
    return true;
}

static const char *read_list(const struct config_setting *s, const char *text, struct arena *a, char *why,
                             size_t whylen)
{
    struct buf joined;
    const char *item, *copy = NULL, *rest = text[strspn(text, " \t")] ? text : NULL;
    size_t len, count = 0;
    buf_init(&joined, CONFIG_VALUE_MAX);
    while (next_item(&rest, &item, &len)) {
        if (!item_fits(s, item, len, why, whylen)) {
            goto out;
        }
        if (count++) {
            buf_putc(&joined, ',');
        }
        buf_put(&joined, item, len);
    }
    if (!count_fits(s, count, why, whylen)) {
        goto out;
    }
    copy = buf_ok(&joined) ? arena_strndup(a, joined.data ? joined.data : "", joined.len) : NULL;
    if (!copy) {
        snprintf(why, whylen, "no memory");
    }
out:
    buf_free(&joined);
    return copy;
}

static bool has_control(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7F) {
            return true;
        }
    }
    return false;
}

const char *value_read(const struct config_setting *s, const char *text, size_t len, struct arena *a,
                       char *why, size_t whylen)
{
    if (len > CONFIG_VALUE_MAX) {
        snprintf(why, whylen, "the value is longer than %zu KiB", CONFIG_VALUE_MAX / 1024);
        return NULL;
    }
    if (memchr(text, '\0', len)) {
        snprintf(why, whylen, "the value contains a NUL byte");
        return NULL;
    }
    if (!s->secret && has_control(text, len)) {
        snprintf(why, whylen, "the value contains a control character");
        return NULL;
    }
    if (s->type == CONFIG_TEXT && !count_fits(s, len, why, whylen)) {
        return NULL;
    }
    const char *copy = arena_strndup(a, text, len);
    if (!copy) {
        snprintf(why, whylen, "no memory");
        return NULL;
    }
    if (s->type == CONFIG_TEXT) {
        return copy;
    }
    return s->type == CONFIG_LIST ? read_list(s, copy, a, why, whylen) : read_scalar(s, copy, a, why, whylen);
}

/* ---- storing ---- */

static bool store_list(const char *canonical, struct arena *a, void *member)
{
    struct config_list list = {NULL, 0};
    const char *item, *rest = *canonical ? canonical : NULL;
    size_t len, count = rest ? 1 : 0;
    for (const char *p = canonical; *p; p++) {
        count += *p == ',';
    }
    const char **items = arena_alloc(a, count * sizeof *items);
    if (!items) {
        return false;
    }
    while (next_item(&rest, &item, &len)) {
        if (!(items[list.count++] = arena_strndup(a, item, len))) {
            return false;
        }
    }
    list.items = count ? items : NULL;
    memcpy(member, &list, sizeof list);
    return true;
}

bool value_store(const struct config_setting *s, const char *canonical, struct arena *a, void *values)
{
    char *member = (char *)values + s->offset;
    int64_t n = 0;
    if (s->type == CONFIG_TEXT) {
        memcpy(member, &canonical, sizeof canonical);
        return true;
    }
    if (s->type == CONFIG_LIST) {
        return store_list(canonical, a, member);
    }
    (void)number_read(s, canonical, &n);
    if (s->type == CONFIG_BOOL) {
        bool flag = n != 0;
        memcpy(member, &flag, sizeof flag);
    } else if (s->type == CONFIG_ENUM) {
        int choice = (int)n;
        memcpy(member, &choice, sizeof choice);
    } else if (s->type == CONFIG_PERCENT) {
        double percent = (double)n / (double)MILLIONTHS;
        memcpy(member, &percent, sizeof percent);
    } else {
        memcpy(member, &n, sizeof n);
    }
    return true;
}
