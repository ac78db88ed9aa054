/* Bulkhead: limit, order, bounds, and the race of cancel against grant ("A bulkhead per upstream operation
 * bounds calls in flight and a bounded queue behind it"). */
#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "pcs/core/bulkhead.h"

static int order[100], granted_count;

struct member {
    struct bulkhead_waiter waiter; /* first: the callback gets its address */
    int number;
};

static void note(struct bulkhead_waiter *w)
{
    order[granted_count++] = ((struct member *)(void *)w)->number;
}

static struct member member(int number)
{
    granted_count = number == 0 ? 0 : granted_count;
    return (struct member){.waiter = {.granted = note}, .number = number};
}

static struct bulkhead_snapshot look(struct bulkhead *bh)
{
    struct bulkhead_snapshot s;
    bulkhead_snapshot(bh, &s);
    return s;
}

START_TEST(limits_are_checked)
{
    ck_assert(bulkhead_create("x", 0, 1) == NULL);
    ck_assert(bulkhead_create("x", BULKHEAD_MAX_LIMIT + 1, 1) == NULL);
    ck_assert(bulkhead_create("x", 1, BULKHEAD_MAX_LIMIT + 1) == NULL);
    struct bulkhead *bh = bulkhead_create("kos-order", 1, 0);
    ck_assert_str_eq(look(bh).name, "kos-order");
    ck_assert(!bulkhead_resize(bh, 0, 5));
    ck_assert_uint_eq(look(bh).max_in_flight, 1);
    bulkhead_destroy(bh);
    bulkhead_destroy(NULL);
}
END_TEST

START_TEST(slots_go_to_the_oldest_waiter)
{
    struct bulkhead *bh = bulkhead_create("x", 2, 3);
    struct member m[6];

    for (int i = 0; i < 6; i++)
        m[i] = member(i);
    ck_assert_int_eq(bulkhead_acquire(bh, &m[0].waiter), BULKHEAD_GRANTED);
    ck_assert_int_eq(bulkhead_acquire(bh, &m[1].waiter), BULKHEAD_GRANTED);
    for (int i = 2; i < 5; i++)
        ck_assert_int_eq(bulkhead_acquire(bh, &m[i].waiter), BULKHEAD_QUEUED);
    ck_assert_int_eq(bulkhead_acquire(bh, &m[5].waiter), BULKHEAD_FULL);
    ck_assert_int_eq(granted_count, 0); /* slots at hand are told by the return value only */
    bulkhead_release(bh);
    bulkhead_release(bh);
    ck_assert_int_eq(granted_count, 2);
    ck_assert(order[0] == 2 && order[1] == 3);
    struct bulkhead_snapshot s = look(bh);
    ck_assert_uint_eq(s.in_flight, 2);
    ck_assert_uint_eq(s.queued, 1);
    ck_assert_uint_eq(s.refused_total, 1);
    ck_assert_uint_eq(s.queued_total, 3);
    ck_assert_uint_eq(s.granted_total, 4);
    for (int i = 0; i < 3; i++)
        bulkhead_release(bh);
    ck_assert_uint_eq(look(bh).in_flight, 0);
    bulkhead_destroy(bh);
}
END_TEST

/* Issue 4, point 1: who is ahead has a queue of its own, served first; either way in order of arrival. */
START_TEST(those_ahead_do_not_wait_behind_the_others)
{
    struct bulkhead *bh = bulkhead_create("x", 1, 2);
    struct member m[7];

    for (int i = 0; i < 7; i++)
        m[i] = member(i);
    m[3].waiter.ahead = m[4].waiter.ahead = m[5].waiter.ahead = true;
    ck_assert_int_eq(bulkhead_acquire(bh, &m[0].waiter), BULKHEAD_GRANTED);
    ck_assert_int_eq(bulkhead_acquire(bh, &m[1].waiter), BULKHEAD_QUEUED);
    ck_assert_int_eq(bulkhead_acquire(bh, &m[2].waiter), BULKHEAD_QUEUED);
    ck_assert_int_eq(bulkhead_acquire(bh, &m[6].waiter), BULKHEAD_FULL);
    ck_assert_int_eq(bulkhead_acquire(bh, &m[3].waiter), BULKHEAD_QUEUED);
    ck_assert_int_eq(bulkhead_acquire(bh, &m[4].waiter), BULKHEAD_QUEUED);
    ck_assert_int_eq(bulkhead_acquire(bh, &m[5].waiter), BULKHEAD_FULL);
    ck_assert_uint_eq(look(bh).queued, 4);
    ck_assert(bulkhead_cancel(bh, &m[3].waiter));
    for (int i = 0; i < 3; i++)
        bulkhead_release(bh);
    ck_assert_int_eq(granted_count, 3);
    ck_assert(order[0] == 4 && order[1] == 1 && order[2] == 2);
    bulkhead_release(bh);
    ck_assert_uint_eq(look(bh).queued, 0);
    bulkhead_destroy(bh);
}
END_TEST

