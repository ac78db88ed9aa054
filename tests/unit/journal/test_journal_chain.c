/* The hash chain of an instance (issue "Nothing lost, nothing applied twice", tamper evidence): its bytes are those of
 * docs/tamper-evidence.md, every final row has a link, no link is lost, doubled or left behind. */
#include "unit/journal/old_versions.h"
#include "unit/journal/support.h"

#include "pcs/journal/chain.h"
#include "pcs/journal/chain_note.h"
#include "unit/journal/fault_vfs.h"

#include <sqlite3.h>
#include <sys/stat.h>

#define KEY "0123456789abcdef0123456789abcdef"

static const char *const ID[] = {
    "01900000-0000-7000-8000-000000000001", "01900000-0000-7000-8000-000000000002",
    "01900000-0000-7000-8000-000000000003", "01900000-0000-7000-8000-000000000004"};
static const unsigned char salt[CHAIN_SALT] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static struct chain_row row_make(void)
{
    return (struct chain_row){.current_code = "LTE_A",
                              .current_name = "LTE 가",
                              .target_code = "5G_B",
                              .validation = " [ { \"b\" : 1.50, \"a\":\"\\u00e9\" } ] ",
                              .validated_at = INT64_C(1795000000001),
                              .status = "COMPLETED",
                              .result_code = "0000",
                              .result_message = "",
                              .kos_order_number = "K-1",
                              .processed_at = INT64_C(1795000000002),
                              .line = "01011110001",
                              .customer_id = "C-1",
                              .actor = "user-1"};
}

/* ---- the bytes ---- */

/* Computed with another program (Python's hashlib and hmac) from the header's words. */
START_TEST(the_bytes_are_those_that_are_documented)
{
    static const char *const expected[CHAIN_PARTS] = {
        "ccd698a02080cdd104b8bfe2faf290d53268b5e3278714a3e825eb448e4c3ab3",
        "bd2a4a04de6e694fcf740ac2c9a4e16b2b2e385c20bbe8ea147b50e5a3ce5a3d",
        "7e5556ee69ba8ae010f6d0978d5e3aeb3cb4096258790c8b076cf72715e6a519",
        "29025e69e8cc6c12a6a87358c7404ff9b539545be007e3892dc6c8f5e505d282",
        "9b265f63aa7cf408d531650d142fabc18d3ec829dd59026ab626015fc0fd0bfe",
        "0dd0dd4d0817938ed402671db530203535839f2e92f57b60f81904caf01193c7",
        "f5e0199bc789ab23f56e715921250da6a12dcb17d54f651489462be160267f4e"};
    char hex[2 * CHAIN_HASH + 1];
    struct chain_hasher *h = chain_hasher_new();
    struct chain_key *k = chain_key_new(KEY, strlen(KEY));
    struct chain_row row = row_make();
    struct chain_link l = {.seq = 5,
                           .kind = CHAIN_ROW,
                           .request_id = "0199d5c0-0000-7000-8000-000000000001",
                           .requested_at = INT64_C(1795000000000)};
    memset(l.previous, 7, CHAIN_HASH);
    ck_assert(chain_digest(h, &row, salt, l.digests));
    for (size_t i = 0; i < CHAIN_PARTS; i++) {
        ck_assert_str_eq(chain_hex(hex, l.digests + i * CHAIN_HASH, CHAIN_HASH), expected[i]);
    }
    ck_assert(chain_sign(k, "inst-1", &l, l.link));
    ck_assert_str_eq(chain_hex(hex, l.link, CHAIN_HASH),
                     "a67e9f8170949205ee29215704c54ec356c8f1d0bac6794201e26657491ef85a");
    ck_assert_str_eq(chain_hex(hex, chain_key_id(k), CHAIN_KEY_ID), "c1097e8fe0356e45");
    ck_assert(chain_sign(k, "inst-1", &l, l.link)); /* the key starts again by itself */
    ck_assert_str_eq(chain_hex(hex, l.link, CHAIN_HASH),
                     "a67e9f8170949205ee29215704c54ec356c8f1d0bac6794201e26657491ef85a");
    chain_key_free(k);
    chain_hasher_free(h);
}
END_TEST

