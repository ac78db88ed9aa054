/* Circuit breaker: windows and leases against a slow and obvious model; and threads. */
#include <pthread.h>

#include "breaker_fixture.h"
#include "core/breaker_lease.h"
#include "core/breaker_window.h"

#define HISTORY 4000

struct past {
    uint64_t second;
    bool failed, slow;
};

static unsigned dice_state;

static unsigned dice(unsigned sides)
{
    dice_state = dice_state * 1103515245u + 12345u;
    return (dice_state >> 16) % sides;
}

/* What must be live: the last `size` calls, or those of the last `size` seconds. */
static struct breaker_counts model(const struct past *p, unsigned n, bool timed, unsigned size, uint64_t now)
{
    struct breaker_counts c = {0};
    for (unsigned i = 0; i < n; i++) {
        if (timed ? p[i].second + size <= now : i + size < n)
            continue;
        c.total++;
        c.failed += p[i].failed;
        c.slow += p[i].slow;
        c.slow_failed += p[i].failed && p[i].slow;
    }
    return c;
}

/* Section 3 and 7: counts over the live window, any size, with gaps longer than the window. */
START_TEST(window_counts_what_is_live)
{
    static const unsigned sizes[] = {1, 2, 3, 7, 20};
    static struct past past[HISTORY];
    bool timed = _i % 2;
    unsigned size = sizes[_i / 2], n = 0;
    uint64_t second = 5000;
    struct breaker_window w;

    dice_state = (unsigned)_i;
    ck_assert(breaker_window_init(&w, timed, size, second));
    for (unsigned round = 0; round < HISTORY; round++) {
        if (dice(3) == 0)
            second += dice(20) == 0 ? size + dice(3) : dice(3);
        if (dice(500) == 0) {
            breaker_window_clear(&w, second);
            n = 0;
        }
        past[n] = (struct past){second, dice(2), dice(3) == 0};
        breaker_window_add(&w, second, past[n].failed, past[n].slow);
        n++;
        if (dice(10) == 0)
            breaker_window_age(&w, second += dice(2));
        struct breaker_counts c = model(past, n, timed, size, second);
        ck_assert_int_eq(memcmp(&c, &w.sum, sizeof c), 0);
    }
    breaker_window_free(&w);
}
END_TEST

START_TEST(leases_expire_in_order_of_due_time)
{
    struct breaker_lease_table t;
    uint32_t lease[300], use[300];
    bool out[300] = {false};
    uint64_t due[300];

    breaker_lease_init(&t);
    ck_assert_uint_eq(breaker_lease_next_due(&t), UINT64_MAX);
    for (unsigned round = 0; round < 20000; round++) {
        unsigned i = dice(300);
        if (!out[i]) {
            due[i] = 1000 + dice(5000);
            lease[i] = breaker_lease_take(&t, due[i], 1, &use[i]);
            ck_assert_uint_ne(lease[i], 0);
            out[i] = true;
        } else {
            ck_assert(breaker_lease_end(&t, lease[i], use[i]));
            ck_assert(!breaker_lease_end(&t, lease[i], use[i])); /* twice is refused */
            out[i] = false;
        }
        uint64_t first = UINT64_MAX;
        for (unsigned k = 0; k < 300 && round % 50 == 0; k++)
            first = out[k] && due[k] < first ? due[k] : first;
        if (round % 50 == 0)
            ck_assert_uint_eq(breaker_lease_next_due(&t), first);
    }
    for (uint64_t last = 0; t.count > 0;) {
        ck_assert_uint_ge(breaker_lease_next_due(&t), last);
        last = breaker_lease_next_due(&t);
        ck_assert_uint_eq(breaker_lease_expire(&t), 1);
    }
    for (unsigned k = 0; k < 300; k++)
        ck_assert(!breaker_lease_end(&t, lease[k], use[k]));
    breaker_lease_free(&t);
}
END_TEST

START_TEST(leases_are_bounded)
{
    struct breaker_lease_table t;
    uint32_t use, first_use, first;

    breaker_lease_init(&t);
    first = breaker_lease_take(&t, 1, 1, &first_use);
    for (unsigned i = 1; i < BREAKER_MAX_LEASES; i++)
        ck_assert_uint_ne(breaker_lease_take(&t, i, 1, &use), 0);
    ck_assert_uint_eq(breaker_lease_take(&t, 1, 1, &use), 0);
    breaker_lease_clear(&t);
    ck_assert(!breaker_lease_end(&t, first, first_use));
    ck_assert_uint_ne(breaker_lease_take(&t, 1, 1, &use), 0);
    breaker_lease_free(&t);
}
END_TEST

#define THREADS 4
#define ROUNDS  20000

