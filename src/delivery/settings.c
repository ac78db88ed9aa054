/* settings.c - the settings and metrics of the delivery to MVNO AP. */
#include "delivery/internal.h"
#include "delivery/sign.h"

#include <stdio.h>
#include <string.h>

#define AT(member) offsetof(struct delivery_config, member)

static const struct config_setting settings[] = {
    {.name = "mvno.base_url",
     .type = CONFIG_TEXT,
     .offset = AT(base_url),
     .default_text = "",
     .max = "1024",
     .help = "MVNO AP, e.g. http://mvno-ap:8080; empty: events wait in the journal"},
    {.name = "mvno.webhook_secret",
     .type = CONFIG_TEXT,
     .offset = AT(webhook_secret),
     .default_text = "",
     .max = "1024",
     .secret = true,
     .help = "key of the webhook signatures, as it is or base64 after whsec_; empty: unsigned"},
    {.name = "mvno.deadline",
     .type = CONFIG_DURATION,
     .offset = AT(deadline_ms),
     .default_text = "5s",
     .min = "10ms",
     .max = "2m",
     .help = "how long one delivery may take"},
    {.name = "mvno.connect_timeout",
     .type = CONFIG_DURATION,
     .offset = AT(connect_timeout_ms),
     .default_text = "1s",
     .min = "10ms",
     .max = "1m",
     .help = "how long connecting to MVNO AP may take"},
    {.name = "mvno.concurrency",
     .type = CONFIG_INT,
     .offset = AT(concurrency),
     .default_text = "64",
     .min = "1",
     .max = "1024",
     .help = "deliveries under way at once; never two of one line"},
    {.name = "mvno.rate",
     .type = CONFIG_INT,
     .offset = AT(rate),
     .default_text = "2000",
     .min = "1",
     .max = "1000000",
     .help = "events a second while a backlog goes out, after an outage or at start"},
    {.name = "mvno.probe",
     .type = CONFIG_DURATION,
     .offset = AT(probe_ms),
     .default_text = "30s",
     .min = "10ms",
     .max = "1h",
     .help = "the longest wait between probes of an MVNO AP that is down"},
    {.name = "mvno.breaker.wait",
     .type = CONFIG_DURATION,
     .offset = AT(breaker_wait_ms),
     .default_text = "1s",
     .min = "1ms",
     .max = "1h",
     .help = "the wait before the first probe; doubles up to mvno.probe"},
    {.name = "mvno.breaker.consecutive",
     .type = CONFIG_INT,
     .offset = AT(breaker_consecutive),
     .default_text = "3",
     .min = "1",
     .max = "1000",
     .help = "failures in a row after which MVNO AP is down; a refused connection says so at once"},
    {.name = "mvno.tls.ca_file",
     .type = CONFIG_TEXT,
     .offset = AT(ca_file),
     .default_text = "",
     .max = "4095",
     .help = "certificates that MVNO AP's must descend from (PEM); empty: the system's"},
    {.name = "mvno.tls.client_cert",
     .type = CONFIG_TEXT,
     .offset = AT(client_cert),
     .default_text = "",
     .max = "4095",
     .help = "our certificate for MVNO AP (PEM)"},
    {.name = "mvno.tls.client_key",
     .type = CONFIG_TEXT,
     .offset = AT(client_key),
     .default_text = "",
     .max = "4095",
     .help = "the key of mvno.tls.client_cert (PEM)"},
};

static bool url_ok(const char *url)
{
    size_t scheme = strncmp(url, "http://", 7) == 0 ? 7 : strncmp(url, "https://", 8) == 0 ? 8 : 0;
    if (scheme == 0 || url[scheme] == '\0' || strchr("/:?#", url[scheme])) {
        return false;
    }
    for (const char *p = url; *p; p++) {
        if ((unsigned char)*p <= ' ' || *p == 0x7F || strchr("?#\"<>\\^`{|}", *p)) {
            return false;
        }
    }
    return true;
}

static bool check(const void *values, char *err, size_t errlen)
{
    const struct delivery_config *c = values;
    size_t key_len;
    if (*c->base_url && !url_ok(c->base_url)) {
        snprintf(err, errlen,
                 "mvno.base_url (MVNO_BASE_URL) must be http:// or https://, a host, and at most a path");
        return false;
    }
    if (*c->webhook_secret && !signer_secret_ok(c->webhook_secret, &key_len, err, errlen)) {
        return false;
    }
    if (!*c->client_cert != !*c->client_key) {
        snprintf(err, errlen, "mvno.tls.client_cert and mvno.tls.client_key must be given together");
        return false;
    }
    if (c->connect_timeout_ms > c->deadline_ms) {
        snprintf(err, errlen, "mvno.connect_timeout must not be longer than mvno.deadline");
        return false;
    }
    if (c->breaker_wait_ms > c->probe_ms) {
        snprintf(err, errlen, "mvno.breaker.wait must not be longer than mvno.probe");
        return false;
    }
    return true;
}

const struct config_section delivery_config_section = {
    .module = "delivery",
    .settings = settings,
    .count = sizeof settings / sizeof settings[0],
    .struct_size = sizeof(struct delivery_config),
    .check = check,
};

static const char *const outcomes[] = {
    [POST_DELIVERED] = "outcome=\"delivered\"",     [POST_DEAD] = "outcome=\"dead\"",
    [POST_PUSHED_BACK] = "outcome=\"pushed_back\"", [POST_STATUS] = "outcome=\"status\"",
    [POST_TIMEOUT] = "outcome=\"timeout\"",         [POST_TRANSPORT] = "outcome=\"transport\"",
    [POST_UNREACHED] = "outcome=\"unreached\"",     [POST_OUTCOMES] = NULL,
};

/* From the commit of an event to its acknowledgement: an outage lasts hours. */
static const double lag_buckets[] = {0.005, 0.01, 0.025, 0.05, 0.1,  0.25, 0.5,   1,     2.5, 5,
                                     10,    30,   60,    300,  1800, 7200, 28800, 86400, 0};

struct metric_family delivery_metric_attempts = {
    .name = "pcs_delivery_attempts_total",
    .help = "Posts of events to MVNO AP by what came of them.",
    .type = METRIC_COUNTER,
    .labels = outcomes,
};
struct metric_family delivery_metric_lag = {
    .name = "pcs_delivery_seconds",
    .help = "Time from an event's making to its delivery.",
    .type = METRIC_HISTOGRAM,
    .buckets = lag_buckets,
};
struct metric_family delivery_metric_up = {
    .name = "pcs_delivery_up",
    .help = "1 while MVNO AP takes events (or none is configured), 0 while it is being probed.",
    .type = METRIC_GAUGE,
};
struct metric_family delivery_metric_in_flight = {
    .name = "pcs_delivery_in_flight",
    .help = "Posts of events to MVNO AP under way.",
    .type = METRIC_GAUGE,
};

struct metric_family *const delivery_metrics[] = {
    &delivery_metric_attempts,
    &delivery_metric_lag,
    &delivery_metric_up,
    &delivery_metric_in_flight,
};
const size_t delivery_metrics_count = sizeof delivery_metrics / sizeof delivery_metrics[0];
