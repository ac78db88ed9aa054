/* cidr.c - address blocks, IPv4 as a part of IPv6. */
#include "http/cidr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define MAPPED_BITS 96

static const unsigned char mapped[CIDR_BYTES] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

static bool is_mapped(const unsigned char *address)
{
    return memcmp(address, mapped, MAPPED_BITS / 8) == 0;
}

static bool parse_address(const char *text, struct cidr *out)
{
    out->bits = 0;
    if (inet_pton(AF_INET6, text, out->address) == 1) {
        return true;
    }
    memcpy(out->address, mapped, sizeof mapped);
    out->bits = MAPPED_BITS;
    return inet_pton(AF_INET, text, out->address + MAPPED_BITS / 8) == 1;
}

static bool bit_of(const unsigned char *address, unsigned n)
{
    return address[n / 8] & (0x80U >> n % 8);
}

bool cidr_parse(const char *text, struct cidr *out)
{
    char address[INET6_ADDRSTRLEN], *end;
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    if (len >= sizeof address) {
        return false;
    }
    memcpy(address, text, len);
    address[len] = '\0';
    if (!parse_address(address, out)) {
        return false;
    }
    unsigned width = CIDR_BYTES * 8 - out->bits;
    unsigned long bits = width;
    if (slash) {
        if (slash[1] < '0' || slash[1] > '9') {
            return false;
        }
        bits = strtoul(slash + 1, &end, 10);
        if (bits > width || *end) {
            return false;
        }
    }
    out->bits += (unsigned)bits;
    for (unsigned n = out->bits; n < CIDR_BYTES * 8; n++) {
        if (bit_of(out->address, n)) {
            return false;
        }
    }
    return true;
}

bool cidr_contains(const struct cidr *block, const unsigned char address[CIDR_BYTES])
{
    unsigned whole = block->bits / 8, rest = block->bits % 8;
    return memcmp(block->address, address, whole) == 0 &&
           (rest == 0 || (block->address[whole] ^ address[whole]) >> (8 - rest) == 0);
}

bool cidr_address(const struct sockaddr *from, unsigned char out[CIDR_BYTES])
{
    if (from && from->sa_family == AF_INET) {
        memcpy(out, mapped, sizeof mapped);
        memcpy(out + MAPPED_BITS / 8, &((const struct sockaddr_in *)(const void *)from)->sin_addr, 4);
        return true;
    }
    if (from && from->sa_family == AF_INET6) {
        memcpy(out, &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr, CIDR_BYTES);
        return true;
    }
    return false;
}

void cidr_fold(unsigned char address[CIDR_BYTES])
{
    if (!is_mapped(address)) {
        memset(address + CIDR_BYTES / 2, 0, CIDR_BYTES / 2);
    }
}
