/* HTTP server of the simulators: one thread, libmicrohttpd in external epoll mode, a timer heap.
 * A request that waits (delay, gate, hang) is suspended and costs memory only, no thread.
 * Everything here is called from that one thread. */
#ifndef SIM_HTTP_H
#define SIM_HTTP_H

#include "sim_util.h"

struct MHD_Connection;
struct MHD_Daemon;
struct sim_exchange;

#define SIM_BODY_MAX (1024 * 1024) /* request bodies beyond it are answered 413 */

/* Common options of the three programs. */
struct sim_options {
    const char *bind;      /* IPv4 address, default 127.0.0.1 */
    unsigned port;         /* 0 = any free one */
    const char *port_file; /* the chosen port is written there, atomically */
};
#define SIM_LONG_OPTIONS                                                                                     \
    {"port", required_argument, NULL, 'p'}, {"bind", required_argument, NULL, 'b'},                          \
        {"port-file", required_argument, NULL, 'f'},                                                         \
    {                                                                                                        \
        "help", no_argument, NULL, 'h'                                                                       \
    }
#define SIM_OPTIONS_HELP                                                                                     \
    "  --port N          port to listen on (0 = any free one; default 0)\n"                                  \
    "  --bind ADDRESS    IPv4 address to listen on (default 127.0.0.1)\n"                                    \
    "  --port-file FILE  write the chosen port to FILE\n"                                                    \
    "  --help            this text\n"
/* Takes one of the options above; false when `option` is none of them. Ends the program on bad values. */
bool sim_option(struct sim_options *o, int option, const char *value);
/* Text as a number in min..max; ends the program with a sentence naming `what` otherwise. */
long sim_number_option(const char *what, const char *text, long min, long max);

/* Counters of one operation. `concurrent` counts requests whose connection waits for an answer. */
struct sim_stats {
    uint64_t received;
    uint64_t answered; /* a whole answer was handed to the network */
    uint64_t aborted;  /* the connection ended without one: fault, reset, client gone */
    uint64_t faulted;  /* at least one fault other than a delay was applied */
    uint64_t concurrent;
    uint64_t max_concurrent;
};

struct sim_req;
struct sim_server;

struct sim_route {
    const char *method; /* NULL = any */
    const char *path;
    bool prefix; /* `path` ends in '/', the rest is sim_req_rest() */
    void (*handle)(void *app, struct sim_req *req);
};

/* An answer. The sender takes `body` over; `headers` is "Name: value\n" per header, or NULL. */
struct sim_answer {
    unsigned status;
    const char *type; /* content type, NULL = none */
    struct sim_buf body;
    char *headers;
};
void sim_answer_free(struct sim_answer *a);

/* One request. It lives until its connection is done with it and no exchange works on it. */
struct sim_req {
    struct sim_server *server;
    struct MHD_Connection *connection; /* NULL once the client is gone and MHD has let go */
    const char *method;
    char *path; /* decoded, without the query */
    const struct sim_route *route;
    struct sim_buf body;
    bool body_too_big;
    enum { SIM_READING, SIM_HANDLED, SIM_REPLIED, SIM_ABORTED } state;
    bool held;  /* suspended in libmicrohttpd */
    bool gone;  /* the client left while held */
    bool whole; /* the queued answer is complete: counts as answered when sent */
    struct sim_req *held_next, *held_prev;
    struct sim_timer drip;   /* next piece of a slow answer */
    struct sim_stats *stats; /* set by sim_req_count */
    struct sim_exchange *exchange;
};

/* The routes must outlive the server; `app` is handed to the handlers. Ends the program when it cannot
 * listen. Prints "listening ADDRESS:PORT" to stdout. */
struct sim_server *sim_server_start(const struct sim_options *o, const struct sim_route *routes, void *app);
/* Serves until SIGTERM or SIGINT. */
void sim_server_run(struct sim_server *s);
/* Drops what is held, lets the last answers leave, frees. Exchanges must have been dropped before. */
void sim_server_stop(struct sim_server *s);
struct sim_timers *sim_server_timers(struct sim_server *s);

const char *sim_req_rest(const struct sim_req *req);                       /* path after a prefix route */
const char *sim_req_header(const struct sim_req *req, const char *name);   /* NULL when absent or gone */
const char *sim_req_query(const struct sim_req *req, const char *name);    /* likewise */
void sim_req_headers_json(const struct sim_req *req, struct sim_buf *out); /* {"lower-case name": value} */
void sim_req_count(struct sim_req *req, struct sim_stats *stats);          /* once per request */

/* Suspends the request (no-op when it is held or its client is gone). sim_send, sim_abort resume it. */
void sim_hold(struct sim_req *req);

/* How an answer goes out. CUT_*: Content-Length promises the whole body, half of it is sent. */
enum sim_way { SIM_PLAIN, SIM_CHUNKED, SIM_DRIP, SIM_CUT_CLOSE, SIM_CUT_RESET };
/* Sends `a` (taken over) whether held or not; once per request. `piece` bytes at a time for CHUNKED and
 * DRIP, `interval_ms` between two pieces of a DRIP. */
void sim_send(struct sim_req *req, struct sim_answer *a, enum sim_way way, size_t piece, int interval_ms);
/* Ends the connection without an answer: FIN, or RST when `reset`. */
void sim_abort(struct sim_req *req, bool reset);

/* Answers of the control interface. */
void sim_reply_json(struct sim_req *req, unsigned status, struct sim_buf *body); /* takes body over */
void sim_reply_error(struct sim_req *req, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void sim_reply_ok(struct sim_req *req); /* 200 {"ok":true} */
/* The request body as a JSON object; NULL after a 400 was sent. An empty body is {}. The caller frees. */
cJSON *sim_req_json(struct sim_req *req);
void sim_stats_json(struct sim_buf *out, const char *name, const struct sim_stats *s,
                    const char *more); /* "name":{…,more} */

#endif
