/* Member names compared by what they mean: "\u0061" and "a" are the same name. */
#include "core/json_names.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

long json_hex4(const char *p, const char *end)
{
    long value = 0;

    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int d = hex_digit(p[i]);
        if (d < 0)
            return -1;
        value = value * 16 + d;
    }
    return value;
}

/* Walks the unescaped bytes of a name that the scan has already accepted. */
struct unescape {
    const char *p, *end;
    unsigned char held[4]; /* bytes of the code point being given out */
    unsigned held_count, held_next;
};

static unsigned encode_utf8(unsigned long c, unsigned char out[4])
{
    if (c < 0x80) {
        out[0] = (unsigned char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (unsigned char)(0xC0 | (c >> 6));
        out[1] = (unsigned char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (unsigned char)(0xE0 | (c >> 12));
        out[1] = (unsigned char)(0x80 | ((c >> 6) & 0x3F));
        out[2] = (unsigned char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (unsigned char)(0xF0 | (c >> 18));
    out[1] = (unsigned char)(0x80 | ((c >> 12) & 0x3F));
    out[2] = (unsigned char)(0x80 | ((c >> 6) & 0x3F));
    out[3] = (unsigned char)(0x80 | (c & 0x3F));
    return 4;
}

/* The next unescaped byte, -1 at the end. */
static int unescape_next(struct unescape *u)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    unsigned long c;
    const char *simple;

    if (u->held_next < u->held_count)
        return u->held[u->held_next++];
    if (u->p == u->end)
        return -1;
    if (*u->p != '\\')
        return (unsigned char)*u->p++;
    if (u->p[1] != 'u') {
        simple = strchr(from, u->p[1]);
        c = (unsigned char)(simple ? to[simple - from] : u->p[1]);
        u->p += 2;
        return (int)c;
    }
    c = (unsigned long)json_hex4(u->p + 2, u->end);
    u->p += 6;
    if (c >= 0xD800 && c <= 0xDBFF) {
        c = 0x10000 + ((c - 0xD800) << 10) + ((unsigned long)json_hex4(u->p + 2, u->end) - 0xDC00);
        u->p += 6;
    }
    u->held_count = encode_utf8(c, u->held);
    u->held_next = 1;
    return u->held[0];
}

uint32_t json_name_hash(const struct json_name *n)
{
    uint32_t hash = 2166136261u; /* FNV-1a: only sorts and filters, equality is always decided by the bytes */

    if (!n->escaped) {
        for (uint32_t i = 0; i < n->len; i++)
            hash = (hash ^ (unsigned char)n->text[i]) * 16777619u;
    } else {
        struct unescape u = {.p = n->text, .end = n->text + n->len};
        for (int c = unescape_next(&u); c >= 0; c = unescape_next(&u))
            hash = (hash ^ (unsigned)c) * 16777619u;
    }
    return hash;
}

/* A total order over unescaped names. */
int json_name_compare(const void *left, const void *right)
{
    const struct json_name *a = left, *b = right;
    struct unescape ua = {.p = a->text, .end = a->text + a->len},
                    ub = {.p = b->text, .end = b->text + b->len};
    int ca, cb;

    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    if (!a->escaped && !b->escaped) {
        if (a->len != b->len)
            return a->len < b->len ? -1 : 1;
        return memcmp(a->text, b->text, a->len);
    }
    /* Same rule as above, length first, which needs a walk when escapes stand in between. */
    size_t la = 0, lb = 0;
    int order = 0;
    do {
        ca = unescape_next(&ua);
        cb = unescape_next(&ub);
        la += ca >= 0;
        lb += cb >= 0;
        if (order == 0 && ca >= 0 && cb >= 0 && ca != cb)
            order = ca < cb ? -1 : 1;
    } while (ca >= 0 || cb >= 0);
    if (la != lb)
        return la < lb ? -1 : 1;
    return order;
}
