/* record_json.c - a table of members drives both directions, so that they cannot drift apart. */
#include "change/record_json.h"

#include "pcs/core/id.h"
#include "pcs/core/json.h"

#include <string.h>

#define RECORD_MAX 65536

enum member_kind { MEMBER_TEXT, MEMBER_JSON, MEMBER_INT, MEMBER_BOOL };

#define TEXT(m)                                                                                              \
    {                                                                                                        \
#m, MEMBER_TEXT, offsetof(struct change_record, m)                                                   \
    }
#define JSON(m)                                                                                              \
    {                                                                                                        \
#m, MEMBER_JSON, offsetof(struct change_record, m)                                                   \
    }
#define INT(m)                                                                                               \
    {                                                                                                        \
#m, MEMBER_INT, offsetof(struct change_record, m)                                                    \
    }
#define BOOL(m)                                                                                              \
    {                                                                                                        \
#m, MEMBER_BOOL, offsetof(struct change_record, m)                                                   \
    }

static const struct member {
    const char *name;
    enum member_kind kind;
    size_t offset;
} members[] = {
    TEXT(request_id),      TEXT(line),
    TEXT(subject),         TEXT(customer_id),
    TEXT(actor),           TEXT(idem_key),
    TEXT(body_hash),       TEXT(current_code),
    TEXT(current_name),    TEXT(target_code),
    TEXT(target_name),     TEXT(result_code),
    TEXT(result_message),  TEXT(failure_reason),
    TEXT(check_codes),     TEXT(kos_order_number),
    JSON(validation_json), JSON(changed_product_json),
    BOOL(frontend),        BOOL(held),
    BOOL(in_doubt),        BOOL(on_operator_list),
    INT(requested_at),     INT(validated_at),
    INT(sent_at),          INT(processed_at),
    INT(expires_at),       INT(doubt_since),
    INT(next_check_at),    INT(first_status),
};

void record_encode(struct buf *out, const struct change_record *c)
{
    buf_json_open(out, NULL, '{');
    buf_json_str(out, "state", change_state_name(c->state));
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        const struct member *m = &members[i];
        const void *at = (const char *)c + m->offset;
        if (m->kind == MEMBER_INT) {
            buf_json_int(out, m->name, *(const int64_t *)at);
        } else if (m->kind == MEMBER_BOOL) {
            buf_json_bool(out, m->name, *(const bool *)at);
        } else {
            buf_json_str(out, m->name, *(const char *const *)at); /* JSON members travel as text */
        }
    }
    buf_json_close(out, '}');
}

static bool decode_member(const cJSON *object, const struct member *m, struct arena *arena,
                          struct change_record *out)
{
    void *at = (char *)out + m->offset;
    if (m->kind == MEMBER_INT) {
        json_int(object, m->name, at);
        return true;
    }
    if (m->kind == MEMBER_BOOL) {
        json_bool(object, m->name, at);
        return true;
    }
    const char *text = json_text(object, m->name);
    if (!text) {
        return true;
    }
    struct json_error error;
    struct json_limits limits = {.max_bytes = RECORD_MAX, .max_depth = 16, .max_members = 64};
    if (m->kind == MEMBER_JSON && !json_check(text, strlen(text), &limits, &error)) {
        return false; /* it will be spliced into an answer: it has to be JSON */
    }
    char *copy = arena_strdup(arena, text);
    *(const char **)at = copy;
    return copy != NULL;
}

bool record_decode(const char *text, size_t len, struct arena *arena, struct change_record *out)
{
    struct json_error error;
    char id[UUID_LEN + 1];
    memset(out, 0, sizeof *out);
    struct json_limits limits = {.max_bytes = RECORD_MAX, .max_depth = 8, .max_members = 64};
    cJSON *root = json_parse(text, len, &limits, &error);
    bool ok = cJSON_IsObject(root);
    const char *state = ok ? json_text(root, "state") : NULL;
    ok = ok && state && change_state_parse(state, &out->state);
    for (size_t i = 0; ok && i < sizeof members / sizeof members[0]; i++) {
        ok = decode_member(root, &members[i], arena, out);
    }
    cJSON_Delete(root);
    return ok && out->request_id && uuid_parse(out->request_id, strlen(out->request_id), id) && out->line &&
           strlen(out->line) == 11 && out->current_code && out->target_code;
}
