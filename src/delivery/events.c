/* events.c - the event of a change that has ended, exactly as MVNO AP reads it (CONTRACT.md 3).
 *
 * All texts are Korean, whatever language the customer was answered in: events are stored, not rendered. */
#include "pcs/core/buf.h"
#include "pcs/core/clock.h"
#include "pcs/core/id.h"
#include "pcs/delivery/delivery.h"

#define EVENT_MAX ((size_t)32 * 1024) /* bytes of a body: its members are bounded long before that */

static const struct words {
    const char *type, *result, *message;
} words[] = {
    [DELIVERY_COMPLETED] = {"product-change.completed", "정상", "상품 변경이 완료되었습니다"},
    [DELIVERY_FAILED] = {"product-change.failed", "실패", "상품 변경에 실패하였습니다"},
    [DELIVERY_SYSTEM_UNAVAILABLE] = {"product-change.system-unavailable", "장애",
                                     "시스템 일시 장애, 잠시 후 재시도"},
};

/* The Result's resultCode, for a record whose maker left it out (CONTRACT.md 1, Result). */
static const char *const state_codes[CHANGE_STATES] = {
    [CHANGE_COMPLETED] = "0000",          [CHANGE_NOT_SENT] = "KOS_UNAVAILABLE",
    [CHANGE_NOT_APPLIED] = "NOT_APPLIED", [CHANGE_INVALID] = "VALIDATION_FAILED",
    [CHANGE_CANCELLED] = "CANCELLED",     [CHANGE_EXPIRED] = "EXPIRED",
};

static const char *result_code_of(enum delivery_type type, const struct change_record *change)
{
    if (change->result_code && *change->result_code) {
        return change->result_code;
    }
    if (type == DELIVERY_SYSTEM_UNAVAILABLE) {
        return state_codes[CHANGE_NOT_SENT];
    }
    const char *code = (unsigned)change->state < CHANGE_STATES ? state_codes[change->state] : NULL;
    return code ? code : "UNKNOWN";
}

static void put_body(struct buf *out, const char *event_id, enum delivery_type type,
                     const struct change_record *change, int64_t now_ms)
{
    const struct words *w = &words[type];
    buf_json_open(out, NULL, '{');
    buf_json_str(out, "eventId", event_id);
    buf_json_str(out, "eventType", w->type);
    buf_json_str(out, "requestId", change->request_id);
    buf_json_str(out, "lineNumber", change->line);
    buf_json_str(out, "currentProductCode", change->current_code);
    buf_json_str(out, "targetProductCode", change->target_code);
    buf_json_str(out, "processResult", w->result);
    buf_json_str(out, "resultCode", result_code_of(type, change));
    buf_json_str(out, "message", w->message);
    if (type != DELIVERY_COMPLETED) {
        buf_json_str(out, "failureReason", change->failure_reason);
    }
    buf_json_time(out, "occurredAt", change->processed_at ? change->processed_at : now_ms);
    buf_json_close(out, '}');
}

bool delivery_event(struct journal_event *event, enum delivery_type type, const struct change_record *change,
                    struct arena *arena)
{
    struct buf body;
    int64_t now_ms = clock_wall_ms();
    char *id = arena_alloc(arena, UUID_LEN + 1);
    if (!id) {
        return false;
    }
    uuid_v7(id);
    buf_init(&body, EVENT_MAX);
    put_body(&body, id, type, change, now_ms);
    char *text = buf_ok(&body) ? arena_strndup(arena, body.data, body.len) : NULL;
    buf_free(&body);
    *event = (struct journal_event){.event_id = id,
                                    .type = words[type].type,
                                    .request_id = change->request_id,
                                    .line = change->line,
                                    .body = text,
                                    .traceparent = change->traceparent,
                                    .created_at = now_ms};
    return text != NULL;
}
