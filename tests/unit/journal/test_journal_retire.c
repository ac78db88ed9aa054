/* A slot is given up: no new changes, and the mark only when nothing in it waits for anybody (issue 3, point 2). */
#include "unit/journal/support.h"

#include "pcs/journal/slots.h"

static const char *const A = "01900000-0000-7000-8000-00000000000a";
static const char *const B = "01900000-0000-7000-8000-00000000000b";

static bool retire(bool leave_dead)
{
    bool retired = journal_retire(journal, leave_dead);
    journal = NULL;
    return retired;
}

static enum journal_slot_state slot_state(void)
{
    return journal_slot_look(dir.path, 0);
}

/* Tells all sinks that everything has arrived. */
static void forward_all(void)
{
    struct journal_op op = op_make(JOURNAL_HISTORY_PULL);
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    struct journal_op ack = op_make(JOURNAL_HISTORY_ACK);
    ack.ack_rows = op.seqs;
    ack.ack_row_count = op.list_count;
    ck_assert_int_eq(op_run(&ack), JOURNAL_OK);
    journal_op_clear(&ack);
    journal_op_clear(&op);
    op = op_make(JOURNAL_INVALIDATIONS);
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    for (size_t i = 0; i < op.invalid_count; i++) {
        struct journal_op done = op_make(JOURNAL_INVALIDATED);
        done.line = op.invalid[i].line;
        done.generation = op.invalid[i].generation;
        ck_assert_int_eq(op_run(&done), JOURNAL_OK);
        journal_op_clear(&done);
    }
    journal_op_clear(&op);
}

/* An intent on data that was loaded just now: not older than what the journal remembers. */
static enum journal_status fresh_intent(const char *id, const char *line, enum change_state state)
{
    struct change_record c = change_make(id, line, state);
    c.loaded_at = clock_wall_ms() + 1;
    return change_do(JOURNAL_INTENT, &c);
}

static void settle_with_event(const char *id, const char *line)
{
    struct journal_event e = event_make(id, id, line);
    ck_assert_int_eq(fresh_intent(id, line, CHANGE_SENDING), JOURNAL_OK);
    struct journal_op op = op_make(JOURNAL_OUTCOME);
    op.change = (struct change_record){.request_id = id, .state = CHANGE_COMPLETED, .result_code = "0000"};
    op.event = &e;
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    journal_op_clear(&op);
}

static void attempt(int64_t seq, enum journal_verdict verdict)
{
    struct journal_op op = op_make(JOURNAL_EVENT_ATTEMPT);
    op.attempt = (struct journal_attempt){.seq = seq, .at = T0, .status = 200, .verdict = verdict};
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    journal_op_clear(&op);
}

/* No claims, intents, records any more; what is open goes on to its end, and may be cancelled. */
START_TEST(nothing_new_while_retiring_and_what_is_open_goes_on)
{
    ck_assert_int_eq(fresh_intent(A, LINE_A, CHANGE_ACCEPTED), JOURNAL_OK);
    ck_assert(journal_writable(journal));
    journal_refuse_new(journal, true);
    ck_assert(!journal_writable(journal));
    struct change_record c = change_make(B, LINE_B, CHANGE_SENDING);
    ck_assert_int_eq(change_do(JOURNAL_CLAIM, &c), JOURNAL_FULL);
    ck_assert_int_eq(change_do(JOURNAL_INTENT, &c), JOURNAL_FULL);
    c.state = CHANGE_INVALID;
    ck_assert_int_eq(change_do(JOURNAL_RECORD, &c), JOURNAL_FULL);
    c = change_make(A, LINE_A, CHANGE_SENDING);
    ck_assert_int_eq(change_do(JOURNAL_SEND, &c), JOURNAL_OK);
    ck_assert_int_eq(outcome_at(A, CHANGE_COMPLETED, T0), JOURNAL_OK);
    journal_refuse_new(journal, false);
    ck_assert(journal_writable(journal));
    ck_assert_int_eq(fresh_intent(B, LINE_B, CHANGE_SENDING), JOURNAL_OK);
}
END_TEST

