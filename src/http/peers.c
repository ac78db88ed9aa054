/* peers.c - by what the kernel says of the connection. */
#include "pcs/http/peers.h"

#include "http/cidr.h"

#include <stdlib.h>
#include <sys/socket.h>

struct http_peers {
    size_t count;
    struct cidr blocks[];
};

bool http_peers_valid(const struct config_list *list, const char **bad)
{
    struct cidr block;
    for (size_t i = 0; i < list->count; i++) {
        if (!cidr_parse(list->items[i], &block)) {
            *bad = list->items[i];
            return false;
        }
    }
    return true;
}

struct http_peers *http_peers_new(const struct config_list *list)
{
    struct http_peers *p = calloc(1, sizeof *p + list->count * sizeof p->blocks[0]);
    for (size_t i = 0; p && i < list->count; i++) {
        p->count += cidr_parse(list->items[i], &p->blocks[p->count]);
    }
    return p;
}

void http_peers_free(struct http_peers *p)
{
    free(p);
}

bool http_peers_hold(const struct http_peers *p, const struct http_request *rq)
{
    struct sockaddr_storage from;
    socklen_t len = sizeof from;
    unsigned char address[CIDR_BYTES];
    if (p->count == 0 || getpeername(http_client_fd(rq), (struct sockaddr *)&from, &len) != 0 ||
        !cidr_address((const struct sockaddr *)&from, address)) {
        return false;
    }
    for (size_t i = 0; i < p->count; i++) {
        if (cidr_contains(&p->blocks[i], address)) {
            return true;
        }
    }
    return false;
}
