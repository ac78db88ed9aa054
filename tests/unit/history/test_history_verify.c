/* test_history_verify.c - tamper evidence (issue "Nothing lost, nothing applied twice", 7): a real journal's rows and
 * links in a real PostgreSQL, changed by somebody who may do everything there but does not have the key. */
#include "pcs/history/verify.h"
#include "unit/history/support.h"

#include "pcs/core/buf.h"
#include "pcs/journal/chain_note.h"

#define ROWS_MADE 6
#define HISTORY   "product_change.product_change_history"
#define CHAIN     "product_change.product_change_history_chain"

static char ids[ROWS_MADE][UUID_LEN + 1]; /* ids[n]: of link n + 1 */
static char instance[64];
static int64_t began; /* requested_at of ids[0]; of ids[n] n milliseconds more */
static struct buf told;
static struct history_totals totals;
static struct chain_key *key;
static struct history_head head;
static struct history_verify job;

/* ---- the history, as it should be ---- */

/* Key and head as the journal has noted them. */
static void read_note(void)
{
    struct chain_note note;
    unsigned char bytes[CHAIN_KEY_MIN];
    ck_assert(chain_note_read(journal_dir, 0, &note));
    ck_assert(chain_unhex(note.key, bytes, sizeof bytes));
    chain_key_free(key);
    key = chain_key_new(bytes, sizeof bytes);
    snprintf(instance, sizeof instance, "%s", note.instance);
    head = (struct history_head){
        .instance = instance, .seq = note.seq, .has_link = true, .forwarded = note.forwarded};
    memcpy(head.link, note.link, CHAIN_HASH);
}

/* Forwards everything, if there is a worker for it, and ends the instance. */
static void finish_journal(void)
{
    if (history) {
        wait_forwarded();
        stop_history();
    }
    journal_close(journal);
    journal = NULL;
    read_note();
}

static void found(void *arg, const struct history_finding *f)
{
    (void)arg;
    buf_printf(&told, "%s", history_finding_name(f->kind));
    if (f->seq) {
        buf_printf(&told, f->until ? " %lld-%lld" : " %lld", (long long)f->seq, (long long)f->until);
    }
    buf_printf(&told, "%s%s\n", f->what ? ": " : "", f->what ? f->what : "");
}

/* The history that every test begins with, made once: a database that is copied, and a journal. */
static struct {
    char database[32], dir[64];
} base;

static void make_base(void)
{
    setup_all();
    began = clock_wall_ms();
    for (int i = 0; i < ROWS_MADE; i++) {
        struct change_record c = change_make(ids[i], i % 2 ? LINE_B : LINE_A, began + i);
        if (i == 1) { /* as little as there may be */
            c = (struct change_record){.request_id = ids[i],
                                       .line = LINE_B,
                                       .state = CHANGE_NOT_SENT,
                                       .target_code = "5G_B",
                                       .requested_at = began + i};
        }
        record(&c);
    }
    start_history();
    finish_journal();
    mailbox_destroy(&box);
    leave_database();
    snprintf(base.database, sizeof base.database, "%s", database);
    snprintf(base.dir, sizeof base.dir, "%s", journal_dir);
}

/* Whoever has just been disconnected may still be there for a moment. */
static void copy_database(void)
{
    static int number;
    uint64_t until = clock_mono_ns() + WAIT_NS;
    char state[6], sql[128];
    snprintf(database, sizeof database, "copy_%d", ++number);
    snprintf(sql, sizeof sql, "CREATE DATABASE %s TEMPLATE %s", database, base.database);
    PGconn *pg = pg_fixture_connect(&server, "postgres");
    while (*pg_fixture_state(pg, sql, state)) {
        ck_assert_msg(clock_mono_ns() < until, "%s: %s", sql, state);
        pg_fixture_nap();
    }
    PQfinish(pg);
    super = pg_fixture_connect(&server, database);
    config.name = database;
    config.username = SERVICE;
    config.batch = 64;
}

