/* Copies of a journal in use (issue 7, point 6): whole, as the journal was when the copy ended, and the journal is not held
 * up by them. */
#include "unit/journal/support.h"

#include "pcs/journal/backup.h"
#include "pcs/journal/slots.h"

#include <fcntl.h>
#include <sys/stat.h>

#define MANY 3000

static char id[MANY + 8][UUID_LEN + 1];

static const char *id_of(int n)
{
    snprintf(id[n], sizeof id[n], "01900000-0000-7000-8000-%012d", n);
    return id[n];
}

static void fill(struct journal_op *op, char line[16], int n)
{
    snprintf(line, 16, "010%08d", n);
    op->change = change_make(id_of(n), line, CHANGE_INVALID);
    op->change.requested_at = op->change.processed_at = op->now = clock_wall_ms();
    op->change.failure_reason =
        "01234567890123456789012345678901234567890123456789012345678901234567890123456789";
}

static void settle_one(int n)
{
    char line[16];
    struct journal_op op = op_make(JOURNAL_RECORD);
    fill(&op, line, n);
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    journal_op_clear(&op);
}

/* MANY of them, in a few commits. */
static void settle_many(void)
{
    static char lines[MANY][16];
    static bool answered[MANY];
    struct journal_op *ops = calloc(MANY, sizeof *ops);
    for (int n = 0; n < MANY; n++) {
        op_start(&ops[n], JOURNAL_RECORD, &answered[n]);
        fill(&ops[n], lines[n], n);
        ck_assert(journal_submit(&ops[n]));
    }
    for (int n = 0; n < MANY; n++) {
        op_wait(&ops[n]);
        ck_assert_int_eq(ops[n].status, JOURNAL_OK);
        journal_op_clear(&ops[n]);
    }
    free(ops);
}

/* The number of changes in the copy, as the program reads it in a directory of its own; removes it. */
static int64_t in_copy(const char *file)
{
    char command[512], instance[UUID_LEN + 1];
    static struct journal_slot slots[JOURNAL_SLOTS_MAX];
    char base[64] = "/tmp/pcs-restored-XXXXXX";
    ck_assert_msg(journal_backup_check(file, instance, err, sizeof err), "%s", err);
    ck_assert_ptr_nonnull(mkdtemp(base));
    snprintf(command, sizeof command, "mkdir %s/0 && mv %s %s/0/journal.db", base, file, base);
    ck_assert_int_eq(system(command), 0);
    ck_assert_int_eq((int)journal_slots(base, -1, slots), 1);
    ck_assert_msg(slots[0].counted, "%s", slots[0].reason);
    ck_assert_str_eq(slots[0].instance, instance);
    nftw(base, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return slots[0].stats.history_pending;
}

static struct journal_op copy;
static bool copied;

static void begin_copy(void)
{
    op_start(&copy, JOURNAL_BACKUP, &copied);
    ck_assert(journal_submit(&copy));
}

START_TEST(a_copy_is_the_journal_as_it_was_when_the_copy_ended)
{
    settle_many();
    begin_copy();
    settle_one(MANY); /* while it is being made, or after it: both are right */
    op_wait(&copy);
    ck_assert_int_eq(copy.status, JOURNAL_OK);
    ck_assert_ptr_nonnull(strstr(copy.reason, "/0/" JOURNAL_BACKUP_FILE));
    struct stat st;
    ck_assert_int_eq(stat(copy.reason, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0600);
    ck_assert_int_gt(st.st_size, 1 << 20);
    int64_t n = in_copy(copy.reason);
    ck_assert(n == MANY || n == MANY + 1);
    journal_op_clear(&copy);
}
END_TEST

/* What is committed before the copy was asked for is in it, though it is still in the log alone. */
START_TEST(what_was_acknowledged_before_is_in_it)
{
    settle_one(1);
    settle_one(2);
    begin_copy();
    op_wait(&copy);
    ck_assert_int_eq(copy.status, JOURNAL_OK);
    ck_assert_int_eq(in_copy(copy.reason), 2);
    journal_op_clear(&copy);
}
END_TEST

START_TEST(only_one_at_a_time_and_it_can_be_given_up)
{
    struct journal_op second, stop;
    bool second_done, stopped;
    settle_many();
    begin_copy();
    op_start(&second, JOURNAL_BACKUP, &second_done);
    op_start(&stop, JOURNAL_BACKUP, &stopped);
    stop.limit = -1;
    ck_assert(journal_submit(&second) && journal_submit(&stop));
    op_wait(&second);
    op_wait(&stop);
    op_wait(&copy);
    ck_assert_int_eq(stop.status, JOURNAL_OK);
    /* the machine may have been quick enough to end the first one in between */
    ck_assert(second.status == JOURNAL_CONFLICT || copy.status == JOURNAL_OK);
    if (copy.status != JOURNAL_OK) {
        char file[128];
        ck_assert_int_eq(copy.status, JOURNAL_FAILED);
        snprintf(file, sizeof file, "%s/0/" JOURNAL_BACKUP_FILE, dir.path);
        ck_assert_int_ne(access(file, F_OK), 0);
    }
    journal_op_clear(&copy);
    journal_op_clear(&second);
    journal_op_clear(&stop);
    begin_copy(); /* and the next one is made */
    op_wait(&copy);
    ck_assert_int_eq(copy.status, JOURNAL_OK);
    ck_assert_int_eq(in_copy(copy.reason), MANY);
    journal_op_clear(&copy);
}
END_TEST

START_TEST(an_end_in_the_middle_answers_it)
{
    settle_many();
    begin_copy();
    close_journal();
    op_wait(&copy);
    ck_assert(copy.status == JOURNAL_FAILED || copy.status == JOURNAL_OK);
    journal_op_clear(&copy);
    open_journal();
    ck_assert_int_eq(stats().history_pending, MANY);
}
END_TEST

START_TEST(without_an_owner_and_a_damaged_copy_is_told)
{
    char file[128], instance[UUID_LEN + 1];
    settle_many();
    close_journal();
    struct journal *j = journal_open_offline(&config, 0, err, sizeof err);
    ck_assert_msg(j != NULL, "%s", err);
    snprintf(file, sizeof file, "%s/copy", dir.path);
    ck_assert_msg(journal_backup_offline(j, file, err, sizeof err), "%s", err);
    ck_assert(journal_backup_check(file, instance, err, sizeof err));
    int fd = open(file, O_RDWR | O_CLOEXEC);
    char zeros[4096 * 8] = {0};
    ck_assert_int_eq(pwrite(fd, zeros, sizeof zeros, 4096 * 100), sizeof zeros);
    close(fd);
    ck_assert(!journal_backup_check(file, instance, err, sizeof err));
    ck_assert_ptr_nonnull(strstr(err, "damaged"));
    ck_assert(!journal_backup_check(dir.path, instance, err, sizeof err));
    ck_assert(!journal_backup_offline(j, "/nowhere/copy", err, sizeof err));
    ck_assert_ptr_nonnull(strstr(err, "/nowhere/copy"));
    journal_close_offline(j);
    open_journal();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("journal backup");
    TCase *tc = tcase_create("backup");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_copy_is_the_journal_as_it_was_when_the_copy_ended);
    tcase_add_test(tc, what_was_acknowledged_before_is_in_it);
    tcase_add_test(tc, only_one_at_a_time_and_it_can_be_given_up);
    tcase_add_test(tc, an_end_in_the_middle_answers_it);
    tcase_add_test(tc, without_an_owner_and_a_damaged_copy_is_told);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
