/* lookup.c - where is a change? This journal, then Redis, then PostgreSQL. And cancelling one, and is a line
 * busy.
 *
 * What Redis says of an open change may be old: its instance may have ended between the outcome and telling
 * Redis. So PostgreSQL is asked too, and what Redis said is the answer only if it does not know the change. */
#include "change/machine.h"
#include "change/record_json.h"
#include "change/service.h"

#include "pcs/change/result.h"
#include "pcs/core/clock.h"
#include "pcs/core/failpoint.h"

#include <stdlib.h>
#include <string.h>

struct change_lookup {
    struct change_service *svc;
    struct arena arena;
    struct journal_op op;
    struct history_query query;
    struct redis_call *redis;
    char request_id[UUID_LEN + 1];
    struct change_record shared; /* Redis's, still open; request_id NULL: none */
    bool journal_out, in_flight, cancelled;
    change_looked_up done;
    void *arg;
};

static void lookup_free(struct change_lookup *l)
{
    l->svc->tells--;
    journal_op_clear(&l->op);
    history_query_clear(&l->query);
    arena_free(&l->arena);
    free(l);
}

static void lookup_end(struct change_lookup *l, enum change_found found, const struct change_record *record)
{
    if (!l->cancelled) {
        l->done(l->arg, found, record);
    }
    lookup_free(l);
}

static void not_in_history(struct change_lookup *l, bool certain)
{
    if (l->shared.request_id) {
        lookup_end(l, FOUND_ELSEWHERE, &l->shared);
    } else {
        lookup_end(l, certain ? FOUND_NOT : FOUND_UNKNOWN, NULL);
    }
}

static void on_history(struct history_query *q)
{
    struct change_lookup *l = q->arg;
    l->in_flight = false;
    if (q->status == HISTORY_OK && q->count == 1) {
        lookup_end(l, FOUND_ELSEWHERE, &q->rows[0]);
    } else {
        not_in_history(l, (q->status == HISTORY_OK || q->status == HISTORY_NOT_FOUND) && !l->journal_out);
    }
}

static void ask_history(struct change_lookup *l)
{
    struct history *history = change_history(l->svc->shared);
    l->query.kind = HISTORY_GET;
    l->query.reply_to = &l->svc->reactor->inbox;
    l->query.done = on_history;
    l->query.arg = l;
    l->query.request_id = l->request_id;
    if (!history || !history_submit(history, &l->query)) {
        not_in_history(l, false);
        return;
    }
    l->in_flight = true;
}

static void on_redis(void *arg, enum redis_outcome outcome, const redisReply *reply)
{
    struct change_lookup *l = arg;
    struct change_record record;
    l->redis = NULL;
    if (outcome == REDIS_REPLIED && reply->type == REDIS_REPLY_STRING &&
        record_decode(reply->str, reply->len, &l->arena, &record) &&
        strcmp(record.request_id, l->request_id) == 0) {
        if (change_state_final(record.state)) {
            lookup_end(l, FOUND_ELSEWHERE, &record);
            return;
        }
        l->shared = record;
    }
    ask_history(l);
}

static void on_journal(struct journal_op *op)
{
    struct change_lookup *l = op->arg;
    char key[KEY_MAX];
    l->in_flight = false;
    if (l->cancelled || op->status == JOURNAL_OK) {
        lookup_end(l, FOUND_HERE, &op->found);
        return;
    }
    l->journal_out = op->status != JOURNAL_NOT_FOUND;
    redis_key_request(key, l->request_id);
    struct redis_arg args[] = {{"GET", 3}, {key, strlen(key)}};
    l->redis = redis_command(l->svc->redis, 0, on_redis, l, args, 2);
    if (!l->redis) {
        ask_history(l);
    }
}

struct change_lookup *change_look_up(struct change_service *svc, const char *request_id,
                                     change_looked_up done, void *arg)
{
    struct change_lookup *l = calloc(1, sizeof *l);
    if (!l) {
        return NULL;
    }
    svc->tells++;
    l->svc = svc;
    l->done = done;
    l->arg = arg;
    memcpy(l->request_id, request_id, UUID_LEN);
    arena_init(&l->arena, NULL, 0, CHANGE_MEMORY_MAX);
    journal_op_init(&l->op, svc->journal, JOURNAL_GET, &svc->reactor->inbox, on_journal, l);
    l->op.change.request_id = l->request_id;
    l->in_flight = journal_submit(&l->op);
    if (!l->in_flight) {
        lookup_free(l);
        return NULL;
    }
    return l;
}

void change_look_up_cancel(struct change_lookup *l)
{
    l->cancelled = true;
    if (l->redis) {
        redis_cancel(l->redis);
        l->redis = NULL;
    }
    if (!l->in_flight) {
        lookup_free(l);
    }
}

/* ---- cancelling ---- */

struct cancelling {
    struct journal_op op;
    struct change_service *svc;
    struct arena arena;
    struct change_record record;
    struct journal_event event;
    change_cancelled done;
    void *arg;
};

/* To whoever works on it in this process. */
struct cancel_note {
    struct msg msg;
    struct change_service *owner;
    char request_id[UUID_LEN + 1];
};

