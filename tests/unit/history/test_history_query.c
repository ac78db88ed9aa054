/* test_history_query.c - the query thread (SCR-008, GET /history): pages, totals, one change by id; and its answers
 * while PostgreSQL is down, hangs or is slow: at once, or by the deadline. */
#include "unit/history/support.h"

static void insert(const char *id, const char *line, int64_t at, const char *status, const char *code)
{
    PQclear(pg_fixture_query(
        super,
        "INSERT INTO product_change.product_change_history (request_id, requested_at, line_number,"
        " target_product_code, status, result_code, instance, actor) VALUES ('%s',"
        " 'epoch'::timestamptz + %lld * interval '1 ms', '%s', 'x', '%s', '%s', 'i', 'u')",
        id, (long long)at, line, status, code));
}

static struct history_query page(const char *line, int64_t offset, int64_t limit)
{
    return (struct history_query){.kind = HISTORY_PAGE, .line = line, .offset = offset, .limit = limit};
}

#define DAY INT64_C(86400000)
#define T0  INT64_C(1795000000000)

/* Ids whose order is that of their number. */
static char *id_of(char out[UUID_LEN + 1], int n)
{
    snprintf(out, UUID_LEN + 1, "01900000-0000-7000-8000-%012d", n);
    return out;
}

static void fill(int count)
{
    for (int i = 0; i < count; i++) {
        char id[UUID_LEN + 1];
        insert(id_of(id, i), LINE_A, T0 + i * 20 * DAY, "COMPLETED", "0000");
    }
}

START_TEST(a_page_is_newest_first_with_the_total)
{
    char id[UUID_LEN + 1];
    fill(25);
    insert(id_of(id, 900), LINE_B, T0, "FAILED", "2001");
    start_history();
    for (int offset = 0; offset <= 30; offset += 10) {
        struct history_query q = page(LINE_A, offset, 10);
        ask(&q);
        ck_assert_int_eq(q.status, HISTORY_OK);
        ck_assert_int_eq(q.total, 25);
        int expected = offset >= 25 ? 0 : 25 - offset < 10 ? 25 - offset : 10;
        ck_assert_uint_eq(q.count, expected);
        for (int i = 0; i < expected; i++) {
            ck_assert_str_eq(q.rows[i].request_id, id_of(id, 24 - offset - i));
            ck_assert_int_eq(q.rows[i].requested_at, T0 + (24 - offset - i) * 20 * DAY);
        }
        history_query_clear(&q);
    }
    struct history_query all = page(NULL, 0, 100);
    ask(&all);
    ck_assert_int_eq(all.total, 26);
    history_query_clear(&all);
    struct history_query none = page("01000000000", 0, 10);
    ask(&none);
    ck_assert_int_eq(none.status, HISTORY_OK);
    ck_assert_int_eq(none.total, 0);
    history_query_clear(&none);
}
END_TEST

START_TEST(rows_of_the_same_moment_are_ordered_by_id)
{
    char id[UUID_LEN + 1];
    static const int order[] = {3, 1, 2, 0};
    for (int i = 0; i < 4; i++) {
        insert(id_of(id, order[i]), LINE_A, T0, "COMPLETED", "0000");
    }
    start_history();
    struct history_query q = page(LINE_A, 1, 2);
    ask(&q);
    ck_assert_uint_eq(q.count, 2);
    ck_assert_str_eq(q.rows[0].request_id, id_of(id, 2));
    ck_assert_str_eq(q.rows[1].request_id, id_of(id, 1));
    history_query_clear(&q);
}
END_TEST

START_TEST(from_is_inclusive_and_until_is_not)
{
    fill(10);
    start_history();
    struct history_query q = page(LINE_A, 0, 100);
    q.from_ms = T0 + 2 * 20 * DAY;
    q.until_ms = T0 + 5 * 20 * DAY;
    ask(&q);
    ck_assert_int_eq(q.total, 3);
    ck_assert_int_eq(q.rows[2].requested_at, q.from_ms);
    history_query_clear(&q);
    q = page(LINE_A, 0, 100);
    q.from_ms = T0 + 8 * 20 * DAY;
    ask(&q);
    ck_assert_int_eq(q.total, 2);
    history_query_clear(&q);
    q = page(LINE_A, 0, 100);
    q.from_ms = INT64_MIN;
    q.until_ms = INT64_MAX;
    ask(&q);
    ck_assert_int_eq(q.total, 10);
    history_query_clear(&q);
}
END_TEST

