/* rights.c - grants for the service's role. */
#include "history/rights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One row: is it the connected role; does it exist; can it do more than we grant? */
static const char role_sql[] = "SELECT current_user = $1::text, coalesce((SELECT rolsuper FROM pg_roles "
                               "WHERE rolname = $1::text), false),"
                               " EXISTS (SELECT FROM pg_roles WHERE rolname = $1::text),"
                               " coalesce((SELECT pg_has_role(oid, current_user, 'USAGE') FROM pg_roles "
                               "WHERE rolname = $1::text), false)";

/* The list of GRANTs, made by the server, so that a later migration's tables and functions are in it by
 * themselves. $1: the role. */
static const char grants_sql[] =
    "SELECT format('GRANT %s ON TABLE %s TO %I',"
    "   CASE WHEN c.relname IN ('schema_migrations', 'erasure') THEN 'SELECT' ELSE 'SELECT, INSERT' END, "
    "c.oid::regclass, "
    "$1::text)"
    " FROM pg_class c WHERE c.relnamespace = 'product_change'::regnamespace AND c.relkind IN ('r', 'p')"
    "   AND NOT c.relispartition"
    " UNION ALL SELECT format('GRANT EXECUTE ON FUNCTION %s TO %I', p.oid::regprocedure, $1::text)"
    " FROM pg_proc p WHERE p.pronamespace = 'product_change'::regnamespace AND p.prosecdef AND p.prokind = "
    "'f'"
    " UNION ALL SELECT format('GRANT USAGE ON SCHEMA product_change TO %I', $1::text)";

static const char revokes_sql[] =
    "SELECT string_agg(format('REVOKE ALL ON %s FROM PUBLIC, %I', what, $1::text), '; ')"
    " FROM unnest(ARRAY['SCHEMA product_change', 'ALL TABLES IN SCHEMA product_change',"
    "   'ALL SEQUENCES IN SCHEMA product_change', 'ALL ROUTINES IN SCHEMA product_change']) what";

static enum fault run_all(struct pglink *l, const char *list_sql, const char *service)
{
    const char *const values[] = {service};
    PGresult *list = NULL;
    enum fault f = pglink_params(l, list_sql, 1, values, UINT64_MAX, &list);
    for (int i = 0; f == FAULT_NONE && i < PQntuples(list); i++) {
        f = pglink_exec(l, PQgetvalue(list, i, 0), UINT64_MAX, NULL);
    }
    PQclear(list);
    return f;
}

static bool is_true(const PGresult *r, int column)
{
    return PQgetvalue(r, 0, column)[0] == 't';
}

enum fault history_rights_install(struct pglink *l, const char *service, struct buf *out)
{
    const char *const values[] = {service};
    PGresult *role = NULL;
    enum fault f = pglink_params(l, role_sql, 1, values, UINT64_MAX, &role);
    if (f != FAULT_NONE) {
        return f;
    }
    bool same = is_true(role, 0), super = is_true(role, 1), exists = is_true(role, 2),
         member = is_true(role, 3);
    PQclear(role);
    if (same) {
        buf_printf(out, "rights: the service's role \"%s\" owns the schema, nothing to grant or revoke\n",
                   service);
        return FAULT_NONE;
    }
    if (!exists) {
        snprintf(l->sqlstate, sizeof l->sqlstate, "42704");
        snprintf(l->error, sizeof l->error, "the service's role \"%s\" (db.username) does not exist",
                 service);
        return FAULT_OTHER;
    }
    if ((f = pglink_exec(l, "BEGIN", UINT64_MAX, NULL)) != FAULT_NONE ||
        (f = run_all(l, revokes_sql, service)) != FAULT_NONE ||
        (f = run_all(l, grants_sql, service)) != FAULT_NONE ||
        (f = pglink_exec(l, "COMMIT", UINT64_MAX, NULL)) != FAULT_NONE) {
        return f; /* the connection's end rolls back */
    }
    buf_printf(out, "rights: role \"%s\" may read and insert, and call the functions; nothing else\n",
               service);
    if (super || member) {
        buf_printf(out, "warning: role \"%s\" is %s and so may do more\n", service,
                   super ? "a superuser" : "a member of the schema's owner");
    }
    return FAULT_NONE;
}
