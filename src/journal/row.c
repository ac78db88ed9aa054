/* row.c - change_record -> the columns of its row. */
#include "pcs/journal/row.h"

#include <stddef.h>
#include <string.h>

/* No duplicate names: jsonb would silently keep one of them. */
const struct json_limits change_row_validation_limits = {(size_t)64 * 1024, 16, 64, false};

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

const char *change_row_status(const struct change_record *r)
{
    return r->state == CHANGE_COMPLETED ? "COMPLETED" : "FAILED";
}

const char *change_row_result_code(const struct change_record *r)
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

enum change_state change_row_state(const char *status, const char *result_code)
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

const char *change_row_actor(const struct change_record *r)
{
    return r->actor ? r->actor : r->subject;
}

const char *change_row_validation(const struct change_record *r, const char **reason)
{
    struct json_error error = {0};
    const char *text = r->validation_json;
    if (!text || json_check(text, strlen(text), &change_row_validation_limits, &error)) {
        return text;
    }
    if (reason) {
        *reason = error.reason;
    }
    return NULL;
}
