/* delivery.h - MVNO AP is told: events from the journal, at least once, in order per line (CONTRACT.md 3).
 *
 * Runs on one reactor (the first), own thread only. Pulls due events, posts them with Standard Webhooks
 * headers and notes every attempt in the journal's ledger. Only 2xx is delivered; 410, 400 and 422 are the
 * event's own failure (a dead letter, the line goes on); everything else is the destination's: it is probed,
 * nothing is consumed, and all is due when it is back. The customer's answer never waits for any of it. */
#ifndef PCS_DELIVERY_DELIVERY_H
#define PCS_DELIVERY_DELIVERY_H

#include "pcs/call/call.h"
#include "pcs/call/gate.h"
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
    int64_t breaker_wait_ms;
};
extern const struct config_section delivery_config_section;
extern struct metric_family *const delivery_metrics[];
extern const size_t delivery_metrics_count;

struct delivery *delivery_create(struct reactor *r, struct call_client *client, struct journal *journal,
                                 const struct delivery_config *config, char *err, size_t errlen);
/* Stops pulling; calls under way are noted as unknown (they will be repeated: at least once). */
void delivery_destroy(struct delivery *d);
/* Any thread: the journal has new events (journal_on_pending). */
void delivery_wake(struct delivery *d);
/* Any thread: is the destination answering (health)? True while unset. */
bool delivery_up(const struct delivery *d);

enum delivery_type { DELIVERY_COMPLETED, DELIVERY_FAILED, DELIVERY_SYSTEM_UNAVAILABLE };
/* Builds the event of a change that has ended: ids, type and body (exactly the contract's members), in arena.
 * event->seq and times of sending are the journal's. False: no memory. */
bool delivery_event(struct journal_event *event, enum delivery_type type, const struct change_record *change,
                    struct arena *arena);

#endif