/* Which parts differ from row_make()'s. */
static unsigned differs(struct chain_hasher *h, const struct chain_row *row)
{
    unsigned char a[CHAIN_DIGESTS], b[CHAIN_DIGESTS];
    struct chain_row plain = row_make();
    unsigned parts = 0;
    ck_assert(chain_digest(h, &plain, salt, a));
    ck_assert(chain_digest(h, row, salt, b));
    for (size_t i = 0; i < CHAIN_PARTS; i++) {
        parts |= memcmp(a + i * CHAIN_HASH, b + i * CHAIN_HASH, CHAIN_HASH) ? 1U << i : 0;
    }
    return parts;
}

#define CHANGED(member, value, part)                                                                         \
    do {                                                                                                     \
        struct chain_row changed = row_make();                                                               \
        changed.member = (value);                                                                            \
        ck_assert_uint_eq(differs(h, &changed), 1U << (part));                                               \
    } while (0)

START_TEST(every_column_is_in_its_own_part_and_no_other)
{
    struct chain_hasher *h = chain_hasher_new();
    struct chain_row same = row_make();
    ck_assert_uint_eq(differs(h, &same), 0);
    CHANGED(current_code, "LTE_B", CHAIN_PRODUCT);
    CHANGED(current_name, NULL, CHAIN_PRODUCT);
    CHANGED(target_code, "5G_", CHAIN_PRODUCT);
    CHANGED(target_name, "", CHAIN_PRODUCT); /* empty is not absent */
    CHANGED(validation, "[]", CHAIN_CHECK);
    CHANGED(validation, NULL, CHAIN_CHECK);
    CHANGED(validated_at, 0, CHAIN_CHECK);
    CHANGED(status, "FAILED", CHAIN_RESULT);
    CHANGED(result_code, "2004", CHAIN_RESULT);
    CHANGED(result_message, NULL, CHAIN_RESULT);
    CHANGED(kos_order_number, "K-2", CHAIN_RESULT);
    CHANGED(processed_at, 1, CHAIN_RESULT);
    CHANGED(processed_at, CHAIN_NO_TIME, CHAIN_RESULT);
    CHANGED(line, "01011110002", CHAIN_LINE);
    CHANGED(customer_id, "C-2", CHAIN_CUSTOMER);
    CHANGED(actor, NULL, CHAIN_ACTOR);
    CHANGED(failure_reason, "", CHAIN_REASON);
    /* text cannot move from one column to the next */
    struct chain_row moved = row_make();
    moved.current_code = "LTE_ALTE 가";
    moved.current_name = "";
    ck_assert_uint_eq(differs(h, &moved), 1U << CHAIN_PRODUCT);
    chain_hasher_free(h);
}
END_TEST

START_TEST(json_counts_by_what_it_says_not_by_how_it_is_written)
{
    static const char *const same[] = {"[{\"a\":\"\u00e9\",\"b\":1.5}]", "[{\"b\":15e-1,\"a\":\"\u00e9\"}]",
                                       "[ {\"\\u0062\": 1.500,\"a\": \"\\u00E9\"}]"};
    static const char *const other[] = {"[{\"a\":\"e\",\"b\":1.5}]",
                                        "[{\"a\":\"\u00e9\"},{\"b\":1.5}]",
                                        "{\"a\":\"\u00e9\",\"b\":1.5}",
                                        "[{\"a\":\"\u00e9\",\"b\":\"1.5\"}]",
                                        "[{\"a\":\"\u00e9\",\"b\":1.5,\"c\":null}]",
                                        "null"};
    struct chain_hasher *h = chain_hasher_new();
    struct chain_row row = row_make();
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        row.validation = same[i];
        ck_assert_msg(differs(h, &row) == 0, "%s", same[i]);
    }
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        row.validation = other[i];
        ck_assert_msg(differs(h, &row) == 1U << CHAIN_CHECK, "%s", other[i]);
    }
    unsigned char digests[CHAIN_DIGESTS];
    row.validation = "[{\"a\":1,\"a\":2}]"; /* a row of the table that no journal has written */
    ck_assert(!chain_digest(h, &row, salt, digests));
    chain_hasher_free(h);
}
END_TEST