static void setup(void)
{
    char command[192];
    if (!*base.database) {
        make_base();
    }
    copy_database();
    snprintf(journal_dir, sizeof journal_dir, "/tmp/pcs-history-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(journal_dir));
    snprintf(command, sizeof command, "cp -r %s/0 %s/", base.dir, journal_dir);
    ck_assert_int_eq(system(command), 0);
    mailbox_init(&box, 1, NULL, NULL);
    read_note();
    buf_init(&told, 1 << 20);
    job = (struct history_verify){
        .config = &config, .keys = &key, .key_count = 1, .heads = &head, .head_count = 1, .found = found};
}

static void teardown(void)
{
    if (history) {
        stop_history();
    }
    if (journal) {
        journal_close(journal);
        journal = NULL;
    }
    mailbox_destroy(&box);
    nftw(journal_dir, pg_fixture_remove, 16, FTW_DEPTH | FTW_PHYS);
    leave_database();
    buf_free(&told);
    chain_key_free(key);
    key = NULL;
}

static enum history_verdict verify(void)
{
    buf_reset(&told);
    buf_puts(&told, "");
    return history_verify(&job, &totals, err, sizeof err);
}

/* Exactly these findings, one a line. */
static void expect(const char *findings)
{
    enum history_verdict verdict = verify();
    ck_assert_str_eq(told.data ? told.data : "", findings);
    ck_assert_int_eq(verdict, *findings ? VERIFY_FINDINGS : VERIFY_CLEAN);
}

/* A statement of the superuser that changes something; $ID is the id of row n. */
static void tamper(const char *statement, int n)
{
    char sql[2048];
    const char *at = strstr(statement, "$ID");
    snprintf(sql, sizeof sql, "%.*s%s%s", (int)(at - statement), statement, ids[n], at + strlen("$ID"));
    PGresult *r = pg_fixture_query(super, "%s", sql);
    ck_assert_str_ne(PQcmdTuples(r), "0");
    PQclear(r);
}

#define ROW_OF  " WHERE request_id = '$ID'"
#define LINK_OF " WHERE kind = 1 AND request_id = '$ID'"

START_TEST(an_untouched_history_is_clean)
{
    expect("");
    ck_assert_int_eq(totals.instances, 1);
    ck_assert_int_eq(totals.links, ROWS_MADE);
    ck_assert_int_eq(totals.rows, ROWS_MADE);
    ck_assert_int_eq(totals.erased + totals.waiting + totals.refused + totals.headless + totals.removed, 0);
    job.instance = instance;
    expect("");
    job.from_seq = 4;
    expect("");
    ck_assert_int_eq(totals.links, 3);
}
END_TEST

/* ---- rows ---- */

static const struct {
    const char *set, *told;
} columns[] = {
    {"instance = 'somebody'", "instance"},
    {"requested_at = requested_at + interval '1 day'", "requested_at"},
    {"requested_at = requested_at + interval '1 microsecond'", "requested_at"},
    {"requested_at = 'infinity'", "requested_at"},
    {"line_number = '01099999999'", "line_number"},
    {"customer_id = 'C-2'", "customer_id"},
    {"customer_id = NULL", "customer_id"},
    {"current_product_code = 'X'", "products"},
    {"current_product_name = ''", "products"},
    {"target_product_code = 'X'", "products"},
    {"target_product_name = NULL", "products"},
    {"status = 'COMPLETED'", "result"},
    {"result_code = '0000'", "result"},
    {"result_message = result_message || ' '", "result"},
    {"failure_reason = NULL", "failure_reason"},
    {"validation = '[]'", "validation"},
    {"validation = validation || '{\"n\": 1e400}'", "validation"},
    {"validation = NULL", "validation"},
    {"kos_order_number = 'K-1'", "result"},
    {"validated_at = NULL", "validation"},
    {"validated_at = validated_at + interval '1 microsecond'", "validation"},
    {"processed_at = 'epoch'", "result"},
    {"processed_at = 'infinity'", "result"},
    {"actor = 'somebody'", "actor"},
    {"actor = NULL, status = 'COMPLETED'", "result, actor"},
};

START_TEST(an_altered_column_is_named)
{
    char sql[256], expected[128];
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        pg_fixture_do(super, "CREATE TABLE kept AS SELECT * FROM " HISTORY);
        snprintf(sql, sizeof sql, "UPDATE " HISTORY " SET %s" ROW_OF, columns[i].set);
        tamper(sql, 2);
        snprintf(expected, sizeof expected, "row altered 3: %s\n", columns[i].told);
        expect(expected);
        pg_fixture_do(super, "TRUNCATE " HISTORY);
        pg_fixture_do(super, "INSERT INTO " HISTORY " SELECT * FROM kept; DROP TABLE kept");
    }
    expect("");
    /* 0 is an absent time in the journal, and only there */
    tamper("UPDATE " HISTORY " SET validated_at = 'epoch'" ROW_OF, 1);
    expect("row altered 2: validation\n");
}
END_TEST

