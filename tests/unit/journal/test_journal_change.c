/* A change's life in the journal (UFR-PROD-040; DESIGN.md, "A change"): every move and every refusal. */
#include "unit/journal/support.h"

static const char *const A = "01900000-0000-7000-8000-00000000000a";
static const char *const B = "01900000-0000-7000-8000-00000000000b";

/* Durable before sent: what was stored comes back, every field. */
START_TEST(intent_keeps_every_field)
{
    struct change_record c = change_make(A, LINE_A, CHANGE_SENDING);
    c.traceparent = "00-11111111111111111111111111111111-2222222222222222-01";
    c.idem_key = "aa";
    c.body_hash = "bb";
    c.frontend = true;
    c.held = true;
    c.expires_at = T0 + 5;
    c.validation_json = "[{\"checkType\":\"PRODUCT_AVAILABLE\"}]";
    c.check_codes = "A,B";
    ck_assert_int_eq(change_do(JOURNAL_INTENT, &c), JOURNAL_OK);

    struct journal_op op = op_make(JOURNAL_GET);
    op.change.request_id = A;
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    const struct change_record *f = &op.found;
    ck_assert_str_eq(f->request_id, A);
    ck_assert_str_eq(f->line, LINE_A);
    ck_assert_int_eq(f->state, CHANGE_SENDING);
    ck_assert_str_eq(f->subject, "user-1");
    ck_assert_str_eq(f->customer_id, "C-1");
    ck_assert_str_eq(f->actor, "user-1");
    ck_assert_str_eq(f->correlation_id, "corr-1");
    ck_assert_str_eq(f->traceparent, c.traceparent);
    ck_assert_str_eq(f->idem_key, "aa");
    ck_assert_str_eq(f->body_hash, "bb");
    ck_assert(f->frontend && f->held && !f->in_doubt && !f->on_operator_list);
    ck_assert_str_eq(f->current_code, "LTE_A");
    ck_assert_str_eq(f->current_name, "LTE 가");
    ck_assert_str_eq(f->target_code, "5G_B");
    ck_assert_str_eq(f->target_name, "5G 나");
    ck_assert_int_eq(f->requested_at, T0);
    ck_assert_int_eq(f->loaded_at, T0);
    ck_assert_int_eq(f->validated_at, T0);
    ck_assert_int_eq(f->sent_at, T0);
    ck_assert_int_eq(f->expires_at, T0 + 5);
    ck_assert_int_eq(f->processed_at, 0);
    ck_assert_str_eq(f->validation_json, c.validation_json);
    ck_assert_str_eq(f->check_codes, "A,B");
    ck_assert_ptr_null(f->result_code);
    ck_assert_ptr_null(f->changed_product_json);
    ck_assert(op.found_recorded);
    journal_op_clear(&op);
}
END_TEST

/* One open change per line. */
START_TEST(second_intent_of_a_line_is_busy)
{
    ck_assert_int_eq(intent(A, LINE_A, CHANGE_SENDING), JOURNAL_OK);
    struct journal_op op = op_make(JOURNAL_INTENT);
    op.change = change_make(B, LINE_A, CHANGE_SENDING);
    ck_assert_int_eq(op_run(&op), JOURNAL_LINE_BUSY);
    ck_assert_str_eq(op.found.request_id, A);
    ck_assert(op.found_recorded);
    journal_op_clear(&op);
    ck_assert_int_eq(state_of(B), CHANGE_STATES);
    ck_assert_int_eq(intent(B, LINE_B, CHANGE_SENDING), JOURNAL_OK);
    ck_assert_int_eq(stats().open, 2);
}
END_TEST

/* The same intent twice, and an id that was used before. */
START_TEST(double_intent_is_refused)
{
    ck_assert_int_eq(intent(A, LINE_A, CHANGE_SENDING), JOURNAL_OK);
    ck_assert_int_eq(intent(A, LINE_A, CHANGE_SENDING), JOURNAL_LINE_BUSY);
    ck_assert_int_eq(intent(A, LINE_B, CHANGE_SENDING), JOURNAL_CONFLICT);
    ck_assert_int_eq(stats().open, 1);
}
END_TEST

