/* request_get.c - GET and DELETE /request/{requestId} (UFR-PROD-040, SCR-008): state and result, waiting,
 * cancelling. */
#include "api/common.h"

#include "pcs/core/clock.h"

#include <stdlib.h>
#include <string.h>

#define WAIT_MAX_S    30
#define LOOK_AGAIN_MS 500 /* a change of another instance: nobody here can be told when it ends */

/* Outlives its request only between uv_close and its callback. */
struct polling {
    struct http_request *rq;
    char request_id[UUID_LEN + 1];
    uint64_t until_ns;
    struct change_lookup *lookup;
    struct change_watch *watch;
    uv_timer_t timer;
    bool timer_open;
    bool ended; /* the watch has told */
};

static void look(struct polling *p);

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

/* Everything under way is cancelled; the answer follows. */
static void polling_end(struct polling *p)
{
    if (p->lookup) {
        change_look_up_cancel(p->lookup);
    }
    if (p->watch) {
        change_watch_cancel(p->watch);
    }
    p->lookup = NULL;
    p->watch = NULL;
    uv_close((uv_handle_t *)&p->timer, on_timer_closed);
}

static void on_timer(uv_timer_t *timer)
{
    struct polling *p = timer->data;
    if (!p->lookup) {
        look(p);
    }
}

static void on_ended(void *arg, bool final)
{
    struct polling *p = arg;
    p->watch = NULL;
    p->ended = true;
    if (!final) {
        p->until_ns = 0; /* shutting down: the current state is the answer */
    }
    if (!p->lookup) {
        look(p);
    }
}

/* Still open and time left: true, and somebody will call look() again. */
static bool wait_on(struct polling *p, enum change_found found)
{
    uint64_t now = clock_mono_ns();
    /* stopping: whoever comes after that is watched by nobody, and would hold up the end */
    if (p->ended || now >= p->until_ns || api_of(p->rq)->shared->stopping) {
        return false;
    }
    uint64_t left_ms = (p->until_ns - now) / NS_PER_MS + 1;
    bool told = found == FOUND_HERE && p->watch;
    uv_update_time(&p->rq->reactor->loop);
    uv_timer_start(&p->timer, on_timer, told || left_ms < LOOK_AGAIN_MS ? left_ms : LOOK_AGAIN_MS, 0);
    return true;
}

static void on_looked_up(void *arg, enum change_found found, const struct change_record *record)
{
    struct polling *p = arg;
    struct http_request *rq = p->rq;
    p->lookup = NULL;
    if (record && !identity_owns(caller_of(rq), record->line)) {
        record = NULL; /* somebody else's change: as if it did not exist */
        found = FOUND_NOT;
    }
    if (record && !change_state_final(record->state) && wait_on(p, found)) {
        return;
    }
    polling_end(p);
    if (record) {
        send_result(rq, 200, record, false, false);
    } else if (found == FOUND_UNKNOWN) {
        fail_unavailable(rq, &http_problem_service_unavailable, 0, "cannot be looked up now");
    } else {
        fail_plain(rq, &problem_request_not_found, "no such change of this caller");
    }
}

static void look(struct polling *p)
{
    uv_timer_stop(&p->timer);
    p->lookup = change_look_up(api_of(p->rq)->changes, p->request_id, on_looked_up, p);
    if (!p->lookup) {
        struct http_request *rq = p->rq;
        polling_end(p);
        fail_unavailable(rq, &http_problem_service_unavailable, 0, "journal queue full");
    }
}

void handle_request_get(struct http_request *rq)
{
    const char *id = http_param(rq, "requestId");
    int64_t wait;
    if (!query_int(rq, "wait", 0, WAIT_MAX_S, 0, &wait)) {
        return;
    }
    struct polling *p = calloc(1, sizeof *p);
    if (!p) {
        fail_plain(rq, &http_problem_internal_error, "no memory");
        return;
    }
    if (!uuid_parse(id, strlen(id), p->request_id)) {
        free(p);
        fail_plain(rq, &problem_request_not_found, "not a UUID");
        return;
    }
    p->rq = rq;
    p->until_ns = wait ? rq->started_ns + (uint64_t)wait * NS_PER_SEC : 0;
    uv_timer_init(&rq->reactor->loop, &p->timer);
    p->timer.data = p;
    if (wait && !api_of(rq)->shared->stopping) {
        /* watched before it is looked up: a change that ends in between is not missed */
        p->watch = change_watch(api_of(rq)->changes, p->request_id, on_ended, p);
    }
    look(p);
}

/* ---- DELETE ---- */

struct deleting {
    struct http_request *rq;
    char request_id[UUID_LEN + 1];
};

static void fail_not_cancellable(struct http_request *rq, const struct change_record *record)
{
    struct http_error_extra extra = {.reason = "sent or ended"};
    if (record && record->request_id) {
        extra.request_id = arena_strdup(&rq->arena, record->request_id);
        extra.location = location_of(rq, record->request_id);
    }
    http_fail(rq, &problem_not_cancellable, &extra);
}

static void on_cancelled(void *arg, enum journal_status status, const struct change_record *record)
{
    struct deleting *d = arg;
    if (status == JOURNAL_OK) {
        send_result(d->rq, 200, record, false, false);
    } else if (status == JOURNAL_CONFLICT || status == JOURNAL_NOT_FOUND) {
        fail_not_cancellable(d->rq, record);
    } else {
        fail_unavailable(d->rq, &http_problem_service_unavailable, 0, journal_status_name(status));
    }
}

static void on_found(void *arg, enum change_found found, const struct change_record *record)
{
    struct deleting *d = arg;
    struct http_request *rq = d->rq;
    if (found == FOUND_UNKNOWN) {
        fail_unavailable(rq, &http_problem_service_unavailable, 0, "cannot be looked up now");
    } else if (!record || !identity_owns(caller_of(rq), record->line)) {
        fail_plain(rq, &problem_request_not_found, "no such change of this caller");
    } else if (found == FOUND_HERE && record->state == CHANGE_CANCELLED) {
        send_result(rq, 200, record, false, false); /* asked twice: the same answer */
    } else if (found != FOUND_HERE || record->state != CHANGE_ACCEPTED) {
        fail_not_cancellable(rq, record);
    } else if (!change_cancel(api_of(rq)->changes, record, caller_of(rq)->subject, on_cancelled, d)) {
        fail_unavailable(rq, &http_problem_service_unavailable, 0, "journal queue full");
    }
}

void handle_request_delete(struct http_request *rq)
{
    const char *id = http_param(rq, "requestId");
    struct deleting *d = arena_zalloc(&rq->arena, sizeof *d);
    if (!d) {
        fail_plain(rq, &http_problem_internal_error, "no memory");
        return;
    }
    d->rq = rq;
    if (!uuid_parse(id, strlen(id), d->request_id)) {
        fail_plain(rq, &problem_request_not_found, "not a UUID");
    } else if (!change_look_up(api_of(rq)->changes, d->request_id, on_found, d)) {
        fail_unavailable(rq, &http_problem_service_unavailable, 0, "journal queue full");
    }
}
