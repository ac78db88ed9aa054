/* verify.c - walks the chain of each instance.
 *
 *   for each instance   links in order of seq, VERIFY_BATCH at a time: none missing, each genuine, each on the one before;
 *                       the row of each (verify_rows.c); then the tail against the heads that are known
 *   then                rows without a link (verify_foreign.c)
 *
 * A batch is one transaction with one snapshot, so that links and rows belong together though somebody erases personal
 * fields meanwhile. Between batches the table may only have grown. */
#include "history/verify_internal.h"
#include "pcs/core/clock.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char next_instance_sql[] =
    "SELECT min(instance) FROM product_change.product_change_history_chain"
    " WHERE $1::text IS NULL OR instance > $1::text";

static const char links_sql[] =
    "SELECT seq, kind, request_id, requested_ms, encode(key_id, 'hex'), encode(previous, 'hex'),"
    " encode(digests, 'hex'), encode(salt, 'hex'), encode(link, 'hex')"
    " FROM product_change.product_change_history_chain WHERE instance = $1::text AND seq >= $2::bigint"
    " ORDER BY seq LIMIT $3::bigint";

const char *history_finding_name(enum history_finding_kind kind)
{
    static const char *const names[FINDING_KINDS] = {
        [FINDING_ROW_ALTERED] = "row altered",      [FINDING_ROW_MISSING] = "row missing",
        [FINDING_ROW_FOREIGN] = "foreign row",      [FINDING_ROW_DOUBLED] = "row doubled",
        [FINDING_LINK_ALTERED] = "link altered",    [FINDING_LINK_MISSING] = "link missing",
        [FINDING_LINK_ORDER] = "link out of order", [FINDING_TAIL_CUT] = "tail cut",
    };
    return names[kind];
}

void verify_found(struct verify *v, const struct history_finding *f)
{
    v->totals->findings++;
    v->job->found(v->job->arg, f);
}

static void link_found(struct verify *v, enum history_finding_kind kind, int64_t seq, int64_t until,
                       const char *request_id, const char *what)
{
    const struct history_finding f = {.kind = kind,
                                      .instance = v->instance,
                                      .seq = seq,
                                      .until = until > seq ? until : 0,
                                      .request_id = request_id,
                                      .what = what};
    verify_found(v, &f);
}

/* ---- one link ---- */

static bool bytes(const PGresult *r, int row, int column, unsigned char *out, size_t len)
{
    return chain_unhex(PQgetvalue(r, row, column), out, len);
}

/* False: no journal writes such a link. */
static bool read_link(struct verify *v, const PGresult *r, int row, struct chain_link *l)
{
    *l = (struct chain_link){.seq = strtoll(PQgetvalue(r, row, 0), NULL, 10),
                             .kind = (enum chain_kind)strtol(PQgetvalue(r, row, 1), NULL, 10),
                             .request_id = arena_strdup(&v->arena, PQgetvalue(r, row, 2)),
                             .requested_at = strtoll(PQgetvalue(r, row, 3), NULL, 10),
                             .salted = !PQgetisnull(r, row, 7)};
    if (!l->request_id) {
        v->no_memory = true;
        return false;
    }
    bool ok = bytes(r, row, 4, l->key_id, CHAIN_KEY_ID) && bytes(r, row, 5, l->previous, CHAIN_HASH) &&
              (!l->salted || bytes(r, row, 7, l->salt, CHAIN_SALT)) && bytes(r, row, 8, l->link, CHAIN_HASH);
    switch (l->kind) {
    case CHAIN_ROW:
        return ok && bytes(r, row, 6, l->digests, CHAIN_DIGESTS);
    case CHAIN_REFUSED:
        return ok && bytes(r, row, 6, l->digests, 0) && !l->salted;
    default:
        return false;
    }
}

static struct chain_key *find_key(const struct verify *v, const unsigned char *id)
{
    for (size_t i = 0; i < v->job->key_count; i++) {
        if (memcmp(chain_key_id(v->job->keys[i]), id, CHAIN_KEY_ID) == 0) {
            return v->job->keys[i];
        }
    }
    return NULL;
}

static void check_genuine(struct verify *v, const struct chain_link *l)
{
    unsigned char expected[CHAIN_HASH];
    struct chain_key *key = find_key(v, l->key_id);
    if (!key) {
        v->totals->unverified++;
        chain_hex(v->totals->unverified_key, l->key_id, CHAIN_KEY_ID);
    } else if (!chain_sign(key, v->instance, l, expected)) {
        v->no_memory = true;
    } else if (CRYPTO_memcmp(expected, l->link, CHAIN_HASH) != 0) {
        link_found(v, FINDING_LINK_ALTERED, l->seq, 0, l->request_id, NULL);
    }
}

