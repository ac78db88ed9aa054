/* batch.c - arrays for unnest(), column by column. */
#include "history/batch.h"

#include "history/row.h"
#include "pcs/journal/row.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMN_MAX ((size_t)64 << 20) /* bytes of one column of one batch */

/* $1 is the instance, $2.. the columns in the order of the tables below. Times travel as milliseconds: whole
 * numbers, so no rounding. */
/* clang-format off */
#define TS(column) "timestamptz 'epoch' + " column " * interval '1 millisecond'"
static const char store_name[] = "history_store";
static const char store_sql[] =
    "WITH stored AS (INSERT INTO product_change.product_change_history"
    " (instance, request_id, requested_at, line_number, customer_id,"
    " current_product_code, current_product_name, target_product_code, target_product_name,"
    " status, result_code, result_message, failure_reason, validation, kos_order_number,"
    " validated_at, processed_at, actor)"
    " SELECT $1::text, r.a::uuid, " TS("r.b") ", r.c, r.d, r.e, r.f, r.g, r.h, r.i, r.j, r.k, r.l, r.m::jsonb, r.n,"
    " " TS("r.o") ", " TS("r.p") ", r.q"
    " FROM unnest($2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],"
    " $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::bigint[], $17::bigint[],"
    " $18::text[]) AS r(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q)"
    " ON CONFLICT DO NOTHING RETURNING 1),"
    " noted AS (INSERT INTO product_change.kos_integration_log"
    " (instance, seq, request_id, operation, attempt, http_status, result_code, outcome, milliseconds,"
    " breaker_state, at)"
    " SELECT $1::text, r.a, r.b::uuid, r.c, r.d::integer, r.e::integer, r.f, r.g, r.h, r.i, " TS("r.j")
    " FROM unnest($19::bigint[], $20::text[], $21::text[], $22::bigint[], $23::bigint[], $24::text[], $25::text[],"
    " $26::bigint[], $27::text[], $28::bigint[]) AS r(a, b, c, d, e, f, g, h, i, j)"
    " ON CONFLICT DO NOTHING RETURNING 1),"
    " linked AS (INSERT INTO product_change.product_change_history_chain"
    " (instance, seq, kind, request_id, requested_ms, key_id, previous, digests, salt, link)"
    " SELECT $1::text, r.a, r.b::smallint, r.c, r.d, decode(r.e, 'hex'), decode(r.f, 'hex'), decode(r.g, 'hex'),"
    " decode(r.h, 'hex'), decode(r.i, 'hex')"
    " FROM unnest($29::bigint[], $30::bigint[], $31::text[], $32::bigint[], $33::text[], $34::text[], $35::text[],"
    " $36::text[], $37::text[]) AS r(a, b, c, d, e, f, g, h, i)"
    " ON CONFLICT DO NOTHING)"
    " SELECT (SELECT count(*) FROM stored), (SELECT count(*) FROM noted)";
/* clang-format on */

struct column {
    enum { KIND_TEXT, KIND_NUMBER, KIND_OPTIONAL /* 0 is NULL */, KIND_MADE } kind;
    size_t offset;
    const char *(*make)(const struct change_record *r);
};

#define ROW(kind_, member)                                                                                   \
    {                                                                                                        \
        .kind = (kind_), .offset = offsetof(struct change_record, member)                                    \
    }
#define MADE(function)                                                                                       \
    {                                                                                                        \
        .kind = KIND_MADE, .make = (function)                                                                \
    }
static const struct column row_table[BATCH_ROW_COLUMNS] = {
    ROW(KIND_TEXT, request_id),       ROW(KIND_OPTIONAL, requested_at), ROW(KIND_TEXT, line),
    ROW(KIND_TEXT, customer_id),      ROW(KIND_TEXT, current_code),     ROW(KIND_TEXT, current_name),
    ROW(KIND_TEXT, target_code),      ROW(KIND_TEXT, target_name),      MADE(change_row_status),
    MADE(change_row_result_code),     ROW(KIND_TEXT, result_message),   ROW(KIND_TEXT, failure_reason),
    MADE(history_row_validation),     ROW(KIND_TEXT, kos_order_number), ROW(KIND_OPTIONAL, validated_at),
    ROW(KIND_OPTIONAL, processed_at), MADE(change_row_actor),
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

/* One link as the next element of each of its columns. */
static void put_link(struct buf *columns, const struct chain_link *l)
{
    char hex[2 * CHAIN_DIGESTS + 1];
    for (size_t i = 0; i < BATCH_LINK_COLUMNS; i++) {
        if (columns[i].len > 1) { /* more than the '{' */
            buf_putc(&columns[i], ',');
        }
    }
    buf_put_i64(&columns[0], l->seq);
    buf_put_i64(&columns[1], l->kind);
    put_text(&columns[2], l->request_id);
    buf_put_i64(&columns[3], l->requested_at);
    put_text(&columns[4], chain_hex(hex, l->key_id, CHAIN_KEY_ID));
    put_text(&columns[5], chain_hex(hex, l->previous, CHAIN_HASH));
    put_text(&columns[6], l->kind == CHAIN_ROW ? chain_hex(hex, l->digests, CHAIN_DIGESTS) : "");
    put_text(&columns[7], l->salted ? chain_hex(hex, l->salt, CHAIN_SALT) : NULL);
    put_text(&columns[8], chain_hex(hex, l->link, CHAIN_HASH));
}

static void put_links(struct buf *columns, const struct batch_input *in)
{
    for (size_t i = 0; i < BATCH_LINK_COLUMNS; i++) {
        buf_reset(&columns[i]);
        buf_putc(&columns[i], '{');
    }
    for (size_t i = 0; i < in->row_count; i++) {
        if (in->links[i].seq) {
            put_link(columns, &in->links[i]);
        }
    }
    for (size_t i = 0; i < in->loose_count; i++) {
        put_link(columns, &in->loose[i]);
    }
    for (size_t i = 0; i < BATCH_LINK_COLUMNS; i++) {
        buf_putc(&columns[i], '}');
    }
}

enum fault history_batch_store(struct batch *b, struct pglink *l, const char *instance,
                               const struct batch_input *in, uint64_t deadline_ns,
                               struct batch_counts *counts)
{
    const char *values[1 + BATCH_COLUMNS] = {instance};
    PGresult *result = NULL;
    struct buf *out = b->columns;
    for (size_t i = 0; i < BATCH_ROW_COLUMNS; i++) {
        put_column(out++, &row_table[i], in->rows, sizeof *in->rows, in->row_count);
    }
    for (size_t i = 0; i < BATCH_CALL_COLUMNS; i++) {
        put_column(out++, &call_table[i], in->calls, sizeof *in->calls, in->call_count);
    }
    put_links(out, in);
    for (size_t i = 0; i < BATCH_COLUMNS; i++) {
        if (!buf_ok(&b->columns[i])) {
            l->sqlstate[0] = '\0';
            snprintf(l->error, sizeof l->error, "no memory for a batch");
            return FAULT_BUSY;
        }
        values[i + 1] = b->columns[i].data;
    }
    enum fault f = pglink_run(l, store_name, 1 + BATCH_COLUMNS, values, deadline_ns, &result);
    if (f == FAULT_NONE) {
        counts->rows = strtoul(PQgetvalue(result, 0, 0), NULL, 10);
        counts->calls = strtoul(PQgetvalue(result, 0, 1), NULL, 10);
        PQclear(result);
    }
    return f;
}
