/* Forwarding: history rows and calls, events in order per line, cache invalidations (CONTRACT.md 3 to 5). */
#include "unit/journal/support.h"

#include <pthread.h>
#include <stdatomic.h>

static void settled_change(char id[37], const char *line, const struct journal_event *event)
{
    ck_assert_int_eq(intent(uuid_v7(id), line, CHANGE_ACCEPTED), JOURNAL_OK);
    struct journal_op op = op_make(JOURNAL_CANCEL);
    op.change = (struct change_record){
        .request_id = id, .state = CHANGE_CANCELLED, .result_code = "CANCELLED", .processed_at = T0 + 3};
    op.event = event;
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    journal_op_clear(&op);
}

static struct journal_op pull_history(int64_t limit)
{
    struct journal_op op = op_make(JOURNAL_HISTORY_PULL);
    op.limit = limit;
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    return op;
}

/* Rows come complete, oldest first, until they are acknowledged. */
START_TEST(history_pull_and_ack)
{
    char ids[5][37], line[32];
    for (int i = 0; i < 5; i++) {
        snprintf(line, sizeof line, "0105555%04d", i);
        settled_change(ids[i], line, NULL);
    }
    struct journal_op op = pull_history(3);
    ck_assert_uint_eq(op.list_count, 3);
    for (int i = 0; i < 3; i++) {
        ck_assert_str_eq(op.list[i].request_id, ids[i]);
        ck_assert_str_eq(op.list[i].target_name, "5G 나");
        ck_assert_str_eq(op.list[i].result_code, "CANCELLED");
        ck_assert_int_eq(op.list[i].processed_at, T0 + 3);
    }
    /* the pull that follows sees the acknowledgement, without waiting for it */
    struct journal_op ack, next;
    bool ack_done, next_done;
    op_start(&ack, JOURNAL_HISTORY_ACK, &ack_done);
    ack.ack_rows = op.seqs;
    ack.ack_row_count = 2;
    op_start(&next, JOURNAL_HISTORY_PULL, &next_done);
    ck_assert(journal_submit(&ack));
    ck_assert(journal_submit(&next));
    op_wait(&ack);
    op_wait(&next);
    ck_assert_uint_eq(next.list_count, 3);
    ck_assert_str_eq(next.list[0].request_id, ids[2]);
    ck_assert_int_eq(stats().history_pending, 3);
    journal_op_clear(&ack);
    journal_op_clear(&next);
    journal_op_clear(&op);
    ck_assert_int_eq(state_of(ids[0]), CHANGE_CANCELLED); /* forwarded rows can still be looked up */
}
END_TEST

/* A row that PostgreSQL refuses for itself is kept aside and does not hold the others up. */
START_TEST(history_dead_is_kept_aside)
{
    char ids[2][37];
    settled_change(ids[0], LINE_A, NULL);
    settled_change(ids[1], LINE_B, NULL);
    struct journal_op op = pull_history(10);
    struct journal_op dead = op_make(JOURNAL_HISTORY_DEAD);
    dead.seq = op.seqs[0];
    dead.reason = "22P05: unsupported Unicode escape sequence";
    ck_assert_int_eq(op_run(&dead), JOURNAL_OK);
    ck_assert_int_eq(op_run(&dead), JOURNAL_NOT_FOUND);
    journal_op_clear(&dead);
    journal_op_clear(&op);
    op = pull_history(10);
    ck_assert_uint_eq(op.list_count, 1);
    ck_assert_str_eq(op.list[0].request_id, ids[1]);
    journal_op_clear(&op);
    struct journal_stats st = stats();
    ck_assert_int_eq(st.history_pending, 1);
    ck_assert_int_eq(st.history_dead, 1);
    /* it is not in PostgreSQL, so the customer's history still has it from here */
    op = op_make(JOURNAL_LIST_LINE);
    op.line = LINE_A;
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    ck_assert_uint_eq(op.list_count, 1);
    journal_op_clear(&op);
}
END_TEST

