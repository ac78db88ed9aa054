/* internal.h - the inside of the delivery: lanes, what a post came to, and the destination's state. */
#ifndef DELIVERY_INTERNAL_H
#define DELIVERY_INTERNAL_H

#include "delivery/pace.h"
#include "delivery/sign.h"
#include "pcs/core/breaker.h"
#include "pcs/delivery/delivery.h"

#include <stdatomic.h>
#include <sys/queue.h>
#include <uv.h>

#define LANE_BUCKETS   1024            /* of the table of lines under way */
#define LANES_PER_CALL 8               /* lanes for each call that may be under way: most are being stored */
#define PULL_PER_CALL  4               /* events fetched at once, likewise */
#define PULL_SPACE_NS  UINT64_C(50000) /* between two pulls, for each lane that the second reads again */
#define PULL_REST_NS                                                                                         \
    UINT64_C(10000000) /* ... and at least: a pull costs as much for one event as for fifty */
#define ANSWER_MAX   ((size_t)256 * 1024)      /* bytes of an answer's body; only the status matters */
#define ANSWER_KEPT  1024                      /* bytes of it in the ledger */
#define RETRY_MIN_NS (UINT64_C(100) * 1000000) /* back-off while the journal does not store */
#define RETRY_MAX_NS (UINT64_C(5000) * 1000000)
#define LOOK_NS      (UINT64_C(1000) * 1000000) /* a closed door is looked at again: operators move breakers */
#define SWEEP_NS     (UINT64_C(30000) * 1000000) /* between pulls that nobody asked for */
/* Pulls ask for everything that will ever be due: the first event that is not yet tells when to come again. */
#define LOOK_AHEAD_MS    (INT64_C(36500) * 24 * 3600 * 1000)
#define CAUGHT_UP_MS     2000 /* a backlog is gone when nothing in hand is older */
#define PUSH_BACK_ROUNDS 3    /* pauses in a row without a delivery: then it is down */

/* What a post came to. */
enum post_outcome {
    POST_DELIVERED,   /* 2xx */
    POST_DEAD,        /* 400, 410, 422: the event's own failure */
    POST_PUSHED_BACK, /* 429, or 503 with Retry-After: alive, but slower please */
    POST_STATUS,      /* any other status */
    POST_TIMEOUT,
    POST_TRANSPORT, /* broken off, garbage, an endless answer */
    POST_UNREACHED, /* nothing was sent: refused, no connection in time, DNS, TLS */
    POST_OUTCOMES
};

enum lane_state {
    LANE_READY,   /* pulled, waits for its turn */
    LANE_CALLING, /* the post is under way */
    LANE_STORING, /* the attempt is on its way into the ledger */
    LANE_RETRY,   /* the journal did not store it: will be handed in again */
    LANE_STATES
};

/* One line with an event in hand. As long as it exists no other event of the line is touched. */
struct lane {
    LIST_ENTRY(lane) in_bucket;
    TAILQ_ENTRY(lane) in_queue; /* READY: ready; RETRY: retry */
    struct delivery *d;
    enum lane_state state;

    int64_t seq, created_at;
    const char *event_id, *type, *request_id, *line, *body, *traceparent; /* in texts */
    size_t body_len;

    struct call *call;
    struct breaker_permit permit;
    uint64_t started_ns;
    struct journal_op op;
    char answer[ANSWER_KEPT + 1];
    char error[96];
    char texts[];
};

LIST_HEAD(lane_bucket, lane);
TAILQ_HEAD(lane_queue, lane);

struct delivery {
    /* --- given --- */
    struct reactor *reactor;
    struct call_client *client;
    struct journal *journal;
    struct delivery_config config; /* its texts are copied into the fields below and are not used */
    char *url;                     /* NULL: no destination, nothing is pulled */
    char *ca_file, *client_cert, *client_key;
    struct call_endpoint endpoint;
    struct signer *signer; /* NULL: unsigned */
    struct breaker *breaker;

    /* --- the destination --- */
    bool up;             /* as the breaker last said */
    atomic_bool up_seen; /* the same, for any thread */
    struct pace pace;
    unsigned push_backs; /* pauses since the last delivery */

    /* --- what is in hand --- */
    struct lane_bucket lanes[LANE_BUCKETS];
    struct lane_queue ready, retry;
    size_t count[LANE_STATES];

    /* --- the journal --- */
    bool want;       /* there may be events to pull */
    bool pulling;    /* pull is with the journal */
    bool due_wanted; /* the destination is back: everything is to be made due */
    bool due_asked;  /* due is with the journal */
    size_t pull_limit;
    struct journal_op pull, due;
    uint64_t pull_after_ns;
    int64_t next_due_ms;  /* wall clock: the next event that is not due yet; 0: none known */
    uint64_t sweep_at_ns; /* pulled even if nobody woke us */
    uint64_t retry_at_ns, retry_ns;

    enum { DELIVERY_RUNNING, DELIVERY_DRAINING, DELIVERY_STOPPING } life;
    uv_timer_t timer;
    uv_async_t wake;
    unsigned handles;

    /* delivery_events_wait() was called since the last pull. Any thread; apart from the bools above, of which GCC reads
     * several, and what lies between them, at once. */
    atomic_bool told;
};

extern struct metric_family delivery_metric_attempts, delivery_metric_lag, delivery_metric_up,
    delivery_metric_in_flight;

/* ---- delivery.c ---- */
/* Does whatever can be done now and arms the timer for the rest. Called after every event; never re-entered,
 * since neither call_start() nor journal_submit() calls back before it has returned. */
void delivery_drive(struct delivery *d);
/* The call of a lane has ended. */
void delivery_called(struct lane *lane, const struct call_result *result);
/* d->pull has been answered. */
void delivery_pulled(struct delivery *d);
/* An event that was not taken is due again at this time. */
void delivery_due_at(struct delivery *d, int64_t due_ms);

/* ---- lane.c ---- */
size_t lanes_in_hand(const struct delivery *d);
struct lane *lane_find(struct delivery *d, const char *line);
/* A lane in READY with a copy of the event. NULL: no memory. */
struct lane *lane_new(struct delivery *d, const struct journal_event *event);
/* Checks the transition, keeps queues and counts. The only writer of lane->state. */
void lane_set(struct lane *lane, enum lane_state to);
void lane_free(struct lane *lane);
void lanes_drop_ready(struct delivery *d);
/* Is everything in hand younger than CAUGHT_UP_MS? Then, if no more is due, the backlog is gone. */
bool lanes_caught_up(const struct delivery *d, int64_t now_ms);

/* ---- post.c ---- */
enum post_outcome post_judge(const struct call_result *result);
/* Signs and starts the call of a lane. False: no memory, nothing was started. */
__attribute__((warn_unused_result)) bool post_start(struct lane *lane);

/* ---- ledger.c: the journal's side ---- */
/* Stores the attempt that lane->op.attempt describes (its error and answer are the lane's). */
void ledger_store(struct lane *lane);
void ledger_retry(struct delivery *d);
void ledger_pull(struct delivery *d, size_t limit);
void ledger_due_now(struct delivery *d);

#endif
