/* tables.c - settings and what the reactors share. */
#include "api/common.h"

#include "pcs/core/rate.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define SETTING(n, t, m, d, lo, hi, h)                                                                       \
    {                                                                                                        \
        .name = n, .type = t, .offset = offsetof(struct api_config, m), .default_text = d, .min = lo,        \
        .max = hi, .reloadable = true, .help = h                                                             \
    }

static const struct config_setting settings[] = {
    SETTING("limits.rate", CONFIG_INT, rate, "5", "0", "100000",
            "Requests a second of one caller on POST and DELETE; 0 switches the limit off"),
    SETTING("limits.burst", CONFIG_INT, burst, "20", "1", "100000",
            "Requests at once of one caller on POST and DELETE"),
    SETTING("limits.callers", CONFIG_INT, rate_callers, "100000", "1", "10000000",
            "Callers whose rate is remembered at the most"),
    SETTING("server.read_deadline", CONFIG_DURATION, read_deadline_ms, "4s", "100ms", "30s",
            "A read is answered within this, the carrier's part included"),
    {.name = "auth.header_peers",
     .type = CONFIG_LIST,
     .offset = offsetof(struct api_config, header_peers),
     .default_text = "",
     .help = "Addresses and blocks of gateways that may tell who is calling, in X-User-ID and its like, "
             "where there is "
             "no token; empty: nobody may, the headers are ignored"},
};

static bool check(const void *values, char *err, size_t errlen)
{
    const struct api_config *c = values;
    const char *bad;
    if (!http_peers_valid(&c->header_peers, &bad)) {
        snprintf(err, errlen, "auth.header_peers: \"%s\" is no address or block like 10.0.0.0/8", bad);
        return false;
    }
    return true;
}

const struct config_section api_config_section = {
    .module = "api",
    .settings = settings,
    .count = sizeof settings / sizeof settings[0],
    .struct_size = sizeof(struct api_config),
    .check = check,
};

struct metric_family *const api_metrics[] = {NULL};
const size_t api_metrics_count = 0;

bool api_shared_init(struct api_shared *s, const struct api_config *config)
{
    memset(s, 0, sizeof *s);
    s->limiter = rate_limiter_new(config->rate, config->burst, config->rate_callers);
    s->header_peers = http_peers_new(&config->header_peers);
    return s->limiter && s->header_peers;
}

void api_shared_reload(struct api_shared *s, const struct api_config *config)
{
    rate_limiter_set(s->limiter, config->rate, config->burst, config->rate_callers);
}

void api_shared_free(struct api_shared *s)
{
    rate_limiter_free(s->limiter);
    s->limiter = NULL;
    http_peers_free(s->header_peers);
    s->header_peers = NULL;
}