/* In one batch, the first of two intents of a line wins and the other is told so. */
START_TEST(intents_of_one_batch)
{
    enum { N = 40 };
    struct journal_op ops[N];
    bool answered[N];
    char ids[N][37];
    for (int i = 0; i < N; i++) {
        op_start(&ops[i], JOURNAL_INTENT, &answered[i]);
        ops[i].change = change_make(uuid_v7(ids[i]), LINE_A, CHANGE_SENDING);
        ck_assert(journal_submit(&ops[i]));
    }
    int won = 0;
    for (int i = 0; i < N; i++) {
        op_wait(&ops[i]);
        won += ops[i].status == JOURNAL_OK;
        ck_assert(ops[i].status == JOURNAL_OK || ops[i].status == JOURNAL_LINE_BUSY);
    }
    ck_assert_int_eq(won, 1);
    ck_assert_int_eq(ops[0].status, JOURNAL_OK);
    for (int i = 0; i < N; i++) {
        journal_op_clear(&ops[i]);
    }
}
END_TEST

/* Outcome before answer: the row is final, with its result; the line is free. */
START_TEST(outcome_completes)
{
    ck_assert_int_eq(intent(A, LINE_A, CHANGE_SENDING), JOURNAL_OK);
    struct journal_event event = event_make("e-1", A, LINE_A);
    struct journal_op op = op_make(JOURNAL_OUTCOME);
    op.change = (struct change_record){.request_id = A,
                                       .state = CHANGE_COMPLETED,
                                       .processed_at = T0 + 7,
                                       .result_code = "0000",
                                       .result_message = "완료",
                                       .changed_product_json = "{\"productCode\":\"5G_B\"}",
                                       .kos_order_number = "K-1",
                                       .first_status = 200};
    op.event = &event;
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    ck_assert_int_gt(op.generation, 0);
    journal_op_clear(&op);

    op = op_make(JOURNAL_GET);
    op.change.request_id = A;
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    ck_assert_int_eq(op.found.state, CHANGE_COMPLETED);
    ck_assert_int_eq(op.found.processed_at, T0 + 7);
    ck_assert_str_eq(op.found.kos_order_number, "K-1");
    ck_assert_str_eq(op.found.changed_product_json, "{\"productCode\":\"5G_B\"}");
    ck_assert_str_eq(op.found.actor, "user-1");
    ck_assert_str_eq(op.found.target_name, "5G 나");
    ck_assert_int_eq(op.found.first_status, 200);
    journal_op_clear(&op);

    struct journal_stats st = stats();
    ck_assert_int_eq(st.open, 0);
    ck_assert_int_eq(st.history_pending, 1);
    ck_assert_int_eq(st.events_pending, 1);
    ck_assert_int_eq(st.invalidations, 1);
    struct change_record next = change_make(B, LINE_A, CHANGE_SENDING);
    next.loaded_at = T0 + 8;
    ck_assert_int_eq(change_do(JOURNAL_INTENT, &next), JOURNAL_OK);
}
END_TEST

/* An outcome is told once; the second hears what the first said. */
START_TEST(outcome_twice_conflicts)
{
    ck_assert_int_eq(outcome_at(A, CHANGE_COMPLETED, T0), JOURNAL_NOT_FOUND);
    ck_assert_int_eq(intent(A, LINE_A, CHANGE_SENDING), JOURNAL_OK);
    ck_assert_int_eq(outcome_at(A, CHANGE_REFUSED, T0), JOURNAL_OK);
    struct journal_op op = op_make(JOURNAL_OUTCOME);
    op.change = (struct change_record){.request_id = A, .state = CHANGE_COMPLETED};
    ck_assert_int_eq(op_run(&op), JOURNAL_CONFLICT);
    ck_assert_int_eq(op.found.state, CHANGE_REFUSED);
    journal_op_clear(&op);
    ck_assert_int_eq(stats().history_pending, 1);
}
END_TEST