/* created_at is PostgreSQL's own; the same validation in another writing is the same. */
START_TEST(what_the_chain_does_not_cover_does_not_disturb_it)
{
    tamper("UPDATE " HISTORY " SET created_at = '2020-01-01'" ROW_OF, 2);
    tamper("UPDATE " HISTORY " SET validation = (validation->0)::text::jsonb || '[]'" ROW_OF, 2);
    pg_fixture_do(super, "VACUUM FULL " HISTORY);
    expect("");
}
END_TEST

START_TEST(a_missing_row_is_found)
{
    tamper("DELETE FROM " HISTORY ROW_OF, 0);
    tamper("DELETE FROM " HISTORY ROW_OF, 3);
    expect("row missing 1\nrow missing 4\n");
    job.from_seq = 2;
    expect("row missing 4\n");
}
END_TEST

#define COPY_ROW(instance_, id, at)                                                                          \
    "INSERT INTO " HISTORY                                                                                   \
    " (request_id, requested_at, line_number, target_product_code, status, result_code,"                     \
    " instance) SELECT " id ", " at ", line_number, target_product_code, 'COMPLETED', '0000', " instance_    \
    " FROM " HISTORY ROW_OF

START_TEST(a_foreign_row_is_found_wherever_it_is)
{
    tamper(COPY_ROW("instance", "gen_random_uuid()", "requested_at"), 0);
    tamper(COPY_ROW("'somebody'", "gen_random_uuid()", "'-infinity'"), 0);
    tamper(COPY_ROW("'somebody'", "gen_random_uuid()", "'infinity'"), 0);
    tamper(COPY_ROW("'somebody'", "gen_random_uuid()", "'1999-12-31'"), 0);
    tamper(COPY_ROW("'somebody'", "gen_random_uuid()", "requested_at - interval '3 years'"), 0);
    tamper(COPY_ROW("'somebody'", "gen_random_uuid()", "requested_at + interval '3 years'"), 0);
    expect("foreign row\nforeign row\nforeign row\nforeign row\nforeign row\nforeign row\n");
    job.instance = instance;
    expect("foreign row\n");
}
END_TEST

START_TEST(more_foreign_rows_than_one_answer_holds_are_all_found)
{
    pg_fixture_do(
        super, "INSERT INTO " HISTORY " (request_id, requested_at, line_number, target_product_code, status,"
               " result_code, instance) SELECT gen_random_uuid(), now(), 'x', 'x', 'FAILED', 'x', 'x'"
               " FROM generate_series(1, 1234)");
    ck_assert_int_eq(verify(), VERIFY_FINDINGS);
    ck_assert_int_eq(totals.findings, 1234);
}
END_TEST

START_TEST(a_row_that_was_doubled_is_found)
{
    tamper(COPY_ROW("instance", "request_id", "requested_at + interval '1 hour'"), 2);
    expect("row doubled\n");
}
END_TEST

/* ---- links ---- */

START_TEST(a_missing_link_is_found)
{
    tamper("DELETE FROM " CHAIN LINK_OF, 2);
    tamper("DELETE FROM " CHAIN LINK_OF, 3);
    expect("link missing 3-4\nforeign row\nforeign row\n"); /* its rows are left without one */
    tamper("DELETE FROM " HISTORY ROW_OF, 2);
    tamper("DELETE FROM " HISTORY ROW_OF, 3);
    expect("link missing 3-4\n");
}
END_TEST

START_TEST(the_beginning_cannot_be_cut)
{
    tamper("DELETE FROM " CHAIN LINK_OF, 0);
    tamper("DELETE FROM " HISTORY ROW_OF, 0);
    expect("link missing 1\n");
}
END_TEST

