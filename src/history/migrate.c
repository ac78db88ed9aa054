/* migrate.c - the command `migrate`.
 *
 *   connect -> advisory lock (the second instance waits here) -> schema and schema_migrations, if missing ->
 *   checksums of what was applied -> each missing file in a transaction of its own -> rights -> partitions
 *
 * Whatever fails leaves a state from which the next run goes on. Nothing here needs a superuser: the role has
 * to be allowed to create a schema in the database (once), and owns it then. */
#include "history/internal.h"
#include "history/migration_files.h"
#include "history/rights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long one instance waits for another's whole run, and a statement for a lock that somebody else holds.
 */
#define MIGRATE_LOCK_WAIT "10min"
#define TABLE_LOCK_WAIT   "60s"
#define NEVER             UINT64_MAX

static const char lock_sql[] = "SET lock_timeout = '" MIGRATE_LOCK_WAIT "';"
                               " SELECT pg_advisory_lock(x'7063735f6d696772'::bigint);" /* "pcs_migr" */
                               " SET lock_timeout = '" TABLE_LOCK_WAIT "'";

/* IF NOT EXISTS would ask for the right to create even when there is nothing to do. */
static const char bootstrap_sql[] =
    "DO $$ BEGIN"
    " IF to_regnamespace('product_change') IS NULL THEN CREATE SCHEMA product_change; END IF;"
    " IF to_regclass('product_change.schema_migrations') IS NULL THEN"
    "   CREATE TABLE product_change.schema_migrations ("
    "     version    integer     PRIMARY KEY,"
    "     name       text        NOT NULL,"
    "     checksum   text        NOT NULL,"
    "     applied_at timestamptz NOT NULL DEFAULT now(),"
    "     applied_by text        NOT NULL DEFAULT current_user);"
    " END IF; END $$";

static const char applied_sql[] =
    "SELECT version, name, checksum FROM product_change.schema_migrations ORDER BY 1";

static const char note_sql[] = "INSERT INTO product_change.schema_migrations (version, name, checksum)"
                               " VALUES ($1::integer, $2, $3)";

static bool fail(const struct pglink *l, const char *during, char *err, size_t errlen)
{
    snprintf(err, errlen, "%s: %s%s%s%s", during, l->error, l->sqlstate[0] ? " (SQLSTATE " : "", l->sqlstate,
             l->sqlstate[0] ? ")" : "");
    return false;
}

static bool connect_owner(struct pglink *l, const struct history_config *c, char *err, size_t errlen)
{
    struct pglink_target target = pglink_target_of(c);
    if (c->migrate_username && c->migrate_username[0]) {
        target.username = c->migrate_username;
    }
    if (c->migrate_password && c->migrate_password[0]) {
        target.password = c->migrate_password;
    }
    if (!pglink_open(l, &target, 0, clock_mono_ns() + 4 * PGLINK_CONNECT_NS)) {
        char during[256];
        snprintf(during, sizeof during, "connecting to database \"%.63s\" as \"%.63s\"", c->name,
                 target.username);
        return fail(l, during, err, errlen);
    }
    return true;
}

static int version_at(const PGresult *applied, int row)
{
    return (int)strtol(PQgetvalue(applied, row, 0), NULL,
                       10); /* an integer column: PostgreSQL's own digits */
}

/* The applied migration of a version; -1: not applied. */
static int find_applied(const PGresult *applied, int version)
{
    for (int i = 0; i < PQntuples(applied); i++) {
        if (version_at(applied, i) == version) {
            return i;
        }
    }
    return -1;
}

static bool has_file(const struct migration_files *files, int version)
{
    for (size_t i = 0; i < files->count; i++) {
        if (files->at[i].version == version) {
            return true;
        }
    }
    return false;
}

/* What was applied must be what is there. A database that is ahead of the files (an older program) is left
 * alone. */
static bool check_applied(const struct migration_files *files, const PGresult *applied, struct buf *out,
                          char *err, size_t errlen)
{
    int newest = files->at[files->count - 1].version;
    for (size_t i = 0; i < files->count; i++) {
        const struct migration *m = &files->at[i];
        int row = find_applied(applied, m->version);
        if (row >= 0 && strcmp(PQgetvalue(applied, row, 2), m->checksum) != 0) {
            snprintf(err, errlen,
                     "%s differs from what was applied as %s (sha256 %.12s..., applied %.12s...): an applied "
                     "migration is never changed, write a new one",
                     m->name, PQgetvalue(applied, row, 1), m->checksum, PQgetvalue(applied, row, 2));
            return false;
        }
    }
    for (int i = 0; i < PQntuples(applied); i++) {
        int version = version_at(applied, i);
        if (version > newest) {
            buf_printf(out, "%s is applied and not here: the database is newer\n", PQgetvalue(applied, i, 1));
        } else if (!has_file(files, version)) {
            snprintf(err, errlen, "%s was applied, but its file is missing", PQgetvalue(applied, i, 1));
            return false;
        }
    }
    return true;
}

/* One file in one transaction, with its note. A file that ends the transaction itself is refused: then the
 * note would not be part of it. */
