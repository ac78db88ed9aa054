/* change.h - a change of plan, from the request to the last event (UFR-PROD-030, UFR-PROD-040; DESIGN.md, "A
 * change").
 *
 * One service a reactor; a change lives on the reactor that took it. The caller hands in a request and gets
 * exactly one answer; the change may go on for long after that. What is shared between reactors is in
 * change_shared: who waits for which change, and which lines were told of the present outage. */
#ifndef PCS_CHANGE_CHANGE_H
#define PCS_CHANGE_CHANGE_H

#include "pcs/change/precheck.h"
#include "pcs/history/history.h"
#include "pcs/journal/journal.h"
#include "pcs/product/store.h"

struct change_service;
struct change_shared;
struct change;

/* What an asynchronous request gets while KOS is out: 503, or 202 PENDING and the order later. */
enum outage_mode { OUTAGE_REFUSE, OUTAGE_HOLD };

struct change_config {
    int64_t request_deadline_ms;            /* 9 s: a synchronous request is answered by then, always */
    int64_t settle_first_ms, settle_max_ms; /* back-off of the inquiries that settle a doubt: 1 s to 1 min */
    int64_t recover_at_once;                /* recovered changes worked on at the same time */
    int outage_mode;                        /* enum outage_mode */
    int64_t max_hold_ms;                    /* an accepted change that cannot be sent expires after this */
    int64_t release_rate;  /* held changes a second that are looked at again when KOS is back */
    int64_t outage_rows;   /* refusals being recorded at the same time (best effort) */
    int64_t shared_ttl_ms; /* req:{id} and idem:{hash} in Redis: 24 h */
};
extern const struct config_section change_config_section;
extern struct metric_family *const change_metrics[];
extern const size_t change_metrics_count;

/* ---- process-wide ---- */

/* history may be NULL (tests). Lives until all services are gone. NULL: no memory. */
struct change_shared *change_shared_new(struct journal *journal, struct history *history);
void change_shared_free(struct change_shared *s);
struct journal *change_journal(struct change_shared *s);
struct history *change_history(struct change_shared *s);

/* ---- a service ---- */

/* All pointers outlive the service. NULL with err. Own thread, as everything below. */
struct change_service *change_service_create(struct reactor *r, struct change_shared *shared,
                                             struct redis_link *redis, struct store *store, struct kos *kos,
                                             const struct change_config *config, char *err, size_t errlen);
/* Takes up every open change that the journal holds (at start, on one reactor): ready() is called once the
 * first page is in hand and the invalidations that Redis still owes are bypassed. */
void change_service_recover(struct change_service *svc, void (*ready)(void *arg, bool ok), void *arg);
/* Repeats invalidations that Redis has not acknowledged; called when Redis is back and when the journal says
 * so. */
void change_service_forward_invalidations(struct change_service *svc);
/* Renews the keys that hold the lines of open changes between instances, of all of them; called when Redis is back. Goes
 * on by itself from change_service_recover() on. */
void change_service_renew_lines(struct change_service *svc);
/* Shutdown: nothing new is sent. Synchronous requests that can still end, end; the rest stays in the journal.
 */
void change_service_drain(struct change_service *svc);
/* Changes that have an order under way or an outcome not yet on disk. */
size_t change_service_busy(const struct change_service *svc);
/* The process ends: every remaining change is let go as soon as the journal has answered it. */
void change_service_let_go(struct change_service *svc);
/* From then on: nothing may be begun any more, whatever it would be about. */
bool change_service_ending(const struct change_service *svc);
/* Nothing of the service is under way any more: it may be freed. */
bool change_service_idle(const struct change_service *svc);
void change_service_free(struct change_service *svc);

/* ---- asking for a change ---- */

