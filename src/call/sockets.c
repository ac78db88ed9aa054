/* sockets.c - curl's multi interface on libuv.
 *
 * One uv_poll a socket, one uv_timer. curl's callbacks only note what it wants; curl is run from libuv's callbacks and
 * from the end of the turn, and each run is followed by fetching what has ended.
 *
 * A connection's poll handle lives as long as the connection: between two calls it simply stays watched, which spares
 * some seven system calls a call. That takes knowing when the descriptor is closed. curl 7.88 tells (close_socket) for
 * connections that have come to a request; one that failed to connect is closed silently, and its number may be
 * given to the next attempt at once. So a handle is kept only once a request is about to be written on it
 * (sockets_established), and until then lives only while curl says that it watches. The handle always goes before the
 * descriptor does, or with it: libuv refuses a second watcher on a descriptor. */
#define CURL_DISABLE_DEPRECATION /* curl_multi_socket_all() */
#include "call/client.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define ERRORS_MAX 64 /* reads after a socket error, so that an answer that came before a reset is not lost */

struct call_socket {
    uv_poll_t poll;
    LIST_ENTRY(call_socket) link;    /* in client->sockets */
    LIST_ENTRY(call_socket) by_port; /* in client->ports, once established */
    struct call_client *client;
    curl_socket_t fd;
    int wanted;  /* UV_READABLE | UV_WRITABLE, 0: curl does not care */
    int watched; /* what libuv watches */
    unsigned errors;
    int local_port, peer_port; /* once established */
    bool established;          /* a request was about to be written: close_socket() will be called */
    bool closed;               /* the handle is closing */
};

static void on_poll(uv_poll_t *handle, int status, int events);

/* ---- handles ---- */

static void on_socket_closed(uv_handle_t *handle)
{
    struct call_socket *s = handle->data;
    struct call_client *c = s->client;
    free(s);
    client_handle_closed(c);
}

static struct call_socket *socket_new(struct call_client *c, curl_socket_t fd)
{
    struct call_socket *s = calloc(1, sizeof *s);
    if (!s) {
        return NULL;
    }
    if (uv_poll_init_socket(&c->reactor->loop, &s->poll, fd) != 0) {
        free(s);
        return NULL;
    }
    s->poll.data = s;
    s->client = c;
    s->fd = fd;
    c->handles++;
    LIST_INSERT_HEAD(&c->sockets[(unsigned)fd % CALL_SOCKET_BUCKETS], s, link);
    return s;
}

static void socket_close(struct call_socket *s)
{
    LIST_REMOVE(s, link);
    if (s->established) {
        LIST_REMOVE(s, by_port);
    }
    s->closed = true;
    uv_close((uv_handle_t *)&s->poll, on_socket_closed);
}

static struct call_socket *socket_find(struct call_client *c, curl_socket_t fd)
{
    struct call_socket *s;
    LIST_FOREACH(s, &c->sockets[(unsigned)fd % CALL_SOCKET_BUCKETS], link)
    {
        if (s->fd == fd) {
            return s;
        }
    }
    return NULL;
}

static bool watch(struct call_socket *s, int events)
{
    if (events == s->watched) {
        return true;
    }
    s->watched = events;
    return (events ? uv_poll_start(&s->poll, events, on_poll) : uv_poll_stop(&s->poll)) == 0;
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct call_socket *s = handle->data;
    struct call_client *c = s->client;
    int flags = 0, running;
    if (status < 0) {
        s->watched = 0; /* libuv has stopped the handle */
        flags = ++s->errors > ERRORS_MAX ? CURL_CSELECT_ERR : CURL_CSELECT_IN | CURL_CSELECT_ERR;
    } else {
        flags |= events & UV_READABLE ? CURL_CSELECT_IN : 0;
        flags |= events & UV_WRITABLE ? CURL_CSELECT_OUT : 0;
    }
    if (!s->wanted) { /* an idle connection stirs: seen when it is to be used (sockets_stirred) */
        watch(s, 0);
        return;
    }
    curl_multi_socket_action(c->multi, s->fd, flags, &running);
    if (!s->closed && s->wanted) {
        watch(s, s->wanted);
    }
    call_drain(c);
}

/* ---- what curl calls ---- */