/* Issue "Let no one in": the salt makes the digest of an erased field useless for guessing it. */
START_TEST(personal_digests_depend_on_the_salt_and_the_others_do_not)
{
    unsigned char a[CHAIN_DIGESTS], b[CHAIN_DIGESTS];
    static const unsigned char other[CHAIN_SALT] = {1};
    struct chain_hasher *h = chain_hasher_new();
    struct chain_row row = row_make();
    ck_assert(chain_digest(h, &row, salt, a));
    ck_assert(chain_digest(h, &row, other, b));
    for (size_t i = 0; i < CHAIN_PARTS; i++) {
        ck_assert_int_eq(memcmp(a + i * CHAIN_HASH, b + i * CHAIN_HASH, CHAIN_HASH) != 0, i >= CHAIN_LINE);
    }
    chain_hasher_free(h);
}
END_TEST

START_TEST(a_key_has_a_length)
{
    char long_key[CHAIN_KEY_MAX + 1] = {0};
    struct chain_key *k;
    ck_assert_ptr_null(chain_key_new(KEY, CHAIN_KEY_MIN - 1));
    ck_assert_ptr_null(chain_key_new(long_key, CHAIN_KEY_MAX + 1));
    ck_assert_ptr_nonnull(k = chain_key_new(long_key, CHAIN_KEY_MAX));
    chain_key_free(k);
}
END_TEST

/* ---- the journal ---- */

static struct chain_note note_read(void)
{
    struct chain_note note;
    ck_assert(chain_note_read(dir.path, 0, &note));
    return note;
}

/* The key that the journal's links were made with. */
static struct chain_key *key_of_journal(void)
{
    unsigned char bytes[CHAIN_KEY_MIN];
    struct chain_note note = note_read();
    if (!*note.key) {
        return chain_key_new(KEY, strlen(KEY));
    }
    ck_assert(chain_unhex(note.key, bytes, sizeof bytes));
    return chain_key_new(bytes, sizeof bytes);
}

static struct journal_op pull(void)
{
    struct journal_op op = op_make(JOURNAL_HISTORY_PULL);
    op.limit = 10000;
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    return op;
}

/* Every row waiting has its link, each on the one before, and they are what the rows say. Closes and opens the journal,
 * so that the file is looked at, not the memory. */
static void check_rows(size_t count)
{
    struct chain_hasher *h = chain_hasher_new();
    close_journal();
    struct chain_key *k = key_of_journal();
    open_journal();
    struct journal_op p = pull();
    ck_assert_uint_eq(p.list_count, count);
    unsigned char previous[CHAIN_HASH] = {0}, expected[CHAIN_HASH], digests[CHAIN_DIGESTS];
    for (size_t i = 0; i < count; i++) {
        const struct chain_link *l = &p.links[i];
        struct chain_row row;
        chain_row_of(&p.list[i], &row);
        ck_assert_int_eq(l->seq, i + 1);
        ck_assert_int_eq(l->seq, p.seqs[i]);
        ck_assert_int_eq(l->kind, CHAIN_ROW);
        ck_assert_str_eq(l->request_id, p.list[i].request_id);
        ck_assert_int_eq(l->requested_at, p.list[i].requested_at);
        ck_assert_mem_eq(l->previous, previous, CHAIN_HASH);
        ck_assert(l->salted);
        ck_assert(chain_digest(h, &row, l->salt, digests));
        ck_assert_mem_eq(digests, l->digests, CHAIN_DIGESTS);
        ck_assert_mem_eq(l->key_id, chain_key_id(k), CHAIN_KEY_ID);
        ck_assert(chain_sign(k, journal_instance(journal), l, expected));
        ck_assert_mem_eq(l->link, expected, CHAIN_HASH);
        memcpy(previous, l->link, CHAIN_HASH);
    }
    struct chain_note note = note_read();
    ck_assert_int_eq(note.seq, count);
    ck_assert_mem_eq(note.link, previous, CHAIN_HASH);
    ck_assert_int_eq(note.forwarded, 0);
    journal_op_clear(&p);
    chain_key_free(k);
    chain_hasher_free(h);
}

