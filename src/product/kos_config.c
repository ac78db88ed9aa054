/* kos_config.c - settings of the carrier's neighbour, and the three gates made from them. */
#include "product/kos_internal.h"

#include "pcs/core/log.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LEASE_ROOM_MS 7500 /* an inquiry and a list, one after the other, must end within a lease (lease.h) */
#define DOWN_AFTER    3    /* failures in a row */

const char *const kos_operation_names[KOS_OPERATIONS] = {"inquiry", "list", "change"};
const char *const kos_gate_names[KOS_OPERATIONS] = {"kos.inquiry", "kos.list", "kos.change"};

/* clang-format off */
#define AT(member) offsetof(struct kos_config, member)
#define ROW(n, t, m, d, lo, hi, reload, h) \
    {.name = n, .type = t, .offset = AT(m), .default_text = d, .min = lo, .max = hi, .reloadable = reload, .help = h}
static const struct config_setting settings[] = {
    ROW("kos.base_url", CONFIG_TEXT, base_url, NULL, "8", "1024", false, "KOS-Order's base URL, http or https"),
    ROW("kos.default_operator", CONFIG_TEXT, default_operator, "", NULL, "50", true, "operator of products for which KOS names none"),
    ROW("kos.deduplicates", CONFIG_BOOL, deduplicates, "false", NULL, NULL, true, "KOS recognises a repeated requestId"),
    ROW("kos.settle_horizon", CONFIG_DURATION, settle_horizon_ms, "10m", "1s", "24h", true, "an order in doubt whose line is still unchanged after this was not applied"),
    ROW("kos.inquiry.deadline", CONFIG_DURATION, inquiry_deadline_ms, "3s", "50ms", "5s", true, "deadline of a customer inquiry"),
    ROW("kos.list.deadline", CONFIG_DURATION, list_deadline_ms, "3s", "50ms", "5s", true, "deadline of a product list"),
    ROW("kos.change.deadline", CONFIG_DURATION, change_deadline_ms, "5s", "50ms", "8s", true, "deadline of a change order"),
    ROW("kos.connect_timeout", CONFIG_DURATION, connect_timeout_ms, "1s", "10ms", "5s", true, "time for a connection, within the deadline"),
    ROW("kos.inquiry.max_in_flight", CONFIG_INT, max_in_flight[KOS_INQUIRY], "256", "1", "10000", true, "inquiries at KOS at a time"),
    ROW("kos.list.max_in_flight", CONFIG_INT, max_in_flight[KOS_LIST], "16", "1", "10000", true, "lists at KOS at a time"),
    ROW("kos.change.max_in_flight", CONFIG_INT, max_in_flight[KOS_CHANGE], "256", "1", "10000", true, "orders at KOS at a time"),
    ROW("kos.inquiry.max_queue", CONFIG_INT, max_queue[KOS_INQUIRY], "1024", "0", "100000", true, "inquiries waiting for a place"),
    ROW("kos.list.max_queue", CONFIG_INT, max_queue[KOS_LIST], "1024", "0", "100000", true, "lists waiting for a place"),
    ROW("kos.change.max_queue", CONFIG_INT, max_queue[KOS_CHANGE], "1024", "0", "100000", true, "orders waiting for a place"),
    ROW("kos.read_retries", CONFIG_INT, read_retries, "1", "0", "3", true, "further attempts of a failed read within its deadline, at most 20 % of all reads"),
    ROW("kos.breaker.window", CONFIG_INT, breaker_window, "20", "1", "100000", true, "calls that the breakers look back on"),
    ROW("kos.breaker.minimum", CONFIG_INT, breaker_minimum, "10", "1", "100000", true, "calls before a breaker judges"),
    ROW("kos.breaker.failure_rate", CONFIG_PERCENT, breaker_failure_rate, "50", NULL, NULL, true, "a breaker opens at this share of failures"),
    ROW("kos.breaker.slow_rate", CONFIG_PERCENT, breaker_slow_rate, "80", NULL, NULL, true, "a breaker opens at this share of slow calls"),
    ROW("kos.breaker.slow_share", CONFIG_PERCENT, breaker_slow_share, "80", NULL, NULL, true, "a call is slow beyond this share of its deadline"),
    ROW("kos.breaker.consecutive", CONFIG_INT, breaker_consecutive, "0", "0", "100000", true, "failures in a row that open a breaker; 0 = off"),
    ROW("kos.breaker.wait", CONFIG_DURATION, breaker_wait_ms, "10s", "1ms", "1h", true, "how long a breaker stays open the first time; doubles each further time"),
    ROW("kos.breaker.wait_max", CONFIG_DURATION, breaker_wait_max_ms, "60s", "1ms", "24h", true, "the longest of these waits"),
    ROW("kos.breaker.half_open_permits", CONFIG_INT, breaker_half_open_permits, "3", "1", "1000", true, "probes that decide whether an open breaker closes"),
    ROW("kos.breaker.half_open_max", CONFIG_DURATION, breaker_half_open_max_ms, "30s", "0", "1h", true, "a breaker that is half open for so long opens again; 0 = never"),
    ROW("kos.tls.ca_file", CONFIG_TEXT, ca_file, "", NULL, "4096", false, "certificates that sign KOS's; empty = the system's"),
    ROW("kos.tls.client_cert", CONFIG_TEXT, client_cert, "", NULL, "4096", false, "our certificate for KOS; empty = none"),
    ROW("kos.tls.client_key", CONFIG_TEXT, client_key, "", NULL, "4096", false, "its key"),
};
/* clang-format on */

