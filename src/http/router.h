/* router.h - the route table, compiled once a server; exact matches on the raw path. */
#ifndef PCS_SRC_HTTP_ROUTER_H
#define PCS_SRC_HTTP_ROUTER_H

#include "pcs/http/http.h"

#include <stdbool.h>
#include <stddef.h>

enum method {
    METHOD_GET = 1,
    METHOD_HEAD = 2,
    METHOD_POST = 4,
    METHOD_PUT = 8,
    METHOD_PATCH = 16,
    METHOD_DELETE = 32,
    METHOD_OPTIONS = 64,
    METHOD_OTHER = 128
};

struct router_row {
    const struct http_route *route;
    size_t path_len;
    enum method method;
    bool pattern; /* holds {parameters} */
};

struct router {
    struct router_row *rows; /* literal paths first */
    size_t count;
    const struct http_route *routes;
};

struct router_params {
    struct {
        const char *name; /* in the route: up to '}' */
        size_t name_len;
        const char *value; /* raw, in the path */
        size_t value_len;
    } items[HTTP_PARAMS_MAX];
    size_t count;
};

enum method method_parse(const char *name);

/* False: no memory, or a row that cannot be served (unknown method, path without '/', bad braces, more than
 * HTTP_PARAMS_MAX parameters); err says which. */
bool router_init(struct router *r, const struct http_route *routes, size_t count, char *err, size_t errlen);
void router_free(struct router *r);

/* The route of path and method, HEAD taking GET's; NULL: none. *allowed: the methods that the path has (0:
 * the path is unknown). A literal path hides a pattern that fits too. params is filled for a match. */
const struct http_route *router_find(const struct router *r, enum method method, const char *path, size_t len,
                                     struct router_params *params, unsigned *allowed);

/* "GET, HEAD, DELETE". Returns out. */
#define ROUTER_ALLOW_MAX 64
char *router_allow(unsigned allowed, char out[ROUTER_ALLOW_MAX]);

#endif