static enum journal_status record_invalid(const char *id)
{
    struct change_record c = change_make(id, LINE_A, CHANGE_INVALID);
    c.validation_json = "[{\"checkType\":\"LINE_STATUS\",\"result\":\"FAIL\",\"message\":\"정지\"}]";
    c.result_code = "VALIDATION_FAILED";
    return change_do(JOURNAL_RECORD, &c);
}

/* What the outcome fills in is in the digest, and what it leaves is the intent's. */
START_TEST(every_way_to_end_adds_a_link)
{
    ck_assert_int_eq(intent(ID[0], LINE_A, CHANGE_SENDING), JOURNAL_OK);
    ck_assert_int_eq(outcome_at(ID[0], CHANGE_COMPLETED, T0 + 5), JOURNAL_OK);
    ck_assert_int_eq(record_invalid(ID[1]), JOURNAL_OK);
    ck_assert_int_eq(intent(ID[2], LINE_B, CHANGE_ACCEPTED), JOURNAL_OK);
    struct change_record c = {.request_id = ID[2], .state = CHANGE_CANCELLED, .result_code = "CANCELLED"};
    ck_assert_int_eq(change_do(JOURNAL_CANCEL, &c), JOURNAL_OK);
    ck_assert_int_eq(intent(ID[3], LINE_B, CHANGE_ACCEPTED), JOURNAL_OK); /* open: none yet */
    check_rows(3);
}
END_TEST

START_TEST(salts_are_drawn_afresh)
{
    ck_assert_int_eq(record_invalid(ID[0]), JOURNAL_OK);
    ck_assert_int_eq(record_invalid(ID[1]), JOURNAL_OK);
    struct journal_op p = pull();
    ck_assert_int_ne(memcmp(p.links[0].salt, p.links[1].salt, CHAIN_SALT), 0);
    journal_op_clear(&p);
}
END_TEST

/* A group is run again without the operation that failed: no gap, no link twice. */
START_TEST(an_operation_that_fails_in_a_group_takes_no_number)
{
    struct journal_op ops[5];
    bool answered[5];
    ck_assert_int_eq(intent(ID[2], LINE_B, CHANGE_SENDING), JOURNAL_OK);
    for (size_t i = 0; i < 5; i++) {
        op_start(&ops[i], i == 2 ? JOURNAL_OUTCOME : JOURNAL_RECORD, &answered[i]);
        ops[i].now = T0;
        ops[i].change = change_make(i < 2 ? ID[i] : ID[3], LINE_A, CHANGE_INVALID);
    }
    ops[2].change = (struct change_record){.request_id = ID[2], .state = CHANGE_SENDING}; /* no way to end */
    for (size_t i = 0; i < 5; i++) {
        ck_assert(journal_submit(&ops[i]));
    }
    for (size_t i = 0; i < 5; i++) {
        op_wait(&ops[i]);
        journal_op_clear(&ops[i]);
    }
    ck_assert_int_eq(ops[2].status, JOURNAL_FAILED);
    ck_assert_int_eq(ops[3].status, JOURNAL_OK);
    ck_assert_int_eq(ops[4].status, JOURNAL_CONFLICT); /* the same id again */
    check_rows(3);
}
END_TEST