/* host or [v6], an optional port, then an optional path: what a base may consist of. NULL: fine. */
static const char *url_problem(const char *url)
{
    static const char host_chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    const char *p = NULL;
    if (strncasecmp(url, "http://", 7) == 0) {
        p = url + 7;
    } else if (strncasecmp(url, "https://", 8) == 0) {
        p = url + 8;
    } else {
        return "must begin with http:// or https://";
    }
    size_t host = strspn(p, host_chars);
    if (*p == '[') {
        host = strspn(p + 1, "0123456789abcdefABCDEF:.") + 1;
        host = host > 1 && p[host] == ']' ? host + 1 : 0;
    }
    if (host == 0) {
        return "has no host name";
    }
    p += host;
    if (*p == ':') {
        size_t digits = strspn(++p, "0123456789");
        long port = digits && digits <= 5 ? strtol(p, NULL, 10) : 0;
        if (port < 1 || port > 65535) {
            return "has a port that is none";
        }
        p += digits;
    }
    if (*p && *p != '/') {
        return "has something other than a path after its host";
    }
    for (; *p; p++) {
        if (*p <= ' ' || *p >= 0x7F || strchr("?#\"<>\\^`{|}", *p)) {
            return "must be a plain base: no query, no fragment, no blanks";
        }
    }
    return NULL;
}

int64_t kos_deadline_ms(const struct kos_config *c, enum kos_operation op)
{
    return op == KOS_INQUIRY ? c->inquiry_deadline_ms
           : op == KOS_LIST  ? c->list_deadline_ms
                             : c->change_deadline_ms;
}

static struct breaker_config breaker_settings(const struct kos_config *c, enum kos_operation op)
{
    struct breaker_config b = breaker_config_default();
    b.window_size = c->breaker_window;
    b.minimum_calls = c->breaker_minimum;
    b.failure_rate = c->breaker_failure_rate;
    b.slow_call_rate = c->breaker_slow_rate;
    b.slow_duration_ns = (int64_t)((double)kos_deadline_ms(c, op) * c->breaker_slow_share / 100 * NS_PER_MS);
    b.half_open_permits = c->breaker_half_open_permits;
    b.consecutive_failures = c->breaker_consecutive;
    b.wait_ms = c->breaker_wait_ms;
    b.wait_max_ms = c->breaker_wait_max_ms;
    b.half_open_max_ms = c->breaker_half_open_max_ms;
    return b;
}

