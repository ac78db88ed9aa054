/* config.c - the settings of the HTTP server. */
#include "http/internal.h"

#include <stdio.h>
#include <string.h>

#define OFFSET(member) offsetof(struct http_config, member)

static const struct config_setting settings[] = {
    {.name = "server.port",
     .type = CONFIG_INT,
     .offset = OFFSET(port),
     .default_text = "8083",
     .min = "0",
     .max = "65535",
     .help = "TCP port of the customers' API; 0 takes any free one"},
    {.name = "server.bind",
     .type = CONFIG_TEXT,
     .offset = OFFSET(bind),
     .default_text = "0.0.0.0",
     .min = "1",
     .max = "255",
     .help = "address to listen on"},
    {.name = "server.public_prefix",
     .type = CONFIG_TEXT,
     .offset = OFFSET(public_prefix),
     .default_text = "",
     .max = "100",
     .help = "path before Location and href of the core family, e.g. /product behind the gateway"},
    {.name = "server.threads",
     .type = CONFIG_INT,
     .offset = OFFSET(threads),
     .default_text = "0",
     .min = "0",
     .max = "128",
     .help = "reactors; 0 is one a core"},
    {.name = "server.connection_limit",
     .type = CONFIG_INT,
     .offset = OFFSET(connection_limit),
     .default_text = "20000",
     .min = "16",
     .max = "1000000",
     .help = "connections of one reactor; over it idle ones are closed, then new ones are answered 503"},
    {.name = "server.header_timeout",
     .type = CONFIG_DURATION,
     .offset = OFFSET(header_timeout_ms),
     .default_text = "10s",
     .min = "20ms",
     .max = "5m",
     .help = "time for a request's head to arrive"},
    {.name = "server.body_timeout",
     .type = CONFIG_DURATION,
     .offset = OFFSET(body_timeout_ms),
     .default_text = "10s",
     .min = "20ms",
     .max = "5m",
     .help = "time for a request's body to arrive"},
    {.name = "server.idle_timeout",
     .type = CONFIG_DURATION,
     .offset = OFFSET(idle_timeout_ms),
     .default_text = "75s",
     .min = "20ms",
     .max = "1h",
     .help = "life of an idle connection, and time for an answer to be taken; longer than the gateway's "
             "keep-alive"},
    {.name = "server.gateway_addresses",
     .type = CONFIG_LIST,
     .offset = OFFSET(gateway_addresses),
     .default_text = "127.0.0.0/8, ::1, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7",
     .help = "addresses and blocks of gateways: limits.address_* do not apply to them; no other right comes "
             "with it"},
    {.name = "limits.address_connections",
     .type = CONFIG_INT,
     .offset = OFFSET(address_connections),
     .default_text = "200",
     .min = "0",
     .max = "1000000",
     .help = "connections of one client address that is no gateway (IPv6: a /64); further ones are answered "
             "429; 0: any"},
    {.name = "limits.address_rate",
     .type = CONFIG_INT,
     .offset = OFFSET(address_rate),
     .default_text = "100",
     .min = "0",
     .max = "1000000",
     .help = "requests a second of one client address that is no gateway; 0: any"},
    {.name = "limits.address_burst",
     .type = CONFIG_INT,
     .offset = OFFSET(address_burst),
     .default_text = "400",
     .min = "1",
     .max = "1000000",
     .help = "requests at once of one client address that is no gateway"},
    {.name = "limits.addresses",
     .type = CONFIG_INT,
     .offset = OFFSET(addresses),
     .default_text = "100000",
     .min = "1",
     .max = "10000000",
     .help = "client addresses remembered at the most"},
    {.name = "limits.loop_lag",
     .type = CONFIG_DURATION,
     .offset = OFFSET(loop_lag_ms),
     .default_text = "500ms",
     .min = "0",
     .max = "1m",
     .help =
         "a reactor that is late by more for some ticks answers a growing share of requests 503; 0: never"},
    {.name = "cors.allowed_origins",
     .type = CONFIG_LIST,
     .offset = OFFSET(cors_allowed_origins),
     .default_text = "",
     .help = "origins of browsers that may call directly; empty: the gateway adds CORS, or nobody"},
    {.name = "server.tls.cert_file",
     .type = CONFIG_TEXT,
     .offset = OFFSET(tls_cert_file),
     .default_text = "",
     .max = "4096",
     .help = "certificate chain (PEM) of the customers' port, which then speaks TLS 1.2 and 1.3 only; the "
             "file is read "
             "again on SIGHUP; empty: plain HTTP"},
    {.name = "server.tls.key_file",
     .type = CONFIG_TEXT,
     .offset = OFFSET(tls_key_file),
     .default_text = "",
     .max = "4096",
     .help = "private key (PEM) of server.tls.cert_file"},
};

/* A path that can stand before another path: "/a/b", nothing that would need encoding. */
static bool prefix_valid(const char *p)
{
    size_t len = strlen(p);
    if (len == 0) {
        return true;
    }
    return p[0] == '/' && p[len - 1] != '/' && !strstr(p, "//") &&
           strspn(p, "/-._~abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == len;
}

/* An origin as browsers send it: scheme://host[:port], or "*". */
static bool origin_valid(const char *p)
{
    if (strcmp(p, "*") == 0) {
        return true;
    }
    const char *host = strstr(p, "://");
    return host && host > p && host[3] && strcspn(host + 3, "/ \t?#") == strlen(host + 3);
}

static bool check(const void *values, char *err, size_t errlen)
{
    const struct http_config *c = values;
    if (!prefix_valid(c->public_prefix)) {
        snprintf(err, errlen, "server.public_prefix: \"%s\" is no path like /product (no final slash)",
                 c->public_prefix);
        return false;
    }
    bool cert = c->tls_cert_file && *c->tls_cert_file, key = c->tls_key_file && *c->tls_key_file;
    if (cert != key) {
        snprintf(err, errlen,
                 "server.tls.cert_file and server.tls.key_file go together: set both or neither");
        return false;
    }
    for (size_t i = 0; i < c->gateway_addresses.count; i++) {
        struct cidr block;
        if (!cidr_parse(c->gateway_addresses.items[i], &block)) {
            snprintf(err, errlen, "server.gateway_addresses: \"%s\" is no address or block like 10.0.0.0/8",
                     c->gateway_addresses.items[i]);
            return false;
        }
    }
    for (size_t i = 0; i < c->cors_allowed_origins.count; i++) {
        if (!origin_valid(c->cors_allowed_origins.items[i])) {
            snprintf(err, errlen, "cors.allowed_origins: \"%s\" is no origin like https://shop.example:8443",
                     c->cors_allowed_origins.items[i]);
            return false;
        }
    }
    return true;
}

const struct config_section http_config_section = {
    .module = "http",
    .settings = settings,
    .count = sizeof settings / sizeof *settings,
    .struct_size = sizeof(struct http_config),
    .check = check,
};