START_TEST(an_altered_link_is_found)
{
    static const char *const sets[] = {"kind = 2, digests = ''",
                                       "kind = 3",
                                       "requested_ms = requested_ms + 1",
                                       "previous = sha256('x')",
                                       "digests = overlay(digests placing '\\x00000000' from 5)",
                                       "digests = ''",
                                       "digests = digests || '\\x00'",
                                       "link = sha256('x')",
                                       "link = ''",
                                       "salt = '\\x00'",
                                       "key_id = ''"};
    char sql[256];
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        pg_fixture_do(super, "CREATE TABLE kept AS SELECT * FROM " CHAIN);
        snprintf(sql, sizeof sql, "UPDATE " CHAIN " SET %s" LINK_OF, sets[i]);
        tamper(sql, 5);
        ck_assert_int_eq(verify(), VERIFY_FINDINGS);
        ck_assert_msg(strstr(told.data, "link altered 6"), "%s: %s", sets[i], told.data);
        pg_fixture_do(super, "TRUNCATE " CHAIN "; INSERT INTO " CHAIN " SELECT * FROM kept; DROP TABLE kept");
    }
    expect("");
}
END_TEST

/* Without the key a row cannot be altered together with its link. */
START_TEST(a_row_altered_together_with_its_digest_is_found)
{
    tamper("UPDATE " HISTORY " SET actor = NULL" ROW_OF, 2);
    tamper("UPDATE " CHAIN
           " SET digests = overlay(digests placing sha256('pcs-chain-1:actor\\000'::bytea || salt ||"
           " '\\x0000000000') from 161)" LINK_OF,
           2);
    expect("link altered 3\n");
}
END_TEST

START_TEST(links_that_changed_places_are_found)
{
    pg_fixture_do(super, "UPDATE " CHAIN " SET seq = seq + 100 WHERE seq IN (2, 3)");
    pg_fixture_do(super, "UPDATE " CHAIN " SET seq = 105 - seq WHERE seq IN (102, 103)");
    ck_assert_int_eq(verify(), VERIFY_FINDINGS);
    ck_assert(strstr(told.data, "link altered 2\n") && strstr(told.data, "link altered 3\n"));
}
END_TEST

/* A row with a link of the forger's: before the first, behind the last, in a chain of its own. */
START_TEST(a_made_up_link_does_not_make_a_row_ones_own)
{
    static const char *const places[] = {"-1", "0", "7", "9223372036854775807"};
    tamper(COPY_ROW("instance", "'01900000-0000-7000-8000-000000000001'", "requested_at"), 0);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char sql[512];
        snprintf(sql, sizeof sql,
                 "INSERT INTO " CHAIN
                 " SELECT instance, %s, 1, '01900000-0000-7000-8000-000000000001', requested_ms,"
                 " key_id, previous, digests, salt, link FROM " CHAIN LINK_OF,
                 places[i]);
        tamper(sql, 0);
        ck_assert_int_eq(verify(), VERIFY_FINDINGS);
        ck_assert_msg(strstr(told.data, "link altered"), "%s: %s", places[i], told.data);
        pg_fixture_do(super,
                      "DELETE FROM " CHAIN " WHERE request_id = '01900000-0000-7000-8000-000000000001'");
    }
    tamper("INSERT INTO " CHAIN " SELECT '', 1, 1, '01900000-0000-7000-8000-000000000001', requested_ms,"
           " key_id, previous, digests, salt, link FROM " CHAIN LINK_OF,
           0);
    ck_assert_int_eq(verify(), VERIFY_FINDINGS);
    ck_assert(strstr(told.data, "link altered 1\n"));
}
END_TEST

/* ---- the tail ---- */

START_TEST(a_cut_tail_is_found)
{
    pg_fixture_do(super, "DELETE FROM " HISTORY " WHERE request_id::text IN (SELECT request_id FROM " CHAIN
                         " WHERE seq > 4); DELETE FROM " CHAIN " WHERE seq > 4");
    expect("tail cut 5-6\n");
    job.head_count = 0; /* nothing says where it ended */
    expect("");
    ck_assert_int_eq(totals.headless, 1);
}
END_TEST

