/* work.c - the work of each phase: starts the child, stores its result, drives the machine. Decides nothing.
 */
#include "change/machine.h"
#include "change/record_json.h"

#include "pcs/change/result.h"
#include "pcs/core/clock.h"
#include "pcs/core/failpoint.h"
#include "pcs/core/log.h"

#include <stdio.h>
#include <string.h>

/* About as many seconds; each may leave something behind in the change's bounded memory. */
#define EVENT_TRIES_MAX 30
#define HOLD_MS         12000 /* the line's claim between instances while a request is looked at */
#define ADMIT_AGAIN_MS  2000  /* how long an accepted change waits in the queue of orders at a time */

uint64_t change_after_ms(int64_t ms)
{
    return clock_mono_ns() + (uint64_t)(ms > 0 ? ms : 0) * NS_PER_MS;
}

struct kos_caller change_caller(const struct change *c)
{
    return (struct kos_caller){.correlation_id =
                                   c->rec.correlation_id ? c->rec.correlation_id : c->rec.request_id,
                               .traceparent = c->rec.traceparent,
                               .change_id = c->rec.request_id};
}

void change_keep_notes(struct change *c, const struct kos_call_note *notes, size_t count)
{
    for (size_t i = 0; i < count && c->note_count < CHANGE_NOTES_MAX; i++) {
        c->notes[c->note_count++] = notes[i];
    }
}

void change_tell_notes(struct change *c)
{
    tell_calls(c->svc, c->rec.request_id, c->notes, c->note_count, c->attempts);
    c->note_count = 0;
}

/* ---- HOLD ---- */

bool change_hold_asks(const struct change *c)
{
    return c->hold_call || c->idem_call;
}

static void hold_advance(struct change *c)
{
    if (!change_hold_asks(c)) {
        change_advance(c);
    }
}

static void on_hold(void *arg, enum redis_outcome outcome, const redisReply *reply)
{
    struct change *c = arg;
    c->hold_call = NULL;
    if (outcome != REDIS_REPLIED ||
        (reply->type != REDIS_REPLY_STATUS && reply->type != REDIS_REPLY_STRING)) {
        c->line_key = LINE_KEY_UNKNOWN;
        c->has_line_key = true; /* perhaps: what was late may have been done, and is given back like ours */
    } else if (reply->type == REDIS_REPLY_STATUS) {
        c->line_key = LINE_KEY_OURS;
        c->has_line_key = true;
    } else {
        char holder[UUID_LEN + 1];
        bool known = uuid_parse(reply->str, reply->len, holder);
        c->line_key = known ? LINE_KEY_FOREIGN : LINE_KEY_UNKNOWN; /* garbage guards nothing */
        if (known && !c->foreign_is_key) { /* the key's change, if there is one, goes first */
            memcpy(c->foreign_id, holder, sizeof holder);
        }
    }
    hold_advance(c);
}

static void on_idem(void *arg, enum redis_outcome outcome, const redisReply *reply)
{
    struct change *c = arg;
    c->idem_call = NULL;
    /* our own journal did not know the key (CLAIM), so whoever left it there is another instance */
    if (outcome == REDIS_REPLIED && reply->type == REDIS_REPLY_STRING &&
        uuid_parse(reply->str, reply->len, c->foreign_id)) {
        c->foreign_is_key = true;
    }
    hold_advance(c);
}

void change_hold_start(struct change *c)
{
    char key[KEY_MAX];
    redis_key_line(key, c->rec.line);
    c->hold_call = hold_take(c->svc->redis, key, c->rec.request_id, HOLD_MS, on_hold, c);
    if (c->rec.idem_key) {
        redis_key_idem(key, c->rec.idem_key);
        struct redis_arg args[] = {{"GET", 3}, {key, strlen(key)}};
        c->idem_call = redis_command(c->svc->redis, 0, on_idem, c, args, 2);
    }
}

/* ---- ELSEWHERE ---- */

/* The key's change, as its instance left it in Redis. */
static void on_foreign_key(void *arg, enum redis_outcome outcome, const redisReply *reply)
{
    struct change *c = arg;
    c->foreign_call = NULL;
    if (outcome == REDIS_REPLIED && reply->type == REDIS_REPLY_STRING &&
        (!record_decode(reply->str, reply->len, &c->arena, &c->foreign) ||
         strcmp(c->foreign.request_id, c->foreign_id) != 0)) {
        c->foreign.request_id = NULL;
    }
    change_advance(c);
}

