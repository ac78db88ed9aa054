/* client.h - the inside of the outgoing HTTP client: one curl multi and its calls. */
#ifndef CALL_CLIENT_H
#define CALL_CLIENT_H

#include "pcs/call/call.h"
#include "pcs/core/buf.h"

#include <curl/curl.h>
#include <sys/queue.h>

#define CALL_HEADERS_MAX    32                  /* of a request */
#define CALL_HEAD_MAX       ((size_t)16 * 1024) /* bytes of a request's header lines */
#define CALL_ANSWER_HEAD    ((size_t)64 * 1024) /* bytes of an answer's head */
#define CALL_FREE_MAX       256                 /* calls kept for reuse */
#define CALL_KEEP_BUFFER    ((size_t)64 * 1024) /* a larger answer buffer is not kept */
#define CALL_IDLE_S_DEFAULT 20
#define CALL_SOCKET_BUCKETS 64
#define CALL_URLS_MAX       8 /* kept in parts; a call to another one is parsed by curl */

enum call_state {
    CALL_SPARE,
    CALL_RUNNING,  /* in the multi */
    CALL_DEFERRED, /* never got there; the caller is told at the end of the turn */
    CALL_TELLING   /* the caller's callback is running */
};

struct call {
    TAILQ_ENTRY(call) link; /* in running, deferred or spare */
    struct call_client *client;
    CURL *easy;
    call_done done;
    void *arg;
    enum call_state state;
    enum call_error deferred_error;
    uint64_t started_ns;
    bool once;
    bool too_large, cut;
    bool no_http;      /* a status line of the answer is none */
    unsigned attempts; /* how often curl was about to write the request */
    bool body_read;    /* curl has fetched bytes of the body (once) */
    bool stirred;      /* not written: its old connection was not as quiet as it has to be */
    uint64_t deadline_ns;
    long connect_ms;
    size_t head_bytes; /* of the answer */
    bool head_ended;   /* its empty line has come */
    size_t body_at, body_len;
    struct buf body, head, answer; /* head: the request's header lines, each with its NUL */
    struct curl_slist headers[CALL_HEADERS_MAX];
    char error[CURL_ERROR_SIZE];
};

TAILQ_HEAD(call_list, call);
LIST_HEAD(socket_list, call_socket);

struct call_client {
    struct reactor *reactor;
    CURLM *multi;
    CURL *model; /* what is the same for all calls: each call's handle is a copy */
    struct call_url {
        char *text;
        CURLU *parts;
    } urls[CALL_URLS_MAX];
    unsigned url_count;
    uv_timer_t timer;
    uv_idle_t busy; /* active while something is due at the end of the turn: the loop must not sleep */
    unsigned busy_turns;
    struct client_hook {
        struct reactor_hook hook;
        struct call_client *client;
    } hook;
    struct socket_list sockets[CALL_SOCKET_BUCKETS]; /* connections, by descriptor */
    struct socket_list ports[CALL_SOCKET_BUCKETS];   /* the established ones, by local port */
    bool kick;                                       /* curl wants to be run at once */
    bool look;                                       /* curl has to look at all of its transfers */
    bool closing;
    unsigned handles; /* not closed yet */
    struct call_list running, deferred, spare;
    unsigned in_flight, spare_count;
};

/* ---- sockets.c: curl and libuv ---- */
bool sockets_attach(struct call_client *c);
/* The connections that this easy handle opens are ours to watch. */
bool sockets_own(struct call_client *c, CURL *easy);
/* A new connection between these ports is about to carry its first request. */
void sockets_established(struct call_client *c, int local_port, int peer_port);
/* An idle connection between these ports has ended, or says something that nobody has asked for. */
bool sockets_stirred(struct call_client *c, int local_port, int peer_port);
/* Lets curl do what is due and tells the callers whose calls have ended. */
void sockets_run_due(struct call_client *c);
/* The same for every transfer, due or not: dear, for rare occasions. */
void sockets_run_all(struct call_client *c);

/* ---- client.c ---- */
void client_busy(struct call_client *c);
void client_handle_closed(struct call_client *c);

/* ---- call.c ---- */
/* Tells the callers whose calls curl has ended. */
void call_drain(struct call_client *c);
/* Tells those whose calls never began. True when there were any. */
bool call_run_deferred(struct call_client *c);
/* The client is being destroyed: everybody is told now. */
void call_tell_all(struct call_client *c);
void call_free_spare(struct call_client *c);

/* ---- request.c ---- */
/* Makes the model of the client's calls. False: no memory. */
bool request_make_model(struct call_client *c);
void request_free_model(struct call_client *c);
/* Sets what differs from the model. CALL_OK, or why the call cannot be made. */
enum call_error request_set_up(struct call *call, const struct call_request *request, uint64_t now_ns);
/* The same request on a connection of its own: nothing of it has been written yet. False: too late. */
bool request_set_up_afresh(struct call *call, uint64_t now_ns);

/* ---- outcome.c ---- */
/* What code means: fills error, reach and reason. call->easy still has its information. */
void outcome_judge(struct call *call, CURLcode code, struct call_result *result);
/* How far a call that is being given up has gone. */
enum call_reach outcome_reach(const struct call *call);

#endif
