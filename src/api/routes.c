/* routes.c - every path of CONTRACT.md 1, with what it takes and what it can answer. openapi.json is compared
 * with this table by a test. */
#include "api/common.h"

static const int s_read[] = {200, 400, 401, 403, 404, 409, 429, 431, 500, 503, 0};
static const int s_list[] = {200, 400, 401, 403, 429, 431, 500, 503, 0};
static const int s_check[] = {200, 400, 401, 403, 411, 413, 415, 429, 431, 500, 503, 0};
static const int s_post[] = {200, 202, 400, 401, 403, 404, 409, 411, 413, 415, 422, 429, 431, 500, 503, 0};
static const int s_get[] = {200, 400, 401, 403, 404, 429, 431, 500, 503, 0};
static const int s_delete[] = {200, 400, 401, 403, 404, 409, 429, 431, 500, 503, 0};
static const int s_ok[] = {200, 400, 429, 431, 500, 0};
static const int s_ready[] = {200, 400, 429, 431, 500, 503, 0};

#define FRONTEND "/api/v1/products"
#define POSTED   (HTTP_BODY | HTTP_RATED)
#define PROBED   (HTTP_OPEN | HTTP_QUIET)

const struct http_route api_routes[] = {
    {"GET", "/menu", handle_menu, 0, HTTP_CORE, s_read},
    {"GET", "/change", handle_change_screen, 0, HTTP_CORE, s_read},
    {"POST", "/request/validation", handle_validation, POSTED, HTTP_CORE, s_check},
    {"POST", "/request", handle_request_post, POSTED, HTTP_CORE, s_post},
    {"GET", "/request/{requestId}", handle_request_get, 0, HTTP_CORE, s_get},
    {"DELETE", "/request/{requestId}", handle_request_delete, HTTP_RATED, HTTP_CORE, s_delete},
    {"GET", "/history", handle_history, 0, HTTP_CORE, s_list},

    {"GET", FRONTEND "/menu", handle_menu, 0, HTTP_FRONTEND, s_read},
    {"GET", FRONTEND "/customer", handle_customer, 0, HTTP_FRONTEND, s_read},
    {"GET", FRONTEND "/customer/{lineNumber}", handle_customer, 0, HTTP_FRONTEND, s_read},
    {"GET", FRONTEND "/available", handle_available, 0, HTTP_FRONTEND, s_list},
    {"POST", FRONTEND "/change/validation", handle_validation, POSTED, HTTP_FRONTEND, s_check},
    {"POST", FRONTEND "/change", handle_request_post, POSTED, HTTP_FRONTEND, s_post},
    {"GET", FRONTEND "/change/{requestId}", handle_request_get, 0, HTTP_FRONTEND, s_get},
    {"DELETE", FRONTEND "/change/{requestId}", handle_request_delete, HTTP_RATED, HTTP_FRONTEND, s_delete},
    {"GET", FRONTEND "/history", handle_history, 0, HTTP_FRONTEND, s_list},

    {"GET", "/health/live", handle_health_live, PROBED, HTTP_CORE, s_ok},
    {"GET", "/health/ready", handle_health_ready, PROBED, HTTP_CORE, s_ready},
    {"GET", "/metrics", handle_metrics, PROBED, HTTP_CORE, s_ok},
    {"GET", "/openapi.json", handle_openapi, PROBED, HTTP_CORE, s_ok},
    {"GET", "/docs", handle_docs, PROBED, HTTP_CORE, s_ok},
    {"GET", "/docs/docs.js", handle_docs_script, PROBED, HTTP_CORE, s_ok},
    {"GET", "/docs/docs.css", handle_docs_style, PROBED, HTTP_CORE, s_ok},
    {"GET", "/actuator/health", handle_actuator_health, PROBED, HTTP_CORE, s_ready},
    {"GET", "/actuator/health/liveness", handle_actuator_liveness, PROBED, HTTP_CORE, s_ok},
    {"GET", "/actuator/health/readiness", handle_actuator_readiness, PROBED, HTTP_CORE, s_ready},
};
const size_t api_route_count = sizeof api_routes / sizeof api_routes[0];
