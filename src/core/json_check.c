/* The strict check that stands in front of cJSON: RFC 8259 in one pass.
 *
 * Recursive descent, bounded by JSON_DEPTH_MAX frames. Member names of the objects that are open at the
 * moment lie on one stack of names; it begins in the caller's frame, so an ordinary text needs no allocation.
 * A small object compares each new name with its earlier ones; a big one is sorted when it closes, with a
 * total order over the unescaped names, so neither many members nor colliding hashes make it quadratic. */
#include "core/json_names.h"
#include "core/json_plain.h"
#include "pcs/core/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_INLINE 64 /* names held without an allocation */
#define NAMES_LINEAR 32 /* members up to which an object compares as it goes */

struct scan {
    const char *p, *end;
    const struct json_limits *limits;
    const char *reason; /* NULL while all is well */
    const char *at;     /* where it went wrong */
    unsigned depth;
    struct json_name *names;
    size_t name_count, name_cap;
    struct json_name inline_names[NAMES_INLINE];
};

static bool scan_value(struct scan *s);

static bool fail(struct scan *s, const char *at, const char *reason)
{
    if (!s->reason) {
        s->reason = reason;
        s->at = at;
    }
    return false;
}

static void skip_space(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
        s->p++;
}

/* ---- strings ---- */

/* s->p stands on the backslash. */
static bool scan_escape(struct scan *s)
{
    const char *at = s->p;
    long unit, low;

    if (s->end - at < 2)
        return fail(s, at, "unfinished escape");
    if (at[1] != 'u') {
        if (!memchr("\"\\/bfnrt", at[1], 8))
            return fail(s, at, "unknown escape");
        s->p += 2;
        return true;
    }
    unit = json_hex4(at + 2, s->end);
    if (unit < 0)
        return fail(s, at, "\\u needs four hex digits");
    if (unit == 0)
        return fail(s, at, "\\u0000 is not allowed");
    s->p += 6;
    if (unit >= 0xDC00 && unit <= 0xDFFF)
        return fail(s, at, "lone surrogate");
    if (unit >= 0xD800 && unit <= 0xDBFF) {
        low = s->end - s->p >= 6 && s->p[0] == '\\' && s->p[1] == 'u' ? json_hex4(s->p + 2, s->end) : -1;
        if (low < 0xDC00 || low > 0xDFFF)
            return fail(s, at, "lone surrogate");
        s->p += 6;
    }
    return true;
}

/* s->p stands on a byte >= 0x80. Shortest forms only, no surrogates, nothing above U+10FFFF (RFC 3629). */
static bool scan_utf8(struct scan *s)
{
    const unsigned char *p = (const unsigned char *)s->p;
    size_t room = (size_t)(s->end - s->p), extra;
    unsigned char low = 0x80, high = 0xBF;

    if (p[0] >= 0xC2 && p[0] <= 0xDF) {
        extra = 1;
    } else if (p[0] >= 0xE0 && p[0] <= 0xEF) {
        extra = 2;
        low = p[0] == 0xE0 ? 0xA0 : 0x80;
        high = p[0] == 0xED ? 0x9F : 0xBF;
    } else if (p[0] >= 0xF0 && p[0] <= 0xF4) {
        extra = 3;
        low = p[0] == 0xF0 ? 0x90 : 0x80;
        high = p[0] == 0xF4 ? 0x8F : 0xBF;
    } else {
        return fail(s, s->p, "invalid UTF-8");
    }
    if (room <= extra || p[1] < low || p[1] > high)
        return fail(s, s->p, "invalid UTF-8");
    for (size_t i = 2; i <= extra; i++)
        if (p[i] < 0x80 || p[i] > 0xBF)
            return fail(s, s->p, "invalid UTF-8");
    s->p += extra + 1;
    return true;
}

