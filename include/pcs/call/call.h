/* call.h - outgoing HTTP: one curl multi a reactor, absolute deadlines, an exact account of what was sent.
 *
 * Own thread only (the reactor's). Each call ends in exactly one callback, never before call_start() has
 * returned; after call_cancel() there is none. The result's memory lives until the callback returns. */
#ifndef PCS_CALL_CALL_H
#define PCS_CALL_CALL_H

#include "pcs/core/reactor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call_client;
struct call;

/* How far it went: the question that decides between 503 and "in doubt" (CONTRACT.md 2). */
enum call_reach {
    CALL_NOT_SENT,   /* refused, connect time-out, DNS or TLS failure before a byte of the request was written
                      */
    CALL_MAYBE_SENT, /* written, at least in part, and no whole answer */
    CALL_ANSWERED    /* a whole HTTP answer */
};

enum call_error {
    CALL_OK,
    CALL_REFUSED,
    CALL_CONNECT_TIMEOUT,
    CALL_DNS,
    CALL_TLS,
    CALL_TIMEOUT,
    CALL_RESET,
    CALL_TOO_LARGE,
    CALL_PROTOCOL,
    CALL_NO_MEMORY,
    CALL_SHUTDOWN
};
const char *call_error_name(enum call_error e); /* "refused", "timeout", ... for logs and metrics */

struct call_endpoint {
    const char *ca_file;                  /* NULL: the system's */
    const char *client_cert, *client_key; /* NULL: none */
    bool insecure;                        /* no verification: the local stack only */
};

struct call_request {
    const char *method; /* "GET", "POST" */
    const char *url;
    const char *const *headers; /* "Name: value", NULL-terminated; copied */
    const char *body;           /* NULL: none; copied */
    size_t body_len;
    uint64_t deadline_ns; /* absolute, clock_mono_ns() */
    uint32_t connect_timeout_ms;
    size_t max_answer; /* bytes of body; more is CALL_TOO_LARGE, also when chunked */
    bool cut;          /* more is no failure: only so much of it is read, and the status is what matters */
    bool once; /* never written twice, whatever happens to the connection: an order (DESIGN.md, Failure) */
    const struct call_endpoint *endpoint; /* NULL: defaults; lives as long as the client */
};

struct call_result {
    enum call_reach reach;
    enum call_error error;
    int status;       /* 0 unless CALL_ANSWERED */
    const char *body; /* never NULL; not NUL-terminated beyond len */
    size_t len;
    const char *content_type; /* "" when absent */
    int64_t retry_after_s;    /* -1 when absent */
    uint64_t elapsed_ns;
    const char *reason; /* a sentence for the log */
};

typedef void (*call_done)(void *arg, const struct call_result *result);

/* max_connections: kept open, all hosts together. NULL with a sentence in err on failure. SIGPIPE has to be
 * ignored by the process. */
struct call_client *call_client_create(struct reactor *reactor, unsigned max_connections, char *err,
                                       size_t errlen);
/* A connection idle for longer is not used again; has to be below the upstream's own keep-alive time, since
 * an order that meets a connection just closed is in doubt. Default 20. */
void call_client_set_idle(struct call_client *c, unsigned seconds);
/* Ends what is left: its callbacks run with CALL_SHUTDOWN before this returns, none comes later. Closes the
 * handles, frees once they are closed, in the loop's next turns. */
void call_client_destroy(struct call_client *c);
unsigned call_client_in_flight(const struct call_client *c);

/* The request goes out at the end of this turn of the loop, on a new connection or on a kept one that has neither ended nor
 * said anything since its last answer. A deadline that has passed already ends the call
 * with CALL_TIMEOUT, not sent. NULL only without memory, or when the client is being destroyed: then there
 * will be no callback. */
struct call *call_start(struct call_client *c, const struct call_request *request, call_done done, void *arg);
/* Only before the callback; no callback after this. The connection is closed when an answer was under way. */
void call_cancel(struct call *call);

#endif
