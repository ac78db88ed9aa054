/* hover.c - waits that are expected to be short, without suspending the connection.
 *
 *   WAIT ── a route without body ──► hovering ── answered ─────────────────► SENT
 *     │                                 │ HOVER_MS are over
 *     └── with body, or too many ──► suspended ── answered, resumed ───────► SENT
 *
 * A suspension costs libmicrohttpd two epoll_ctl() and a recv() that finds nothing, which is a good tenth of a cached
 * read. Such a request is answered in the next turn or two; so its connection first stays in the library's list of
 * those that have work, and with each run the library asks again for the answer (request_access()). That is also why
 * only HOVER_MAX may hover, and not for long; and why, while one does, the library's wish to be run again at once does
 * not tell whether there is anything to do: what it has to be run for is then counted here (server->to_send).
 *
 * Unlike a suspended connection a hovering one can break. The library then takes the connection and the head away at
 * once, while the work behind the request goes on: the request becomes an orphan, without connection, until it has been
 * answered, which nobody hears. */
#include "http/internal.h"

#define HOVER_MS  2
#define HOVER_MAX 128

void hover_begin(struct request *rq)
{
    struct http_server *s = rq->pub.server;
    if ((rq->pub.route->flags & HTTP_BODY) || s->hovering >= HOVER_MAX) {
        rq->suspended = true;
        MHD_suspend_connection(rq->mhd);
        return;
    }
    s->hovering++;
    rq->hover_until_ms = uv_now(&s->reactor->loop) + HOVER_MS;
}

void hover_again(struct request *rq)
{
    struct http_server *s = rq->pub.server;
    if (!rq->suspended && uv_now(&s->reactor->loop) >= rq->hover_until_ms) {
        s->hovering--;
        rq->suspended = true;
        MHD_suspend_connection(rq->mhd);
    }
}

void hover_end(struct request *rq)
{
    struct http_server *s = rq->pub.server;
    if (rq->suspended) {
        MHD_resume_connection(rq->mhd);
    } else {
        s->hovering--;
    }
    s->need_run = true; /* libmicrohttpd does not notice by itself (PITFALLS.md 1) */
}

void hover_orphan(struct request *rq)
{
    struct http_server *s = rq->pub.server;
    s->hovering--;
    rq->conn->served = true; /* its end is no refusal */
    rq->conn->request = NULL;
    rq->conn = NULL;
    rq->mhd = NULL;
    rq->pub.method = rq->pub.route->method; /* it was in the connection's memory, as were these */
    for (int i = 0; i < KNOWN_COUNT; i++) {
        rq->known[i] = NULL;
    }
    rq->next_orphan = s->orphans;
    s->orphans = rq;
}

/* At the end of a turn, when nobody up the stack holds one of them any more. */
void hover_sweep_orphans(struct http_server *s)
{
    struct request **p = &s->orphans, *rq;
    while ((rq = *p) != NULL) {
        if (rq->phase == PHASE_WAIT && rq->watched) {
            rq->watched = false;
            rq->pub.on_gone(&rq->pub); /* may answer */
        }
        if (rq->phase == PHASE_SENT) {
            *p = rq->next_orphan;
            request_finish(rq, false);
        } else {
            p = &rq->next_orphan;
        }
    }
}
