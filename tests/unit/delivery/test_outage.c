/* MVNO AP away, overloaded, or ourselves restarted: nothing is lost, nothing overtakes, nobody is hammered
 * (CONTRACT.md 3: at least once, in order per line, through restarts and outages). */
#include "rig.h"

#include <errno.h>
#include <sys/resource.h>

START_TEST(contract_3_outage_probes_only_and_all_is_due_when_it_is_back)
{
    struct delivery_config config = test_config();
    int port = sim_port;
    sim_kill();
    delivery_start(&config);
    make_events(40, 5);
    ck_assert(rig_until(!delivery_up(delivery), 10000));
    ck_assert_int_eq(metric_value(&delivery_metric_up, 0), 0);
    double before = attempts_of(POST_UNREACHED);
    rig_run(1500);
    double probes = attempts_of(POST_UNREACHED) - before;
    ck_assert_msg(probes >= 5 && probes <= 40, "%.0f probes in 1.5 s, 100 ms apart", probes);
    ck_assert_int_le(metric_value(&delivery_metric_in_flight, 0), 1);
    ck_assert_int_eq(journal_now().events_pending, 200);
    sim_start(port, SECRET);
    ck_assert(rig_until(all_delivered(), 20000));
    ck_assert(delivery_up(delivery));
    ck_assert_int_eq(metric_value(&delivery_metric_up, 0), 1);
    in_order(40, 5);
    sim_is_content();
    ck_assert_int_eq(sim_stat("duplicates"), 0);
}
END_TEST

/* What failed before the destination was found to be down is deferred for long, and still goes at once. */
START_TEST(contract_3_deferred_events_are_due_when_it_is_back)
{
    struct delivery_config config = test_config();
    config.breaker_wait_ms = 500;
    config.probe_ms = 600000;
    config.breaker_consecutive = 1000;
    sim_fault("{\"operation\":\"results\",\"kind\":\"http_status\",\"status\":500,\"count\":10}");
    delivery_start(&config);
    double before = attempts_of(POST_STATUS);
    made_ago_ms = 1200000; /* so old that a failure defers them by minutes */
    make_events(10, 1);    /* the tenth failure opens the breaker: ten calls, more than half of them failed */
    ck_assert(rig_until(attempts_of(POST_STATUS) - before >= 10 && !delivery_up(delivery), 5000));
    uint64_t start = clock_mono_ns();
    ck_assert(rig_until(all_delivered(), 10000));
    uint64_t took_ms = (clock_mono_ns() - start) / NS_PER_MS;
    ck_assert_msg(took_ms < 5000, "%d ms: the first probe, and then all of them", (int)took_ms);
    in_order(10, 1);
}
END_TEST

/* An MVNO AP that takes everything and answers nothing: as many calls as may be under way, then probes. */
START_TEST(contract_3_hang_is_the_destinations)
{
    struct delivery_config config = test_config();
    config.deadline_ms = 200;
    sim_fault("{\"operation\":\"results\",\"kind\":\"hang\",\"phase\":\"after\"}");
    double before = attempts_of(POST_TIMEOUT);
    make_events(100, 1);
    delivery_start(&config);
    ck_assert(rig_until(!delivery_up(delivery), 10000));
    rig_run(700);
    double timeouts = attempts_of(POST_TIMEOUT) - before;
    ck_assert_msg(timeouts <= 16 + 8, "%.0f attempts", timeouts);
    sim_no_faults();
    ck_assert(rig_until(all_delivered(), 20000));
    in_order(100, 1);
    ck_assert_int_gt(sim_stat("duplicates"), 0); /* they had been taken: the same ids again */
    sim_is_content();
}
END_TEST

START_TEST(contract_3_restart_delivers_what_was_left)
{
    struct delivery_config config = test_config();
    int port = sim_port;
    config.breaker_wait_ms = config.probe_ms = 60000; /* everything that failed is deferred by a minute */
    sim_kill();
    delivery_start(&config);
    make_events(5, 4);
    ck_assert(rig_until(!delivery_up(delivery), 10000));
    delivery_end();
    journal_end();
    sim_start(port, SECRET);
    journal_start();
    ck_assert_int_eq(journal_now().events_pending, 20);
    delivery_start(&config);
    ck_assert(rig_until(all_delivered(), 10000));
    in_order(5, 4);
    ck_assert_int_eq(sim_stat("duplicates"), 0);
}
END_TEST

