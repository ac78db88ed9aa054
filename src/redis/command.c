/* command.c - commands: one callback each, whatever becomes of the connection.
 *
 *                          reply            -> the caller: REPLIED   -> spare
 *   redis_command -> SENT -deadline         -> the caller: LATE      -> ORPHAN -reply or end of connection->
 * spare |                end of connection -> DEFERRED: LOST        -> the caller, end of turn -> spare
 *        +-> DEFERRED: SKIPPED              -> the caller, end of turn -> spare
 *
 * Replies come in the order of the commands, so the sent list mirrors hiredis' own. Deadlines stand in a
 * second list, earliest first; nearly all are equally long, so that a new one goes to its end. */
#include "redis/link.h"

#include "pcs/core/clock.h"

#include <stdlib.h>
#include <string.h>

#define SCRATCH_KEEP ((size_t)256 * 1024)

void command_format(struct buf *out, const struct redis_arg *args, size_t count)
{
    if (out->cap > SCRATCH_KEEP) {
        buf_free(out);
        buf_init(out, LINK_COMMAND_MAX);
    }
    buf_reset(out);
    buf_putc(out, '*');
    buf_put_i64(out, (int64_t)count);
    for (size_t i = 0; i < count; i++) {
        buf_lit(out, "\r\n$");
        buf_put_i64(out, (int64_t)args[i].len);
        buf_lit(out, "\r\n");
        buf_put(out, args[i].data, args[i].len);
    }
    buf_lit(out, "\r\n");
}

/* ---- objects ---- */

static struct redis_call *call_new(struct redis_link *link)
{
    struct redis_call *call = STAILQ_FIRST(&link->spare);
    if (call) {
        STAILQ_REMOVE_HEAD(&link->spare, next);
        link->spare_count--;
        return call;
    }
    return malloc(sizeof *call);
}

static void call_free(struct redis_call *call)
{
    struct redis_link *link = call->link;
    if (link->spare_count >= LINK_FREE_MAX) {
        free(call);
        return;
    }
    call->done = NULL;
    STAILQ_INSERT_HEAD(&link->spare, call, next);
    link->spare_count++;
}

void command_free_all(struct redis_link *link)
{
    struct redis_call *call;
    while ((call = STAILQ_FIRST(&link->spare)) != NULL) {
        STAILQ_REMOVE_HEAD(&link->spare, next);
        free(call);
    }
}

/* ---- telling the caller ---- */

static void tell(redis_done done, void *arg, enum redis_outcome outcome, const redisReply *reply)
{
    metric_add(&redis_metric_commands, outcome, 1);

    if (done) {
        done(arg, outcome, reply);
    }
}

static void defer(struct redis_call *call, enum redis_outcome outcome)
{
    call->state = CALL_DEFERRED;
    call->outcome = outcome;
    STAILQ_INSERT_TAIL(&call->link->deferred, call, next);
    link_busy(call->link);
}

static void tell_first_deferred(struct redis_link *link)
{
    struct redis_call *call = STAILQ_FIRST(&link->deferred);
    redis_done done = call->done;
    void *arg = call->arg;
    enum redis_outcome outcome = call->outcome;
    STAILQ_REMOVE_HEAD(&link->deferred, next);
    call_free(call);
    tell(done, arg, outcome, NULL);
}

/* Only those that waited when it began: what they cause is for the next round. */
bool command_run_deferred(struct redis_link *link)
{
    size_t waiting = 0;
    struct redis_call *call;
    STAILQ_FOREACH(call, &link->deferred, next)
    {
        waiting++;
    }
    for (size_t i = 0; i < waiting && !STAILQ_EMPTY(&link->deferred); i++) {
        tell_first_deferred(link);
    }
    return waiting > 0;
}

static void settle(struct redis_call *call, enum breaker_outcome outcome, uint64_t now_ns, const char *cause)
{
    struct redis_link *link = call->link;
    TAILQ_REMOVE(&link->deadlines, call, soon);
    if (link->breaker) {
        breaker_complete(link->breaker, &call->permit, outcome, now_ns - call->sent_ns, cause);
    }
}

static void tell_late(struct redis_call *call, uint64_t now_ns)
{
    redis_done done = call->done;
    settle(call, BREAKER_FAILURE, now_ns, "late");
    call->state = CALL_ORPHAN;
    call->done = NULL;
    tell(done, call->arg, REDIS_LATE, NULL);
}

void command_tell_all(struct redis_link *link)
{
    struct redis_call *call;
    while ((call = TAILQ_FIRST(&link->deadlines)) != NULL) {
        redis_done done = call->done;
        TAILQ_REMOVE(&link->deadlines, call, soon);
        if (link->breaker) { /* we left, it did not fail */
            breaker_release(link->breaker, &call->permit);
        }
        call->state = CALL_ORPHAN;
        call->done = NULL;
        tell(done, call->arg, REDIS_LOST, NULL);
    }
    while (!STAILQ_EMPTY(&link->deferred)) {
        tell_first_deferred(link);
    }
}

/* ---- replies ---- */

/* After a failover the old primary may go on as a replica with our connection open: it answers, and refuses every
 * write. The name is resolved anew, and the new primary found. (A script's refusal has the word further in.) */
static bool became_replica(const struct redis_link *link, const redisReply *reply, uint64_t now_ns)
{
    return reply->type == REDIS_REPLY_ERROR && now_ns - link->up_since_ns > LINK_REPLICA_MS * NS_PER_MS &&
           (strstr(reply->str, "READONLY") || strncmp(reply->str, "MASTERDOWN", 10) == 0);
}

