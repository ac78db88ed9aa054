/* The gate: breaker and bulkhead passed together (DESIGN.md, Failure). Whatever the race, every slot and every permit
 * goes back exactly once: at the end of each test the bulkhead is empty and the breaker's permits are whole. */
#include "pcs/call/gate.h"
#include "unit/call/rig.h"

static struct gate gate;

static struct breaker *make_breaker(int wait_ms)
{
    struct breaker_config config = breaker_config_default();
    char err[128];
    config.slow_duration_ns = (int64_t)NS_PER_SEC;
    config.minimum_calls = 2;
    config.window_size = 2;
    config.wait_ms = wait_ms;
    config.wait_max_ms = wait_ms;
    config.wait_jitter = 0;
    config.half_open_permits = 1;
    config.lease_grace_ms = 50;
    struct breaker *b = breaker_create("kos.inquiry", &config, err, sizeof err);
    ck_assert_msg(b != NULL, "%s", err);
    return b;
}

static void setup(void)
{
    rig_setup();
    gate = (struct gate){
        .name = "inquiry", .breaker = make_breaker(100), .bulkhead = bulkhead_create("inquiry", 2, 2)};
}

static struct bulkhead_snapshot slots(void)
{
    struct bulkhead_snapshot s;
    bulkhead_snapshot(gate.bulkhead, &s);
    return s;
}

static void teardown(void)
{
    rig_run(5);
    ck_assert_uint_eq(slots().in_flight, 0);
    ck_assert_uint_eq(slots().queued, 0);
    rig_teardown();
    breaker_destroy(gate.breaker);
    bulkhead_destroy(gate.bulkhead);
}

struct told {
    unsigned count;
    enum gate_answer answer;
    struct gate_pass *pass;
    uint64_t wait_ns;
};

static void on_told(void *arg, enum gate_answer answer, struct gate_pass *pass, uint64_t wait_ns)
{
    struct told *t = arg;
    t->count++;
    t->answer = answer;
    t->pass = pass;
    t->wait_ns = wait_ns;
    ck_assert((pass != NULL) == (answer == GATE_OPEN));
}

static uint64_t in_ms(uint64_t ms)
{
    return clock_mono_ns() + ms * NS_PER_MS;
}

static struct gate_pass *ask(struct told *t)
{
    struct gate_pass *p = gate_enter(&gate, &reactor, in_ms(100), in_ms(1000), on_told, t);
    ck_assert_ptr_nonnull(p);
    ck_assert_uint_eq(t->count, 0); /* never before the call returned */
    return p;
}

static enum gate_answer answer_of(struct told *t)
{
    ck_assert(rig_until(t->count, 2000));
    ck_assert_uint_eq(t->count, 1);
    return t->answer;
}

static void good(struct told *t)
{
    gate_leave(t->pass, BREAKER_SUCCESS, 1000, NULL);
}

static void open_breaker(void)
{
    for (int i = 0; i < 2; i++) {
        struct told t = {0};
        ask(&t);
        ck_assert_int_eq(answer_of(&t), GATE_OPEN);
        gate_leave(t.pass, BREAKER_FAILURE, 1000, "timeout");
    }
}

START_TEST(open_at_once)
{
    struct told t = {0};
    uint64_t wait = 1;
    ck_assert(gate_looks_open(&gate, &wait));
    ck_assert_uint_eq(wait, 0);
    ask(&t);
    ck_assert_int_eq(answer_of(&t), GATE_OPEN);
    ck_assert_uint_eq(slots().in_flight, 1);
    good(&t);
}
END_TEST

/* The third waits, gets the first one's slot; the fifth is refused. */
START_TEST(queue_and_full)
{
    struct told t[5] = {{0}};
    for (int i = 0; i < 5; i++) {
        ask(&t[i]);
    }
    ck_assert_int_eq(answer_of(&t[4]), GATE_FULL);
    ck_assert_int_eq(answer_of(&t[1]), GATE_OPEN);
    ck_assert_uint_eq(t[2].count + t[3].count, 0);
    good(&t[0]);
    ck_assert_int_eq(answer_of(&t[2]), GATE_OPEN);
    ck_assert_uint_eq(t[3].count, 0);
    gate_return(t[1].pass);
    ck_assert_int_eq(answer_of(&t[3]), GATE_OPEN);
    good(&t[2]);
    good(&t[3]);
}
END_TEST

START_TEST(late_in_the_queue)
{
    struct told t[4] = {{0}};
    ask(&t[0]);
    ask(&t[1]);
    uint64_t start = clock_mono_ns();
    gate_enter(&gate, &reactor, in_ms(60), in_ms(1000), on_told, &t[2]);
    gate_enter(&gate, &reactor, in_ms(30), in_ms(1000), on_told, &t[3]);
    ck_assert_int_eq(answer_of(&t[3]), GATE_LATE);
    ck_assert_uint_eq(t[2].count, 0);
    ck_assert_uint_ge((clock_mono_ns() - start) / NS_PER_MS, 30);
    ck_assert_int_eq(answer_of(&t[2]), GATE_LATE);
    ck_assert_uint_lt((clock_mono_ns() - start) / NS_PER_MS, 200);
    ck_assert_uint_eq(slots().queued, 0);
    good(&t[0]);
    good(&t[1]);
}
END_TEST

