/* verify_foreign.c - rows that no link tells of.
 *
 * Month by month, and what is before the first and behind the last of them, so that one statement looks at one partition
 * only. A row has its link if request_id and requested_at are the link's. */
#include "history/verify_internal.h"
#include "pcs/core/id.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 500 /* findings of one statement */

/* Names are what ensure_partition() gives them; a partition of another name is in one of the open ends. */
static const char months_sql[] =
    "SELECT min(relname), max(relname) FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
    " WHERE inhparent = 'product_change.product_change_history'::regclass"
    " AND relname ~ '^product_change_history_20[0-9]{2}_(0[1-9]|1[0-2])$'";

/* clang-format off */
#define LINK_OF(row)                                                                                                  \
    "SELECT FROM product_change.product_change_history_chain c WHERE c.kind = 1"                                      \
    " AND c.request_id = " row ".request_id::text"
#define ITS_TIME(row)                                                                                                 \
    " AND c.requested_ms::numeric * 1000 = extract(epoch FROM " row ".requested_at) * 1000000"

/* $1 <= requested_at < $2, $3 the instance, behind the row of $4, $5. Has it a link of another time (of one instance: or
 * another instance's), and is there a row that is the link's? */
static const char foreign_sql[] =
    "SELECT h.request_id::text, h.instance, h.requested_at::text, EXISTS (" LINK_OF("h") "),"
    " EXISTS (SELECT FROM product_change.product_change_history o WHERE o.request_id = h.request_id"
    "  AND EXISTS (" LINK_OF("o") ITS_TIME("o") "))"
    " FROM product_change.product_change_history h"
    " WHERE h.requested_at >= $1::timestamptz AND h.requested_at <= $2::timestamptz - interval '1 microsecond'"
    " AND ($3::text IS NULL OR h.instance = $3::text)"
    " AND ($4::timestamptz IS NULL OR (h.requested_at, h.request_id) > ($4::timestamptz, $5::uuid))"
    " AND NOT EXISTS (" LINK_OF("h") ITS_TIME("h") " AND ($3::text IS NULL OR c.instance = $3::text))"
    " ORDER BY h.requested_at, h.request_id LIMIT $6::bigint";
/* clang-format on */

static void tell(struct verify *v, const PGresult *r, int row)
{
    struct history_finding f = {
        .kind = FINDING_ROW_FOREIGN, .instance = PQgetvalue(r, row, 1), .request_id = PQgetvalue(r, row, 0)};
    bool linked = PQgetvalue(r, row, 3)[0] == 't', original = PQgetvalue(r, row, 4)[0] == 't';
    if (linked && (v->job->instance || v->job->from_seq > 1)) {
        f.what = "its link names another time or instance";
    } else if (linked && original) {
        f.kind = FINDING_ROW_DOUBLED;
    } else if (linked) {
        return; /* told when its link was looked at: requested_at was altered */
    }
    verify_found(v, &f);
}

static enum fault check_window(struct verify *v, const char *from, const char *until)
{
    char at[64], id[UUID_LEN + 1], limit[16];
    const char *values[] = {from, until, v->job->instance, NULL, NULL, limit};
    enum fault f;
    int count;
    snprintf(limit, sizeof limit, "%d", PAGE);
    do {
        PGresult *r = NULL;
        f = verify_query(v, foreign_sql, 6, values, &r);
        count = f == FAULT_NONE ? PQntuples(r) : 0;
        for (int i = 0; i < count; i++) {
            tell(v, r, i);
        }
        if (count) {
            snprintf(at, sizeof at, "%s", PQgetvalue(r, count - 1, 2));
            snprintf(id, sizeof id, "%s", PQgetvalue(r, count - 1, 0));
            values[3] = at;
            values[4] = id;
        }
        PQclear(r);
    } while (f == FAULT_NONE && count == PAGE);
    if (f == FAULT_NONE && v->job->progress) {
        v->job->progress(v->job->arg, v->totals);
    }
    return f;
}

/* Months counted from the year 0. */
static int month_of(const char *partition)
{
    char *rest;
    long year = strtol(partition + strlen("product_change_history_"), &rest, 10);
    return (int)(year * 12 + strtol(rest + 1, NULL, 10) - 1); /* the pattern above has seen to its form */
}

static void month_begins(char out[32], int month)
{
    snprintf(out, 32, "%04d-%02d-01 00:00:00+00", month / 12, month % 12 + 1);
}

/* Months that end before rows_since are left out, and a window begins there at the earliest. */
static enum fault check_from(struct verify *v, const char *from, const char *until, const char *since)
{
    bool later = since && (strcmp(from, "-infinity") == 0 || strcmp(from, since) < 0);
    if (since && strcmp(until, "infinity") != 0 && strcmp(until, since) <= 0) {
        return FAULT_NONE;
    }
    return check_window(v, later ? since : from, until);
}

static enum fault since_text(struct verify *v, char out[32])
{
    char ms[24];
    const char *const values[] = {ms};
    PGresult *r = NULL;
    snprintf(ms, sizeof ms, "%lld", (long long)v->job->rows_since_ms);
    enum fault f = verify_query(v,
                                "SELECT to_char(timestamptz 'epoch' + $1::bigint * interval '1 millisecond',"
                                " 'YYYY-MM-DD HH24:MI:SS.MS') || '+00'",
                                1, values, &r);
    if (f == FAULT_NONE) {
        snprintf(out, 32, "%s", PQgetvalue(r, 0, 0));
    }
    PQclear(r);
    return f;
}

enum fault verify_foreign(struct verify *v)
{
    char edge[2][32], since[32];
    int first = 1, last = -1;
    PGresult *r = NULL;
    enum fault f = verify_query(v, months_sql, 0, NULL, &r);
    if (f == FAULT_NONE && !PQgetisnull(r, 0, 0)) {
        first = month_of(PQgetvalue(r, 0, 0));
        last = month_of(PQgetvalue(r, 0, 1));
    }
    PQclear(r);
    f = f == FAULT_NONE && v->job->rows_since_ms ? since_text(v, since) : f;
    const char *begin = v->job->rows_since_ms ? since : NULL;
    snprintf(edge[0], sizeof edge[0], "-infinity");
    for (int month = first; f == FAULT_NONE && month <= last + 1; month++) {
        month_begins(edge[1], month);
        f = check_from(v, edge[0], edge[1], begin);
        memcpy(edge[0], edge[1], sizeof edge[0]);
    }
    return f == FAULT_NONE ? check_from(v, edge[0], "infinity", begin) : f;
}
