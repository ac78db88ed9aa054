/* retire.c - POST and DELETE /admin/retire (issue 3, point 2): the instance gives its slot up. It takes no new changes,
 * settles and forwards what it has, and ends when nothing is left; GET /admin/status tells how far it is. */
#include "admin/internal.h"

#include "pcs/core/log.h"

static void told(struct http_request *rq, const char *actor, const char *reason)
{
    const struct admin *a = admin_of(rq);
    struct buf b;
    log_warn(a->parts.retire->asked ? "retire.asked" : "retire.cancelled",
             log_int("slot", journal_slot(a->parts.journal)), log_str("actor", actor),
             log_str("reason", reason), log_str("caller", admin_caller(rq)),
             log_bool("leaveDead", a->parts.retire->leave_dead));
    a->parts.retire->wake(a->parts.retire->arg);
    admin_data_open(&b);
    buf_json_int(&b, "slot", journal_slot(a->parts.journal));
    buf_json_bool(&b, "retiring", a->parts.retire->asked);
    admin_data_send(rq, &b, a->parts.retire->asked ? 202 : 200);
}

void handle_retire(struct http_request *rq)
{
    struct admin_retire *r = admin_of(rq)->parts.retire;
    cJSON *body = admin_body(rq);
    if (!body) {
        return;
    }
    bool ok = true;
    const char *actor = admin_body_text(rq, body, "actor", ACTOR_MAX, true, &ok);
    const char *reason = admin_body_text(rq, body, "reason", REASON_MAX, false, &ok);
    const cJSON *leave = cJSON_GetObjectItemCaseSensitive(body, "leaveDead");
    bool sound = !leave || cJSON_IsBool(leave), leave_dead = cJSON_IsTrue(leave);
    cJSON_Delete(body);
    if (ok && !sound) {
        admin_fail_field(rq, "leaveDead", "true 또는 false여야 합니다", "must be true or false");
        return;
    }
    if (ok) {
        r->leave_dead = leave_dead;
        r->asked = true;
        told(rq, actor, reason);
    }
}

void handle_retire_cancel(struct http_request *rq)
{
    struct admin *a = admin_of(rq);
    if (a->ending || *a->parts.stopping) {
        admin_fail(rq, &admin_ending, NULL);
        return;
    }
    a->parts.retire->asked = false;
    told(rq, admin_caller(rq), NULL);
}
