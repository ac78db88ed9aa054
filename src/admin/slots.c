/* slots.c - GET /admin/slots (issue 3, point 2): who has which slot of the journal's directory, and what those
 * without an owner still hold. Looking at them blocks on the disk: done on a thread of libuv's pool. */
#include "admin/internal.h"

#include "pcs/core/clock.h"

#include <stdlib.h>

struct looking {
    uv_work_t work;
    struct http_request *rq;
    const char *path;
    int own;
    size_t count;
    struct journal_slot slots[JOURNAL_SLOTS_MAX];
};

static void look(uv_work_t *work)
{
    struct looking *l = work->data;
    l->count = journal_slots(l->path, l->own, l->slots);
}

static void on_looked(uv_work_t *work, int status)
{
    struct looking *l = work->data;
    struct http_request *rq = l->rq;
    struct buf b;
    if (status != 0) {
        admin_unavailable(rq, "could not be looked at");
    } else {
        admin_data_open(&b);
        view_slots(&b, l->slots, l->count, clock_wall_ms());
        admin_data_send(rq, &b, 200);
    }
    free(l);
}

void handle_slots(struct http_request *rq)
{
    const struct admin_parts *p = &admin_of(rq)->parts;
    struct looking *l = calloc(1, sizeof *l);
    if (l) {
        l->work.data = l;
        l->rq = rq;
        l->path = p->journal_path;
        l->own = (int)journal_slot(p->journal);
        if (uv_queue_work(&rq->reactor->loop, &l->work, look, on_looked) == 0) {
            return;
        }
        free(l);
    }
    admin_unavailable(rq, "no memory");
}