/* Links first..until are not there. */
static void missing(struct verify *v, int64_t first, int64_t until)
{
    if (first <= v->forwarded) {
        link_found(v, FINDING_LINK_MISSING, first, until < v->forwarded ? until : v->forwarded, NULL, NULL);
    }
    if (until > v->forwarded) {
        v->totals->waiting += until - (first > v->forwarded ? first - 1 : v->forwarded);
    }
}

static void check_order(struct verify *v, const struct chain_link *l)
{
    static const unsigned char zero[CHAIN_HASH];
    bool first = !v->has_last && v->last == 0, begins = memcmp(l->previous, zero, CHAIN_HASH) == 0;
    if (l->seq > v->last + 1) {
        if (!first || !begins) { /* it begins behind 1 in a journal that is older than the chain */
            missing(v, v->last + 1, l->seq - 1);
        }
    } else if (first ? !begins : v->has_last && memcmp(l->previous, v->last_link, CHAIN_HASH) != 0) {
        link_found(v, FINDING_LINK_ORDER, l->seq, 0, l->request_id, "it does not follow the one before it");
    }
    v->has_last = true;
    v->last = l->seq;
    memcpy(v->last_link, l->link, CHAIN_HASH);
}

static void check_heads(struct verify *v, const struct chain_link *l)
{
    for (size_t i = 0; i < v->job->head_count; i++) {
        const struct history_head *h = &v->job->heads[i];
        if (h->has_link && h->seq == l->seq && strcmp(h->instance, v->instance) == 0 &&
            memcmp(h->link, l->link, CHAIN_HASH) != 0) {
            link_found(v, FINDING_LINK_ORDER, l->seq, 0, l->request_id,
                       "it is not the one that the head names");
        }
    }
}

static void check_link(struct verify *v, const PGresult *r, int row)
{
    struct chain_link *l = &v->batch[v->count];
    bool readable = read_link(v, r, row, l);
    v->totals->links++;
    v->next = l->seq == INT64_MAX ? l->seq : l->seq + 1;
    if (v->no_memory) {
        return;
    }
    if (l->seq > 0) {
        check_order(v, l);
    }
    if (!readable || l->seq < 1) {
        link_found(v, FINDING_LINK_ALTERED, l->seq, 0, l->request_id, "no journal writes such a link");
        return;
    }
    check_genuine(v, l);
    check_heads(v, l);
    v->totals->refused += l->kind == CHAIN_REFUSED ? 1 : 0;
    v->count += l->kind == CHAIN_ROW ? 1 : 0;
}

/* ---- one instance ---- */

static enum fault no_memory(struct verify *v)
{
    v->link.sqlstate[0] = '\0';
    snprintf(v->link.error, sizeof v->link.error, "no memory");
    return FAULT_OTHER;
}

/* Reads and checks the links from v->next on. *read: how many there were. */
static enum fault check_batch(struct verify *v, int *read)
{
    char seq[24], limit[24];
    const char *const values[] = {v->instance, seq, limit};
    PGresult *r = NULL;
    snprintf(seq, sizeof seq, "%lld", (long long)v->next);
    snprintf(limit, sizeof limit, "%d", VERIFY_BATCH);
    enum fault f = pglink_exec(&v->link, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", UINT64_MAX, NULL);
    f = f == FAULT_NONE ? verify_query(v, links_sql, 3, values, &r) : f;
    *read = f == FAULT_NONE ? PQntuples(r) : 0;
    v->count = 0;
    arena_init(&v->arena, NULL, 0, (size_t)256 << 20);
    for (int i = 0; i < *read && !v->no_memory; i++) {
        check_link(v, r, i);
    }
    PQclear(r);
    f = f == FAULT_NONE && v->no_memory ? no_memory(v) : f;
    f = f == FAULT_NONE && v->count ? verify_rows(v) : f;
    f = f == FAULT_NONE && v->no_memory ? no_memory(v) : f;
    arena_free(&v->arena);
    f = f == FAULT_NONE ? pglink_exec(&v->link, "COMMIT", UINT64_MAX, NULL) : f;
    if (f == FAULT_NONE && v->job->progress) {
        v->job->progress(v->job->arg, v->totals);
    }
    return f;
}

/* The furthest that is known to have been in the table, and whether anything is known. */
static bool known_end(const struct verify *v, int64_t *forwarded, int64_t *head)
{
    bool known = false;
    *forwarded = *head = 0;
    for (size_t i = 0; i < v->job->head_count; i++) {
        const struct history_head *h = &v->job->heads[i];
        if (strcmp(h->instance, v->instance) == 0) {
            known = true;
            *forwarded = h->forwarded > *forwarded ? h->forwarded : *forwarded;
            *head = h->seq > *head ? h->seq : *head;
        }
    }
    return known;
}

static enum fault check_instance(struct verify *v, const char *instance)
{
    int64_t forwarded, head;
    enum fault f;
    int read;
    v->instance = instance;
    v->has_last = false;
    v->next =
        v->job->from_seq > 1 ? v->job->from_seq : INT64_MIN; /* whatever somebody has put before the first */
    v->last = v->job->from_seq > 1 ? v->job->from_seq - 1 : 0;
    bool known = known_end(v, &forwarded, &head);
    v->forwarded = known ? forwarded : INT64_MAX;
    v->totals->instances++;
    v->totals->headless += known ? 0 : 1;
    do {
        f = check_batch(v, &read);
    } while (f == FAULT_NONE && read == VERIFY_BATCH && v->next < INT64_MAX);
    if (f != FAULT_NONE || !known) {
        return f;
    }
    if (v->last < forwarded) {
        link_found(v, FINDING_TAIL_CUT, v->last + 1, forwarded, NULL, NULL);
    }
    int64_t there = v->last > forwarded ? v->last : forwarded;
    v->totals->waiting += head > there ? head - there : 0;
    return FAULT_NONE;
}

/* An instance that is known by its head only, so with nothing in the table? */
static bool is_absent(const struct verify *v, size_t at, const char *const *seen, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(seen[i], v->job->heads[at].instance) == 0) {
            return false;
        }
    }
    for (size_t i = 0; i < at; i++) {
        if (strcmp(v->job->heads[i].instance, v->job->heads[at].instance) == 0) {
            return false;
        }
    }
    return true;
}