/* A handle of the same number belongs to an attempt that curl has closed without a word. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct call_client *c = arg;
    (void)purpose;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->protocol);
    if (fd < 0) {
        return CURL_SOCKET_BAD;
    }
    struct call_socket *old = socket_find(c, fd);
    if (old) {
        curl_multi_assign(c->multi, fd, NULL);
        socket_close(old);
    }
    if (!socket_new(c, fd)) {
        close(fd);
        return CURL_SOCKET_BAD;
    }
    return fd;
}

static int close_socket(void *arg, curl_socket_t fd)
{
    struct call_socket *s = socket_find(arg, fd);
    if (s) {
        socket_close(s);
    }
    return close(fd);
}

static void socket_unwatch(struct call_socket *s)
{
    s->wanted = 0;
    curl_multi_assign(s->client->multi, s->fd, NULL);
    if (s->closed) {
        return;
    }
    if (!s->established) {
        socket_close(s);
        /* Perhaps an address that did not answer in its share of the time: curl 7.88 tries the next one only when it
         * is run again, but does not ask for that. */
        s->client->look = true;
        client_busy(s->client);
    } else if (s->watched & UV_WRITABLE) {
        watch(s, 0);
    }
}

/* -1 makes curl end the transfers with an error: there is no way to wait for this socket. */
static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket)
{
    struct call_client *c = arg;
    struct call_socket *s = socket;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (s) {
            socket_unwatch(s);
        }
        return 0;
    }
    if (!s) {
        s = socket_find(c, fd);
        if (!s && !(s = socket_new(c, fd))) {
            return -1;
        }
        s->errors = 0;
        curl_multi_assign(c->multi, fd, s);
    }
    s->wanted = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    return watch(s, s->wanted) ? 0 : -1;
}

static void on_timer(uv_timer_t *timer)
{
    sockets_run_due(timer->data);
}

static int on_curl_timer(CURLM *multi, long ms, void *arg)
{
    struct call_client *c = arg;
    (void)multi;
    if (c->closing) {
        return 0;
    }
    if (ms > 0) {
        uv_update_time(&c->reactor->loop);
        uv_timer_start(&c->timer, on_timer, (uint64_t)ms, 0);
        return 0;
    }
    uv_timer_stop(&c->timer);
    if (ms == 0) { /* at the end of this turn, together with all other calls of it */
        c->kick = true;
        client_busy(c);
    }
    return 0;
}

/* ---- for client.c and request.c ---- */

void sockets_run_due(struct call_client *c)
{
    int running;
    curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    call_drain(c);
}

void sockets_run_all(struct call_client *c)
{
    int running;
    curl_multi_socket_all(c->multi, &running);
    call_drain(c);
}

bool sockets_attach(struct call_client *c)
{
    return curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket) == CURLM_OK &&
           curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c) == CURLM_OK &&
           curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer) == CURLM_OK &&
           curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c) == CURLM_OK;
}

static int local_port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        return -1;
    }
    return address.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)(void *)&address)->sin6_port)
                                         : ntohs(((struct sockaddr_in *)(void *)&address)->sin_port);
}

void sockets_established(struct call_client *c, int local_port, int peer_port)
{
    struct call_socket *s;
    for (unsigned i = 0; i < CALL_SOCKET_BUCKETS; i++) {
        LIST_FOREACH(s, &c->sockets[i], link)
        {
            if (!s->established && local_port_of(s->fd) == local_port) {
                s->established = true;
                s->local_port = local_port;
                s->peer_port = peer_port;
                LIST_INSERT_HEAD(&c->ports[(unsigned)local_port % CALL_SOCKET_BUCKETS], s, by_port);
            }
        }
    }
}

bool sockets_stirred(struct call_client *c, int local_port, int peer_port)
{
    struct call_socket *s;
    char byte;
    LIST_FOREACH(s, &c->ports[(unsigned)local_port % CALL_SOCKET_BUCKETS], by_port)
    {
        if (s->local_port == local_port && s->peer_port == peer_port &&
            (recv(s->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || (errno != EAGAIN && errno != EINTR))) {
            return true;
        }
    }
    return false;
}

bool sockets_own(struct call_client *c, CURL *easy)
{
    return curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, c) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, c) == CURLE_OK;
}
