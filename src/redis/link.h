/* link.h - the inside of a Redis link: connection (link.c, adapter.c) and commands (command.c). */
#ifndef REDIS_LINK_H
#define REDIS_LINK_H

#include "pcs/core/buf.h"
#include "pcs/redis/redis.h"

#include <hiredis/async.h>
#include <sys/queue.h>

#define LINK_ADDRESSES_MAX 8
#define LINK_FREE_MAX      1024                       /* command objects kept for reuse */
#define LINK_OUT_MAX       ((size_t)16 * 1024 * 1024) /* bytes waiting to be written; more is REDIS_SKIPPED */
#define LINK_ANSWER_MAX    ((size_t)32 * 1024 * 1024) /* bytes of one reply; more is not Redis */
#define LINK_COMMAND_MAX   ((size_t)8 * 1024 * 1024)  /* bytes of one command */
#define LINK_DEAD_MIN_MS   1000
/* A server that takes no writes is left, but not sooner than this after connecting. */
#define LINK_REPLICA_MS 5000

enum link_state {
    LINK_WAITING,    /* back-off before the next attempt */
    LINK_RESOLVING,  /* the host name, off the loop */
    LINK_CONNECTING, /* TCP */
    LINK_GREETING,   /* AUTH and SELECT are on their way */
    LINK_UP,
    LINK_CLOSING /* redis_link_destroy() was called */
};

/* One TCP connection. Outlives its hiredis context until libuv has closed the poll handle. */
struct redis_conn {
    uv_poll_t poll;
    struct redis_link *link;
    redisAsyncContext *ac; /* NULL once hiredis has given it up */
    redisReplyObjectFunctions functions;
    const redisReplyObjectFunctions *plain; /* hiredis' own */
    redisReply answer; /* a string on its own, which nearly every answer is, and its text */
    char *answer_text;
    size_t answer_cap;
    unsigned greetings; /* answers to AUTH and SELECT that are missing */
    int events;         /* what the poll handle watches */
    bool appending;     /* a command is being added: written at the end of the turn */
};

enum call_state {
    CALL_SENT,    /* waits for its reply, the caller waits too */
    CALL_ORPHAN,  /* waits for its reply, the caller has been told */
    CALL_DEFERRED /* not sent or lost: the caller is told at the end of the turn */
};

struct redis_call {
    STAILQ_ENTRY(redis_call) next; /* in sent, deferred or spare */
    TAILQ_ENTRY(redis_call) soon;  /* in deadlines, while CALL_SENT */
    struct redis_link *link;
    redis_done done; /* NULL: nobody wants to know */
    void *arg;
    uint64_t sent_ns, deadline_ns;
    struct breaker_permit permit;
    enum call_state state;
    enum redis_outcome outcome; /* CALL_DEFERRED */
};

STAILQ_HEAD(call_list, redis_call);

struct redis_link {
    struct reactor *reactor;
    struct redis_config config; /* host and password are copies */
    struct breaker *breaker;
    void (*up)(void *arg);
    void *up_arg;

    enum link_state state;
    struct redis_conn *conn; /* CONNECTING, GREETING, UP */
    uv_timer_t life;         /* WAITING: the next attempt; CONNECTING, GREETING: the connect deadline */
    uv_timer_t deadline;     /* the earliest moment at which a command may be late or the link dead */
    uv_idle_t busy; /* active while something is due at the end of the turn: the loop must not sleep */
    unsigned busy_turns;
    struct link_hook {
        struct reactor_hook hook;
        struct redis_link *link;
    } hook;
    uv_getaddrinfo_t resolve;
    bool resolving;
    char addresses[LINK_ADDRESSES_MAX][64];
    unsigned address_count, address_next;
    bool numeric;          /* the host is an address */
    unsigned attempts;     /* since it was last up */
    char last_reason[160]; /* of the last failure: each is logged once */
    unsigned handles;      /* not closed yet: the two timers, the idle handle, connections */

    struct call_list sent;                           /* in the order of their replies */
    TAILQ_HEAD(deadline_list, redis_call) deadlines; /* earliest first */
    struct call_list deferred, spare;
    size_t in_flight, spare_count;
    uint64_t last_reply_ns, up_since_ns;
    uint64_t dead_ns;  /* no reply for so long while commands wait: the connection is dead */
    uint64_t armed_ns; /* when the deadline timer goes off, UINT64_MAX: not running */
    bool dirty;        /* commands are in the output buffer */
    unsigned flushes;  /* writes at the end of a turn, counted for the tests */
    struct buf scratch;
};

extern struct metric_family redis_metric_commands, redis_metric_up, redis_metric_seconds;

/* ---- link.c ---- */
/* Something is due at the end of this turn. */
void link_busy(struct redis_link *link);
/* Ends the connection, if there is one; commands on it are lost. reason: for the log. */
void link_break(struct redis_link *link, const char *reason);
/* From the adapter: the TCP connection stands; its context is gone; its memory is gone. */
void link_conn_connected(struct redis_conn *conn);
void link_conn_ended(struct redis_conn *conn, const char *reason);
void link_conn_closed(struct redis_link *link);

/* ---- adapter.c ---- */
/* Starts to connect; NULL with a sentence in reason. */
struct redis_conn *conn_open(struct redis_link *link, const char *address, char *reason, size_t len);
/* The next four only while conn->ac is set; it may be NULL afterwards. */
void conn_read(struct redis_conn *conn);
void conn_flush(struct redis_conn *conn);
/* link_conn_ended() follows: now, or when the reply callback that is running has returned. */
void conn_end(struct redis_conn *conn);
/* Appends a formatted command. True: fn will be called once. *broken: the connection has to be ended. */
bool conn_append(struct redis_conn *conn, const struct buf *command, redisCallbackFn *fn, void *arg,
                 bool *broken);
size_t conn_unwritten(const struct redis_conn *conn);

/* ---- command.c ---- */
void command_format(struct buf *out, const struct redis_arg *args, size_t count);
void command_on_deadline(uv_timer_t *timer);
/* Tells whoever waits in deferred. True when anybody was told. */
bool command_run_deferred(struct redis_link *link);
/* The link is being destroyed: everybody who still waits is told now. */
void command_tell_all(struct redis_link *link);
void command_free_all(struct redis_link *link);

#endif
