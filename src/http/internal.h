/* internal.h - what the files of the http module share. */
#ifndef PCS_SRC_HTTP_INTERNAL_H
#define PCS_SRC_HTTP_INTERNAL_H

#include "pcs/http/http.h"

#include "http/guard.h"
#include "http/limits.h"
#include "http/router.h"

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

/* libmicrohttpd's memory of one connection: head, its index, and our answer's head */
#define POOL_SIZE         8192
#define REPLY_HEAD_ROOM   1024   /* of it, kept free for the head of our answer */
#define REQUEST_INLINE    2048   /* arena bytes inside a request: an ordinary one allocates nothing more */
#define REQUEST_ARENA_MAX 262144 /* arena bytes of one request, body included */
#define REQUEST_SPARES    256    /* idle request objects kept by a server */
#define ANSWER_FIRST      2048   /* bytes that an answer's body starts with */
#define ANSWER_KEPT       16384  /* bytes of it that an idle request object keeps */

/* Life of a request (drawn in request.c). */
enum request_phase { PHASE_LINE, PHASE_BODY, PHASE_RUN, PHASE_WAIT, PHASE_SENT, PHASE_COUNT };

/* What a connection is waiting for: each is a list in order of its deadlines (deadline.c). */
enum deadline { DEADLINE_NONE, DEADLINE_HEAD, DEADLINE_BODY, DEADLINE_IDLE, DEADLINE_WRITE, DEADLINE_COUNT };

enum reject_reason {
    REJECT_MALFORMED,
    REJECT_HEAD_TOO_LARGE,
    REJECT_NOT_FOUND,
    REJECT_METHOD,
    REJECT_GATE,
    REJECT_LENGTH,
    REJECT_TOO_LARGE,
    REJECT_MEDIA_TYPE,
    REJECT_OVERLOAD,
    REJECT_SLOW_HEAD,
    REJECT_SLOW_BODY,
    REJECT_SLOW_READER,
    REJECT_INCOMPLETE,
    REJECT_CONNECTIONS,
    REJECT_ADDRESS_CONNECTIONS,
    REJECT_ADDRESS_RATE,
    REJECT_IDLE,
};

/* One TCP connection; lives from libmicrohttpd's STARTED to its CLOSED notice. */
struct conn {
    struct http_server *server;
    struct request *request;  /* the one under way, owned */
    struct conn *prev, *next; /* in the list of its deadline */
    uint64_t deadline_ms;     /* loop time */
    enum deadline waiting_for;
    int fd;
    int lost_status;   /* of an answer that libmicrohttpd could not send */
    int page_status;   /* of a page of its own that it was kept from queueing (refuse.c) */
    bool queueing;     /* an answer of ours is being queued */
    bool served;       /* a request was answered on it */
    bool expired;      /* cut by a deadline */
    bool unread;       /* answered before its body: bytes may still come (linger.c) */
    bool peer_closed;  /* the client has closed its sending side (watch.c) */
    bool too_large;    /* its request line asks for more than the pool has */
    bool to_kick;      /* in server->kicks */
    bool gateway;      /* many customers come through it, or it is a Unix socket: no limits by address */
    bool holds, rated; /* counts among its address's connections; its requests are counted */
    bool crowded;      /* over the limit: only health is answered, then it ends */
    bool refused;      /* answered before it asked, and ending */
    unsigned char address[CIDR_BYTES];
    struct conn *kick_prev, *kick_next;
};

struct request {
    struct http_request pub;     /* first: the public face is the object */
    struct request *prev, *next; /* all requests of the server; next also links the spare ones */
    struct conn *conn;           /* NULL: an orphan (hover.c) */
    struct MHD_Connection *mhd;
    struct MHD_Response *response;  /* the answer, until it is queued */
    const char *query;              /* raw, after '?'; NULL: none */
    const char *known[KNOWN_COUNT]; /* values in the connection's memory (or the arena, when joined) */
    size_t uri_len, raw_uri;        /* raw_uri: the address where it stood, to compare with, never to read */
    size_t content_length;          /* valid when has_length; cut at SIZE_MAX */
    char *body;                     /* being filled; NULL: what comes is thrown away */
    size_t body_filled;
    size_t series;    /* metrics: index of the route, METRICS_UNMATCHED without one */
    unsigned allowed; /* 405: methods of the path */
    int status;       /* 0: not answered */
    enum request_phase phase;
    bool has_length, chunked;
    bool close;              /* the connection ends with this answer */
    bool lost;               /* the answer could not be queued: the connection is cut */
    bool counted;            /* in server->pending */
    bool watched;            /* on_gone is to be called */
    bool suspended;          /* PHASE_WAIT: not hovering (hover.c) */
    uint64_t hover_until_ms; /* loop time */
    struct request *next_orphan;
    char inline_memory[REQUEST_INLINE];
    char *answer; /* memory of the answer's body (http_body_open()), kept when the object is used again */
    size_t answer_cap;
};

