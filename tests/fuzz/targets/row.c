/* A change's row as it stands in the journal's file, or as PostgreSQL gives it back (issue 5, point 4): columns of any
 * type and content. First byte: 'p' PostgreSQL's, else the journal's. Then
 * the columns: texts up to a NUL, absent when they begin with '-'. What is read can be shown, shared and proved. */
#include "fuzz/fuzz.h"

#include "change/record_json.h"
#include "history/row.h"
#include "journal/record.h"
#include "pcs/change/result.h"
#include "pcs/delivery/delivery.h"
#include "pcs/journal/chain.h"
#include "pcs/journal/row.h"

#define HISTORY_COLUMNS 17

static struct chain_hasher *hasher;

/* cJSON rounds when it prints more than 15 digits. */
static bool short_numbers(const char *text)
{
    for (size_t run; *text; text += run ? run : 1) {
        run = strspn(text, "0123456789.");
        if (run > 15) {
            return false;
        }
    }
    return true;
}

static void check_digests(const struct change_record *r)
{
    unsigned char once[CHAIN_DIGESTS], twice[CHAIN_DIGESTS];
    const unsigned char salt[CHAIN_SALT] = {1};
    struct chain_row row;
    chain_row_of(r, &row);
    FUZZ_CHECK(row.status && row.result_code);
    FUZZ_CHECK(!row.validation || fuzz_is_json(row.validation, strlen(row.validation)));
    FUZZ_CHECK(chain_digest(hasher, &row, salt, once) && chain_digest(hasher, &row, salt, twice));
    FUZZ_CHECK(memcmp(once, twice, sizeof once) == 0);
    /* what PostgreSQL makes of the validation has the same digest: spaces and the order of members say nothing */
    cJSON *tree = row.validation ? cJSON_Parse(row.validation) : NULL;
    char *printed = tree && short_numbers(row.validation) ? cJSON_Print(tree) : NULL;
    if (printed && strlen(printed) < change_row_validation_limits.max_bytes) {
        row.validation = printed;
        FUZZ_CHECK(chain_digest(hasher, &row, salt, twice) && memcmp(once, twice, sizeof once) == 0);
    }
    free(printed);
    cJSON_Delete(tree);
}

static void check_record(const struct change_record *r, struct arena *arena)
{
    struct change_record again;
    struct journal_event event = {0};
    struct buf b;
    char scratch[512];
    const struct result_view view = {.english = true, .prefix = ""};
    FUZZ_CHECK((unsigned)r->state < CHANGE_STATES);
    FUZZ_CHECK(change_state_name(r->state) && result_process_status(r) && result_code(r));
    result_failure_reason(r, true, scratch, sizeof scratch);
    buf_init(&b, (size_t)4 << 20);
    result_history_item(&b, r, &view);
    FUZZ_CHECK(buf_ok(&b) && fuzz_is_json(b.data, b.len));
    buf_reset(&b);
    record_encode(&b, r);
    FUZZ_CHECK(buf_ok(&b));
    (void)!record_decode(b.data, b.len, arena,
                         &again); /* another instance reads it, or takes it for a miss */
    buf_free(&b);
    if (r->request_id && r->line && r->current_code && r->target_code) {
        if (delivery_event(&event, DELIVERY_FAILED, r, arena)) {
            FUZZ_CHECK(event.event_id && event.body && fuzz_is_json(event.body, strlen(event.body)));
        }
    }
    check_digests(r);
}

/* SELECT 'a' AS …: each column with the type that its first byte asks for. */
static void read_journal(struct fuzz_input *in)
{
    static sqlite3 *db;
    sqlite3_stmt *s;
    struct buf sql;
    struct arena arena;
    struct change_record r;
    char *texts[128];
    FUZZ_CHECK(record_columns < 128);
    FUZZ_CHECK(db || sqlite3_open(":memory:", &db) == SQLITE_OK);
    buf_init(&sql, 4096);
    buf_lit(&sql, "SELECT 0");
    for (int i = 0; i < record_columns; i++) {
        buf_printf(&sql, ",?%d", i + 1);
    }
    FUZZ_CHECK(sqlite3_prepare_v2(db, sql.data, -1, &s, NULL) == SQLITE_OK);
    for (int i = 0; i < record_columns; i++) {
        texts[i] = fuzz_optional(in);
        const char *t = texts[i];
        if (t && *t == '#') {
            sqlite3_bind_int64(s, i + 1, strtoll(t + 1, NULL, 10));
        } else if (t && *t == '~') {
            sqlite3_bind_double(s, i + 1, strtod(t + 1, NULL));
        } else if (t && *t == '!') {
            sqlite3_bind_blob(s, i + 1, t + 1, (int)strlen(t + 1), SQLITE_STATIC);
        } else {
            sqlite3_bind_text(s, i + 1, t, -1, SQLITE_STATIC);
        }
    }
    FUZZ_CHECK(sqlite3_step(s) == SQLITE_ROW);
    arena_init(&arena, NULL, 0, (size_t)4 << 20);
    if (record_read(s, 1, &r, &arena)) {
        check_record(&r, &arena);
    }
    arena_free(&arena);
    sqlite3_finalize(s);
    buf_free(&sql);
    for (int i = 0; i < record_columns; i++) {
        free(texts[i]);
    }
}

static void read_history(struct fuzz_input *in)
{
    struct arena arena;
    struct change_record r;
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    PGresAttDesc columns[HISTORY_COLUMNS];
    memset(columns, 0, sizeof columns);
    for (int i = 0; i < HISTORY_COLUMNS; i++) {
        columns[i].name = (char *)(uintptr_t) "c";
    }
    FUZZ_CHECK(result && PQsetResultAttrs(result, HISTORY_COLUMNS, columns));
    for (int i = 0; i < HISTORY_COLUMNS; i++) {
        char *t = fuzz_optional(in);
        FUZZ_CHECK(PQsetvalue(result, 0, i, t, t ? (int)strlen(t) : -1));
        free(t);
    }
    arena_init(&arena, NULL, 0, (size_t)4 << 20);
    if (history_row_read(result, 0, 0, &r, &arena)) {
        check_record(&r, &arena);
    }
    arena_free(&arena);
    PQclear(result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    hasher = hasher ? hasher : chain_hasher_new();
    FUZZ_CHECK(hasher);
    if (fuzz_byte(&in) == 'p') {
        read_history(&in);
    } else {
        read_journal(&in);
    }
    return 0;
}
