/* kos_answer.h - what an answer of KOS's means: one place, as tables (CONTRACT.md 2).
 *
 * Pure: no I/O, no clock. Results live in the given arena. */
#ifndef PRODUCT_KOS_ANSWER_H
#define PRODUCT_KOS_ANSWER_H

#include "pcs/product/kos.h"
#include "product/kos_value.h"

#define KOS_BODY_MAX      ((size_t)256 * 1024)
#define KOS_LIST_BODY_MAX ((size_t)4 * 1024 * 1024)

/* What became of one call, for log, metrics and kos_integration_log. */
enum kos_outcome {
    KOS_CALL_OK,            /* 0000 */
    KOS_CALL_NEGATIVE,      /* a read answered 3xxx */
    KOS_CALL_REFUSED,       /* an order answered 2xxx */
    KOS_CALL_INVALID,       /* KOS's own validation refused our request: our bug */
    KOS_CALL_SYSTEM,        /* 9xxx, or a code that is none of the operation's */
    KOS_CALL_HTTP,          /* another HTTP status */
    KOS_CALL_UNREADABLE,    /* no JSON, too large, or without what was asked for */
    KOS_CALL_CONTRADICTORY, /* its parts disagree with each other or with our request */
    KOS_CALL_TIMEOUT,
    KOS_CALL_NOT_SENT,  /* nothing was written */
    KOS_CALL_LOST,      /* written, and the connection ended */
    KOS_CALL_ABANDONED, /* ended by ourselves: cancelled, shutting down, no memory */
    KOS_CALL_OPEN,      /* from here on no call was made: the breaker is open, */
    KOS_CALL_FULL,      /* the bulkhead is full, */
    KOS_CALL_LATE,      /* the deadline came in the queue */
    KOS_CALL_OUTCOMES
};
extern const char *const kos_outcome_names[KOS_CALL_OUTCOMES];

struct kos_verdict {
    enum kos_outcome outcome;
    enum breaker_outcome count;  /* what the breaker is told */
    bool retry;                  /* a read may be asked again at once */
    char code[KOS_CODE_MAX + 1]; /* KOS's own result code, "" when none */
    const char *reason;          /* static text */
};

struct kos_inquiry_answer {
    struct kos_verdict verdict;
    enum kos_read_answer answer;
    struct customer *customer; /* NULL for KOS_UNKNOWN_LINE and KOS_UNAVAILABLE */
    bool product_incomplete;   /* name NULL or fee PRODUCT_FEE_MISSING */
};
void kos_answer_inquiry(const struct call_result *result, const char *line, struct arena *arena,
                        struct kos_inquiry_answer *out);

struct kos_list_answer {
    struct kos_verdict verdict;
    enum kos_read_answer answer; /* KOS_READ_OK or KOS_UNAVAILABLE */
    struct catalogue *catalogue; /* one reference, the caller's; NULL unless KOS_READ_OK */
    size_t dropped;              /* products without a readable code or fee */
};
void kos_answer_list(const struct call_result *result, struct kos_list_answer *out);

struct kos_change_expected {
    const char *request_id, *line, *target_code;
};
struct kos_change_answer {
    struct kos_verdict verdict;
    enum kos_order_answer answer;
    const char *result_message, *new_product_code, *new_product_name, *kos_order_number, *effective_date;
};
void kos_answer_change(const struct call_result *result, const struct kos_change_expected *expected,
                       struct arena *arena, struct kos_change_answer *out);

#endif
