/* client.c - the life of an outgoing HTTP client, and the end of its turns. */
#include "call/client.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_ready;

static void start_curl(void)
{
    curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static bool end_of_turn(struct reactor_hook *hook)
{
    struct call_client *c = ((struct client_hook *)hook)->client;
    bool worked = false;
    uv_idle_stop(&c->busy);
    if (c->look && !c->closing) {
        c->look = false;
        worked = true;
        sockets_run_all(c);
    }
    if (c->kick && !c->closing) {
        c->kick = false;
        worked = true;
        sockets_run_due(c);
    }
    if (!TAILQ_EMPTY(&c->deferred)) {
        worked |= call_run_deferred(c);
    }
    return worked; /* whoever was told may have made work for the hooks before this one */
}

/* Seen twice without an end of turn in between: the reactor is stopping and its hooks do not run any more. */
static void on_busy(uv_idle_t *idle)
{
    struct call_client *c = idle->data;
    if (++c->busy_turns > 1) {
        end_of_turn(&c->hook.hook);
    }
}

void client_busy(struct call_client *c)
{
    if (!c->closing && !uv_is_active((uv_handle_t *)&c->busy)) {
        c->busy_turns = 0;
        uv_idle_start(&c->busy, on_busy);
    }
}

struct call_client *call_client_create(struct reactor *reactor, unsigned max_connections, char *err,
                                       size_t errlen)
{
    pthread_once(&curl_once, start_curl);
    struct call_client *c = curl_ready == CURLE_OK ? calloc(1, sizeof *c) : NULL;
    if (c) {
        c->multi = curl_multi_init();
    }
    if (!c || !c->multi || !sockets_attach(c) || !request_make_model(c) ||
        curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)(max_connections ? max_connections : 1)) !=
            CURLM_OK) {
        snprintf(err, errlen, "outgoing HTTP: %s",
                 curl_ready != CURLE_OK ? curl_easy_strerror(curl_ready) : "out of memory");
        if (c) {
            request_free_model(c);
            curl_multi_cleanup(c->multi);
        }
        free(c);
        return NULL;
    }
    c->reactor = reactor;
    call_client_set_idle(c, CALL_IDLE_S_DEFAULT);
    TAILQ_INIT(&c->running);
    TAILQ_INIT(&c->deferred);
    TAILQ_INIT(&c->spare);
    uv_timer_init(&reactor->loop, &c->timer);
    uv_idle_init(&reactor->loop, &c->busy);
    c->timer.data = c->busy.data = c;
    c->handles = 2;
    c->hook.hook.end_of_turn = end_of_turn;
    c->hook.client = c;
    reactor_add_hook(reactor, &c->hook.hook);
    return c;
}

void call_client_set_idle(struct call_client *c, unsigned seconds)
{
    curl_easy_setopt(c->model, CURLOPT_MAXAGE_CONN, (long)seconds);
}

void client_handle_closed(struct call_client *c)
{
    if (--c->handles > 0 || !c->closing) {
        return;
    }
    reactor_remove_hook(c->reactor, &c->hook.hook);
    call_free_spare(c);
    request_free_model(c);
    free(c);
}

static void on_handle_closed(uv_handle_t *handle)
{
    client_handle_closed(handle->data);
}

void call_client_destroy(struct call_client *c)
{
    if (c->closing) {
        return;
    }
    c->closing = true;
    call_tell_all(c);
    curl_multi_cleanup(c->multi); /* ends idle connections, and their handles with them */
    c->multi = NULL;
    uv_close((uv_handle_t *)&c->timer, on_handle_closed);
    uv_close((uv_handle_t *)&c->busy, on_handle_closed);
}

unsigned call_client_in_flight(const struct call_client *c)
{
    return c->in_flight;
}
