/* config.c - the settings and metrics of the history. */
#include "history/internal.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define AT(member) offsetof(struct history_config, member)

static const struct config_setting settings[] = {
    {"db.host", CONFIG_TEXT, AT(host), "127.0.0.1", "1", "1000",
     .help = "PostgreSQL: name, address or socket directory; several separated by commas (the primary is "
             "taken)."},
    {"db.port", CONFIG_INT, AT(port), "5432", "1", "65535", .help = "PostgreSQL: port."},
    {"db.name", CONFIG_TEXT, AT(name), "product_change", "1", "63", .help = "PostgreSQL: database."},
    {"db.username", CONFIG_TEXT, AT(username), "product_change", "1", "63",
     .help = "PostgreSQL: the service's role."},
    {"db.password", CONFIG_TEXT, AT(password), "", "1", "1024", .secret = true,
     .help = "PostgreSQL: its password."},
    {"db.sslmode", CONFIG_TEXT, AT(sslmode), "prefer", "1", "16",
     .help = "TLS to PostgreSQL: disable, allow, prefer, require, verify-ca or verify-full."},
    {"db.tls.ca_file", CONFIG_TEXT, AT(ca_file), "", NULL, "4096",
     .help = "Certificates that sign PostgreSQL's, for verify-ca and verify-full; empty: libpq's "
             "~/.postgresql/root.crt."},
    {"db.tls.client_cert", CONFIG_TEXT, AT(client_cert), "", NULL, "4096",
     .help = "Our certificate for PostgreSQL; empty: none."},
    {"db.tls.client_key", CONFIG_TEXT, AT(client_key), "", NULL, "4096",
     .help = "Its key, readable by nobody else."},
    {"db.migrate_username", CONFIG_TEXT, AT(migrate_username), "", "1", "63",
     .help = "The role that owns the schema, for `migrate`; empty: db.username."},
    {"db.migrate_password", CONFIG_TEXT, AT(migrate_password), "", "1", "1024", .secret = true,
     .help = "Its password; empty: db.password."},
    {"history.batch", CONFIG_INT, AT(batch), "256", "1", "1000", .help = "Rows forwarded in one INSERT."},
    {"history.query_deadline", CONFIG_DURATION, AT(query_deadline_ms), "2s", "50ms", "60s",
     .help = "For a history query, waiting included."},
    {"history.query_queue", CONFIG_INT, AT(query_queue), "256", "1", "65536",
     .help = "History queries that may wait."},
    {"history.months_ahead", CONFIG_INT, AT(months_ahead), "3", "0", "24",
     .help = "Monthly partitions made ahead."},
    {"history.retention", CONFIG_DURATION, AT(retention_ms), "0", "0", "3650d",
     .help = "Months of the history that ended this long ago are removed from PostgreSQL; 0: never, else "
             "31d or more."},
    {"history.call_retention", CONFIG_DURATION, AT(call_retention_ms), "400d", "0", "3650d",
     .help = "Likewise the months of kos_integration_log; 0: never, else 1d or more."},
};

#define DAY_MS INT64_C(86400000)

/* The migrations' functions refuse less, so that whoever has the service's password cannot empty the history. */
static bool check_retention(const struct history_config *c, char *err, size_t errlen)
{
    if (c->retention_ms && c->retention_ms < 31 * DAY_MS) {
        snprintf(err, errlen, "history.retention must be 0 (for ever) or 31d or more");
        return false;
    }
    if (c->call_retention_ms && c->call_retention_ms < DAY_MS) {
        snprintf(err, errlen, "history.call_retention must be 0 (for ever) or 1d or more");
        return false;
    }
    return true;
}

/* Text in the struct, so not a CONFIG_ENUM: libpq takes the word itself. */
static bool check(const void *values, char *err, size_t errlen)
{
    static const char *const modes[] = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"};
    const struct history_config *c = values;
    if (!*c->client_cert != !*c->client_key) {
        snprintf(err, errlen, "db.tls.client_cert and db.tls.client_key go together: set both or neither");
        return false;
    }
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (strcmp(c->sslmode, modes[i]) == 0) {
            return check_retention(c, err, errlen);
        }
    }
    snprintf(err, errlen,
             "db.sslmode must be one of disable, allow, prefer, require, verify-ca, verify-full, not \"%s\"",
             c->sslmode);
    return false;
}

const struct config_section history_config_section = {"history", settings, sizeof settings / sizeof *settings,
                                                      sizeof(struct history_config), check};

static const char *const row_outcomes[] = {"outcome=\"stored\"",    "outcome=\"duplicate\"",
                                           "outcome=\"dead\"",      "outcome=\"call_stored\"",
                                           "outcome=\"call_dead\"", NULL};
static const char *const query_outcomes[] = {"outcome=\"ok\"", "outcome=\"not_found\"",
                                             "outcome=\"unavailable\"", "outcome=\"busy\"", NULL};

struct metric_family history_rows = {
    "pcs_history_rows_total",
    "Rows forwarded to PostgreSQL, KOS call notes apart, by what became of them.",
    METRIC_COUNTER,
    row_outcomes,
    NULL,
    0,
    0};
struct metric_family history_batch_time = {"pcs_history_batch_seconds",
                                           "Duration of a batch that was stored.",
                                           METRIC_HISTOGRAM,
                                           NULL,
                                           metrics_buckets_latency,
                                           0,
                                           0};
struct metric_family history_up_gauge = {
    "pcs_history_up", "1: PostgreSQL takes the history; 0: rows wait.", METRIC_GAUGE, NULL, NULL, 0, 0};
struct metric_family history_queries = {"pcs_history_queries_total",
                                        "History queries by how they were answered.",
                                        METRIC_COUNTER,
                                        query_outcomes,
                                        NULL,
                                        0,
                                        0};

struct metric_family *const history_metrics[] = {&history_rows, &history_batch_time, &history_up_gauge,
                                                 &history_queries};
const size_t history_metrics_count = sizeof history_metrics / sizeof *history_metrics;
