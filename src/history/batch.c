/* batch.c - arrays for unnest(), column by column. */
#include "history/batch.h"

#include "history/row.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMN_MAX ((size_t)64 << 20) /* bytes of one column of one batch */

/* $1 is the instance, $2.. the columns in the order of the tables below. Times travel as milliseconds: whole
 * numbers, so no rounding. */
#define TS(column) "timestamptz 'epoch' + " column " * interval '1 millisecond'"
static const char store_name[] = "history_store";
static const char store_sql[] =
    "WITH stored AS (INSERT INTO product_change.product_change_history (instance, request_id, requested_at,"
    " line_number, customer_id, current_product_code, current_product_name, target_product_code,"
    " target_product_name, status, result_code, result_message, failure_reason, validation, kos_order_number,"
    " validated_at, processed_at, actor)"
    " SELECT $1::text, r.a::uuid, " TS(
        "r.b") ", r.c, r.d, r.e, r.f, r.g, r.h, r.i, r.j, r.k, r.l, r.m::jsonb,"
               " r.n, " TS("r.o") ", " TS(
                   "r.p") ", r.q"
                          " FROM unnest($2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], "
                          "$7::text[], $8::text[],"
                          " $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], "
                          "$15::text[], $16::bigint[],"
                          " $17::bigint[], $18::text[]) AS r(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, "
                          "q)"
                          " ON CONFLICT DO NOTHING RETURNING 1),"
                          " noted AS (INSERT INTO product_change.kos_integration_log (instance, seq, "
                          "request_id, operation, attempt,"
                          " http_status, result_code, outcome, milliseconds, breaker_state, at)"
                          " SELECT $1::text, r.a, r.b::uuid, r.c, r.d::integer, r.e::integer, r.f, r.g, r.h, "
                          "r.i, " TS(
                              "r.j") " FROM unnest($19::bigint[], $20::text[], $21::text[], $22::bigint[], "
                                     "$23::bigint[], $24::text[],"
                                     " $25::text[], $26::bigint[], $27::text[], $28::bigint[]) AS r(a, b, c, "
                                     "d, e, f, g, h, i, j)"
                                     " ON CONFLICT DO NOTHING RETURNING 1)"
                                     " SELECT (SELECT count(*) FROM stored), (SELECT count(*) FROM noted)";

struct column {
    enum { KIND_TEXT, KIND_NUMBER, KIND_OPTIONAL /* 0 is NULL */, KIND_MADE } kind;
    size_t offset;
    const char *(*make)(const struct change_record *r);
};
static const char *row_actor(const struct change_record *r)
{
    return r->actor ? r->actor : r->subject;
}

#define ROW(kind_, member)                                                                                   \
    {                                                                                                        \
        .kind = (kind_), .offset = offsetof(struct change_record, member)                                    \
    }
#define MADE(function)                                                                                       \
    {                                                                                                        \
        .kind = KIND_MADE, .make = (function)                                                                \
    }
static const struct column row_table[BATCH_ROW_COLUMNS] = {
    ROW(KIND_TEXT, request_id),
    ROW(KIND_OPTIONAL, requested_at),
    ROW(KIND_TEXT, line),
    ROW(KIND_TEXT, customer_id),
    ROW(KIND_TEXT, current_code),
    ROW(KIND_TEXT, current_name),
    ROW(KIND_TEXT, target_code),
    ROW(KIND_TEXT, target_name),
    MADE(history_row_status),
    MADE(history_row_result_code),
    ROW(KIND_TEXT, result_message),
    ROW(KIND_TEXT, failure_reason),
    MADE(history_row_validation),
    ROW(KIND_TEXT, kos_order_number),
    ROW(KIND_OPTIONAL, validated_at),
    ROW(KIND_OPTIONAL, processed_at),
    MADE(row_actor),
};

#define CALL(kind_, member)                                                                                  \
    {                                                                                                        \
        .kind = (kind_), .offset = offsetof(struct journal_call, member)                                     \
    }
