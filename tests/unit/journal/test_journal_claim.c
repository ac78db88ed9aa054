/* Claims and Idempotency-Keys (CONTRACT.md 1; DESIGN.md, "Claim before read"). */
#include "unit/journal/support.h"

static const char *const A = "01900000-0000-7000-8000-00000000000a";
static const char *const B = "01900000-0000-7000-8000-00000000000b";
static const char *const KEY = "k1";
static const char *const BODY = "b1";

static struct journal_op claim_op(const char *id, const char *line, const char *key, const char *body)
{
    struct journal_op op = op_make(JOURNAL_CLAIM);
    op.change.request_id = id;
    op.change.line = line;
    op.change.idem_key = key;
    op.change.body_hash = body;
    return op;
}

static enum journal_status claim(const char *id, const char *line, const char *key, const char *body)
{
    struct journal_op op = claim_op(id, line, key, body);
    enum journal_status status = op_run(&op);
    journal_op_clear(&op);
    return status;
}

static enum journal_status claim_later(const char *id, const char *line, const char *key, int64_t now)
{
    struct journal_op op = claim_op(id, line, key, BODY);
    op.now = now;
    enum journal_status status = op_run(&op);
    journal_op_clear(&op);
    return status;
}

static void release(const char *id)
{
    struct change_record c = {.request_id = id};
    ck_assert_int_eq(change_do(JOURNAL_RELEASE, &c), JOURNAL_OK);
}

static enum journal_status answered(const char *id, int64_t status)
{
    struct change_record c = {.request_id = id, .first_status = status};
    return change_do(JOURNAL_ANSWERED, &c);
}

static enum journal_status keyed(enum journal_verb verb, const char *id, const char *line,
                                 enum change_state state)
{
    struct change_record c = change_make(id, line, state);
    c.idem_key = KEY;
    c.body_hash = BODY;
    return change_do(verb, &c);
}

/* A double click: the second request does not get the line. */
START_TEST(second_claim_is_busy_and_not_recorded)
{
    ck_assert_int_eq(claim(A, LINE_A, NULL, NULL), JOURNAL_OK);
    struct journal_op op = claim_op(B, LINE_A, NULL, NULL);
    ck_assert_int_eq(op_run(&op), JOURNAL_LINE_BUSY);
    ck_assert_str_eq(op.found.request_id, A);
    ck_assert(!op.found_recorded);
    journal_op_clear(&op);
    ck_assert_int_eq(claim(A, LINE_A, NULL, NULL), JOURNAL_OK); /* its own: again */
    ck_assert_int_eq(claim(B, LINE_B, NULL, NULL), JOURNAL_OK);
    ck_assert_int_eq(stats().claims, 2);
    release(A);
    release(A);
    ck_assert_int_eq(claim("c", LINE_A, NULL, NULL), JOURNAL_OK);
}
END_TEST

/* The holder's intent passes, anybody else's does not; absent but free passes too. */
START_TEST(intent_needs_its_own_claim)
{
    ck_assert_int_eq(claim(A, LINE_A, NULL, NULL), JOURNAL_OK);
    ck_assert_int_eq(intent(B, LINE_A, CHANGE_SENDING), JOURNAL_LINE_BUSY);
    ck_assert_int_eq(intent(A, LINE_A, CHANGE_SENDING), JOURNAL_OK);
    ck_assert_int_eq(stats().claims, 0);
    release(A); /* harmless after the intent */
    ck_assert_int_eq(state_of(A), CHANGE_SENDING);
    struct journal_op op = claim_op(B, LINE_A, NULL, NULL);
    ck_assert_int_eq(op_run(&op), JOURNAL_LINE_BUSY);
    ck_assert(op.found_recorded);
    ck_assert_str_eq(op.found.target_code, "5G_B");
    journal_op_clear(&op);
    ck_assert_int_eq(intent(B, LINE_B, CHANGE_SENDING), JOURNAL_OK);
}
END_TEST

