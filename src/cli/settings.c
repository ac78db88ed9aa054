/* settings.c - the joined tables: settings and metrics of all modules. */
#include "cli/cli.h"
#include "cli/files.h"
#include "cli/serve.h"

#include "pcs/admin/admin.h"
#include "pcs/api/api.h"
#include "pcs/core/breaker_metrics.h"
#include "pcs/core/known_secret.h"
#include "pcs/core/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

#define ORDER_ROOM_MS 1000 /* of a request: claim, pre-check and commits around the order */

static const char *const levels[] = {"trace", "debug", "info", "warn", "error", "off", NULL};

static const struct config_setting settings[] = {
    {.name = "log.level",
     .type = CONFIG_ENUM,
     .offset = offsetof(struct process_config, log_level),
     .default_text = "info",
     .choices = levels,
     .reloadable = true,
     .help = "Least severe event that is logged"},
    {.name = "server.drain_delay",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct process_config, drain_delay_ms),
     .default_text = "0",
     .min = "0",
     .max = "5m",
     .help = "After SIGTERM: how long it goes on accepting while it says that it is not ready"},
    {.name = "db.migrations",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct process_config, sql_path),
     .default_text = "",
     .env = "DB_MIGRATIONS",
     .help = "Folder of the numbered migrations; empty: beside the program or installed with it"},
    {.name = "insecure.example_secrets",
     .type = CONFIG_BOOL,
     .offset = offsetof(struct process_config, example_secrets),
     .default_text = "false",
     .help = "Accept the well-known example secrets of tests and manuals: on one's own machine only"},
};

const struct config_section process_config_section = {
    .module = "process",
    .settings = settings,
    .count = sizeof settings / sizeof settings[0],
    .struct_size = sizeof(struct process_config),
};

const struct config_section *const cli_sections[] = {
    &process_config_section, &http_config_section,    &api_config_section,      &identity_config_section,
    &kos_config_section,     &store_config_section,   &redis_config_section,    &journal_config_section,
    &change_config_section,  &history_config_section, &delivery_config_section, &admin_config_section,
};
const size_t cli_section_count = sizeof cli_sections / sizeof cli_sections[0];

struct metric_family process_loop_lag = {.name = "pcs_loop_lag_seconds",
                                         .help = "Longest delay of a reactor's tick since the last scrape",
                                         .type = METRIC_GAUGE};
struct metric_family process_log_dropped = {
    .name = "pcs_log_dropped_total",
    .help = "Log lines that were dropped because nobody read them, or the log could not be written.",
    .type = METRIC_COUNTER};
static struct metric_family *const process_metrics[] = {&process_loop_lag, &process_log_dropped};

static const char *const breaker_names[] = {"kos.inquiry", "kos.list", "kos.change", "mvno", "redis"};

void cli_register_metrics(void)
{
    metrics_register(process_metrics, sizeof process_metrics / sizeof process_metrics[0]);
    process_metrics_start();
    http_metrics_bind(api_routes, api_route_count);
    http_metrics_bind(admin_routes, admin_route_count);
    metrics_register(http_metrics, http_metrics_count);
    metrics_register(api_metrics, api_metrics_count);
    metrics_register(identity_metrics, identity_metrics_count);
    breaker_metrics_register(breaker_names, sizeof breaker_names / sizeof *breaker_names);
    metrics_register(kos_metrics, kos_metrics_count);
    metrics_register(store_metrics, store_metrics_count);
    metrics_register(redis_metrics, redis_metrics_count);
    metrics_register(journal_metrics, journal_metrics_count);
    metrics_register(change_metrics, change_metrics_count);
    metrics_register(history_metrics, history_metrics_count);
    metrics_register(delivery_metrics, delivery_metrics_count);
}

/* Every secret of the settings; the admin token, which is in a file only, is judged where it is read. */
static const struct secret_row {
    const char *name;
    const struct config_section *section;
    size_t offset;
    bool password; /* chosen at the neighbour, so a weak one is the neighbour's to refuse: a warning */
    size_t enough; /* shorter ones are warned about elsewhere (CONTRACT.md 6) */
} secrets[] = {
    {"jwt.secret (JWT_SECRET)", &identity_config_section, offsetof(struct identity_config, secret), false, 0},
    {"jwt.previous_secret (JWT_PREVIOUS_SECRET)", &identity_config_section,
     offsetof(struct identity_config, previous_secret), false, 0},
    {"mvno.webhook_secret (MVNO_WEBHOOK_SECRET)", &delivery_config_section,
     offsetof(struct delivery_config, webhook_secret), false, 24},
    {"history.chain_key (HISTORY_CHAIN_KEY)", &journal_config_section,
     offsetof(struct journal_config, chain_key), false, 0},
    {"db.password (DB_PASSWORD)", &history_config_section, offsetof(struct history_config, password), true,
     0},
    {"db.migrate_password (DB_MIGRATE_PASSWORD)", &history_config_section,
     offsetof(struct history_config, migrate_password), true, 0},
    {"redis.password (REDIS_PASSWORD)", &redis_config_section, offsetof(struct redis_config, password), true,
     0},
};