/* s->p stands on the opening quote; *out becomes what is between the quotes (no hash yet). */
static bool scan_string(struct scan *s, struct json_name *out)
{
    const char *first = s->p + 1;
    bool escaped = false;

    s->p = first;
    for (;;) {
        unsigned char c;

        s->p += json_plain((const unsigned char *)s->p, (size_t)(s->end - s->p));
        if (s->p == s->end)
            return fail(s, s->p, "unfinished string");
        c = (unsigned char)*s->p;
        if (c == '"')
            break;
        if (c == '\\') {
            escaped = true;
            if (!scan_escape(s))
                return false;
        } else if (c >= 0x80) {
            if (!scan_utf8(s))
                return false;
        } else if (c < 0x20) {
            return fail(s, s->p, "control character in a string");
        } else {
            s->p++; /* DEL: read, though not written */
        }
    }
    *out = (struct json_name){.text = first, .len = (uint32_t)(s->p - first), .escaped = escaped};
    s->p++;
    return true;
}

/* ---- numbers and words ---- */

static void skip_digits(struct scan *s)
{
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
        s->p++;
}

static bool at_digit(const struct scan *s)
{
    return s->p < s->end && *s->p >= '0' && *s->p <= '9';
}

/* A number that a double cannot hold is refused: cJSON would read 1e999 as infinity and print it as null. */
static bool number_in_range(const char *text, size_t len)
{
    char copy[JSON_NUMBER_MAX + 1];

    memcpy(copy, text, len);
    copy[len] = '\0';
    errno = 0;
    (void)strtod(copy, NULL);
    return errno != ERANGE;
}

static bool scan_number(struct scan *s)
{
    const char *first = s->p;
    bool exponent = false;

    if (*s->p == '-')
        s->p++;
    if (!at_digit(s))
        return fail(s, s->p, "digit expected");
    if (*s->p == '0') {
        s->p++;
        if (at_digit(s))
            return fail(s, s->p, "number with a leading zero");
    }
    skip_digits(s);
    if (s->p < s->end && *s->p == '.') {
        s->p++;
        if (!at_digit(s))
            return fail(s, s->p, "digit expected after the decimal point");
        skip_digits(s);
    }
    if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
        exponent = true;
        s->p++;
        if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
            s->p++;
        if (!at_digit(s))
            return fail(s, s->p, "digit expected in the exponent");
        skip_digits(s);
    }
    if (s->p - first > JSON_NUMBER_MAX)
        return fail(s, first, "number too long");
    if (exponent && !number_in_range(first, (size_t)(s->p - first)))
        return fail(s, first, "number out of range");
    return true;
}

static bool scan_word(struct scan *s, const char *word)
{
    size_t len = strlen(word);

    if ((size_t)(s->end - s->p) < len || memcmp(s->p, word, len) != 0)
        return fail(s, s->p, "unknown word");
    s->p += len;
    return true;
}

/* ---- names of an object ---- */

static bool names_grow(struct scan *s)
{
    size_t cap = s->name_cap * 2;
    struct json_name *bigger = malloc(cap * sizeof *bigger);

    if (!bigger)
        return false;
    memcpy(bigger, s->names, s->name_count * sizeof *bigger);
    if (s->names != s->inline_names)
        free(s->names);
    s->names = bigger;
    s->name_cap = cap;
    return true;
}

/* first: where this object's names begin on the stack. */
static bool names_add(struct scan *s, size_t first, struct json_name *n)
{
    if (s->name_count - first >= s->limits->max_members)
        return fail(s, n->text - 1, "too many members in an object");
    if (s->limits->allow_duplicates) {
        s->name_count++; /* counted only: nothing is looked up */
        return true;
    }
    n->hash = json_name_hash(n);
    if (s->name_count - first < NAMES_LINEAR)
        for (size_t i = first; i < s->name_count; i++)
            if (s->names[i].hash == n->hash && json_name_compare(&s->names[i], n) == 0)
                return fail(s, n->text - 1, "duplicate member");
    if (s->name_count == s->name_cap && !names_grow(s))
        return fail(s, n->text - 1, "no memory");
    s->names[s->name_count++] = *n;
    return true;
}

static bool names_close(struct scan *s, size_t first)
{
    size_t count = s->name_count - first;
    const struct json_name *names = s->names + first;

    s->name_count = first;
    if (s->limits->allow_duplicates || count <= NAMES_LINEAR)
        return true;
    qsort(s->names + first, count, sizeof *names, json_name_compare);
    for (size_t i = 1; i < count; i++)
        if (json_name_compare(&names[i - 1], &names[i]) == 0)
            return fail(s, (names[i - 1].text > names[i].text ? names[i - 1].text : names[i].text) - 1,
                        "duplicate member");
    return true;
}