static const struct column call_table[BATCH_CALL_COLUMNS] = {
    CALL(KIND_NUMBER, seq),     CALL(KIND_TEXT, request_id),      CALL(KIND_TEXT, operation),
    CALL(KIND_NUMBER, attempt), CALL(KIND_OPTIONAL, http_status), CALL(KIND_TEXT, result_code),
    CALL(KIND_TEXT, outcome),   CALL(KIND_NUMBER, milliseconds),  CALL(KIND_TEXT, breaker_state),
    CALL(KIND_OPTIONAL, at),
};

void history_batch_init(struct batch *b)
{
    for (size_t i = 0; i < BATCH_COLUMNS; i++) {
        buf_init(&b->columns[i], COLUMN_MAX);
    }
}

void history_batch_free(struct batch *b)
{
    for (size_t i = 0; i < BATCH_COLUMNS; i++) {
        buf_free(&b->columns[i]);
    }
}

enum fault history_batch_prepare(struct pglink *l, uint64_t deadline_ns)
{
    return pglink_prepare(l, store_name, store_sql, deadline_ns);
}

/* An element of a text array: quoted, so that no text can end it. */
static void put_text(struct buf *out, const char *text)
{
    if (!text) {
        buf_lit(out, "NULL");
        return;
    }
    buf_putc(out, '"');
    for (;;) {
        size_t plain = strcspn(text, "\"\\");
        buf_put(out, text, plain);
        text += plain;
        if (!*text) {
            break;
        }
        buf_putc(out, '\\');
        buf_putc(out, *text++);
    }
    buf_putc(out, '"');
}

static void put_value(struct buf *out, const struct column *c, const void *record)
{
    const char *member = (const char *)record + c->offset;
    int64_t number;
    switch (c->kind) {
    case KIND_TEXT:
        put_text(out, *(const char *const *)(const void *)member);
        break;
    case KIND_MADE:
        put_text(out, c->make(record));
        break;
    case KIND_NUMBER:
    case KIND_OPTIONAL:
        number = *(const int64_t *)(const void *)member;
        if (number == 0 && c->kind == KIND_OPTIONAL) {
            buf_lit(out, "NULL");
        } else {
            buf_put_i64(out, number);
        }
        break;
    }
}

static void put_column(struct buf *out, const struct column *c, const void *records, size_t size,
                       size_t count)
{
    buf_reset(out);
    buf_putc(out, '{');
    for (size_t i = 0; i < count; i++) {
        if (i) {
            buf_putc(out, ',');
        }
        put_value(out, c, (const char *)records + i * size);
    }
    buf_putc(out, '}');
}

enum fault history_batch_store(struct batch *b, struct pglink *l, const char *instance,
                               const struct change_record *rows, size_t row_count,
                               const struct journal_call *calls, size_t call_count, uint64_t deadline_ns,
                               struct batch_counts *counts)
{
    const char *values[1 + BATCH_COLUMNS] = {instance};
    PGresult *result = NULL;
    for (size_t i = 0; i < BATCH_COLUMNS; i++) {
        struct buf *out = &b->columns[i];
        if (i < BATCH_ROW_COLUMNS) {
            put_column(out, &row_table[i], rows, sizeof *rows, row_count);
        } else {
            put_column(out, &call_table[i - BATCH_ROW_COLUMNS], calls, sizeof *calls, call_count);
        }
        if (!buf_ok(out)) {
            l->sqlstate[0] = '\0';
            snprintf(l->error, sizeof l->error, "no memory for a batch");
            return FAULT_BUSY;
        }
        values[i + 1] = out->data;
    }
    enum fault f = pglink_run(l, store_name, 1 + BATCH_COLUMNS, values, deadline_ns, &result);
    if (f == FAULT_NONE) {
        counts->rows = strtoul(PQgetvalue(result, 0, 0), NULL, 10);
        counts->calls = strtoul(PQgetvalue(result, 0, 1), NULL, 10);
        PQclear(result);
    }
    return f;
}
