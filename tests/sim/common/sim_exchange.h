/* Faults that are switched at run time over HTTP, and the exchange: one request of a simulated
 * operation on its way through delays, gates, its effect, and an answer that may be spoilt. */
#ifndef SIM_EXCHANGE_H
#define SIM_EXCHANGE_H

#include "sim_http.h"

#define SIM_FAULTS_MAX 128

enum sim_kind {
    SIM_DELAY,
    SIM_GATE,
    SIM_HANG,
    SIM_RESET,
    SIM_CLOSE,
    SIM_RESET_MID_BODY,
    SIM_TRUNCATED,
    SIM_GARBAGE,
    SIM_HTTP_STATUS,
    SIM_NOT_FOUND_HTML,
    SIM_SLOW_DRIP,
    SIM_IN_CHUNKS,
    SIM_BIG_BODY,
    SIM_RESULT_CODE, /* from here on: KOS only */
    SIM_APPLIED_NO_ANSWER,
    SIM_APPLIED_RESET,
    SIM_NULL_DATA,
    SIM_CONTRADICTION,
    SIM_WRONG_REQUEST_ID,
    SIM_KINDS
};

/* One switched-on fault. `after`: the effect of the operation takes place and the fault comes after it;
 * otherwise the fault comes first (a wait), or instead of the effect (everything that is no wait). */
struct sim_fault {
    unsigned id;
    enum sim_kind kind;
    char operation[16]; /* "*" = every one */
    char line[16];      /* "" = every one */
    double rate;
    int64_t remaining; /* -1 = unlimited */
    int delay_ms;
    int jitter_ms;
    bool after;
    unsigned status;
    char result_code[8];
    char variant[24];
    char *body; /* NULL = the kind's own */
    char *type;
    char *headers;
    size_t bytes;
    bool chunked;
    uint64_t hits;
    unsigned waiting; /* requests held by it now */
    unsigned references;
    struct sim_fault *next;
};

struct sim_faults {
    struct sim_server *server;
    const char *const *operations; /* NULL-terminated; what "operation" may name */
    enum sim_kind kinds;           /* kinds below this one are offered */
    struct sim_fault *first;
    unsigned last_id;
    unsigned count;
    struct sim_exchange *live; /* every exchange under way, oldest first */
    struct sim_exchange *live_last;
};

/* Computes the answer of an operation. `fault` is the one in force (NULL = none); with `apply` false the
 * operation must not change or read anything: only the failure that the fault describes is written. */
typedef void (*sim_effect_fn)(void *app, void *data, const struct sim_fault *fault, bool apply,
                              struct sim_answer *out);

/* Runs `req` as `operation` for `line` ("" = none). `data` is freed with free_data when the exchange is
 * over. The effect takes place even when the client leaves during a delay or a gate, as it would at a
 * real neighbour; a client that leaves during a hang takes the effect with it. */
void sim_exchange_start(struct sim_faults *f, struct sim_req *req, const char *operation, const char *line,
                        sim_effect_fn effect, void *app, void *data, void (*free_data)(void *));
/* For sim_http.c: the connection is gone; the exchange frees the request when its work is done. */
void sim_exchange_client_gone(struct sim_exchange *x);
/* For the exchange: it is over; frees the request if its connection is gone too. */
void sim_req_release(struct sim_req *req);

/* Removes all faults; with `drop` everything under way ends unanswered, too. */
void sim_faults_clear(struct sim_faults *f, bool drop);
/* Adds the fault that `spec` describes; NULL and a sentence in `error` when it is wrong. */
struct sim_fault *sim_fault_add(struct sim_faults *f, const cJSON *spec, char error[160]);
void sim_fault_release_ref(struct sim_fault *fault);

/* The control interface; `app` of these handlers is the struct sim_faults. */
void sim_faults_post(struct sim_faults *f, struct sim_req *req);    /* POST /_sim/faults */
void sim_faults_get(struct sim_faults *f, struct sim_req *req);     /* GET /_sim/faults */
void sim_faults_delete(struct sim_faults *f, struct sim_req *req);  /* DELETE /_sim/faults[?id=] */
void sim_faults_release(struct sim_faults *f, struct sim_req *req); /* POST /_sim/faults/release */
void sim_faults_held(struct sim_faults *f, struct sim_req *req);    /* GET /_sim/held */

/* One exchange; for sim_fault.c only. */
struct sim_exchange {
    struct sim_faults *faults;
    struct sim_req *req;
    sim_effect_fn effect;
    void *app;
    void *data;
    void (*free_data)(void *);
    char operation[16];
    char line[16];
    int64_t since_ms;
    unsigned stage;
    int delay_ms[2];           /* before, after the effect */
    struct sim_fault *gate;    /* referenced; NULL = none */
    struct sim_fault *fault;   /* referenced; NULL = none */
    struct sim_fault *held_by; /* gate or fault while it waits for a release */
    struct sim_answer answer;
    struct sim_timer timer;
    struct sim_exchange *next, *prev;
};
void sim_exchange_go_on(struct sim_exchange *x); /* released from its gate or hang */

#endif
