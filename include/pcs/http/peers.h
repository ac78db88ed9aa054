/* peers.h - lists of peer addresses that are trusted with something, as settings name them. */
#ifndef PCS_HTTP_PEERS_H
#define PCS_HTTP_PEERS_H

#include "pcs/core/config.h"
#include "pcs/http/http.h"

/* Are all of them addresses or blocks ("192.0.2.7", "10.0.0.0/8", "fd00::/8")? False: *bad is the first that is none. */
bool http_peers_valid(const struct config_list *list, const char **bad);

struct http_peers;
/* From a valid list; NULL: no memory. Immutable, so any thread may ask. */
struct http_peers *http_peers_new(const struct config_list *list);
void http_peers_free(struct http_peers *p); /* NULL is fine */
/* Did the request come over a connection from one of them? By the connection's own address, never by a header. */
bool http_peers_hold(const struct http_peers *p, const struct http_request *rq);

#endif