/* A replay is answered also while retiring: the customer asks about what was done. */
START_TEST(a_replay_is_answered_while_retiring)
{
    struct change_record c = change_make(A, LINE_A, CHANGE_SENDING);
    c.idem_key = "key-1";
    c.body_hash = "body";
    c.first_status = 200;
    c.requested_at = clock_wall_ms();
    ck_assert_int_eq(change_do(JOURNAL_INTENT, &c), JOURNAL_OK);
    ck_assert_int_eq(outcome_at(A, CHANGE_COMPLETED, T0), JOURNAL_OK);
    journal_refuse_new(journal, true);
    struct journal_op op = op_make(JOURNAL_CLAIM);
    op.change = change_make(B, LINE_A, CHANGE_SENDING);
    op.change.idem_key = "key-1";
    op.change.body_hash = "body";
    ck_assert_int_eq(op_run(&op), JOURNAL_REPLAY);
    journal_op_clear(&op);
}
END_TEST

/* Each thing that waits for somebody keeps the slot from being given up; then it is, and says so to everybody. */
START_TEST(a_slot_is_retired_only_when_nothing_waits)
{
    settle_with_event(A, LINE_A);
    ck_assert(!retire(false)); /* row, event, invalidation */
    ck_assert_int_eq(slot_state(), SLOT_ORPHAN);
    open_journal();
    attempt(1, VERDICT_DELIVERED);
    ck_assert(!retire(false)); /* row, invalidation */
    open_journal();
    forward_all();
    ck_assert_int_eq(fresh_intent(B, LINE_B, CHANGE_ACCEPTED), JOURNAL_OK);
    forward_all();
    ck_assert(!retire(false)); /* an open change */
    open_journal();
    ck_assert_int_eq(outcome_at(B, CHANGE_NOT_SENT, T0), JOURNAL_OK);
    forward_all();
    ck_assert(retire(false));
    ck_assert_int_eq(slot_state(), SLOT_RETIRED);

    static struct journal_slot slots[JOURNAL_SLOTS_MAX];
    ck_assert_uint_eq(journal_slots(dir.path, -1, slots), 1);
    ck_assert_int_eq(slots[0].state, SLOT_RETIRED);
    ck_assert_int_eq(slots[0].stats.open, 0);
    ck_assert_int_eq(slot_state(), SLOT_RETIRED); /* looking at it changes nothing */
}
END_TEST

START_TEST(a_retired_slot_is_no_orphan)
{
    struct journal *second = journal_open(&config, err, sizeof err);
    ck_assert_msg(second != NULL, "%s", err);
    ck_assert(journal_retire(second, false));
    ck_assert_uint_eq(journal_orphans(journal), 0);
    ck_assert_int_eq(journal_slot_look(dir.path, 1), SLOT_RETIRED);
    ck_assert_int_eq(journal_slot_look(dir.path, 2), SLOT_NONE);
}
END_TEST

/* Dead letters are an operator's: they stay in the file only if the operator says so. */
START_TEST(dead_letters_stay_only_if_it_is_said)
{
    settle_with_event(A, LINE_A);
    attempt(1, VERDICT_DEAD);
    forward_all();
    ck_assert(!retire(false));
    open_journal();
    ck_assert(retire(true));
    ck_assert_int_eq(slot_state(), SLOT_RETIRED);
    open_journal();
    ck_assert_int_eq(stats().events_dead, 1);
}
END_TEST

/* Whoever takes the slot again goes on: same instance, same numbers, keys still known; and it is an orphan when it dies. */
START_TEST(a_retired_slot_that_is_taken_again_goes_on)
{
    char instance[64];
    snprintf(instance, sizeof instance, "%s", journal_instance(journal));
    settle_with_event(A, LINE_A);
    attempt(1, VERDICT_DELIVERED);
    forward_all();
    ck_assert(retire(false));
    open_journal();
    ck_assert_uint_eq(journal_slot(journal), 0);
    ck_assert_str_eq(journal_instance(journal), instance);
    ck_assert_int_eq(slot_state(), SLOT_OWNED);
    ck_assert_int_eq(state_of(A), CHANGE_COMPLETED);
    settle_with_event(B, LINE_B);
    struct journal_op op = op_make(JOURNAL_EVENTS_PULL);
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    ck_assert_int_eq(op.events[0].seq, 2);
    journal_op_clear(&op);
    close_journal();
    ck_assert_int_eq(slot_state(), SLOT_ORPHAN);
}
END_TEST