/* A commit that fails may be found stored: the chain goes on from what is there. */
START_TEST(a_failed_fsync_leaves_one_chain)
{
    ck_assert_int_eq(record_invalid(ID[0]), JOURNAL_OK);
    atomic_store(&fault_sync, true);
    ck_assert_int_eq(record_invalid(ID[1]), JOURNAL_FAILED);
    atomic_store(&fault_sync, false);
    uint64_t until = clock_mono_ns() + 20 * NS_PER_SEC;
    while (!journal_writable(journal)) {
        ck_assert_msg(clock_mono_ns() < until, "not writable again in 20 s");
        usleep(5000);
    }
    bool stored = state_of(ID[1]) == CHANGE_INVALID;
    ck_assert_int_eq(record_invalid(ID[2]), JOURNAL_OK);
    check_rows(stored ? 3 : 2);
}
END_TEST

static void acknowledge(const struct journal_op *pulled)
{
    int64_t links[8];
    struct journal_op ack = op_make(JOURNAL_HISTORY_ACK);
    for (size_t i = 0; i < pulled->loose_count; i++) {
        links[i] = pulled->loose[i].seq;
    }
    ack.ack_rows = pulled->seqs;
    ack.ack_row_count = pulled->list_count;
    ack.ack_links = links;
    ack.ack_link_count = pulled->loose_count;
    ck_assert_int_eq(op_run(&ack), JOURNAL_OK);
    journal_op_clear(&ack);
}

/* Issue 3: "a poison row that PostgreSQL refuses: dead-lettered, the rest goes on, its link kept". */
START_TEST(the_link_of_a_refused_row_goes_alone_and_another_tells_of_it)
{
    ck_assert_int_eq(record_invalid(ID[0]), JOURNAL_OK);
    ck_assert_int_eq(record_invalid(ID[1]), JOURNAL_OK);
    struct journal_op dead = op_make(JOURNAL_HISTORY_DEAD);
    dead.seq = 1;
    dead.reason = "22P05";
    ck_assert_int_eq(op_run(&dead), JOURNAL_OK);
    ck_assert_int_eq(op_run(&dead), JOURNAL_NOT_FOUND); /* once */
    journal_op_clear(&dead);
    close_journal();
    ck_assert_int_eq(note_read().forwarded, 0);
    open_journal();
    struct journal_op p = pull();
    ck_assert_uint_eq(p.list_count, 1);
    ck_assert_int_eq(p.links[0].seq, 2);
    ck_assert_uint_eq(p.loose_count, 2);
    const struct chain_link *row = &p.loose[1], *refusal = &p.loose[0];
    ck_assert_int_eq(row->seq, 1);
    ck_assert_int_eq(row->kind, CHAIN_ROW);
    ck_assert_mem_eq(p.links[0].previous, row->link, CHAIN_HASH);
    ck_assert_int_eq(refusal->seq, 3);
    ck_assert_int_eq(refusal->kind, CHAIN_REFUSED);
    ck_assert_str_eq(refusal->request_id, ID[0]);
    ck_assert(!refusal->salted);
    ck_assert_mem_eq(refusal->previous, p.links[0].link, CHAIN_HASH);
    acknowledge(&p);
    journal_op_clear(&p);
    p = pull();
    ck_assert_uint_eq(p.list_count + p.loose_count, 0);
    journal_op_clear(&p);
    ck_assert_int_eq(record_invalid(ID[2]), JOURNAL_OK);
    p = pull();
    ck_assert_int_eq(p.links[0].seq, 4);
    journal_op_clear(&p);
    close_journal();
    ck_assert_int_eq(note_read().seq, 4);
    ck_assert_int_eq(note_read().forwarded, 3);
}
END_TEST

