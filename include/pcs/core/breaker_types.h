/*
 * Circuit breaker: configuration, events and snapshot. The functions are in breaker.h.
 *
 * The yardstick is Resilience4j's CircuitBreaker; names in brackets are its options. It knows nothing of
 * HTTP: a caller reports success, failure or ignored, and how long the call took.
 */
#ifndef PCS_CORE_BREAKER_TYPES_H
#define PCS_CORE_BREAKER_TYPES_H

#include <stdbool.h>
#include <stdint.h>

enum breaker_state {
    BREAKER_CLOSED,
    BREAKER_OPEN,
    BREAKER_HALF_OPEN,
    BREAKER_DISABLED,     /* everything passes, nothing is recorded */
    BREAKER_METRICS_ONLY, /* everything passes, recorded as in CLOSED, never opens */
    BREAKER_FORCED_OPEN,  /* nothing passes until an operator says otherwise */
    BREAKER_STATE_COUNT
};

enum breaker_outcome { BREAKER_SUCCESS, BREAKER_FAILURE, BREAKER_IGNORED, BREAKER_OUTCOME_COUNT };

enum breaker_window_type { BREAKER_WINDOW_COUNT, BREAKER_WINDOW_TIME };

/* Upper bounds, so that the memory of a breaker is known when it is made. */
#define BREAKER_MAX_COUNT_WINDOW      1000000
#define BREAKER_MAX_TIME_WINDOW       86400 /* seconds */
#define BREAKER_MAX_HALF_OPEN_PERMITS 65536
#define BREAKER_NAME_MAX              64
#define BREAKER_CAUSE_MAX             96
/* Waits are clamped to this (100 years) before they are turned into nanoseconds. */
#define BREAKER_WAIT_LIMIT_MS INT64_C(3153600000000)

struct breaker_config {
    enum breaker_window_type window_type; /* [slidingWindowType]; concerns CLOSED and METRICS_ONLY */
    int64_t window_size;                  /* [slidingWindowSize] calls, or whole seconds */
    int64_t minimum_calls;                /* [minimumNumberOfCalls]; a count window lowers it to its size */
    double failure_rate;                  /* [failureRateThreshold] %, 0 < x <= 100, trips at >= */
    double slow_call_rate;                /* [slowCallRateThreshold] %, likewise */
    int64_t slow_duration_ns;             /* [slowCallDurationThreshold] >= 1; slow = strictly longer */
    int64_t half_open_permits;            /* [permittedNumberOfCallsInHalfOpenState] a budget */
    int64_t wait_ms;                      /* [waitDurationInOpenState] >= 1, of attempt 1 */
    double wait_multiplier;               /* >= 1; each further attempt, truncated to ms; 1 = constant */
    int64_t wait_max_ms;                  /* longest wait, jitter included; 0 = no cap */
    double wait_jitter;                   /* 0..1: wait is drawn from wait*(1-j) .. wait*(1+j) */
    bool automatic_half_open;             /* [automaticTransitionFromOpenToHalfOpenEnabled] */
    int64_t half_open_max_ms;             /* [maxWaitDurationInHalfOpenState]; 0 = for ever */
    enum breaker_state half_open_max_to;  /* [transitionToStateAfterWaitDuration] OPEN or CLOSED */
    enum breaker_state initial_state;     /* [initialState]; ignored by breaker_reconfigure */
    int64_t consecutive_failures;         /* k in a row open a CLOSED breaker whatever the rates; 0 = off */
    bool early_verdict;                   /* HALF_OPEN ends as soon as its verdict is certain */
    int64_t lease_grace_ms;               /* permit lost = not back at its call's deadline + this; -1 = off */
    uint64_t (*mono_ns)(void *arg);       /* NULL = clock_mono_ns; called under the breaker's mutex */
    void *mono_arg;
    double (*random01)(void *arg); /* NULL = own generator; [0,1), for the jitter; under the mutex */
    void *random_arg;
};

enum breaker_event_type {
    BREAKER_EVENT_SUCCESS,
    BREAKER_EVENT_ERROR,
    BREAKER_EVENT_IGNORED_ERROR,
    BREAKER_EVENT_NOT_PERMITTED,
    BREAKER_EVENT_FAILURE_RATE_EXCEEDED,
    BREAKER_EVENT_SLOW_CALL_RATE_EXCEEDED,
    BREAKER_EVENT_STATE_TRANSITION,
    BREAKER_EVENT_RESET,
    BREAKER_EVENT_CONSECUTIVE_FAILURES_EXCEEDED, /* ours */
    BREAKER_EVENT_LATE,                          /* ours: outcome of an older epoch, nothing was changed */
    BREAKER_EVENT_COUNT
};

struct breaker_event {
    enum breaker_event_type type;
    uint64_t seq;                 /* 1, 2, …; threads may deliver out of order, this is the true order */
    uint64_t at_ns;               /* monotonic */
    const char *breaker;          /* its name */
    enum breaker_state from, to;  /* STATE_TRANSITION; otherwise both are the present state */
    enum breaker_outcome outcome; /* SUCCESS, ERROR, IGNORED_ERROR, LATE */
    uint64_t duration_ns;         /* likewise */
    float rate;                   /* the two rate events: % */
    uint64_t open_for_ns;         /* transition to OPEN, and NOT_PERMITTED: time left, 0 = not known */
    const char *reason;           /* STATE_TRANSITION: a word such as "failure_rate" or "operator" */
    const char *cause;            /* ERROR: as reported ("lost" for a lost permit), or NULL */
};

struct breaker_snapshot {
    char name[BREAKER_NAME_MAX];
    enum breaker_state state;
    float failure_rate, slow_call_rate; /* %, -1 below the minimum */
    /* Of the window shown: OPEN shows the one it tripped with. */
    uint64_t buffered, failed, successful, slow, slow_failed, slow_successful;
    uint64_t consecutive;   /* failures in a row since the last entry into a state */
    uint64_t not_permitted; /* rejections of this window; 0 on entering any state except OPEN */
    uint64_t open_for_ns;   /* OPEN: time left; otherwise 0 */
    uint64_t since_ns;      /* monotonic time of the last entry into a state */
    uint64_t epoch;
    uint32_t attempt; /* of the back-off */
    int64_t half_open_permits_left;
    /* Counters that never go down: */
    uint64_t calls[BREAKER_OUTCOME_COUNT];       /* as published in events (not in DISABLED) */
    uint64_t duration_ns[BREAKER_OUTCOME_COUNT]; /* their durations added up */
    uint64_t slow_calls[BREAKER_OUTCOME_COUNT];  /* of those, slower than the limit; ignored: always 0 */
    uint64_t rejected; /* without those of FORCED_OPEN, as Resilience4j exports them */
    uint64_t late;     /* outcomes of an older epoch, or of a permit already taken back */
    uint64_t lost;     /* permits taken back as failures */
    uint64_t transitions[BREAKER_STATE_COUNT]; /* into each state */
    char last_cause[BREAKER_CAUSE_MAX];        /* of the last recorded failure, "" if none */
    uint64_t last_cause_at_ns;
    char trip_cause[BREAKER_CAUSE_MAX]; /* last_cause when it last went to OPEN */
};

#endif