struct worker {
    struct breaker *b;
    unsigned seed;
    uint64_t granted, done, released, refused;
};

static void *work(void *arg)
{
    struct worker *w = arg;

    for (unsigned i = 0; i < ROUNDS; i++) {
        struct breaker_permit p;
        w->seed = w->seed * 1103515245u + 12345u;
        unsigned r = (w->seed >> 16) % 100;
        __atomic_add_fetch(&test_now_ns, 300000, __ATOMIC_RELAXED);
        if (!breaker_acquire(w->b, test_clock(NULL) + 3600 * SEC, &p, NULL)) {
            w->refused++;
            continue;
        }
        w->granted++;
        if (r == 0) {
            breaker_release(w->b, &p);
            w->released++;
        } else {
            breaker_complete(w->b, &p,
                             r < 50   ? BREAKER_FAILURE
                             : r < 60 ? BREAKER_IGNORED
                                      : BREAKER_SUCCESS,
                             r * MS, "stress");
            w->done++;
        }
        if (r == 99)
            look(w->b);
    }
    return NULL;
}

static void count_transitions(const struct breaker_event *ev, void *arg)
{
    if (ev->type == BREAKER_EVENT_STATE_TRANSITION)
        __atomic_add_fetch((uint64_t *)arg, 1, __ATOMIC_RELAXED);
}

/* Used from all reactors: nothing is lost or counted twice, whatever the state was meanwhile. */
START_TEST(threads_lose_nothing)
{
    struct breaker_config c = plain_config();
    c.wait_ms = 5;
    c.automatic_half_open = true;
    c.half_open_max_ms = 50;
    struct breaker *b = make(&c);
    struct worker w[THREADS] = {{0}};
    pthread_t thread[THREADS];
    uint64_t heard = 0, granted = 0, done = 0, released = 0, refused = 0;

    breaker_set_listener(b, count_transitions, &heard);
    for (unsigned i = 0; i < THREADS; i++) {
        w[i] = (struct worker){.b = b, .seed = i * 77 + 1};
        ck_assert_int_eq(pthread_create(&thread[i], NULL, work, &w[i]), 0);
    }
    for (unsigned i = 0; i < 50; i++) {
        breaker_reconfigure(b, &c, NULL, 0);
        breaker_would_permit(b, NULL);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        granted += w[i].granted;
        done += w[i].done;
        released += w[i].released;
        refused += w[i].refused;
    }
    struct breaker_snapshot s = look(b);
    ck_assert_uint_eq(granted, done + released);
    ck_assert_uint_eq(done, s.calls[0] + s.calls[1] + s.calls[2] + s.late);
    ck_assert_uint_eq(refused, s.rejected);
    ck_assert_uint_eq(s.lost, 0);
    uint64_t transitions = 0;
    for (int i = 0; i < BREAKER_STATE_COUNT; i++)
        transitions += s.transitions[i];
    ck_assert_uint_eq(heard, transitions);
    ck_assert_uint_gt(s.transitions[BREAKER_OPEN], 10); /* it did go round */
    breaker_destroy(b);
}
END_TEST

static void *grab(void *arg)
{
    struct worker *w = arg;
    struct breaker_permit p;

    for (int i = 0; i < 50; i++)
        w->granted += breaker_acquire(w->b, 0, &p, NULL) ? 1 : 0;
    return NULL;
}

/* #1432 and others: never more probes than permitted, even when all threads end OPEN together. */
START_TEST(threads_share_the_half_open_budget)
{
    struct breaker_config c = plain_config();
    struct breaker *b = make(&c);

    for (int round = 0; round < 200; round++) {
        struct worker w[THREADS] = {{0}};
        pthread_t thread[THREADS];
        uint64_t granted = 0;
        go(b, BREAKER_OPEN);
        test_now_ns += SEC + 1;
        for (unsigned i = 0; i < THREADS; i++) {
            w[i].b = b;
            ck_assert_int_eq(pthread_create(&thread[i], NULL, grab, &w[i]), 0);
        }
        for (unsigned i = 0; i < THREADS; i++) {
            pthread_join(thread[i], NULL);
            granted += w[i].granted;
        }
        ck_assert_uint_eq(granted, 3);
        ck_assert_uint_eq(look(b).not_permitted, THREADS * 50 - 3);
    }
    breaker_destroy(b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("breaker_window");
    TCase *t = tcase_create("window");

    tcase_add_loop_test(t, window_counts_what_is_live, 0, 10);
    tcase_add_test(t, leases_expire_in_order_of_due_time);
    tcase_add_test(t, leases_are_bounded);
    tcase_add_test(t, threads_lose_nothing);
    tcase_add_test(t, threads_share_the_half_open_budget);
    tcase_set_timeout(t, 60);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
