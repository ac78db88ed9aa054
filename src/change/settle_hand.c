/* settle_hand.c - an operator decides about a change in doubt.
 *
 *   GET ── is it in doubt? ──► ASIDE ── its machine, if there is one, lets go ──► OUTCOME ──► DROP ──► done
 *                               │                                                  │
 *                               └─ in the middle of an order:                     └─ not stored: taken up again
 *                                  again after a while, in the end BUSY
 *
 * and likewise for "ask KOS now": GET ──► its machine asks, or a new one takes it up and asks. */
#include "change/machine.h"
#include "pcs/change/operate.h"
#include "pcs/change/result.h"
#include "pcs/core/clock.h"
#include "pcs/core/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIES        25 /* its machine is in the middle of something: most are over in a moment */
#define TRY_AGAIN_MS 20
#define TAKE_UP_MS   20 /* not yet due when it is taken up, so that no back-off is put in its place */

_Static_assert(CHANGE_KEY_MAX == KEY_MAX, "one length of keys");

/* A question to the machine that has the change, on that machine's reactor, and its answer back. */
struct question {
    struct msg msg;
    struct change_service *owner;
    bool ask; /* ask KOS now; else: put it down */
    bool yes;
};

struct hand {
    struct question question; /* first */
    struct change_service *svc;
    struct journal_op op;
    struct arena arena;
    struct change_record record;
    struct journal_event event;
    char request_id[UUID_LEN + 1];
    bool check; /* have KOS asked; else settle */
    bool owned;
    int tries;
    uv_timer_t again;
    enum change_state outcome;
    const char *actor, *reason; /* in arena */
    change_hand_done done;
    void *arg;
};

static void on_closed(uv_handle_t *timer)
{
    free(timer->data);
}

static void hand_free(struct hand *h)
{
    if (h->owned) {
        owned_remove(h->svc->shared, h->request_id);
    }
    h->svc->tells--;
    journal_op_clear(&h->op);
    arena_free(&h->arena);
    uv_close((uv_handle_t *)&h->again, on_closed);
}

static void hand_end(struct hand *h, enum hand_answer answer, const struct change_record *record)
{
    h->done(h->arg, answer, record);
    hand_free(h);
}

/* ---- the machine's side ---- */

static void on_answered(struct msg *m);

static void on_question(struct msg *m)
{
    struct hand *h = (struct hand *)m;
    struct change *c = h->question.owner->changes;
    while (c && strcmp(c->rec.request_id ? c->rec.request_id : "", h->request_id) != 0) {
        c = c->next;
    }
    h->question.yes = c && (h->question.ask ? change_ask_now(c) : change_put_down(c));
    m->deliver = on_answered;
    mailbox_reply(&h->svc->reactor->inbox, m);
}

/* ---- the outcome ---- */

static void on_dropped(void *arg, bool acknowledged)
{
    struct hand *h = arg;
    if (acknowledged) {
        tell_invalidated(h->svc, h->record.line, h->op.generation);
        bypass_remove(h->record.line, h->op.generation);
    }
    hand_end(h, HAND_OK, &h->record);
}

static void settled(struct hand *h)
{
    const struct change_record *r = &h->record;
    char key[KEY_MAX];
    bypass_add(r->line, h->op.generation);
    change_count_result(r);
    if (r->doubt_since && r->processed_at > r->doubt_since) {
        metric_observe_ns(&change_settle_seconds, 0,
                          (uint64_t)(r->processed_at - r->doubt_since) * NS_PER_MS);
    }
    log_warn("change.settled_by_hand", log_str("requestId", r->request_id), log_line("line", r->line),
             log_str("state", change_state_name(r->state)), log_str("actor", h->actor),
             log_str("reason", h->reason));
    tell_shared(h->svc, r, true);
    redis_key_line(key, r->line);
    hold_release(h->svc->redis, key, r->request_id); /* the line is open again, here and elsewhere */
    waiters_notify(h->svc->shared, r->request_id);
    if (!store_invalidate(h->svc->store, r->line, on_dropped, h)) {
        hand_end(h, HAND_OK, r); /* the journal will have it repeated */
    }
}

/* The decision could not be stored: settling goes on as before. */
static void give_back(struct hand *h)
{
    owned_remove(h->svc->shared, h->request_id);
    h->owned = false;
    if (!h->svc->draining && !change_take_up(h->svc, &h->record)) {
        log_error("change.not_taken_up", log_str("requestId", h->request_id), log_str("reason", "no memory"));
    }
    hand_end(h, HAND_UNAVAILABLE, NULL);
}

static void on_outcome(struct journal_op *op)
{
    struct hand *h = op->arg;
    if (op->status == JOURNAL_OK) {
        h->record = op->change;
        settled(h);
    } else if (op->status == JOURNAL_CONFLICT) {
        hand_end(h, HAND_NOT_IN_DOUBT, &op->found);
    } else {
        give_back(h);
    }
}