/* The line's holder, wherever it is known: it may be a change of ours that ended just before a crash. */
static void on_foreign_line(void *arg, enum change_found found, const struct change_record *record)
{
    struct change *c = arg;
    (void)found;
    c->foreign_lookup = NULL;
    if (record && !record_copy(&c->foreign, record, &c->arena)) {
        c->foreign.request_id = NULL;
    }
    change_advance(c);
}

bool change_foreign_start(struct change *c)
{
    char key[KEY_MAX];
    if (!c->foreign_is_key) {
        c->foreign_lookup = change_look_up(c->svc, c->foreign_id, on_foreign_line, c);
        return c->foreign_lookup != NULL;
    }
    redis_key_request(key, c->foreign_id);
    struct redis_arg args[] = {{"GET", 3}, {key, strlen(key)}};
    c->foreign_call = redis_command(c->svc->redis, 0, on_foreign_key, c, args, 2);
    return c->foreign_call != NULL;
}

void change_clear_stale_hold(struct change *c)
{
    char key[KEY_MAX];
    redis_key_line(key, c->rec.line);
    hold_release(c->svc->redis, key, c->foreign_id);
    FAILPOINT("change.stale_hold_cleared");
    c->foreign_id[0] = '\0';
    c->hold_cleared = true;
}

/* ---- LOAD ---- */

static const char *keep(struct arena *arena, const char *text)
{
    return text ? arena_strdup(arena, text) : NULL;
}

/* Where a load puts what it finds: not over the facts that the record still shows. */
static struct arena *loading(struct change *c)
{
    return &c->facts[1 - c->facts_now];
}

/* What the pre-check compares. Without memory for one of them it must not run: an unknown operator matches any. */
static bool keep_customer(struct change *c, const struct customer *given)
{
    struct arena *arena = loading(c);
    c->customer = *given;
    c->customer.line = c->rec.line;
    c->customer.operator_code = keep(arena, given->operator_code);
    c->customer.product.code = c->loaded_code = keep(arena, given->product.code);
    c->customer.product.name = keep(arena, given->product.name);
    return !given->operator_code == !c->customer.operator_code && !given->product.code == !c->loaded_code;
}

static void on_customer(void *arg, const struct store_customer *result)
{
    struct change *c = arg;
    c->customer_load = NULL;
    c->customer_answer = result->answer;
    c->retry_after_ns = result->retry_after_ns;
    c->load_reason = keep(loading(c), result->reason);
    c->load_lost = !keep_customer(c, &result->customer);
    if (!c->rec.customer_id || !*c->rec.customer_id) {
        c->rec.customer_id = keep(&c->arena, result->customer.customer_id);
    }
    c->rec.loaded_at = result->loaded_at;
    change_keep_notes(c, result->notes, result->note_count);
    if (result->answer != STORE_UNAVAILABLE && !result->cached) {
        outage_over(c->svc->shared, false);
    }
    change_advance(c);
}

static void on_catalogue(void *arg, const struct store_catalogue *result)
{
    struct change *c = arg;
    c->catalogue_load = NULL;
    c->catalogue_failed = result->answer != STORE_OK;
    if (c->catalogue_failed) {
        c->retry_after_ns = result->retry_after_ns;
        c->load_reason = keep(loading(c), result->reason);
    } else {
        c->catalogue = result->catalogue;
        c->catalogue->refs++;
    }
    change_advance(c);
}

bool change_load_start(struct change *c)
{
    const struct kos_config *kos = kos_settings(c->svc->kos);
    struct kos_caller caller = change_caller(c);
    uint64_t deadline = change_after_ms(kos->inquiry_deadline_ms);
    if (!c->durable && deadline > c->order_by_ns) {
        deadline = c->order_by_ns;
    }
    if (c->catalogue) {
        catalogue_unref(c->catalogue);
        c->catalogue = NULL;
    }
    c->catalogue_failed = false;
    arena_free(loading(c));
    arena_init(loading(c), NULL, 0, CHANGE_MEMORY_MAX);
    enum store_mode mode = c->on_cached ? STORE_SCREEN : STORE_ORDER;
    c->customer_load = store_customer(c->svc->store, c->rec.line, mode, &caller, deadline, on_customer, c);
    if (!c->customer_load) {
        return false;
    }
    c->catalogue_load = store_catalogue(c->svc->store, &caller, deadline, on_catalogue, c);
    if (!c->catalogue_load) {
        store_cancel(c->customer_load);
        c->customer_load = NULL;
        return false;
    }
    return true;
}