static bool apply(struct pglink *l, const struct migration *m, struct buf *out, char *err, size_t errlen)
{
    char version[16];
    const char *const values[] = {version, m->name, m->checksum};
    uint64_t began = clock_mono_ns();
    snprintf(version, sizeof version, "%d", m->version);
    enum fault f = pglink_exec(l, "BEGIN", NEVER, NULL);
    if (f == FAULT_NONE) {
        f = pglink_exec(l, m->sql, NEVER, NULL);
    }
    if (f == FAULT_NONE && PQtransactionStatus(l->pg) != PQTRANS_INTRANS) {
        snprintf(err, errlen, "%s: ends its transaction itself; a migration may not", m->name);
        return false;
    }
    if (f == FAULT_NONE) {
        f = pglink_params(l, note_sql, 3, values, NEVER, NULL);
    }
    if (f == FAULT_NONE) {
        f = pglink_exec(l, "COMMIT", NEVER, NULL);
    }
    if (f != FAULT_NONE) {
        return fail(l, m->name, err, errlen);
    }
    buf_printf(out, "%s applied (%llu ms)\n", m->name,
               (unsigned long long)((clock_mono_ns() - began) / NS_PER_MS));
    return true;
}

static bool apply_missing(struct pglink *l, const struct migration_files *files, struct buf *out, char *err,
                          size_t errlen)
{
    PGresult *applied = NULL;
    if (pglink_exec(l, applied_sql, NEVER, &applied) != FAULT_NONE) {
        return fail(l, "reading schema_migrations", err, errlen);
    }
    size_t done = 0;
    bool ok = check_applied(files, applied, out, err, errlen);
    for (size_t i = 0; ok && i < files->count; i++) {
        if (find_applied(applied, files->at[i].version) < 0) {
            ok = apply(l, &files->at[i], out, err, errlen);
            done++;
        }
    }
    if (ok && !done) {
        buf_printf(out, "nothing to apply, %zu migrations are there\n", files->count);
    }
    PQclear(applied);
    return ok;
}

/* The functions that make them, of the two tables that have months. */
static const struct {
    const char *exists, *make;
} makers[] = {
    {"SELECT to_regprocedure('product_change.ensure_partitions(integer)') IS NOT NULL",
     "SELECT product_change.ensure_partitions($1::integer)"},
    {"SELECT to_regprocedure('product_change.ensure_log_partitions(integer)') IS NOT NULL",
     "SELECT product_change.ensure_log_partitions($1::integer)"},
};
#define MAKERS (sizeof makers / sizeof *makers)

/* False: failed. *made goes up by what was made. */
static bool call_maker(struct pglink *l, size_t which, int64_t ahead, long *made)
{
    char months[24];
    const char *const values[] = {months};
    PGresult *r = NULL;
    if (pglink_exec(l, makers[which].exists, NEVER, &r) != FAULT_NONE) {
        return false;
    }
    bool there = PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    r = NULL;
    snprintf(months, sizeof months, "%lld", (long long)ahead);
    if (there && pglink_params(l, makers[which].make, 1, values, NEVER, &r) != FAULT_NONE) {
        return false;
    }
    *made += r ? strtol(PQgetvalue(r, 0, 0), NULL, 10) : 0;
    PQclear(r);
    return true;
}

static bool make_partitions(struct pglink *l, int64_t ahead, struct buf *out, char *err, size_t errlen)
{
    long made = 0;
    for (size_t i = 0; i < MAKERS; i++) {
        if (call_maker(l, i, ahead, &made)) {
            continue;
        }
        if (l->pg && strncmp(l->sqlstate, "55", 2) == 0) { /* a long reader: the service will make them */
            buf_puts(out, "partitions: not made now, the history is locked; the service will\n");
            return true;
        }
        return fail(l, "making partitions", err, errlen);
    }
    buf_printf(out, "partitions: %ld made\n", made);
    return true;
}

static bool migrate(struct pglink *l, const struct history_config *c, const struct migration_files *files,
                    struct buf *out, char *err, size_t errlen)
{
    if (pglink_exec(l, lock_sql, NEVER, NULL) != FAULT_NONE) {
        return fail(l, "waiting for another migrate to end", err, errlen);
    }
    if (pglink_exec(l, bootstrap_sql, NEVER, NULL) != FAULT_NONE) {
        return fail(l, "making schema product_change", err, errlen);
    }
    if (!apply_missing(l, files, out, err, errlen)) {
        return false;
    }
    if (history_rights_install(l, c->username, out) != FAULT_NONE) {
        return fail(l, "installing rights", err, errlen);
    }
    return make_partitions(l, c->months_ahead, out, err, errlen);
}

bool history_migrate(const struct history_config *config, const char *dir, struct buf *out, char *err,
                     size_t errlen)
{
    struct migration_files files;
    struct pglink link = {.wake_fd = -1};
    bool ok = history_migration_files_read(&files, dir, err, errlen) &&
              connect_owner(&link, config, err, errlen) && migrate(&link, config, &files, out, err, errlen);
    pglink_close(&link); /* gives the advisory lock back, and rolls back what was not finished */
    history_migration_files_free(&files);
    return ok;
}