/* Only the drawn moves exist: nothing completes that was not being sent. */
START_TEST(illegal_moves_are_refused)
{
    static const struct {
        enum change_state from, to;
        enum journal_status status;
    } rows[] = {
        {CHANGE_ACCEPTED, CHANGE_COMPLETED, JOURNAL_CONFLICT},
        {CHANGE_ACCEPTED, CHANGE_REFUSED, JOURNAL_CONFLICT},
        {CHANGE_ACCEPTED, CHANGE_NOT_APPLIED, JOURNAL_CONFLICT},
        {CHANGE_ACCEPTED, CHANGE_INVALID, JOURNAL_OK},
        {CHANGE_ACCEPTED, CHANGE_NOT_SENT, JOURNAL_OK},
        {CHANGE_SENDING, CHANGE_INVALID, JOURNAL_CONFLICT},
        {CHANGE_SENDING, CHANGE_CANCELLED, JOURNAL_CONFLICT},
        {CHANGE_SENDING, CHANGE_EXPIRED, JOURNAL_CONFLICT},
        {CHANGE_SENDING, CHANGE_COMPLETED, JOURNAL_OK},
        {CHANGE_SENDING, CHANGE_REFUSED, JOURNAL_OK},
        {CHANGE_SENDING, CHANGE_NOT_SENT, JOURNAL_OK},
        {CHANGE_SENDING, CHANGE_NOT_APPLIED, JOURNAL_OK},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char id[37], line[32];
        snprintf(line, sizeof line, "0102222%04zu", i);
        ck_assert_int_eq(intent(uuid_v7(id), line, rows[i].from), JOURNAL_OK);
        ck_assert_msg(outcome_at(id, rows[i].to, T0) == rows[i].status, "row %zu", i);
        ck_assert_int_eq(state_of(id), rows[i].status == JOURNAL_OK ? rows[i].to : rows[i].from);
    }
    ck_assert_int_eq(intent(A, LINE_A, CHANGE_COMPLETED), JOURNAL_FAILED);
    ck_assert_int_eq(intent(B, LINE_B, CHANGE_ACCEPTED), JOURNAL_OK);
    ck_assert_int_eq(outcome_at(B, CHANGE_SENDING, T0), JOURNAL_FAILED);
}
END_TEST

/* SEND moves an accepted change once, with what was loaded again. */
START_TEST(send_moves_accepted)
{
    ck_assert_int_eq(intent(A, LINE_A, CHANGE_ACCEPTED), JOURNAL_OK);
    struct journal_op op = op_make(JOURNAL_SEND);
    op.change = (struct change_record){.request_id = A,
                                       .loaded_at = T0 + 100,
                                       .sent_at = T0 + 110,
                                       .current_name = "새 이름",
                                       .validation_json = "[]"};
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    ck_assert_int_gt(op.generation, 0);
    journal_op_clear(&op);
    op = op_make(JOURNAL_GET);
    op.change.request_id = A;
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    ck_assert_int_eq(op.found.state, CHANGE_SENDING);
    ck_assert_int_eq(op.found.loaded_at, T0 + 100);
    ck_assert_int_eq(op.found.sent_at, T0 + 110);
    ck_assert_str_eq(op.found.current_name, "새 이름");
    ck_assert_str_eq(op.found.target_name, "5G 나");
    journal_op_clear(&op);

    struct change_record again = {.request_id = A, .loaded_at = T0 + 200, .sent_at = T0 + 200};
    ck_assert_int_eq(change_do(JOURNAL_SEND, &again), JOURNAL_CONFLICT);
    again.request_id = B;
    ck_assert_int_eq(change_do(JOURNAL_SEND, &again), JOURNAL_NOT_FOUND);
}
END_TEST

