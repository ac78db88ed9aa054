/* A disk that fails: nothing is acknowledged that is not stored, and the journal comes back by itself. */
#include "unit/journal/support.h"

#include "unit/journal/fault_vfs.h"

#include <limits.h>
#include <sys/stat.h>

static const char *const A = "01900000-0000-7000-8000-00000000000a";
static const char *const B = "01900000-0000-7000-8000-00000000000b";
static const char *const C = "01900000-0000-7000-8000-00000000000c";

static void fault_setup(void)
{
    fault_install();
    setup();
}

static void fault_teardown(void)
{
    atomic_store(&fault_sync, false);
    atomic_store(&fault_full, false);
    atomic_store(&fault_slow, false);
    teardown();
    fault_remove();
}

static void wait_writable(void)
{
    uint64_t until = clock_mono_ns() + 20 * NS_PER_SEC;
    while (!journal_writable(journal)) {
        ck_assert_msg(clock_mono_ns() < until, "not writable again in 20 s");
        usleep(5000);
    }
}

static enum journal_status keyed_intent(const char *id, const char *line)
{
    struct change_record c = change_make(id, line, CHANGE_SENDING);
    c.idem_key = "k1";
    c.body_hash = "b1";
    return change_do(JOURNAL_INTENT, &c);
}

/* PITFALLS: after a failed fsync nothing is known. An intent that was answered "nothing was ordered" must not come
 * back as a change to be settled, although its record is in the log. */
START_TEST(failed_fsync_leaves_no_intent)
{
    ck_assert_int_eq(intent(A, LINE_A, CHANGE_ACCEPTED), JOURNAL_OK);
    atomic_store(&fault_sync, true);
    ck_assert_int_eq(keyed_intent(B, LINE_B), JOURNAL_FAILED);
    ck_assert(!journal_writable(journal));
    ck_assert_int_eq(intent(C, "01011110003", CHANGE_SENDING), JOURNAL_FAILED);
    struct journal_op op = op_make(JOURNAL_GET);
    op.change.request_id = A;
    ck_assert_int_eq(op_run(&op), JOURNAL_FAILED);
    journal_op_clear(&op);
    atomic_store(&fault_sync, false);
    wait_writable();
    ck_assert_int_eq(state_of(A), CHANGE_ACCEPTED);
    ck_assert_int_eq(state_of(B), CHANGE_STATES);
    ck_assert_int_eq(state_of(C), CHANGE_STATES);
    ck_assert_int_eq(stats().open, 1);
    ck_assert(!journal_line_free(journal, LINE_A));
    ck_assert(journal_line_free(journal, LINE_B));
    ck_assert_int_eq(keyed_intent(B, LINE_B), JOURNAL_OK); /* line and key are free */
    ck_assert(!journal_line_free(journal, LINE_B));
    close_journal();
    open_journal();
    ck_assert_int_eq(stats().open, 2);
}
END_TEST

/* The same, when the process ends before it could open the file again. */
START_TEST(failed_fsync_and_then_a_restart)
{
    ck_assert_int_eq(intent(A, LINE_A, CHANGE_ACCEPTED), JOURNAL_OK);
    atomic_store(&fault_sync, true);
    ck_assert_int_eq(keyed_intent(B, LINE_B), JOURNAL_FAILED);
    close_journal();
    atomic_store(&fault_sync, false);
    open_journal();
    ck_assert_int_eq(state_of(A), CHANGE_ACCEPTED);
    ck_assert_int_eq(state_of(B), CHANGE_STATES);
    ck_assert_int_eq(keyed_intent(B, LINE_B), JOURNAL_OK);
}
END_TEST

/* What a failed fsync was about may be in the kernel's cache alone, counted as written: before anything is promised on top
 * of it, it is written anew, into the file, and the log begins again. */
