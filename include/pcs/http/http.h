/* http.h - the bridge to libmicrohttpd: one server a reactor, one request object, one exit.
 *
 * A request lives on its reactor. It is owned by the server and freed after its answer was handed to the
 * network (STYLE.md 2.1). Handlers run on the reactor's thread, once, when the request is complete (body
 * included), and must end in exactly one http_reply*() or http_fail(), at once or later; later ones keep the
 * connection suspended. Before the handler, in the order of CONTRACT.md 1: the guard (400, 431), the route
 * (404, 405), the gate (token, permission, rate: set by the layer above), the body's framing (411, 413, 415).
 */
#ifndef PCS_HTTP_HTTP_H
#define PCS_HTTP_HTTP_H

#include "pcs/core/arena.h"
#include "pcs/core/config.h"
#include "pcs/core/id.h"
#include "pcs/core/log.h"
#include "pcs/core/metrics.h"
#include "pcs/core/rate.h"
#include "pcs/core/reactor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_BODY_MAX    16384 /* CONTRACT.md 1: over 16 KiB is 413 */
#define HTTP_HEAD_MAX    6144  /* over 6 KiB is 431 */
#define HTTP_PARAMS_MAX  2
#define HTTP_HEADERS_MAX 8 /* extra headers of one answer */

struct http_server;
struct http_request;

enum http_family { HTTP_CORE, HTTP_FRONTEND }; /* CONTRACT.md 1: the two families of paths */

enum http_flags {
    HTTP_OPEN = 1,  /* no token, no envelope: health, metrics, openapi */
    HTTP_BODY = 2,  /* takes a JSON body; elsewhere one of up to 16 KiB is read and ignored */
    HTTP_RATED = 4, /* counts against the caller's rate (POST and DELETE) */
    HTTP_QUIET = 8, /* answered requests are logged at debug level only (probes, scrapes) */
};

struct http_route {
    const char *method;
    const char *path; /* "/request/{requestId}": a {name} takes one whole segment */
    void (*handler)(struct http_request *rq);
    unsigned flags;
    enum http_family family;
    const int *statuses; /* every status it can answer, ended by 0: openapi is compared with it */
};

/* One kind of error: declared once, by the module that raises it (CONTRACT.md 1, table). */
struct http_problem {
    const char *code;
    int status;
    const char *ko, *en; /* message for the customer */
};

extern const struct http_problem http_problem_invalid_request, http_problem_length_required,
    http_problem_payload_too_large, http_problem_unsupported_media_type, http_problem_headers_too_large,
    http_problem_not_found, http_problem_method_not_allowed, http_problem_internal_error,
    http_problem_service_unavailable, http_problem_too_many_requests;

struct http_field_error {
    const char *field, *message;
};

struct http_header {
    const char *name, *value; /* copied; CR, LF and empty values are refused by dropping the header, logged */
};

/* What an error says beyond code and message; every member may be absent (NULL, 0). Texts live until the call
 * returns. */
struct http_error_extra {
    const char *details;
    const struct http_field_error *fields;
    size_t field_count;
    const char *checks_json;           /* an array, ready-made */
    const char *result_code;           /* KOS's own */
    const char *next_actions_json;     /* an array, ready-made */
    const char *request_id;            /* the change; a Location header is added when location is set */
    const char *location;              /* absolute path */
    int retry_after;                   /* seconds; > 0: header and body member */
    bool replayed;                     /* adds Idempotent-Replayed: true */
    const struct http_header *headers; /* further ones, e.g. RateLimit of a 429 */
    size_t header_count;
    const char *reason; /* for the log only: why, in words; must live as long as the request */
};

/* The readable face of a request. Everything points into the request and lives as long as it. */
struct http_request {
    struct http_server *server;
    struct reactor *reactor;
    void *context;                  /* what the layer above gave http_server_create() */
    const struct http_route *route; /* NULL until routed */
    struct arena arena;
    const char *method;
    const char *path; /* raw, without the query; never decoded before routing */
    struct {
        const char *name; /* without braces */
        char *value;      /* decoded, NUL-terminated */
    } params[HTTP_PARAMS_MAX];
    char correlation_id[REQUEST_ID_MAX + 1]; /* the HTTP request's X-Request-ID, taken or made */
    char traceparent[TRACEPARENT_LEN + 1];   /* a child span of the caller's, or a new trace */
    const char *body;
    size_t body_len;
    bool english;           /* Accept-Language asks for English */
    bool problem_json;      /* Accept: application/problem+json */
    uint64_t started_ns;    /* monotonic: the head was complete */
    const void *identity;   /* for the gate and handlers */
    const char *log_change; /* change id for the access log; must live as long as the request */
    const char *log_reason; /* a short reason for the access log */
    const char *log_line;   /* line number, logged masked */
    void *user;             /* the handler's own */
    void (*on_gone)(struct http_request *rq); /* see http_watch_client() */
};

/* Runs after routing and before the body is looked at, on routes without HTTP_OPEN. True: go on. False: it
 * has called http_fail() (the answer may be held back until the body was taken, so that the connection stays
 * usable). */
typedef bool (*http_gate)(struct http_request *rq);