static enum known_secret judge_row(const struct config *c, const struct secret_row *row)
{
    const char *values = config_values(c, row->section), *secret;
    memcpy(&secret, values + row->offset, sizeof secret);
    return strlen(secret) < row->enough ? SECRET_OWN : known_secret_judge(secret);
}

/* Well-known secrets are refused outside a local stack (issue 5, point 5). */
static bool check_secrets(const struct config *c, char *err, size_t errlen)
{
    const struct process_config *process = config_values(c, &process_config_section);
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0] && !process->example_secrets; i++) {
        enum known_secret known = judge_row(c, &secrets[i]);
        if (known == SECRET_EXAMPLE || (known == SECRET_WORD && !secrets[i].password)) {
            snprintf(err, errlen,
                     "%s: this secret is an example that everybody can read; make one of your own, e.g. with "
                     "openssl rand -hex 48 (insecure.example_secrets accepts it on one's own machine)",
                     secrets[i].name);
            return false;
        }
    }
    return true;
}

void cli_warn_secrets(const struct config *c)
{
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
        if (judge_row(c, &secrets[i]) != SECRET_OWN) {
            log_warn("config.well_known_secret", log_str("setting", secrets[i].name));
        }
    }
}

/* Rules between modules, which no module can check by itself. */
static bool check_together(const struct config *c, char *err, size_t errlen)
{
    const struct kos_config *kos = config_values(c, &kos_config_section);
    const struct change_config *change = config_values(c, &change_config_section);
    if (kos->change_deadline_ms + ORDER_ROOM_MS > change->request_deadline_ms) {
        snprintf(
            err, errlen,
            "kos.change.deadline: %lld ms leaves no room for the pre-check within change.deadline (%lld ms)",
            (long long)kos->change_deadline_ms, (long long)change->request_deadline_ms);
        return false;
    }
    return check_secrets(c, err, errlen);
}

struct config *cli_read(const char *file, char *err, size_t errlen)
{
    struct config *c = config_load(cli_sections, cli_section_count, file, NULL, err, errlen);
    if (c && !check_together(c, err, errlen)) {
        config_unref(c);
        c = NULL;
    }
    return c;
}

struct config *cli_load(const char *file)
{
    char err[8192];
    struct config *c = cli_read(file, err, sizeof err);
    if (!c) {
        fprintf(stderr, "%s\n", err);
    }
    return c;
}

/* What a daemon must have and a command does not need. */
static const struct {
    const char *name, *instead, *value; /* instead: gives the same setting */
} stand_ins[] = {{"KOS_BASE_URL", NULL, "http://127.0.0.1:1"},
                 {"JWT_SECRET", "JWT_SECRET_FILE", "not-used-by-a-command-of-an-operator"}};
#define STAND_INS (sizeof stand_ins / sizeof stand_ins[0])

static struct config *load_with_stand_ins(const char *file, char *err, size_t errlen)
{
    char *made[STAND_INS] = {0};
    size_t count = 0, n = 0;
    while (environ[count]) {
        count++;
    }
    char **env = calloc(count + STAND_INS + 1, sizeof *env);
    struct config *config = NULL;
    for (size_t i = 0; env && i < count; i++) {
        env[n++] = environ[i];
    }
    for (size_t i = 0; env && i < STAND_INS; i++) {
        if (!getenv(stand_ins[i].name) && !(stand_ins[i].instead && getenv(stand_ins[i].instead)) &&
            asprintf(&made[i], "%s=%s", stand_ins[i].name, stand_ins[i].value) > 0) {
            env[n++] = made[i];
        }
    }
    if (env) {
        config = config_load(cli_sections, cli_section_count, file, env, err, errlen);
    }
    for (size_t i = 0; i < STAND_INS; i++) {
        free(made[i]);
    }
    free(env);
    return config;
}