/* ---- CHECK ---- */

static const char *steal_text(struct change *c, struct buf *b)
{
    const char *text = buf_ok(b) && b->data ? arena_strndup(&c->facts[c->facts_now], b->data, b->len) : NULL;
    buf_free(b);
    return text;
}

void change_take_facts(struct change *c, const struct product *target)
{
    const struct kos_config *kos = kos_settings(c->svc->kos);
    struct change_record *r = &c->rec;
    struct buf b;
    c->facts_now = 1 - c->facts_now;
    c->checks = precheck_run(target, &c->customer, kos->default_operator);
    precheck_encode(&c->checks, c->check_codes, sizeof c->check_codes);
    r->check_codes = c->check_codes;
    r->validated_at = change_now_ms(c); /* the clock of sent_at: a story in order */
    r->current_name = c->customer.product.name;
    buf_init(&b, 4096);
    precheck_json(&b, NULL, &c->checks, false);
    r->validation_json = steal_text(c, &b);
    if (!precheck_passed(&c->checks)) {
        buf_init(&b, 1024);
        precheck_failure_text(&b, &c->checks, false);
        r->failure_reason = steal_text(c, &b);
    }
    if (target) {
        r->target_name = keep(&c->facts[c->facts_now], target->name);
        buf_init(&b, 16384);
        buf_json_open(&b, NULL, '{');
        product_json(&b, target);
        buf_json_close(&b, '}');
        r->changed_product_json = steal_text(c, &b);
    }
}

/* ---- ADMIT, REPEAT ---- */

static void on_admitted(void *arg, enum gate_answer result, struct gate_pass *pass, uint64_t wait_ns)
{
    static const char *const reasons[] = {[GATE_OPEN] = "admitted",
                                          [GATE_BREAKER] = "order breaker open",
                                          [GATE_FULL] = "order bulkhead full",
                                          [GATE_LATE] = "no order slot in time"};
    struct change *c = arg;
    c->pass_waiting = false;
    c->pass = result == GATE_OPEN ? pass : NULL;
    c->admit_reason = reasons[result];
    if (!c->pass) {
        c->retry_after_ns = wait_ns;
    }
    change_advance(c);
}

bool change_admit_start(struct change *c)
{
    const struct kos_config *kos = kos_settings(c->svc->kos);
    uint64_t queue_until = c->durable ? change_after_ms(ADMIT_AGAIN_MS) : c->order_by_ns;
    uint64_t call_until = queue_until + (uint64_t)kos->change_deadline_ms * NS_PER_MS;
    c->admit_reason = "no memory";
    c->pass = gate_enter(kos_gate(c->svc->kos, KOS_CHANGE), c->svc->reactor, queue_until, call_until,
                         on_admitted, c);
    c->pass_waiting = c->pass != NULL;
    return c->pass_waiting;
}

/* ---- ORDER ---- */

static void on_order(void *arg, const struct kos_order *order)
{
    struct change *c = arg;
    FAILPOINT("change.order_answered");
    c->request = NULL;
    c->order_under_way = false;
    c->order_answer = order->answer;
    c->kos_code = keep(&c->ordered, order->result_code);
    c->kos_message = keep(&c->ordered, order->result_message);
    c->outcome_reason = keep(&c->ordered, order->reason);
    if (order->kos_order_number) {
        c->rec.kos_order_number = keep(&c->ordered, order->kos_order_number);
    }
    if (order->note) {
        change_keep_notes(c, order->note, 1);
    }
    if (order->answer == KOS_APPLIED || order->answer == KOS_REFUSED) {
        outage_over(c->svc->shared, true);
    }
    change_advance(c);
}

bool change_order_start(struct change *c)
{
    struct kos_caller caller = change_caller(c);
    struct gate_pass *pass = c->pass;
    c->pass = NULL; /* the call gives it back */
    c->attempts++;
    arena_free(&c->ordered);
    arena_init(&c->ordered, NULL, 0, CHANGE_MEMORY_MAX);
    c->request = kos_change(c->svc->kos, pass, c->rec.line, c->rec.current_code, c->rec.target_code, &caller,
                            on_order, c);
    FAILPOINT("change.order_started");
    c->order_under_way = c->request != NULL;
    return c->order_under_way;
}

