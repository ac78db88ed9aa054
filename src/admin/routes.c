/* routes.c - every path of the admin API, with what it takes and what it can answer (docs/admin-api.md). */
#include "admin/internal.h"

static const int s_read[] = {200, 400, 401, 403, 431, 500, 503, 0};
static const int s_put[] = {200, 400, 401, 403, 404, 409, 411, 413, 415, 431, 500, 503, 0};
static const int s_start[] = {202, 400, 401, 403, 404, 409, 431, 500, 503, 0};
static const int s_retire[] = {202, 400, 401, 403, 411, 413, 415, 431, 500, 503, 0};
static const int s_cancel[] = {200, 400, 401, 403, 409, 431, 500, 503, 0};
static const int s_trace[] = {200, 400, 401, 403, 404, 431, 500, 503, 0};

static const int s_page[] = {200, 400, 403, 431, 500, 0};

/* The console's files hold no data, and a browser that opens a page cannot send a token: what they ask for needs it. */
const struct http_route admin_routes[] = {
    {"GET", "/admin/console", handle_console, HTTP_OPEN | HTTP_QUIET, HTTP_CORE, s_page},
    {"GET", "/admin/console.css", handle_console_style, HTTP_OPEN | HTTP_QUIET, HTTP_CORE, s_page},
    {"GET", "/admin/console.js", handle_console_script, HTTP_OPEN | HTTP_QUIET, HTTP_CORE, s_page},
    {"GET", "/admin/status", handle_admin_status, HTTP_QUIET, HTTP_CORE, s_read},
    {"GET", "/admin/metrics", handle_admin_metrics, HTTP_QUIET, HTTP_CORE, s_read},
    {"GET", "/admin/breakers", handle_breakers, HTTP_QUIET, HTTP_CORE, s_read},
    {"PUT", "/admin/breakers/{name}", handle_breaker_put, HTTP_BODY, HTTP_CORE, s_put},
    {"GET", "/admin/doubts", handle_doubts, HTTP_QUIET, HTTP_CORE, s_read},
    {"POST", "/admin/changes/{requestId}/settle", handle_settle, HTTP_BODY, HTTP_CORE, s_put},
    {"POST", "/admin/changes/{requestId}/check", handle_check, 0, HTTP_CORE, s_start},
    {"GET", "/admin/deliveries", handle_deliveries, HTTP_QUIET, HTTP_CORE, s_read},
    {"POST", "/admin/deliveries/{seq}/replay", handle_replay, HTTP_BODY, HTTP_CORE, s_put},
    {"GET", "/admin/trace", handle_trace, 0, HTTP_CORE, s_trace},
    {"POST", "/admin/retire", handle_retire, HTTP_BODY, HTTP_CORE, s_retire},
    {"DELETE", "/admin/retire", handle_retire_cancel, 0, HTTP_CORE, s_cancel},
    {"POST", "/admin/backup", handle_backup, HTTP_BODY, HTTP_CORE, s_put},
    {"POST", "/admin/lines/forget", handle_forget, HTTP_BODY, HTTP_CORE, s_put},
    {"GET", "/admin/slots", handle_slots, HTTP_QUIET, HTTP_CORE, s_read},
};
const size_t admin_route_count = sizeof admin_routes / sizeof admin_routes[0];
