/* cidr.h - lists of address blocks: who is a gateway. */
#ifndef PCS_SRC_HTTP_CIDR_H
#define PCS_SRC_HTTP_CIDR_H

#include "pcs/core/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#define CIDR_BYTES 16 /* IPv4 as ::ffff:a.b.c.d */

struct cidr {
    unsigned char address[CIDR_BYTES];
    unsigned bits; /* of 128 */
};

/* "10.0.0.0/8", "::1", "192.0.2.7": false when it is none, or has bits set behind its prefix. */
bool cidr_parse(const char *text, struct cidr *out);
bool cidr_contains(const struct cidr *block, const unsigned char address[CIDR_BYTES]);
/* False: no IP address (a Unix socket). */
bool cidr_address(const struct sockaddr *from, unsigned char out[CIDR_BYTES]);
/* IPv6 customers have a /64 each: clears what is behind it. IPv4 stays whole. */
void cidr_fold(unsigned char address[CIDR_BYTES]);

#endif