/* CONTRACT.md 1, History: the journal's rows and PostgreSQL's, each once. */
START_TEST(excluded_ids_are_neither_shown_nor_counted)
{
    char a[UUID_LEN + 1], b[UUID_LEN + 1];
    const char *const exclude[] = {id_of(a, 4), "no uuid", NULL, id_of(b, 2)};
    fill(5);
    start_history();
    struct history_query q = page(LINE_A, 0, 10);
    q.exclude = exclude;
    q.exclude_count = 4;
    ask(&q);
    ck_assert_int_eq(q.status, HISTORY_OK);
    ck_assert_int_eq(q.total, 3);
    ck_assert_uint_eq(q.count, 3);
    char id[UUID_LEN + 1];
    ck_assert_str_eq(q.rows[0].request_id, id_of(id, 3));
    history_query_clear(&q);
}
END_TEST

START_TEST(a_row_reads_back_as_the_record_that_was_forwarded)
{
    char id[UUID_LEN + 1];
    struct change_record c = change_make(id, LINE_A, clock_wall_ms());
    c.kos_order_number = "KOS-1";
    record(&c);
    start_history();
    wait_number(ROWS, 1);
    struct history_query q = {.kind = HISTORY_GET, .request_id = id};
    ask(&q);
    ck_assert_int_eq(q.status, HISTORY_OK);
    ck_assert_uint_eq(q.count, 1);
    const struct change_record *r = &q.rows[0];
    ck_assert_str_eq(r->request_id, id);
    ck_assert_str_eq(r->line, LINE_A);
    ck_assert_int_eq(r->state, CHANGE_INVALID);
    ck_assert_str_eq(r->subject, "user-1");
    ck_assert_str_eq(r->actor, "user-1");
    ck_assert_str_eq(r->customer_id, c.customer_id);
    ck_assert_str_eq(r->current_code, c.current_code);
    ck_assert_str_eq(r->current_name, c.current_name);
    ck_assert_str_eq(r->target_code, c.target_code);
    ck_assert_str_eq(r->target_name, c.target_name);
    ck_assert_str_eq(r->result_code, c.result_code);
    ck_assert_str_eq(r->result_message, c.result_message);
    ck_assert_str_eq(r->failure_reason, c.failure_reason);
    ck_assert_str_eq(r->kos_order_number, "KOS-1");
    ck_assert_ptr_nonnull(strstr(r->validation_json, "PRODUCT_AVAILABLE"));
    ck_assert_int_eq(r->requested_at, c.requested_at);
    ck_assert_int_eq(r->validated_at, c.validated_at);
    ck_assert_int_eq(r->processed_at, c.processed_at);
    ck_assert_ptr_null(r->correlation_id);
    history_query_clear(&q);
}
END_TEST

START_TEST(states_come_back_from_status_and_result_code)
{
    static const struct {
        const char *status, *code;
        enum change_state state;
    } cases[] = {{"COMPLETED", "0000", CHANGE_COMPLETED},
                 {"FAILED", "2004", CHANGE_REFUSED},
                 {"FAILED", "9001", CHANGE_REFUSED},
                 {"FAILED", "VALIDATION_FAILED", CHANGE_INVALID},
                 {"FAILED", "NOT_APPLIED", CHANGE_NOT_APPLIED},
                 {"FAILED", "KOS_UNAVAILABLE", CHANGE_NOT_SENT},
                 {"FAILED", "CANCELLED", CHANGE_CANCELLED},
                 {"FAILED", "EXPIRED", CHANGE_EXPIRED},
                 {"FAILED", "0000", CHANGE_REFUSED}};
    char id[UUID_LEN + 1];
    int count = sizeof cases / sizeof *cases;
    for (int i = 0; i < count; i++) {
        insert(id_of(id, i), LINE_A, T0 + i, cases[i].status, cases[i].code);
    }
    start_history();
    struct history_query q = page(LINE_A, 0, 100);
    ask(&q);
    ck_assert_uint_eq(q.count, count);
    for (int i = 0; i < count; i++) {
        ck_assert_msg(q.rows[count - 1 - i].state == cases[i].state, "%s %s", cases[i].status, cases[i].code);
    }
    history_query_clear(&q);
}
END_TEST