/* ---- objects, arrays, values ---- */

static bool scan_object(struct scan *s)
{
    size_t first = s->name_count;
    struct json_name n;

    s->p++;
    skip_space(s);
    if (s->p < s->end && *s->p == '}') {
        s->p++;
        return true;
    }
    for (;;) {
        skip_space(s);
        if (s->p == s->end || *s->p != '"')
            return fail(s, s->p, "member name expected");
        if (!scan_string(s, &n) || !names_add(s, first, &n))
            return false;
        skip_space(s);
        if (s->p == s->end || *s->p != ':')
            return fail(s, s->p, "':' expected");
        s->p++;
        if (!scan_value(s))
            return false;
        skip_space(s);
        if (s->p == s->end || (*s->p != ',' && *s->p != '}'))
            return fail(s, s->p, "',' or '}' expected");
        if (*s->p++ == '}')
            return names_close(s, first);
    }
}

static bool scan_array(struct scan *s)
{
    s->p++;
    skip_space(s);
    if (s->p < s->end && *s->p == ']') {
        s->p++;
        return true;
    }
    for (;;) {
        if (!scan_value(s))
            return false;
        skip_space(s);
        if (s->p == s->end || (*s->p != ',' && *s->p != ']'))
            return fail(s, s->p, "',' or ']' expected");
        if (*s->p++ == ']')
            return true;
    }
}

static bool scan_nested(struct scan *s)
{
    unsigned max = s->limits->max_depth < JSON_DEPTH_MAX ? s->limits->max_depth : JSON_DEPTH_MAX;
    bool ok;

    if (s->depth == max)
        return fail(s, s->p, "nested too deeply");
    s->depth++;
    ok = *s->p == '{' ? scan_object(s) : scan_array(s);
    s->depth--;
    return ok;
}

static bool scan_value(struct scan *s)
{
    struct json_name ignored;

    skip_space(s);
    if (s->p == s->end)
        return fail(s, s->p, "value expected");
    switch (*s->p) {
    case '{':
    case '[':
        return scan_nested(s);
    case '"':
        return scan_string(s, &ignored);
    case 't':
        return scan_word(s, "true");
    case 'f':
        return scan_word(s, "false");
    case 'n':
        return scan_word(s, "null");
    case '-':
        return scan_number(s);
    default:
        return at_digit(s) ? scan_number(s) : fail(s, s->p, "value expected");
    }
}

/* ---- public ---- */

static void error_fill(struct json_error *error, const char *text, size_t offset, const char *reason)
{
    *error = (struct json_error){.offset = offset, .line = 1, .column = 1, .reason = reason};
    for (size_t i = 0; i < offset; i++) {
        error->column++;
        if (text[i] == '\n') {
            error->line++;
            error->column = 1;
        }
    }
}

bool json_check(const char *text, size_t len, const struct json_limits *limits, struct json_error *error)
{
    struct scan s; /* member by member below: to clear the inline names takes longer than many a text */
    bool ok;

    if (len > limits->max_bytes || len > UINT32_MAX) {
        *error =
            (struct json_error){.offset = limits->max_bytes, .line = 1, .column = 1, .reason = "too long"};
        return false;
    }
    if (!text)
        text = ""; /* an empty buffer has no memory */
    s.p = text;
    s.end = text + len;
    s.limits = limits;
    s.reason = s.at = NULL;
    s.depth = 0;
    s.names = s.inline_names;
    s.name_count = 0;
    s.name_cap = NAMES_INLINE;
    ok = scan_value(&s);
    skip_space(&s);
    if (ok && s.p != s.end)
        ok = fail(&s, s.p, "text after the end of the value");
    if (s.names != s.inline_names)
        free(s.names);
    if (ok)
        *error = (struct json_error){.line = 1, .column = 1};
    else
        error_fill(error, text, (size_t)(s.at - text), s.reason);
    return ok;
}