static enum fault check_table(struct verify *v)
{
    char *name = NULL;
    const char **seen =
        calloc(v->job->head_count + 1, sizeof *seen); /* instances of heads that the table has */
    size_t count = 0;
    enum fault f = seen ? FAULT_NONE : no_memory(v);
    while (f == FAULT_NONE) {
        const char *const values[] = {name};
        PGresult *r = NULL;
        f = verify_query(v, next_instance_sql, 1, values, &r);
        bool more = f == FAULT_NONE && !PQgetisnull(r, 0, 0);
        free(name);
        name = more ? strdup(PQgetvalue(r, 0, 0)) : NULL;
        PQclear(r);
        if (!more) {
            break;
        }
        if (!name) {
            f = no_memory(v);
            break;
        }
        for (size_t i = 0; i < v->job->head_count; i++) {
            if (strcmp(v->job->heads[i].instance, name) == 0 && is_absent(v, i, seen, count)) {
                seen[count++] = v->job->heads[i].instance;
            }
        }
        f = check_instance(v, name);
    }
    for (size_t i = 0; f == FAULT_NONE && i < v->job->head_count; i++) {
        if (v->job->heads[i].seq > 0 && is_absent(v, i, seen, count)) {
            f = check_instance(v, v->job->heads[i].instance);
        }
    }
    free(name);
    free(seen);
    return f;
}

/* ---- the whole ---- */

static bool connect_reader(struct verify *v)
{
    const struct history_config *c = v->job->config;
    const struct pglink_target target = pglink_target_of(c);
    v->link.wake_fd = -1;
    return pglink_open(&v->link, &target, 0, clock_mono_ns() + 4 * PGLINK_CONNECT_NS);
}

static void explain(const struct verify *v, enum fault f, char *err, size_t errlen)
{
    if (f == FAULT_SCHEMA) {
        snprintf(err, errlen, "the hash chain cannot be read: %s (SQLSTATE %s); has `migrate` been run?",
                 v->link.error, v->link.sqlstate);
        return;
    }
    snprintf(err, errlen, "PostgreSQL: %s%s%s%s", v->link.error, v->link.sqlstate[0] ? " (SQLSTATE " : "",
             v->link.sqlstate, v->link.sqlstate[0] ? ")" : "");
}

static enum fault run(struct verify *v)
{
    if (!connect_reader(v)) {
        return FAULT_LOST;
    }
    enum fault f = v->job->instance ? check_instance(v, v->job->instance) : check_table(v);
    return f == FAULT_NONE ? verify_foreign(v) : f;
}

enum history_verdict history_verify(const struct history_verify *job, struct history_totals *totals,
                                    char *err, size_t errlen)
{
    enum history_verdict verdict = VERIFY_FAILED;
    struct verify *v = calloc(1, sizeof *v);
    *totals = (struct history_totals){0};
    if (v) {
        v->job = job;
        v->totals = totals;
        v->hasher = chain_hasher_new();
    }
    if (!v || !v->hasher) {
        free(v);
        snprintf(err, errlen, "no memory");
        return VERIFY_FAILED;
    }
    enum fault f = run(v);
    if (f != FAULT_NONE) {
        explain(v, f, err, errlen);
    } else if (totals->findings) {
        verdict = VERIFY_FINDINGS;
    } else if (totals->unverified) {
        snprintf(err, errlen, "%lld links were made with a key that was not given (key id %s)",
                 (long long)totals->unverified, totals->unverified_key);
    } else {
        verdict = VERIFY_CLEAN;
    }
    pglink_close(&v->link);
    chain_hasher_free(v->hasher);
    free(v);
    return verdict;
}