START_TEST(a_chain_that_is_gone_altogether_is_found)
{
    pg_fixture_do(super, "TRUNCATE " HISTORY ", " CHAIN);
    expect("tail cut 1-6\n");
    job.instance = instance;
    expect("tail cut 1-6\n");
}
END_TEST

/* What the journal logged is a head, too; a chain that was cut and went on differs from it. */
START_TEST(a_head_that_differs_is_found)
{
    head.link[0] ^= 1;
    expect("link out of order 6: it is not the one that the head names\n");
}
END_TEST

START_TEST(what_still_waits_in_the_journal_is_not_missing)
{
    open_journal();
    record_many(3, LINE_A);
    finish_journal();
    ck_assert_int_eq(head.seq, ROWS_MADE + 3);
    ck_assert_int_eq(head.forwarded, ROWS_MADE);
    expect("");
    ck_assert_int_eq(totals.waiting, 3);
    open_journal();
    start_history();
    finish_journal();
    expect("");
    ck_assert_int_eq(totals.waiting, 0);
    ck_assert_int_eq(totals.links, ROWS_MADE + 3);
}
END_TEST

/* ---- erasing, refusing, removing ---- */

#define ERASE                                                                                                \
    "WITH e AS (UPDATE " HISTORY " SET line_number = 'erased', customer_id = NULL, actor = NULL,"            \
    " failure_reason = NULL" ROW_OF " RETURNING request_id) UPDATE " CHAIN " c SET salt = NULL FROM e"       \
    " WHERE c.request_id = e.request_id::text"

/* Issue "Let no one in", 9: personal fields and salts are erased and verify-history still holds. */
START_TEST(erased_personal_fields_leave_the_chain_whole)
{
    tamper(ERASE, 2);
    tamper(ERASE, 1);
    expect("");
    ck_assert_int_eq(totals.erased, 2);
    tamper("UPDATE " HISTORY " SET result_code = '0000'" ROW_OF, 2); /* the rest is still proven */
    expect("row altered 3: result\n");
}
END_TEST

START_TEST(half_an_erasure_is_found)
{
    tamper("UPDATE " CHAIN " SET salt = NULL" LINK_OF, 2);
    expect("row altered 3: personal fields whose salt was erased\n");
    tamper("UPDATE " HISTORY " SET line_number = 'erased', customer_id = NULL, actor = NULL" ROW_OF, 2);
    expect("row altered 3: personal fields whose salt was erased\n"); /* failure_reason */
    tamper("UPDATE " HISTORY " SET failure_reason = NULL" ROW_OF, 2);
    expect("");
    tamper("UPDATE " HISTORY
           " SET line_number = 'erased', customer_id = NULL, actor = NULL, failure_reason = NULL" ROW_OF,
           3);
    expect("row altered 4: line_number, customer_id, actor, failure_reason\n");
}
END_TEST

/* Issue 3: "a poison row that PostgreSQL refuses: dead-lettered, the rest goes on, its link kept". */
START_TEST(a_refused_row_keeps_its_link_and_is_no_finding)
{
    char bad[2][UUID_LEN + 1];
    open_journal();
    struct change_record c = change_make(bad[0], LINE_A, clock_wall_ms());
    c.target_name = "bad \xC3( UTF-8";
    record(&c);
    c = change_make(bad[1], LINE_A, INT64_C(9100000000000000000));
    record(&c);
    record_many(2, LINE_B);
    start_history();
    wait_forwarded();
    wait_number("SELECT count(*) FROM " CHAIN " WHERE kind = 2", 2);
    ck_assert_int_eq(journal_counts().history_dead, 2);
    finish_journal();
    ck_assert_int_eq(number("SELECT count(*) FROM " CHAIN), ROWS_MADE + 6);
    expect("");
    ck_assert_int_eq(totals.refused, 2);
    ck_assert_int_eq(totals.rows, ROWS_MADE + 2);
    /* a made-up refusal does not excuse a row that was removed */
    tamper("DELETE FROM " HISTORY ROW_OF, 2);
    tamper("INSERT INTO " CHAIN
           " SELECT instance, 13, 2, request_id, requested_ms, key_id, previous, '', NULL, link"
           " FROM " CHAIN LINK_OF,
           2);
    ck_assert_int_eq(verify(), VERIFY_FINDINGS);
    ck_assert(strstr(told.data, "link altered 13\n"));
}
END_TEST

