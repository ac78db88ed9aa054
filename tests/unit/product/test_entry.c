/* Cache entries: nothing in Redis is believed without its checksum (DESIGN.md, The cache; CONTRACT.md 4). */
#include "product/entry.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE "01012345678"
#define JSON "\"lineNumber\":\"01012345678\""
#define AT   INT64_C(1763857173123)

static const struct customer full = {
    .line = LINE,
    .customer_id = "C1",
    .name = "홍길동",
    .status = LINE_TERMINATED,
    .operator_code = "M1",
    .has_product = true,
    .product = {.code = "A",
                .name = "이름",
                .monthly_fee = 45000,
                .data_allowance = "무제한",
                .sms_allowance = "",
                .available = true,
                .operator_code = "M2",
                .network_type = "5G",
                .description = "d"},
    .contract_date = "2023-03-01",
};

static struct buf written(const struct customer *c)
{
    struct buf b;
    buf_init(&b, ENTRY_CUSTOMER_MAX);
    entry_customer_write(&b, c, JSON, strlen(JSON), AT);
    ck_assert(buf_ok(&b));
    return b;
}

/* A heap copy of exactly len bytes, so that the sanitizer sees every byte read beyond it. */
static bool reads(const char *value, size_t len, struct entry_customer *e)
{
    char *copy = malloc(len ? len : 1);
    memcpy(copy, value, len);
    bool ok = entry_customer_read(copy, len, LINE, e);
    free(copy);
    return ok;
}

START_TEST(customer_round_trip)
{
    struct buf b = written(&full);
    struct entry_customer e;
    ck_assert(entry_customer_read(b.data, b.len, LINE, &e));
    ck_assert_int_eq(e.head.filled_at, AT);
    ck_assert(memcmp(e.head.token, "PCSC1 ", 6) == 0 && e.head.token == b.data);
    ck_assert_uint_eq(e.head.json_len, strlen(JSON));
    ck_assert(memcmp(e.json, JSON, strlen(JSON)) == 0);
    ck_assert_str_eq(e.customer.line, LINE);
    ck_assert_str_eq(e.customer.customer_id, "C1");
    ck_assert_str_eq(e.customer.name, "홍길동");
    ck_assert_int_eq(e.customer.status, LINE_TERMINATED);
    ck_assert_str_eq(e.customer.operator_code, "M1");
    ck_assert_str_eq(e.customer.contract_date, "2023-03-01");
    ck_assert(e.customer.has_product);
    const struct product *p = &e.customer.product;
    ck_assert_str_eq(p->code, "A");
    ck_assert_str_eq(p->name, "이름");
    ck_assert_int_eq(p->monthly_fee, 45000);
    ck_assert_str_eq(p->data_allowance, "무제한");
    ck_assert_ptr_null(p->voice_allowance);
    ck_assert_str_eq(p->sms_allowance, "");
    ck_assert(p->available);
    ck_assert_str_eq(p->operator_code, "M2");
    ck_assert_str_eq(p->network_type, "5G");
    ck_assert_str_eq(p->description, "d");
    ck_assert(p->name > b.data && p->name < b.data + b.len); /* nothing is copied */
    buf_free(&b);
}
END_TEST

START_TEST(customer_without_product)
{
    struct customer c = {.line = LINE};
    struct buf b = written(&c);
    struct entry_customer e;
    ck_assert(entry_customer_read(b.data, b.len, LINE, &e));
    ck_assert(!e.customer.has_product);
    ck_assert_ptr_null(e.customer.customer_id);
    ck_assert(!entry_customer_read(b.data, b.len, "01099999999", &e)); /* a value under another key */
    buf_free(&b);
}
END_TEST

static uint32_t crc32_by_bits(uint32_t crc, const char *data, size_t len)
{
    crc = ~crc;
    for (size_t i = 0; i < len; i++) {
        crc ^= (unsigned char)data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (UINT32_C(0xEDB88320) & -(crc & 1));
        }
    }
    return ~crc;
}

