/* call.c - one outgoing call from its start to its one callback.
 *
 *   call_start -> RUNNING --curl has ended it, or client destroyed--> TELLING -> SPARE
 *        |          | ^ `---call_cancel-------------------------------------------^ ^
 *        |          `-' its old connection stirred: again, on a new one             |
 *        +-----> DEFERRED --end of the turn---------------------------> TELLING ---+
 *                    (deadline already past, an option refused)
 *
 * Callers are told outside curl only, so they may start and cancel calls, and destroy the client. */
#include "call/client.h"

#include "pcs/core/clock.h"

#include <stdlib.h>
#include <string.h>

/* ---- objects ---- */

static void call_delete(struct call *call)
{
    curl_easy_cleanup(call->easy);
    buf_free(&call->body);
    buf_free(&call->head);
    buf_free(&call->answer);
    free(call);
}

/* No easy handle serves two calls. Before 8.3.0 it remembers the last header line of the answer before, freed by then: an
 * answer that begins with a folded line writes into it (curl issues 11101 and 11620; found by tests/fuzz). Connections
 * are the multi handle's, so a new handle costs no more than its memory; and what one call has set, the next one cannot
 * inherit. */
static struct call *call_new(struct call_client *c)
{
    struct call *call = TAILQ_FIRST(&c->spare);
    if (call) {
        TAILQ_REMOVE(&c->spare, call, link);
        c->spare_count--;
    } else if ((call = calloc(1, sizeof *call)) != NULL) {
        call->client = c;
        buf_init(&call->head, CALL_HEAD_MAX);
    }
    if (call && !(call->easy = curl_easy_duphandle(c->model))) {
        call_delete(call);
        call = NULL;
    }
    return call;
}

static void trim(struct buf *b)
{
    if (b->cap > CALL_KEEP_BUFFER) {
        buf_free(b);
    }
    buf_reset(b);
}

static void call_recycle(struct call *call)
{
    struct call_client *c = call->client;
    call->state = CALL_SPARE;
    call->done = NULL;
    if (c->closing || c->spare_count >= CALL_FREE_MAX) {
        call_delete(call);
        return;
    }
    trim(&call->body);
    trim(&call->answer);
    curl_easy_cleanup(call->easy);
    call->easy = NULL;
    TAILQ_INSERT_HEAD(&c->spare, call, link);
    c->spare_count++;
}

void call_free_spare(struct call_client *c)
{
    struct call *call;
    while ((call = TAILQ_FIRST(&c->spare)) != NULL) {
        TAILQ_REMOVE(&c->spare, call, link);
        call_delete(call);
    }
}

/* ---- the end ---- */

static void read_answer(struct call *call, struct call_result *result)
{
    long status = 0;
    char *type = NULL;
    struct curl_header *header;
    curl_off_t retry_after = 0;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(call->easy, CURLINFO_CONTENT_TYPE, &type);
    result->status = (int)status;
    result->body = call->answer.data ? call->answer.data : "";
    result->len = call->answer.len;
    result->content_type = type ? type : "";
    if (curl_easy_header(call->easy, "Retry-After", 0, CURLH_HEADER, -1, &header) == CURLHE_OK &&
        curl_easy_getinfo(call->easy, CURLINFO_RETRY_AFTER, &retry_after) == CURLE_OK) {
        result->retry_after_s = retry_after;
    }
}

static void tell(struct call *call, struct call_result *result)
{
    result->elapsed_ns = clock_mono_ns() - call->started_ns;
    call->state = CALL_TELLING;
    call->done(call->arg, result);
    call_recycle(call);
}

static void leave_multi(struct call *call)
{
    curl_multi_remove_handle(call->client->multi, call->easy);
    TAILQ_REMOVE(&call->client->running, call, link);
    call->client->in_flight--;
}

