/* req:{id} in Redis: another instance's change (CONTRACT.md, two thin shared things). Garbage is a miss; what is read is
 * spliced into answers, and written again it is the same. */
#include "fuzz/fuzz.h"

#include "change/record_json.h"
#include "change/service.h"
#include "pcs/change/result.h"

static void check_shown(const struct change_record *r)
{
    for (int english = 0; english < 2; english++) {
        const struct result_view view = {.english = english, .frontend = english, .prefix = "/product"};
        struct buf b;
        buf_init(&b, (size_t)1 << 22);
        buf_lit(&b, "{");
        result_json(&b, "data", r, &view);
        buf_json_open(&b, "history", '[');
        result_history_item(&b, r, &view);
        buf_json_close(&b, ']');
        buf_lit(&b, "}");
        FUZZ_CHECK(buf_ok(&b) && fuzz_is_json(b.data, b.len));
        buf_free(&b);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_bytes(data, size);
    struct change_record record, again, copy;
    struct arena arena;
    struct buf first, second;
    arena_init(&arena, NULL, 0, (size_t)4 << 20);
    buf_init(&first, (size_t)1 << 20);
    buf_init(&second, (size_t)1 << 20);
    if (record_decode(text, size, &arena, &record)) {
        FUZZ_CHECK((unsigned)record.state < CHANGE_STATES && strlen(record.line) == LINE_LEN);
        record_encode(&first, &record);
        FUZZ_CHECK(buf_ok(&first) && record_decode(first.data, first.len, &arena, &again));
        record_encode(&second, &again);
        FUZZ_CHECK(buf_ok(&second) && strcmp(first.data, second.data) == 0);
        FUZZ_CHECK(record_copy(&copy, &record, &arena));
        buf_reset(&second);
        record_encode(&second, &copy);
        FUZZ_CHECK(buf_ok(&second) && strcmp(first.data, second.data) == 0);
        check_shown(&record);
    }
    buf_free(&first);
    buf_free(&second);
    arena_free(&arena);
    free(text);
    return 0;
}
