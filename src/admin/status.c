/* status.c - GET /admin/status: how the instance is doing, in one answer; GET /admin/metrics: the numbers. */
#include "admin/internal.h"

#include "pcs/core/clock.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct status {
    struct journal_op op;
    struct http_request *rq;
};

static void put_readiness(struct buf *b, const struct admin_parts *p)
{
    const struct {
        const char *name;
        bool up;
    } list[] = {{"kos", kos_gates_up(p->gates)},
                {"mvno", !p->delivery || delivery_up(p->delivery)},
                {"redis", redis_link_up(p->redis)},
                {"postgresql", !p->history || history_up(p->history)}};
    bool down = *p->stopping || !*p->ready || !journal_writable(p->journal), degraded = false;
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        degraded |= !list[i].up;
    }
    buf_json_str(b, "status", down ? "DOWN" : degraded ? "DEGRADED" : "UP");
    buf_json_bool(b, "recovered", *p->ready);
    buf_json_bool(b, "stopping", *p->stopping);
    buf_json_bool(b, "retiring", p->retire->asked);
    buf_json_open(b, "neighbours", '{');
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        buf_json_str(b, list[i].name, list[i].up ? "UP" : "DOWN");
    }
    buf_json_close(b, '}');
}

static void put_age(struct buf *b, const char *name, int64_t since, int64_t now)
{
    buf_json_int(b, name, since && now > since ? (now - since) / 1000 : 0);
}

static void put_journal(struct buf *b, const struct journal_stats *s, int64_t now)
{
    buf_json_open(b, "journal", '{');
    buf_json_bool(b, "writable", s->writable);
    buf_json_int(b, "open", s->open);
    buf_json_int(b, "inDoubt", s->in_doubt);
    put_age(b, "oldestDoubtSeconds", s->oldest_doubt_at, now);
    buf_json_int(b, "claims", s->claims);
    buf_json_int(b, "bytes", s->bytes);
    buf_json_int(b, "commits", s->commits);
    buf_json_int(b, "operations", s->operations);
    buf_json_close(b, '}');
    buf_json_open(b, "backlog", '{');
    buf_json_open(b, "postgresql", '{');
    buf_json_int(b, "rows", s->history_pending);
    buf_json_int(b, "refused", s->history_dead);
    buf_json_int(b, "calls", s->calls_pending);
    buf_json_int(b, "links", s->links_pending);
    buf_json_close(b, '}');
    buf_json_open(b, "mvno", '{');
    buf_json_int(b, "events", s->events_pending);
    buf_json_int(b, "dead", s->events_dead);
    put_age(b, "oldestSeconds", s->oldest_event_at, now);
    buf_json_close(b, '}');
    buf_json_open(b, "cache", '{');
    buf_json_int(b, "invalidations", s->invalidations);
    buf_json_close(b, '}');
    buf_json_close(b, '}');
}

/* Counted once a minute by the journal's thread: looking at the disk is not for a reactor. */
static int64_t orphan_slots(void)
{
    for (size_t i = 0; i < journal_metrics_count; i++) {
        if (strcmp(journal_metrics[i]->name, "pcs_journal_orphan_slots") == 0) {
            return (int64_t)metric_value(journal_metrics[i], 0);
        }
    }
    return 0;
}

/* Which settings are not their defaults, and where they come from; never a value. */
static void put_settings(struct buf *b, const struct admin *a)
{
    buf_json_open(b, "settings", '[');
    for (size_t i = 0; i < a->parts.section_count; i++) {
        const struct config_section *section = a->parts.sections[i];
        for (size_t k = 0; k < section->count; k++) {
            const char *origin = config_origin(a->settings, section->settings[k].name);
            if (origin && strcmp(origin, "default") != 0) {
                buf_json_open(b, NULL, '{');
                buf_json_str(b, "name", section->settings[k].name);
                buf_json_str(b, "origin", origin);
                buf_json_close(b, '}');
            }
        }
    }
    buf_json_close(b, ']');
}

/* Several instances look alike through a tunnel. */
static void put_host(struct buf *b)
{
    char host[256] = "";
    if (gethostname(host, sizeof host - 1) == 0 && *host) {
        buf_json_str(b, "host", host);
    }
}

static void on_stats(struct journal_op *op)
{
    struct status *s = op->arg;
    struct http_request *rq = s->rq;
    const struct admin *a = admin_of(rq);
    int64_t now = clock_wall_ms();
    struct buf b;
    admin_data_open(&b);
    buf_json_open(&b, "service", '{');
    buf_json_str(&b, "version", PCS_VERSION);
    put_host(&b);
    buf_json_int(&b, "pid", getpid());
    buf_json_str(&b, "instance", journal_instance(a->parts.journal));
    buf_json_int(&b, "slot", journal_slot(a->parts.journal));
    buf_json_time(&b, "startedAt", a->started_at);
    put_age(&b, "uptimeSeconds", a->started_at, now);
    buf_json_close(&b, '}');
    put_readiness(&b, &a->parts);
    if (op->status == JOURNAL_OK) {
        put_journal(&b, &op->stats, now);
    } else {
        buf_json_open(&b, "journal", '{');
        buf_json_bool(&b, "writable", false);
        buf_json_str(&b, "reason", "the journal is closed after an I/O error");
        buf_json_close(&b, '}');
    }
    buf_json_int(&b, "orphanSlots", orphan_slots());
    put_settings(&b, a);
    journal_op_clear(op);
    free(s);
    admin_data_send(rq, &b, 200);
}

void handle_admin_status(struct http_request *rq)
{
    struct status *s = calloc(1, sizeof *s);
    if (s) {
        s->rq = rq;
        journal_op_init(&s->op, admin_of(rq)->parts.journal, JOURNAL_STATS, &rq->reactor->inbox, on_stats, s);
        if (journal_submit(&s->op)) {
            return;
        }
        free(s);
    }
    admin_unavailable(rq, "the journal's queue is full");
}

void handle_admin_metrics(struct http_request *rq)
{
    struct buf b;
    size_t len;
    buf_init(&b, ADMIN_ANSWER_MAX);
    metrics_print(&b);
    char *body = buf_steal(&b, &len);
    if (!body) {
        admin_fail(rq, &http_problem_internal_error, "no memory");
        return;
    }
    http_reply(rq, 200, "text/plain; version=0.0.4; charset=utf-8", body, len, NULL, 0);
}
