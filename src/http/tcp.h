/* tcp.h - what the kernel knows of a connection. */
#ifndef PCS_SRC_HTTP_TCP_H
#define PCS_SRC_HTTP_TCP_H

#include <stdint.h>

/* Bytes that came in while none went out; 0 when some went out, none came, or it is no TCP socket. */
uint64_t tcp_unanswered_bytes(int fd);

#endif