static int64_t count_links(void)
{
    char path[128];
    sqlite3 *db;
    sqlite3_stmt *s;
    snprintf(path, sizeof path, "%s/0/journal.db", dir.path);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_prepare_v2(db, "SELECT count(*) FROM chain", -1, &s, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(s), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return n;
}

static void forget_old(void)
{
    int64_t links;
    int tries = 0;
    close_journal();
    config.retention_ms = 1;
    do {
        ck_assert_int_lt(tries++, 200);
        open_journal();
        usleep(20000);
        close_journal();
        links = count_links();
    } while (links > 1);
    ck_assert_int_eq(links, 1);
    config.retention_ms = 3650 * 86400000LL;
    open_journal();
}

/* Issue 3, "bounded": links age away with their rows, but the head stays, and numbers are never used again. */
START_TEST(retention_keeps_the_head)
{
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(record_invalid(ID[i]), JOURNAL_OK);
    }
    struct journal_op p = pull();
    unsigned char head[CHAIN_HASH];
    memcpy(head, p.links[2].link, CHAIN_HASH);
    acknowledge(&p);
    journal_op_clear(&p);
    forget_old();
    ck_assert_int_eq(state_of(ID[2]), CHANGE_STATES);
    ck_assert_int_eq(note_read().seq, 3);
    ck_assert_int_eq(note_read().forwarded, 3);
    ck_assert_int_eq(record_invalid(ID[3]), JOURNAL_OK);
    p = pull();
    ck_assert_int_eq(p.links[0].seq, 4);
    ck_assert_mem_eq(p.links[0].previous, head, CHAIN_HASH);
    journal_op_clear(&p);
}
END_TEST

/* ---- the key, the note ---- */

START_TEST(a_journal_without_a_key_makes_one_and_keeps_it)
{
    struct stat st;
    char path[128];
    struct chain_note first = note_read();
    ck_assert_uint_eq(strlen(first.key), 64);
    ck_assert_int_eq(first.seq, 0);
    ck_assert_str_eq(first.instance, journal_instance(journal));
    snprintf(path, sizeof path, "%s/0/chain", dir.path);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0600);
    ck_assert_int_eq(record_invalid(ID[0]), JOURNAL_OK);
    close_journal();
    ck_assert_int_eq(unlink(path), 0); /* only a copy */
    open_journal();
    ck_assert_str_eq(note_read().key, first.key);
    check_rows(1);
}
END_TEST

START_TEST(the_setting_is_the_key_and_an_own_one_is_kept_for_older_links)
{
    char own[65];
    ck_assert_int_eq(record_invalid(ID[0]), JOURNAL_OK);
    close_journal();
    snprintf(own, sizeof own, "%s", note_read().key);
    config.chain_key = KEY;
    open_journal();
    ck_assert_int_eq(record_invalid(ID[1]), JOURNAL_OK);
    struct journal_op p = pull();
    struct chain_key *k = chain_key_new(KEY, strlen(KEY));
    ck_assert_mem_ne(p.links[0].key_id, chain_key_id(k), CHAIN_KEY_ID);
    ck_assert_mem_eq(p.links[1].key_id, chain_key_id(k), CHAIN_KEY_ID);
    ck_assert_mem_eq(p.links[1].previous, p.links[0].link, CHAIN_HASH);
    chain_key_free(k);
    journal_op_clear(&p);
    ck_assert_str_eq(note_read().key, own);
}
END_TEST