START_TEST(breaker_open)
{
    struct told t = {0};
    struct breaker_snapshot s;
    uint64_t wait;
    open_breaker();
    ck_assert(!gate_looks_open(&gate, &wait));
    ck_assert_uint_gt(wait, 0);
    ask(&t);
    ck_assert_int_eq(answer_of(&t), GATE_BREAKER);
    ck_assert_uint_gt(t.wait_ns, 0);
    ck_assert_uint_le(t.wait_ns, 100 * NS_PER_MS);
    ck_assert_uint_eq(slots().in_flight, 0);
    breaker_snapshot(gate.breaker, &s);
    ck_assert_uint_eq(s.rejected, 1); /* the refusal is counted, the look is not */
}
END_TEST

/* The breaker opens while somebody waits: the slot comes, the permit does not, the slot goes on to the next. */
START_TEST(breaker_opens_while_queued)
{
    struct told t[4] = {{0}};
    for (int i = 0; i < 4; i++) {
        ask(&t[i]);
    }
    ck_assert_int_eq(answer_of(&t[1]), GATE_OPEN);
    gate_leave(t[0].pass, BREAKER_FAILURE, 1, "reset");
    gate_leave(t[1].pass, BREAKER_FAILURE, 1, "reset");
    /* the first grant was made when the breaker was still closed, but is judged when it is delivered */
    ck_assert_int_eq(answer_of(&t[2]), GATE_BREAKER);
    ck_assert_int_eq(answer_of(&t[3]), GATE_BREAKER);
}
END_TEST

/* Half-open: one probe; the second asker is refused and takes no slot; a returned probe leaves the permit free. */
START_TEST(half_open_probe)
{
    struct told probe = {0}, second = {0}, third = {0};
    struct breaker_snapshot s;
    open_breaker();
    rig_run(120);
    ask(&probe);
    ck_assert_int_eq(answer_of(&probe), GATE_OPEN);
    ask(&second);
    ck_assert_int_eq(answer_of(&second), GATE_BREAKER);
    ck_assert_uint_eq(slots().in_flight, 1);
    gate_return(probe.pass);
    ask(&third);
    ck_assert_int_eq(answer_of(&third), GATE_OPEN);
    good(&third);
    breaker_snapshot(gate.breaker, &s);
    ck_assert_int_eq(s.state, BREAKER_CLOSED);
}
END_TEST

/* A probe in a full bulkhead keeps no permit while it waits. */
START_TEST(no_permit_while_queued)
{
    struct told held[2] = {{0}}, queued = {0};
    struct breaker_snapshot s;
    ask(&held[0]);
    ask(&held[1]);
    answer_of(&held[1]);
    ck_assert(breaker_transition(gate.breaker, BREAKER_OPEN, 10, NULL, 0));
    rig_run(30);
    ask(&queued);
    rig_run(5);
    breaker_snapshot(gate.breaker, &s);
    ck_assert_int_eq(s.state, BREAKER_HALF_OPEN);
    ck_assert_int_eq((int)s.half_open_permits_left, 1);
    good(&held[0]);
    ck_assert_int_eq(answer_of(&queued), GATE_OPEN);
    breaker_snapshot(gate.breaker, &s);
    ck_assert_int_eq((int)s.half_open_permits_left, 0);
    good(&queued);
    good(&held[1]);
}
END_TEST

/* A probe that never comes back is taken back as a failure (BREAKER.md: lost), and the late return harms nothing. */
START_TEST(lost_probe)
{
    struct told probe = {0};
    struct breaker_snapshot s;
    open_breaker();
    rig_run(120);
    gate_enter(&gate, &reactor, in_ms(100), in_ms(20), on_told, &probe);
    ck_assert_int_eq(answer_of(&probe), GATE_OPEN);
    rig_run(90);
    breaker_snapshot(gate.breaker, &s);
    ck_assert_uint_eq(s.lost, 1);
    ck_assert_int_eq(s.state, BREAKER_OPEN);
    ck_assert_uint_eq(slots().in_flight, 1);
    good(&probe);
    breaker_snapshot(gate.breaker, &s);
    ck_assert_uint_eq(s.late, 1);
    ck_assert_int_eq(s.state, BREAKER_OPEN);
}
END_TEST

/* ---- cancel in each state ---- */

START_TEST(cancel_before_being_told)
{
    struct told open = {0}, refused = {0}, full[5] = {{0}};
    gate_cancel(ask(&open));
    ck_assert_uint_eq(slots().in_flight, 0);
    for (int i = 0; i < 4; i++) {
        ask(&full[i]);
    }
    gate_cancel(ask(&full[4]));
    ck_assert_int_eq(answer_of(&full[1]), GATE_OPEN);
    gate_leave(full[0].pass, BREAKER_FAILURE, 1, NULL);
    gate_leave(full[1].pass, BREAKER_FAILURE, 1, NULL);
    ck_assert_int_eq(answer_of(&full[3]), GATE_BREAKER);
    gate_cancel(ask(&refused));
    rig_run(20);
    ck_assert_uint_eq(open.count + refused.count + full[4].count, 0);
}
END_TEST

