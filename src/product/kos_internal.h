/* kos_internal.h - one request to KOS, shared by reads and the order. */
#ifndef PRODUCT_KOS_INTERNAL_H
#define PRODUCT_KOS_INTERNAL_H

#include "pcs/core/clock.h"
#include "pcs/core/id.h"
#include "product/kos_answer.h"

#define KOS_ATTEMPTS_MAX 4 /* 1 + the most kos.read_retries allows */

extern const char *const kos_gate_names[KOS_OPERATIONS];

struct kos {
    struct reactor *reactor;
    struct call_client *client;
    struct kos_gates *gates;
    const struct kos_config *config;
    struct call_endpoint endpoint; /* its texts are copies: a reload may end the snapshot */
    char *tls[3];
    char *url[KOS_OPERATIONS];
    struct kos_request *requests; /* all that are not done */
    double retry_tokens;          /* see kos_read.c */
};

enum kos_state { KOS_QUEUED, KOS_CALLING, KOS_PAUSING, KOS_DONE };

struct kos_request {
    struct kos *kos;
    struct kos_request *next, **link; /* in kos->requests */
    enum kos_operation op;
    enum kos_state state;
    bool ahead;                       /* of other reads in the queue: it is for an order */
    uint64_t deadline_ns, attempt_ns; /* absolute; when the present attempt was handed to curl */
    struct gate_pass *pass;           /* KOS_QUEUED: waiting; KOS_CALLING: held */
    struct call *call;
    uv_timer_t timer; /* of a read's pause; closed before the memory goes if timer_open */
    bool timer_open;
    struct kos_call_note notes[KOS_ATTEMPTS_MAX];
    size_t note_count;
    char line[LINE_LEN + 1], target[PRODUCT_CODE_MAX + 1];
    char correlation_id[REQUEST_ID_MAX + 1], traceparent[TRACEPARENT_LEN + 1], body_id[REQUEST_ID_MAX + 1];
    struct buf body;
    struct arena arena; /* of the last answer */
    kos_read_done read_done;
    kos_order_done order_done;
    void *arg;
};

int64_t kos_deadline_ms(const struct kos_config *c, enum kos_operation op);

/* The only way to another state; asserts that the table in kos.c allows it. */
void kos_enter_state(struct kos_request *r, enum kos_state to);
/* A request in kos->requests, its texts copied. NULL: no memory. */
struct kos_request *kos_request_new(struct kos *kos, enum kos_operation op, const char *line,
                                    const struct kos_caller *caller, void *arg);
/* Out of the list and freed, once its timer is closed. */
void kos_request_free(struct kos_request *r);
/* Starts the call; the pass is held. False: no memory, nothing was sent. */
bool kos_send(struct kos_request *r, call_done done);
/* Note, log line and metrics of a call that has ended, and the pass given back. */
void kos_account(struct kos_request *r, const struct call_result *result, const struct kos_verdict *v);
/* Counts an attempt that made no call. */
void kos_count_outcome(enum kos_operation op, enum kos_outcome outcome);
void kos_count_retry(enum kos_operation op);
void kos_count_call(enum kos_operation op, enum kos_outcome outcome, uint64_t elapsed_ns);

/* kos_read.c, kos_order.c: ends what is under way when the module is taken down. */
void kos_read_shutdown(struct kos_request *r);
void kos_order_shutdown(struct kos_request *r);

#endif