static void on_reply(redisAsyncContext *ac, void *answer, void *arg)
{
    struct redis_call *call = arg;
    struct redis_link *link = call->link;
    uint64_t now_ns = clock_mono_ns();
    redis_done done = call->done;
    void *done_arg = call->arg;
    bool waiting = call->state == CALL_SENT;
    (void)ac;
    STAILQ_REMOVE_HEAD(&link->sent, next); /* call: hiredis keeps the same order */
    link->in_flight--;
    if (!answer) {
        if (waiting) {
            settle(call, BREAKER_FAILURE, now_ns, "connection lost");
            defer(call, REDIS_LOST);
        } else {
            call_free(call);
        }
        return;
    }
    link->last_reply_ns = now_ns;
    if (!waiting) { /* it comes after its deadline, or after the link was given up */
        call_free(call);
        return;
    }
    metric_observe_ns(&redis_metric_seconds, 0, now_ns - call->sent_ns);
    settle(call, BREAKER_SUCCESS, now_ns, NULL);
    call_free(call);
    if (link->conn && became_replica(link, answer, now_ns)) {
        link_break(link, "it takes no writes: a replica");
    }
    tell(done, done_arg, REDIS_REPLIED, answer);
}

/* ---- deadlines ---- */

static uint64_t dead_at(const struct redis_link *link)
{
    const struct redis_call *head = STAILQ_FIRST(&link->sent);
    uint64_t since = head->sent_ns > link->last_reply_ns ? head->sent_ns : link->last_reply_ns;
    uint64_t at = since + link->dead_ns;
    return head->state == CALL_SENT && head->deadline_ns > at ? head->deadline_ns : at;
}

static void arm(struct redis_link *link, uint64_t at_ns, uint64_t now_ns)
{
    uint64_t ms = at_ns > now_ns ? (at_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS : 1;
    link->armed_ns = at_ns;
    uv_timer_start(&link->deadline, command_on_deadline, ms, 0);
}

/* The timer is not moved with every reply: it goes off for a command that has long been answered, at most
 * once a deadline, and is set anew. */
void command_on_deadline(uv_timer_t *timer)
{
    struct redis_link *link = timer->data;
    uint64_t now_ns = clock_mono_ns();
    struct redis_call *call = TAILQ_FIRST(&link->deadlines);
    link->armed_ns = UINT64_MAX;
    if (call && call->deadline_ns <= now_ns && link->conn) {
        conn_read(link->conn); /* if we were late ourselves, the answer is in the socket */
    }
    while ((call = TAILQ_FIRST(&link->deadlines)) != NULL && call->deadline_ns <= now_ns) {
        tell_late(call, now_ns);
    }
    if (link->state == LINK_CLOSING || STAILQ_EMPTY(&link->sent)) {
        return;
    }
    if (link->conn && dead_at(link) <= now_ns) {
        link_break(link, "no reply for too long");
        return;
    }
    uint64_t next = dead_at(link);
    if (call && call->deadline_ns < next) {
        next = call->deadline_ns;
    }
    if (next < link->armed_ns) {
        arm(link, next, now_ns);
    }
}

static void queue_deadline(struct redis_link *link, struct redis_call *call)
{
    struct redis_call *before = TAILQ_LAST(&link->deadlines, deadline_list);
    while (before && before->deadline_ns > call->deadline_ns) {
        before = TAILQ_PREV(before, deadline_list, soon);
    }
    if (before) {
        TAILQ_INSERT_AFTER(&link->deadlines, before, call, soon);
    } else {
        TAILQ_INSERT_HEAD(&link->deadlines, call, soon);
    }
    if (call->deadline_ns < link->armed_ns) {
        arm(link, call->deadline_ns, call->sent_ns);
    }
}

/* ---- sending ---- */

static bool may_send(const struct redis_link *link)
{
    return link->state == LINK_UP && link->conn && link->in_flight < (size_t)link->config.max_in_flight &&
           conn_unwritten(link->conn) < LINK_OUT_MAX;
}

/* False: nothing was sent. */
static bool try_send(struct redis_link *link, struct redis_call *call, const struct redis_arg *args,
                     size_t count)
{
    bool broken = false;
    if (!may_send(link)) {
        return false;
    }
    /* No lease (deadline 0): every command of ours ends by its own deadline. */
    if (link->breaker && !breaker_acquire(link->breaker, 0, &call->permit, NULL)) {
        return false;
    }
    command_format(&link->scratch, args, count);
    bool sent = buf_ok(&link->scratch) && conn_append(link->conn, &link->scratch, on_reply, call, &broken);
    if (!sent && link->breaker) {
        breaker_release(link->breaker, &call->permit);
    }
    if (sent) {
        STAILQ_INSERT_TAIL(&link->sent, call, next);
        link->in_flight++;
        queue_deadline(link, call);
    }
    if (broken) {
        link_break(link, "out of memory");
    }
    return sent;
}

struct redis_call *redis_command(struct redis_link *link, uint32_t timeout_ms, redis_done done, void *arg,
                                 const struct redis_arg *args, size_t count)
{
    struct redis_call *call = link->state == LINK_CLOSING ? NULL : call_new(link);
    if (!call) {
        return NULL;
    }
    call->link = link;
    call->done = done;
    call->arg = arg;
    call->state = CALL_SENT;
    call->sent_ns = clock_mono_ns();
    uint64_t ms = timeout_ms ? timeout_ms : (uint64_t)link->config.deadline_ms;
    call->deadline_ns = call->sent_ns + ms * NS_PER_MS;
    if (!try_send(link, call, args, count)) {
        defer(call, REDIS_SKIPPED);
    }
    return call;
}

void redis_cancel(struct redis_call *call)
{
    call->done = NULL; /* the reply, when it comes, still counts for the breaker */
}