/* An entry is read by other versions too: the checksum is the CRC-32 of zlib and PNG, whoever computes it. */
START_TEST(checksum_is_crc32)
{
    struct buf b = written(&full);
    size_t at = ENTRY_HEAD_LEN - 9;
    char expected[9];
    uint32_t crc = crc32_by_bits(0, b.data, at);
    crc = crc32_by_bits(crc, b.data + ENTRY_HEAD_LEN, b.len - ENTRY_HEAD_LEN);
    ck_assert_uint_eq(crc32_by_bits(0, "123456789", 9), 0xCBF43926);
    snprintf(expected, sizeof expected, "%08x", crc);
    ck_assert_msg(memcmp(b.data + at, expected, 8) == 0, "%.8s instead of %s", b.data + at, expected);
    buf_free(&b);
}
END_TEST

/* Two fills of the same data are told apart: the token is what a refresh compares */
START_TEST(tokens_are_unique)
{
    struct buf a = written(&full), b = written(&full);
    ck_assert(memcmp(a.data, b.data, ENTRY_TOKEN_LEN) != 0);
    buf_free(&a);
    buf_free(&b);
}
END_TEST

/* Every byte, every bit of it: a miss */
START_TEST(customer_corrupted)
{
    struct buf b = written(&full);
    struct entry_customer e;
    for (size_t i = 0; i < b.len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            b.data[i] = (char)(b.data[i] ^ (1 << bit));
            ck_assert_msg(!reads(b.data, b.len, &e), "byte %zu bit %d", i, bit);
            b.data[i] = (char)(b.data[i] ^ (1 << bit));
        }
    }
    ck_assert(reads(b.data, b.len, &e));
    buf_free(&b);
}
END_TEST

/* Cut at every length, and with a tail */
START_TEST(customer_cut)
{
    struct buf b = written(&full);
    struct entry_customer e;
    for (size_t len = 0; len < b.len; len++) {
        ck_assert_msg(!reads(b.data, len, &e), "length %zu", len);
    }
    buf_putc(&b, 'x');
    ck_assert(!reads(b.data, b.len, &e));
    buf_free(&b);
}
END_TEST

/* Another kind of entry, and what Redis may hold otherwise */
START_TEST(customer_garbage)
{
    static const char *const garbage[] = {"", "{}", "lease:00000000-0000-0000-0000-000000000000", "PCSC",
                                          "\0\0\0"};
    struct entry_customer e;
    struct entry_head head;
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        ck_assert(!reads(garbage[i], strlen(garbage[i]), &e));
    }
    struct buf b = written(&full);
    ck_assert(entry_head_read(b.data, ENTRY_HEAD_LEN, ENTRY_CUSTOMER, &head));
    ck_assert(!entry_head_read(b.data, ENTRY_HEAD_LEN - 1, ENTRY_CUSTOMER, &head));
    ck_assert(!entry_head_read(b.data, b.len, ENTRY_CATALOGUE, &head));
    ck_assert_ptr_null(entry_catalogue_read(b.data, b.len));
    buf_free(&b);
}
END_TEST

static struct catalogue *sample(void)
{
    struct catalogue *c = catalogue_new(2);
    struct product p = {.code = "A", .name = "가", .monthly_fee = 0, .available = true};
    ck_assert(catalogue_add(c, &p));
    p = full.product;
    p.code = "B";
    ck_assert(catalogue_add(c, &p));
    return c;
}