/* The key's first request is unanswered: 409; other body: 422; then the replay with the first status. */
START_TEST(key_busy_then_replay)
{
    ck_assert_int_eq(claim(A, LINE_A, KEY, BODY), JOURNAL_OK);
    struct journal_op op = claim_op(B, LINE_B, KEY, BODY);
    ck_assert_int_eq(op_run(&op), JOURNAL_KEY_BUSY);
    ck_assert(!op.found_recorded);
    journal_op_clear(&op);
    ck_assert_int_eq(claim(B, LINE_B, KEY, "other"), JOURNAL_KEY_REUSED);

    ck_assert_int_eq(keyed(JOURNAL_INTENT, A, LINE_A, CHANGE_SENDING), JOURNAL_OK);
    op = claim_op(B, LINE_A, KEY, BODY);
    ck_assert_int_eq(op_run(&op), JOURNAL_KEY_BUSY);
    ck_assert(op.found_recorded);
    ck_assert_str_eq(op.found.request_id, A);
    journal_op_clear(&op);
    ck_assert_int_eq(claim(B, LINE_A, KEY, "other"), JOURNAL_KEY_REUSED);

    ck_assert_int_eq(outcome_at(A, CHANGE_COMPLETED, T0), JOURNAL_OK);
    ck_assert_int_eq(claim(B, LINE_A, KEY, BODY), JOURNAL_KEY_BUSY);
    ck_assert_int_eq(answered(A, 200), JOURNAL_OK);
    op = claim_op(B, LINE_A, KEY, BODY);
    ck_assert_int_eq(op_run(&op), JOURNAL_REPLAY);
    ck_assert_int_eq(op.found.first_status, 200);
    ck_assert_int_eq(op.found.state, CHANGE_COMPLETED);
    journal_op_clear(&op);
    ck_assert_int_eq(claim(B, LINE_A, KEY, "other"), JOURNAL_KEY_REUSED);
    ck_assert_int_eq(claim(B, LINE_A, NULL, NULL), JOURNAL_OK);
}
END_TEST

/* The first answer counts as told from its submission on, before its lazy commit; and only the first is kept. */
START_TEST(answered_is_known_at_once)
{
    ck_assert_int_eq(keyed(JOURNAL_INTENT, A, LINE_A, CHANGE_ACCEPTED), JOURNAL_OK);
    struct journal_op first, again, replay;
    bool first_done, again_done, replay_done;
    op_start(&first, JOURNAL_ANSWERED, &first_done);
    first.change = (struct change_record){.request_id = A, .first_status = 202};
    op_start(&again, JOURNAL_ANSWERED, &again_done);
    again.change = (struct change_record){.request_id = A, .first_status = 200};
    op_start(&replay, JOURNAL_CLAIM, &replay_done);
    replay.now = T0;
    replay.change =
        (struct change_record){.request_id = B, .line = LINE_A, .idem_key = KEY, .body_hash = BODY};
    ck_assert(journal_submit(&first));
    ck_assert(journal_submit(&again));
    ck_assert(journal_submit(&replay));
    op_wait(&replay);
    ck_assert_int_eq(replay.status, JOURNAL_REPLAY);
    ck_assert_int_eq(replay.found.first_status, 202);
    ck_assert_int_eq(replay.found.state, CHANGE_ACCEPTED);
    op_wait(&first);
    op_wait(&again);
    journal_op_clear(&first);
    journal_op_clear(&again);
    journal_op_clear(&replay);
    struct journal_op op = op_make(JOURNAL_GET);
    op.change.request_id = A;
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    ck_assert_int_eq(op.found.first_status, 202);
    journal_op_clear(&op);
    ck_assert_int_eq(answered(B, 200), JOURNAL_NOT_FOUND);
}
END_TEST

/* A first status handed over with the intent or the outcome needs no ANSWERED. */
START_TEST(first_status_with_the_change)
{
    struct change_record c = change_make(A, LINE_A, CHANGE_ACCEPTED);
    c.idem_key = KEY;
    c.body_hash = BODY;
    c.first_status = 202;
    ck_assert_int_eq(change_do(JOURNAL_INTENT, &c), JOURNAL_OK);
    ck_assert_int_eq(claim(B, LINE_B, KEY, BODY), JOURNAL_REPLAY);
    c = change_make(B, LINE_B, CHANGE_SENDING);
    c.idem_key = "k2";
    c.body_hash = BODY;
    ck_assert_int_eq(change_do(JOURNAL_INTENT, &c), JOURNAL_OK);
    ck_assert_int_eq(claim("c", LINE_B, "k2", BODY), JOURNAL_KEY_BUSY);
    struct change_record end = {.request_id = B, .state = CHANGE_REFUSED, .first_status = 409};
    ck_assert_int_eq(change_do(JOURNAL_OUTCOME, &end), JOURNAL_OK);
    struct journal_op op = claim_op("c", LINE_B, "k2", BODY);
    ck_assert_int_eq(op_run(&op), JOURNAL_REPLAY);
    ck_assert_int_eq(op.found.first_status, 409);
    journal_op_clear(&op);
}
END_TEST

