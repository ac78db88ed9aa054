/* What Redis gives back as a cache entry (CONTRACT.md 4: garbage is a miss). First byte: 'c' customer, 'p' catalogue;
 * upper case: length and checksum are put right first, so that the fields behind them are reached too. */
#include "fuzz/fuzz.h"

#include "product/entry.h"

#include <libdeflate.h>

#define LINE   "01012345678"
#define CRC_AT (ENTRY_HEAD_LEN - 9)

static bool same_product(const struct product *a, const struct product *b)
{
    return fuzz_same(a->code, b->code) && fuzz_same(a->name, b->name) && a->monthly_fee == b->monthly_fee &&
           fuzz_same(a->data_allowance, b->data_allowance) &&
           fuzz_same(a->voice_allowance, b->voice_allowance) &&
           fuzz_same(a->sms_allowance, b->sms_allowance) && a->available == b->available &&
           fuzz_same(a->operator_code, b->operator_code) && fuzz_same(a->network_type, b->network_type) &&
           fuzz_same(a->description, b->description);
}

static void repair(char *value, size_t len, char kind)
{
    char numbers[32];
    struct entry_head head;
    if (len < ENTRY_HEAD_LEN ||
        !entry_head_read(value, len, kind == 'C' ? ENTRY_CUSTOMER : ENTRY_CATALOGUE, &head)) {
        return;
    }
    size_t rest = len - ENTRY_HEAD_LEN, json = head.json_len % (rest + 1);
    snprintf(numbers, sizeof numbers, "%08zu %08zu", rest - json, json);
    memcpy(value + CRC_AT - 18, numbers, 17);
    uint32_t crc = libdeflate_crc32(0, value, CRC_AT);
    crc = libdeflate_crc32(crc, value + ENTRY_HEAD_LEN, rest);
    snprintf(numbers, sizeof numbers, "%08x", (unsigned)crc);
    memcpy(value + CRC_AT, numbers, 8);
}

static void check_customer(const char *value, size_t len)
{
    struct entry_customer in, again;
    struct buf out;
    if (!entry_customer_read(value, len, LINE, &in)) {
        return;
    }
    const struct customer *a = &in.customer, *b = &again.customer;
    FUZZ_CHECK(strcmp(a->line, LINE) == 0 && a->status <= LINE_TERMINATED);
    FUZZ_CHECK(in.json >= value && in.json + in.head.json_len == value + len);
    buf_init(&out, ENTRY_CUSTOMER_MAX + len);
    entry_customer_write(&out, a, in.json, in.head.json_len, in.head.filled_at);
    FUZZ_CHECK(buf_ok(&out) && out.len <= len); /* leading zeros are not written */
    FUZZ_CHECK(entry_customer_read(out.data, out.len, LINE, &again));
    FUZZ_CHECK(again.head.filled_at == in.head.filled_at && again.head.json_len == in.head.json_len);
    FUZZ_CHECK(memcmp(again.json, in.json, in.head.json_len) == 0 &&
               memcmp(again.head.token, in.head.token, 42) != 0);
    FUZZ_CHECK(fuzz_same(a->customer_id, b->customer_id) && fuzz_same(a->name, b->name) &&
               a->status == b->status && fuzz_same(a->operator_code, b->operator_code) &&
               fuzz_same(a->contract_date, b->contract_date) && a->has_product == b->has_product);
    FUZZ_CHECK(!a->has_product || same_product(&a->product, &b->product));
    /* one bit of it makes it another's or nobody's */
    out.data[out.len / 2] ^= 1;
    FUZZ_CHECK(!entry_customer_read(out.data, out.len, LINE, &again));
    out.data[out.len / 2] ^= 1;
    FUZZ_CHECK(!entry_customer_read(out.data, out.len - 1, LINE, &again));
    FUZZ_CHECK(!entry_customer_read(out.data, out.len, "01087654321", &again));
    buf_free(&out);
}

static void check_catalogue(const char *value, size_t len)
{
    char token[ENTRY_TOKEN_LEN + 1];
    struct catalogue *c = entry_catalogue_read(value, len), *again;
    struct buf out;
    if (!c) {
        return;
    }
    buf_init(&out, ENTRY_CATALOGUE_MAX + len);
    entry_catalogue_write(&out, c, c->filled_at, token);
    FUZZ_CHECK(buf_ok(&out) && (again = entry_catalogue_read(out.data, out.len)) != NULL);
    FUZZ_CHECK(again->count == c->count && again->filled_at == c->filled_at &&
               strcmp(again->token, token) == 0);
    for (size_t i = 0; i < c->count; i++) {
        FUZZ_CHECK(same_product(&c->products[i], &again->products[i]));
    }
    catalogue_unref(again);
    catalogue_unref(c);
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    char kind = (char)fuzz_byte(&in);
    char *value = fuzz_bytes(in.at, in.left);
    if (kind == 'C' || kind == 'P') {
        repair(value, in.left, kind);
    }
    if (kind == 'c' || kind == 'C') {
        check_customer(value, in.left);
    } else {
        check_catalogue(value, in.left);
    }
    free(value);
    return 0;
}
