/* renew.c - the keys that hold the lines of open changes between instances (DESIGN.md, "Claim before read": renewed while
 * open).
 *
 * A change that KOS is asked about renews its own (work_doubt.c). One that waits for an operator, for a held one's time or
 * for its turn in the recovery has no machine, or one that only sleeps, for longer than a key lives. So the service that
 * recovers goes through the journal's open changes, a page at a time: at start, when Redis is back, and every few minutes,
 * then without those that have only just come and still have most of their key's time. A key that another change has by
 * now is left to it. One that is renewed although its change has ended that moment is a leftover, and is found to be one
 * by whoever wants the line (ELSEWHERE in machine.c). */
#include "change/machine.h"

#include "pcs/core/clock.h"

#include <string.h>

#define PAGE          100
#define PAGE_PAUSE_MS 50
#define AGAIN_MS      500
#define EVERY_MIN_MS  INT64_C(1000)
#define EVERY_MAX_MS  (HOLD_OPEN_MS / 4)

/* Five inquiries about a doubt, as far apart as they get. */
static int64_t every_ms(const struct change_service *svc)
{
    int64_t ms = 5 * svc->config->settle_max_ms;
    return ms < EVERY_MIN_MS ? EVERY_MIN_MS : ms > EVERY_MAX_MS ? EVERY_MAX_MS : ms;
}

static void on_timer(uv_timer_t *timer);

static void later(struct renewal *n, int64_t ms)
{
    uv_update_time(&n->svc->reactor->loop);
    uv_timer_start(&n->timer, on_timer, (uint64_t)ms, 0);
}

static void renew(struct renewal *n, const struct change_record *r, int64_t now_ms)
{
    char key[KEY_MAX];
    bool young = r->requested_at <= now_ms && r->requested_at > now_ms - every_ms(n->svc);
    if (n->everything || !young) {
        redis_key_line(key, r->line);
        (void)hold_renew(n->svc->redis, key, r->request_id, HOLD_OPEN_MS, NULL, NULL);
    }
}

static void on_page(struct journal_op *op)
{
    struct renewal *n = op->arg;
    bool more = op->list_count == PAGE;
    int64_t now_ms = clock_wall_ms();
    n->in_flight = false;
    n->svc->tells--;
    if (n->svc->draining || n->svc->destroying) {
        journal_op_clear(op);
        return;
    }
    for (size_t i = 0; op->status == JOURNAL_OK && i < op->list_count; i++) {
        renew(n, &op->list[i], now_ms);
    }
    if (n->restart) {
        n->restart = false;
        n->everything = true;
        n->after[0] = '\0';
        later(n, 0);
    } else if (op->status != JOURNAL_OK) {
        later(n, AGAIN_MS);
    } else if (more) {
        memcpy(n->after, op->list[PAGE - 1].request_id, UUID_LEN + 1);
        later(n, PAGE_PAUSE_MS);
    } else {
        n->after[0] = '\0';
        n->everything = false;
        later(n, every_ms(n->svc));
    }
    journal_op_clear(op);
}

static void ask(struct renewal *n)
{
    journal_op_init(&n->op, n->svc->journal, JOURNAL_LIST_OPEN, &n->svc->reactor->inbox, on_page, n);
    n->op.limit = PAGE;
    n->op.after_id = n->after[0] ? n->after : NULL;
    n->in_flight = journal_submit(&n->op);
    if (n->in_flight) {
        n->svc->tells++;
    } else {
        later(n, AGAIN_MS);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct renewal *n = timer->data;
    if (!n->in_flight && !n->svc->draining && !n->svc->destroying) {
        ask(n);
    }
}

void renewal_init(struct change_service *svc)
{
    struct renewal *n = &svc->renewal;
    n->svc = svc;
    uv_timer_init(&svc->reactor->loop, &n->timer);
    n->timer.data = n;
}

void change_service_renew_lines(struct change_service *svc)
{
    struct renewal *n = &svc->renewal;
    n->restart = n->in_flight;
    if (!n->in_flight) {
        n->after[0] = '\0';
        n->everything = true;
        on_timer(&n->timer);
    }
}
