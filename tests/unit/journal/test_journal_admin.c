/* What operators ask of the journal: doubts, events with their ledger, replays, the story of a change, slots, and
 * reading without a daemon (issue 3: points 1, 2, 5, 6). */
#include "pcs/journal/slots.h"
#include "unit/journal/support.h"

static char ids[8][37];

static int64_t event_change(int n, const char *line)
{
    static char event_ids[8][16];
    snprintf(event_ids[n], sizeof event_ids[n], "event-%d", n);
    struct journal_event event = event_make(event_ids[n], uuid_v7(ids[n]), line);
    struct change_record change = change_make(ids[n], line, CHANGE_SENDING);
    change.loaded_at = T0 + 1000; /* after the line's earlier outcomes */
    ck_assert_int_eq(change_do(JOURNAL_INTENT, &change), JOURNAL_OK);
    struct journal_op op = op_make(JOURNAL_OUTCOME);
    op.change = (struct change_record){
        .request_id = ids[n], .state = CHANGE_COMPLETED, .processed_at = T0 + n, .result_code = "0000"};
    op.event = &event;
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    journal_op_clear(&op);
    op = op_make(JOURNAL_TRACE);
    op.change.request_id = ids[n];
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    ck_assert_uint_eq(op.event_count, 1);
    int64_t seq = op.events[0].seq;
    journal_op_clear(&op);
    return seq;
}

static void attempt(int64_t seq, enum journal_verdict verdict, const char *answer)
{
    struct journal_op op = op_make(JOURNAL_EVENT_ATTEMPT);
    op.attempt = (struct journal_attempt){.seq = seq,
                                          .at = T0 + 10,
                                          .status = verdict == VERDICT_DELIVERED ? 200 : 400,
                                          .milliseconds = 7,
                                          .answer = answer,
                                          .verdict = verdict,
                                          .counted = true};
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    journal_op_clear(&op);
}

static enum journal_status replay(int64_t seq, bool out_of_order)
{
    struct journal_op op = op_make(JOURNAL_EVENT_REPLAY);
    op.seq = seq;
    op.out_of_order = out_of_order;
    enum journal_status status = op_run(&op);
    journal_op_clear(&op);
    return status;
}

/* The seq of the event that may be sent; 0: none. */
static int64_t head(void)
{
    struct journal_op op = op_make(JOURNAL_EVENTS_PULL);
    op.now = T0 + 1000;
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    ck_assert_uint_le(op.event_count, 1);
    int64_t seq = op.event_count ? op.events[0].seq : 0;
    journal_op_clear(&op);
    return seq;
}

static size_t list(enum journal_event_state state, const char *line, int64_t limit, int64_t *before)
{
    struct journal_op op = op_make(JOURNAL_EVENTS_LIST);
    op.event_state = state;
    op.line = line;
    op.limit = limit;
    op.seq = before ? *before : 0;
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    for (size_t i = 0; i < op.event_count; i++) {
        ck_assert(state == EVENT_ANY || op.events[i].state == state);
        ck_assert(i == 0 || op.events[i].seq < op.events[i - 1].seq);
        ck_assert(!line || strcmp(op.events[i].line, line) == 0);
    }
    if (before) {
        *before = op.seq;
    }
    size_t n = op.event_count;
    journal_op_clear(&op);
    return n;
}

/* A dead letter is sent again, first of its line, and is in the lists and the ledger as what it is. */
START_TEST(dead_letter_is_replayed)
{
    int64_t first = event_change(0, LINE_A), second = event_change(1, LINE_A);
    ck_assert_int_eq(head(), first);
    attempt(first, VERDICT_DEAD, "{\"error\":\"unknown line\"}");
    ck_assert_int_eq(head(), second);
    ck_assert_uint_eq(list(EVENT_DEAD, NULL, 10, NULL), 1);
    ck_assert_uint_eq(list(EVENT_DEAD, LINE_A, 10, NULL), 1);
    ck_assert_uint_eq(list(EVENT_DEAD, LINE_B, 10, NULL), 0);
    ck_assert_uint_eq(list(EVENT_PENDING, NULL, 10, NULL), 1);
    ck_assert_int_eq(stats().events_dead, 1);

    ck_assert_int_eq(replay(first, false),
                     JOURNAL_OK); /* the later one has not been delivered: order is kept */
    ck_assert_int_eq(head(), first);
    ck_assert_int_eq(replay(first, false), JOURNAL_CONFLICT);
    struct journal_stats st = stats();
    ck_assert_int_eq(st.events_dead, 0);
    ck_assert_int_eq(st.events_pending, 2);
    attempt(first, VERDICT_DELIVERED, NULL);
    ck_assert_int_eq(head(), second);

    struct journal_op op = op_make(JOURNAL_TRACE);
    op.change.request_id = ids[0];
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    ck_assert_int_eq(op.events[0].state, EVENT_DELIVERED);
    ck_assert_uint_eq(op.attempt_count, 2);
    ck_assert_int_eq(op.attempts[0].verdict, VERDICT_DELIVERED); /* newest first */
    ck_assert_int_eq(op.attempts[1].verdict, VERDICT_DEAD);
    ck_assert_str_eq(op.attempts[1].answer, "{\"error\":\"unknown line\"}");
    journal_op_clear(&op);
}
END_TEST

