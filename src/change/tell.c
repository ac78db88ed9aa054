/* tell.c - operations whose answer nobody waits for: each is its own little object, freed when it is done. */
#include "change/record_json.h"
#include "change/service.h"
#include "pcs/change/result.h"
#include "pcs/core/clock.h"
#include "pcs/core/failpoint.h"
#include "pcs/core/log.h"
#include "pcs/core/text.h"

#include <stdlib.h>
#include <string.h>

#define SHARED_VALUE_MAX 65536
#define TELL_MEMORY      512 /* an id and what belongs to it: most need no more */

struct tell {
    struct journal_op op;
    struct arena arena;
    struct change_service *svc;
    bool outage;
    struct journal_event event;
    /* not cleared: */
    struct journal_call calls[CHANGE_NOTES_MAX];
    char memory[TELL_MEMORY];
};

static void tell_free(struct tell *t)
{
    t->svc->tells--;
    if (t->outage) {
        t->svc->outage_rows--;
    }
    journal_op_clear(&t->op);
    arena_free(&t->arena);
    free(t);
}

static void on_told(struct journal_op *op)
{
    struct tell *t = op->arg;
    if (op->status != JOURNAL_OK && op->status != JOURNAL_NOT_FOUND) {
        log_warn("journal.tell_failed", log_int("verb", op->verb),
                 log_str("status", journal_status_name(op->status)));
    }
    tell_free(t);
}

static struct tell *tell_new(struct change_service *svc, enum journal_verb verb)
{
    struct tell *t = malloc(sizeof *t);
    if (t) {
        memset(t, 0, offsetof(struct tell, calls));
        t->svc = svc;
        svc->tells++;
        arena_init(&t->arena, t->memory, sizeof t->memory, CHANGE_MEMORY_MAX);
        journal_op_init(&t->op, svc->journal, verb, &svc->reactor->inbox, on_told, t);
    }
    return t;
}

/* whole: everything that it says could be copied. False: it was not said. */
static bool tell_send(struct tell *t, bool whole)
{
    if (!whole) {
        log_warn("journal.tell_failed", log_int("verb", t->op.verb), log_str("status", "no memory"));
    }
    if (whole && journal_submit(&t->op)) {
        return true;
    }
    tell_free(t);
    return false;
}

void tell_answered(struct change_service *svc, const char *request_id, int status)
{
    struct tell *t = tell_new(svc, JOURNAL_ANSWERED);
    if (t) {
        t->op.change.request_id = arena_strdup(&t->arena, request_id);
        t->op.change.first_status = status;
        tell_send(t, t->op.change.request_id != NULL);
    }
}

void tell_calls(struct change_service *svc, const char *request_id, const struct kos_call_note *notes,
                size_t count, int64_t attempt)
{
    struct tell *t = count && count <= CHANGE_NOTES_MAX ? tell_new(svc, JOURNAL_CALLS) : NULL;
    if (!t) {
        return;
    }
    char *id = arena_strdup(&t->arena, request_id);
    bool whole = id != NULL;
    for (size_t i = 0; i < count; i++) {
        const struct kos_call_note *n = &notes[i];
        t->calls[i] = (struct journal_call){.request_id = id,
                                            .operation = kos_operation_names[n->operation],
                                            .result_code = arena_strdup(&t->arena, n->result_code),
                                            .outcome = n->outcome,
                                            .breaker_state = n->breaker_state,
                                            .attempt = n->operation == KOS_CHANGE ? attempt : n->attempt,
                                            .http_status = n->http_status,
                                            .milliseconds = n->milliseconds,
                                            .at = n->at};
        whole &= t->calls[i].result_code != NULL;
    }
    t->op.change.request_id = id;
    t->op.calls_in = t->calls;
    t->op.calls_in_count = count;
    tell_send(t, whole);
}

bool tell_invalidated(struct change_service *svc, const char *line, int64_t generation)
{
    struct tell *t = tell_new(svc, JOURNAL_INVALIDATED);
    if (!t) {
        return false;
    }
    t->op.line = arena_strdup(&t->arena, line);
    t->op.generation = generation;
    bool sent = tell_send(t, t->op.line != NULL);
    FAILPOINT("invalidation.told");
    return sent;
}

