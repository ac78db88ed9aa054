/* life.c - how a change comes into memory and how it leaves it. */
#include "change/machine.h"

#include "pcs/core/clock.h"
#include "pcs/core/failpoint.h"
#include "pcs/core/log.h"

#include <stdlib.h>
#include <string.h>

#define ANSWER_MARGIN_MS 200 /* of the request's 9 s: for the answer's own way */
#define ORDER_MARGIN_MS  300 /* and for the commits around the order */

static void on_deadline(uv_timer_t *timer)
{
    struct change *c = timer->data;
    change_time_up(c);
    if (c->abandoned) {
        change_abandon(c);
    }
}

static struct change *change_new(struct change_service *svc)
{
    struct change *c = calloc(1, sizeof *c);
    if (!c) {
        return NULL;
    }
    c->svc = svc;
    c->started_ns = clock_mono_ns();
    c->started_ms = clock_wall_ms();
    arena_init(&c->arena, NULL, 0, CHANGE_MEMORY_MAX);
    arena_init(&c->facts[0], NULL, 0, CHANGE_MEMORY_MAX);
    arena_init(&c->facts[1], NULL, 0, CHANGE_MEMORY_MAX);
    arena_init(&c->ordered, NULL, 0, CHANGE_MEMORY_MAX);
    journal_op_init(&c->op, svc->journal, JOURNAL_CLAIM, &svc->reactor->inbox, change_on_journal, c);
    uv_timer_init(&svc->reactor->loop, &c->deadline);
    uv_timer_init(&svc->reactor->loop, &c->wait);
    c->deadline.data = c->wait.data = c;
    c->handles_open = 2;
    c->next = svc->changes;
    if (c->next) {
        c->next->prev = c;
    }
    svc->changes = c;
    svc->count++;
    return c;
}

static void free_memory(struct change *c)
{
    journal_op_clear(&c->op);
    if (c->catalogue) {
        catalogue_unref(c->catalogue);
    }
    arena_free(&c->arena);
    arena_free(&c->facts[0]);
    arena_free(&c->facts[1]);
    arena_free(&c->ordered);
    free(c);
}

/* One of the timers, or the release of the claim, is done with c. */
static void part_closed(struct change *c)
{
    if (--c->handles_open == 0) {
        free_memory(c);
    }
}

static void on_handle_closed(uv_handle_t *handle)
{
    part_closed(handle->data);
}

static void on_released(struct journal_op *op)
{
    struct change *c = op->arg;
    c->svc->tells--;
    part_closed(c);
}

/* In c's own memory: a claim that could not be given back for want of memory would close the line for a minute. */
static void release_claim(struct change *c)
{
    journal_op_clear(&c->op);
    journal_op_init(&c->op, c->svc->journal, JOURNAL_RELEASE, &c->svc->reactor->inbox, on_released, c);
    c->op.change = c->rec;
    if (journal_submit(&c->op)) {
        c->svc->tells++;
        c->handles_open++;
    }
}

/* One line for each child that may be under way (STYLE.md 2.1). The order is never among them: while it is
 * under way the change is not let go, except when the process ends, and then the journal has it. */
static void cancel_children(struct change *c)
{
    if (c->hold_call) {
        redis_cancel(c->hold_call);
        c->has_line_key = true; /* perhaps: Redis may do it all the same */
    }
    if (c->idem_call) {
        redis_cancel(c->idem_call);
    }
    if (c->foreign_call) {
        redis_cancel(c->foreign_call);
    }
    if (c->foreign_lookup) {
        change_look_up_cancel(c->foreign_lookup);
    }
    if (c->customer_load) {
        store_cancel(c->customer_load);
    }
    if (c->catalogue_load) {
        store_cancel(c->catalogue_load);
    }
    if (c->pass_waiting) {
        gate_cancel(c->pass);
    } else if (c->pass) {
        gate_return(c->pass);
    }
    if (c->request) {
        kos_cancel(c->request);
    }
    if (c->drop) {
        store_drop_cancel(c->drop);
    }
    c->hold_call = c->idem_call = c->foreign_call = NULL;
    c->foreign_lookup = NULL;
    c->customer_load = c->catalogue_load = NULL;
    c->pass = NULL;
    c->pass_waiting = false;
    c->request = NULL;
    c->drop = NULL;
}

void change_let_go(struct change *c)
{
    struct change_service *svc = c->svc;
    bool over = !c->durable || change_state_final(c->rec.state);
    cancel_children(c);
    if (c->durable) {
        change_tell_notes(c); /* what is left of the calls when the process ends */
    }
    if (c->claimed && !c->durable) {
        release_claim(c);
    }
    if (c->has_line_key && over) {
        char key[KEY_MAX];
        redis_key_line(key, c->rec.line);
        hold_release(svc->redis, key, c->rec.request_id);
    }
    if (c->owned) {
        owned_remove(svc->shared, c->rec.request_id);
    }
    if (c->recovered) {
        svc->recovered_active--;
    }
    if (c->counted_held) {
        metric_gauge_add(&change_held, 0, -1);
    }
    if (c->prev) {
        c->prev->next = c->next;
    } else {
        svc->changes = c->next;
    }
    if (c->next) {
        c->next->prev = c->prev;
    }
    svc->count--;
    c->phase = PHASE_END;
    uv_close((uv_handle_t *)&c->deadline, on_handle_closed);
    uv_close((uv_handle_t *)&c->wait, on_handle_closed);
    if (c->recovered) {
        change_service_recover_more(svc);
    }
}