START_TEST(a_key_that_is_a_setting_is_not_written_down)
{
    close_journal();
    nftw(dir.path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    config.chain_key = KEY;
    open_journal();
    ck_assert_int_eq(record_invalid(ID[0]), JOURNAL_OK);
    ck_assert_str_eq(note_read().key, "");
    check_rows(1);
}
END_TEST

START_TEST(a_note_that_is_none_is_refused)
{
    struct chain_note note;
    char path[128];
    snprintf(path, sizeof path, "%s/0/chain", dir.path);
    static const char *const bad[] = {"", "instance x\n", "instance x\nhead 1 zz\n",
                                      "head 1 00\ninstance x\n", "instance x\nwhat 5\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        FILE *f = fopen(path, "w");
        fputs(bad[i], f);
        fclose(f);
        ck_assert_msg(!chain_note_read(dir.path, 0, &note), "%s", bad[i]);
    }
    ck_assert(!chain_note_read(dir.path, 1, &note));
}
END_TEST

/* A file of version 1, whose settled changes have no links: they are forwarded without, and the chain begins behind. */
START_TEST(a_journal_from_before_the_chain_goes_on)
{
    char path[128];
    sqlite3 *db;
    close_journal();
    snprintf(path, sizeof path, "%s/0/journal.db", dir.path);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, version_1, NULL, NULL, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db,
                                  OLD_SETTLED(1, "01900000-0000-7000-8000-0000000000aa",
                                              LINE_A) "INSERT INTO history_queue VALUES(1,'" LINE_A "')",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    open_journal();
    ck_assert_int_eq(record_invalid(ID[1]), JOURNAL_OK);
    struct journal_op p = pull();
    static const unsigned char zero[CHAIN_HASH];
    ck_assert_uint_eq(p.list_count, 2);
    ck_assert_int_eq(p.links[0].seq, 0);
    ck_assert_int_eq(p.links[1].seq, 2);
    ck_assert_mem_eq(p.links[1].previous, zero, CHAIN_HASH);
    journal_op_clear(&p);
    struct journal_op dead = op_make(JOURNAL_HISTORY_DEAD);
    dead.seq = 1;
    ck_assert_int_eq(op_run(&dead), JOURNAL_OK); /* no link, so nothing to tell */
    journal_op_clear(&dead);
    p = pull();
    ck_assert_uint_eq(p.loose_count, 0);
    journal_op_clear(&p);
}
END_TEST

static void fault_setup(void)
{
    fault_install();
    setup();
}

static void fault_teardown(void)
{
    atomic_store(&fault_sync, false);
    teardown();
    fault_remove();
}

int main(void)
{
    Suite *s = suite_create("journal: hash chain");
    TCase *bytes = tcase_create("bytes"), *t = tcase_create("journal"), *fault = tcase_create("fault");
    suite_add_tcase(s, bytes);
    tcase_add_test(bytes, the_bytes_are_those_that_are_documented);
    tcase_add_test(bytes, every_column_is_in_its_own_part_and_no_other);
    tcase_add_test(bytes, json_counts_by_what_it_says_not_by_how_it_is_written);
    tcase_add_test(bytes, personal_digests_depend_on_the_salt_and_the_others_do_not);
    tcase_add_test(bytes, a_key_has_a_length);
    suite_add_tcase(s, t);
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, every_way_to_end_adds_a_link);
    tcase_add_test(t, salts_are_drawn_afresh);
    tcase_add_test(t, an_operation_that_fails_in_a_group_takes_no_number);
    tcase_add_test(t, the_link_of_a_refused_row_goes_alone_and_another_tells_of_it);
    tcase_add_test(t, retention_keeps_the_head);
    tcase_add_test(t, a_journal_without_a_key_makes_one_and_keeps_it);
    tcase_add_test(t, the_setting_is_the_key_and_an_own_one_is_kept_for_older_links);
    tcase_add_test(t, a_key_that_is_a_setting_is_not_written_down);
    tcase_add_test(t, a_note_that_is_none_is_refused);
    tcase_add_test(t, a_journal_from_before_the_chain_goes_on);
    suite_add_tcase(s, fault);
    tcase_add_checked_fixture(fault, fault_setup, fault_teardown);
    tcase_add_test(fault, a_failed_fsync_leaves_one_chain);
    return run_suite(s);
}