/* ---- around the journal ---- */

void change_opened(struct change *c)
{
    char key[KEY_MAX];
    change_note_held(c);
    bypass_add(c->rec.line, c->generation);
    redis_key_line(key, c->rec.line);
    (void)hold_renew(c->svc->redis, key, c->rec.request_id, HOLD_OPEN_MS, NULL, NULL);
    c->has_line_key = true; /* or taken now, if Redis was away when the request came: given back either way */
    tell_shared(c->svc, &c->rec, true);
    FAILPOINT("change.opened");
}

void change_note_held(struct change *c)
{
    if (c->rec.state == CHANGE_ACCEPTED && c->rec.held && !c->counted_held) {
        c->counted_held = true;
        metric_gauge_add(&change_held, 0, 1);
    }
}

bool change_make_event(struct change *c)
{
    enum delivery_type type = DELIVERY_FAILED;
    if (c->event.event_id) {
        return true; /* made when this outcome was first offered to the journal, which could not store it */
    }
    if (c->rec.state == CHANGE_COMPLETED) {
        type = DELIVERY_COMPLETED;
    } else if (c->rec.state == CHANGE_NOT_SENT) {
        type = DELIVERY_SYSTEM_UNAVAILABLE;
        if (!c->event_tries && !change_outage_first(c->svc, c->rec.line, true)) {
            return true;
        }
    }
    if (delivery_event(&c->event, type, &c->rec, &c->arena)) {
        return true;
    }
    c->event.event_id = NULL;
    if (++c->event_tries < EVENT_TRIES_MAX) {
        return false;
    }
    log_error("change.event_lost", log_str("requestId", c->rec.request_id), log_str("reason", "no memory"));
    return true;
}

void change_ended(struct change *c)
{
    const struct change_record *r = &c->rec;
    bypass_add(r->line, c->generation);
    change_count_result(r);
    log_info("change.ended", log_str("requestId", r->request_id), log_str("correlationId", r->correlation_id),
             log_line("line", r->line), log_str("state", change_state_name(r->state)),
             log_str("resultCode", result_code(r)), log_int("attempts", c->attempts),
             log_int("milliseconds", r->processed_at - r->requested_at),
             log_str("reason", c->outcome_reason));
    FAILPOINT("change.outcome_stored");
    change_tell_notes(c);
    tell_shared(c->svc, r, !change_frees_key(r->state, r->first_status));
    waiters_notify(c->svc->shared, r->request_id);
    FAILPOINT("change.ended");
}

enum phase change_settled_elsewhere(struct change *c)
{
    struct change_answer a = {.verdict = VERDICT_ACCEPTED,
                              .record = c->op.found.request_id ? &c->op.found : &c->rec,
                              .recorded = true,
                              .reason = "ended by somebody else"};
    change_answer_with(c, &a);
    if (c->op.found.request_id) {
        c->rec.state = c->op.found.state;
    }
    waiters_notify(c->svc->shared, c->rec.request_id);
    return PHASE_END;
}

/* ---- DROP ---- */

static void on_dropped_ahead(void *arg, bool acknowledged)
{
    (void)arg;
    FAILPOINT("change.dropped_ahead");
    (void)acknowledged; /* the one after the outcome is the one that is acknowledged to the journal */
}

void change_drop_ahead(struct change *c)
{
    (void)store_invalidate(c->svc->store, c->rec.line, on_dropped_ahead, NULL);
}

static void on_dropped(void *arg, bool acknowledged)
{
    struct change *c = arg;
    c->drop = NULL;
    c->dropped = acknowledged;
    FAILPOINT("change.dropped");
    if (c->phase == PHASE_DROP) {
        change_advance(c);
    }
}

void change_drop_start(struct change *c)
{
    if (!c->drop && !c->dropped) {
        c->drop = store_invalidate(c->svc->store, c->rec.line, on_dropped, c);
    }
}

void change_tell_dropped(struct change *c)
{
    if (c->dropped) {
        tell_invalidated(c->svc, c->rec.line, c->generation);
        bypass_remove(c->rec.line, c->generation);
    }
}
