/* row.c - change_record <-> product_change_history. */
#include "history/row.h"

#include "pcs/core/json.h"
#include "pcs/core/log.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define VALIDATION_MAX ((size_t)64 * 1024)

/* The result codes that are ours, one for each way to end (CONTRACT.md 1, Result). */
static const struct {
    const char *code;
    enum change_state state;
} own_codes[] = {
    {"0000", CHANGE_COMPLETED},          {"VALIDATION_FAILED", CHANGE_INVALID},
    {"NOT_APPLIED", CHANGE_NOT_APPLIED}, {"KOS_UNAVAILABLE", CHANGE_NOT_SENT},
    {"CANCELLED", CHANGE_CANCELLED},     {"EXPIRED", CHANGE_EXPIRED},
};
#define OWN_CODES (sizeof own_codes / sizeof *own_codes)

const char *history_row_status(const struct change_record *r)
{
    return r->state == CHANGE_COMPLETED ? "COMPLETED" : "FAILED";
}

const char *history_row_result_code(const struct change_record *r)
{
    if (r->result_code) {
        return r->result_code;
    }
    for (size_t i = 0; i < OWN_CODES; i++) {
        if (own_codes[i].state == r->state) {
            return own_codes[i].code;
        }
    }
    return "UNKNOWN"; /* refused, and KOS's code was not kept */
}

enum change_state history_row_state(const char *status, const char *result_code)
{
    if (strcmp(status, "COMPLETED") == 0) {
        return CHANGE_COMPLETED;
    }
    for (size_t i = 1; i < OWN_CODES; i++) {
        if (strcmp(own_codes[i].code, result_code) == 0) {
            return own_codes[i].state;
        }
    }
    return CHANGE_REFUSED;
}

const char *history_row_validation(const struct change_record *r)
{
    static const struct json_limits limits = {VALIDATION_MAX, 16, 64, true};
    struct json_error error;
    const char *text = r->validation_json;
    if (!text || json_check(text, strlen(text), &limits, &error)) {
        return text;
    }
    log_error("history.validation_dropped", log_str("requestId", r->request_id),
              log_str("reason", error.reason));
    return NULL;
}

#define MS(column) "(extract(epoch FROM " column ") * 1000)::bigint"
const char history_row_columns[] =
    "request_id, " MS("requested_at") ", line_number, customer_id, current_product_code,"
                                      " current_product_name, target_product_code, target_product_name, "
                                      "status, result_code, result_message,"
                                      " failure_reason, validation, kos_order_number, " MS(
                                          "validated_at") ", " MS("processed_at") ", actor";

/* In the order of history_row_columns; status and result_code also make the state. */
enum { COLUMN_STATUS = 8, COLUMN_RESULT_CODE = 9, COLUMN_ACTOR = 16 };
#define TEXT(member)                                                                                         \
    {                                                                                                        \
        offsetof(struct change_record, member), false                                                        \
    }
#define TIME(member)                                                                                         \
    {                                                                                                        \
        offsetof(struct change_record, member), true                                                         \
    }
static const struct {
    size_t offset;
    bool time;
} members[] = {
    TEXT(request_id),      TIME(requested_at),     TEXT(line),           TEXT(customer_id),
    TEXT(current_code),    TEXT(current_name),     TEXT(target_code),    TEXT(target_name),
    {SIZE_MAX, false},     TEXT(result_code),      TEXT(result_message), TEXT(failure_reason),
    TEXT(validation_json), TEXT(kos_order_number), TIME(validated_at),   TIME(processed_at),
    TEXT(actor),
};
#define MEMBERS ((int)(sizeof members / sizeof *members))

bool history_row_read(const PGresult *result, int row, int first, struct change_record *out, struct arena *a)
{
    memset(out, 0, sizeof *out);
    for (int i = 0; i < MEMBERS; i++) {
        if (PQgetisnull(result, row, first + i) || members[i].offset == SIZE_MAX) {
            continue;
        }
        const char *value = PQgetvalue(result, row, first + i);
        char *member = (char *)out + members[i].offset;
        if (members[i].time) {
            *(int64_t *)(void *)member = strtoll(value, NULL, 10);
            continue;
        }
        const char *copy = arena_strndup(a, value, (size_t)PQgetlength(result, row, first + i));
        if (!copy) {
            return false;
        }
        *(const char **)(void *)member = copy;
    }
    out->subject = out->actor;
    out->state = history_row_state(PQgetvalue(result, row, first + COLUMN_STATUS),
                                   PQgetvalue(result, row, first + COLUMN_RESULT_CODE));
    return true;
}
