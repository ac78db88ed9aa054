/* sockets.c - curl's multi interface on libuv.
 *
 * One uv_poll a socket that curl watches, one uv_timer. curl's callbacks only note what it wants; curl is run
 * from libuv's callbacks and from the end of the turn, and each run is followed by fetching what has ended. A
 * poll handle is stopped before curl closes its descriptor (CURL_POLL_REMOVE comes first), since libuv
 * refuses a second watcher on a descriptor. */
#include "call/client.h"

#include <stdlib.h>

#define ERRORS_MAX                                                                                           \
    64 /* reads after a socket error, so that an answer that came before a reset is not lost                 \
        */

struct call_socket {
    uv_poll_t poll;
    struct call_client *client;
    curl_socket_t fd;
    int wanted; /* UV_READABLE | UV_WRITABLE */
    unsigned errors;
    bool removed;
};

static void on_socket_closed(uv_handle_t *handle)
{
    struct call_socket *s = handle->data;
    struct call_client *c = s->client;
    free(s);
    client_handle_closed(c);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct call_socket *s = handle->data;
    struct call_client *c = s->client;
    int flags = 0, running;
    if (status < 0) {
        flags = ++s->errors > ERRORS_MAX ? CURL_CSELECT_ERR : CURL_CSELECT_IN | CURL_CSELECT_ERR;
    } else {
        flags |= events & UV_READABLE ? CURL_CSELECT_IN : 0;
        flags |= events & UV_WRITABLE ? CURL_CSELECT_OUT : 0;
    }
    curl_multi_socket_action(c->multi, s->fd, flags, &running);
    if (status < 0 && !s->removed) { /* libuv has stopped the handle, curl still waits */
        uv_poll_start(&s->poll, s->wanted, on_poll);
    }
    call_drain(c);
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
    curl_multi_assign(c->multi, fd, s);
    return s;
}

static void socket_remove(struct call_client *c, struct call_socket *s)
{
    s->removed = true;
    uv_poll_stop(&s->poll);
    curl_multi_assign(c->multi, s->fd, NULL);
    uv_close((uv_handle_t *)&s->poll, on_socket_closed);
}

/* -1 makes curl end the transfers with an error: there is no way to wait for this socket. */
static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket)
{
    struct call_client *c = arg;
    struct call_socket *s = socket;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (s) {
            socket_remove(c, s);
        }
        return 0;
    }
    if (!s && !(s = socket_new(c, fd))) {
        return -1;
    }
    s->wanted = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    return uv_poll_start(&s->poll, s->wanted, on_poll) == 0 ? 0 : -1;
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

void sockets_run_due(struct call_client *c)
{
    int running;
    curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    call_drain(c);
}

bool sockets_attach(struct call_client *c)
{
    return curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket) == CURLM_OK &&
           curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c) == CURLM_OK &&
           curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer) == CURLM_OK &&
           curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c) == CURLM_OK;
}