static void store_outcome(struct hand *h)
{
    const struct change_record *r = &h->record;
    h->owned = owned_add(h->svc->shared, h->request_id, h->svc);
    if (!h->owned) {
        hand_end(h, HAND_BUSY, r);
        return;
    }
    struct change_record after = *r;
    after.state = h->outcome;
    after.in_doubt = after.on_operator_list = false;
    after.actor = arena_printf(&h->arena, "%s: %s", h->actor, h->reason);
    after.processed_at = clock_wall_ms();
    after.next_check_at = 0;
    after.first_status = r->first_status ? r->first_status : 202;
    result_finish(&after, NULL, NULL);
    enum delivery_type type = h->outcome == CHANGE_COMPLETED ? DELIVERY_COMPLETED : DELIVERY_FAILED;
    if (!after.actor || !delivery_event(&h->event, type, &after, &h->arena)) {
        give_back(h);
        return;
    }
    journal_op_clear(&h->op);
    journal_op_init(&h->op, h->svc->journal, JOURNAL_OUTCOME, &h->svc->reactor->inbox, on_outcome, h);
    h->op.change = after;
    h->op.event = &h->event;
    if (!journal_submit(&h->op)) {
        h->op.status = JOURNAL_FAILED;
        on_outcome(&h->op);
    }
}

/* ---- the way there ---- */

/* Nobody works on it: it is on the operator's list, or its turn in the recovery has not come. */
static void ask_anew(struct hand *h)
{
    struct change_record r = h->record;
    r.on_operator_list = false;
    r.next_check_at = clock_wall_ms() + TAKE_UP_MS;
    hand_end(h, change_take_up(h->svc, &r) ? HAND_OK : HAND_UNAVAILABLE, &r);
}

static void look_up(struct hand *h);

static void on_again(uv_timer_t *timer)
{
    look_up(timer->data);
}

static void on_answered(struct msg *m)
{
    struct hand *h = (struct hand *)m;
    if (!h->question.yes && ++h->tries < TRIES && !h->svc->draining) {
        uv_update_time(&h->svc->reactor->loop);
        uv_timer_start(&h->again, on_again, TRY_AGAIN_MS, 0);
    } else if (!h->question.yes) {
        hand_end(h, HAND_BUSY, &h->record);
    } else if (h->check) {
        hand_end(h, HAND_OK, &h->record);
    } else {
        store_outcome(h);
    }
}

static void on_found(struct journal_op *op)
{
    struct hand *h = op->arg;
    if (op->status != JOURNAL_OK) {
        hand_end(h, op->status == JOURNAL_NOT_FOUND ? HAND_NOT_FOUND : HAND_UNAVAILABLE, NULL);
        return;
    }
    if (op->found.state != CHANGE_SENDING || !op->found.in_doubt) {
        hand_end(h, HAND_NOT_IN_DOUBT, &op->found);
        return;
    }
    if (h->svc->draining || !record_copy(&h->record, &op->found, &h->arena)) {
        hand_end(h, HAND_UNAVAILABLE, NULL);
        return;
    }
    h->question.msg.deliver = on_question;
    h->question.ask = h->check;
    if (owned_post(h->svc->shared, h->request_id, &h->question.msg, &h->question.owner)) {
        return;
    }
    if (h->check) {
        ask_anew(h);
    } else {
        store_outcome(h);
    }
}

/* Again from the start: meanwhile it may have ended. */
static void look_up(struct hand *h)
{
    journal_op_clear(&h->op);
    journal_op_init(&h->op, h->svc->journal, JOURNAL_GET, &h->svc->reactor->inbox, on_found, h);
    h->op.change.request_id = h->request_id;
    if (!journal_submit(&h->op)) {
        hand_end(h, HAND_UNAVAILABLE, NULL);
    }
}

static struct hand *hand_new(struct change_service *svc, const char *request_id, change_hand_done done,
                             void *arg)
{
    struct hand *h = svc->draining ? NULL : calloc(1, sizeof *h);
    if (!h) {
        return NULL;
    }
    h->svc = svc;
    h->done = done;
    h->arg = arg;
    memcpy(h->request_id, request_id, UUID_LEN);
    arena_init(&h->arena, NULL, 0, CHANGE_MEMORY_MAX);
    uv_timer_init(&svc->reactor->loop, &h->again);
    h->again.data = h;
    journal_op_init(&h->op, svc->journal, JOURNAL_GET, &svc->reactor->inbox, on_found, h);
    h->op.change.request_id = h->request_id;
    svc->tells++;
    return h;
}

static bool hand_start(struct hand *h)
{
    if (!journal_submit(&h->op)) {
        hand_free(h);
        return false;
    }
    return true;
}

bool change_settle_by_hand(struct change_service *svc, const char *request_id, enum change_state outcome,
                           const char *actor, const char *reason, change_hand_done done, void *arg)
{
    struct hand *h = hand_new(svc, request_id, done, arg);
    if (!h) {
        return false;
    }
    h->outcome = outcome;
    h->actor = arena_strdup(&h->arena, actor);
    h->reason = arena_strdup(&h->arena, reason);
    if (!h->actor || !h->reason) {
        hand_free(h);
        return false;
    }
    return hand_start(h);
}

bool change_check_now(struct change_service *svc, const char *request_id, change_hand_done done, void *arg)
{
    struct hand *h = hand_new(svc, request_id, done, arg);
    if (!h) {
        return false;
    }
    h->check = true;
    return hand_start(h);
}

void change_key_request(char out[CHANGE_KEY_MAX], const char *request_id)
{
    redis_key_request(out, request_id);
}

void change_key_idem(char out[CHANGE_KEY_MAX], const char *idem_key)
{
    redis_key_idem(out, idem_key);
}

void change_key_line(char out[CHANGE_KEY_MAX], const char *line)
{
    redis_key_line(out, line);
}
