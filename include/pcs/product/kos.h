/* kos.h - the carrier's order system: three operations, and what each of its answers means (CONTRACT.md 2).
 *
 * Own thread only (a reactor's). Exactly one callback a call, never before the call returned. */
#ifndef PCS_PRODUCT_KOS_H
#define PCS_PRODUCT_KOS_H

#include "pcs/call/call.h"
#include "pcs/call/gate.h"
#include "pcs/core/config.h"
#include "pcs/core/metrics.h"
#include "pcs/product/product.h"

struct kos; /* one a reactor */

enum kos_operation { KOS_INQUIRY, KOS_LIST, KOS_CHANGE, KOS_OPERATIONS };
extern const char *const kos_operation_names[KOS_OPERATIONS]; /* "inquiry", "list", "change" */

struct kos_config {
    const char *base_url; /* required */
    const char *default_operator;
    bool deduplicates;
    int64_t settle_horizon_ms;
    int64_t inquiry_deadline_ms, list_deadline_ms, change_deadline_ms, connect_timeout_ms;
    int64_t max_in_flight[KOS_OPERATIONS], max_queue[KOS_OPERATIONS];
    int64_t read_retries; /* extra attempts of a read within its deadline */
    /* breaker settings, shared by the three; slow = a share of the operation's deadline */
    int64_t breaker_window, breaker_minimum, breaker_half_open_permits, breaker_consecutive;
    double breaker_failure_rate, breaker_slow_rate, breaker_slow_share;
    int64_t breaker_wait_ms, breaker_wait_max_ms, breaker_half_open_max_ms;
    const char *ca_file, *client_cert, *client_key;
};
extern const struct config_section kos_config_section;
extern struct metric_family *const kos_metrics[];
extern const size_t kos_metrics_count;

/* The gates of the three operations: made once by main, shared by all reactors. False with err. */
struct kos_gates {
    struct gate gate[KOS_OPERATIONS];
    uint64_t refused_seen[KOS_OPERATIONS]; /* of kos_gates_collect() only: what the last scrape saw */
};
bool kos_gates_init(struct kos_gates *gates, const struct kos_config *config, char *err, size_t errlen);
void kos_gates_free(struct kos_gates *gates);
/* Takes over reloadable limits and thresholds. */
bool kos_gates_reload(struct kos_gates *gates, const struct kos_config *config, char *err, size_t errlen);

/* For health: false while a breaker is not through with an outage (open, or still probing), or an operation's last calls
 * all failed, which is known before its breaker has seen enough of them to open. Any thread. */
bool kos_gates_up(const struct kos_gates *gates);
/* For metrics_on_scrape(kos_gates_collect, gates): gauges and counters of the bulkheads. One thread
 * at a time, one that called metrics_thread_init(). */
void kos_gates_collect(void *gates);

/* config, gates and client have to outlive it. */
struct kos *kos_create(struct reactor *r, struct call_client *client, struct kos_gates *gates,
                       const struct kos_config *config, char *err, size_t errlen);
/* Ends what is under way: reads are told KOS_UNAVAILABLE, an order at KOS KOS_IN_DOUBT, before this returns.
 * Before call_client_destroy(). NULL is fine. */
void kos_destroy(struct kos *kos);
/* Takes over another snapshot of the settings (all but base_url and tls); the old one may go afterwards. */
void kos_reconfigure(struct kos *kos, const struct kos_config *config);
const struct kos_config *kos_settings(const struct kos *kos);
struct gate *kos_gate(struct kos *kos, enum kos_operation op);
/* How often the operation's breaker has closed: once more is the end of an outage. */
uint64_t kos_breaker_closings(struct kos *kos, enum kos_operation op);

/* Who asks: passed on as headers (X-Request-ID, traceparent) and, for inquiries, as requestId in the body. */
struct kos_caller {
    const char *correlation_id; /* never blank */
    const char *traceparent;
    const char *change_id; /* NULL outside a change: then correlation_id is the body's requestId */
};

/* --- reads: through their gate, with retries within the deadline --- */
enum kos_read_answer {
    KOS_READ_OK,
    KOS_UNKNOWN_LINE, /* 3001 */
    KOS_NOT_ACTIVE,   /* 3002, or 0000 with a line that is not active: what was given is in customer */
    KOS_NO_PRODUCT,   /* 3003, or 0000 without a current product */
    KOS_UNAVAILABLE   /* anything else: counted, and worth a Retry-After */
};

/* One raw answer, for kos_integration_log. */
struct kos_call_note {
    enum kos_operation operation;
    int attempt, http_status;
    char result_code[16];
    const char *outcome;       /* "ok", "refused", "timeout", ... static */
    const char *breaker_state; /* static */
    int64_t milliseconds, at;
};

struct kos_read {
    enum kos_read_answer answer;
    uint64_t retry_after_ns;         /* KOS_UNAVAILABLE: what the breaker says is left, or a guess */
    const struct customer *customer; /* inquiry; in the result's arena, until the callback returns */
    struct catalogue *catalogue;     /* list; the callee keeps its own reference with refs++ */
    bool product_incomplete;         /* inquiry: name NULL or monthly_fee -1, for the catalogue to complete */
    int64_t answered_at;             /* Unix ms */
    const struct kos_call_note *notes;
    size_t note_count;
    const char *reason; /* for the log */
};
struct kos_request;
/* deadline_ns: absolute, 0 = the operation's own; never later than that one. The caller's texts are copied.
 * NULL: no memory, no callback. */
typedef void (*kos_read_done)(void *arg, const struct kos_read *read);
struct kos_request *kos_inquiry(struct kos *kos, const char *line, const struct kos_caller *caller,
                                uint64_t deadline_ns, kos_read_done done, void *arg);
struct kos_request *kos_list(struct kos *kos, const struct kos_caller *caller, uint64_t deadline_ns,
                             kos_read_done done, void *arg);

/* --- the order: the pass is taken by the caller before the intent is durable --- */
enum kos_order_answer {
    KOS_APPLIED,  /* 0000, everything agrees */
    KOS_REFUSED,  /* 2xxx, or KOS's own validation (400 with 9001-9004) */
    KOS_NOT_SENT, /* nothing was written */
    KOS_IN_DOUBT  /* everything else */
};
struct kos_order {
    enum kos_order_answer answer;
    const char *result_code;    /* KOS's own; "" when none */
    const char *result_message; /* KOS's own words; NULL when none */
    const char *new_product_code, *new_product_name, *kos_order_number, *effective_date;
    const struct kos_call_note *note;
    const char *reason;
};
typedef void (*kos_order_done)(void *arg, const struct kos_order *order);
/* pass: from gate_enter() on the KOS_CHANGE gate; given back by this call when KOS has answered. Never
 * cancelled: an order is not abandoned (DESIGN.md, Failure). NULL only without memory: then the pass was
 * returned and nothing sent. */
struct kos_request *kos_change(struct kos *kos, struct gate_pass *pass, const char *line,
                               const char *current_code, const char *target_code,
                               const struct kos_caller *caller, kos_order_done done, void *arg);

/* Reads only: no callback after this. */
void kos_cancel(struct kos_request *request);

#endif