static bool hash_into(struct arena *arena, const char **out, const struct id_part *parts, size_t count)
{
    char *hex = arena_alloc(arena, SHA256_HEX_LEN + 1);
    if (!hex || !sha256_parts(hex, parts, count)) {
        return false;
    }
    *out = hex;
    return true;
}

static struct id_part part(const char *text)
{
    return (struct id_part){text ? text : "", text ? strlen(text) : 0};
}

bool change_body_hash(char *out, const struct change_request *in)
{
    struct id_part body[] = {part(in->line), part(in->current_code), part(in->target_code), part(in->dates)};
    return sha256_parts(out, body, 4);
}

/* The record of a request as it came in; everything copied. */
static bool take_request(struct change *c, const struct change_request *in)
{
    struct change_record *r = &c->rec;
    char *id = arena_alloc(&c->arena, UUID_LEN + 1);
    char *body_hash = arena_alloc(&c->arena, SHA256_HEX_LEN + 1);
    struct id_part key[] = {part(in->subject), part(in->idempotency_key)};
    if (!id || !body_hash || !change_body_hash(body_hash, in) ||
        (in->idempotency_key && !hash_into(&c->arena, &r->idem_key, key, 2))) {
        return false;
    }
    r->body_hash = body_hash;
    struct change_record given = *r;
    given.request_id = uuid_v7(id);
    given.line = in->line;
    given.subject = in->subject;
    given.customer_id = in->customer_id;
    given.actor = in->actor;
    given.correlation_id = in->correlation_id;
    given.traceparent = in->traceparent;
    given.frontend = in->frontend;
    given.current_code = in->current_code;
    given.target_code = in->target_code;
    given.requested_at = clock_wall_ms();
    return record_copy(r, &given, &c->arena);
}

struct change *change_submit(struct change_service *svc, const struct change_request *request,
                             change_done done, void *arg)
{
    const struct kos_config *kos = kos_settings(svc->kos);
    int64_t total = svc->config->request_deadline_ms;
    struct change *c = change_new(svc);
    if (!c) {
        return NULL;
    }
    c->done = done;
    c->arg = arg;
    c->in.async = request->async;
    c->in.frontend = request->frontend;
    c->answer_by_ns = c->started_ns + (uint64_t)(total - ANSWER_MARGIN_MS) * NS_PER_MS;
    c->order_by_ns = c->answer_by_ns - (uint64_t)(kos->change_deadline_ms + ORDER_MARGIN_MS) * NS_PER_MS;
    if (!take_request(c, request)) {
        c->answered = true;
        change_let_go(c);
        return NULL;
    }
    uv_update_time(&svc->reactor->loop);
    uv_timer_start(&c->deadline, on_deadline, (uint64_t)(total - ANSWER_MARGIN_MS), 0);
    change_run(c, PHASE_CLAIM);
    return c;
}

void change_caller_gone(struct change *c)
{
    if (c->answered || c->durable || c->phase == PHASE_INTENT) {
        return; /* the intent is with the journal: everything goes on */
    }
    struct change_answer a = {.verdict = VERDICT_UNAVAILABLE, .reason = "the caller is gone"};
    change_answer_with(c, &a);
    change_abandon(c);
}

/* Its intent may have come to the disk too late (a disk that hangs), and its process have ended before it could take it
 * back. Who was told 202 has that in the row a moment later. Without it, and older than a request lives, its caller heard
 * nothing at all or "nothing was ordered", and that is kept: nothing is sent, or sent again. 503: found so before. */
static bool perhaps_refused(const struct change_service *svc, const struct change_record *r)
{
    int64_t age = clock_wall_ms() - r->requested_at;
    return r->first_status == 503 ||
           (!r->first_status && (age < 0 || age >= svc->config->request_deadline_ms - ANSWER_MARGIN_MS));
}

bool change_take_up(struct change_service *svc, const struct change_record *record)
{
    struct change *c;
    if (!owned_add(svc->shared, record->request_id, svc)) {
        return true; /* somebody in this process works on it */
    }
    if (!(c = change_new(svc)) || !record_copy(&c->rec, record, &c->arena)) {
        owned_remove(svc->shared, record->request_id);
        if (c) {
            c->answered = true;
            change_let_go(c);
        }
        return false;
    }
    c->owned = c->durable = c->answered = c->recovered = c->has_line_key = true;
    c->in.async = true;
    svc->recovered_active++;
    log_info("change.taken_up", log_str("requestId", c->rec.request_id), log_line("line", c->rec.line),
             log_str("state", change_state_name(c->rec.state)));
    c->refused = perhaps_refused(svc, &c->rec);
    if (c->refused) {
        c->rec.first_status = 503;
    } else if (!c->rec.first_status) {
        c->rec.first_status = 202;
        tell_answered(svc, c->rec.request_id, 202);
    }
    change_note_held(c);
    FAILPOINT("change.taken_up");
    if (c->rec.state == CHANGE_ACCEPTED) {
        change_run(c, c->rec.held || c->refused ? PHASE_RETRY : PHASE_LOAD);
    } else {
        c->attempts = 1; /* one order may be out: whatever comes next is a repeat */
        if (kos_settings(svc->kos)->deduplicates && !c->rec.on_operator_list) {
            c->rec.sent_at = c->started_ms; /* or a repeat of it, until a moment ago */
        }
        change_run(c, PHASE_DOUBT);
    }
    return true;
}
