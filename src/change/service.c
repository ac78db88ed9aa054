/* service.c - a reactor's service: start, recovery, invalidations that Redis still owes, end. */
#include "change/machine.h"
#include "change/peers.h"

#include "pcs/core/clock.h"
#include "pcs/core/failpoint.h"
#include "pcs/core/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECOVERY_PAGE     500
#define INVALIDATION_PAGE 256
#define FORWARD_LATER_MS  500

/* Recovery: pages of the journal's open changes, oldest first, each worked on by an ordinary machine. */
struct recovery {
    struct journal_op op;
    char after[UUID_LEN + 1];
    bool in_flight, done, first_done;
    void (*ready)(void *arg, bool ok);
    void *arg;
};

struct change_service *change_service_create(struct reactor *r, struct change_shared *shared,
                                             struct redis_link *redis, struct store *store, struct kos *kos,
                                             const struct change_config *config, char *err, size_t errlen)
{
    struct change_service *svc = calloc(1, sizeof *svc);
    if (!svc) {
        snprintf(err, errlen, "change service: no memory");
        return NULL;
    }
    svc->reactor = r;
    svc->shared = shared;
    svc->journal = change_journal(shared);
    svc->redis = redis;
    svc->store = store;
    svc->kos = kos;
    svc->config = config;
    uv_timer_init(&r->loop, &svc->forward_later);
    uv_timer_init(&r->loop, &svc->peers_beat);
    svc->forward_later.data = svc->peers_beat.data = svc;
    renewal_init(svc);
    svc->handles_open = 3;
    peers_start(svc);
    return svc;
}

/* ---- recovery ---- */

static void recovery_end(struct change_service *svc)
{
    journal_op_clear(&svc->recovery->op);
    free(svc->recovery);
    svc->recovery = NULL;
}

static void recovery_ready(struct recovery *rec, bool ok)
{
    if (!rec->first_done) {
        rec->first_done = true;
        rec->ready(rec->arg, ok);
    }
}

static void on_forward_later(uv_timer_t *timer);

static void on_open_page(struct journal_op *op)
{
    struct change_service *svc = op->arg;
    struct recovery *rec = svc->recovery;
    FAILPOINT("recovery.listed");
    if (op->status != JOURNAL_OK) {
        rec->in_flight = false;
        log_error("recovery.failed", log_str("status", journal_status_name(op->status)));
        if (!svc->destroying) { /* not ready until the first page is in hand; none stays behind for ever */
            uv_timer_start(&svc->forward_later, on_forward_later, FORWARD_LATER_MS, 0);
            return;
        }
        recovery_ready(rec, false);
        recovery_end(svc);
        return;
    }
    size_t taken = 0;
    for (; taken < op->list_count && !svc->destroying; taken++) {
        if (!change_take_up(svc, &op->list[taken])) {
            log_error("recovery.no_memory", log_str("requestId", op->list[taken].request_id));
            break;
        }
        memcpy(rec->after, op->list[taken].request_id, UUID_LEN + 1);
    }
    bool all = taken == op->list_count;
    rec->done = all && op->list_count < RECOVERY_PAGE;
    rec->in_flight = false; /* not before: the list is the operation's */
    recovery_ready(rec, true);
    FAILPOINT("recovery.ready");
    if (rec->done) {
        recovery_end(svc);
    } else if (!all && !svc->destroying) { /* from that one on, when there is memory again */
        uv_timer_start(&svc->forward_later, on_forward_later, FORWARD_LATER_MS, 0);
    } else {
        change_service_recover_more(svc);
    }
}

void change_service_recover_more(struct change_service *svc)
{
    struct recovery *rec = svc->recovery;
    if (!rec || rec->in_flight || rec->done || svc->draining || svc->destroying ||
        (int64_t)svc->recovered_active >= svc->config->recover_at_once) {
        return;
    }
    journal_op_clear(&rec->op);
    journal_op_init(&rec->op, svc->journal, JOURNAL_LIST_OPEN, &svc->reactor->inbox, on_open_page, svc);
    rec->op.limit = RECOVERY_PAGE;
    rec->op.after_id = rec->after[0] ? rec->after : NULL;
    rec->in_flight = journal_submit(&rec->op);
    if (!rec->in_flight) { /* the queue is full: nobody else would ask again for the first page */
        uv_timer_start(&svc->forward_later, on_forward_later, FORWARD_LATER_MS, 0);
    }
}

void change_service_recover(struct change_service *svc, void (*ready)(void *arg, bool ok), void *arg)
{
    svc->recovery = calloc(1, sizeof *svc->recovery);
    if (!svc->recovery) {
        ready(arg, false);
        return;
    }
    svc->recovery->ready = ready;
    svc->recovery->arg = arg;
    journal_op_init(&svc->recovery->op, svc->journal, JOURNAL_LIST_OPEN, &svc->reactor->inbox, on_open_page,
                    svc);
    change_service_forward_invalidations(svc);
    change_service_recover_more(svc);
    change_service_renew_lines(svc);
}

/* ---- invalidations: the journal's third sink ---- */

struct forward {
    struct journal_op op;
    struct change_service *svc;
    size_t waiting;
    uint64_t added; /* bypass_added() before the list was asked for */
    bool failed;
};

struct forward_one {
    struct forward *forward;
    size_t index;
};

static void on_forward_later(uv_timer_t *timer)
{
    change_service_recover_more(timer->data);
    change_service_forward_invalidations(timer->data);
}

