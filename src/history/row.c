/* row.c - change_record <-> product_change_history. */
#include "history/row.h"

#include "pcs/core/log.h"
#include "pcs/journal/row.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

const char *history_row_validation(const struct change_record *r)
{
    const char *reason = NULL, *text = change_row_validation(r, &reason);
    if (reason) {
        log_error("history.validation_dropped", log_str("requestId", r->request_id),
                  log_str("reason", reason));
    }
    return text;
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
    out->state = change_row_state(PQgetvalue(result, row, first + COLUMN_STATUS),
                                  PQgetvalue(result, row, first + COLUMN_RESULT_CODE));
    return true;
}