/* "A 503 always leaves the key free, also when it was recorded." */
START_TEST(not_sent_frees_the_key)
{
    ck_assert_int_eq(keyed(JOURNAL_INTENT, A, LINE_A, CHANGE_SENDING), JOURNAL_OK);
    ck_assert_int_eq(outcome_at(A, CHANGE_NOT_SENT, T0), JOURNAL_OK);
    ck_assert_int_eq(claim(B, LINE_A, KEY, "other"), JOURNAL_OK);
    ck_assert_int_eq(keyed(JOURNAL_RECORD, B, LINE_A, CHANGE_NOT_SENT), JOURNAL_OK);
    ck_assert_int_eq(state_of(B), CHANGE_NOT_SENT);
    ck_assert_int_eq(claim("c", LINE_A, KEY, BODY), JOURNAL_OK);
}
END_TEST

/* Answered first and recorded after: whoever repeats the request at once is not told "in progress". */
START_TEST(refusal_recorded_later_gives_the_claim_back)
{
    ck_assert_int_eq(claim(A, LINE_A, KEY, BODY), JOURNAL_OK);
    struct journal_op record, again;
    bool record_done, again_done;
    op_start(&record, JOURNAL_RECORD, &record_done);
    record.change = change_make(A, LINE_A, CHANGE_NOT_SENT);
    record.change.idem_key = KEY;
    op_start(&again, JOURNAL_CLAIM, &again_done);
    again.now = T0;
    again.change =
        (struct change_record){.request_id = B, .line = LINE_A, .idem_key = KEY, .body_hash = BODY};
    ck_assert(journal_submit(&record));
    ck_assert(journal_submit(&again));
    op_wait(&record);
    op_wait(&again);
    ck_assert_int_eq(record.status, JOURNAL_OK);
    ck_assert_int_eq(again.status, JOURNAL_OK);
    journal_op_clear(&record);
    journal_op_clear(&again);
}
END_TEST

/* A recorded 409 keeps its key; so do cancelled and refused changes. */
START_TEST(invalid_keeps_the_key)
{
    ck_assert_int_eq(claim(A, LINE_A, KEY, BODY), JOURNAL_OK);
    ck_assert_int_eq(keyed(JOURNAL_RECORD, A, LINE_A, CHANGE_INVALID), JOURNAL_OK);
    ck_assert_int_eq(claim(B, LINE_A, KEY, BODY), JOURNAL_KEY_BUSY);
    ck_assert_int_eq(claim(B, LINE_A, NULL, NULL), JOURNAL_OK); /* the line is free */
    ck_assert_int_eq(answered(A, 409), JOURNAL_OK);
    release(B);
    ck_assert_int_eq(claim(B, LINE_A, KEY, BODY), JOURNAL_REPLAY);
    ck_assert_int_eq(keyed(JOURNAL_RECORD, B, LINE_A, CHANGE_INVALID), JOURNAL_KEY_BUSY);
    ck_assert_int_eq(state_of(B), CHANGE_STATES);
}
END_TEST

/* An intent whose key was taken meanwhile leaves nothing behind. */
START_TEST(intent_with_a_taken_key)
{
    ck_assert_int_eq(keyed(JOURNAL_INTENT, A, LINE_A, CHANGE_SENDING), JOURNAL_OK);
    ck_assert_int_eq(answered(A, 202), JOURNAL_OK);
    struct journal_op op = op_make(JOURNAL_INTENT);
    op.change = change_make(B, LINE_B, CHANGE_SENDING);
    op.change.idem_key = KEY;
    op.change.body_hash = BODY;
    ck_assert_int_eq(op_run(&op), JOURNAL_KEY_BUSY);
    ck_assert_str_eq(op.found.request_id, A);
    journal_op_clear(&op);
    ck_assert_int_eq(state_of(B), CHANGE_STATES);
    ck_assert_int_eq(stats().open, 1);
    ck_assert_int_eq(claim(B, LINE_B, NULL, NULL), JOURNAL_OK);
}
END_TEST

/* Kept 24 h from requested_at, through restarts. */
START_TEST(key_expires)
{
    ck_assert_int_eq(keyed(JOURNAL_INTENT, A, LINE_A, CHANGE_SENDING), JOURNAL_OK);
    ck_assert_int_eq(outcome_at(A, CHANGE_COMPLETED, T0), JOURNAL_OK);
    ck_assert_int_eq(answered(A, 200), JOURNAL_OK);
    close_journal();
    open_journal();
    int64_t day = config.key_ms;
    ck_assert_int_eq(claim_later(B, LINE_A, KEY, T0 + day - 1), JOURNAL_REPLAY);
    ck_assert_int_eq(claim_later(B, LINE_A, KEY, T0 + day), JOURNAL_OK);
    struct journal_op op = op_make(JOURNAL_INTENT);
    op.now = T0 + day;
    op.change = change_make(B, LINE_A, CHANGE_SENDING);
    op.change.requested_at = T0 + day;
    op.change.loaded_at =
        clock_wall_ms(); /* after a restart, what was loaded long ago must be loaded again */
    op.change.idem_key = KEY;
    op.change.body_hash = BODY;
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    journal_op_clear(&op);
}
END_TEST

