/* read.c - reading a request: headers, query, parameters; and paths for clients. */
#include "http/internal.h"

#include <string.h>

static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

size_t percent_decode(char *out, const char *text, size_t len, bool plus_is_space)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '%') {
            int high = len - i > 2 ? hex_value(text[i + 1]) : -1,
                low = len - i > 2 ? hex_value(text[i + 2]) : -1;
            if (high < 0 || low < 0 || high + low == 0) {
                return SIZE_MAX;
            }
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        out[n++] = c;
    }
    out[n] = '\0';
    return n;
}

const char *http_header(const struct http_request *pub, const char *name)
{
    const struct request *rq = (const struct request *)pub;
    int known = guard_known(name, strlen(name));
    if (known >= 0) {
        return rq->known[known];
    }
    return rq->mhd ? MHD_lookup_connection_value(rq->mhd, MHD_HEADER_KIND, name) : NULL;
}

bool http_prefers(const struct http_request *pub, const char *preference)
{
    const char *prefer = ((const struct request *)pub)->known[KNOWN_PREFER];
    return prefer && negotiate_prefers(prefer, preference);
}

int http_client_fd(const struct http_request *pub)
{
    const struct conn *c = ((const struct request *)pub)->conn;
    return c ? c->fd : -1;
}

const char *http_param(const struct http_request *rq, const char *name)
{
    for (size_t i = 0; i < HTTP_PARAMS_MAX && rq->params[i].name; i++) {
        if (strcmp(rq->params[i].name, name) == 0) {
            return rq->params[i].value;
        }
    }
    return NULL;
}

/* Bytes of the valid UTF-8 sequence at p, 0: none (RFC 3629: shortest form, no surrogates). */
static size_t utf8_length(const unsigned char *p, size_t left)
{
    size_t n = p[0] < 0x80                    ? 1
               : p[0] >= 0xC2 && p[0] <= 0xDF ? 2
               : (p[0] & 0xF0) == 0xE0        ? 3
               : p[0] >= 0xF0 && p[0] <= 0xF4 ? 4
                                              : 0;
    if (n == 0 || n > left) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) || (p[0] == 0xF0 && p[1] < 0x90) ||
        (p[0] == 0xF4 && p[1] > 0x8F)) {
        return 0;
    }
    return n;
}

/* Replaces what is no UTF-8 by U+FFFD, so that a later check refuses it instead of a library further down. */
static const char *utf8_clean(struct arena *a, const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + len;
    size_t bad = 0, n;
    for (; p < end; p += n ? n : 1) {
        n = utf8_length(p, (size_t)(end - p));
        bad += n == 0;
    }
    if (!bad) {
        return text;
    }
    char *out = arena_alloc(a, len + 2 * bad + 1), *o = out;
    if (!out) {
        return NULL;
    }
    for (p = (const unsigned char *)text; p < end; p += n ? n : 1) {
        n = utf8_length(p, (size_t)(end - p));
        memcpy(o, n ? (const char *)p : "\xEF\xBF\xBD", n ? n : 3);
        o += n ? n : 3;
    }
    *o = '\0';
    return out;
}

static const char *decode_value(struct http_request *pub, const char *text, size_t len)
{
    char *out = arena_alloc(&pub->arena, len + 1);
    size_t n = out ? percent_decode(out, text, len, true) : SIZE_MAX;
    const char *clean = n == SIZE_MAX ? NULL : utf8_clean(&pub->arena, out, n);
    return clean ? clean : ""; /* no memory: present, but no value that anything accepts */
}

const char *http_query(struct http_request *pub, const char *name, bool *twice)
{
    const char *p = ((const struct request *)pub)->query, *found = NULL;
    size_t name_len = strlen(name), found_len = 0, hits = 0;
    while (p && *p) {
        const char *end = p + strcspn(p, "&"), *equals = memchr(p, '=', (size_t)(end - p));
        const char *name_end = equals ? equals : end;
        if ((size_t)(name_end - p) == name_len && memcmp(p, name, name_len) == 0 && hits++ == 0) {
            found = equals ? equals + 1 : end;
            found_len = (size_t)(end - found);
        }
        p = *end ? end + 1 : end;
    }
    if (twice) {
        *twice = hits > 1;
    }
    return found ? decode_value(pub, found, found_len) : NULL;
}

/* The frontend's family has names of its own for some resources (CONTRACT.md 1, table). It has no change
 * screen: what it offers instead is the list of products. */
char *http_href(struct http_request *pub, const char *core_path)
{
    static const struct {
        const char *core, *frontend;
    } names[] = {
        {"/request/validation", "/api/v1/products/change/validation"},
        {"/request", "/api/v1/products/change"},
        {"/change", "/api/v1/products/available"},
    };
    const struct request *rq = (const struct request *)pub;
    if (!pub->route || pub->route->family == HTTP_CORE) {
        return arena_printf(&pub->arena, "%s%s", rq->pub.server->config->public_prefix, core_path);
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t len = strlen(names[i].core);
        if (strncmp(core_path, names[i].core, len) == 0 && strchr("/?", core_path[len])) {
            return arena_printf(&pub->arena, "%s%s", names[i].frontend, core_path + len);
        }
    }
    return arena_printf(&pub->arena, "/api/v1/products%s", core_path);
}
