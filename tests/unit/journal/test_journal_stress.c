/* Several producers at once: every operation is answered once, and the counts agree with what was told. Meant for the
 * thread sanitizer. */
#include "unit/journal/support.h"

#include <pthread.h>
#include <stdatomic.h>

#define PRODUCERS 4
#define ROUNDS    60
#define FLIGHT    16

struct flight {
    struct journal_op op;
    struct producer *owner;
    char id[37], line[32];
    enum { CLAIMING, INTENDING, SENDING, ENDING, ANSWERING, RESTING } step;
    int round;
    struct journal_event event;
};

struct producer {
    pthread_t thread;
    struct mailbox box;
    struct flight flights[FLIGHT];
    int number, resting;
};

static atomic_int opened, ended, busy, cancelled, refused, woken;
static atomic_bool stop_readers;

static void flight_done(struct journal_op *op);

static void go(struct flight *f, enum journal_verb verb)
{
    journal_op_init(&f->op, journal, verb, &f->owner->box, flight_done, f);
    f->op.change = change_make(f->id, f->line, CHANGE_ACCEPTED);
    f->op.change.idem_key = f->id;
    f->op.change.body_hash = "b";
    f->op.change.loaded_at = clock_wall_ms() + 3600000;
    if (verb == JOURNAL_OUTCOME || verb == JOURNAL_CANCEL) {
        f->op.change.state = verb == JOURNAL_OUTCOME ? CHANGE_COMPLETED : CHANGE_CANCELLED;
        f->op.change.processed_at = T0;
        f->event = event_make(f->id, f->id, f->line);
        f->op.event = &f->event;
    } else if (verb == JOURNAL_ANSWERED) {
        f->op.change.first_status = 200;
    }
}

static void start(struct flight *f)
{
    uuid_v7(f->id);
    snprintf(f->line, sizeof f->line, "0101111%04d", (int)(random_u64() % 40));
    f->step = CLAIMING;
    go(f, JOURNAL_CLAIM);
}

/* Cancels or ends, at random, also when the send is still under way elsewhere. */
static void next_step(struct flight *f)
{
    bool ok = f->op.status == JOURNAL_OK;
    journal_op_clear(&f->op);
    if (f->step == CLAIMING && ok) {
        f->step = INTENDING;
        go(f, JOURNAL_INTENT);
    } else if (f->step == INTENDING && ok) {
        atomic_fetch_add(&opened, 1);
        f->step = random_u64() % 4 ? SENDING : ENDING;
        go(f, f->step == SENDING ? JOURNAL_SEND : JOURNAL_CANCEL);
    } else if (f->step == SENDING && ok) {
        f->step = ENDING;
        go(f, JOURNAL_OUTCOME);
    } else if (f->step == ENDING && ok) {
        atomic_fetch_add(f->op.verb == JOURNAL_CANCEL ? &cancelled : &ended, 1);
        f->step = ANSWERING;
        go(f, JOURNAL_ANSWERED);
    } else {
        atomic_fetch_add(&busy, ok ? 0 : 1); /* answered, or somebody else's line */
        if (++f->round >= ROUNDS) {
            f->step = RESTING;
            f->owner->resting++;
            return;
        }
        start(f);
    }
}

static void submit(struct flight *f)
{
    while (f->step != RESTING && !journal_submit(&f->op)) {
        atomic_fetch_add(&refused, 1);
        f->op.status = JOURNAL_FULL;
        next_step(f); /* as a 503 would: this request is over */
    }
}

static void flight_done(struct journal_op *op)
{
    struct flight *f = op->arg;
    ck_assert_int_ne(op->status, JOURNAL_FAILED);
    next_step(f);
    submit(f);
}

static void *produce(void *arg)
{
    struct producer *p = arg;
    for (int i = 0; i < FLIGHT; i++) {
        p->flights[i].owner = p;
        start(&p->flights[i]);
        submit(&p->flights[i]);
    }
    while (p->resting < FLIGHT) {
        for (struct msg *m = mailbox_wait(&p->box, clock_mono_ns() + NS_PER_SEC); m;) {
            struct msg *next = m->next;
            m->deliver(m);
            m = next;
        }
    }
    return NULL;
}

static void wake(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

/* A forwarder of its own thread: takes rows and gives them back. */
static void *forward(void *arg)
{
    struct mailbox *mine = &((struct producer *)arg)->box;
    while (!atomic_load(&stop_readers)) {
        bool done = false;
        struct journal_op pull, ack;
        journal_op_init(&pull, journal, JOURNAL_HISTORY_PULL, mine, op_done, &done);
        pull.limit = 50;
        if (!journal_submit(&pull)) {
            continue;
        }
        while (!done) {
            for (struct msg *m = mailbox_wait(mine, clock_mono_ns() + NS_PER_SEC); m; m = NULL) {
                m->deliver(m);
            }
        }
        done = false;
        journal_op_init(&ack, journal, JOURNAL_HISTORY_ACK, mine, op_done, &done);
        ack.ack_rows = pull.seqs;
        ack.ack_row_count = pull.list_count;
        ck_assert(journal_submit(&ack));
        while (!done) {
            for (struct msg *m = mailbox_wait(mine, clock_mono_ns() + NS_PER_SEC); m; m = NULL) {
                m->deliver(m);
            }
        }
        journal_op_clear(&pull);
        journal_op_clear(&ack);
        (void)journal_writable(journal);
    }
    return NULL;
}

START_TEST(producers_and_a_forwarder)
{
    static struct producer producers[PRODUCERS], reader;
    mailbox_init(&reader.box, 1, NULL, NULL);
    ck_assert_int_eq(pthread_create(&reader.thread, NULL, forward, &reader), 0);
    for (int i = 0; i < PRODUCERS; i++) {
        mailbox_init(&producers[i].box, 1, NULL, NULL);
        producers[i].number = i;
        ck_assert_int_eq(pthread_create(&producers[i].thread, NULL, produce, &producers[i]), 0);
    }
    journal_on_pending(journal, SINK_EVENTS, wake, &woken);
    for (int i = 0; i < PRODUCERS; i++) {
        pthread_join(producers[i].thread, NULL);
    }
    atomic_store(&stop_readers, true);
    pthread_join(reader.thread, NULL);

    struct journal_stats st = stats();
    int final = atomic_load(&ended) + atomic_load(&cancelled);
    ck_assert_int_gt(final, 100);
    ck_assert_int_gt(atomic_load(&busy), 0);
    ck_assert_int_gt(atomic_load(&woken), 0);
    ck_assert_int_eq(st.events_pending, final);
    ck_assert_int_eq(st.open, atomic_load(&opened) - final);
    ck_assert_int_eq(st.claims, 0);
    close_journal();
    for (int i = 0; i < PRODUCERS; i++) {
        mailbox_destroy(&producers[i].box); /* not before: the journal may still be waking its reader */
    }
    mailbox_destroy(&reader.box);
    open_journal();
    struct journal_stats again = stats();
    ck_assert_int_eq(again.open, st.open);
    ck_assert_int_eq(again.events_pending, st.events_pending);
    ck_assert_int_eq(again.history_pending, st.history_pending);
    ck_assert_int_eq(again.invalidations, st.invalidations);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("journal.stress");
    TCase *t = tcase_create("stress");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 110);
    tcase_add_test(t, producers_and_a_forwarder);
    suite_add_tcase(s, t);
    return run_suite(s);
}