/* One slot and no other: not the first that is free, not one that is in use, not one that is empty. */
START_TEST(adopting_takes_the_slot_that_was_named)
{
    struct journal_config one = config;
    struct journal *second = journal_open(&config, err, sizeof err);
    ck_assert_ptr_nonnull(second);
    journal_close(second);
    one.one_slot = true;
    one.slot = 0;
    ck_assert_ptr_null(journal_open(&one, err, sizeof err));
    ck_assert_msg(strstr(err, "in use"), "%s", err);
    one.slot = 5;
    ck_assert_ptr_null(journal_open(&one, err, sizeof err));
    ck_assert_msg(strstr(err, "there is none in slot 5"), "%s", err);
    close_journal();
    one.slot = 1;
    journal = journal_open(&one, err, sizeof err);
    ck_assert_msg(journal != NULL, "%s", err);
    ck_assert_uint_eq(journal_slot(journal), 1);
}
END_TEST

#define OWNER 65534

static int strangers;

static int count_stranger(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)flag;
    (void)ftw;
    if (st->st_uid != OWNER) {
        fprintf(stderr, "%s belongs to %u\n", path, (unsigned)st->st_uid);
        strangers++;
    }
    return 0;
}

/* Issue 7, point 5: `retire --orphans` and its like are run by root. The service, which is not root, has the slot after
 * that: nothing in it may be root's. */
START_TEST(what_root_makes_in_a_slot_is_the_owners)
{
    if (geteuid() != 0) {
        return;
    }
    close_journal();
    ck_assert_int_eq(nftw(dir.path, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
    ck_assert_int_eq(mkdir(dir.path, 0700), 0);
    ck_assert_int_eq(chown(dir.path, OWNER, OWNER), 0);
    open_journal();
    settle_with_event(A, LINE_A);
    strangers = 0;
    ck_assert_int_eq(nftw(dir.path, count_stranger, 16, FTW_PHYS), 0);
    ck_assert_int_eq(strangers, 0);
    ck_assert(!retire(false));
    open_journal();
    forward_all();
    (void)retire(true);
    ck_assert_int_eq(nftw(dir.path, count_stranger, 16, FTW_PHYS), 0);
    ck_assert_int_eq(strangers, 0);
}
END_TEST

/* Whoever owns the directory cannot have root give a foreign file away: a link is not followed, and not opened. */
START_TEST(root_follows_no_link_in_a_slot)
{
    char path[sizeof dir.path + 32];
    struct journal_config again = config;
    close_journal();
    snprintf(path, sizeof path, "%s/0/undo", dir.path);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(symlink("/etc/hostname", path), 0);
    ck_assert_ptr_null(journal_open(&again, err, sizeof err));
    ck_assert_ptr_nonnull(strstr(err, "undo"));
    ck_assert_int_eq(unlink(path), 0);
    open_journal();
}
END_TEST

int main(void)
{
    metrics_register(journal_metrics, journal_metrics_count);
    Suite *s = suite_create("journal: retiring");
    TCase *t = tcase_create("retire");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, nothing_new_while_retiring_and_what_is_open_goes_on);
    tcase_add_test(t, a_replay_is_answered_while_retiring);
    tcase_add_test(t, a_slot_is_retired_only_when_nothing_waits);
    tcase_add_test(t, a_retired_slot_is_no_orphan);
    tcase_add_test(t, dead_letters_stay_only_if_it_is_said);
    tcase_add_test(t, a_retired_slot_that_is_taken_again_goes_on);
    tcase_add_test(t, adopting_takes_the_slot_that_was_named);
    tcase_add_test(t, what_root_makes_in_a_slot_is_the_owners);
    tcase_add_test(t, root_follows_no_link_in_a_slot);
    suite_add_tcase(s, t);
    return run_suite(s);
}
