/* doubts.c - GET /admin/doubts, POST /admin/changes/{requestId}/settle and /check (issue 3, point 1). */
#include "admin/internal.h"

#include "pcs/change/operate.h"
#include "pcs/core/clock.h"

#include <stdlib.h>
#include <string.h>

/* ---- the list ---- */

struct listing {
    struct journal_op op;
    struct http_request *rq;
};

static void on_doubts(struct journal_op *op)
{
    struct listing *l = op->arg;
    struct http_request *rq = l->rq;
    struct buf b;
    if (op->status != JOURNAL_OK) {
        admin_unavailable(rq, "the journal cannot be read now");
    } else {
        admin_data_open(&b);
        view_doubts(&b, op, clock_wall_ms());
        buf_json_bool(&b, "more", op->limit > 0 && op->list_count == (size_t)op->limit);
        admin_data_send(rq, &b, 200);
    }
    journal_op_clear(op);
    free(l);
}

void handle_doubts(struct http_request *rq)
{
    int64_t limit;
    if (!admin_query_int(rq, "limit", 1, 1000, 200, &limit)) {
        return;
    }
    struct listing *l = calloc(1, sizeof *l);
    if (l) {
        l->rq = rq;
        journal_op_init(&l->op, admin_of(rq)->parts.journal, JOURNAL_LIST_DOUBT, &rq->reactor->inbox,
                        on_doubts, l);
        l->op.limit = limit;
        if (journal_submit(&l->op)) {
            return;
        }
        free(l);
    }
    admin_unavailable(rq, "the journal's queue is full");
}

/* ---- an operator's decision ---- */

/* True: answered with what went wrong. */
static bool refused(struct http_request *rq, enum hand_answer answer, const struct change_record *record)
{
    switch (answer) {
    case HAND_OK:
        return false;
    case HAND_NOT_FOUND:
        admin_fail(rq, &admin_request_not_found, "this instance's journal does not have it");
        return true;
    case HAND_NOT_IN_DOUBT:
        admin_fail(rq, &admin_not_in_doubt, record ? change_state_name(record->state) : NULL);
        return true;
    case HAND_BUSY:
        admin_fail(rq, &admin_busy, "an order or an outcome of it is under way");
        return true;
    case HAND_UNAVAILABLE:
        break;
    }
    admin_unavailable(rq, "the journal did not take it");
    return true;
}

static void on_settled(void *arg, enum hand_answer answer, const struct change_record *record)
{
    struct http_request *rq = arg;
    struct buf b;
    if (!refused(rq, answer, record)) {
        admin_data_open(&b);
        view_record(&b, "change", record);
        admin_data_send(rq, &b, 200);
    }
}

void handle_settle(struct http_request *rq)
{
    char id[UUID_LEN + 1];
    cJSON *body = admin_path_id(rq, id) ? admin_body(rq) : NULL;
    if (!body) {
        return;
    }
    bool ok = true;
    const char *outcome = admin_body_text(rq, body, "outcome", 32, true, &ok);
    const char *actor = admin_body_text(rq, body, "actor", ACTOR_MAX, true, &ok);
    const char *reason = admin_body_text(rq, body, "reason", REASON_MAX, true, &ok);
    cJSON_Delete(body);
    if (!ok) {
        return;
    }
    bool completed = strcmp(outcome, "completed") == 0;
    if (!completed && strcmp(outcome, "not-applied") != 0) {
        admin_fail_field(rq, "outcome", "completed 또는 not-applied여야 합니다",
                         "must be completed or not-applied");
        return;
    }
    if (!change_settle_by_hand(admin_of(rq)->parts.changes, id,
                               completed ? CHANGE_COMPLETED : CHANGE_NOT_APPLIED, actor, reason, on_settled,
                               rq)) {
        admin_unavailable(rq, "the service is ending or has no memory");
    }
}

static void on_asked(void *arg, enum hand_answer answer, const struct change_record *record)
{
    struct http_request *rq = arg;
    struct buf b;
    if (!refused(rq, answer, record)) {
        admin_data_open(&b);
        buf_json_str(&b, "requestId", record->request_id);
        buf_json_bool(&b, "asking", true);
        admin_data_send(rq, &b, 202);
    }
}

void handle_check(struct http_request *rq)
{
    char id[UUID_LEN + 1];
    if (admin_path_id(rq, id) && !change_check_now(admin_of(rq)->parts.changes, id, on_asked, rq)) {
        admin_unavailable(rq, "the service is ending or has no memory");
    }
}
