/* admin.c - the admin API's life: both doors are opened when the reactor starts and shut when it ends. */
#include "admin/internal.h"

#include "pcs/core/clock.h"
#include "pcs/core/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECTIONS_MAX 128 /* of one door: operators, a console, a script */

static struct http_config http_settings(void)
{
    return (struct http_config){.bind = "",
                                .public_prefix = "",
                                .threads = 1,
                                .connection_limit = CONNECTIONS_MAX,
                                .header_timeout_ms = 10000,
                                .body_timeout_ms = 10000,
                                .idle_timeout_ms = 75000};
}

static bool open_door(struct admin *a, struct door *door, bool local, int fd, char *err, size_t errlen)
{
    door->admin = a;
    door->local = local;
    door->server = http_server_create(a->parts.reactor, &a->http, fd, admin_routes, admin_route_count,
                                      admin_gate, door, err, errlen);
    return door->server != NULL;
}

static bool open_local(struct admin *a, char *err, size_t errlen)
{
    if (!admin_socket_path(a->config.socket, a->parts.journal_path, journal_slot(a->parts.journal),
                           a->socket_path, sizeof a->socket_path)) {
        snprintf(err, errlen, "admin.socket: the path is too long");
        return false;
    }
    int fd = listen_local(a->socket_path, err, errlen);
    a->socket_made = fd >= 0;
    return fd >= 0 && open_door(a, &a->local, true, fd, err, errlen);
}

static bool open_tcp(struct admin *a, char *err, size_t errlen)
{
    char why[512];
    int64_t port = a->config.port;
    if (!port) {
        return true;
    }
    int fd = http_port_free(a->config.bind, port, why, sizeof why)
                 ? http_listen(a->config.bind, &port, why, sizeof why)
                 : -1;
    if (fd < 0) {
        snprintf(err, errlen, "admin.bind, admin.port: cannot listen (%s)", why);
        return false;
    }
    return open_door(a, &a->tcp, false, fd, err, errlen);
}

bool admin_check_files(const struct admin_config *config, char *err, size_t errlen)
{
    char hash[SHA256_HEX_LEN + 1];
    return !*config->token_file || token_read(config->token_file, hash, err, errlen);
}

struct admin *admin_create(const struct admin_parts *parts, struct config *settings, char *err, size_t errlen)
{
    struct admin *a = calloc(1, sizeof *a);
    if (!a) {
        snprintf(err, errlen, "admin API: no memory");
        return NULL;
    }
    a->parts = *parts;
    a->http = http_settings();
    a->started_at = clock_wall_ms();
    a->settings = config_ref(settings);
    a->config = *(const struct admin_config *)config_values(settings, &admin_config_section);
    if (parts->local_only) {
        a->config.port = 0;
        a->config.socket = a->config.token_file = "";
    }
    if ((*a->config.token_file && !token_read(a->config.token_file, a->token_hash, err, errlen)) ||
        !open_local(a, err, errlen) || !open_tcp(a, err, errlen)) {
        admin_stop(a);
        return NULL;
    }
    log_info("admin.listening", log_str("socket", a->socket_path),
             log_str("bind", a->config.port ? a->config.bind : NULL), log_int("port", a->config.port));
    return a;
}

bool admin_reload(struct admin *a, struct config *settings, char *err, size_t errlen)
{
    char hash[SHA256_HEX_LEN + 1] = "";
    const struct admin_config *fresh = config_values(settings, &admin_config_section);
    bool ok = !*fresh->token_file || token_read(fresh->token_file, hash, err, errlen);
    if (ok && *hash) {
        memcpy(a->token_hash, hash, sizeof hash);
    }
    struct config *old = a->settings;
    a->settings = config_ref(settings);
    a->config = *fresh; /* texts of settings that cannot be reloaded are the same in both */
    config_unref(old);
    return ok;
}

void admin_quiesce(struct admin *a)
{
    a->ending = true;
    admin_backup_stop(a);
    if (a->local.server) {
        http_server_quiesce(a->local.server);
    }
    if (a->tcp.server) {
        http_server_quiesce(a->tcp.server);
    }
}

size_t admin_pending(const struct admin *a)
{
    return (a->local.server ? http_server_pending(a->local.server) : 0) +
           (a->tcp.server ? http_server_pending(a->tcp.server) : 0);
}

void admin_stop(struct admin *a)
{
    if (!a) {
        return;
    }
    if (a->socket_made) {
        unlink(a->socket_path);
    }
    if (a->local.server) {
        http_server_stop(a->local.server);
    }
    if (a->tcp.server) {
        http_server_stop(a->tcp.server);
    }
    config_unref(a->settings);
    free(a);
}
