/* delivery.h - MVNO AP is told: events from the journal, at least once, in order per line (CONTRACT.md 3).
 *
 * Runs on one reactor (the first), own thread only. Pulls due events, posts them with Standard Webhooks
 * headers and notes every attempt in the journal's ledger. Only 2xx is delivered; 410, 400 and 422 are the
 * event's own failure (a dead letter, the line goes on); everything else is the destination's: it is probed,
 * nothing is consumed, and all is due when it is back. The customer's answer never waits for any of it. */
#ifndef PCS_DELIVERY_DELIVERY_H
#define PCS_DELIVERY_DELIVERY_H

#include "pcs/call/call.h"
#include "pcs/core/breaker.h"
#include "pcs/core/config.h"
#include "pcs/core/metrics.h"
#include "pcs/journal/journal.h"

struct delivery;

struct delivery_config {
    const char *base_url;       /* "": events wait in the journal */
    const char *webhook_secret; /* as is, or base64 after "whsec_"; "": sent unsigned, warned */
    int64_t deadline_ms, connect_timeout_ms;
    int64_t concurrency; /* lines told at once */
    int64_t rate;        /* events a second when a backlog goes out */
    int64_t probe_ms;    /* at the most between probes of a destination that is down: 30 s */
    const char *ca_file, *client_cert, *client_key;
    int64_t breaker_wait_ms;     /* before the first probe; doubles up to probe_ms */
    int64_t breaker_consecutive; /* failures in a row that bring the destination down */
};
extern const struct config_section delivery_config_section;
extern struct metric_family *const delivery_metrics[];
extern const size_t delivery_metrics_count;

/* Own thread, as everything here that does not say otherwise. client and journal outlive it; config is copied.
 * The first pull is made from the loop; everything undelivered counts as due. Warns when events will go out
 * unsigned or the secret is short. NULL with a sentence in err: a secret that cannot be read, no memory. */
struct delivery *delivery_create(struct reactor *r, struct call_client *client, struct journal *journal,
                                 const struct delivery_config *config, char *err, size_t errlen);

/* Ending, in this order (main's phases): journal_on_pending(j, SINK_EVENTS, NULL, NULL), so that nobody wakes
 * us any more; delivery_drain(), and the loop until delivery_idle() or for as long as the shutdown allows;
 * delivery_stop(), and the loop until delivery_idle(); delivery_destroy(); only then journal_close() and
 * call_client_destroy(). */

/* Nothing new is sent; calls under way may end, and are noted. */
void delivery_drain(struct delivery *d);
/* Calls under way are cancelled and noted as such, not counted: they will be repeated with the same id (at
 * least once). What the journal does not store now is not tried again. Drains first if that was not done. */
void delivery_stop(struct delivery *d);
/* Nothing is under way any more: after drain no call and no attempt being stored, after stop nothing at all.
 * False while running. */
bool delivery_idle(const struct delivery *d);
/* Only when idle after delivery_stop(). Closes its handles; the memory is freed by the loop's next turn. */
void delivery_destroy(struct delivery *d);

/* Any thread, until its journal_on_pending() is undone: the journal has new events. They are pulled within a few
 * milliseconds; until then further calls cost nothing. */
void delivery_events_wait(struct delivery *d);
/* Any thread: looks at once at what has changed (its breaker, moved by an operator). */
void delivery_wake(struct delivery *d);
/* Any thread: is the destination answering (health)? True while unset. */
bool delivery_up(const struct delivery *d);
/* The destination's breaker, "mvno": for metrics, the console, and operators (FORCED_OPEN stops the sending,
 * within a second). Lives as long as d. */
struct breaker *delivery_breaker(struct delivery *d);

enum delivery_type { DELIVERY_COMPLETED, DELIVERY_FAILED, DELIVERY_SYSTEM_UNAVAILABLE };
/* Builds the event of a change that has ended: ids, type and body (exactly the contract's members), in arena;
 * request_id, line and traceparent point into change. resultCode is change->result_code, failureReason (not
 * with COMPLETED) change->failure_reason, occurredAt processed_at. event->seq and times of sending are the
 * journal's. Any thread. False: no memory. */
bool delivery_event(struct journal_event *event, enum delivery_type type, const struct change_record *change,
                    struct arena *arena);

#endif
