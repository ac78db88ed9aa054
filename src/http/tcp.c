/* tcp.c - apart from the rest, since <linux/tcp.h> and libuv's <netinet/tcp.h> exclude each other. */
#include "http/tcp.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

uint64_t tcp_unanswered_bytes(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 ||
        len < offsetof(struct tcp_info, tcpi_bytes_sent) + sizeof info.tcpi_bytes_sent) {
        return 0;
    }
    /* a lone FIN counts as one byte */
    return info.tcpi_bytes_sent == 0 && info.tcpi_bytes_received > 1 ? info.tcpi_bytes_received : 0;
}