/* Behind a later event that was delivered, a replay has to be asked for as out of order: of dead letters ... */
START_TEST(replay_behind_a_delivered_one_is_out_of_order)
{
    int64_t first = event_change(0, LINE_A), second = event_change(1, LINE_A),
            other = event_change(2, LINE_B);
    attempt(first, VERDICT_DEAD, NULL);
    attempt(second, VERDICT_DELIVERED, NULL);
    attempt(other, VERDICT_DEAD, NULL);
    ck_assert_int_eq(replay(other, false), JOURNAL_OK); /* another line's deliveries do not matter */
    attempt(other, VERDICT_DELIVERED, NULL);
    ck_assert_int_eq(replay(first, false), JOURNAL_OUT_OF_ORDER);
    ck_assert_int_eq(stats().events_dead, 1);
    close_journal(); /* it is remembered */
    open_journal();
    ck_assert_int_eq(replay(first, false), JOURNAL_OUT_OF_ORDER);
    ck_assert_int_eq(replay(first, true), JOURNAL_OK);
    ck_assert_int_eq(head(), first);
    /* ... and of delivered ones */
    attempt(first, VERDICT_DELIVERED, NULL);
    ck_assert_int_eq(replay(first, false), JOURNAL_OUT_OF_ORDER);
    ck_assert_int_eq(replay(second, false), JOURNAL_OK);
    ck_assert_int_eq(head(), second);
    ck_assert_int_eq(replay(12345678, true), JOURNAL_NOT_FOUND);
}
END_TEST

/* Pages go on where the last one ended, each event once. */
START_TEST(events_are_listed_in_pages)
{
    for (int i = 0; i < 5; i++) {
        attempt(event_change(i, LINE_A), VERDICT_DELIVERED, NULL);
    }
    int64_t before = 0;
    ck_assert_uint_eq(list(EVENT_DELIVERED, LINE_A, 2, &before), 2);
    ck_assert_int_gt(before, 0);
    ck_assert_uint_eq(list(EVENT_ANY, NULL, 2, &before), 2);
    ck_assert_uint_eq(list(EVENT_DELIVERED, LINE_A, 2, &before), 1);
    ck_assert_int_eq(before, 0);
    ck_assert_uint_eq(list(EVENT_DELIVERED, LINE_B, 2, NULL), 0);
}
END_TEST

/* The operator's list: oldest doubt first, and only what is in doubt. */
START_TEST(doubts_are_listed_oldest_first)
{
    static const int64_t since[] = {T0 + 50, T0 + 20, T0 + 90};
    for (int i = 0; i < 3; i++) {
        char line[24];
        snprintf(line, sizeof line, "0109999000%d", i);
        ck_assert_int_eq(intent(uuid_v7(ids[i]), line, CHANGE_SENDING), JOURNAL_OK);
        struct change_record c = {.request_id = ids[i],
                                  .in_doubt = true,
                                  .on_operator_list = i == 1,
                                  .doubt_since = since[i],
                                  .next_check_at = since[i] + 1000,
                                  .checks = i};
        ck_assert_int_eq(change_do(JOURNAL_DOUBT, &c), JOURNAL_OK);
    }
    ck_assert_int_eq(intent(uuid_v7(ids[3]), LINE_A, CHANGE_SENDING), JOURNAL_OK);
    struct journal_op op = op_make(JOURNAL_LIST_DOUBT);
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    ck_assert_uint_eq(op.list_count, 3);
    ck_assert_str_eq(op.list[0].request_id, ids[1]);
    ck_assert(op.list[0].on_operator_list);
    ck_assert_str_eq(op.list[2].request_id, ids[2]);
    ck_assert_int_eq(op.list[2].checks, 2);
    journal_op_clear(&op);
}
END_TEST

