/* received.h - how much a server has said. */
#ifndef HISTORY_RECEIVED_H
#define HISTORY_RECEIVED_H

#include <stdint.h>

/* Bytes that have come in over a TCP connection since it was made; 0 where nobody counts (a Unix socket). */
uint64_t history_received(int fd);

#endif