/* Cancel and send cannot race: exactly one wins, whichever comes first. */
START_TEST(cancel_and_send_race)
{
    for (int round = 0; round < 40; round++) {
        char id[37], line[32];
        snprintf(line, sizeof line, "0103333%04d", round);
        ck_assert_int_eq(intent(uuid_v7(id), line, CHANGE_ACCEPTED), JOURNAL_OK);
        struct journal_op send, cancel;
        bool sent, cancelled;
        op_start(&send, JOURNAL_SEND, &sent);
        send.change = (struct change_record){.request_id = id, .loaded_at = T0 + 1, .sent_at = T0 + 2};
        op_start(&cancel, JOURNAL_CANCEL, &cancelled);
        cancel.change = (struct change_record){.request_id = id, .state = CHANGE_CANCELLED};
        ck_assert(journal_submit(round % 2 ? &send : &cancel));
        ck_assert(journal_submit(round % 2 ? &cancel : &send));
        op_wait(&send);
        op_wait(&cancel);
        ck_assert_int_eq(round % 2 ? send.status : cancel.status, JOURNAL_OK);
        ck_assert_int_eq(round % 2 ? cancel.status : send.status, JOURNAL_CONFLICT);
        ck_assert_int_eq(state_of(id), round % 2 ? CHANGE_SENDING : CHANGE_CANCELLED);
        journal_op_clear(&send);
        journal_op_clear(&cancel);
    }
    struct change_record c = {.request_id = B, .state = CHANGE_EXPIRED};
    ck_assert_int_eq(change_do(JOURNAL_CANCEL, &c), JOURNAL_NOT_FOUND);
    c.state = CHANGE_COMPLETED;
    ck_assert_int_eq(change_do(JOURNAL_CANCEL, &c), JOURNAL_FAILED);
}
END_TEST

/* DESIGN.md "Claim before read": data from before the line's newest outcome must be loaded again. */
START_TEST(older_data_must_be_loaded_again)
{
    ck_assert_int_eq(intent(A, LINE_A, CHANGE_SENDING), JOURNAL_OK);
    ck_assert_int_eq(outcome_at(A, CHANGE_COMPLETED, T0 + 1000), JOURNAL_OK);
    struct change_record c = change_make(B, LINE_A, CHANGE_ACCEPTED);
    c.loaded_at = T0 + 999;
    ck_assert_int_eq(change_do(JOURNAL_INTENT, &c), JOURNAL_RELOAD);
    c.loaded_at = T0 + 1000;
    ck_assert_int_eq(change_do(JOURNAL_INTENT, &c), JOURNAL_RELOAD);
    c.loaded_at = T0 + 1001;
    ck_assert_int_eq(change_do(JOURNAL_INTENT, &c), JOURNAL_OK);
    struct change_record send = {.request_id = B, .loaded_at = T0 + 1000, .sent_at = T0 + 1002};
    ck_assert_int_eq(change_do(JOURNAL_SEND, &send), JOURNAL_RELOAD);
    ck_assert_int_eq(state_of(B), CHANGE_ACCEPTED);
    ck_assert_int_eq(intent("01900000-0000-7000-8000-00000000000c", LINE_B, CHANGE_SENDING), JOURNAL_OK);
}
END_TEST