/* Between the answer and its storing: the event is repeated, with the same id and the same body. */
START_TEST(contract_3_stopped_during_a_call_repeats_the_same_event)
{
    struct delivery_config config = test_config();
    config.deadline_ms = 20000;
    sim_fault("{\"operation\":\"results\",\"kind\":\"hang\",\"phase\":\"after\"}");
    delivery_start(&config);
    make_events(3, 2);
    ck_assert(rig_until(sim_stat("received") == 3, 10000));
    ck_assert(!delivery_idle(delivery));
    delivery_end();
    journal_end();
    sim_no_faults();
    journal_start();
    ck_assert_int_eq(journal_now().events_pending, 6);
    delivery_start(&config);
    ck_assert(rig_until(all_delivered(), 10000));
    in_order(3, 2);
    ck_assert_int_eq(sim_stat("duplicates"), 3);
    sim_is_content();
}
END_TEST

START_TEST(drain_lets_calls_end_and_starts_none)
{
    struct delivery_config config = test_config();
    config.deadline_ms = 20000;
    sim_fault("{\"operation\":\"results\",\"kind\":\"gate\"}");
    delivery_start(&config);
    make_events(3, 2);
    ck_assert(rig_until(sim_stat("received") == 3, 10000));
    delivery_drain(delivery);
    ck_assert(!delivery_idle(delivery));
    sim_no_faults();
    ck_assert(rig_until(delivery_idle(delivery), 5000));
    delivery_end();
    ck_assert_int_eq(journal_now().events_pending, 3);
    ck_assert_int_eq(sim_stat("received"), 3);
}
END_TEST

/* Milliseconds between the first and the last attempt that MVNO AP saw. */
static int64_t attempts_span(size_t *count)
{
    int64_t first = 0, last = 0, at;
    const cJSON *attempt;
    cJSON *tree = sim_ask("GET", "/_sim/attempts", NULL);
    *count = 0;
    cJSON_ArrayForEach(attempt, json_array(tree, "attempts"))
    {
        ck_assert(json_int(attempt, "atMs", &at));
        first = first ? first : at;
        last = at;
        ++*count;
    }
    cJSON_Delete(tree);
    return last - first;
}

/* CONVENTIONS.md 7: 429 slows down. The destination is not down, but is left alone for as long as it asked. */
START_TEST(a_429_with_retry_after_only_slows_down)
{
    size_t count;
    struct delivery_config config = test_config();
    sim_fault("{\"operation\":\"results\",\"kind\":\"http_status\",\"status\":429,"
              "\"headers\":{\"Retry-After\":\"1\"},\"count\":1}");
    double before = attempts_of(POST_PUSHED_BACK);
    make_events(1, 3);
    delivery_start(&config);
    ck_assert(rig_until(attempts_of(POST_PUSHED_BACK) - before >= 1, 5000));
    ck_assert(delivery_up(delivery));
    ck_assert(rig_until(all_delivered(), 10000));
    int64_t span = attempts_span(&count);
    ck_assert_uint_eq(count, 4);
    ck_assert_msg(span >= 950 && span < 4000, "%d ms", (int)span);
    in_order(1, 3);
}
END_TEST

/* The pause is everybody's: what was under way may still be refused, nothing new goes out. */
START_TEST(a_503_with_retry_after_stops_all_lines_for_that_long)
{
    size_t count;
    struct delivery_config config = test_config();
    sim_fault("{\"operation\":\"results\",\"kind\":\"http_status\",\"status\":503,"
              "\"headers\":{\"Retry-After\":\"1\"}}");
    make_events(200, 1);
    delivery_start(&config);
    rig_run(900);
    (void)attempts_span(&count);
    ck_assert_msg(count >= 1 && count <= 16, "%zu attempts in the first second", count);
    ck_assert(delivery_up(delivery));
    sim_no_faults();
    ck_assert(rig_until(all_delivered(), 20000));
    in_order(200, 1);
    ck_assert_int_eq(sim_stat("duplicates"), 0);
}
END_TEST

