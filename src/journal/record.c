/* record.c - change records as rows. */
#include "journal/record.h"

#include <stddef.h>
#include <string.h>

enum kind { TEXT, INT, BOOL, STATE };

/* What an update does with a column. */
enum effect {
    KEEP,  /* as it is */
    SET,   /* as given */
    FILL,  /* as given; as it is when nothing is given */
    FIRST, /* as given when there was nothing */
    CLEAR  /* 0 */
};

struct column {
    const char *name;
    enum kind kind;
    size_t offset;
    enum effect outcome, send, doubt;
};

#define COLUMN(name_, kind_, outcome_, send_, doubt_)                                                        \
    {                                                                                                        \
#name_, kind_, offsetof(struct change_record, name_), outcome_, send_, doubt_                        \
    }

/* clang-format off */
static const struct column columns[] = {
    /*                                 outcome SEND   DOUBT */
    COLUMN(request_id,           TEXT,  KEEP,  KEEP,  KEEP),
    COLUMN(line,                 TEXT,  KEEP,  KEEP,  KEEP),
    COLUMN(state,                STATE, SET,   SET,   KEEP),
    COLUMN(subject,              TEXT,  KEEP,  KEEP,  KEEP),
    COLUMN(customer_id,          TEXT,  KEEP,  FILL,  KEEP),
    COLUMN(actor,                TEXT,  FILL,  KEEP,  KEEP),
    COLUMN(correlation_id,       TEXT,  KEEP,  KEEP,  KEEP),
    COLUMN(traceparent,          TEXT,  KEEP,  KEEP,  KEEP),
    COLUMN(idem_key,             TEXT,  KEEP,  KEEP,  KEEP),
    COLUMN(body_hash,            TEXT,  KEEP,  KEEP,  KEEP),
    COLUMN(frontend,             BOOL,  KEEP,  KEEP,  KEEP),
    COLUMN(held,                 BOOL,  KEEP,  KEEP,  KEEP),
    COLUMN(current_code,         TEXT,  KEEP,  KEEP,  KEEP),
    COLUMN(current_name,         TEXT,  FILL,  FILL,  KEEP),
    COLUMN(target_code,          TEXT,  KEEP,  KEEP,  KEEP),
    COLUMN(target_name,          TEXT,  FILL,  FILL,  KEEP),
    COLUMN(requested_at,         INT,   KEEP,  KEEP,  KEEP),
    COLUMN(loaded_at,            INT,   FILL,  SET,   KEEP),
    COLUMN(validated_at,         INT,   FILL,  FILL,  KEEP),
    COLUMN(sent_at,              INT,   KEEP,  SET,   KEEP),
    COLUMN(processed_at,         INT,   SET,   KEEP,  KEEP),
    COLUMN(expires_at,           INT,   KEEP,  KEEP,  KEEP),
    COLUMN(result_code,          TEXT,  SET,   KEEP,  KEEP),
    COLUMN(result_message,       TEXT,  SET,   KEEP,  KEEP),
    COLUMN(failure_reason,       TEXT,  SET,   KEEP,  KEEP),
    COLUMN(validation_json,      TEXT,  FILL,  FILL,  KEEP),
    COLUMN(check_codes,          TEXT,  FILL,  FILL,  KEEP),
    COLUMN(changed_product_json, TEXT,  SET,   KEEP,  KEEP),
    COLUMN(kos_order_number,     TEXT,  SET,   KEEP,  KEEP),
    COLUMN(in_doubt,             BOOL,  CLEAR, KEEP,  SET),
    COLUMN(on_operator_list,     BOOL,  CLEAR, KEEP,  SET),
    COLUMN(doubt_since,          INT,   KEEP,  KEEP,  SET),
    COLUMN(next_check_at,        INT,   CLEAR, KEEP,  SET),
    COLUMN(first_baseline_at,    INT,   KEEP,  KEEP,  SET),
    COLUMN(last_baseline_at,     INT,   KEEP,  KEEP,  SET),
    COLUMN(checks,               INT,   KEEP,  KEEP,  SET),
    COLUMN(first_status,         INT,   FIRST, FIRST, FIRST),
};
/* clang-format on */

#define COLUMNS ((int)(sizeof columns / sizeof columns[0]))
const int record_columns = COLUMNS;

void record_names(struct buf *out)
{
    for (int i = 0; i < COLUMNS; i++) {
        buf_printf(out, "%s%s", i ? "," : "", columns[i].name);
    }
}

void record_params(struct buf *out)
{
    for (int i = 0; i < COLUMNS; i++) {
        buf_printf(out, "%s?%d", i ? "," : "", i + 1);
    }
}