struct deadline_list {
    struct conn *head, *tail;
};

struct http_server {
    struct reactor *reactor;
    const struct http_config *config;
    struct router router;
    http_gate gate;
    void *context;
    struct MHD_Daemon *daemon;
    struct reactor_hook hook;
    uv_poll_t events; /* libmicrohttpd's epoll set */
    uv_timer_t rerun; /* when libmicrohttpd asks to be run later */
    uv_poll_t gone;   /* the client watch's epoll set (watch.c) */
    uv_timer_t sweep; /* deadlines */
    int gone_fd;
    unsigned handles; /* open loop handles; the last close frees the server */
    struct deadline_list waiting[DEADLINE_COUNT];
    uint64_t wait_ms[DEADLINE_COUNT];
    struct request *live, *spares; /* every request object in use; idle ones, linked by next */
    size_t spare_count;
    size_t pending, shed_at;
    struct limits limits;
    size_t hovering;                              /* hover.c */
    size_t to_send;                               /* answers queued since the last run began */
    struct request *orphans;                      /* linked by next_orphan */
    struct conn *kicks;                           /* watch.c */
    struct linger_socket *lingers, **linger_tail; /* linger.c */
    size_t linger_count;
    size_t accepted;    /* connections so far */
    size_t series_base; /* metrics: index of routes[0] */
    uint64_t library_log_second;
    bool page_about_length; /* the last thing that libmicrohttpd logged was such a page of its own */
    unsigned library_log_count;
    uint64_t refused_second;
    unsigned refused_count; /* connections since that was last logged */
    bool need_run, quiesced, stopping;
    bool tls; /* customers speak TLS to it */
};

/* request.c */
struct request *request_create(struct conn *conn, struct MHD_Connection *mhd, const char *uri);
enum MHD_Result request_access(struct request *rq, const char *method, const char *version, const char *data,
                               size_t *size);
/* Ends and frees (or spares) the request; logs and counts it. delivered: libmicrohttpd saw no error. */
void request_finish(struct request *rq, bool delivered);
void request_enter(struct request *rq, enum request_phase phase);
void request_spares_free(struct http_server *s);

/* admit.c: everything between the head and the body (CONTRACT.md 1). Afterwards rq either has an answer or
 * may go on to its handler. True: the answer must go out now, before the body. */
bool request_admit(struct request *rq, const char *version);

/* negotiate.c */
bool negotiate_english(const char *accept_language);
bool negotiate_problem_json(const char *accept);
bool negotiate_json_body(const char *content_type);
bool negotiate_prefers(const char *prefer, const char *preference);

/* cors.c */
bool cors_is_preflight(const struct request *rq);
void cors_answer_preflight(struct request *rq);
void cors_add_headers(struct request *rq, struct MHD_Response *response);

/* reply.c: hands rq->response to the network now. */
void reply_queue(struct request *rq);

/* hover.c: a request begins to wait; libmicrohttpd asks again for its answer; it has one; its connection broke. */
void hover_begin(struct request *rq);
void hover_again(struct request *rq);
void hover_end(struct request *rq);
void hover_orphan(struct request *rq);
void hover_sweep_orphans(struct http_server *s);

/* refuse.c: called when a connection has ended, before its socket is closed. */
void refuse_silent_end(const struct conn *c);
/* Answers a connection before it has asked, and ends it. */
void refuse_now(struct conn *c, const struct http_problem *problem, const char *why);

/* deadline.c */
void deadline_set(struct conn *c, enum deadline what);
uint64_t deadline_period_ms(const struct http_server *s);
void deadline_sweep(uv_timer_t *timer);

/* watch.c */
int watch_open(struct http_server *s);
void watch_add(struct conn *c);
void watch_forget(struct conn *c);
void watch_cut(struct conn *c); /* soon it sees the end of its input */
void watch_kick(struct http_server *s);
void watch_events(uv_poll_t *poll, int status, int events);

/* linger.c: connections of which nothing more is wanted, in the epoll set of watch.c under a tagged pointer */
#define WATCH_LINGER ((uintptr_t)1)
struct linger_socket;
void linger_take(struct conn *c);
void linger_event(struct linger_socket *l);
void linger_sweep(struct http_server *s, uint64_t now_ms);

/* metrics.c */
#define METRICS_UNMATCHED SIZE_MAX
size_t metrics_series_base(const struct http_route *routes);
void metrics_request_done(const struct request *rq, uint64_t ns);
void metrics_rejected(enum reject_reason reason);
void metrics_connections(int64_t change);

/* read.c */
/* Writes the percent-decoded text and returns its length; SIZE_MAX on a bad escape or NUL. out: len + 1
 * bytes. */
size_t percent_decode(char *out, const char *text, size_t len, bool plus_is_space);

#endif
