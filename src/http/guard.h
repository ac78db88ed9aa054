/* guard.h - the request head, looked at once: is it sound, and what of it does the service know? */
#ifndef PCS_SRC_HTTP_GUARD_H
#define PCS_SRC_HTTP_GUARD_H

#include <stdbool.h>
#include <stddef.h>

/* Headers that the service knows: found in the guard's one walk (guard.c). */
enum known_header {
    KNOWN_ACCEPT,
    KNOWN_ACCEPT_LANGUAGE,
    KNOWN_AUTHORIZATION,
    KNOWN_CONTENT_LENGTH,
    KNOWN_CONTENT_TYPE,
    KNOWN_EXPECT,
    KNOWN_HOST,
    KNOWN_IDEMPOTENCY_KEY,
    KNOWN_ORIGIN,
    KNOWN_PREFER,
    KNOWN_TRACEPARENT,
    KNOWN_TRANSFER_ENCODING,
    KNOWN_X_CUSTOMER_ID, /* identity headers: ignored unless auth.header_peers names the peer, never twice */
    KNOWN_X_LINE_NUMBER,
    KNOWN_X_REQUEST_ID,
    KNOWN_X_TOKEN_EXPIRES_AT,
    KNOWN_X_USER_ID,
    KNOWN_X_USER_PERMISSIONS,
    KNOWN_X_USER_ROLE,
    KNOWN_COUNT
};

struct request;

/* The slot of a header in request.known; -1: none. */
int guard_known(const char *name, size_t len);
/* Walks the head once, fills known[]. NULL when it is sound, else what is wrong; *too_large: 431. */
const char *guard_check(struct request *rq, const char *version, bool *too_large);
/* May this raw target's parameters fit into the connection's pool? No: nothing but 431 can come of it. */
bool guard_query_fits(const char *uri);

#endif
