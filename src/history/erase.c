/* erase.c - HISTORY_ERASE: one call of a function of the migrations, in a transaction that may write. */
#include "history/erase.h"

#include "pcs/core/id.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char erase_sql[] =
    "SELECT erased_links, of_instance, erased_rows, newest_ms FROM"
    " product_change.erase_line($1::text, $2::text[], $3::text, $4::text, $5::text)";

static enum fault no_memory(struct pglink *l)
{
    l->sqlstate[0] = '\0';
    snprintf(l->error, sizeof l->error, "no memory to erase a line");
    return FAULT_BUSY;
}

/* "{id,id}" of those that are UUIDs; NULL: no memory. */
static const char *refused_array(struct history_query *q)
{
    const struct history_erasure *e = q->erasure;
    char *text = arena_alloc(&q->arena, e->refused_count * (UUID_LEN + 1) + 3), *p = text;
    if (!text) {
        return NULL;
    }
    *p++ = '{';
    for (size_t i = 0; i < e->refused_count; i++) {
        char id[UUID_LEN + 1];
        if (uuid_parse(e->refused[i], strlen(e->refused[i]), id)) {
            if (p[-1] != '{') {
                *p++ = ',';
            }
            memcpy(p, id, UUID_LEN);
            p += UUID_LEN;
        }
    }
    *p++ = '}';
    *p = '\0';
    return text;
}

static enum fault take(struct pglink *l, struct history_query *q, const PGresult *r)
{
    struct history_erasure *e = q->erasure;
    int n = PQntuples(r);
    e->rows = e->links = 0;
    e->of_count = 0;
    e->of = arena_zalloc(&q->arena, (size_t)(n ? n : 1) * sizeof *e->of);
    for (int i = 0; e->of && i < n; i++) {
        e->links = strtoll(PQgetvalue(r, i, 0), NULL, 10);
        if (PQgetisnull(r, i, 1)) { /* no row was the line's */
            continue;
        }
        struct history_erased *of = &e->of[e->of_count++];
        of->instance = arena_strdup(&q->arena, PQgetvalue(r, i, 1));
        of->rows = strtoll(PQgetvalue(r, i, 2), NULL, 10);
        of->newest_ms = strtoll(PQgetvalue(r, i, 3), NULL, 10);
        e->rows += of->rows;
        if (!of->instance) {
            return no_memory(l);
        }
    }
    return e->of ? FAULT_NONE : no_memory(l);
}

enum fault history_erase_run(struct pglink *l, struct history_query *q)
{
    PGresult *r = NULL;
    const char *refused = refused_array(q);
    const char *const values[] = {q->line, refused, q->erasure->instance, q->erasure->actor,
                                  q->erasure->reason};
    if (!refused) {
        return no_memory(l);
    }
    enum fault f = pglink_exec(l, "BEGIN READ WRITE", q->deadline_ns, NULL);
    f = f == FAULT_NONE ? pglink_params(l, erase_sql, 5, values, q->deadline_ns, &r) : f;
    f = f == FAULT_NONE ? take(l, q, r) : f;
    PQclear(r);
    f = f == FAULT_NONE ? pglink_exec(l, "COMMIT", q->deadline_ns, NULL) : f;
    if (f != FAULT_NONE && l->pg) {
        struct pglink failed = *l; /* what is told is the cause */
        if (pglink_exec(l, "ROLLBACK", q->deadline_ns, NULL) != FAULT_NONE) {
            pglink_close(l);
        }
        memcpy(l->sqlstate, failed.sqlstate, sizeof l->sqlstate);
        memcpy(l->error, failed.error, sizeof l->error);
    }
    return f;
}

void history_erase_explain(struct history_query *q, const struct pglink *l)
{
    if (q->kind == HISTORY_ERASE) {
        snprintf(q->erasure->why, sizeof q->erasure->why, "%.180s%s%s%s", l->error,
                 l->sqlstate[0] ? " (SQLSTATE " : "", l->sqlstate, l->sqlstate[0] ? ")" : "");
    }
}

void history_run_once(const struct history_config *config, struct history_query *q)
{
    const struct pglink_target target = pglink_target_of(config);
    struct pglink link = {.wake_fd = -1};
    uint64_t patience = 4 * PGLINK_CONNECT_NS + (uint64_t)config->query_deadline_ms * NS_PER_MS;
    q->deadline_ns = clock_mono_ns() + patience;
    q->rows = NULL;
    q->count = 0;
    q->total = 0;
    history_query_prepare(q);
    enum fault f = FAULT_LOST;
    if (pglink_open(&link, &target, config->query_deadline_ms, q->deadline_ns)) {
        f = history_read_prepare(&link, q->deadline_ns);
    }
    f = f == FAULT_NONE ? history_read_run(&link, q) : f;
    q->status = f == FAULT_NONE ? HISTORY_OK : HISTORY_UNAVAILABLE;
    if (f != FAULT_NONE) {
        history_erase_explain(q, &link);
    }
    pglink_close(&link);
}
