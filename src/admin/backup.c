/* backup.c - POST /admin/backup (issue 7, point 6): the journal's file is copied into its slot, for whoever takes it away. */
#include "admin/internal.h"

#include "pcs/core/clock.h"
#include "pcs/core/log.h"
#include "pcs/journal/backup.h"

#include <stdlib.h>

struct copying {
    struct journal_op op;
    struct http_request *rq;
    uint64_t began;
};

static void send_done(struct http_request *rq, const struct copying *c)
{
    struct journal *j = admin_of(rq)->parts.journal;
    struct buf b;
    admin_data_open(&b);
    buf_json_str(&b, "file", c->op.reason);
    buf_json_int(&b, "bytes", c->op.seq);
    buf_json_int(&b, "slot", journal_slot(j));
    buf_json_str(&b, "instance", journal_instance(j));
    buf_json_time(&b, "at", clock_wall_ms());
    buf_json_int(&b, "milliseconds", (int64_t)((clock_mono_ns() - c->began) / NS_PER_MS));
    admin_data_send(rq, &b, 200);
}

static void on_copied(struct journal_op *op)
{
    struct copying *c = op->arg;
    struct http_request *rq = c->rq;
    switch (op->status) {
    case JOURNAL_OK:
        send_done(rq, c);
        break;
    case JOURNAL_CONFLICT:
        admin_fail(rq, &admin_backup_busy, NULL);
        break;
    case JOURNAL_FULL:
        admin_unavailable(rq, "the journal's disk has no room for a copy");
        break;
    default:
        admin_unavailable(rq, "the journal could not be copied, or the service is ending: see the log");
        break;
    }
    journal_op_clear(op);
    free(c);
}

/* On the journal's thread. */
static void on_stopped(struct journal_op *op)
{
    free(op);
}

void admin_backup_stop(struct admin *a)
{
    struct journal_op *op = malloc(sizeof *op);
    if (op) {
        journal_op_init(op, a->parts.journal, JOURNAL_BACKUP, NULL, on_stopped, NULL);
        op->limit = -1;
        if (!journal_submit(op)) {
            free(op);
        }
    }
}

void handle_backup(struct http_request *rq)
{
    struct copying *c = admin_of(rq)->ending ? NULL : calloc(1, sizeof *c);
    if (c) {
        c->rq = rq;
        c->began = clock_mono_ns();
        journal_op_init(&c->op, admin_of(rq)->parts.journal, JOURNAL_BACKUP, &rq->reactor->inbox, on_copied,
                        c);
        log_warn("journal.backup_asked", log_str("caller", admin_caller(rq)));
        if (journal_submit(&c->op)) {
            return;
        }
        free(c);
    }
    admin_unavailable(rq, "the journal's queue is full, or the service is ending");
}