static bool check(const void *values, char *err, size_t errlen)
{
    const struct kos_config *c = values;
    const char *problem = url_problem(c->base_url);
    if (problem) {
        snprintf(err, errlen, "kos.base_url %s", problem);
        return false;
    }
    if (!*c->client_cert != !*c->client_key) {
        snprintf(err, errlen, "kos.tls.client_cert and kos.tls.client_key go together: set both or neither");
        return false;
    }
    if (c->breaker_wait_ms > c->breaker_wait_max_ms) {
        snprintf(err, errlen, "kos.breaker.wait must not be longer than kos.breaker.wait_max");
        return false;
    }
    if (c->inquiry_deadline_ms + c->list_deadline_ms > LEASE_ROOM_MS) {
        snprintf(err, errlen,
                 "kos.inquiry.deadline and kos.list.deadline must not be more than 7.5s together");
        return false;
    }
    for (int op = 0; op < KOS_OPERATIONS; op++) {
        struct breaker_config b = breaker_settings(c, (enum kos_operation)op);
        char why[256];
        if (!breaker_config_check(&b, why, sizeof why)) {
            snprintf(err, errlen, "kos.breaker: %s", why);
            return false;
        }
    }
    return true;
}

const struct config_section kos_config_section = {
    .module = "kos",
    .settings = settings,
    .count = sizeof settings / sizeof *settings,
    .struct_size = sizeof(struct kos_config),
    .check = check,
};

/* ---- gates ---- */

/* One line a transition: what an operator asks for first (BREAKER.md 9). */
static void on_event(const struct breaker_event *ev, void *arg)
{
    (void)arg;
    if (ev->type == BREAKER_EVENT_STATE_TRANSITION) {
        log_warn("breaker.state", log_str("breaker", ev->breaker),
                 log_str("from", breaker_state_name(ev->from)), log_str("to", breaker_state_name(ev->to)),
                 log_str("reason", ev->reason), log_ms("openForMilliseconds", ev->open_for_ns));
    }
}

bool kos_gates_init(struct kos_gates *gates, const struct kos_config *config, char *err, size_t errlen)
{
    *gates = (struct kos_gates){.gate = {{.name = NULL}}};
    for (int op = 0; op < KOS_OPERATIONS; op++) {
        struct gate *g = &gates->gate[op];
        struct breaker_config b = breaker_settings(config, (enum kos_operation)op);
        g->name = kos_gate_names[op];
        g->breaker = breaker_create(g->name, &b, err, errlen);
        if (!g->breaker) {
            kos_gates_free(gates);
            return false;
        }
        breaker_set_listener(g->breaker, on_event, NULL);
        g->bulkhead =
            bulkhead_create(g->name, (uint32_t)config->max_in_flight[op], (uint32_t)config->max_queue[op]);
        if (!g->bulkhead) {
            snprintf(err, errlen, "no memory for the bulkhead %s", g->name);
            kos_gates_free(gates);
            return false;
        }
    }
    return true;
}

bool kos_gates_up(const struct kos_gates *gates)
{
    struct breaker_snapshot s;
    for (int op = 0; op < KOS_OPERATIONS; op++) {
        breaker_snapshot(gates->gate[op].breaker, &s);
        if (s.state == BREAKER_OPEN || s.state == BREAKER_FORCED_OPEN || s.state == BREAKER_HALF_OPEN ||
            s.consecutive >= DOWN_AFTER) {
            return false;
        }
    }
    return true;
}

void kos_gates_free(struct kos_gates *gates)
{
    for (int op = 0; op < KOS_OPERATIONS; op++) {
        breaker_destroy(gates->gate[op].breaker);
        bulkhead_destroy(gates->gate[op].bulkhead);
        gates->gate[op] = (struct gate){.name = NULL};
    }
}

bool kos_gates_reload(struct kos_gates *gates, const struct kos_config *config, char *err, size_t errlen)
{
    if (!check(config, err, errlen)) {
        return false; /* all or nothing */
    }
    for (int op = 0; op < KOS_OPERATIONS; op++) {
        struct breaker_config b = breaker_settings(config, (enum kos_operation)op);
        if (!breaker_reconfigure(gates->gate[op].breaker, &b, err, errlen)) {
            return false; /* no memory for a larger window: the rest is taken over by the next reload */
        }
        if (!bulkhead_resize(gates->gate[op].bulkhead, (uint32_t)config->max_in_flight[op],
                             (uint32_t)config->max_queue[op])) {
            snprintf(err, errlen, "%s: limits out of range", kos_gate_names[op]);
            return false;
        }
    }
    return true;
}