START_TEST(an_id_is_looked_up_in_its_own_days_and_other_ids_everywhere)
{
    static const struct {
        const char *id;
        enum history_status status;
    } cases[] = {
        {"01900000-0000-7000-8000-000000000001", HISTORY_OK}, /* a UUIDv7 of the row's own time */
        {"01900000-0000-7000-8000-000000000003",
         HISTORY_NOT_FOUND}, /* of another time than the row's: not ours */
        {"01900000-0000-4000-8000-000000000001", HISTORY_OK},
        {"01900000-0000-7000-8000-000000000009", HISTORY_NOT_FOUND},
        {"01900000-0000-4000-8000-00000000000F", HISTORY_NOT_FOUND},
        {"no uuid", HISTORY_NOT_FOUND},
        {"", HISTORY_NOT_FOUND},
        {NULL, HISTORY_NOT_FOUND},
    };
    int64_t at;
    ck_assert(uuid_v7_time(cases[0].id, &at));
    insert(cases[0].id, LINE_A, at + 3600000, "COMPLETED", "0000");
    insert(cases[1].id, LINE_A, at + 30 * DAY, "COMPLETED", "0000");
    insert(cases[2].id, LINE_A, T0, "COMPLETED", "0000");
    start_history();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct history_query q = {.kind = HISTORY_GET, .request_id = cases[i].id};
        ask(&q);
        ck_assert_msg(q.status == cases[i].status, "%s: %d", cases[i].id ? cases[i].id : "NULL", q.status);
        history_query_clear(&q);
    }
}
END_TEST

/* ---- trouble ---- */

static enum history_status ask_line(uint64_t *took)
{
    struct history_query q = page(LINE_A, 0, 10);
    uint64_t ms = ask(&q);
    if (took) {
        *took = ms;
    }
    enum history_status status = q.status;
    history_query_clear(&q);
    return status;
}

static void wait_answer(enum history_status status)
{
    uint64_t until = clock_mono_ns() + WAIT_NS;
    while (ask_line(NULL) != status) {
        ck_assert_msg(clock_mono_ns() < until, "queries are not answered as expected");
        pg_fixture_nap();
    }
}

START_TEST(down_is_answered_at_once_and_up_again_by_itself)
{
    uint64_t took;
    pg_fixture_down(&server, SIGINT);
    start_history();
    wait_answer(HISTORY_UNAVAILABLE);
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(ask_line(&took), HISTORY_UNAVAILABLE);
        ck_assert_msg(took < 250, "%llu ms", (unsigned long long)took);
    }
    pg_fixture_up(&server);
    PQreset(super);
    wait_answer(HISTORY_OK);
}
END_TEST

START_TEST(the_first_query_waits_for_the_first_connection)
{
    start_history();
    ck_assert_int_eq(ask_line(NULL), HISTORY_OK);
}
END_TEST