static void on_cancel_note(struct msg *m)
{
    struct cancel_note *n = (struct cancel_note *)m;
    struct change *c = n->owner->destroying ? NULL : n->owner->changes;
    while (c && (!c->rec.request_id || strcmp(c->rec.request_id, n->request_id) != 0)) {
        c = c->next;
    }
    if (c) {
        change_was_cancelled(c);
    }
    free(n);
}

/* Without memory it finds out by itself, when it is to be sent. */
static void tell_owner(struct change_service *svc, const char *request_id)
{
    struct cancel_note *n = calloc(1, sizeof *n);
    if (n) {
        n->msg.deliver = on_cancel_note;
        memcpy(n->request_id, request_id, UUID_LEN);
        if (!owned_post(svc->shared, request_id, &n->msg, &n->owner)) {
            free(n);
        }
    }
}

static void on_cancelled(struct journal_op *op)
{
    struct cancelling *k = op->arg;
    const struct change_record *shown = op->status == JOURNAL_OK ? &k->record : &op->found;
    FAILPOINT("change.cancelled");
    if (op->status == JOURNAL_OK) {
        char key[KEY_MAX];
        redis_key_line(key, k->record.line);
        hold_release(k->svc->redis, key, k->record.request_id); /* the line is open, here and elsewhere */
        change_count_result(&k->record);
        tell_shared(k->svc, &k->record, true);
        waiters_notify(k->svc->shared, k->record.request_id);
        tell_owner(k->svc, k->record.request_id);
    }
    k->done(k->arg, op->status, shown);
    FAILPOINT("change.cancel_answered");
    k->svc->tells--;
    journal_op_clear(&k->op);
    arena_free(&k->arena);
    free(k);
}

bool change_cancel(struct change_service *svc, const struct change_record *record, const char *actor,
                   change_cancelled done, void *arg)
{
    struct cancelling *k = calloc(1, sizeof *k);
    if (!k) {
        return false;
    }
    arena_init(&k->arena, NULL, 0, CHANGE_MEMORY_MAX);
    k->svc = svc;
    k->done = done;
    k->arg = arg;
    FAILPOINT("change.cancel");
    bool ok = record_copy(&k->record, record, &k->arena);
    k->record.state = CHANGE_CANCELLED;
    k->record.actor = arena_strdup(&k->arena, actor);
    k->record.processed_at = clock_wall_ms();
    result_finish(&k->record, NULL, NULL);
    ok = ok && k->record.actor && delivery_event(&k->event, DELIVERY_FAILED, &k->record, &k->arena);
    journal_op_init(&k->op, svc->journal, JOURNAL_CANCEL, &svc->reactor->inbox, on_cancelled, k);
    k->op.change = k->record;
    k->op.event = &k->event;
    if (!ok || !journal_submit(&k->op)) {
        arena_free(&k->arena);
        free(k);
        return false;
    }
    svc->tells++;
    return true;
}

/* ---- is a line busy? ---- */

struct line_question {
    struct journal_op op;
    struct change_service *svc;
    char line[LINE_LEN + 1];
    change_line_state done;
    void *arg;
};

static void line_answer(struct line_question *q, bool busy)
{
    q->done(q->arg, busy);
    q->svc->tells--;
    journal_op_clear(&q->op);
    free(q);
}

/* Whose change holds the line between instances: is it still open? */
static void on_holder(void *arg, enum change_found found, const struct change_record *record)
{
    struct line_question *q = arg;
    (void)found;
    line_answer(q, !record || !change_state_final(record->state));
}

static void on_line_key(void *arg, enum redis_outcome outcome, const redisReply *reply)
{
    struct line_question *q = arg;
    char holder[UUID_LEN + 1];
    bool held = outcome == REDIS_REPLIED && reply->type == REDIS_REPLY_STRING &&
                uuid_parse(reply->str, reply->len, holder);
    if (!held || !change_look_up(q->svc, holder, on_holder, q)) {
        line_answer(q, held);
    }
}

static void on_line_listed(struct journal_op *op)
{
    struct line_question *q = op->arg;
    char key[KEY_MAX];
    bool busy = false;
    for (size_t i = 0; i < op->list_count; i++) {
        busy |= !change_state_final(op->list[i].state);
    }
    redis_key_line(key, q->line);
    struct redis_arg args[] = {{"GET", 3}, {key, strlen(key)}};
    if (busy || !redis_command(q->svc->redis, 0, on_line_key, q, args, 2)) {
        line_answer(q, busy);
    }
}

bool change_line_busy(struct change_service *svc, const char *line, change_line_state done, void *arg)
{
    struct line_question *q = calloc(1, sizeof *q);
    if (!q) {
        return false;
    }
    q->svc = svc;
    q->done = done;
    q->arg = arg;
    memcpy(q->line, line, LINE_LEN);
    journal_op_init(&q->op, svc->journal, JOURNAL_LIST_LINE, &svc->reactor->inbox, on_line_listed, q);
    q->op.line = q->line;
    q->op.limit = 16;
    if (!journal_submit(&q->op)) {
        free(q);
        return false;
    }
    svc->tells++;
    return true;
}
