/* config.c - the journal's settings. */
#include "pcs/journal/journal.h"

#include <inttypes.h>
#include <stdio.h>

#define AT(member_) offsetof(struct journal_config, member_)

static const struct config_setting settings[] = {
    {.name = "journal.path",
     .type = CONFIG_TEXT,
     .offset = AT(path),
     .default_text = "/var/lib/product-change-service",
     .min = "1",
     .max = "3000",
     .help = "Directory of the journal, on a local disk; each instance takes a numbered slot in it"},
    {.name = "journal.max_size",
     .type = CONFIG_SIZE,
     .offset = AT(max_bytes),
     .default_text = "8GiB",
     .min = "4MiB",
     .max = "8TiB",
     .help = "Size that the journal's file may reach; new changes stop before that"},
    {.name = "journal.reserve",
     .type = CONFIG_SIZE,
     .offset = AT(reserve_bytes),
     .default_text = "64MiB",
     .min = "1MiB",
     .max = "64GiB",
     .help = "Room kept free for outcomes, in the file's budget and on the disk"},
    {.name = "journal.queue",
     .type = CONFIG_INT,
     .offset = AT(queue_max),
     .default_text = "16384",
     .min = "16",
     .max = "1000000",
     .help = "Operations that may wait for the journal; more are answered 503"},
    {.name = "journal.group",
     .type = CONFIG_INT,
     .offset = AT(group_max),
     .default_text = "512",
     .min = "1",
     .max = "8192",
     .help = "Operations that one commit takes at the most"},
    {.name = "journal.retention",
     .type = CONFIG_DURATION,
     .offset = AT(retention_ms),
     .default_text = "72h",
     .min = "24h",
     .max = "3650d",
     .help = "How long changes stay in the journal after they were forwarded"},
    {.name = "idempotency.keep",
     .type = CONFIG_DURATION,
     .offset = AT(key_ms),
     .default_text = "24h",
     .min = "1m",
     .max = "7d",
     .help = "How long an Idempotency-Key is remembered"},
    {.name = "history.chain_key",
     .type = CONFIG_TEXT,
     .offset = AT(chain_key),
     .default_text = "",
     .min = "32",
     .max = "1024",
     .secret = true,
     .help = "Key of the hash chain over the history; empty: one of its own for each journal, kept in it"},
};

static bool check(const void *values, char *err, size_t errlen)
{
    const struct journal_config *c = values;
    if (c->reserve_bytes > c->max_bytes / 2) {
        snprintf(err, errlen,
                 "journal.reserve (%" PRId64 ") must be at most half of journal.max_size (%" PRId64 ")",
                 c->reserve_bytes, c->max_bytes);
        return false;
    }
    if (c->key_ms > c->retention_ms) {
        snprintf(err, errlen,
                 "idempotency.keep must not be longer than journal.retention: a replay needs its change");
        return false;
    }
    return true;
}

const struct config_section journal_config_section = {
    .module = "journal",
    .settings = settings,
    .count = sizeof settings / sizeof settings[0],
    .struct_size = sizeof(struct journal_config),
    .check = check,
};