/* Retention: rows go, links may stay; what is younger is still looked for. */
START_TEST(rows_from_before_a_date_are_not_looked_for)
{
    tamper("DELETE FROM " HISTORY ROW_OF, 0);
    tamper("DELETE FROM " HISTORY ROW_OF, 1);
    tamper(COPY_ROW("instance", "gen_random_uuid()", "requested_at - interval '1 second'"), 2);
    job.rows_since_ms = began + 1;
    expect("row missing 2\n");
    ck_assert_int_eq(totals.removed, 1);
    ck_assert_int_eq(totals.rows, ROWS_MADE - 2);
    tamper(COPY_ROW("instance", "gen_random_uuid()", "requested_at"), 2);
    expect("row missing 2\nforeign row\n");
}
END_TEST

/* ---- keys, instances, sizes ---- */

START_TEST(without_the_key_nothing_is_said_to_be_clean)
{
    struct chain_key *other = chain_key_new("0123456789abcdef0123456789abcdef", 32);
    job.keys = &other;
    ck_assert_int_eq(verify(), VERIFY_FAILED);
    ck_assert_msg(strstr(err, "key"), "%s", err);
    ck_assert_int_eq(totals.unverified, ROWS_MADE);
    tamper("DELETE FROM " HISTORY ROW_OF, 0); /* what can be seen without it is */
    ck_assert_int_eq(verify(), VERIFY_FINDINGS);
    ck_assert_str_eq(told.data, "row missing 1\n");
    job.key_count = 0;
    ck_assert_int_eq(verify(), VERIFY_FINDINGS);
    chain_key_free(other);
}
END_TEST

START_TEST(a_link_that_names_another_key_is_not_clean)
{
    tamper("UPDATE " CHAIN " SET key_id = '\\x0000000000000000'" LINK_OF, 2);
    ck_assert_int_eq(verify(), VERIFY_FAILED);
    ck_assert_msg(strstr(err, "0000000000000000"), "%s", err);
}
END_TEST

START_TEST(every_instance_has_a_chain_of_its_own)
{
    struct chain_key *keys[2] = {key, NULL};
    struct history_head heads[2] = {head};
    char first[64], first_dir[64];
    snprintf(first, sizeof first, "%s", instance);
    snprintf(first_dir, sizeof first_dir, "%s", journal_dir);
    heads[0].instance = first;
    key = NULL;
    mailbox_destroy(&box);
    setup_journal();
    record_many(4, LINE_A);
    start_history();
    finish_journal();
    nftw(first_dir, pg_fixture_remove, 16, FTW_DEPTH | FTW_PHYS);
    keys[1] = key;
    heads[1] = head;
    job.keys = keys;
    job.key_count = 2;
    job.heads = heads;
    job.head_count = 2;
    expect("");
    ck_assert_int_eq(totals.instances, 2);
    ck_assert_int_eq(totals.rows, ROWS_MADE + 4);
    pg_fixture_do(super, "DELETE FROM " CHAIN " WHERE seq = 4");
    expect(strcmp(first, instance) < 0 ? "link missing 4\ntail cut 4\nforeign row\nforeign row\n"
                                       : "tail cut 4\nlink missing 4\nforeign row\nforeign row\n");
    job.instance = first;
    expect("link missing 4\nforeign row\n");
    chain_key_free(keys[0]);
}
END_TEST

/* Many rows in few commits. */
static void record_bulk(int count)
{
    enum { AT_ONCE = 100 };
    static struct journal_op ops[AT_ONCE];
    static char names[AT_ONCE][UUID_LEN + 1];
    static bool done[AT_ONCE];
    for (int first = 0; first < count; first += AT_ONCE) {
        for (int i = 0; i < AT_ONCE; i++) {
            journal_op_init(&ops[i], journal, JOURNAL_RECORD, &box, op_done, &done[i]);
            ops[i].change = change_make(names[i], LINE_A, clock_wall_ms());
            done[i] = false;
            ck_assert(journal_submit(&ops[i]));
        }
        for (int i = 0; i < AT_ONCE; i++) {
            deliver_until(&done[i]);
            ck_assert_int_eq(ops[i].status, JOURNAL_OK);
            journal_op_clear(&ops[i]);
        }
    }
}

