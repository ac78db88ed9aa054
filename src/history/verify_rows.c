/* verify_rows.c - the rows of a batch of links: there, and as the links tell? */
#include "history/verify_internal.h"
#include "pcs/core/buf.h"
#include "pcs/core/id.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What timestamptz holds, in milliseconds (read.c). */
#define MS_MIN        INT64_C(-210000000000000)
#define MS_MAX        INT64_C(9000000000000000)
#define MS(parameter) "timestamptz 'epoch' + " parameter "::bigint * interval '1 millisecond'"

enum {
    AT_ID,
    AT_INSTANCE,
    AT_REQUESTED,
    AT_LINE,
    AT_CUSTOMER,
    AT_CURRENT_CODE,
    AT_CURRENT_NAME,
    AT_TARGET_CODE,
    AT_TARGET_NAME,
    AT_STATUS,
    AT_RESULT_CODE,
    AT_RESULT_MESSAGE,
    AT_REASON,
    AT_VALIDATION,
    AT_ORDER,
    AT_VALIDATED,
    AT_PROCESSED,
    AT_ACTOR
};

/* clang-format off */
/* The times prune partitions; a row that is elsewhere was altered, and is looked for by somewhere_sql. */
static const char rows_sql[] =
    "SELECT request_id::text, instance, " MICROSECONDS("requested_at") ", line_number, customer_id,"
    " current_product_code, current_product_name, target_product_code, target_product_name, status, result_code,"
    " result_message, failure_reason, validation::text, kos_order_number, " MICROSECONDS("validated_at") ","
    " " MICROSECONDS("processed_at") ", actor FROM product_change.product_change_history"
    " WHERE request_id = ANY ($1::uuid[]) AND requested_at BETWEEN " MS("$2") " AND " MS("$3")
    " ORDER BY request_id";

static const char somewhere_sql[] =
    "SELECT EXISTS (SELECT FROM product_change.product_change_history WHERE request_id = $1::uuid)";

static const char refused_sql[] =
    "SELECT EXISTS (SELECT FROM product_change.product_change_history_chain"
    " WHERE request_id = $1::text AND instance = $2::text AND kind = 2)";
/* clang-format on */

static const char *value(const PGresult *r, int row, int column)
{
    return PQgetisnull(r, row, column) ? NULL : PQgetvalue(r, row, column);
}

/* Milliseconds as the journal has them; CHAIN_NO_TIME for what it never has: a fraction, infinity, the epoch itself. */
static int64_t time_of(const char *microseconds)
{
    char *end;
    if (!microseconds) {
        return 0;
    }
    errno = 0;
    long long us = strtoll(microseconds, &end, 10);
    return errno || *end || us % 1000 || us == 0 ? CHAIN_NO_TIME : us / 1000;
}

static bool is_erased(const struct chain_row *row)
{
    return row->line && strcmp(row->line, CHAIN_ERASED) == 0 && !row->customer_id && !row->actor &&
           !row->failure_reason;
}

static void add(char *what, size_t size, const char *name)
{
    size_t len = strlen(what);
    snprintf(what + len, size - len, "%s%s", len ? ", " : "", name);
}

static bool part_holds(struct verify *v, const struct chain_link *l, const struct chain_row *row,
                       enum chain_part part)
{
    unsigned char digest[CHAIN_HASH];
    if (!chain_digest_part(v->hasher, part, row, l->salt, digest)) {
        v->no_memory |=
            part != CHAIN_CHECK; /* a validation that cannot be read is another one than was written */
        return false;
    }
    return memcmp(digest, l->digests + (size_t)part * CHAIN_HASH, CHAIN_HASH) == 0;
}

static void compare(struct verify *v, const struct chain_link *l, const PGresult *r, int at)
{
    char what[256] = "";
    const struct chain_row row = {.current_code = value(r, at, AT_CURRENT_CODE),
                                  .current_name = value(r, at, AT_CURRENT_NAME),
                                  .target_code = value(r, at, AT_TARGET_CODE),
                                  .target_name = value(r, at, AT_TARGET_NAME),
                                  .validation = value(r, at, AT_VALIDATION),
                                  .validated_at = time_of(value(r, at, AT_VALIDATED)),
                                  .status = value(r, at, AT_STATUS),
                                  .result_code = value(r, at, AT_RESULT_CODE),
                                  .result_message = value(r, at, AT_RESULT_MESSAGE),
                                  .kos_order_number = value(r, at, AT_ORDER),
                                  .processed_at = time_of(value(r, at, AT_PROCESSED)),
                                  .line = value(r, at, AT_LINE),
                                  .customer_id = value(r, at, AT_CUSTOMER),
                                  .actor = value(r, at, AT_ACTOR),
                                  .failure_reason = value(r, at, AT_REASON)};
    v->totals->rows++;
    if (strcmp(PQgetvalue(r, at, AT_INSTANCE), v->instance) != 0) {
        add(what, sizeof what, "instance");
    }
    for (int part = 0; part < (l->salted ? CHAIN_PARTS : CHAIN_LINE); part++) {
        if (!part_holds(v, l, &row, (enum chain_part)part)) {
            add(what, sizeof what, chain_part_name((enum chain_part)part));
        }
    }
    if (!l->salted) {
        v->totals->erased++;
        if (!is_erased(&row)) {
            add(what, sizeof what, "personal fields whose salt was erased");
        }
    }
    if (*what) {
        const struct history_finding f = {FINDING_ROW_ALTERED, v->instance, l->seq, 0, l->request_id, what};
        verify_found(v, &f);
    }
}

