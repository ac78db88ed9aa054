/* redis.h - one Redis connection a reactor; all requests' commands pipeline on it.
 *
 * Redis is a cache: down, slow or full of garbage, it never fails a request (CONTRACT.md 4). Every command
 * has its own deadline of tens of milliseconds; a breaker keeps a hung Redis from costing that much each
 * time. Own thread only. Exactly one callback a command, never before the call returned, none after
 * redis_cancel(). */
#ifndef PCS_REDIS_REDIS_H
#define PCS_REDIS_REDIS_H

#include "pcs/core/breaker.h"
#include "pcs/core/config.h"
#include "pcs/core/metrics.h"
#include "pcs/core/reactor.h"

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct redis_link;
struct redis_call;

enum redis_outcome {
    REDIS_REPLIED, /* reply is set; it may be an error reply (type REDIS_REPLY_ERROR) */
    REDIS_LATE,    /* the deadline came first: outcome unknown */
    REDIS_LOST,    /* the connection ended: outcome unknown */
    REDIS_SKIPPED  /* not sent: not connected, breaker open, or too many in flight */
};

typedef void (*redis_done)(void *arg, enum redis_outcome outcome, const redisReply *reply);

struct redis_config {
    const char *host;
    int64_t port;
    const char *password;
    int64_t database;
    int64_t deadline_ms; /* of one command */
    int64_t connect_timeout_ms;
    int64_t max_in_flight; /* commands of one link */
};
extern const struct config_section redis_config_section;
extern struct metric_family *const redis_metrics[];
extern const size_t redis_metrics_count;

/* breaker: shared by all links of the process; NULL: none. Late and lost commands are its failures, every
 * reply a success. Connects in the background, for ever, with back-off (50 ms .. 2 s, jittered); the host
 * name is resolved off the loop. The configuration is copied. SIGPIPE has to be ignored by the process. NULL
 * with a sentence in err. */
struct redis_link *redis_link_create(struct reactor *reactor, const struct redis_config *config,
                                     struct breaker *breaker, char *err, size_t errlen);
/* Callbacks that are due run before it returns (REDIS_LOST, or REDIS_SKIPPED); none comes later. Its handles
 * close and its memory is freed in the loop's next turns. */
void redis_link_destroy(struct redis_link *link);
/* AUTH and SELECT have been accepted and the connection stands. */
bool redis_link_up(const struct redis_link *link);
/* Called (own thread) each time the link becomes usable: the moment to repeat what could not be said. One
 * slot; up NULL: nobody. */
void redis_on_up(struct redis_link *link, void (*up)(void *arg), void *arg);

struct redis_arg {
    const char *data;
    size_t len;
};
/* One command, arguments as they are (never a format). It leaves with all others of this turn of the loop in
 * one write. timeout_ms 0: the configured deadline. args are copied. done may be NULL (fire and forget: the
 * handle must not be used then); reply lives until done returns. A command may have been carried out even if
 * it was LATE or LOST: it must be repeatable. SUBSCRIBE, MONITOR and the like must not be sent. NULL: no
 * memory, or the link is being destroyed; no callback. */
struct redis_call *redis_command(struct redis_link *link, uint32_t timeout_ms, redis_done done, void *arg,
                                 const struct redis_arg *args, size_t count);
/* Only before its callback. The command may be carried out all the same. */
void redis_cancel(struct redis_call *call);

#endif