/* Its old connection had ended or brought bytes of its own before anything was written: a new one is made. */
static bool begin_again(struct call *call)
{
    if (!call->stirred || !request_set_up_afresh(call, clock_mono_ns())) {
        return false;
    }
    curl_multi_remove_handle(call->client->multi, call->easy);
    return curl_multi_add_handle(call->client->multi, call->easy) == CURLM_OK;
}

static struct call_result empty_result(void)
{
    return (struct call_result){
        .reach = CALL_NOT_SENT, .body = "", .content_type = "", .retry_after_s = -1, .reason = ""};
}

static void ended(struct call *call, CURLcode code)
{
    struct call_result result = empty_result();
    if (begin_again(call)) {
        return;
    }
    outcome_judge(call, code, &result);
    if (result.reach == CALL_ANSWERED) {
        read_answer(call, &result);
    }
    leave_multi(call); /* the information read above stays with the easy handle */
    tell(call, &result);
}

void call_drain(struct call_client *c)
{
    CURLMsg *message;
    int left;
    while (!c->closing && (message = curl_multi_info_read(c->multi, &left)) != NULL) {
        char *call = NULL;
        if (message->msg == CURLMSG_DONE) {
            CURLcode code = message->data.result;
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
            ended((struct call *)(void *)call, code);
        }
    }
}

static const char *deferred_reason(enum call_error error)
{
    return error == CALL_TIMEOUT ? "the deadline had passed before the call began"
                                 : "the call could not be set up";
}

static void tell_deferred(struct call *call, enum call_error error, const char *reason)
{
    struct call_result result = empty_result();
    TAILQ_REMOVE(&call->client->deferred, call, link);
    call->client->in_flight--;
    result.error = error;
    result.reason = reason;
    tell(call, &result);
}

/* Only those that waited when it began: what they cause is for the next round. */
bool call_run_deferred(struct call_client *c)
{
    struct call *call;
    unsigned waiting = 0;
    TAILQ_FOREACH(call, &c->deferred, link)
    {
        waiting++;
    }
    for (unsigned i = 0; i < waiting && (call = TAILQ_FIRST(&c->deferred)) != NULL; i++) {
        tell_deferred(call, call->deferred_error, deferred_reason(call->deferred_error));
    }
    return waiting > 0;
}

void call_tell_all(struct call_client *c)
{
    static const char reason[] = "the service is stopping";
    struct call *call;
    while ((call = TAILQ_FIRST(&c->running)) != NULL) {
        struct call_result result = empty_result();
        result.reach = outcome_reach(call);
        result.error = CALL_SHUTDOWN;
        result.reason = reason;
        leave_multi(call);
        tell(call, &result);
    }
    while ((call = TAILQ_FIRST(&c->deferred)) != NULL) {
        tell_deferred(call, CALL_SHUTDOWN, reason);
    }
}

/* ---- the start ---- */

struct call *call_start(struct call_client *c, const struct call_request *request, call_done done, void *arg)
{
    struct call *call = c->closing ? NULL : call_new(c);
    if (!call) {
        return NULL;
    }
    call->done = done;
    call->arg = arg;
    call->started_ns = clock_mono_ns();
    enum call_error error = request_set_up(call, request, call->started_ns);
    if (error == CALL_OK && curl_multi_add_handle(c->multi, call->easy) != CURLM_OK) {
        error = CALL_NO_MEMORY;
    }
    c->in_flight++;
    if (error == CALL_OK) {
        call->state = CALL_RUNNING;
        TAILQ_INSERT_TAIL(&c->running, call, link);
        return call;
    }
    call->state = CALL_DEFERRED;
    call->deferred_error = error;
    TAILQ_INSERT_TAIL(&c->deferred, call, link);
    client_busy(c);
    return call;
}

void call_cancel(struct call *call)
{
    if (call->state == CALL_RUNNING) {
        leave_multi(call);
    } else if (call->state == CALL_DEFERRED) {
        TAILQ_REMOVE(&call->client->deferred, call, link);
        call->client->in_flight--;
    } else {
        return; /* in its own callback: it has ended already */
    }
    call_recycle(call);
}
