/* reload.c - SIGHUP: reads the settings again, takes over what can be, and says what cannot. */
#include "cli/serve.h"

#include "pcs/core/log.h"

#include <string.h>

/* The settings in force point into their snapshot for as long as the process runs: older ones are kept. */
static bool keep_old(struct service *s)
{
    if (s->kept == sizeof s->keep / sizeof s->keep[0]) {
        return false;
    }
    s->keep[s->kept++] = s->config;
    return true;
}

static void log_lines(const char *event, const struct buf *lines)
{
    char line[512];
    const char *p = lines->data;
    while (p && *p) {
        size_t len = strcspn(p, "\n"), shown = len < sizeof line - 1 ? len : sizeof line - 1;
        memcpy(line, p, shown);
        line[shown] = '\0';
        log_info(event, log_str("setting", line));
        p += len + (p[len] == '\n');
    }
}

static void take_over(struct instance *i)
{
    struct service *s = i->service;
    i->api.config = config_values(s->config, &api_config_section);
    kos_reconfigure(i->api.kos, config_values(s->config, &kos_config_section));
    store_reconfigure(i->api.store, config_values(s->config, &store_config_section));
    identity_memory_set_verifier(i->api.identities, s->verifier);
    if (i->admin && !admin_reload(i->admin, s->config, i->err, sizeof i->err)) {
        log_error("reload.admin_token_refused", log_str("reason", i->err));
    }
}

/* Key files may have changed though no setting has: always a new verifier. */
static void reload_keys(struct service *s)
{
    char err[ERROR_MAX];
    struct identity_verifier *v =
        identity_verifier_new(config_values(s->config, &identity_config_section), err, sizeof err);
    if (!v) {
        log_error("reload.keys_refused", log_str("reason", err));
        return;
    }
    identity_verifier_unref(s->verifier);
    s->verifier = v;
}

static void reload_certificate(struct service *s)
{
    char err[ERROR_MAX];
    if (!http_tls_load(config_values(s->config, &http_config_section), true, err, sizeof err)) {
        log_error("reload.certificate_refused", log_str("reason", err));
    }
}

/* Puts the mixture of the settings in force and the loaded ones in force, if it differs from them. False: refused. */
static bool swap(struct service *s, struct config *loaded)
{
    char err[ERROR_MAX];
    struct buf applied, refused;
    buf_init(&applied, 65536);
    buf_init(&refused, 65536);
    struct config *merged = config_merge(s->config, loaded, &applied, &refused, err, sizeof err);
    bool ok = merged != NULL, changed = !buf_ok(&applied) || applied.len > 0;
    if (!ok) {
        log_error("reload.refused", log_str("reason", err));
    } else if (!changed) { /* the usual case where SIGHUP only says that key files are new */
        config_unref(merged);
        log_lines("reload.needs_restart", &refused);
    } else if (!keep_old(s)) {
        log_error("reload.refused",
                  log_str("reason", "the settings were changed too often; restart the service"));
        config_unref(merged);
        ok = false;
    } else {
        s->config = merged;
        log_lines("reload.applied", &applied);
        log_lines("reload.needs_restart", &refused);
    }
    buf_free(&applied);
    buf_free(&refused);
    return ok;
}

void service_reload(struct service *s)
{
    char err[8192];
    log_info("reload.asked");
    struct config *loaded = cli_read(s->config_file, err, sizeof err);
    if (!loaded) {
        log_error("reload.refused", log_str("reason", err));
        return;
    }
    bool swapped = swap(s, loaded);
    config_unref(loaded);
    if (!swapped) {
        return;
    }
    const struct process_config *process = config_values(s->config, &process_config_section);
    log_set_threshold((enum log_level)process->log_level);
    if (!kos_gates_reload(&s->gates, config_values(s->config, &kos_config_section), err, sizeof err)) {
        log_error("reload.gates_refused", log_str("reason", err));
    }
    api_shared_reload(&s->shared, config_values(s->config, &api_config_section));
    reload_keys(s);
    reload_certificate(s);
    for (unsigned n = 0; n < s->count; n++) {
        instance_run(&s->instances[n], take_over);
    }
    log_info("reload.done");
}
