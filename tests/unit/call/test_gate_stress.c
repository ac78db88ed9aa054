/* The gate under four real reactors: grants cross threads while waiters cancel, come late, and calls end on other
 * threads. Nobody is told twice or forgotten, no slot is lost or given twice. Meant for ThreadSanitizer too. */
#include "pcs/call/gate.h"
#include "pcs/core/clock.h"
#include "pcs/core/id.h"
#include "pcs/core/log.h"

#include <check.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define REACTORS 4
#define PARALLEL 40   /* askers a reactor */
#define ROUNDS   1500 /* passes an asker asks for */
#define SLOTS    8

static struct gate gate;
static atomic_uint inside, most_inside, opened, refused, cancelled, done_askers;
static atomic_bool broken;

struct asker {
    struct reactor *r;
    struct gate_pass *pass;
    uv_timer_t timer; /* cancels, or ends the call */
    unsigned left;
    bool waiting;
};

struct worker {
    struct reactor reactor;
    struct asker askers[PARALLEL];
    struct msg stop;
};

static struct worker workers[REACTORS];

static void ask(struct asker *a);

/* A message that ends a pass on another reactor. */
struct leave_msg {
    struct msg msg;
    struct gate_pass *pass;
};

static void leave_here(struct msg *m)
{
    struct leave_msg *l = (struct leave_msg *)(void *)m;
    atomic_fetch_sub(&inside, 1);
    gate_leave(l->pass, random_u64() % 50 ? BREAKER_SUCCESS : BREAKER_FAILURE, 1000, "stress");
    free(l);
}

static void leave(struct asker *a)
{
    struct leave_msg *l = malloc(sizeof *l);
    l->msg.deliver = leave_here;
    l->pass = a->pass;
    a->pass = NULL;
    if (random_u64() % 2) {
        leave_here(&l->msg);
    } else {
        mailbox_reply(&workers[random_u64() % REACTORS].reactor.inbox, &l->msg);
    }
}

static void on_timer(uv_timer_t *t)
{
    struct asker *a = t->data;
    if (a->waiting) {
        a->waiting = false;
        atomic_fetch_add(&cancelled, 1);
        gate_cancel(a->pass);
        a->pass = NULL;
    } else if (a->pass) {
        leave(a);
    }
    ask(a);
}

static void on_told(void *arg, enum gate_answer answer, struct gate_pass *pass, uint64_t wait_ns)
{
    struct asker *a = arg;
    (void)wait_ns;
    if (!a->waiting || reactor_current() != a->r || (answer == GATE_OPEN && pass != a->pass)) {
        atomic_store(&broken, true);
    }
    a->waiting = false;
    uv_timer_stop(&a->timer);
    if (answer != GATE_OPEN) {
        a->pass = NULL;
        atomic_fetch_add(&refused, 1);
        uv_timer_start(&a->timer, on_timer, random_u64() % 2, 0);
        return;
    }
    unsigned now = atomic_fetch_add(&inside, 1) + 1, most = atomic_load(&most_inside);
    while (now > most && !atomic_compare_exchange_weak(&most_inside, &most, now)) {
    }
    atomic_fetch_add(&opened, 1);
    if (random_u64() % 8 == 0) {
        atomic_fetch_sub(&inside, 1);
        gate_return(a->pass);
        a->pass = NULL;
    }
    uv_timer_start(&a->timer, on_timer, random_u64() % 3, 0);
}

static void ask(struct asker *a)
{
    if (a->left-- == 0) {
        uv_close((uv_handle_t *)&a->timer, NULL);
        atomic_fetch_add(&done_askers, 1);
        return;
    }
    uint64_t now = clock_mono_ns();
    a->waiting = true;
    a->pass = gate_enter(&gate, a->r, now + random_u64() % (4 * NS_PER_MS), now + NS_PER_SEC, on_told, a);
    unsigned dice = random_u64() % 16;
    if (dice == 0) {
        a->waiting = false;
        atomic_fetch_add(&cancelled, 1);
        gate_cancel(a->pass);
        a->pass = NULL;
        uv_timer_start(&a->timer, on_timer, 0, 0);
    } else if (dice < 6) {
        uv_timer_start(&a->timer, on_timer, random_u64() % 3, 0);
    }
}

static bool on_start(struct reactor *r, void *arg)
{
    struct worker *w = arg;
    for (int i = 0; i < PARALLEL; i++) {
        struct asker *a = &w->askers[i];
        a->r = r;
        a->left = ROUNDS;
        a->timer.data = a;
        uv_timer_init(&r->loop, &a->timer);
        ask(a);
    }
    return true;
}

static void stop_here(struct msg *m)
{
    struct worker *w = (struct worker *)(void *)((char *)m - offsetof(struct worker, stop));
    reactor_stop(&w->reactor);
}

START_TEST(four_reactors)
{
    struct breaker_config config = breaker_config_default();
    struct bulkhead_snapshot slots;
    char err[128];
    log_set_threshold(LOG_LEVEL_OFF);
    config.slow_duration_ns = (int64_t)NS_PER_SEC;
    config.wait_ms = 2;
    config.wait_max_ms = 4;
    config.failure_rate = 20;
    gate = (struct gate){.name = "stress",
                         .breaker = breaker_create("stress", &config, err, sizeof err),
                         .bulkhead = bulkhead_create("stress", SLOTS, 24)};
    ck_assert_ptr_nonnull(gate.breaker);
    for (int i = 0; i < REACTORS; i++) {
        ck_assert(reactor_init(&workers[i].reactor, (unsigned)i, err, sizeof err));
    }
    for (int i = 0; i < REACTORS; i++) {
        ck_assert(reactor_start(&workers[i].reactor, "stress", on_start, &workers[i]));
    }
    uint64_t until = clock_mono_ns() + 90 * NS_PER_SEC;
    do {
        usleep(5000);
        bulkhead_snapshot(gate.bulkhead, &slots);
    } while ((atomic_load(&done_askers) < REACTORS * PARALLEL || slots.in_flight || slots.queued) &&
             clock_mono_ns() < until);
    ck_assert_uint_eq(atomic_load(&done_askers), REACTORS * PARALLEL);
    ck_assert_uint_eq(slots.in_flight, 0);
    ck_assert_uint_eq(slots.queued, 0);
    for (int i = 0; i < REACTORS; i++) {
        workers[i].stop.deliver = stop_here;
        mailbox_reply(&workers[i].reactor.inbox, &workers[i].stop);
    }
    for (int i = 0; i < REACTORS; i++) {
        ck_assert(reactor_join(&workers[i].reactor));
        reactor_destroy(&workers[i].reactor);
    }
    ck_assert(!atomic_load(&broken));
    ck_assert_uint_eq(atomic_load(&inside), 0);
    ck_assert_uint_le(atomic_load(&most_inside), SLOTS);
    ck_assert_uint_eq(atomic_load(&opened) + atomic_load(&refused) + atomic_load(&cancelled),
                      REACTORS * PARALLEL * ROUNDS);
    ck_assert_uint_gt(atomic_load(&opened), 0);
    ck_assert_uint_gt(slots.queued_total, 0);
    breaker_destroy(gate.breaker);
    bulkhead_destroy(gate.bulkhead);
}
END_TEST

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    Suite *suite = suite_create("gate stress");
    TCase *c = tcase_create("stress");
    tcase_set_timeout(c, 110);
    tcase_add_test(c, four_reactors);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