struct config *cli_load_for_command(const char *file, char *err, size_t errlen)
{
    struct config *c = config_load(cli_sections, cli_section_count, file, NULL, err, errlen);
    return c ? c : load_with_stand_ins(file, err, errlen);
}

static void print(const struct buf *b)
{
    if (buf_ok(b) && b->len) {
        fwrite(b->data, 1, b->len, stdout);
    }
}

int cli_check_config(const char *config_file)
{
    char err[1024];
    struct config *c = cli_load(config_file);
    if (!c) {
        return EXIT_FAILURE;
    }
    struct identity_verifier *v =
        identity_verifier_new(config_values(c, &identity_config_section), err, sizeof err);
    const struct admin_config *admin = config_values(c, &admin_config_section);
    bool ok = v && cli_check_files(c, err, sizeof err) && admin_check_files(admin, err, sizeof err) &&
              http_tls_load(config_values(c, &http_config_section), false, err, sizeof err);
    if (ok) { /* the key files were read too: a start would refuse them */
        puts("configuration ok");
    } else {
        fprintf(stderr, "%s\n", err);
    }
    identity_verifier_unref(v);
    config_unref(c);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

int cli_print_config(const char *config_file)
{
    struct config *c = cli_load(config_file);
    struct buf b;
    if (!c) {
        return EXIT_FAILURE;
    }
    buf_init(&b, 1 << 20);
    config_print_values(c, &b);
    print(&b);
    buf_free(&b);
    config_unref(c);
    return EXIT_SUCCESS;
}

void cli_print_settings(void)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    config_print_markdown(cli_sections, cli_section_count, &b);
    print(&b);
    buf_free(&b);
}

void cli_print_help(void)
{
    struct buf b;
    puts("usage: product-change-service [--config FILE] [COMMAND]\n"
         "\n"
         "commands:\n"
         "  serve             run the service (the default)\n"
         "  migrate           bring the history's schema in PostgreSQL up to date\n"
         "  verify-history    has anybody altered, removed or added rows of the history?\n"
         "\n"
         "commands to a running service (its admin API; all take --json, --socket PATH, --slot N):\n"
         "  status            how it is doing: neighbours, journal, backlog\n"
         "  breakers          show the breakers; breakers NAME "
         "forced-open|disabled|metrics-only|closed|reset\n"
         "  settle            list changes in doubt; settle ID --outcome completed|not-applied --reason R "
         "[--actor A];\n"
         "                    settle ID --check has KOS asked now\n"
         "  deliveries        list [--state pending|dead|delivered] [--line LINE]; replay SEQ "
         "[--out-of-order]\n"
         "  trace             trace REQUEST_ID, trace LINE: the whole story of a change\n"
         "  forget            forget LINE --reason R [--actor A] [--give-up-dead-letters]: erases a line's "
         "personal "
         "fields\n"
         "                    in Redis, PostgreSQL and every journal of JOURNAL_PATH; the hash chain still "
         "holds\n"
         "  backup            backup DIR: a checked copy of a slot's journal, of a running service or "
         "without one\n"
         "  forward           after a restore of PostgreSQL: what the journal of a stopped instance keeps "
         "waits "
         "again\n"
         "  slots             the journal's slots, and what those without an owner hold\n"
         "  retire            --slot N or --orphans: empty a slot (settle, forward, deliver) and give it up; "
         "its\n"
         "                    owner, if it runs, takes no new changes and ends\n"
         "settle list, deliveries list, slots and trace read the journal itself when no service runs.\n"
         "\n"
         "options:\n"
         "  --config FILE     settings from a YAML file; the environment overrides it\n"
         "  --check-config    read the settings, say what is wrong with them, and end\n"
         "  --print-config    print the settings as they would be used (without secrets)\n"
         "  --print-settings  print the table of all settings as Markdown\n"
         "  --print-routes    print every route: method, path, statuses\n"
         "  --version, --help\n"
         "\n"
         "signals: SIGTERM, SIGINT end it in order; SIGHUP reads the settings again\n"
         "\n"
         "settings:");
    buf_init(&b, 1 << 20);
    config_print_help(cli_sections, cli_section_count, &b);
    print(&b);
    buf_free(&b);
}

void cli_print_routes(void)
{
    for (size_t i = 0; i < api_route_count; i++) {
        const struct http_route *r = &api_routes[i];
        printf("%s %s ", r->method, r->path);
        for (const int *s = r->statuses; *s; s++) {
            printf("%s%d", s == r->statuses ? "" : ",", *s);
        }
        putchar('\n');
    }
}
