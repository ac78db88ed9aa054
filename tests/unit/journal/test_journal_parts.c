/* The journal's parts by themselves: claims, the memory of outcomes, the reserve, the file of what is undone. */
#include "journal/claims.h"
#include "journal/recent.h"
#include "journal/record.h"
#include "journal/reserve.h"
#include "journal/undo.h"
#include "unit/journal/support.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

#define SECOND NS_PER_SEC

static void dir_setup(void)
{
    log_set_threshold(LOG_LEVEL_OFF);
    snprintf(dir.path, sizeof dir.path, "/tmp/pcs-journal-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir.path));
}

static void dir_teardown(void)
{
    nftw(dir.path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* No request lives 60 s: a claim that was forgotten gives its line and key free. */
START_TEST(claims_expire)
{
    struct claims c;
    ck_assert(claims_init(&c));
    ck_assert(claims_add(&c, CLAIM_CLAIMED, "a", LINE_A, "k", "b", SECOND));
    ck_assert_ptr_nonnull(claims_of_line(&c, LINE_A, SECOND + CLAIM_LIFE_NS));
    ck_assert_ptr_nonnull(claims_of_key(&c, "k", SECOND + CLAIM_LIFE_NS));
    ck_assert_ptr_null(claims_of_line(&c, LINE_A, SECOND + CLAIM_LIFE_NS + 1));
    ck_assert_ptr_null(claims_of_key(&c, "k", SECOND));
    ck_assert_uint_eq(c.count, 0);
    for (int i = 0; i < 100; i++) {
        char id[16];
        snprintf(id, sizeof id, "r%d", i);
        ck_assert(claims_add(&c, CLAIM_CLAIMED, id, id, i % 2 ? id : NULL, NULL, (uint64_t)i * SECOND));
    }
    claims_sweep(&c, CLAIM_LIFE_NS + 50 * SECOND);
    ck_assert_uint_eq(c.count, 50);
    ck_assert_ptr_null(claims_of_request(&c, "r49"));
    ck_assert_ptr_nonnull(claims_of_request(&c, "r50"));
    claims_free(&c);
}
END_TEST

/* Bounded at construction. */
START_TEST(claims_are_bounded)
{
    struct claims c;
    char id[16];
    ck_assert(claims_init(&c));
    for (int i = 0; i < CLAIMS_MAX; i++) {
        snprintf(id, sizeof id, "r%d", i);
        ck_assert(claims_add(&c, CLAIM_CLAIMED, id, id, NULL, NULL, 1));
    }
    ck_assert(!claims_add(&c, CLAIM_CLAIMED, "more", "more", NULL, NULL, 1));
    claims_drop(&c, "r7");
    claims_drop(&c, "r7");
    ck_assert(claims_add(&c, CLAIM_CLAIMED, "more", "more", NULL, NULL, 1));
    claims_free(&c);
}
END_TEST

/* Once a change is on disk its line is not claimed any more, its key only until it is answered. */
START_TEST(claims_become_unanswered_keys)
{
    struct claims c;
    ck_assert(claims_init(&c));
    ck_assert(claims_add(&c, CLAIM_CLAIMED, "a", LINE_A, "k", "b", 1));
    claims_recorded(&c, "a", LINE_A, "k", "b", false, 1);
    ck_assert_ptr_null(claims_of_line(&c, LINE_A, 1));
    ck_assert_int_eq(claims_of_key(&c, "k", 1)->state, CLAIM_UNANSWERED);
    claims_recorded(&c, "a", LINE_A, "k", "b", true, 1);
    ck_assert_ptr_null(claims_of_key(&c, "k", 1));
    claims_recorded(&c, "a", LINE_A, NULL, NULL, false, 1);
    ck_assert_uint_eq(c.count, 0);
    claims_free(&c);
}
END_TEST

/* The memory of outcomes is bounded; what it forgot is loaded again, never trusted. */
START_TEST(recent_forgets_on_the_safe_side)
{
    struct recent r;
    char line[16];
    recent_init(&r, 1000);
    ck_assert(recent_reload(&r, LINE_A, 1000));
    ck_assert(!recent_reload(&r, LINE_A, 1001));
    recent_note(&r, LINE_A, 5000, 5000);
    recent_note(&r, LINE_A, 4000, 5000); /* an older one changes nothing */
    ck_assert(recent_reload(&r, LINE_A, 5000));
    ck_assert(!recent_reload(&r, LINE_A, 5001));
    ck_assert(!recent_reload(&r, LINE_B, 5000));
    for (int i = 0; i < RECENT_MAX; i++) {
        snprintf(line, sizeof line, "%d", i);
        recent_note(&r, line, 6000, 6000);
    }
    ck_assert(recent_reload(&r, LINE_A, 5000)); /* still known, in the old generation */
    ck_assert(!recent_reload(&r, LINE_A, 5001));
    for (int i = 0; i < RECENT_MAX; i++) {
        snprintf(line, sizeof line, "x%d", i);
        recent_note(&r, line, 7000, 7000);
    }
    ck_assert(recent_reload(&r, LINE_A, 5500)); /* forgotten: so is whether anything happened up to 6000 */
    ck_assert(recent_reload(&r, LINE_B, 6000));
    ck_assert(!recent_reload(&r, LINE_B, 6001));
    recent_note(&r, LINE_A, 7000 + RECENT_AGE_MS + 1, 7000 + RECENT_AGE_MS + 1);
    recent_note(&r, LINE_B, 7000 + 3 * RECENT_AGE_MS, 7000 + 3 * RECENT_AGE_MS);
    ck_assert(recent_reload(&r, "x1", 7000));
    recent_free(&r);
}
END_TEST

/* The table of columns and the tables in the file are the same list. */
START_TEST(columns_match_the_schema)
{
    setup();
    close_journal();
    char path[128], sql[128];
    struct buf names;
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/0/journal.db", dir.path);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    buf_init(&names, 4096);
    record_names(&names);
    static const char *const tables[] = {"open_change", "settled"};
    for (size_t i = 0; i < 2; i++) {
        struct buf found;
        sqlite3_stmt *s;
        buf_init(&found, 4096);
        snprintf(sql, sizeof sql, "SELECT name FROM pragma_table_info('%s') WHERE cid>0 ORDER BY cid",
                 tables[i]);
        ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
        while (sqlite3_step(s) == SQLITE_ROW) {
            buf_printf(&found, "%s%s", found.len ? "," : "", (const char *)sqlite3_column_text(s, 0));
        }
        sqlite3_finalize(s);
        ck_assert_str_eq(found.data, names.data);
        buf_free(&found);
    }
    buf_free(&names);
    sqlite3_close(db);
    teardown();
}
END_TEST

/* What an outcome says, and what it leaves as the change has it. */
START_TEST(an_outcome_takes_the_rest_from_the_open_row)
{
    const struct change_record open = {.request_id = "r",
                                       .line = LINE_A,
                                       .state = CHANGE_SENDING,
                                       .idem_key = "k",
                                       .frontend = true,
                                       .current_name = "old name",
                                       .target_name = "target",
                                       .requested_at = 1,
                                       .loaded_at = 2,
                                       .validated_at = 3,
                                       .sent_at = 4,
                                       .validation_json = "[]",
                                       .result_code = "none yet",
                                       .in_doubt = true,
                                       .next_check_at = 5,
                                       .checks = 6,
                                       .first_status = 202};
    struct change_record c = {.request_id = "other",
                              .state = CHANGE_COMPLETED,
                              .idem_key = "other",
                              .current_name = "new name",
                              .loaded_at = 20,
                              .sent_at = 40,
                              .processed_at = 50,
                              .kos_order_number = "o",
                              .in_doubt = true,
                              .next_check_at = 60,
                              .checks = 70,
                              .first_status = 200};
    record_end(&open, &c);
    ck_assert_str_eq(c.request_id, "r"); /* kept, whatever is said */
    ck_assert_str_eq(c.line, LINE_A);
    ck_assert_str_eq(c.idem_key, "k");
    ck_assert(c.frontend);
    ck_assert_int_eq(c.requested_at, 1);
    ck_assert_int_eq(c.sent_at, 4);
    ck_assert_int_eq(c.checks, 6);
    ck_assert_int_eq(c.state, CHANGE_COMPLETED); /* said */
    ck_assert_int_eq(c.processed_at, 50);
    ck_assert_str_eq(c.kos_order_number, "o");
    ck_assert_ptr_null(c.result_code);
    ck_assert_str_eq(c.current_name, "new name"); /* said, or else kept */
    ck_assert_str_eq(c.target_name, "target");
    ck_assert_str_eq(c.validation_json, "[]");
    ck_assert_int_eq(c.loaded_at, 20);
    ck_assert_int_eq(c.validated_at, 3);
    ck_assert(!c.in_doubt); /* over */
    ck_assert_int_eq(c.next_check_at, 0);
    ck_assert_int_eq(c.first_status, 202); /* the first answer stays the first */
}
END_TEST

static int64_t reserve_size(int fd)
{
    struct stat st;
    return fstatat(fd, "reserve", &st, 0) == 0 ? (int64_t)st.st_blocks * 512 : -1;
}

/* The reserve is really allocated, given up, and made again when there is room. */
START_TEST(reserve_comes_and_goes)
{
    dir_setup();
    int fd = open(dir.path, O_RDONLY | O_DIRECTORY);
    struct reserve r;
    reserve_init(&r, fd, 1 << 20);
    ck_assert_int_ge(reserve_size(fd), 1 << 20);
    ck_assert(reserve_review(&r));
    reserve_release(&r);
    ck_assert_int_eq(reserve_size(fd), -1);
    ck_assert(reserve_review(&r));
    ck_assert_int_ge(reserve_size(fd), 1 << 20);
    reserve_init(&r, fd, 64 << 10); /* the setting was lowered */
    ck_assert_int_le(reserve_size(fd), 128 << 10);
    /* more than any disk has: not held, so no intents */
    reserve_init(&r, fd, INT64_C(1) << 60);
    ck_assert(!r.held && !reserve_review(&r));
    ck_assert_int_eq(reserve_size(fd), -1);
    close(fd);
    dir_teardown();
}
END_TEST

/* What must be taken back survives the process; a file that cannot be read is not passed over. */
START_TEST(undo_is_read_back)
{
    dir_setup();
    int fd = open(dir.path, O_RDONLY | O_DIRECTORY);
    struct undo u;
    ck_assert(undo_init(&u, fd, 8, err, sizeof err));
    ck_assert_uint_eq(u.count, 0);
    undo_add(&u, false, "id-1", "key-1");
    undo_add(&u, true, "id-2", NULL);
    ck_assert(undo_save(&u));
    undo_free(&u);
    ck_assert(undo_init(&u, fd, 8, err, sizeof err));
    ck_assert_uint_eq(u.count, 2);
    ck_assert(!u.entries[0].send && u.entries[1].send);
    ck_assert_str_eq(u.entries[0].request_id, "id-1");
    ck_assert_str_eq(u.entries[0].key, "key-1");
    ck_assert_str_eq(u.entries[1].key, "");
    undo_free(&u);
    int file = openat(fd, "undo", O_RDWR);
    ck_assert_int_eq(pwrite(file, "intent id", 10, 0), 10);
    close(file);
    ck_assert(!undo_init(&u, fd, 8, err, sizeof err));
    ck_assert_ptr_nonnull(strstr(err, "undo"));
    undo_free(&u);
    close(fd);
    dir_teardown();
}
END_TEST

int main(void)
{
    log_set_threshold(LOG_LEVEL_OFF);
    Suite *s = suite_create("journal.parts");
    TCase *t = tcase_create("parts");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, claims_expire);
    tcase_add_test(t, claims_are_bounded);
    tcase_add_test(t, claims_become_unanswered_keys);
    tcase_add_test(t, recent_forgets_on_the_safe_side);
    tcase_add_test(t, columns_match_the_schema);
    tcase_add_test(t, an_outcome_takes_the_rest_from_the_open_row);
    tcase_add_test(t, reserve_comes_and_goes);
    tcase_add_test(t, undo_is_read_back);
    suite_add_tcase(s, t);
    return run_suite(s);
}