struct change_request {
    const char *subject, *customer_id, *actor;
    const char *line, *current_code, *target_code; /* validated forms */
    const char *idempotency_key;                   /* NULL: none */
    const char *dates; /* the body's dates in one normal form, for the hash of the body; NULL: none */
    const char *correlation_id, *traceparent;
    bool async;    /* Prefer: respond-async */
    bool frontend; /* asked on /api/v1 */
};

enum change_verdict {
    VERDICT_COMPLETED,       /* 200: record */
    VERDICT_ACCEPTED,        /* 202: record (async, or in doubt when the time was up) */
    VERDICT_DENIED,          /* KOS refused: record */
    VERDICT_INVALID,         /* the pre-check failed: record, checks */
    VERDICT_LINE_NOT_FOUND,  /* 404 */
    VERDICT_NO_PRODUCT,      /* 409 CURRENT_PRODUCT_UNKNOWN */
    VERDICT_MISMATCH,        /* 409 CURRENT_PRODUCT_MISMATCH */
    VERDICT_SAME_PRODUCT,    /* 409 */
    VERDICT_IN_PROGRESS,     /* 409: record->request_id when recorded */
    VERDICT_KEY_REUSED,      /* 422 */
    VERDICT_KOS_UNAVAILABLE, /* 503: nothing was ordered */
    VERDICT_UNAVAILABLE      /* 503: journal not writable or overloaded */
};

struct change_answer {
    enum change_verdict verdict;
    const struct change_record *record; /* until the callback returns; NULL when the verdict names none */
    bool recorded;                      /* record's id may be told */
    const struct precheck *checks;      /* VERDICT_INVALID of this request; NULL for a replay */
    bool replayed;
    uint64_t retry_after_ns;
    const char *reason; /* for the log */
};
typedef void (*change_done)(void *arg, const struct change_answer *answer);

/* The carrier is out, and nothing that the journal or Redis knows could make the answer another one: done is called with
 * it (503, or SAME_PRODUCT), before this returns true. False: no callback; change_submit() it. The request must live
 * until this returns. */
bool change_refuse_at_once(struct change_service *svc, const struct change_request *request, change_done done,
                           void *arg);
/* Exactly one done, never before it returned. NULL: no memory, no callback. The request is copied. */
struct change *change_submit(struct change_service *svc, const struct change_request *request,
                             change_done done, void *arg);
/* The caller is gone: before the intent was handed to the journal nothing is ordered; after that everything
 * goes on. done still runs. */
void change_caller_gone(struct change *c);

/* ---- looking one up ---- */

enum change_found {
    FOUND_HERE,
    FOUND_ELSEWHERE,
    FOUND_NOT,
    FOUND_UNKNOWN /* could not be looked up now: 503 */
};
struct change_lookup;
typedef void (*change_looked_up)(void *arg, enum change_found found, const struct change_record *record);
/* This journal, then Redis, then PostgreSQL. Exactly one done, never before it returned, none after cancel.
 */
struct change_lookup *change_look_up(struct change_service *svc, const char *request_id,
                                     change_looked_up done, void *arg);
void change_look_up_cancel(struct change_lookup *l);

/* Called once when the change ends (on this reactor), or with false when the shutdown wakes all waiting
 * polls. */
struct change_watch;
struct change_watch *change_watch(struct change_service *svc, const char *request_id,
                                  void (*ended)(void *arg, bool), void *arg);
void change_watch_cancel(struct change_watch *w);

/* Cancels while the order has not been sent: one conditional update in the journal (JOURNAL_CANCEL). Exactly
 * one done: OK with the record as it is now, CONFLICT with the record, NOT_FOUND, FAILED. */
typedef void (*change_cancelled)(void *arg, enum journal_status status, const struct change_record *record);
bool change_cancel(struct change_service *svc, const struct change_record *record, const char *actor,
                   change_cancelled done, void *arg);

/* Is a change of this line open or being checked? (For the pre-check alone; takes nothing.) */
typedef void (*change_line_state)(void *arg, bool busy);
bool change_line_busy(struct change_service *svc, const char *line, change_line_state done, void *arg);

#endif