START_TEST(catalogue_round_trip)
{
    struct catalogue *c = sample();
    struct buf b;
    char token[ENTRY_TOKEN_LEN + 1];
    buf_init(&b, ENTRY_CATALOGUE_MAX);
    entry_catalogue_write(&b, c, AT, token);
    struct catalogue *d = entry_catalogue_read(b.data, b.len);
    ck_assert_ptr_nonnull(d);
    ck_assert_uint_eq(d->count, 2);
    ck_assert_int_eq(d->filled_at, AT);
    ck_assert_str_eq(d->token, token);
    ck_assert(memcmp(b.data, token, ENTRY_TOKEN_LEN) == 0);
    for (size_t i = 0; i < 2; i++) {
        ck_assert_str_eq(d->products[i].code, c->products[i].code);
        ck_assert_str_eq(d->json[i], c->json[i]);
    }
    ck_assert_ptr_null(d->products[0].operator_code);
    ck_assert_str_eq(d->products[1].operator_code, "M2");
    catalogue_unref(c);
    catalogue_unref(d);
    c = catalogue_new(0);
    buf_reset(&b);
    entry_catalogue_write(&b, c, AT, token);
    d = entry_catalogue_read(b.data, b.len);
    ck_assert_uint_eq(d->count, 0);
    catalogue_unref(c);
    catalogue_unref(d);
    buf_free(&b);
}
END_TEST

START_TEST(catalogue_corrupted)
{
    struct catalogue *c = sample();
    struct buf b;
    char token[ENTRY_TOKEN_LEN + 1];
    buf_init(&b, ENTRY_CATALOGUE_MAX);
    entry_catalogue_write(&b, c, AT, token);
    for (size_t i = 0; i < b.len; i++) {
        b.data[i] = (char)(b.data[i] ^ 1);
        ck_assert_msg(!entry_catalogue_read(b.data, b.len), "byte %zu", i);
        b.data[i] = (char)(b.data[i] ^ 1);
        ck_assert(!entry_catalogue_read(b.data, i));
    }
    catalogue_unref(c);
    buf_free(&b);
}
END_TEST

/* Whole, and by its checksum ours, but no text: who can write to Redis can make such a one. PostgreSQL would refuse it. */
START_TEST(no_text)
{
    static const char *const bad[] = {"\xff",     "LTE \xed\xa0\x80", "\xc0\xaf",
                                      "\xed\x94", "\xf4\x90\x80\x80", "a\x80"};
    char token[ENTRY_TOKEN_LEN + 1];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct catalogue *c = catalogue_new(1);
        struct product p = {.code = "LTE_BASIC", .name = bad[i], .monthly_fee = 1};
        struct customer who = full;
        struct entry_customer e;
        struct buf b;
        ck_assert(catalogue_add(c, &p));
        buf_init(&b, ENTRY_CATALOGUE_MAX);
        entry_catalogue_write(&b, c, AT, token);
        ck_assert(buf_ok(&b) && !entry_catalogue_read(b.data, b.len));
        buf_free(&b);
        catalogue_unref(c);
        who.name = bad[i];
        b = written(&who);
        ck_assert(!reads(b.data, b.len, &e));
        buf_free(&b);
    }
}
END_TEST

/* A limit that is too small is a sticky error, not a cut entry */
START_TEST(too_large)
{
    struct buf b;
    char token[ENTRY_TOKEN_LEN + 1];
    struct catalogue *c = sample();
    for (size_t max = 0; max < 200; max += 7) {
        buf_init(&b, max);
        entry_customer_write(&b, &full, JSON, strlen(JSON), AT);
        ck_assert(!buf_ok(&b));
        buf_free(&b);
    }
    buf_init(&b, 100);
    entry_catalogue_write(&b, c, AT, token);
    ck_assert(!buf_ok(&b) && token[0] == '\0');
    buf_free(&b);
    catalogue_unref(c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("entry");
    TCase *t = tcase_create("entry");
    tcase_add_test(t, customer_round_trip);
    tcase_add_test(t, customer_without_product);
    tcase_add_test(t, checksum_is_crc32);
    tcase_add_test(t, tokens_are_unique);
    tcase_add_test(t, customer_corrupted);
    tcase_add_test(t, customer_cut);
    tcase_add_test(t, customer_garbage);
    tcase_add_test(t, catalogue_round_trip);
    tcase_add_test(t, catalogue_corrupted);
    tcase_add_test(t, no_text);
    tcase_add_test(t, too_large);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
