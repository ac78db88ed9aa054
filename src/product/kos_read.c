/* kos_read.c - the two reads.
 *
 *   start -> QUEUED --gate open--> CALLING --answered, or failed for good--> told
 *              ^  |                   |
 *              |  +--refused--> told  +--failed, worth another try--> PAUSING --+
 *              +----------------------------------------------------------------+
 *
 * Another try is made only if the deadline leaves time for it, after a random pause, and within a budget:
 * each call that is sent earns a fifth of a try, so that retries never add more than 20 % to the load of a KOS in
 * trouble. A request that the gate refuses is no load, and earns nothing. */
#include "product/kos_internal.h"

#include "product/catalogue.h"

#include "pcs/core/log.h"

#include <string.h>

#define RETRY_EARNED   0.2
#define RETRY_SAVED    20.0 /* tries that a quiet time may save up */
#define PAUSE_MIN_MS   20
#define PAUSE_RANDOM   60
#define TRY_MIN_MS     100        /* with less time left than this, another try is not worth it */
#define RETRY_AFTER_NS NS_PER_SEC /* a guess, when the breaker does not say */

static void enter(struct kos_request *r, gate_done done);
static void on_gate(void *arg, enum gate_answer answer, struct gate_pass *pass, uint64_t wait_ns);

static uint64_t retry_after(struct kos_request *r)
{
    uint64_t wait = 0;
    return !gate_looks_open(kos_gate(r->kos, r->op), &wait) && wait ? wait : RETRY_AFTER_NS;
}

static void tell(struct kos_request *r, struct kos_read *read)
{
    read->answered_at = clock_wall_ms();
    read->notes = r->notes;
    read->note_count = r->note_count;
    if (read->answer == KOS_UNAVAILABLE && !read->retry_after_ns) {
        read->retry_after_ns = retry_after(r);
    }
    kos_enter_state(r, KOS_DONE);
    r->read_done(r->arg, read);
    kos_request_free(r);
}

static void tell_failed(struct kos_request *r, uint64_t retry_after_ns, const char *reason)
{
    struct kos_read read = {.answer = KOS_UNAVAILABLE, .retry_after_ns = retry_after_ns, .reason = reason};
    tell(r, &read);
}

/* ---- another try ---- */

static void on_pause_over(uv_timer_t *timer)
{
    struct kos_request *r = timer->data;
    kos_enter_state(r, KOS_QUEUED);
    enter(r, on_gate);
    if (!r->pass) {
        tell_failed(r, 0, "no memory");
    }
}

static bool try_again(struct kos_request *r, const struct kos_verdict *v)
{
    struct kos *k = r->kos;
    if (!v->retry || r->note_count > (size_t)k->config->read_retries || r->note_count >= KOS_ATTEMPTS_MAX ||
        k->retry_tokens < 1) {
        return false;
    }
    uint64_t pause_ms = PAUSE_MIN_MS + random_u64() % PAUSE_RANDOM;
    if (clock_mono_ns() + (pause_ms + TRY_MIN_MS) * NS_PER_MS > r->deadline_ns) {
        return false;
    }
    if (!r->timer_open) {
        uv_timer_init(&k->reactor->loop, &r->timer);
        r->timer.data = r;
        r->timer_open = true;
    }
    k->retry_tokens -= 1;
    kos_count_retry(r->op);
    kos_enter_state(r, KOS_PAUSING);
    uv_update_time(&k->reactor->loop);
    uv_timer_start(&r->timer, on_pause_over, pause_ms, 0);
    return true;
}

/* ---- answers ---- */

static void on_inquiry(void *arg, const struct call_result *result)
{
    struct kos_request *r = arg;
    struct kos_inquiry_answer a;
    kos_answer_inquiry(result, r->line, &r->arena, &a);
    kos_account(r, result, &a.verdict);
    if (try_again(r, &a.verdict)) {
        arena_free(&r->arena);
        return;
    }
    struct kos_read read = {.answer = a.answer,
                            .customer = a.customer,
                            .product_incomplete = a.product_incomplete,
                            .reason = a.verdict.reason};
    tell(r, &read);
}

static void on_list(void *arg, const struct call_result *result)
{
    struct kos_request *r = arg;
    struct kos_list_answer a;
    kos_answer_list(result, &a);
    kos_account(r, result, &a.verdict);
    if (try_again(r, &a.verdict)) {
        return;
    }
    if (a.catalogue && a.dropped) {
        log_warn("kos.products_dropped", log_int("count", a.dropped), log_int("kept", a.catalogue->count),
                 log_str("reason", "no readable code or fee"));
    }
    struct kos_read read = {.answer = a.answer, .catalogue = a.catalogue, .reason = a.verdict.reason};
    if (a.catalogue) {
        a.catalogue->filled_at = clock_wall_ms();
    }
    tell(r, &read);
    catalogue_unref(a.catalogue);
}