/* The link's row among those of its request id; -1: none. The result is in order of request_id. */
static int find_row(const PGresult *r, const struct chain_link *l)
{
    int low = 0, high = PQntuples(r);
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (strcmp(PQgetvalue(r, middle, AT_ID), l->request_id) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (; low < PQntuples(r) && strcmp(PQgetvalue(r, low, AT_ID), l->request_id) == 0; low++) {
        int64_t at = time_of(PQgetvalue(r, low, AT_REQUESTED));
        if (at == l->requested_at) {
            return low;
        }
    }
    return -1;
}

static enum fault ask(struct verify *v, const char *sql, const char *first, const char *second, bool *yes)
{
    const char *const values[] = {first, second};
    PGresult *r = NULL;
    enum fault f = verify_query(v, sql, second ? 2 : 1, values, &r);
    *yes = f == FAULT_NONE && PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    return f;
}

static bool is_uuid(const char *id)
{
    char parsed[UUID_LEN + 1];
    return uuid_parse(id, strlen(id), parsed) && strcmp(parsed, id) == 0;
}

/* No row of the link's time: why? */
static enum fault explain_missing(struct verify *v, const struct chain_link *l)
{
    struct history_finding f = {FINDING_ROW_MISSING, v->instance, l->seq, 0, l->request_id, NULL};
    bool there = false, refused = false;
    enum fault fault =
        is_uuid(l->request_id) ? ask(v, somewhere_sql, l->request_id, NULL, &there) : FAULT_NONE;
    if (fault == FAULT_NONE && !there) {
        fault = ask(v, refused_sql, l->request_id, v->instance, &refused);
    }
    if (fault != FAULT_NONE || refused) {
        return fault;
    }
    if (there) {
        f.kind = FINDING_ROW_ALTERED;
        f.what = "requested_at";
    } else if (l->requested_at < v->job->rows_since_ms) {
        v->totals->removed++;
        return FAULT_NONE;
    }
    verify_found(v, &f);
    return FAULT_NONE;
}

static int64_t clamp(int64_t ms)
{
    return ms < MS_MIN ? MS_MIN : ms > MS_MAX ? MS_MAX : ms;
}

static enum fault fetch(struct verify *v, PGresult **r)
{
    char from[24], until[24];
    int64_t first = INT64_MAX, last = INT64_MIN;
    struct buf ids;
    buf_init(&ids, (size_t)VERIFY_BATCH * (UUID_LEN + 1) + 3);
    buf_putc(&ids, '{');
    for (size_t i = 0; i < v->count; i++) {
        const struct chain_link *l = &v->batch[i];
        if (!is_uuid(l->request_id)) {
            continue;
        }
        buf_puts(&ids, ids.len > 1 ? "," : "");
        buf_puts(&ids, l->request_id);
        first = l->requested_at < first ? l->requested_at : first;
        last = l->requested_at > last ? l->requested_at : last;
    }
    buf_putc(&ids, '}');
    v->no_memory |= !buf_ok(&ids);
    snprintf(from, sizeof from, "%lld", (long long)clamp(first));
    snprintf(until, sizeof until, "%lld", (long long)clamp(last));
    const char *const values[] = {ids.data, from, until};
    enum fault f = buf_ok(&ids) ? verify_query(v, rows_sql, 3, values, r) : FAULT_OTHER;
    buf_free(&ids);
    return f;
}

enum fault verify_rows(struct verify *v)
{
    PGresult *r = NULL;
    enum fault f = fetch(v, &r);
    for (size_t i = 0; i < v->count && f == FAULT_NONE && !v->no_memory; i++) {
        const struct chain_link *l = &v->batch[i];
        int at = find_row(r, l);
        if (at >= 0) {
            compare(v, l, r, at);
        } else {
            f = explain_missing(v, l);
        }
    }
    PQclear(r);
    return f;
}