/* The connection ended while nobody asked: no customer sees that. */
START_TEST(a_backend_that_was_ended_is_not_noticed_by_the_next_query)
{
    start_history();
    ck_assert_int_eq(ask_line(NULL), HISTORY_OK);
    for (int i = 0; i < 20; i++) {
        pg_fixture_do(super,
                      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'PCS-Service'");
        ck_assert_int_eq(ask_line(NULL), HISTORY_OK);
    }
}
END_TEST

START_TEST(a_server_that_hangs_costs_one_deadline_and_then_nothing)
{
    uint64_t took;
    config.query_deadline_ms = 400;
    start_history();
    ck_assert_int_eq(ask_line(NULL), HISTORY_OK);
    pg_fixture_pause(&server);
    enum history_status first = ask_line(&took), second;
    uint64_t then;
    second = ask_line(&then);
    pg_fixture_resume(&server);
    ck_assert_int_eq(first, HISTORY_UNAVAILABLE);
    ck_assert_msg(took >= 390 && took < 900, "%llu ms", (unsigned long long)took);
    ck_assert_int_eq(second, HISTORY_UNAVAILABLE);
    ck_assert_msg(then < 300, "%llu ms", (unsigned long long)then);
    wait_answer(HISTORY_OK);
}
END_TEST

#define MANY 40

struct many {
    struct history_query q;
    bool done;
};

static struct many many[MANY];

static int submit_many(void)
{
    int taken = 0;
    for (int i = 0; i < MANY; i++) {
        many[i] = (struct many){.q = page(LINE_A, 0, 10)};
        many[i].q.reply_to = &box;
        many[i].q.done = query_done;
        many[i].q.arg = &many[i].done;
        if (history_submit(history, &many[i].q)) {
            taken++;
        } else {
            many[i].done = true;
        }
    }
    return taken;
}

static void clear_many(void)
{
    for (int i = 0; i < MANY; i++) {
        deliver_until(&many[i].done);
        history_query_clear(&many[i].q);
    }
}

START_TEST(a_full_queue_is_refused_and_every_query_is_answered_once)
{
    config.query_deadline_ms = 500;
    config.query_queue = 10;
    start_history();
    ck_assert_int_eq(ask_line(NULL), HISTORY_OK);
    pg_fixture_pause(&server);
    int taken = submit_many();
    pg_fixture_resume(&server);
    clear_many();
    ck_assert_int_ge(taken, 10);
    ck_assert_int_le(taken, 21); /* one running, ten taken with it, ten waiting */
    wait_answer(HISTORY_OK);
}
END_TEST

/* Behind a query that takes its whole deadline the others have passed theirs: not run at all. */
START_TEST(queries_that_waited_past_their_deadline_are_not_run)
{
    config.query_deadline_ms = 300;
    start_history();
    ck_assert_int_eq(ask_line(NULL), HISTORY_OK);
    pg_fixture_do(super, "BEGIN; LOCK TABLE product_change.product_change_history IN ACCESS EXCLUSIVE MODE");
    uint64_t began = clock_mono_ns();
    ck_assert_int_eq(submit_many(), MANY);
    clear_many();
    uint64_t took = (clock_mono_ns() - began) / NS_PER_MS;
    pg_fixture_do(super, "COMMIT");
    ck_assert_msg(took < 1000, "%llu ms", (unsigned long long)took);
    for (int i = 0; i < MANY; i++) {
        ck_assert(many[i].q.status == HISTORY_UNAVAILABLE || many[i].q.status == HISTORY_BUSY);
    }
    wait_answer(HISTORY_OK);
}
END_TEST

START_TEST(stopping_answers_what_waits)
{
    start_history();
    ck_assert_int_eq(ask_line(NULL), HISTORY_OK);
    pg_fixture_pause(&server);
    ck_assert_int_eq(submit_many(), MANY);
    history_stop(history, 200);
    history = NULL;
    pg_fixture_resume(&server);
    clear_many();
    for (int i = 0; i < MANY; i++) {
        ck_assert_int_eq(many[i].q.status, HISTORY_UNAVAILABLE);
    }
}
END_TEST

/* The id prunes: the plan of a look-up touches the months around the id's time only (DESIGN.md). */
START_TEST(a_look_up_by_id_touches_few_partitions)
{
    pg_fixture_do(super,
                  "SELECT product_change.ensure_partition(make_timestamptz(2024, m, 1, 0, 0, 0, 'UTC'))"
                  " FROM generate_series(1, 12) m");
    PGresult *r =
        pg_fixture_query(super, "EXPLAIN SELECT FROM product_change.product_change_history WHERE request_id ="
                                " '01900000-0000-7000-8000-000000000001' AND requested_at >= '2024-06-09'"
                                " AND requested_at < '2024-06-11'");
    int scans = 0;
    for (int i = 0; i < PQntuples(r); i++) {
        scans += strstr(PQgetvalue(r, i, 0), "product_change_history_2024_06") != NULL;
        ck_assert_ptr_null(strstr(PQgetvalue(r, i, 0), "_2024_07"));
        ck_assert_ptr_null(strstr(PQgetvalue(r, i, 0), "_default"));
    }
    PQclear(r);
    ck_assert_int_ge(scans, 1);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_page_is_newest_first_with_the_total,
        rows_of_the_same_moment_are_ordered_by_id,
        from_is_inclusive_and_until_is_not,
        excluded_ids_are_neither_shown_nor_counted,
        a_row_reads_back_as_the_record_that_was_forwarded,
        states_come_back_from_status_and_result_code,
        an_id_is_looked_up_in_its_own_days_and_other_ids_everywhere,
        down_is_answered_at_once_and_up_again_by_itself,
        the_first_query_waits_for_the_first_connection,
        a_backend_that_was_ended_is_not_noticed_by_the_next_query,
        a_server_that_hangs_costs_one_deadline_and_then_nothing,
        a_full_queue_is_refused_and_every_query_is_answered_once,
        queries_that_waited_past_their_deadline_are_not_run,
        stopping_answers_what_waits,
        a_look_up_by_id_touches_few_partitions,
    };
    return run_tests("history query", setup_all, teardown_all, tests, sizeof tests / sizeof *tests);
}
