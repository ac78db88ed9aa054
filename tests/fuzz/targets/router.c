/* The raw path and query (issue 5, point 2): exact routes, parameters of one segment, decoding that can be checked. The
 * input is a request target; what the router says of it is said again by a slow and simple reading of the route. */
#include "fuzz/fake_request.h"

#include "pcs/admin/admin.h"
#include "pcs/api/api.h"

#include <ctype.h>

static struct router routers[2];

static void make_routers(void)
{
    char err[200];
    if (!routers[0].count) {
        FUZZ_CHECK(router_init(&routers[0], api_routes, api_route_count, err, sizeof err));
        FUZZ_CHECK(router_init(&routers[1], admin_routes, admin_route_count, err, sizeof err));
    }
}

/* Segment by segment: literal ones equal byte for byte, {name} takes one that is not empty, no dot segment. */
static bool fits(const char *pattern, const char *path)
{
    while (*pattern == '/' && *path == '/') {
        size_t want = strcspn(++pattern, "/"), have = strcspn(++path, "/");
        bool parameter = *pattern == '{';
        if (parameter ? have == 0 : want != have || memcmp(pattern, path, have) != 0) {
            return false;
        }
        pattern += want;
        path += have;
    }
    return !*pattern && !*path;
}

static void check_params(const struct router_params *params, const char *path)
{
    for (size_t i = 0; i < params->count; i++) {
        const char *value = params->items[i].value;
        size_t len = params->items[i].value_len;
        char *decoded = malloc(len + 1);
        FUZZ_CHECK(decoded && len > 0 && value > path && value + len <= path + strlen(path));
        FUZZ_CHECK(!memchr(value, '/', len) && value[-1] == '/');
        size_t n = percent_decode(decoded, value, len, false);
        if (n != SIZE_MAX) { /* else the guard has refused it before */
            FUZZ_CHECK(strlen(decoded) == n && strcmp(decoded, ".") != 0 && strcmp(decoded, "..") != 0);
            FUZZ_CHECK(!strchr(decoded, '/'));
        }
        free(decoded);
    }
}

static void check_route(const struct router *r, const char *path)
{
    struct router_params params;
    unsigned allowed = 0, again = 0;
    for (enum method m = METHOD_GET; m <= METHOD_OTHER; m <<= 1) {
        const struct http_route *route = router_find(r, m, path, strlen(path), &params, &allowed);
        if (route) {
            FUZZ_CHECK(fits(route->path, path));
            FUZZ_CHECK(method_parse(route->method) == m ||
                       (m == METHOD_HEAD && strcmp(route->method, "GET") == 0));
            check_params(&params, path);
        } else {
            FUZZ_CHECK(params.count == 0 && !(allowed & m));
            again |= allowed; /* told for a miss only: 405 */
        }
    }
    bool literal = false;
    for (size_t i = 0; i < r->count; i++) {
        literal |= strcmp(r->rows[i].route->path, path) == 0;
    }
    FUZZ_CHECK(!literal || again);
    char names[ROUTER_ALLOW_MAX];
    FUZZ_CHECK(strlen(router_allow(again, names)) < sizeof names);
}

/* A value decoded the simple way; false: it cannot be. */
static bool decode(const char *text, size_t len, char *out)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '%') {
            char two[3] = {i + 1 < len ? text[i + 1] : 0, i + 2 < len ? text[i + 2] : 0, 0};
            if (!isxdigit((unsigned char)two[0]) || !isxdigit((unsigned char)two[1])) {
                return false;
            }
            *out++ = (char)strtoul(two, NULL, 16);
            if (!out[-1]) {
                return false;
            }
            i += 2;
        } else {
            *out++ = text[i] == '+' ? ' ' : text[i];
        }
    }
    *out = '\0';
    return true;
}

static void check_query(char *query)
{
    static const char *const names[] = {"lineNumber", "page", "size", "wait", "currentProductCode"};
    struct request *rq = fake_request(query, NULL, 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bool twice = false;
        size_t name_len = strlen(names[i]), hits = 0;
        const char *value = http_query(&rq->pub, names[i], &twice), *first = NULL, *p = query;
        while (p && *p) {
            size_t len = strcspn(p, "&");
            if (len >= name_len && memcmp(p, names[i], name_len) == 0 &&
                (len == name_len || p[name_len] == '=')) {
                first = hits++ ? first : p;
            }
            p += len + (p[len] == '&');
        }
        FUZZ_CHECK(!value == !hits && twice == (hits > 1));
        if (value && rq->pub.arena.used < FAKE_ARENA / 2) {
            size_t len = strcspn(first, "&");
            size_t skip = len == name_len ? len : name_len + 1;
            char *mine = malloc(len + 1);
            bool ok = mine && decode(first + skip, len - skip, mine);
            bool clean = ok; /* what is no UTF-8 is replaced, not handed on */
            for (const char *c = mine; ok && *c; c++) {
                clean &= (unsigned char)*c < 0x80;
            }
            FUZZ_CHECK(ok ? !clean || strcmp(mine, value) == 0 : !*value);
            free(mine);
        }
    }
    fake_end(rq);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *target = fuzz_text(data, size);
    char *query = strchr(target, '?');
    if (query) {
        *query++ = '\0';
    }
    make_routers();
    check_route(&routers[0], target);
    check_route(&routers[1], target);
    if (query) {
        char *exact = fuzz_text(query, strlen(query));
        check_query(exact);
        free(exact);
    }
    free(target);
    return 0;
}