START_TEST(a_history_of_several_batches_is_read_whole)
{
    open_journal();
    record_bulk(2500);
    config.batch = 1000;
    start_history();
    finish_journal();
    expect("");
    ck_assert_int_eq(totals.rows, ROWS_MADE + 2500);
    pg_fixture_do(super, "DELETE FROM " HISTORY " WHERE request_id::text IN (SELECT request_id FROM " CHAIN
                         " WHERE seq IN (1000, 1001, 2000, 2506))");
    pg_fixture_do(super, "DELETE FROM " CHAIN " WHERE seq IN (1000, 1001)");
    expect("link missing 1000-1001\nrow missing 2000\nrow missing 2506\n");
}
END_TEST

static void concurrent_progress(void *arg, const struct history_totals *so_far)
{
    (void)arg;
    (void)so_far;
    record_many(3, LINE_A); /* between the batches */
    wait_forwarded();
}

START_TEST(a_service_that_goes_on_writing_is_not_disturbing)
{
    open_journal();
    config.batch = 1000;
    record_bulk(1000);
    start_history();
    wait_forwarded();
    job.progress = concurrent_progress;
    expect("");
    ck_assert_int_gt(totals.links, ROWS_MADE + 1000);
    finish_journal();
    job.progress = NULL;
    expect("");
}
END_TEST

/* ---- when it cannot be done; rights ---- */

START_TEST(what_cannot_be_read_is_not_said_to_be_clean)
{
    pg_fixture_do(super, "DROP TABLE " CHAIN);
    ck_assert_int_eq(verify(), VERIFY_FAILED);
    ck_assert_msg(strstr(err, "migrate"), "%s", err);
    config.username = "nobody";
    ck_assert_int_eq(verify(), VERIFY_FAILED);
    ck_assert_msg(strstr(err, "PostgreSQL"), "%s", err);
}
END_TEST

START_TEST(the_services_role_can_only_read_and_add_links)
{
    char state[6];
    PGconn *pg = pg_fixture_connect_as(&server, database, SERVICE, PASSWORD);
    ck_assert_str_eq(pg_fixture_state(pg, "SELECT count(*) FROM " CHAIN, state), "");
    ck_assert_str_eq(pg_fixture_state(pg, "UPDATE " CHAIN " SET salt = NULL", state), "42501");
    ck_assert_str_eq(pg_fixture_state(pg, "DELETE FROM " CHAIN, state), "42501");
    ck_assert_str_eq(pg_fixture_state(pg, "TRUNCATE " CHAIN, state), "42501");
    PQfinish(pg);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        an_untouched_history_is_clean,
        an_altered_column_is_named,
        what_the_chain_does_not_cover_does_not_disturb_it,
        a_missing_row_is_found,
        a_foreign_row_is_found_wherever_it_is,
        more_foreign_rows_than_one_answer_holds_are_all_found,
        a_row_that_was_doubled_is_found,
        a_missing_link_is_found,
        the_beginning_cannot_be_cut,
        an_altered_link_is_found,
        a_row_altered_together_with_its_digest_is_found,
        links_that_changed_places_are_found,
        a_made_up_link_does_not_make_a_row_ones_own,
        a_cut_tail_is_found,
        a_chain_that_is_gone_altogether_is_found,
        a_head_that_differs_is_found,
        what_still_waits_in_the_journal_is_not_missing,
        erased_personal_fields_leave_the_chain_whole,
        half_an_erasure_is_found,
        a_refused_row_keeps_its_link_and_is_no_finding,
        rows_from_before_a_date_are_not_looked_for,
        without_the_key_nothing_is_said_to_be_clean,
        a_link_that_names_another_key_is_not_clean,
        every_instance_has_a_chain_of_its_own,
        a_history_of_several_batches_is_read_whole,
        a_service_that_goes_on_writing_is_not_disturbing,
        what_cannot_be_read_is_not_said_to_be_clean,
        the_services_role_can_only_read_and_add_links,
    };
    int status = run_tests("history verify", setup, teardown, tests, sizeof tests / sizeof *tests);
    nftw(base.dir, pg_fixture_remove, 16, FTW_DEPTH | FTW_PHYS);
    return status;
}