/* In doubt is a state: the settling fields are kept, and counted. */
START_TEST(doubt_updates_settling_fields)
{
    ck_assert_int_eq(intent(A, LINE_A, CHANGE_SENDING), JOURNAL_OK);
    ck_assert_int_eq(intent(B, LINE_B, CHANGE_ACCEPTED), JOURNAL_OK);
    struct change_record c = {
        .request_id = A, .in_doubt = true, .doubt_since = T0 + 5, .next_check_at = T0 + 9};
    ck_assert_int_eq(change_do(JOURNAL_DOUBT, &c), JOURNAL_OK);
    ck_assert_int_eq(stats().in_doubt, 1);
    ck_assert_int_eq(stats().oldest_doubt_at, T0 + 5);
    c.checks = 3;
    c.first_baseline_at = T0 + 6;
    c.last_baseline_at = T0 + 8;
    c.on_operator_list = true;
    ck_assert_int_eq(change_do(JOURNAL_DOUBT, &c), JOURNAL_OK);
    ck_assert_int_eq(stats().in_doubt, 1);
    struct journal_op op = op_make(JOURNAL_GET);
    op.change.request_id = A;
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    ck_assert(op.found.in_doubt && op.found.on_operator_list);
    ck_assert_int_eq(op.found.checks, 3);
    ck_assert_int_eq(op.found.first_baseline_at, T0 + 6);
    ck_assert_int_eq(op.found.last_baseline_at, T0 + 8);
    ck_assert_int_eq(op.found.next_check_at, T0 + 9);
    ck_assert_str_eq(op.found.target_code, "5G_B");
    journal_op_clear(&op);

    c.request_id = B;
    ck_assert_int_eq(change_do(JOURNAL_DOUBT, &c), JOURNAL_CONFLICT);
    ck_assert_int_eq(outcome_at(A, CHANGE_NOT_APPLIED, T0), JOURNAL_OK);
    ck_assert_int_eq(stats().in_doubt, 0);
    ck_assert_int_eq(stats().oldest_doubt_at, 0);
    c.request_id = A;
    ck_assert_int_eq(change_do(JOURNAL_DOUBT, &c), JOURNAL_CONFLICT);
    c.request_id = "01900000-0000-7000-8000-00000000000c";
    ck_assert_int_eq(change_do(JOURNAL_DOUBT, &c), JOURNAL_NOT_FOUND);
}
END_TEST

/* CONTRACT.md 1, "Recorded as a change": a failed pre-check is a final row from the start. */
START_TEST(record_stores_a_final_row)
{
    struct change_record c = change_make(A, LINE_A, CHANGE_INVALID);
    c.result_code = "VALIDATION_FAILED";
    ck_assert_int_eq(change_do(JOURNAL_RECORD, &c), JOURNAL_OK);
    ck_assert_int_eq(state_of(A), CHANGE_INVALID);
    ck_assert_int_eq(change_do(JOURNAL_RECORD, &c), JOURNAL_CONFLICT);
    ck_assert_int_eq(stats().history_pending, 1);
    ck_assert_int_eq(stats().open, 0);
    c = change_make(B, LINE_A, CHANGE_COMPLETED);
    ck_assert_int_eq(change_do(JOURNAL_RECORD, &c), JOURNAL_FAILED);
    /* a record closes no line */
    ck_assert_int_eq(intent(B, LINE_A, CHANGE_SENDING), JOURNAL_OK);
}
END_TEST

/* Histories of this instance: open or not yet in PostgreSQL, newest first. */
START_TEST(list_line_is_newest_first)
{
    static const int64_t asked[] = {30, 10, 20};
    char ids[4][37];
    for (int i = 0; i < 3; i++) {
        struct change_record c = change_make(uuid_v7(ids[i]), LINE_A, CHANGE_INVALID);
        c.requested_at = T0 + asked[i];
        ck_assert_int_eq(change_do(JOURNAL_RECORD, &c), JOURNAL_OK);
    }
    struct change_record c = change_make(uuid_v7(ids[3]), LINE_A, CHANGE_ACCEPTED);
    c.requested_at = T0 + 25;
    ck_assert_int_eq(change_do(JOURNAL_INTENT, &c), JOURNAL_OK);
    ck_assert_int_eq(intent(A, LINE_B, CHANGE_ACCEPTED), JOURNAL_OK);

    struct journal_op op = op_make(JOURNAL_LIST_LINE);
    op.line = LINE_A;
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    ck_assert_uint_eq(op.list_count, 4);
    for (size_t i = 1; i < op.list_count; i++) {
        ck_assert_int_gt(op.list[i - 1].requested_at, op.list[i].requested_at);
    }
    ck_assert_str_eq(op.list[1].request_id, ids[3]);
    journal_op_clear(&op);
    op = op_make(JOURNAL_LIST_LINE);
    op.line = LINE_A;
    op.limit = 2;
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    ck_assert_uint_eq(op.list_count, 2);
    ck_assert_int_eq(op.list[1].requested_at, T0 + 25);
    journal_op_clear(&op);
}
END_TEST