bool change_outage_first(struct change_service *svc, const char *line, bool orders)
{
    const struct outage_clock now = {.inquiries_closed = kos_breaker_closings(svc->kos, KOS_INQUIRY),
                                     .orders_closed = kos_breaker_closings(svc->kos, KOS_CHANGE),
                                     .now_ns = clock_mono_ns()};
    return outage_first(svc->shared, line, orders, &now);
}

void tell_outage(struct change_service *svc, const struct change_record *record, bool orders)
{
    if ((int64_t)svc->outage_rows >= svc->config->outage_rows ||
        !change_outage_first(svc, record->line, orders)) {
        return;
    }
    struct tell *t = tell_new(svc, JOURNAL_RECORD);
    if (!t) {
        return;
    }
    t->outage = true;
    svc->outage_rows++;
    struct change_record *c = &t->op.change;
    if (!record_copy(c, record, &t->arena)) {
        tell_free(t);
        return;
    }
    c->state = CHANGE_NOT_SENT;
    c->processed_at = clock_wall_ms();
    c->first_status = 503;
    result_finish(c, NULL, NULL);
    if (delivery_event(&t->event, DELIVERY_SYSTEM_UNAVAILABLE, c, &t->arena)) {
        t->op.event = &t->event;
    }
    FAILPOINT("change.outage");
    tell_send(t, true);
}

void redis_key_line(char out[KEY_MAX], const char *line)
{
    text_join(out, KEY_MAX, "pcs:line:", line);
}

void redis_key_request(char out[KEY_MAX], const char *request_id)
{
    text_join(out, KEY_MAX, "pcs:req:", request_id);
}

void redis_key_idem(char out[KEY_MAX], const char *idem_key)
{
    text_join(out, KEY_MAX, "pcs:idem:", idem_key);
}

static void set_for_a_day(struct change_service *svc, const char *key, const char *value, size_t len)
{
    char room[TEXT_I64_SIZE];
    const char *ttl = text_i64(room, svc->config->shared_ttl_ms);
    struct redis_arg args[] = {{"SET", 3}, {key, strlen(key)}, {value, len}, {"PX", 2}, {ttl, strlen(ttl)}};
    (void)redis_command(svc->redis, 0, NULL, NULL, args, 5);
}

void tell_shared(struct change_service *svc, const struct change_record *record, bool with_key)
{
    char key[KEY_MAX];
    struct buf value;
    FAILPOINT("shared.before");
    buf_init(&value, SHARED_VALUE_MAX);
    record_encode(&value, record);
    if (buf_ok(&value)) {
        redis_key_request(key, record->request_id);
        set_for_a_day(svc, key, value.data, value.len);
        FAILPOINT("shared.request_sent");
    }
    buf_free(&value);
    if (record->idem_key) {
        redis_key_idem(key, record->idem_key);
        if (with_key) {
            set_for_a_day(svc, key, record->request_id, UUID_LEN);
        } else {
            struct redis_arg args[] = {{"DEL", 3}, {key, strlen(key)}};
            (void)redis_command(svc->redis, 0, NULL, NULL, args, 2);
        }
        FAILPOINT("shared.key_sent");
    }
}

static bool copy_text(const char **text, struct arena *arena)
{
    if (*text) {
        *text = arena_strdup(arena, *text);
        return *text != NULL;
    }
    return true;
}

bool record_copy(struct change_record *out, const struct change_record *in, struct arena *arena)
{
    *out = *in;
    const char **texts[] = {
        &out->request_id,
        &out->line,
        &out->subject,
        &out->customer_id,
        &out->actor,
        &out->correlation_id,
        &out->traceparent,
        &out->idem_key,
        &out->body_hash,
        &out->current_code,
        &out->current_name,
        &out->target_code,
        &out->target_name,
        &out->result_code,
        &out->result_message,
        &out->failure_reason,
        &out->check_codes,
        &out->validation_json,
        &out->changed_product_json,
        &out->kos_order_number,
    };
    bool ok = true;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        ok = copy_text(texts[i], arena) && ok;
    }
    return ok;
}