START_TEST(calls_are_forwarded_once)
{
    const struct journal_call calls[] = {{.request_id = "r1",
                                          .operation = "inquiry",
                                          .attempt = 1,
                                          .http_status = 200,
                                          .result_code = "0000",
                                          .outcome = "OK",
                                          .milliseconds = 12,
                                          .breaker_state = "CLOSED",
                                          .at = T0},
                                         {.request_id = "r1",
                                          .operation = "order",
                                          .attempt = 1,
                                          .http_status = 0,
                                          .outcome = "TIMEOUT",
                                          .milliseconds = 5000,
                                          .breaker_state = "CLOSED",
                                          .at = T0 + 1}};
    struct journal_op op = op_make(JOURNAL_CALLS);
    op.calls_in = calls;
    op.calls_in_count = 2;
    ck_assert_int_eq(op_run(&op), JOURNAL_OK); /* alone: committed after the lazy pause */
    journal_op_clear(&op);
    ck_assert_int_eq(stats().calls_pending, 2);
    op = pull_history(10);
    ck_assert_uint_eq(op.call_count, 2);
    ck_assert_str_eq(op.calls[0].operation, "inquiry");
    ck_assert_str_eq(op.calls[0].result_code, "0000");
    ck_assert_int_eq(op.calls[0].http_status, 200);
    ck_assert_str_eq(op.calls[1].outcome, "TIMEOUT");
    ck_assert_ptr_null(op.calls[1].result_code);
    ck_assert_int_eq(op.calls[1].milliseconds, 5000);
    int64_t seqs[] = {op.calls[0].seq, op.calls[1].seq};
    journal_op_clear(&op);
    op = op_make(JOURNAL_HISTORY_ACK);
    op.ack_calls = seqs;
    op.ack_call_count = 2;
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    journal_op_clear(&op);
    op = pull_history(10);
    ck_assert_uint_eq(op.call_count, 0);
    journal_op_clear(&op);
    ck_assert_int_eq(stats().calls_pending, 0);
}
END_TEST

/* ---- events ---- */

static void add_event(const char *event_id, const char *line)
{
    char id[37];
    struct journal_event e = event_make(event_id, uuid_v7(id), line);
    e.request_id = id;
    struct journal_op op = op_make(JOURNAL_RECORD);
    op.change = change_make(id, line, CHANGE_NOT_SENT);
    op.event = &e;
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    journal_op_clear(&op);
}

static struct journal_op pull_events(int64_t now, int64_t limit)
{
    struct journal_op op = op_make(JOURNAL_EVENTS_PULL);
    op.now = now;
    op.limit = limit;
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    return op;
}

static enum journal_status attempt(int64_t seq, enum journal_verdict verdict, int64_t next_due, bool counted)
{
    struct journal_op op = op_make(JOURNAL_EVENT_ATTEMPT);
    op.attempt = (struct journal_attempt){.seq = seq,
                                          .at = T0,
                                          .status = 503,
                                          .milliseconds = 3,
                                          .next_due = next_due,
                                          .error = "status 503",
                                          .answer = "busy",
                                          .verdict = verdict,
                                          .counted = counted};
    enum journal_status status = op_run(&op);
    journal_op_clear(&op);
    return status;
}

/* The event that would be sent first now; its seq. */
static int64_t first_is(const char *event_id, int64_t now)
{
    struct journal_op op = pull_events(now, 1);
    int64_t seq = 0;
    if (event_id) {
        ck_assert_uint_eq(op.event_count, 1);
        ck_assert_str_eq(op.events[0].event_id, event_id);
        seq = op.events[0].seq;
    } else {
        ck_assert_uint_eq(op.event_count, 0);
    }
    journal_op_clear(&op);
    return seq;
}

/* In order per line: only the oldest of each line, and the next after it. */
START_TEST(events_in_order_per_line)
{
    add_event("a1", LINE_A);
    add_event("a2", LINE_A);
    add_event("b1", LINE_B);
    struct journal_op op = pull_events(T0, 10);
    ck_assert_uint_eq(op.event_count, 2);
    ck_assert_str_eq(op.events[0].event_id, "a1");
    ck_assert_str_eq(op.events[1].event_id, "b1");
    ck_assert_str_eq(op.events[0].line, LINE_A);
    ck_assert_str_eq(op.events[0].type, "product-change.completed");
    ck_assert_ptr_nonnull(strstr(op.events[0].body, "완료"));
    int64_t a1 = op.events[0].seq, b1 = op.events[1].seq;
    journal_op_clear(&op);
    ck_assert_int_eq(attempt(a1, VERDICT_DELIVERED, 0, true), JOURNAL_OK);
    ck_assert_int_eq(attempt(b1, VERDICT_DELIVERED, 0, true), JOURNAL_OK);
    ck_assert_int_eq(attempt(b1, VERDICT_DELIVERED, 0, true), JOURNAL_NOT_FOUND);
    int64_t a2 = first_is("a2", T0);
    ck_assert_int_eq(attempt(a2, VERDICT_DELIVERED, 0, true), JOURNAL_OK);
    first_is(NULL, T0);
    ck_assert_int_eq(stats().events_pending, 0);
    add_event("a3", LINE_A);
    first_is("a3", T0);
}
END_TEST

