/* deadline.c - cuts connections that are slow or idle.
 *
 * libmicrohttpd's own timeout is one of inactivity, which a byte now and then defeats (PITFALLS.md 1). Here
 * every connection waits for one thing at a time, and each thing has a fixed time; so a list a thing,
 * appended at its end, is sorted by itself: arming is two pointer moves, and a coarse timer looks at the
 * heads only.
 *
 *   HEAD   from connect, or from the request line of a later request, to the end of the head
 *   BODY   from the end of the head to the end of the body
 *   WRITE  from our answer to its last byte in the socket's buffer
 *   IDLE   from there to the next request line */
#include "http/internal.h"

#include <sys/socket.h>

#define SWEEP_MIN_MS 5
#define SWEEP_MAX_MS 1000

static void list_remove(struct deadline_list *list, struct conn *c)
{
    if (c->prev) {
        c->prev->next = c->next;
    } else {
        list->head = c->next;
    }
    if (c->next) {
        c->next->prev = c->prev;
    } else {
        list->tail = c->prev;
    }
    c->prev = c->next = NULL;
}

static void list_append(struct deadline_list *list, struct conn *c)
{
    c->prev = list->tail;
    c->next = NULL;
    if (list->tail) {
        list->tail->next = c;
    } else {
        list->head = c;
    }
    list->tail = c;
}

void deadline_set(struct conn *c, enum deadline what)
{
    struct http_server *s = c->server;
    if (c->waiting_for != DEADLINE_NONE) {
        list_remove(&s->waiting[c->waiting_for], c);
    }
    c->waiting_for = what;
    if (what != DEADLINE_NONE) {
        c->deadline_ms = uv_now(&s->reactor->loop) + s->wait_ms[what];
        list_append(&s->waiting[what], c);
    }
}

uint64_t deadline_period_ms(const struct http_server *s)
{
    uint64_t period = SWEEP_MAX_MS;
    for (int i = DEADLINE_NONE + 1; i < DEADLINE_COUNT; i++) {
        if (s->wait_ms[i] / 4 < period) {
            period = s->wait_ms[i] / 4;
        }
    }
    return period < SWEEP_MIN_MS ? SWEEP_MIN_MS : period;
}

/* shutdown(SHUT_RD) makes libmicrohttpd see the end of the input and close at once; while it writes it looks
 * at errors only, hence both directions then. */
static void expire(struct conn *c)
{
    enum deadline what = c->waiting_for;
    deadline_set(c, DEADLINE_NONE);
    c->expired = true;
    switch (what) {
    case DEADLINE_HEAD:
        metrics_rejected(REJECT_SLOW_HEAD);
        break;
    case DEADLINE_BODY:
        metrics_rejected(REJECT_SLOW_BODY);
        if (c->request && !c->request->pub.log_reason) {
            c->request->pub.log_reason = "the body did not arrive in time";
        }
        break;
    case DEADLINE_WRITE:
        metrics_rejected(REJECT_SLOW_READER);
        shutdown(c->fd, SHUT_RDWR);
        return;
    default:
        break;
    }
    shutdown(c->fd, SHUT_RD);
}

void deadline_sweep(uv_timer_t *timer)
{
    struct http_server *s = timer->data;
    uint64_t now = uv_now(timer->loop);
    linger_sweep(s, now);
    for (int i = DEADLINE_NONE + 1; i < DEADLINE_COUNT; i++) {
        while (s->waiting[i].head && s->waiting[i].head->deadline_ms <= now) {
            expire(s->waiting[i].head);
        }
    }
}
