/* refuse.c - the carrier is out: who asks for a change is told at once, without waiting for anybody.
 *
 * The order of the checks (CONTRACT.md 1) is that of the machine: Idempotency-Key, CHANGE_IN_PROGRESS, SAME_PRODUCT, the
 * breaker. The journal and Redis are asked for the first two only where their answer can make a difference: a request
 * with a key, a line that somebody has or may have, another instance, or a request that may be held goes through the
 * machine (machine.c), which claims before it looks. */
#include "change/machine.h"
#include "change/peers.h"

#include "pcs/core/clock.h"

#include <string.h>

bool kos_looks_out(struct change_service *svc, struct kos_outage *out)
{
    static const enum kos_operation needed[] = {KOS_INQUIRY, KOS_CHANGE};
    uint64_t wait = 0;
    bool some = false;
    *out = (struct kos_outage){0};
    for (size_t i = 0; i < 2; i++) {
        if (!gate_looks_open(kos_gate(svc->kos, needed[i]), &wait)) {
            some = true;
            out->orders |= needed[i] == KOS_CHANGE;
            out->left_ns = wait > out->left_ns ? wait : out->left_ns;
        }
    }
    return some;
}

bool outage_holds(const struct change_service *svc, bool async)
{
    return async && svc->config->outage_mode == OUTAGE_HOLD;
}

static bool first_of_line(struct change_service *svc, const struct change_request *in)
{
    return !in->idempotency_key && journal_line_free(svc->journal, in->line) && peers_none(svc->shared);
}

/* The row and the event of this line and outage, if they are not there yet. */
static void record_refusal(struct change_service *svc, const struct change_request *in, bool orders)
{
    char id[UUID_LEN + 1], hash[SHA256_HEX_LEN + 1];
    struct change_record rec = {.request_id = uuid_v7(id),
                                .line = in->line,
                                .subject = in->subject,
                                .customer_id = in->customer_id,
                                .actor = in->actor,
                                .correlation_id = in->correlation_id,
                                .traceparent = in->traceparent,
                                .frontend = in->frontend,
                                .current_code = in->current_code,
                                .target_code = in->target_code,
                                .requested_at = clock_wall_ms()};
    if (change_body_hash(hash, in)) {
        rec.body_hash = hash;
        tell_outage(svc, &rec, orders);
    }
}

bool change_refuse_at_once(struct change_service *svc, const struct change_request *in, change_done done,
                           void *arg)
{
    uint64_t start_ns = clock_mono_ns();
    struct kos_outage out;
    if (!kos_looks_out(svc, &out) || outage_holds(svc, in->async) || !first_of_line(svc, in)) {
        return false;
    }
    bool same = strcmp(in->current_code, in->target_code) == 0;
    struct change_answer a = {.verdict = same ? VERDICT_SAME_PRODUCT : VERDICT_KOS_UNAVAILABLE,
                              .retry_after_ns = same ? 0 : out.left_ns,
                              .reason = same ? "current and target are the same product" : "breaker open"};
    metric_observe_ns(&change_seconds, 0, clock_mono_ns() - start_ns);
    done(arg, &a);
    if (!same) {
        record_refusal(svc, in, out.orders);
    }
    return true;
}