START_TEST(nothing_is_promised_on_a_log_whose_fsync_failed)
{
    char log[PATH_MAX];
    struct stat st;
    snprintf(log, sizeof log, "%s/0/journal.db-wal", dir.path);
    ck_assert_int_eq(intent(A, LINE_A, CHANGE_ACCEPTED), JOURNAL_OK);
    atomic_store(&fault_sync, true);
    ck_assert_int_eq(keyed_intent(B, LINE_B), JOURNAL_FAILED);
    ck_assert_int_eq(stat(log, &st), 0);
    ck_assert_int_gt(st.st_size, 0);
    atomic_store(&fault_sync, false);
    wait_writable();
    ck_assert(stat(log, &st) != 0 || st.st_size == 0);
    ck_assert_int_eq(state_of(A), CHANGE_ACCEPTED);
}
END_TEST

/* A SEND that was answered FAILED has not sent anything: the change is still ACCEPTED. */
START_TEST(failed_send_stays_accepted)
{
    ck_assert_int_eq(intent(A, LINE_A, CHANGE_ACCEPTED), JOURNAL_OK);
    atomic_store(&fault_sync, true);
    struct change_record c = {.request_id = A, .loaded_at = T0 + 1, .sent_at = T0 + 2};
    ck_assert_int_eq(change_do(JOURNAL_SEND, &c), JOURNAL_FAILED);
    atomic_store(&fault_sync, false);
    wait_writable();
    ck_assert_int_eq(state_of(A), CHANGE_ACCEPTED);
    ck_assert_int_eq(change_do(JOURNAL_SEND, &c), JOURNAL_OK);
}
END_TEST

/* An outcome that was answered FAILED may be repeated: it is then stored, once. */
START_TEST(failed_outcome_can_be_repeated)
{
    ck_assert_int_eq(intent(A, LINE_A, CHANGE_SENDING), JOURNAL_OK);
    atomic_store(&fault_sync, true);
    ck_assert_int_eq(outcome_at(A, CHANGE_COMPLETED, T0), JOURNAL_FAILED);
    atomic_store(&fault_sync, false);
    wait_writable();
    enum journal_status again = outcome_at(A, CHANGE_COMPLETED, T0);
    ck_assert(again == JOURNAL_OK || again == JOURNAL_CONFLICT);
    ck_assert_int_eq(state_of(A), CHANGE_COMPLETED);
    ck_assert_int_eq(stats().history_pending, 1);
    ck_assert(journal_line_free(journal, LINE_A)); /* ended in whichever of the two commits */
}
END_TEST

/* Lazy operations and claims live through it in order: no answer is missing. */
START_TEST(everything_is_answered)
{
    enum { N = 64 };
    static struct journal_op ops[N];
    static bool done[N];
    static char ids[N][37];
    for (int round = 0; round < 3; round++) {
        atomic_store(&fault_sync, round == 1);
        for (int i = 0; i < N; i++) {
            op_start(&ops[i], (enum journal_verb)(i % JOURNAL_VERBS), &done[i]);
            ops[i].change = change_make(uuid_v7(ids[i]), ids[i], CHANGE_CANCELLED);
            ops[i].line = ids[i];
            ck_assert(journal_submit(&ops[i]));
        }
        for (int i = 0; i < N; i++) {
            op_wait(&ops[i]);
            journal_op_clear(&ops[i]);
        }
    }
    wait_writable();
}
END_TEST

