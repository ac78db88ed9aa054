/* settings.c - the Redis module's settings and metrics. */
#include "redis/link.h"

#define AT(member) offsetof(struct redis_config, member)

static const struct config_setting settings[] = {
    {.name = "redis.host",
     .type = CONFIG_TEXT,
     .offset = AT(host),
     .default_text = "127.0.0.1",
     .min = "1",
     .max = "253",
     .help = "Redis: host name or address"},
    {.name = "redis.port",
     .type = CONFIG_INT,
     .offset = AT(port),
     .default_text = "6379",
     .min = "1",
     .max = "65535",
     .help = "Redis: TCP port"},
    {.name = "redis.password",
     .type = CONFIG_TEXT,
     .offset = AT(password),
     .default_text = "",
     .max = "512",
     .secret = true,
     .help = "Redis: password, empty for none"},
    {.name = "redis.database",
     .type = CONFIG_INT,
     .offset = AT(database),
     .default_text = "0",
     .min = "0",
     .max = "1023",
     .help = "Redis: number of the database"},
    {.name = "redis.deadline",
     .type = CONFIG_DURATION,
     .offset = AT(deadline_ms),
     .default_text = "50ms",
     .min = "1ms",
     .max = "5s",
     .help = "how long one Redis command may take before it counts as a miss"},
    {.name = "redis.connect_timeout",
     .type = CONFIG_DURATION,
     .offset = AT(connect_timeout_ms),
     .default_text = "500ms",
     .min = "10ms",
     .max = "30s",
     .help = "how long connecting to Redis may take, AUTH and SELECT included"},
    {.name = "redis.max_in_flight",
     .type = CONFIG_INT,
     .offset = AT(max_in_flight),
     .default_text = "4096",
     .min = "1",
     .max = "100000",
     .help = "Redis commands of one reactor without an answer; more are treated as misses"},
};

const struct config_section redis_config_section = {
    .module = "redis",
    .settings = settings,
    .count = sizeof settings / sizeof settings[0],
    .struct_size = sizeof(struct redis_config),
};

static const char *const outcomes[] = {
    [REDIS_REPLIED] = "outcome=\"replied\"",
    [REDIS_LATE] = "outcome=\"late\"",
    [REDIS_LOST] = "outcome=\"lost\"",
    [REDIS_SKIPPED] = "outcome=\"skipped\"",
    NULL,
};

static const double command_buckets[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
                                         0.01,   0.025,   0.05,   0.1,   0.25,   0};

struct metric_family redis_metric_commands = {
    .name = "pcs_redis_commands_total",
    .help = "Redis commands by what came of them.",
    .type = METRIC_COUNTER,
    .labels = outcomes,
};
struct metric_family redis_metric_up = {
    .name = "pcs_redis_link_up",
    .help = "Redis connections that can be used (one a reactor).",
    .type = METRIC_GAUGE,
};
struct metric_family redis_metric_seconds = {
    .name = "pcs_redis_command_seconds",
    .help = "Time from a Redis command to its reply.",
    .type = METRIC_HISTOGRAM,
    .buckets = command_buckets,
};

struct metric_family *const redis_metrics[] = {
    &redis_metric_commands,
    &redis_metric_up,
    &redis_metric_seconds,
};
const size_t redis_metrics_count = sizeof redis_metrics / sizeof redis_metrics[0];
