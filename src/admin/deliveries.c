/* deliveries.c - GET /admin/deliveries, POST /admin/deliveries/{seq}/replay (issue 3, point 5). */
#include "admin/internal.h"

#include "pcs/core/clock.h"
#include "pcs/core/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct asking {
    struct journal_op op;
    struct http_request *rq;
    const char *actor, *reason;
};

static struct asking *asking_new(struct http_request *rq, enum journal_verb verb,
                                 void (*done)(struct journal_op *op))
{
    struct asking *a = calloc(1, sizeof *a);
    if (a) {
        a->rq = rq;
        journal_op_init(&a->op, admin_of(rq)->parts.journal, verb, &rq->reactor->inbox, done, a);
    }
    return a;
}

static void asking_submit(struct http_request *rq, struct asking *a)
{
    if (!a || !journal_submit(&a->op)) {
        free(a);
        admin_unavailable(rq, "the journal's queue is full");
    }
}

static void on_listed(struct journal_op *op)
{
    struct asking *a = op->arg;
    struct http_request *rq = a->rq;
    struct buf b;
    if (op->status != JOURNAL_OK) {
        admin_unavailable(rq, "the journal cannot be read now");
    } else {
        admin_data_open(&b);
        view_deliveries(&b, op);
        admin_data_send(rq, &b, 200);
    }
    journal_op_clear(op);
    free(a);
}

void handle_deliveries(struct http_request *rq)
{
    int64_t limit, before;
    enum journal_event_state state;
    bool twice = false;
    const char *line, *word = http_query(rq, "state", &twice);
    if (twice || !view_event_state_parse(word, &state)) {
        admin_fail_field(rq, "state", "pending, dead, delivered 중 하나여야 합니다",
                         "must be pending, dead or delivered");
        return;
    }
    if (!admin_query_line(rq, &line) || !admin_query_int(rq, "limit", 1, 500, 100, &limit) ||
        !admin_query_int(rq, "before", 1, INT64_MAX, 0, &before)) {
        return;
    }
    struct asking *a = asking_new(rq, JOURNAL_EVENTS_LIST, on_listed);
    if (a) {
        a->op.event_state = state;
        a->op.line = line;
        a->op.limit = limit;
        a->op.seq = before;
    }
    asking_submit(rq, a);
}

/* ---- replay ---- */

static void answer_replay(struct http_request *rq, const struct asking *a)
{
    const struct journal_op *op = &a->op;
    const struct journal_event *e = op->event_count ? op->events : NULL;
    struct buf b;
    switch (e || op->status != JOURNAL_OK ? op->status : JOURNAL_FAILED) {
    case JOURNAL_OK:
        log_warn("delivery.replay", log_str("eventId", e->event_id), log_str("requestId", e->request_id),
                 log_line("line", e->line), log_str("was", view_event_state(e->state)),
                 log_bool("outOfOrder", op->out_of_order), log_str("actor", a->actor),
                 log_str("reason", a->reason), log_str("correlationId", rq->correlation_id));
        admin_data_open(&b);
        buf_json_int(&b, "seq", e->seq);
        buf_json_str(&b, "eventId", e->event_id);
        buf_json_str(&b, "requestId", e->request_id);
        buf_json_str(&b, "was", view_event_state(e->state));
        buf_json_str(&b, "state", view_event_state(EVENT_PENDING));
        admin_data_send(rq, &b, 200);
        break;
    case JOURNAL_NOT_FOUND:
        admin_fail(rq, &admin_event_not_found, NULL);
        break;
    case JOURNAL_CONFLICT:
        admin_fail(rq, &admin_already_pending, e ? e->event_id : NULL);
        break;
    case JOURNAL_OUT_OF_ORDER:
        admin_fail(rq, &admin_out_of_order, e ? e->event_id : NULL);
        break;
    default:
        admin_unavailable(rq,
                          op->status == JOURNAL_FULL ? "the journal is full" : "the journal did not take it");
        break;
    }
}

static void on_replayed(struct journal_op *op)
{
    struct asking *a = op->arg;
    answer_replay(a->rq, a);
    journal_op_clear(op);
    free(a);
}

void handle_replay(struct http_request *rq)
{
    const char *text = http_param(rq, "seq");
    char *end;
    errno = 0;
    long long seq = strtoll(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || seq <= 0) {
        admin_fail(rq, &admin_event_not_found, "not a number");
        return;
    }
    cJSON *body = admin_body(rq);
    if (!body) {
        return;
    }
    bool ok = true, out_of_order = false;
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(body, "outOfOrder");
    const char *actor = admin_body_text(rq, body, "actor", ACTOR_MAX, false, &ok);
    const char *reason = admin_body_text(rq, body, "reason", REASON_MAX, false, &ok);
    if (ok && item && !cJSON_IsBool(item)) {
        admin_fail_field(rq, "outOfOrder", "true 또는 false여야 합니다", "must be true or false");
        ok = false;
    }
    out_of_order = cJSON_IsTrue(item);
    cJSON_Delete(body);
    if (!ok) {
        return;
    }
    struct asking *a = asking_new(rq, JOURNAL_EVENT_REPLAY, on_replayed);
    if (a) {
        a->actor = actor ? actor : admin_caller(rq);
        a->reason = reason;
        a->op.seq = seq;
        a->op.out_of_order = out_of_order;
    }
    asking_submit(rq, a);
}
