/* read.c - the history queries. */
#include "history/erase.h"
#include "history/row.h"
#include "pcs/core/id.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_MAX INT64_C(1000)

/* An id is a UUIDv7 of requested_at, made in the same moment, so a day on either side is ample; it keeps the
 * look-up to one partition or two. Ids of another version are looked for everywhere (the primary key of each
 * month): no instance makes them. */
#define ID_MARGIN_MS (INT64_C(24) * 3600 * 1000)

/* Times as milliseconds; open ends as the edges of what timestamptz holds. */
#define MS(parameter) "timestamptz 'epoch' + " parameter "::bigint * interval '1 millisecond'"
#define MS_MIN        INT64_C(-210000000000000) /* 4700 BC */
#define MS_MAX        INT64_C(9000000000000000) /* the year 287000 */

/* clang-format off */
#define COLUMNS \
    "request_id, requested_at, line_number, customer_id, current_product_code, current_product_name," \
    " target_product_code, target_product_name, status, result_code, result_message, failure_reason," \
    " validation, kos_order_number, validated_at, processed_at, actor"

/* $1 from, $2 until, $3 exclude, $4 limit, $5 offset; $6 the line. The count comes with the page, from the
 * same snapshot, and also when the page is past the end (the left join). */
#define PAGE(line) \
    "WITH matching AS NOT MATERIALIZED (SELECT " COLUMNS " FROM product_change.product_change_history" \
    " WHERE requested_at >= " MS("$1") " AND requested_at < " MS("$2") line \
    " AND request_id <> ALL ($3::uuid[]))" \
    " SELECT total.n, "
#define PAGE_END \
    " FROM (SELECT count(*) AS n FROM matching) total LEFT JOIN" \
    " (SELECT * FROM matching ORDER BY requested_at DESC, request_id DESC" \
    " LIMIT $4::bigint OFFSET $5::bigint) page" \
    " ON true ORDER BY page.requested_at DESC, page.request_id DESC"

#define GET_END \
    " FROM product_change.product_change_history WHERE request_id = $1::uuid" \
    " AND requested_at >= " MS("$2") " AND requested_at < " MS("$3") " LIMIT 1"

enum { READ_LINE, READ_ALL, READ_GET, READS };
static const struct {
    const char *name, *head, *tail; /* history_row_columns stands between */
} reads[READS] = {
    [READ_LINE] = {"history_line", PAGE(" AND line_number = $6::text"), PAGE_END}, /* HISTORY_PAGE of a line */
    [READ_ALL] = {"history_all", PAGE(""), PAGE_END},                              /* HISTORY_PAGE of all lines */
    [READ_GET] = {"history_get", "SELECT ", GET_END},                              /* HISTORY_GET */
};
/* clang-format on */

enum fault history_read_prepare(struct pglink *l, uint64_t deadline_ns)
{
    char sql[4096];
    /* Partitions are pruned when a statement is planned with its values. */
    enum fault f =
        pglink_exec(l, "SET plan_cache_mode = force_custom_plan; SET default_transaction_read_only = on",
                    deadline_ns, NULL);
    for (int i = 0; i < READS && f == FAULT_NONE; i++) {
        snprintf(sql, sizeof sql, "%s%s%s", reads[i].head, history_row_columns, reads[i].tail);
        f = pglink_prepare(l, reads[i].name, sql, deadline_ns);
    }
    return f;
}

static char *number(char out[24], int64_t n)
{
    snprintf(out, 24, "%lld", (long long)n);
    return out;
}

/* "{id,id}" of those that are UUIDs. NULL: no memory. */
static const char *exclude_array(struct history_query *q)
{
    char *text = arena_alloc(&q->arena, q->exclude_count * (UUID_LEN + 1) + 3), *p = text;
    if (!text) {
        return NULL;
    }
    *p++ = '{';
    for (size_t i = 0; i < q->exclude_count; i++) {
        const char *id = q->exclude[i];
        char parsed[UUID_LEN + 1];
        if (id && uuid_parse(id, strlen(id), parsed)) {
            if (p[-1] != '{') {
                *p++ = ',';
            }
            memcpy(p, parsed, UUID_LEN);
            p += UUID_LEN;
        }
    }
    *p++ = '}';
    *p = '\0';
    return text;
}

static enum fault no_memory(struct pglink *l)
{
    l->sqlstate[0] = '\0';
    snprintf(l->error, sizeof l->error, "no memory for an answer, or it is too large");
    return FAULT_BUSY;
}

static enum fault take_rows(struct pglink *l, struct history_query *q, const PGresult *result, int first)
{
    int n = PQntuples(result);
    q->rows = n ? arena_zalloc(&q->arena, (size_t)n * sizeof *q->rows) : NULL;
    for (int i = 0; i < n; i++) {
        if (PQgetisnull(result, i, first)) { /* the total of an empty page */
            break;
        }
        if (!q->rows || !history_row_read(result, i, first, &q->rows[i], &q->arena)) {
            q->count = 0;
            return no_memory(l);
        }
        q->count++;
    }
    return FAULT_NONE;
}

static int64_t clamp(int64_t n, int64_t low, int64_t high)
{
    return n < low ? low : n > high ? high : n;
}

static enum fault run_page(struct pglink *l, struct history_query *q, PGresult **result)
{
    char from[24], until[24], limit[24], offset[24];
    const char *exclude = exclude_array(q);
    if (!exclude) {
        return no_memory(l);
    }
    const char *values[] = {number(from, q->from_ms ? clamp(q->from_ms, MS_MIN, MS_MAX) : MS_MIN),
                            number(until, q->until_ms ? clamp(q->until_ms, MS_MIN, MS_MAX) : MS_MAX),
                            exclude,
                            number(limit, clamp(q->limit, 0, LIMIT_MAX)),
                            number(offset, q->offset > 0 ? q->offset : 0),
                            q->line};
    return pglink_run(l, reads[q->line ? READ_LINE : READ_ALL].name, q->line ? 6 : 5, values, q->deadline_ns,
                      result);
}

static enum fault run_get(struct pglink *l, struct history_query *q, PGresult **result)
{
    char id[UUID_LEN + 1], from[24], until[24];
    int64_t at;
    if (!q->request_id || !uuid_parse(q->request_id, strlen(q->request_id), id)) {
        return FAULT_NONE; /* no change has such an id: not found */
    }
    bool v7 = uuid_v7_time(id, &at);
    const char *values[] = {id, number(from, v7 ? at - ID_MARGIN_MS : MS_MIN),
                            number(until, v7 ? at + ID_MARGIN_MS : MS_MAX)};
    return pglink_run(l, reads[READ_GET].name, 3, values, q->deadline_ns, result);
}

enum fault history_read_run(struct pglink *l, struct history_query *q)
{
    PGresult *result = NULL;
    bool page = q->kind == HISTORY_PAGE;
    if (q->kind == HISTORY_ERASE) {
        return history_erase_run(l, q);
    }
    enum fault f = page ? run_page(l, q, &result) : run_get(l, q, &result);
    if (f == FAULT_NONE && result) {
        if (page) {
            q->total = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
        }
        f = take_rows(l, q, result, page ? 1 : 0);
    }
    PQclear(result);
    return f;
}
