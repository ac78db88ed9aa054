/* buf.c - bounded growing buffer and JSON writers. */
#include "pcs/core/buf.h"

#include "core/json_plain.h"
#include "pcs/core/clock.h"
#include "pcs/core/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

bool buf_grow(struct buf *b, size_t extra)
{
    if (b->failed) {
        return false;
    }
    if (extra > b->max - b->len) {
        b->failed = true;
        return false;
    }
    size_t need = b->len + extra + 1;
    if (need <= b->cap) {
        return true;
    }
    size_t cap = b->cap ? b->cap : 256;
    while (cap < need) {
        cap *= 2;
    }
    cap = cap - 1 > b->max ? b->max + 1 : cap; /* so that room within cap is room within max */
    char *grown = realloc(b->data, cap);
    if (!grown) {
        b->failed = true;
        return false;
    }
    b->data = grown;
    b->cap = cap;
    return true;
}

void buf_reserve(struct buf *b, size_t cap)
{
    if (cap <= b->max && cap + 1 > b->cap) {
        char *grown = realloc(b->data, cap + 1);
        if (!grown) {
            b->failed = true;
            return;
        }
        b->data = grown;
        b->cap = cap + 1;
        b->data[b->len] = '\0';
    }
}

void buf_free(struct buf *b)
{
    free(b->data);
    *b = (struct buf){.max = b->max};
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->data) {
        b->data[0] = '\0';
    }
}

char *buf_steal(struct buf *b, size_t *len)
{
    char *data = NULL;
    if (buf_room(b, 0)) {
        data = b->data;
        data[b->len] = '\0';
        *len = b->len;
        b->data = NULL;
    } else {
        *len = 0;
    }
    buf_free(b);
    return data;
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    if (len < 0) {
        b->failed = true;
    } else if (buf_room(b, (size_t)len)) {
        vsnprintf(b->data + b->len, (size_t)len + 1, format, again);
        b->len += (size_t)len;
    }
    va_end(again);
    va_end(args);
}

void buf_put_i64(struct buf *b, int64_t n)
{
    char room[TEXT_I64_SIZE];
    const char *digits = text_i64(room, n);
    buf_put(b, digits, (size_t)(room + sizeof room - 1 - digits));
}

static bool continues(unsigned char c)
{
    return (c & 0xC0) == 0x80;
}

/* Length of the valid UTF-8 sequence at p (1..4), 0 when there is none (RFC 3629). */
static size_t utf8_sequence(const unsigned char *p, size_t left)
{
    unsigned char c = p[0];
    if (c < 0x80) {
        return 1;
    }
    if (left < 2 || c < 0xC2 || c > 0xF4 || !continues(p[1])) {
        return 0;
    }
    if (c < 0xE0) {
        return 2;
    }
    if (left < 3 || !continues(p[2])) {
        return 0;
    }
    if (c < 0xF0) {
        return (c == 0xE0 && p[1] < 0xA0) || (c == 0xED && p[1] > 0x9F) ? 0 : 3;
    }
    return left < 4 || !continues(p[3]) || (c == 0xF0 && p[1] < 0x90) || (c == 0xF4 && p[1] > 0x8F) ? 0 : 4;
}

bool utf8_valid(const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + len;
    while (p < end) {
        size_t n = *p < 0x80 ? 1 : utf8_sequence(p, (size_t)(end - p));
        if (n == 0) {
            return false;
        }
        p += n;
    }
    return true;
}

static void json_escape(struct buf *b, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    switch (c) {
    case '"':
        buf_lit(b, "\\\"");
        break;
    case '\\':
        buf_lit(b, "\\\\");
        break;
    case '\n':
        buf_lit(b, "\\n");
        break;
    case '\r':
        buf_lit(b, "\\r");
        break;
    case '\t':
        buf_lit(b, "\\t");
        break;
    default: {
        char u[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        buf_put(b, u, sizeof u);
    }
    }
}

void buf_json_text(struct buf *b, const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + len, *run = p;
    if (!buf_room(b, len + 2)) { /* what it takes at the least: nothing becomes shorter */
        return;
    }
    buf_putc(b, '"');
    while ((p += json_plain(p, (size_t)(end - p))) < end) {
        size_t n = *p < 0x80 ? 0 : utf8_sequence(p, (size_t)(end - p));
        if (n) {
            do { /* one that is not ASCII has others beside it */
                p += n;
                n = p < end && *p >= 0x80 ? utf8_sequence(p, (size_t)(end - p)) : 0;
            } while (n);
            continue;
        }
        buf_put(b, run, (size_t)(p - run));
        if (*p < 0x80) {
            json_escape(b, *p);
        } else {
            buf_lit(b, "\xEF\xBF\xBD");
        }
        run = ++p;
    }
    buf_put(b, run, (size_t)(p - run));
    buf_putc(b, '"');
}

/* The comma between members and the member's name. */
static void json_name(struct buf *b, const char *name)
{
    size_t len = name ? strlen(name) : 0;
    bool comma = b->len && b->data[b->len - 1] != '{' && b->data[b->len - 1] != '[';
    if (!buf_room(b, len + 4)) {
        return;
    }
    char *p = b->data + b->len;
    if (comma) {
        *p++ = ',';
    }
    if (name) {
        *p++ = '"';
        memcpy(p, name, len);
        p += len;
        *p++ = '"';
        *p++ = ':';
    }
    *p = '\0';
    b->len = (size_t)(p - b->data);
}

void buf_json_open(struct buf *b, const char *name, char bracket)
{
    json_name(b, name);
    buf_putc(b, bracket);
}

void buf_json_close(struct buf *b, char bracket)
{
    buf_putc(b, bracket);
}

void buf_json_strn(struct buf *b, const char *name, const char *text, size_t len)
{
    json_name(b, name);
    buf_json_text(b, text, len);
}

void buf_json_str(struct buf *b, const char *name, const char *text)
{
    if (text) {
        buf_json_strn(b, name, text, strlen(text));
    }
}

void buf_json_int(struct buf *b, const char *name, int64_t n)
{
    json_name(b, name);
    buf_put_i64(b, n);
}

void buf_json_bool(struct buf *b, const char *name, bool value)
{
    json_name(b, name);
    buf_puts(b, value ? "true" : "false");
}

void buf_json_null(struct buf *b, const char *name)
{
    json_name(b, name);
    buf_lit(b, "null");
}

void buf_json_raw(struct buf *b, const char *name, const char *json, size_t len)
{
    json_name(b, name);
    buf_put(b, json, len);
}

void buf_json_time(struct buf *b, const char *name, int64_t unix_ms)
{
    if (unix_ms) {
        char text[CLOCK_RFC3339_LEN + 1];
        clock_format_rfc3339(text, unix_ms);
        buf_json_strn(b, name, text, CLOCK_RFC3339_LEN);
    }
}