struct http_config {
    int64_t port;
    const char *bind;
    const char *public_prefix; /* put before Location and href of the core family */
    int64_t threads;           /* 0: one a core */
    int64_t connection_limit;  /* a reactor */
    int64_t header_timeout_ms, body_timeout_ms, idle_timeout_ms;
    struct config_list gateway_addresses; /* address blocks of those who speak for many customers */
    int64_t address_connections;          /* of one other address; 0: any number */
    int64_t address_rate, address_burst;  /* its requests a second, and at once; rate 0: any */
    int64_t addresses;                    /* remembered at the most */
    int64_t loop_lag_ms;                  /* a loop that is later sheds requests; 0: never */
    struct config_list cors_allowed_origins;
    const char *tls_cert_file, *tls_key_file; /* PEM; "" or NULL: plain HTTP */
};
extern const struct config_section http_config_section;
extern struct metric_family *const http_metrics[];
extern const size_t http_metrics_count;
/* Main thread, before metrics_register(): makes the label sets of pcs_http_requests_total and
 * _request_seconds from a route table that lives for ever. Once a table; servers of a table that was never
 * bound count as "unmatched". */
void http_metrics_bind(const struct http_route *routes, size_t count);

/* Reads the certificate and key that the settings name (none: true); keep: they serve every handshake from now on, of
 * all servers with server.tls.* (a reload exchanges them; those under way keep what they began with). False: a sentence
 * in err, what was in force stays. Main thread. */
bool http_tls_load(const struct http_config *config, bool keep, char *err, size_t errlen);
/* After the last server. */
void http_tls_free(void);

/* Is nobody listening there? With SO_REUSEPORT a second instance would silently share the port with the first and take
 * half of its customers: asked once, before the first http_listen(). False: a sentence in err. */
bool http_port_free(const char *bind, int64_t port, char *err, size_t errlen);
/* A listening socket with SO_REUSEPORT on bind:port (port 0: any; *port is set). -1 with a sentence in err.
 */
int http_listen(const char *bind, int64_t *port, char *err, size_t errlen);

/* Reactor's thread. routes live as long as the server; listen_fd becomes the server's. NULL with err on
 * failure. The exact set of labels of pcs_http_requests_total comes from the routes. */
struct http_server *http_server_create(struct reactor *reactor, const struct http_config *config,
                                       int listen_fd, const struct http_route *routes, size_t route_count,
                                       http_gate gate, void *context, char *err, size_t errlen);
/* Shutdown phase 1: close the listening socket; answers from now on say Connection: close. */
void http_server_quiesce(struct http_server *s);
/* Requests not yet answered (suspended ones included). */
size_t http_server_pending(const struct http_server *s);
/* Shutdown, last phase: whatever is still suspended is answered with 503; then the daemon is stopped and the
 * loop handles are closed. Frees s once libuv has closed them. */
void http_server_stop(struct http_server *s);

/* ---- reading ---- */
/* A header's value, NULL when absent. Names compare case-insensitively. */
const char *http_header(const struct http_request *rq, const char *name);
/* A query parameter, decoded (UTF-8, no NUL); NULL when absent. *twice (may be NULL): given more than once.
 */
const char *http_query(struct http_request *rq, const char *name, bool *twice);
/* A path parameter by its name in the route. Never NULL for a name that the route has. */
const char *http_param(const struct http_request *rq, const char *name);
/* The client's socket, for peer credentials on a Unix socket. Not to be read, written or closed. */
int http_client_fd(const struct http_request *rq);
/* Does Prefer hold this preference (RFC 7240)? */
bool http_prefers(const struct http_request *rq, const char *preference);
/* The absolute path a client should use for a path of the family that was called ("/request/ID" or
 * "/api/v1/products/change/ID"), with the public prefix on the core family. In the request's arena; NULL: no
 * memory. */
char *http_href(struct http_request *rq, const char *core_path);

/* ---- answering: exactly once ---- */
/* body: malloc'd, given away (also on failure). headers: copied. */
void http_reply(struct http_request *rq, int status, const char *content_type, char *body, size_t len,
                const struct http_header *headers, size_t header_count);
/* A buffer for an answer's body in memory that the request object keeps from earlier ones. To be given to
 * http_reply_body(); buf_free() without an answer is fine too. */
void http_body_open(struct http_request *rq, struct buf *body, size_t max);
/* Answers with it. A failed buffer answers 500. */
void http_reply_body(struct http_request *rq, int status, const char *content_type, struct buf *body,
                     const struct http_header *headers, size_t header_count);
/* As above for text that lives for ever. */
void http_reply_static(struct http_request *rq, int status, const char *content_type, const char *body,
                       size_t len);
/* {"success":true,"data":…} around data_json: steals data's memory. A failed buffer answers 500. */
void http_reply_data(struct http_request *rq, int status, struct buf *data, const struct http_header *headers,
                     size_t header_count);
/* The contract's error envelope, or problem+json when asked for. extra may be NULL. */
void http_fail(struct http_request *rq, const struct http_problem *problem,
               const struct http_error_extra *extra);
/* 429 with RateLimit-Policy and RateLimit: over the rate (a second) and burst of this policy, e.g. "caller". */
void http_fail_rate(struct http_request *rq, const char *policy, int64_t rate, int64_t burst,
                    const struct rate_answer *answer);

/* Tells on_gone once, in a later turn, if the client closes its side of the connection before the answer. Costs
 * nothing a request. The request must still be answered. */
void http_watch_client(struct http_request *rq, void (*on_gone)(struct http_request *rq));

#endif
