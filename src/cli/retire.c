/* retire.c - the main thread's part of giving the slot up: no new changes, and is anything left in the journal? */
#include "cli/serve.h"

#include "pcs/core/log.h"

#include <semaphore.h>

struct question {
    struct journal_op op;
    sem_t answered;
};

static void on_stats(struct journal_op *op)
{
    sem_post(&((struct question *)op->arg)->answered);
}

/* What waits for somebody; -1: not known. */
static int64_t left(struct service *s)
{
    struct question q;
    int64_t n = -1;
    sem_init(&q.answered, 0, 0);
    journal_op_init(&q.op, s->journal, JOURNAL_STATS, NULL, on_stats, &q);
    if (journal_submit(&q.op)) {
        while (sem_wait(&q.answered) != 0) {
        }
        const struct journal_stats *st = &q.op.stats;
        if (q.op.status == JOURNAL_OK) {
            n = st->open + st->history_pending + st->calls_pending + st->links_pending + st->events_pending +
                st->invalidations + st->claims;
            n += s->retire.leave_dead ? 0 : st->history_dead + st->events_dead;
        }
    }
    journal_op_clear(&q.op);
    sem_destroy(&q.answered);
    return n;
}

bool service_emptied(struct service *s)
{
    bool refused = s->refusing;
    journal_refuse_new(s->journal, s->retire.asked);
    s->refusing = s->retire.asked;
    if (!s->retire.asked || !refused) { /* what was submitted before the refusal is counted the next time */
        s->empty_looks = 0;
        return false;
    }
    /* a refusal or a note on a call may be on its way to the journal: empty has to be seen more than once */
    s->empty_looks = left(s) == 0 ? s->empty_looks + 1 : 0;
    return s->empty_looks >= 3;
}