/* After a crash nobody will answer the key's first request any more: a replay tells the state. */
START_TEST(unanswered_key_of_an_earlier_process)
{
    ck_assert_int_eq(keyed(JOURNAL_INTENT, A, LINE_A, CHANGE_SENDING), JOURNAL_OK);
    ck_assert_int_eq(claim(B, LINE_A, KEY, BODY), JOURNAL_KEY_BUSY);
    close_journal();
    open_journal();
    struct journal_op op = claim_op(B, LINE_A, KEY, BODY);
    ck_assert_int_eq(op_run(&op), JOURNAL_REPLAY);
    ck_assert_int_eq(op.found.first_status, 0);
    ck_assert_int_eq(op.found.state, CHANGE_SENDING);
    journal_op_clear(&op);
    ck_assert_int_eq(claim(B, LINE_A, KEY, "other"), JOURNAL_KEY_REUSED);
}
END_TEST

/* Issue 4, point 2: with the carrier out a free line is refused without asking the journal's thread. What anybody was
 * told of a line is seen at once: its claim, its open change, the end of both; and after a restart. */
START_TEST(free_line_is_seen_from_any_thread)
{
    ck_assert(journal_line_free(journal, LINE_A));
    ck_assert_int_eq(claim(A, LINE_A, NULL, NULL), JOURNAL_OK);
    ck_assert(!journal_line_free(journal, LINE_A));
    ck_assert(journal_line_free(journal, LINE_B));
    release(A);
    ck_assert(journal_line_free(journal, LINE_A));

    ck_assert_int_eq(claim(A, LINE_A, NULL, NULL), JOURNAL_OK);
    ck_assert_int_eq(intent(A, LINE_A, CHANGE_SENDING), JOURNAL_OK);
    release(A); /* nothing: the claim has become the open change */
    ck_assert(!journal_line_free(journal, LINE_A));
    close_journal();
    open_journal();
    ck_assert(!journal_line_free(journal, LINE_A));
    ck_assert_int_eq(outcome_at(A, CHANGE_COMPLETED, T0), JOURNAL_OK);
    ck_assert(journal_line_free(journal, LINE_A));
    ck_assert_int_eq(outcome_at(A, CHANGE_COMPLETED, T0), JOURNAL_CONFLICT); /* is not taken off twice */
    ck_assert_int_eq(claim(B, LINE_A, NULL, NULL), JOURNAL_OK);
    ck_assert(!journal_line_free(journal, LINE_A));
}
END_TEST

/* An intent without a claim counts as well; one that was refused does not. */
START_TEST(free_line_after_cancel_and_refused_intent)
{
    struct change_record c = {.request_id = A, .state = CHANGE_CANCELLED};
    ck_assert_int_eq(intent(A, LINE_A, CHANGE_ACCEPTED), JOURNAL_OK);
    ck_assert_int_eq(intent(B, LINE_A, CHANGE_ACCEPTED), JOURNAL_LINE_BUSY);
    ck_assert(!journal_line_free(journal, LINE_A));
    ck_assert_int_eq(change_do(JOURNAL_CANCEL, &c), JOURNAL_OK);
    ck_assert(journal_line_free(journal, LINE_A));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("journal.claim");
    TCase *t = tcase_create("claim");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, second_claim_is_busy_and_not_recorded);
    tcase_add_test(t, intent_needs_its_own_claim);
    tcase_add_test(t, key_busy_then_replay);
    tcase_add_test(t, answered_is_known_at_once);
    tcase_add_test(t, first_status_with_the_change);
    tcase_add_test(t, not_sent_frees_the_key);
    tcase_add_test(t, refusal_recorded_later_gives_the_claim_back);
    tcase_add_test(t, invalid_keeps_the_key);
    tcase_add_test(t, intent_with_a_taken_key);
    tcase_add_test(t, key_expires);
    tcase_add_test(t, unanswered_key_of_an_earlier_process);
    tcase_add_test(t, free_line_is_seen_from_any_thread);
    tcase_add_test(t, free_line_after_cancel_and_refused_intent);
    suite_add_tcase(s, t);
    return run_suite(s);
}