START_TEST(cancel_in_the_queue)
{
    struct told t[3] = {{0}};
    ask(&t[0]);
    ask(&t[1]);
    struct gate_pass *waiting = ask(&t[2]);
    ck_assert_int_eq(answer_of(&t[1]), GATE_OPEN);
    gate_cancel(waiting);
    good(&t[0]);
    good(&t[1]);
    rig_run(150);
    ck_assert_uint_eq(t[2].count, 0);
}
END_TEST

/* Granted, and cancelled before the message of the grant has come: the slot goes back at once, once. */
START_TEST(cancel_after_the_grant)
{
    struct told t[4] = {{0}};
    ask(&t[0]);
    ask(&t[1]);
    struct gate_pass *waiting = ask(&t[2]);
    ck_assert_int_eq(answer_of(&t[1]), GATE_OPEN);
    good(&t[0]); /* posts the grant */
    ck_assert_uint_eq(slots().in_flight, 2);
    gate_cancel(waiting);
    ck_assert_uint_eq(slots().in_flight, 1);
    ask(&t[3]);
    ck_assert_int_eq(answer_of(&t[3]), GATE_OPEN);
    ck_assert_uint_eq(slots().in_flight, 2);
    good(&t[1]);
    good(&t[3]);
    ck_assert_uint_eq(t[2].count, 0);
}
END_TEST

/* The same with the deadline instead of a cancel: late is what the caller hears. */
START_TEST(late_after_the_grant)
{
    struct told t[3] = {{0}};
    ask(&t[0]);
    ask(&t[1]);
    gate_enter(&gate, &reactor, in_ms(20), in_ms(1000), on_told, &t[2]);
    ck_assert(rig_until(t[1].count, 1000));
    usleep(30000);
    good(&t[0]); /* timers run before the inbox */
    ck_assert_int_eq(answer_of(&t[2]), GATE_LATE);
    rig_run(10);
    ck_assert_uint_eq(slots().in_flight, 1);
    good(&t[1]);
}
END_TEST

START_TEST(cancel_instead_of_return)
{
    struct told t = {0};
    ask(&t);
    ck_assert_int_eq(answer_of(&t), GATE_OPEN);
    gate_cancel(t.pass);
    ck_assert_uint_eq(slots().in_flight, 0);
}
END_TEST

static void enter_again(void *arg, enum gate_answer answer, struct gate_pass *pass, uint64_t wait_ns)
{
    int *left = arg;
    (void)wait_ns;
    ck_assert_int_eq(answer, GATE_OPEN);
    gate_leave(pass, BREAKER_SUCCESS, 1, NULL);
    if (--*left > 0) {
        gate_enter(&gate, &reactor, in_ms(100), in_ms(100), enter_again, left);
    }
}

START_TEST(entered_in_a_callback)
{
    int left = 100;
    gate_enter(&gate, &reactor, in_ms(100), in_ms(100), enter_again, &left);
    ck_assert(rig_until(left == 0, 2000));
}
END_TEST

START_TEST(without_bulkhead_or_breaker)
{
    struct gate plain = {.name = "plain"};
    struct told t = {0};
    uint64_t wait;
    gate_enter(&plain, &reactor, in_ms(1), in_ms(1), on_told, &t);
    ck_assert_int_eq(answer_of(&t), GATE_OPEN);
    ck_assert(gate_looks_open(&plain, &wait));
    good(&t);
}
END_TEST

/* A reactor that stops runs its hooks no more: the caller is told all the same. */
START_TEST(without_hooks)
{
    struct told t = {0};
    uv_prepare_stop(&turn_end);
    ask(&t);
    ck_assert_int_eq(answer_of(&t), GATE_OPEN);
    good(&t);
    uv_prepare_start(&turn_end, run_hooks);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gate");
    TCase *c = tcase_create("gate");
    tcase_set_timeout(c, 30);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, open_at_once);
    tcase_add_test(c, queue_and_full);
    tcase_add_test(c, late_in_the_queue);
    tcase_add_test(c, breaker_open);
    tcase_add_test(c, breaker_opens_while_queued);
    tcase_add_test(c, half_open_probe);
    tcase_add_test(c, no_permit_while_queued);
    tcase_add_test(c, lost_probe);
    tcase_add_test(c, cancel_before_being_told);
    tcase_add_test(c, cancel_in_the_queue);
    tcase_add_test(c, cancel_after_the_grant);
    tcase_add_test(c, late_after_the_grant);
    tcase_add_test(c, cancel_instead_of_return);
    tcase_add_test(c, entered_in_a_callback);
    tcase_add_test(c, without_bulkhead_or_breaker);
    tcase_add_test(c, without_hooks);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