START_TEST(no_queue_means_full_at_once)
{
    struct bulkhead *bh = bulkhead_create("x", 1, 0);
    struct member a = member(0), b = member(1);

    ck_assert_int_eq(bulkhead_acquire(bh, &a.waiter), BULKHEAD_GRANTED);
    ck_assert_int_eq(bulkhead_acquire(bh, &b.waiter), BULKHEAD_FULL);
    bulkhead_release(bh);
    bulkhead_destroy(bh);
}
END_TEST

/* True: out of the queue, no callback, nothing owned. False: the slot is owned. From every position. */
START_TEST(cancel_leaves_the_queue_whole)
{
    for (int victim = 1; victim <= 3; victim++) {
        struct bulkhead *bh = bulkhead_create("x", 1, 3);
        struct member m[4];
        for (int i = 0; i < 4; i++) {
            m[i] = member(i);
            bulkhead_acquire(bh, &m[i].waiter);
        }
        ck_assert(bulkhead_cancel(bh, &m[victim].waiter));
        ck_assert(!bulkhead_cancel(bh, &m[victim].waiter));
        ck_assert_int_eq(bulkhead_acquire(bh, &m[victim].waiter), BULKHEAD_QUEUED); /* at the end */
        for (int i = 0; i < 3; i++)
            bulkhead_release(bh);
        ck_assert_int_eq(granted_count, 3);
        ck_assert_int_eq(order[2], victim);
        ck_assert_int_lt(order[0], order[1]);
        ck_assert(!bulkhead_cancel(bh, &m[victim].waiter)); /* granted: ours to release */
        bulkhead_release(bh);
        ck_assert_uint_eq(look(bh).in_flight, 0);
        ck_assert_uint_eq(look(bh).cancelled_total, 1);
        bulkhead_destroy(bh);
    }
}
END_TEST

START_TEST(resize_grants_or_shrinks_softly)
{
    struct bulkhead *bh = bulkhead_create("x", 1, 4);
    struct member m[6];

    for (int i = 0; i < 6; i++)
        m[i] = member(i);
    for (int i = 0; i < 5; i++)
        bulkhead_acquire(bh, &m[i].waiter);
    ck_assert(bulkhead_resize(bh, 3, 1));
    ck_assert_int_eq(granted_count, 2);
    ck_assert(order[0] == 1 && order[1] == 2);
    ck_assert_uint_eq(look(bh).queued, 2); /* over the new bound, but already in */
    ck_assert_int_eq(bulkhead_acquire(bh, &m[5].waiter), BULKHEAD_FULL);
    ck_assert(bulkhead_resize(bh, 1, 4));
    bulkhead_release(bh);
    bulkhead_release(bh);
    ck_assert_int_eq(granted_count, 2); /* 1 in flight of 1 */
    bulkhead_release(bh);
    ck_assert_int_eq(granted_count, 3);
    ck_assert_int_eq(bulkhead_acquire(bh, &m[5].waiter), BULKHEAD_QUEUED);
    for (int i = 0; i < 3; i++)
        bulkhead_release(bh);
    ck_assert_int_eq(order[4], 5);
    ck_assert_uint_eq(look(bh).in_flight, 0);
    bulkhead_destroy(bh);
}
END_TEST

static struct bulkhead *reentered;

static void release_at_once(struct bulkhead_waiter *w)
{
    granted_count++;
    free(w); /* its memory may end here */
    bulkhead_release(reentered);
}

START_TEST(callback_may_release_and_free)
{
    reentered = bulkhead_create("x", 1, 50);
    struct member a = member(0);

    bulkhead_acquire(reentered, &a.waiter);
    for (int i = 0; i < 50; i++) {
        struct bulkhead_waiter *w = calloc(1, sizeof *w);
        w->granted = release_at_once;
        ck_assert_int_eq(bulkhead_acquire(reentered, w), BULKHEAD_QUEUED);
    }
    bulkhead_release(reentered);
    ck_assert_int_eq(granted_count, 50);
    ck_assert_uint_eq(look(reentered).in_flight, 0);
    bulkhead_destroy(reentered);
}
END_TEST

/*
 * Threads as event loops in small: each keeps jobs that it acquires for, waits for, cancels, releases. The
 * callback posts into the owner's mailbox (a flag), as a reactor would.
 */
#define THREADS 4
#define JOBS    8
#define ROUNDS  6000
#define LIMIT   3