static void forward_end(struct forward *f)
{
    struct change_service *svc = f->svc;
    bool again = svc->forward_again && !f->failed && !svc->destroying;
    /* Redis, or its breaker, was not ready for all of them; or no line is believed until none is left */
    if ((f->failed || bypass_holds_all()) && !svc->destroying) {
        uv_timer_start(&svc->forward_later, on_forward_later, FORWARD_LATER_MS, 0);
    }
    svc->forwarding = svc->forward_again = false;
    svc->tells--;
    journal_op_clear(&f->op);
    free(f);
    if (again) {
        change_service_forward_invalidations(svc);
    }
}

static void on_forwarded(void *arg, bool acknowledged)
{
    struct forward_one *one = arg;
    struct forward *f = one->forward;
    const struct journal_invalid *i = &f->op.invalid[one->index];
    FAILPOINT("invalidation.forwarded");
    if (acknowledged) {
        f->failed |= !tell_invalidated(f->svc, i->line, i->generation);
        bypass_remove(i->line, i->generation);
    } else {
        f->failed = true; /* repeated when Redis is back */
    }
    free(one);
    if (--f->waiting == 0) {
        forward_end(f);
    }
}

static void on_invalid_page(struct journal_op *op)
{
    struct forward *f = op->arg;
    struct change_service *svc = f->svc;
    FAILPOINT("invalidation.listed");
    f->waiting = 1;
    f->failed = op->status != JOURNAL_OK;
    if (op->status == JOURNAL_OK && op->invalid_count == 0) {
        bypass_none_since(f->added);
    }
    if (op->invalid_count == INVALIDATION_PAGE) {
        svc->forward_again = true;
    }
    for (size_t i = 0; op->status == JOURNAL_OK && i < op->invalid_count && !svc->destroying; i++) {
        struct forward_one *one = malloc(sizeof *one);
        bypass_add(op->invalid[i].line, op->invalid[i].generation);
        if (!one) {
            f->failed = true;
            continue;
        }
        *one = (struct forward_one){f, i};
        f->waiting++;
        if (!store_invalidate(svc->store, op->invalid[i].line, on_forwarded, one)) {
            f->waiting--;
            f->failed = true;
            free(one);
        }
    }
    if (--f->waiting == 0) {
        forward_end(f);
    }
}

void change_service_forward_invalidations(struct change_service *svc)
{
    if (svc->destroying) {
        return;
    }
    if (svc->forwarding) {
        svc->forward_again = true;
        return;
    }
    struct forward *f = calloc(1, sizeof *f);
    if (!f) { /* nobody else would ask for them again */
        uv_timer_start(&svc->forward_later, on_forward_later, FORWARD_LATER_MS, 0);
        return;
    }
    f->svc = svc;
    f->added = bypass_added();
    journal_op_init(&f->op, svc->journal, JOURNAL_INVALIDATIONS, &svc->reactor->inbox, on_invalid_page, f);
    f->op.limit = INVALIDATION_PAGE;
    svc->forwarding = true;
    svc->tells++;
    if (!journal_submit(&f->op)) {
        f->failed = true;
        forward_end(f);
    }
}

/* ---- end ---- */

void change_service_drain(struct change_service *svc)
{
    svc->draining = true;
    waiters_wake_all(svc->shared);
    for (struct change *c = svc->changes, *next; c; c = next) {
        next = c->next;
        (void)change_put_down(c);
    }
}

size_t change_service_busy(const struct change_service *svc)
{
    size_t n = 0;
    for (const struct change *c = svc->changes; c; c = c->next) {
        n += c->order_under_way || c->in_flight || c->phase == PHASE_OUTCOME || !c->answered;
    }
    return n;
}

void change_service_let_go(struct change_service *svc)
{
    svc->destroying = true;
    peers_stop(svc);
    for (struct change *c = svc->changes, *next; c; c = next) {
        next = c->next;
        if (!c->in_flight) {
            change_time_up(c);
            change_let_go(c);
        }
    }
}

bool change_service_ending(const struct change_service *svc)
{
    return svc->destroying;
}

bool change_service_idle(const struct change_service *svc)
{
    return svc->count == 0 && svc->tells == 0 && !(svc->recovery && svc->recovery->in_flight);
}

static void part_closed(struct change_service *svc)
{
    if (--svc->handles_open == 0) {
        free(svc);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    part_closed(handle->data);
}

static void on_renewal_closed(uv_handle_t *handle)
{
    part_closed(((struct renewal *)handle->data)->svc);
}

void change_service_free(struct change_service *svc)
{
    if (!svc) {
        return;
    }
    if (svc->recovery) {
        recovery_end(svc);
    }
    peers_stop(svc);
    uv_close((uv_handle_t *)&svc->forward_later, on_timer_closed);
    uv_close((uv_handle_t *)&svc->peers_beat, on_timer_closed);
    uv_close((uv_handle_t *)&svc->renewal.timer, on_renewal_closed);
}

/* ---- the rest of the module's face ---- */

struct change_watch *change_watch(struct change_service *svc, const char *request_id,
                                  void (*ended)(void *arg, bool), void *arg)
{
    struct change_watch *w = calloc(1, sizeof *w);
    if (!w) {
        return NULL;
    }
    w->shared = svc->shared;
    w->reply_to = &svc->reactor->inbox;
    w->ended = ended;
    w->arg = arg;
    memcpy(w->request_id, request_id, UUID_LEN);
    if (!waiters_add(svc->shared, w)) {
        free(w);
        return NULL;
    }
    return w;
}