/* Recovery walks all open changes in pages. */
START_TEST(list_open_walks_in_pages)
{
    enum { N = 25 };
    char ids[N][37], line[32];
    for (int i = 0; i < N; i++) {
        snprintf(line, sizeof line, "0104444%04d", i);
        ck_assert_int_eq(intent(uuid_v7(ids[i]), line, i % 2 ? CHANGE_SENDING : CHANGE_ACCEPTED), JOURNAL_OK);
    }
    char after[37] = "";
    int seen = 0;
    for (;;) {
        struct journal_op op = op_make(JOURNAL_LIST_OPEN);
        op.limit = 10;
        op.after_id = after;
        ck_assert_int_eq(op_run(&op), JOURNAL_OK);
        for (size_t i = 0; i < op.list_count; i++) {
            ck_assert_str_eq(op.list[i].request_id, ids[seen++]);
        }
        size_t n = op.list_count;
        if (n) {
            snprintf(after, sizeof after, "%s", op.list[n - 1].request_id);
        }
        journal_op_clear(&op);
        if (n < 10) {
            break;
        }
    }
    ck_assert_int_eq(seen, N);
}
END_TEST

/* An operation that fails by itself fails alone. */
START_TEST(one_bad_operation_fails_alone)
{
    struct journal_op ops[3];
    bool answered[3];
    for (int i = 0; i < 3; i++) {
        op_start(&ops[i], JOURNAL_INTENT, &answered[i]);
        ops[i].change = change_make(i == 0 ? A : B, i == 0 ? LINE_A : LINE_B, CHANGE_SENDING);
    }
    ops[1].change.line = NULL;
    for (int i = 0; i < 3; i++) {
        ck_assert(journal_submit(&ops[i]));
    }
    for (int i = 0; i < 3; i++) {
        op_wait(&ops[i]);
        journal_op_clear(&ops[i]);
    }
    ck_assert_int_eq(ops[0].status, JOURNAL_OK);
    ck_assert_int_eq(ops[1].status, JOURNAL_FAILED);
    ck_assert_int_eq(ops[2].status, JOURNAL_OK);
    ck_assert_int_eq(stats().open, 2);
    ck_assert(journal_writable(journal));
}
END_TEST

START_TEST(names)
{
    enum change_state s;
    for (int i = 0; i < CHANGE_STATES; i++) {
        ck_assert(change_state_parse(change_state_name((enum change_state)i), &s));
        ck_assert_int_eq(s, i);
    }
    ck_assert(!change_state_parse("DONE", &s));
    ck_assert_str_eq(journal_status_name(JOURNAL_RELOAD), "RELOAD");
    ck_assert_str_eq(journal_status_name(JOURNAL_FAILED), "FAILED");
    ck_assert(!change_state_final(CHANGE_SENDING) && change_state_final(CHANGE_EXPIRED));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("journal.change");
    TCase *t = tcase_create("change");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, intent_keeps_every_field);
    tcase_add_test(t, second_intent_of_a_line_is_busy);
    tcase_add_test(t, double_intent_is_refused);
    tcase_add_test(t, intents_of_one_batch);
    tcase_add_test(t, outcome_completes);
    tcase_add_test(t, outcome_twice_conflicts);
    tcase_add_test(t, illegal_moves_are_refused);
    tcase_add_test(t, send_moves_accepted);
    tcase_add_test(t, cancel_and_send_race);
    tcase_add_test(t, older_data_must_be_loaded_again);
    tcase_add_test(t, doubt_updates_settling_fields);
    tcase_add_test(t, record_stores_a_final_row);
    tcase_add_test(t, list_line_is_newest_first);
    tcase_add_test(t, list_open_walks_in_pages);
    tcase_add_test(t, one_bad_operation_fails_alone);
    tcase_add_test(t, names);
    suite_add_tcase(s, t);
    return run_suite(s);
}