START_TEST(endless_push_back_is_down_in_the_end)
{
    struct delivery_config config = test_config();
    config.breaker_consecutive = 1;
    sim_fault("{\"operation\":\"results\",\"kind\":\"http_status\",\"status\":429}");
    make_events(1, 1);
    delivery_start(&config);
    ck_assert(rig_until(!delivery_up(delivery), 10000));
    ck_assert_int_le(sim_stat("received"), PUSH_BACK_ROUNDS + 2);
    sim_no_faults();
    ck_assert(rig_until(all_delivered(), 10000));
    ck_assert(delivery_up(delivery));
}
END_TEST

/* A backlog goes out at `rate`, not all at once. */
START_TEST(a_backlog_is_paced)
{
    struct delivery_config config = test_config();
    config.rate = 100;
    made_ago_ms = 60000;
    make_events(60, 2);
    made_ago_ms = 0;
    delivery_start(&config);
    uint64_t start = clock_mono_ns();
    ck_assert(rig_until(all_delivered(), 20000));
    uint64_t took_ms = (clock_mono_ns() - start) / NS_PER_MS;
    ck_assert_msg(took_ms >= 1000, "120 events at 100 a second took %d ms", (int)took_ms);
    in_order(60, 2);
    start = clock_mono_ns();
    make_events(60, 2); /* no backlog any more: as they come */
    ck_assert(rig_until(all_delivered(), 20000));
    took_ms = (clock_mono_ns() - start) / NS_PER_MS;
    ck_assert_msg(took_ms < 1000, "120 fresh events took %d ms", (int)took_ms);
}
END_TEST

START_TEST(what_gathered_in_an_outage_is_paced)
{
    struct delivery_config config = test_config();
    int port = sim_port;
    config.rate = 100;
    delivery_start(&config);
    make_events(1, 1);
    ck_assert(rig_until(all_delivered(), 10000));
    sim_kill();
    make_events(1, 1);
    ck_assert(rig_until(!delivery_up(delivery), 10000));
    made_ago_ms = 60000;
    make_events(60, 2);
    sim_start(port, SECRET);
    uint64_t start = clock_mono_ns();
    ck_assert(rig_until(all_delivered(), 20000));
    uint64_t took_ms = (clock_mono_ns() - start) / NS_PER_MS;
    ck_assert_msg(took_ms >= 1000, "120 events at 100 a second took %d ms", (int)took_ms);
}
END_TEST

/* An operator closes the way for planned work at MVNO AP, and opens it again; nobody tells the delivery. */
START_TEST(operators_breaker_stops_and_resumes)
{
    char err[128];
    struct delivery_config config = test_config();
    delivery_start(&config);
    make_events(1, 1);
    ck_assert(rig_until(all_delivered(), 10000));
    ck_assert(breaker_transition(delivery_breaker(delivery), BREAKER_FORCED_OPEN, BREAKER_WAIT_CONFIGURED,
                                 err, sizeof err));
    make_events(3, 1);
    ck_assert(rig_until(!delivery_up(delivery), 5000));
    rig_run(200);
    ck_assert_int_eq(sim_stat("received"), 1);
    ck_assert(breaker_transition(delivery_breaker(delivery), BREAKER_CLOSED, BREAKER_WAIT_CONFIGURED, err,
                                 sizeof err));
    ck_assert(rig_until(all_delivered(), 10000));
    ck_assert(delivery_up(delivery));
}
END_TEST

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* The disk refuses the attempt: it is handed in again until it is stored, and the line waits for it. */
START_TEST(an_attempt_that_cannot_be_stored_holds_its_line)
{
    struct delivery_config config = test_config();
    config.deadline_ms = 20000;
    signal(SIGXFSZ, SIG_IGN);
    sim_fault("{\"operation\":\"results\",\"kind\":\"gate\"}");
    delivery_start(&config);
    make_events(2, 3);
    ck_assert(rig_until(sim_stat("received") == 2, 10000));
    limit_files(1);
    sim_no_faults();
    bool held = rig_until(delivery->count[LANE_RETRY] == 2, 10000);
    rig_run(300);
    size_t retrying = delivery->count[LANE_RETRY] + delivery->count[LANE_STORING];
    limit_files(RLIM_INFINITY);
    ck_assert(held);
    ck_assert_uint_eq(retrying, 2);
    ck_assert_int_eq(sim_stat("received"), 2);
    bool stats = false;
    while (!stats) { /* the journal opens its file again by itself */
        struct journal_op op;
        journal_ask(&op, JOURNAL_STATS);
        stats = op.status == JOURNAL_OK && op.stats.events_pending == 0;
        journal_op_clear(&op);
        rig_run(20);
    }
    in_order(2, 3);
    ck_assert_int_eq(sim_stat("duplicates"), 0);
}
END_TEST