/* The story of one change: record, calls, event, ledger, and how far it has got. */
START_TEST(trace_tells_everything)
{
    int64_t seq = event_change(0, LINE_A);
    attempt(seq, VERDICT_AGAIN, NULL);
    const struct journal_call calls[] = {
        {.request_id = ids[0],
         .operation = "inquiry",
         .attempt = 1,
         .http_status = 200,
         .outcome = "ok",
         .at = T0},
        {.request_id = ids[0], .operation = "change", .attempt = 1, .outcome = "timeout", .at = T0 + 1}};
    struct journal_op op = op_make(JOURNAL_CALLS), trace = op_make(JOURNAL_TRACE);
    op.calls_in = calls;
    op.calls_in_count = 2;
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    journal_op_clear(&op);
    trace.change.request_id = ids[0];
    ck_assert_int_eq(op_run(&trace), JOURNAL_OK);
    ck_assert_str_eq(trace.found.line, LINE_A);
    ck_assert_uint_eq(trace.call_count, 2);
    ck_assert_str_eq(trace.calls[1].outcome, "timeout");
    ck_assert_uint_eq(trace.event_count, 1);
    ck_assert_uint_eq(trace.attempt_count, 1);
    ck_assert_int_eq(trace.forwarding, FORWARD_PENDING);
    ck_assert_uint_eq(trace.invalid_count, 1);
    journal_op_clear(&trace);

    struct journal_op dead = op_make(JOURNAL_HISTORY_DEAD);
    dead.seq = seq;
    dead.reason = "22021";
    ck_assert_int_eq(op_run(&dead), JOURNAL_OK);
    journal_op_clear(&dead);
    ck_assert_int_eq(op_run(&trace), JOURNAL_OK);
    ck_assert_int_eq(trace.forwarding, FORWARD_DEAD);
    ck_assert_str_eq(trace.forward_reason, "22021");
    journal_op_clear(&trace);
    trace.change.request_id = "01890000-0000-7000-8000-000000000000";
    ck_assert_int_eq(op_run(&trace), JOURNAL_NOT_FOUND);
    journal_op_clear(&trace);
}
END_TEST

/* A slot is counted when nobody has it, and left alone when somebody has. */
START_TEST(slots_are_found_and_counted)
{
    static struct journal_slot slots[JOURNAL_SLOTS_MAX];
    ck_assert_int_eq(intent(uuid_v7(ids[0]), LINE_A, CHANGE_ACCEPTED), JOURNAL_OK);
    ck_assert_uint_eq(journal_slots(dir.path, -1, slots), 1);
    ck_assert_int_eq(slots[0].state, SLOT_OWNED);
    ck_assert(!slots[0].counted);
    ck_assert_uint_eq(journal_slots(dir.path, 0, slots), 1);
    ck_assert_int_eq(slots[0].state, SLOT_OWN);
    char instance[40];
    snprintf(instance, sizeof instance, "%s", journal_instance(journal));
    close_journal();
    ck_assert_uint_eq(journal_slots(dir.path, -1, slots), 1);
    ck_assert_int_eq(slots[0].state, SLOT_ORPHAN);
    ck_assert_msg(slots[0].counted, "%s", slots[0].reason);
    ck_assert_int_eq(slots[0].stats.open, 1);
    ck_assert_str_eq(slots[0].instance, instance);
}
END_TEST

/* Without a daemon the file itself is read; with one it is refused; nothing can be changed that way. */
START_TEST(journal_is_read_without_a_daemon)
{
    ck_assert_ptr_null(journal_open_offline(&config, 0, err, sizeof err));
    ck_assert_ptr_nonnull(strstr(err, "in use"));
    ck_assert_ptr_null(journal_open_offline(&config, 5, err, sizeof err));
    ck_assert_ptr_nonnull(strstr(err, "there is none in slot 5"));
    event_change(0, LINE_A);
    close_journal();
    struct journal *j = journal_open_offline(&config, 0, err, sizeof err);
    ck_assert_msg(j != NULL, "%s", err);
    struct journal_op op;
    journal_op_init(&op, j, JOURNAL_TRACE, NULL, op_done, NULL);
    op.change.request_id = ids[0];
    ck_assert_int_eq(journal_run_offline(&op), JOURNAL_OK);
    ck_assert_int_eq(op.found.state, CHANGE_COMPLETED);
    journal_op_clear(&op);
    journal_op_init(&op, j, JOURNAL_EVENT_REPLAY, NULL, op_done, NULL);
    op.seq = 1;
    ck_assert_int_eq(journal_run_offline(&op), JOURNAL_FAILED);
    journal_op_clear(&op);
    journal_close_offline(j);
    open_journal();
    ck_assert_int_eq(state_of(ids[0]), CHANGE_COMPLETED);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("journal: operators");
    TCase *t = tcase_create("operators");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, dead_letter_is_replayed);
    tcase_add_test(t, replay_behind_a_delivered_one_is_out_of_order);
    tcase_add_test(t, events_are_listed_in_pages);
    tcase_add_test(t, doubts_are_listed_oldest_first);
    tcase_add_test(t, trace_tells_everything);
    tcase_add_test(t, slots_are_found_and_counted);
    tcase_add_test(t, journal_is_read_without_a_daemon);
    suite_add_tcase(s, t);
    return run_suite(s);
}
