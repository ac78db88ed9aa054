/* received.c - the kernel counts; libpq does not tell. */
#include "history/received.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

uint64_t history_received(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    bool known = getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
                 len >= offsetof(struct tcp_info, tcpi_bytes_received) + sizeof info.tcpi_bytes_received;
    return known ? info.tcpi_bytes_received : 0;
}