/* A wall clock that was set back must not silence anything for hours: nobody defers for so long. */
START_TEST(a_due_time_far_ahead_is_a_clock_that_was_set_back)
{
    struct delivery_config config = test_config();
    sim_fault("{\"operation\":\"results\",\"kind\":\"gate\"}");
    delivery_start(&config);
    make_events(1, 1);
    ck_assert(rig_until(sim_stat("received") == 1, 10000));
    struct lane *lane = lane_find(delivery, "01000000000");
    ck_assert_ptr_nonnull(lane);
    struct journal_op op; /* an attempt "of before": due again in an hour */
    bool done = false;
    journal_op_init(&op, journal, JOURNAL_EVENT_ATTEMPT, &reactor.inbox, on_asked, &done);
    op.attempt = (struct journal_attempt){.seq = lane->seq,
                                          .at = clock_wall_ms(),
                                          .next_due = clock_wall_ms() + 7200000,
                                          .verdict = VERDICT_AGAIN};
    ck_assert(journal_submit(&op));
    ck_assert(rig_until(done, 5000));
    journal_op_clear(&op);
    sim_no_faults();
    ck_assert(rig_until(all_delivered(), 10000));
}
END_TEST

/* 3 000 events a second and more are the aim (DESIGN.md, "Numbers"); a sanitised build is far slower, so only a
 * floor is asserted, and the figure is printed. */
START_TEST(throughput)
{
    struct delivery_config config = test_config();
    const char *scale = getenv("PCS_TEST_EVENTS");
    unsigned lines = 500, each = scale ? (unsigned)atoi(scale) / lines : 4;
    config.concurrency = 64;
    config.rate = 1000000;
    config.deadline_ms = 5000;
    config.breaker_wait_ms = 1000;
    config.probe_ms = 30000;
    make_events(lines, each);
    uint64_t start = clock_mono_ns();
    double before = attempts_of(POST_DELIVERED);
    delivery_start(&config);
    ck_assert(rig_until(attempts_of(POST_DELIVERED) - before >= lines * each, 60000));
    ck_assert(rig_until(all_delivered(), 60000));
    double seconds = (double)(clock_mono_ns() - start) / (double)NS_PER_SEC;
    printf("throughput: %u events in %.2f s, %.0f a second\n", lines * each, seconds, lines * each / seconds);
    ck_assert(lines * each / seconds > 200);
    ck_assert_uint_eq(accepted(NULL, NULL, 0), lines * each);
    in_order(lines, each);
    sim_is_content();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("delivery outage");
    TCase *tc = tcase_create("outage");
    tcase_set_timeout(tc, 90);
    tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
    tcase_add_test(tc, contract_3_outage_probes_only_and_all_is_due_when_it_is_back);
    tcase_add_test(tc, contract_3_deferred_events_are_due_when_it_is_back);
    tcase_add_test(tc, contract_3_hang_is_the_destinations);
    tcase_add_test(tc, contract_3_restart_delivers_what_was_left);
    tcase_add_test(tc, contract_3_stopped_during_a_call_repeats_the_same_event);
    tcase_add_test(tc, drain_lets_calls_end_and_starts_none);
    tcase_add_test(tc, a_429_with_retry_after_only_slows_down);
    tcase_add_test(tc, a_503_with_retry_after_stops_all_lines_for_that_long);
    tcase_add_test(tc, endless_push_back_is_down_in_the_end);
    tcase_add_test(tc, a_backlog_is_paced);
    tcase_add_test(tc, what_gathered_in_an_outage_is_paced);
    tcase_add_test(tc, operators_breaker_stops_and_resumes);
    tcase_add_test(tc, an_attempt_that_cannot_be_stored_holds_its_line);
    tcase_add_test(tc, a_due_time_far_ahead_is_a_clock_that_was_set_back);
    tcase_add_test(tc, throughput);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
