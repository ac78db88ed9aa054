/* peers.h - is this the only instance on this Redis?
 *
 * Line keys in Redis keep two instances from working on one line. An instance that has been alone for longer than any
 * line key lives can find no key there but its own, whose changes its journal knows: it need not ask. Every instance
 * says once a second that it is there (a sorted set, by time); one that is gone counts for PEER_MEMORY_MS more, as its
 * keys may still be there. Not known (Redis away, late, or the answer is old): not alone. */
#ifndef CHANGE_PEERS_H
#define CHANGE_PEERS_H

#include "change/service.h"

#define PEER_MEMORY_MS INT64_C(3600000) /* line keys live for 20 min; the rest is for clocks that differ */

/* Begins to say so, on the first service of the process that calls it; stops with the service. */
void peers_start(struct change_service *svc);
void peers_stop(struct change_service *svc);
/* Any thread. */
bool peers_none(const struct change_shared *s);

#endif
