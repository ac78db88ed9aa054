/* config.c - the admin API's settings. */
#include "pcs/admin/admin.h"

#include <stdio.h>

#define AT(member_) offsetof(struct admin_config, member_)

static const struct config_setting settings[] = {
    {.name = "admin.bind",
     .type = CONFIG_TEXT,
     .offset = AT(bind),
     .default_text = "127.0.0.1",
     .min = "1",
     .max = "255",
     .help = "Address of the admin API on TCP"},
    {.name = "admin.port",
     .type = CONFIG_INT,
     .offset = AT(port),
     .default_text = "0",
     .min = "0",
     .max = "65535",
     .help = "TCP port of the admin API; 0: on the Unix socket only"},
    {.name = "admin.token_file",
     .type = CONFIG_TEXT,
     .offset = AT(token_file),
     .default_text = "",
     .max = "4096",
     .reloadable = true,
     .help = "File with the bearer token of the admin API on TCP, at least 32 bytes; read again on SIGHUP"},
    {.name = "admin.socket",
     .type = CONFIG_TEXT,
     .offset = AT(socket),
     .default_text = "",
     .max = "3000",
     .help = "Unix socket of the admin API; empty: admin.sock in the journal's slot"},
};

static bool check(const void *values, char *err, size_t errlen)
{
    const struct admin_config *c = values;
    if (c->port && !*c->token_file) {
        snprintf(err, errlen, "admin.token_file (ADMIN_TOKEN_FILE) is required with admin.port");
        return false;
    }
    return true;
}

const struct config_section admin_config_section = {
    .module = "admin",
    .settings = settings,
    .count = sizeof settings / sizeof settings[0],
    .struct_size = sizeof(struct admin_config),
    .check = check,
};
