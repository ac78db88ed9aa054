/* common.h - what the endpoints share: problems, parameters, answers. */
#ifndef API_COMMON_H
#define API_COMMON_H

#include "pcs/api/api.h"
#include "pcs/change/result.h"

#define ANSWER_MAX 4194304

/* The domain's problems (CONTRACT.md 1, table), in problems.c. */
extern const struct http_problem problem_unauthorized, problem_forbidden, problem_line_not_found,
    problem_request_not_found, problem_validation_failed, problem_product_mismatch, problem_same_product,
    problem_change_in_progress, problem_product_unknown, problem_line_suspended, problem_change_denied,
    problem_not_cancellable, problem_key_reused, problem_kos_unavailable, problem_menu_failed,
    problem_screen_failed;

static inline struct api *api_of(const struct http_request *rq)
{
    return rq->context;
}
static inline const struct identity *caller_of(const struct http_request *rq)
{
    return rq->identity;
}
static inline struct kos_caller kos_caller_of(const struct http_request *rq)
{
    return (struct kos_caller){.correlation_id = rq->correlation_id, .traceparent = rq->traceparent};
}
struct result_view view_of(const struct http_request *rq);

/* Two wordings, of which the caller's language is taken. */
static inline const char *say(const struct http_request *rq, const char *ko, const char *en)
{
    return rq->english ? en : ko;
}

/* 400 that names one field. */
void fail_field(struct http_request *rq, const char *field, const char *ko, const char *en);
/* A problem with only a reason for the log. */
void fail_plain(struct http_request *rq, const struct http_problem *problem, const char *reason);
/* 503 and its Retry-After; ns 0: a second. */
void fail_unavailable(struct http_request *rq, const struct http_problem *problem, uint64_t retry_after_ns,
                      const char *reason);
int retry_after_seconds(uint64_t ns);

/* A parameter given at most once; false: answered with 400. *value NULL when absent. */
bool query_once(struct http_request *rq, const char *name, const char **value);
/* A whole number within bounds, or fallback when absent; false: answered. */
bool query_int(struct http_request *rq, const char *name, int64_t low, int64_t high, int64_t fallback,
               int64_t *out);
/* Which line this read acts on (CONTRACT.md 1, Identity); given: the text of the request, NULL when absent.
 * False: answered (400 or 403). The line is in the request's arena. */
bool line_for_read(struct http_request *rq, const char *given, const char **line);
/* The same from ?lineNumber=. */
bool line_from_query(struct http_request *rq, const char **line);

/* {"success":true,"data":{ ... }}: data_open starts it, data_send closes both braces and answers. stale
 * members and the Age header are added when age_s >= 0. */
void data_open(struct http_request *rq, struct buf *b);
void data_send(struct http_request *rq, struct buf *b, int status, int64_t age_s);

/* The caller's customer id, where the line is one of the token's own: an ADMIN's id is not the id of everybody's line.
 * NULL: not known. */
const char *own_customer_id(const struct http_request *rq, const char *line);
/* The ready-made members of a customer, in front the token's customerId when KOS gave none. */
void put_customer(struct http_request *rq, struct buf *b, const char *json, size_t len);

/* Answers that a customer's load ends in before there is anything to show; true: answered. screen: the
 * message of the read that failed. */
bool load_failed(struct http_request *rq, const struct store_customer *c, const struct http_problem *screen);

/* The Result of a change with status, headers and correlation. */
void send_result(struct http_request *rq, int status, const struct change_record *c, bool replayed,
                 bool async);
char *location_of(struct http_request *rq, const char *request_id);

/* --- the change request's body (body.c) --- */
struct change_body {
    char line[LINE_LEN + 1];
    const char *current, *target;
    const char *dates; /* one normal form, for the hash; in the arena */
};
/* False: answered with 400 and every bad field. */
bool body_read(struct http_request *rq, struct change_body *out);

/* --- handlers: one file each --- */
void handle_menu(struct http_request *rq);
void handle_customer(struct http_request *rq);
void handle_change_screen(struct http_request *rq);
void handle_available(struct http_request *rq);
void handle_validation(struct http_request *rq);
void handle_request_post(struct http_request *rq);
void handle_request_get(struct http_request *rq);
void handle_request_delete(struct http_request *rq);
void handle_history(struct http_request *rq);
void handle_health_live(struct http_request *rq);
void handle_health_ready(struct http_request *rq);
void handle_actuator_health(struct http_request *rq);
void handle_actuator_liveness(struct http_request *rq);
void handle_actuator_readiness(struct http_request *rq);
void handle_metrics(struct http_request *rq);
void handle_openapi(struct http_request *rq);
void handle_docs(struct http_request *rq);
void handle_docs_script(struct http_request *rq);
void handle_docs_style(struct http_request *rq);

#endif
