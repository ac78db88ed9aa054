/* listen.c - listening sockets, one a reactor, spread by the kernel (SO_REUSEPORT). */
#include "pcs/http/http.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096 /* the kernel cuts it at net.core.somaxconn */

static int listen_on(const struct addrinfo *ai)
{
    int fd = socket(ai->ai_family, ai->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, ai->ai_protocol), one = 1;
    if (fd < 0) {
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0 &&
        bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) {
        return fd;
    }
    int cause = errno;
    close(fd);
    errno = cause;
    return -1;
}

static int64_t port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        return 0;
    }
    return address.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&address)->sin6_port)
                                         : ntohs(((struct sockaddr_in *)&address)->sin_port);
}

bool http_port_free(const char *bind_to, int64_t port, char *err, size_t errlen)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV},
                    *found = NULL;
    char service[24];
    bool taken = false;
    snprintf(service, sizeof service, "%lld", (long long)port);
    if (port == 0 || getaddrinfo(bind_to, service, &hints, &found) != 0) {
        return true; /* any port will do; a bad address is http_listen()'s to name */
    }
    int fd = socket(found->ai_family, found->ai_socktype | SOCK_CLOEXEC, found->ai_protocol), one = 1;
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        taken = bind(fd, found->ai_addr, found->ai_addrlen) != 0 && errno == EADDRINUSE;
        close(fd);
    }
    freeaddrinfo(found);
    if (taken) {
        snprintf(err, errlen, "server.port: %lld on %s is in use by another program", (long long)port,
                 bind_to);
    }
    return !taken;
}

int http_listen(const char *bind_to, int64_t *port, char *err, size_t errlen)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV},
                    *found = NULL;
    char service[24];
    snprintf(service, sizeof service, "%lld", (long long)*port);
    int rc = getaddrinfo(bind_to, service, &hints, &found);
    if (rc != 0) {
        snprintf(err, errlen, "server.bind (SERVER_BIND): \"%s\" is no address (%s)", bind_to,
                 gai_strerror(rc));
        return -1;
    }
    int fd = listen_on(found);
    if (fd < 0) {
        snprintf(err, errlen, "server.bind, server.port: cannot listen on %s:%s (%s)", bind_to, service,
                 strerror(errno));
    } else {
        *port = port_of(fd);
    }
    freeaddrinfo(found);
    return fd;
}