/* An event that is due later holds its line, not the others. */
START_TEST(event_due_later_holds_its_line)
{
    add_event("a1", LINE_A);
    add_event("a2", LINE_A);
    int64_t a1 = first_is("a1", T0);
    ck_assert_int_eq(attempt(a1, VERDICT_AGAIN, T0 + 100, true), JOURNAL_OK);
    first_is(NULL, T0 + 99);
    add_event("b1", LINE_B);
    ck_assert_int_eq(attempt(first_is("b1", T0 + 99), VERDICT_DELIVERED, 0, true), JOURNAL_OK);
    struct journal_op op = pull_events(T0 + 100, 10);
    ck_assert_uint_eq(op.event_count, 1);
    ck_assert_str_eq(op.events[0].event_id, "a1");
    ck_assert_int_eq(op.events[0].attempts, 1);
    ck_assert_int_eq(op.events[0].due_at, T0 + 100);
    journal_op_clear(&op);
    /* the destination's fault: no attempt is consumed; back again: everything is due */
    ck_assert_int_eq(attempt(a1, VERDICT_AGAIN, T0 + 9999, false), JOURNAL_OK);
    first_is(NULL, T0 + 200);
    op = op_make(JOURNAL_EVENTS_DUE_NOW);
    op.now = T0 + 200;
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    journal_op_clear(&op);
    op = pull_events(T0 + 200, 10);
    ck_assert_uint_eq(op.event_count, 1);
    ck_assert_int_eq(op.events[0].attempts, 1);
    journal_op_clear(&op);
}
END_TEST

/* A dead letter frees its line. */
START_TEST(dead_event_frees_its_line)
{
    add_event("a1", LINE_A);
    add_event("a2", LINE_A);
    ck_assert_int_eq(attempt(first_is("a1", T0), VERDICT_DEAD, 0, true), JOURNAL_OK);
    first_is("a2", T0);
    ck_assert_int_eq(stats().events_dead, 1);
    ck_assert_int_eq(stats().events_pending, 1);
    ck_assert_int_eq(stats().oldest_event_at, T0);
    close_journal();
    open_journal();
    ck_assert_int_eq(stats().events_dead, 1);
    first_is("a2", T0);
}
END_TEST

/* Pulling stays cheap with many events: only heads of lines are looked at. */
START_TEST(many_pending_events)
{
    enum { LINES = 200, EACH = 10 };
    static struct journal_op ops[LINES * EACH];
    static bool done[LINES * EACH];
    static struct journal_event events[LINES * EACH];
    static char ids[LINES * EACH][37], lines[LINES][32];
    for (int i = 0; i < LINES; i++) {
        snprintf(lines[i], sizeof lines[i], "0106666%04d", i);
    }
    for (int i = 0; i < LINES * EACH; i++) {
        events[i] = event_make(uuid_v7(ids[i]), ids[i], NULL);
        op_start(&ops[i], JOURNAL_RECORD, &done[i]);
        ops[i].change = change_make(ids[i], lines[i % LINES], CHANGE_NOT_SENT);
        ops[i].event = &events[i];
        ck_assert(journal_submit(&ops[i]));
    }
    for (int i = 0; i < LINES * EACH; i++) {
        op_wait(&ops[i]);
        ck_assert_int_eq(ops[i].status, JOURNAL_OK);
        journal_op_clear(&ops[i]);
    }
    for (int round = 0; round < EACH; round++) {
        struct journal_op op = pull_events(T0, 1000);
        ck_assert_uint_eq(op.event_count, LINES);
        for (int i = 0; i < LINES; i++) {
            ck_assert_str_eq(op.events[i].event_id, ids[round * LINES + i]);
            op_start(&ops[i], JOURNAL_EVENT_ATTEMPT, &done[i]);
            ops[i].attempt = (struct journal_attempt){.seq = op.events[i].seq,
                                                      .at = T0,
                                                      .status = 200,
                                                      .verdict = VERDICT_DELIVERED,
                                                      .counted = true};
            ck_assert(journal_submit(&ops[i]));
        }
        for (int i = 0; i < LINES; i++) {
            op_wait(&ops[i]);
            ck_assert_int_eq(ops[i].status, JOURNAL_OK);
            journal_op_clear(&ops[i]);
        }
        journal_op_clear(&op);
    }
    ck_assert_int_eq(stats().events_pending, 0);
}
END_TEST

/* ---- invalidations ---- */

static enum journal_status invalidated(const char *line, int64_t generation)
{
    struct journal_op op = op_make(JOURNAL_INVALIDATED);
    op.line = line;
    op.generation = generation;
    enum journal_status status = op_run(&op);
    journal_op_clear(&op);
    return status;
}

static int64_t generation_of(const char *line)
{
    struct journal_op op = op_make(JOURNAL_INVALIDATIONS);
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    int64_t generation = 0;
    for (size_t i = 0; i < op.invalid_count; i++) {
        generation = strcmp(op.invalid[i].line, line) == 0 ? op.invalid[i].generation : generation;
    }
    journal_op_clear(&op);
    return generation;
}