struct job {
    struct bulkhead_waiter waiter;
    int posted; /* by the callback */
    enum { IDLE, WAITING, RUNNING, LEAVING } state;
};

struct loop {
    unsigned seed;
    uint64_t granted, refused, cancelled, lost_races;
    struct job job[JOBS];
};

static struct bulkhead *shared;
static int running, most_running;

static void post(struct bulkhead_waiter *w)
{
    __atomic_store_n(&((struct job *)(void *)w)->posted, 1, __ATOMIC_RELEASE);
}

static void start_job(struct loop *l, struct job *j)
{
    int now = __atomic_add_fetch(&running, 1, __ATOMIC_SEQ_CST);
    int most = __atomic_load_n(&most_running, __ATOMIC_SEQ_CST);

    while (now > most &&
           !__atomic_compare_exchange_n(&most_running, &most, now, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
    l->granted++;
    j->state = RUNNING;
}

static void end_job(struct job *j)
{
    __atomic_sub_fetch(&running, 1, __ATOMIC_SEQ_CST);
    j->state = IDLE;
    bulkhead_release(shared);
}

/* One turn for one job; `quiet`: only end what is there. */
static void turn(struct loop *l, struct job *j, unsigned r, bool quiet)
{
    bool posted = __atomic_load_n(&j->posted, __ATOMIC_ACQUIRE) != 0;

    if (j->state == IDLE && !quiet) {
        j->posted = 0;
        j->waiter = (struct bulkhead_waiter){.granted = post};
        switch (bulkhead_acquire(shared, &j->waiter)) {
        case BULKHEAD_GRANTED:
            start_job(l, j);
            break;
        case BULKHEAD_QUEUED:
            j->state = WAITING;
            break;
        default:
            l->refused++;
            break;
        }
    } else if ((j->state == WAITING || j->state == LEAVING) && posted) {
        start_job(l, j);
    } else if (j->state == WAITING && r % 4 == 0) {
        if (bulkhead_cancel(shared, &j->waiter)) {
            l->cancelled++;
            j->state = IDLE;
        } else {
            l->lost_races++;
            j->state = LEAVING; /* the post is on its way, and the slot is ours */
        }
    } else if (j->state == RUNNING && (quiet || r % 3 == 0)) {
        end_job(j);
    }
}

static void *loop_main(void *arg)
{
    struct loop *l = arg;

    for (int i = 0; i < ROUNDS; i++) {
        for (int k = 0; k < JOBS; k++) {
            l->seed = l->seed * 1103515245u + 12345u;
            turn(l, &l->job[k], l->seed >> 16, false);
        }
        if (i % 16 == 0)
            sched_yield();
    }
    for (bool busy = true; busy;) {
        busy = false;
        for (int k = 0; k < JOBS; k++) {
            turn(l, &l->job[k], 1, true);
            busy = busy || l->job[k].state != IDLE;
        }
        sched_yield();
    }
    return NULL;
}

/* Every slot is given to exactly one of grant and cancel; never more in flight than the limit. */
START_TEST(threads_race_grant_against_cancel)
{
    static struct loop loops[THREADS];
    pthread_t thread[THREADS];
    uint64_t granted = 0, refused = 0, cancelled = 0;

    shared = bulkhead_create("stress", LIMIT, 12);
    for (unsigned i = 0; i < THREADS; i++) {
        loops[i].seed = i + 1;
        ck_assert_int_eq(pthread_create(&thread[i], NULL, loop_main, &loops[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        granted += loops[i].granted;
        refused += loops[i].refused;
        cancelled += loops[i].cancelled;
    }
    struct bulkhead_snapshot s = look(shared);
    ck_assert_uint_eq(s.in_flight, 0);
    ck_assert_uint_eq(s.queued, 0);
    ck_assert_uint_eq(s.granted_total, granted);
    ck_assert_uint_eq(s.refused_total, refused);
    ck_assert_uint_eq(s.cancelled_total, cancelled);
    ck_assert_int_le(most_running, LIMIT);
    ck_assert_uint_gt(cancelled, 0);
    bulkhead_destroy(shared);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("bulkhead");
    TCase *t = tcase_create("bulkhead");

    tcase_add_test(t, limits_are_checked);
    tcase_add_test(t, slots_go_to_the_oldest_waiter);
    tcase_add_test(t, those_ahead_do_not_wait_behind_the_others);
    tcase_add_test(t, no_queue_means_full_at_once);
    tcase_add_test(t, cancel_leaves_the_queue_whole);
    tcase_add_test(t, resize_grants_or_shrinks_softly);
    tcase_add_test(t, callback_may_release_and_free);
    tcase_add_test(t, threads_race_grant_against_cancel);
    tcase_set_timeout(t, 60);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