/* DESIGN.md: a reserve is kept, so that outcomes always fit. The disk is full until the reserve is given up. */
START_TEST(outcomes_fit_on_a_full_disk)
{
    char reserve[128];
    snprintf(reserve, sizeof reserve, "%s/0/reserve", dir.path);
    ck_assert_int_eq(access(reserve, F_OK), 0);
    ck_assert_int_eq(intent(A, LINE_A, CHANGE_SENDING), JOURNAL_OK);
    ck_assert_int_eq(stats().open, 1);
    fault_full_while_path = reserve;
    atomic_store(&fault_full, true);
    struct journal_op end, begin;
    bool ended, begun;
    op_start(&begin, JOURNAL_INTENT, &begun);
    begin.change = change_make(B, LINE_B, CHANGE_SENDING);
    op_start(&end, JOURNAL_OUTCOME, &ended);
    end.change = (struct change_record){.request_id = A, .state = CHANGE_COMPLETED, .result_code = "0000"};
    ck_assert(journal_submit(&begin));
    ck_assert(journal_submit(&end));
    op_wait(&begin);
    op_wait(&end);
    ck_assert_int_eq(end.status, JOURNAL_OK);
    ck_assert_int_eq(begin.status, JOURNAL_FULL);
    journal_op_clear(&begin);
    journal_op_clear(&end);
    ck_assert_int_eq(state_of(A), CHANGE_COMPLETED);
    atomic_store(&fault_full, false);
    wait_writable(); /* there was room on the real disk: the reserve is made again */
    ck_assert_int_eq(access(reserve, F_OK), 0);
    ck_assert_int_eq(intent(B, LINE_B, CHANGE_SENDING), JOURNAL_OK);
}
END_TEST

/* Full although the reserve was given up: not stored, said so, and taken again later. */
START_TEST(really_full_disk)
{
    ck_assert_int_eq(intent(A, LINE_A, CHANGE_SENDING), JOURNAL_OK);
    atomic_store(&fault_full, true);
    ck_assert_int_eq(outcome_at(A, CHANGE_COMPLETED, T0), JOURNAL_FAILED);
    ck_assert(!journal_writable(journal));
    atomic_store(&fault_full, false);
    wait_writable();
    ck_assert_int_eq(state_of(A), CHANGE_SENDING);
    ck_assert_int_eq(outcome_at(A, CHANGE_COMPLETED, T0), JOURNAL_OK);
}
END_TEST

/* One fsync for all that have come during the one before, and none for what was refused or only looked up. */
START_TEST(one_fsync_a_group)
{
    enum { N = 100 };
    static struct journal_op ops[N];
    static bool done[N];
    static char ids[N][37], lines[N][32];
    ck_assert_int_eq(intent(A, LINE_A, CHANGE_SENDING), JOURNAL_OK);
    (void)stats();
    int before = atomic_load(&fault_syncs);
    ck_assert_int_eq(intent(B, LINE_A, CHANGE_SENDING), JOURNAL_LINE_BUSY);
    ck_assert_int_eq(state_of(A), CHANGE_SENDING);
    ck_assert_int_eq(atomic_load(&fault_syncs), before);
    atomic_store(&fault_slow, true);
    for (int i = 0; i < N; i++) {
        snprintf(lines[i], sizeof lines[i], "0101234%04d", i);
        op_start(&ops[i], JOURNAL_INTENT, &done[i]);
        ops[i].change = change_make(uuid_v7(ids[i]), lines[i], CHANGE_SENDING);
        ck_assert(journal_submit(&ops[i]));
        while (atomic_load(&fault_syncs) == before) {
            usleep(200); /* the first one alone: the others come while it is written */
        }
    }
    atomic_store(&fault_slow, false);
    for (int i = 0; i < N; i++) {
        op_wait(&ops[i]);
        ck_assert_int_eq(ops[i].status, JOURNAL_OK);
        journal_op_clear(&ops[i]);
    }
    ck_assert_int_eq(atomic_load(&fault_syncs) - before, 2);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("journal.fault");
    TCase *t = tcase_create("fault");
    tcase_add_checked_fixture(t, fault_setup, fault_teardown);
    tcase_set_timeout(t, 90);
    tcase_add_test(t, failed_fsync_leaves_no_intent);
    tcase_add_test(t, failed_fsync_and_then_a_restart);
    tcase_add_test(t, nothing_is_promised_on_a_log_whose_fsync_failed);
    tcase_add_test(t, failed_send_stays_accepted);
    tcase_add_test(t, failed_outcome_can_be_repeated);
    tcase_add_test(t, everything_is_answered);
    tcase_add_test(t, outcomes_fit_on_a_full_disk);
    tcase_add_test(t, really_full_disk);
    tcase_add_test(t, one_fsync_a_group);
    suite_add_tcase(s, t);
    return run_suite(s);
}