/* The column's new value as an expression over the old row and parameter n. */
static void value_of(struct buf *out, const struct column *c, int n, enum effect effect)
{
    switch (effect) {
    case SET:
        buf_printf(out, "?%d", n);
        break;
    case FILL:
        buf_printf(out, c->kind == TEXT ? "coalesce(?%d,%s)" : "coalesce(nullif(?%d,0),%s)", n, c->name);
        break;
    case FIRST:
        buf_printf(out, "coalesce(nullif(%s,0),?%d)", c->name, n);
        break;
    case CLEAR:
        buf_puts(out, "0");
        break;
    case KEEP:
        buf_puts(out, c->name);
        break;
    }
}

static void set_list(struct buf *out, bool doubt)
{
    bool some = false;
    for (int i = 0; i < COLUMNS; i++) {
        enum effect effect = doubt ? columns[i].doubt : columns[i].send;
        if (effect != KEEP) {
            buf_printf(out, "%s%s=", some ? "," : "", columns[i].name);
            value_of(out, &columns[i], i + 1, effect);
            some = true;
        }
    }
}

void record_send(struct buf *out)
{
    set_list(out, false);
}

void record_doubt(struct buf *out)
{
    set_list(out, true);
}

static bool nothing_given(const struct column *c, const char *member)
{
    return c->kind == TEXT ? !*(const char *const *)(const void *)member
                           : c->kind == INT && *(const int64_t *)(const void *)member == 0;
}

static void copy_member(const struct column *c, char *to, const char *from)
{
    static const size_t sizes[] = {[TEXT] = sizeof(const char *),
                                   [INT] = sizeof(int64_t),
                                   [BOOL] = sizeof(bool),
                                   [STATE] = sizeof(enum change_state)};
    if (from) {
        memcpy(to, from, sizes[c->kind]);
    } else {
        memset(to, 0, sizes[c->kind]);
    }
}

void record_end(const struct change_record *open, struct change_record *outcome)
{
    for (int i = 0; i < COLUMNS; i++) {
        const struct column *c = &columns[i];
        const char *was = (const char *)open + c->offset;
        char *is = (char *)outcome + c->offset;
        if (c->outcome == KEEP || (c->outcome == FILL && nothing_given(c, is)) ||
            (c->outcome == FIRST && !nothing_given(c, was))) {
            copy_member(c, is, was);
        } else if (c->outcome == CLEAR) {
            copy_member(c, is, NULL);
        }
    }
}

void record_bind(sqlite3_stmt *s, const struct change_record *r)
{
    for (int i = 0; i < COLUMNS; i++) {
        const char *member = (const char *)r + columns[i].offset;
        switch (columns[i].kind) {
        case TEXT:
            sqlite3_bind_text(s, i + 1, *(const char *const *)(const void *)member, -1, SQLITE_STATIC);
            break;
        case INT:
            sqlite3_bind_int64(s, i + 1, *(const int64_t *)(const void *)member);
            break;
        case BOOL:
            sqlite3_bind_int(s, i + 1, *(const bool *)(const void *)member);
            break;
        case STATE:
            sqlite3_bind_int(s, i + 1, (int)*(const enum change_state *)(const void *)member);
            break;
        }
    }
}

bool column_text(sqlite3_stmt *s, int at, const char **to, struct arena *a)
{
    const char *text = (const char *)sqlite3_column_text(s, at);
    *to = text ? arena_strndup(a, text, (size_t)sqlite3_column_bytes(s, at)) : NULL;
    return *to || !text;
}

/* A number that is none of ours (a damaged file, or a later version's) tells of no outcome that we know: SENDING, so that
 * the line stays closed and KOS is asked. */
static enum change_state read_state(sqlite3_stmt *s, int at)
{
    int state = sqlite3_column_int(s, at);
    return state >= 0 && state < CHANGE_STATES ? (enum change_state)state : CHANGE_SENDING;
}

bool record_read(sqlite3_stmt *s, int first, struct change_record *r, struct arena *a)
{
    *r = (struct change_record){0};
    for (int i = 0; i < COLUMNS; i++) {
        char *member = (char *)r + columns[i].offset;
        switch (columns[i].kind) {
        case TEXT:
            if (!column_text(s, first + i, (const char **)(void *)member, a)) {
                return false;
            }
            break;
        case INT:
            *(int64_t *)(void *)member = sqlite3_column_int64(s, first + i);
            break;
        case BOOL:
            *(bool *)(void *)member = sqlite3_column_int(s, first + i) != 0;
            break;
        case STATE:
            *(enum change_state *)(void *)member = read_state(s, first + i);
            break;
        }
    }
    return true;
}
