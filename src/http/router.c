/* router.c - exact matching of raw paths: no decoding, no dot segments, no trailing slash (PITFALLS: paths).
 */
#include "http/router.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    enum method method;
} methods[] = {
    {"GET", METHOD_GET},     {"HEAD", METHOD_HEAD},     {"POST", METHOD_POST},       {"PUT", METHOD_PUT},
    {"PATCH", METHOD_PATCH}, {"DELETE", METHOD_DELETE}, {"OPTIONS", METHOD_OPTIONS},
};

enum method method_parse(const char *name)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (strcmp(name, methods[i].name) == 0) {
            return methods[i].method;
        }
    }
    return METHOD_OTHER;
}

/* A {name} stands for a whole segment, so braces come only right after '/' and right before '/' or the end.
 */
static bool pattern_valid(const char *path, size_t *params)
{
    *params = 0;
    for (const char *p = path; *p; p++) {
        if (*p == '}') {
            return false;
        }
        if (*p == '{') {
            const char *end = strchr(p, '}');
            if (p == path || p[-1] != '/' || !end || end == p + 1 || (end[1] && end[1] != '/')) {
                return false;
            }
            ++*params;
            p = end;
        }
    }
    return path[0] == '/' && *params <= HTTP_PARAMS_MAX;
}

static bool row_init(struct router_row *row, const struct http_route *route)
{
    size_t params;
    *row = (struct router_row){
        .route = route, .path_len = strlen(route->path), .method = method_parse(route->method)};
    if (row->method == METHOD_OTHER || row->method == METHOD_HEAD || row->method == METHOD_OPTIONS ||
        !pattern_valid(route->path, &params)) {
        return false;
    }
    row->pattern = params > 0;
    return true;
}

bool router_init(struct router *r, const struct http_route *routes, size_t count, char *err, size_t errlen)
{
    *r = (struct router){.routes = routes};
    r->rows = calloc(count ? count : 1, sizeof *r->rows);
    if (!r->rows) {
        snprintf(err, errlen, "routes: no memory");
        return false;
    }
    for (int patterns = 0; patterns <= 1; patterns++) {
        for (size_t i = 0; i < count; i++) {
            struct router_row row;
            if (!row_init(&row, &routes[i])) {
                snprintf(err, errlen, "route %s %s cannot be served", routes[i].method, routes[i].path);
                router_free(r);
                return false;
            }
            if (row.pattern == (patterns == 1)) {
                r->rows[r->count++] = row;
            }
        }
    }
    return true;
}

void router_free(struct router *r)
{
    free(r->rows);
    *r = (struct router){0};
}

/* A parameter's raw value is one segment: not empty, not "." or ".." in any spelling, no encoded '/' or NUL.
 */
static bool segment_valid(const char *p, size_t len)
{
    char plain[3];
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = p[i];
        if (c == '%' && len - i > 2) {
            if (p[i + 1] == '2' && (p[i + 2] == 'F' || p[i + 2] == 'f')) {
                return false;
            }
            if (p[i + 1] == '0' && p[i + 2] == '0') {
                return false;
            }
            c = p[i + 1] == '2' && (p[i + 2] == 'E' || p[i + 2] == 'e') ? '.' : 'x';
            i += 2;
        }
        if (n < sizeof plain) {
            plain[n] = c;
        }
        n++;
    }
    bool dots = (n == 1 && plain[0] == '.') || (n == 2 && plain[0] == '.' && plain[1] == '.');
    return n > 0 && !dots;
}

static bool pattern_match(const struct router_row *row, const char *path, size_t len,
                          struct router_params *params)
{
    const char *p = row->route->path, *v = path, *end = path + len;
    params->count = 0;
    while (*p) {
        if (*p != '{') {
            if (v == end || *v++ != *p++) {
                return false;
            }
            continue;
        }
        const char *close = strchr(p, '}'), *slash = memchr(v, '/', (size_t)(end - v));
        const char *stop = slash ? slash : end;
        if (!segment_valid(v, (size_t)(stop - v))) {
            return false;
        }
        params->items[params->count].name = p + 1;
        params->items[params->count].name_len = (size_t)(close - p - 1);
        params->items[params->count].value = v;
        params->items[params->count++].value_len = (size_t)(stop - v);
        v = stop;
        p = close + 1;
    }
    return v == end;
}

const struct http_route *router_find(const struct router *r, enum method method, const char *path, size_t len,
                                     struct router_params *params, unsigned *allowed)
{
    enum method wanted = method == METHOD_HEAD ? METHOD_GET : method;
    *allowed = 0;
    params->count = 0;
    for (size_t i = 0; i < r->count; i++) {
        const struct router_row *row = &r->rows[i];
        if (row->pattern && *allowed && !r->rows[i - 1].pattern) {
            break; /* a literal path fits: patterns are hidden */
        }
        bool fits = row->pattern ? pattern_match(row, path, len, params)
                                 : row->path_len == len && memcmp(row->route->path, path, len) == 0;
        if (fits) {
            if (row->method == wanted) {
                return row->route;
            }
            *allowed |=
                row->method == METHOD_GET ? (unsigned)(METHOD_GET | METHOD_HEAD) : (unsigned)row->method;
        }
    }
    params->count = 0;
    return NULL;
}

char *router_allow(unsigned allowed, char out[ROUTER_ALLOW_MAX])
{
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (allowed & methods[i].method) {
            n += (size_t)snprintf(out + n, ROUTER_ALLOW_MAX - n, "%s%s", n ? ", " : "", methods[i].name);
        }
    }
    return out;
}