/* CONTRACT.md 4: repeated until Redis acknowledged; an old acknowledgement does not end a newer invalidation. */
START_TEST(invalidation_generations)
{
    char id[37];
    ck_assert_int_eq(intent(uuid_v7(id), LINE_A, CHANGE_SENDING), JOURNAL_OK);
    int64_t first = generation_of(LINE_A);
    ck_assert_int_gt(first, 0);
    ck_assert_int_eq(outcome_at(id, CHANGE_COMPLETED, T0), JOURNAL_OK);
    int64_t second = generation_of(LINE_A);
    ck_assert_int_gt(second, first);
    ck_assert_int_eq(invalidated(LINE_A, first), JOURNAL_NOT_FOUND);
    ck_assert_int_eq(generation_of(LINE_A), second);
    ck_assert_int_eq(stats().invalidations, 1);
    ck_assert_int_eq(invalidated(LINE_A, second), JOURNAL_OK);
    ck_assert_int_eq(generation_of(LINE_A), 0);
    ck_assert_int_eq(stats().invalidations, 0);
    /* a line's next invalidation never has a generation that was used before */
    struct change_record c = change_make(uuid_v7(id), LINE_A, CHANGE_SENDING);
    c.loaded_at = T0 + 1;
    ck_assert_int_eq(change_do(JOURNAL_INTENT, &c), JOURNAL_OK);
    ck_assert_int_gt(generation_of(LINE_A), second);
    close_journal();
    open_journal();
    ck_assert_int_gt(generation_of(LINE_A), second);
}
END_TEST

/* ---- waking ---- */

static void count_wake(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

/* A forwarder is woken by a commit that queued something for it, and not by others. */
START_TEST(forwarders_are_woken)
{
    static atomic_int wakes[SINKS];
    for (int i = 0; i < SINKS; i++) {
        journal_on_pending(journal, (enum journal_sink)i, count_wake, &wakes[i]);
    }
    char id[37];
    ck_assert_int_eq(intent(uuid_v7(id), LINE_A, CHANGE_ACCEPTED), JOURNAL_OK);
    (void)stats(); /* waking follows the answer: a round trip later it has happened */
    ck_assert_int_eq(atomic_load(&wakes[SINK_HISTORY]), 0);
    ck_assert_int_eq(atomic_load(&wakes[SINK_EVENTS]), 0);
    add_event("a1", LINE_A);
    (void)stats();
    ck_assert_int_eq(atomic_load(&wakes[SINK_HISTORY]), 1);
    ck_assert_int_eq(atomic_load(&wakes[SINK_EVENTS]), 1);
    ck_assert_int_eq(attempt(first_is("a1", T0), VERDICT_DELIVERED, 0, true), JOURNAL_OK);
    (void)stats();
    ck_assert_int_eq(atomic_load(&wakes[SINK_EVENTS]), 1);
}
END_TEST

/* CONTRACT.md 4: what a change could not delete itself is handed to the forwarder again and again, until Redis has
 * acknowledged it; then no more. */
START_TEST(invalidations_are_told_every_second_while_there_are_any)
{
    static atomic_int wakes;
    journal_on_pending(journal, SINK_INVALIDATIONS, count_wake, &wakes);
    char id[37];
    ck_assert_int_eq(intent(uuid_v7(id), LINE_A, CHANGE_ACCEPTED), JOURNAL_OK);
    uint64_t until = clock_mono_ns() + 10 * NS_PER_SEC;
    while (atomic_load(&wakes) < 2 && clock_mono_ns() < until) {
        (void)stats();
    }
    ck_assert_int_ge(atomic_load(&wakes), 2);
    ck_assert_int_eq(invalidated(LINE_A, generation_of(LINE_A)), JOURNAL_OK);
    int told = atomic_load(&wakes);
    uint64_t quiet = clock_mono_ns() + 2500 * NS_PER_MS;
    while (clock_mono_ns() < quiet) {
        (void)stats();
    }
    ck_assert_int_le(atomic_load(&wakes), told + 1); /* one may have been on its way */
}
END_TEST

int main(void)
{
    Suite *s = suite_create("journal.forward");
    TCase *t = tcase_create("forward");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, history_pull_and_ack);
    tcase_add_test(t, history_dead_is_kept_aside);
    tcase_add_test(t, calls_are_forwarded_once);
    tcase_add_test(t, events_in_order_per_line);
    tcase_add_test(t, event_due_later_holds_its_line);
    tcase_add_test(t, dead_event_frees_its_line);
    tcase_add_test(t, many_pending_events);
    tcase_add_test(t, invalidation_generations);
    tcase_add_test(t, forwarders_are_woken);
    tcase_add_test(t, invalidations_are_told_every_second_while_there_are_any);
    suite_add_tcase(s, t);
    return run_suite(s);
}
