/* forget.c - POST /admin/lines/forget (issue 5, point 9): erases a line's personal fields. The line is in the body, so that
 * no path of a log or a proxy has it. */
#include "admin/internal.h"

#include "pcs/change/forget.h"

#include <stdio.h>
#include <string.h>

static void on_forgotten(void *arg, enum forget_answer answer, const struct forget_report *r)
{
    struct http_request *rq = arg;
    char why[512];
    struct buf b;
    switch (answer) {
    case FORGET_DONE:
        admin_data_open(&b);
        view_forgotten(&b, journal_instance(admin_of(rq)->parts.journal), r);
        admin_data_send(rq, &b, 200);
        return;
    case FORGET_REFUSED:
        view_forget_why(why, sizeof why, r);
        admin_fail(rq, &admin_line_busy, why);
        return;
    case FORGET_STOPPED:
        break;
    }
    view_forget_why(why, sizeof why, r);
    admin_unavailable(rq, why);
}

static bool read_body(struct http_request *rq, const cJSON *body, struct forget_request *in)
{
    bool ok = true;
    char *line = arena_alloc(&rq->arena, LINE_LEN + 1);
    const char *text = admin_body_text(rq, body, "lineNumber", 32, true, &ok);
    in->actor = admin_body_text(rq, body, "actor", ACTOR_MAX, true, &ok);
    in->reason = admin_body_text(rq, body, "reason", REASON_MAX, true, &ok);
    const cJSON *give_up = cJSON_GetObjectItemCaseSensitive(body, "giveUpDeadLetters");
    if (ok && (!line || !line_parse(text, strlen(text), line))) {
        admin_fail_field(rq, "lineNumber", "010으로 시작하는 11자리 번호여야 합니다",
                         "must be 010 followed by 8 digits");
        return false;
    }
    if (ok && give_up && !cJSON_IsBool(give_up)) {
        admin_fail_field(rq, "giveUpDeadLetters", "true 또는 false여야 합니다", "must be true or false");
        return false;
    }
    if (ok && (forget_names_line(in->reason, line) || forget_names_line(in->actor, line))) {
        admin_fail_field(rq, "reason", "회선 번호를 포함할 수 없습니다",
                         "must not contain the line's number");
        return false;
    }
    in->line = rq->log_line = line;
    in->give_up = cJSON_IsTrue(give_up);
    return ok;
}

void handle_forget(struct http_request *rq)
{
    struct forget_request in = {0};
    cJSON *body = admin_body(rq);
    bool ok = body && read_body(rq, body, &in);
    cJSON_Delete(body);
    if (ok && !change_forget_line(admin_of(rq)->parts.changes, &in, on_forgotten, rq)) {
        admin_unavailable(rq, "the service is ending or has no memory");
    }
}