/* ---- the way in ---- */

static void enter(struct kos_request *r, gate_done done)
{
    r->pass = (r->ahead ? gate_enter_ahead : gate_enter)(kos_gate(r->kos, r->op), r->kos->reactor,
                                                         r->deadline_ns, r->deadline_ns, done, r);
}

static void earn_retry(struct kos *k)
{
    double earned = k->retry_tokens + RETRY_EARNED;
    k->retry_tokens = earned < RETRY_SAVED ? earned : RETRY_SAVED;
}

static void on_gate(void *arg, enum gate_answer answer, struct gate_pass *pass, uint64_t wait_ns)
{
    static const struct {
        enum kos_outcome outcome;
        const char *reason;
    } refusals[] = {
        [GATE_BREAKER] = {KOS_CALL_OPEN, "breaker open"},
        [GATE_FULL] = {KOS_CALL_FULL, "bulkhead full"},
        [GATE_LATE] = {KOS_CALL_LATE, "the deadline came in the queue"},
    };
    struct kos_request *r = arg;
    r->pass = pass;
    if (answer == GATE_OPEN && clock_mono_ns() >= r->deadline_ns) {
        gate_return(pass);
        r->pass = NULL;
        answer = GATE_LATE;
    }
    if (answer != GATE_OPEN) {
        kos_count_outcome(r->op, refusals[answer].outcome);
        tell_failed(r, wait_ns, refusals[answer].reason);
        return;
    }
    if (r->note_count == 0) {
        earn_retry(r->kos);
    }
    if (!kos_send(r, r->op == KOS_INQUIRY ? on_inquiry : on_list)) {
        gate_return(pass);
        r->pass = NULL;
        kos_count_outcome(r->op, KOS_CALL_ABANDONED);
        tell_failed(r, 0, "no memory");
    }
}

static struct kos_request *start(struct kos *k, enum kos_operation op, const char *line,
                                 const struct kos_caller *caller, uint64_t deadline_ns, kos_read_done done,
                                 void *arg)
{
    struct kos_request *r = kos_request_new(k, op, line, caller, arg);
    if (!r) {
        return NULL;
    }
    r->read_done = done;
    r->ahead = caller->change_id != NULL; /* an order needs it: reads, however many, do not starve orders */
    r->deadline_ns = clock_mono_ns() + (uint64_t)kos_deadline_ms(k->config, op) * NS_PER_MS;
    if (deadline_ns && deadline_ns < r->deadline_ns) {
        r->deadline_ns = deadline_ns;
    }
    if (op == KOS_INQUIRY) {
        buf_json_open(&r->body, NULL, '{');
        buf_json_str(&r->body, "lineNumber", line);
        buf_json_str(&r->body, "requestId", r->body_id);
        buf_json_close(&r->body, '}');
    }
    if (buf_ok(&r->body)) {
        enter(r, on_gate);
    }
    if (!r->pass) {
        kos_request_free(r);
        return NULL;
    }
    return r;
}

struct kos_request *kos_inquiry(struct kos *k, const char *line, const struct kos_caller *caller,
                                uint64_t deadline_ns, kos_read_done done, void *arg)
{
    return start(k, KOS_INQUIRY, line, caller, deadline_ns, done, arg);
}

struct kos_request *kos_list(struct kos *k, const struct kos_caller *caller, uint64_t deadline_ns,
                             kos_read_done done, void *arg)
{
    return start(k, KOS_LIST, NULL, caller, deadline_ns, done, arg);
}

/* ---- the way out ---- */

static void abandon(struct kos_request *r)
{
    if (r->state == KOS_QUEUED) {
        gate_cancel(r->pass);
    } else if (r->state == KOS_CALLING) {
        call_cancel(r->call);
        gate_leave(r->pass, BREAKER_IGNORED, clock_mono_ns() - r->attempt_ns, "abandoned");
        kos_count_outcome(r->op, KOS_CALL_ABANDONED);
    } else if (r->state == KOS_PAUSING) {
        uv_timer_stop(&r->timer);
    }
    r->pass = NULL;
    r->call = NULL;
}

void kos_cancel(struct kos_request *r)
{
    abandon(r);
    kos_request_free(r);
}

void kos_read_shutdown(struct kos_request *r)
{
    abandon(r);
    tell_failed(r, 0, "shutting down");
}
