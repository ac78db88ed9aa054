/* mailbox.h and reactor.h: bounded requests, unbounded replies, messages and hooks on the reactor's own thread. */
#include "pcs/core/clock.h"
#include "pcs/core/mailbox.h"
#include "pcs/core/reactor.h"

#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define SENDERS 4
#define EACH    5000

struct counted {
    struct msg msg;
    _Atomic int *delivered;
    struct reactor *expected; /* the thread that has to deliver it */
};

static void deliver(struct msg *m)
{
    struct counted *c = (struct counted *)m;
    ck_assert_ptr_eq(reactor_current(), c->expected);
    atomic_fetch_add(c->delivered, 1);
    free(c);
}

static struct counted *counted(_Atomic int *n, struct reactor *r)
{
    struct counted *c = calloc(1, sizeof *c);
    c->msg.deliver = deliver;
    c->delivered = n;
    c->expected = r;
    return c;
}

/* "A full queue is an answer, never a wait; a reply is never refused." */
START_TEST(requests_are_bounded_replies_are_not)
{
    struct mailbox box;
    _Atomic int n = 0;
    mailbox_init(&box, 2, NULL, NULL);
    struct counted *third = counted(&n, NULL);
    ck_assert(mailbox_send(&box, &counted(&n, NULL)->msg));
    ck_assert(mailbox_send(&box, &counted(&n, NULL)->msg));
    ck_assert(!mailbox_send(&box, &third->msg));
    mailbox_reply(&box, &third->msg);
    ck_assert_uint_eq(mailbox_count(&box), 3);
    ck_assert_uint_eq(mailbox_deliver_all(&box), 3);
    ck_assert_int_eq(n, 3);
    mailbox_close(&box);
    struct counted *late = counted(&n, NULL);
    ck_assert(!mailbox_send(&box, &late->msg));
    free(late);
    mailbox_destroy(&box);
}
END_TEST

START_TEST(waiting_ends_at_its_time)
{
    struct mailbox box;
    mailbox_init(&box, 2, NULL, NULL);
    uint64_t start = clock_mono_ns();
    ck_assert_ptr_null(mailbox_wait(&box, start + 20 * NS_PER_MS));
    ck_assert_uint_ge(clock_mono_ns() - start, 20 * NS_PER_MS);
    ck_assert_ptr_null(mailbox_wait(&box, 0));
    mailbox_destroy(&box);
}
END_TEST

struct sending {
    struct reactor *to;
    _Atomic int *n;
};

static void *send_many(void *arg)
{
    struct sending *s = arg;
    for (int i = 0; i < EACH; i++) {
        mailbox_reply(&s->to->inbox, &counted(s->n, s->to)->msg);
    }
    return NULL;
}

struct counting_hook {
    struct reactor_hook hook;
    int calls, again;
};

static bool on_turn(struct reactor_hook *hook)
{
    struct counting_hook *h = (struct counting_hook *)hook;
    h->calls++;
    return h->again > 0 && h->again-- > 0;
}

static bool start(struct reactor *r, void *arg)
{
    struct counting_hook *h = arg;
    h->hook.end_of_turn = on_turn;
    reactor_add_hook(r, &h->hook);
    return true;
}

static void on_stop(struct msg *m)
{
    (void)m;
    reactor_stop(reactor_current());
}

START_TEST(every_message_arrives_on_the_reactor)
{
    struct reactor r;
    struct counting_hook hook = {
        .again = 100}; /* more than one turn's rounds: the loop must come back by itself */
    _Atomic int n = 0;
    char err[128];
    pthread_t threads[SENDERS];
    struct sending s = {&r, &n};
    struct msg stop = {.deliver = on_stop};
    ck_assert(reactor_init(&r, 0, err, sizeof err));
    ck_assert(reactor_start(&r, "test", start, &hook));
    for (int i = 0; i < SENDERS; i++) {
        pthread_create(&threads[i], NULL, send_many, &s);
    }
    for (int i = 0; i < SENDERS; i++) {
        pthread_join(threads[i], NULL);
    }
    mailbox_reply(&r.inbox, &stop); /* behind all others */
    ck_assert(reactor_join(&r));
    ck_assert_int_eq(n, SENDERS * EACH);
    ck_assert_int_gt(hook.calls, 0);
    reactor_destroy(&r);
}
END_TEST

static bool refuse(struct reactor *r, void *arg)
{
    (void)r;
    (void)arg;
    return false;
}

START_TEST(a_refused_start_is_reported)
{
    struct reactor r;
    char err[128];
    ck_assert(reactor_init(&r, 0, err, sizeof err));
    ck_assert(!reactor_start(&r, "test", refuse, NULL));
    ck_assert(reactor_join(&r));
    reactor_destroy(&r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("threads");
    TCase *t = tcase_create("mailbox, reactor");
    tcase_set_timeout(t, 30);
    tcase_add_test(t, requests_are_bounded_replies_are_not);
    tcase_add_test(t, waiting_ends_at_its_time);
    tcase_add_test(t, every_message_arrives_on_the_reactor);
    tcase_add_test(t, a_refused_start_is_reported);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
