/* resolve.h - names to addresses without being stuck in getaddrinfo().
 *
 * libpq resolves inside its connect, for as long as the resolver likes. So names are looked up on a thread of
 * their own that may be left behind, and libpq is given addresses (hostaddr; `host` stays for certificates).
 */
#ifndef HISTORY_RESOLVE_H
#define HISTORY_RESOLVE_H

#include "history/pglink.h"

#include <stddef.h>

#define RESOLVE_MAX 16 /* addresses tried for one connection */

struct resolve_address {
    char host[256];
    char address[64]; /* "": host is a directory of sockets */
};

struct resolve_list {
    struct resolve_address at[RESOLVE_MAX];
    size_t count;
};

/* hosts: separated by commas. Waits on l (wake-ups and stop included), at most until deadline_ns. False:
 * l->error. Names that do not resolve are left out as long as another one does. */
bool history_resolve_hosts(struct pglink *l, const char *hosts, uint64_t deadline_ns,
                           struct resolve_list *out);

#endif
