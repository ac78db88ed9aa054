/* entry.c - head, checksum and fields of cache entries. */
#include "product/entry.h"

#include "pcs/core/buf.h"
#include "pcs/core/id.h"

#include <libdeflate.h>
#include <stdio.h>
#include <string.h>

#define MAGIC_LEN    6
#define FILLED_AT    (ENTRY_TOKEN_LEN + 1)
#define FILLED_LEN   13
#define FIELDS_AT    (FILLED_AT + FILLED_LEN + 1)
#define LENGTH_LEN   8
#define JSON_AT      (FIELDS_AT + LENGTH_LEN + 1)
#define CRC_AT       (JSON_AT + LENGTH_LEN + 1)
#define CRC_LEN      8
#define PRODUCT_MIN  20 /* bytes that ten fields take at least */
#define FILLED_LIMIT INT64_C(10000000000000)

_Static_assert(CRC_AT + CRC_LEN + 1 == ENTRY_HEAD_LEN, "the head's layout");
_Static_assert(MAGIC_LEN + UUID_LEN == ENTRY_TOKEN_LEN, "the token's layout");

/* The digit belongs to the layout: raise it, and the keys' (store.c), with every change of the fields. */
static const char *const magic[] = {[ENTRY_CUSTOMER] = "PCSC1 ", [ENTRY_CATALOGUE] = "PCSK1 "};

/* ---- head ---- */

static bool read_decimal(const char *p, size_t digits, int64_t *out)
{
    int64_t value = 0;
    for (size_t i = 0; i < digits; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return false;
        }
        value = value * 10 + (p[i] - '0');
    }
    *out = value;
    return true;
}

static bool read_crc(const char *p, uint32_t *out)
{
    uint32_t value = 0;
    for (int i = 0; i < CRC_LEN; i++) {
        bool digit = p[i] >= '0' && p[i] <= '9', letter = p[i] >= 'a' && p[i] <= 'f';
        if (!digit && !letter) {
            return false;
        }
        value = value << 4 | (uint32_t)(digit ? p[i] - '0' : p[i] - 'a' + 10);
    }
    *out = value;
    return true;
}

bool entry_head_read(const char *value, size_t len, enum entry_kind kind, struct entry_head *head)
{
    int64_t fields, json;
    if (len < ENTRY_HEAD_LEN || memcmp(value, magic[kind], MAGIC_LEN) != 0 || value[FILLED_AT - 1] != ' ' ||
        value[FIELDS_AT - 1] != ' ' || value[JSON_AT - 1] != ' ' || value[CRC_AT - 1] != ' ' ||
        value[ENTRY_HEAD_LEN - 1] != '\n') {
        return false;
    }
    if (!read_decimal(value + FILLED_AT, FILLED_LEN, &head->filled_at) ||
        !read_decimal(value + FIELDS_AT, LENGTH_LEN, &fields) ||
        !read_decimal(value + JSON_AT, LENGTH_LEN, &json) || !read_crc(value + CRC_AT, &head->crc)) {
        return false;
    }
    head->token = value;
    head->fields_len = (size_t)fields;
    head->json_len = (size_t)json;
    return true;
}

static uint32_t checksum(const char *value, size_t len)
{
    uint32_t crc = libdeflate_crc32(0, value, CRC_AT);
    return libdeflate_crc32(crc, value + ENTRY_HEAD_LEN, len - ENTRY_HEAD_LEN);
}

static bool entry_whole(const char *value, size_t len, enum entry_kind kind, struct entry_head *head)
{
    return entry_head_read(value, len, kind, head) &&
           len - ENTRY_HEAD_LEN == head->fields_len + head->json_len && checksum(value, len) == head->crc;
}

/* The head is written first with empty numbers and completed when the lengths are known. */
static size_t begin(struct buf *out, enum entry_kind kind)
{
    static const char blank[ENTRY_HEAD_LEN] = {0};
    size_t start = out->len;
    char uuid[UUID_LEN + 1];
    buf_put(out, blank, sizeof blank);
    if (buf_ok(out)) {
        memcpy(out->data + start, magic[kind], MAGIC_LEN);
        memcpy(out->data + start + MAGIC_LEN, uuid_v7(uuid), UUID_LEN);
    }
    return start;
}

static void finish(struct buf *out, size_t start, int64_t filled_at, size_t json_len)
{
    char numbers[ENTRY_HEAD_LEN];
    if (!buf_ok(out)) {
        return;
    }
    char *head = out->data + start;
    size_t len = out->len - start;
    int64_t at = filled_at < 0 ? 0 : filled_at % FILLED_LIMIT;
    snprintf(numbers, sizeof numbers, " %013lld %08zu %08zu ", (long long)at, len - ENTRY_HEAD_LEN - json_len,
             json_len);
    memcpy(head + ENTRY_TOKEN_LEN, numbers, CRC_AT - ENTRY_TOKEN_LEN);
    snprintf(numbers, sizeof numbers, "%08x\n", checksum(head, len));
    memcpy(head + CRC_AT, numbers, CRC_LEN + 1);
}

/* ---- fields ---- */

static void put(struct buf *out, const char *text)
{
    buf_putc(out, text ? '+' : '-');
    if (text) {
        buf_puts(out, text);
    }
    buf_putc(out, '\0');
}

static void put_number(struct buf *out, int64_t number)
{
    buf_putc(out, '+');
    buf_put_i64(out, number);
    buf_putc(out, '\0');
}

struct fields {
    const char *next, *end;
    bool bad;
};

/* What is no text would go on into the journal and the history, which takes UTF-8 only. */
static const char *take(struct fields *f)
{
    size_t left = (size_t)(f->end - f->next);
    const char *start = f->next, *nul = left ? memchr(start, '\0', left) : NULL;
    if (!nul || (*start != '+' && (*start != '-' || nul != start + 1)) ||
        !utf8_valid(start + 1, (size_t)(nul - start - 1))) {
        f->bad = true;
        return NULL;
    }
    f->next = nul + 1;
    return *start == '+' ? start + 1 : NULL;
}

static int64_t take_number(struct fields *f, int64_t max)
{
    const char *text = take(f);
    size_t len = text ? strlen(text) : 0;
    int64_t value;
    if (len == 0 || len > 18 || !read_decimal(text, len, &value) || value > max) {
        f->bad = true;
        return 0;
    }
    return value;
}

static void put_product(struct buf *out, const struct product *p)
{
    put(out, p->code);
    put(out, p->name);
    put_number(out, p->monthly_fee);
    put(out, p->data_allowance);
    put(out, p->voice_allowance);
    put(out, p->sms_allowance);
    put_number(out, p->available);
    put(out, p->operator_code);
    put(out, p->network_type);
    put(out, p->description);
}

static void take_product(struct fields *f, struct product *p)
{
    p->code = take(f);
    p->name = take(f);
    p->monthly_fee = take_number(f, INT64_MAX);
    p->data_allowance = take(f);
    p->voice_allowance = take(f);
    p->sms_allowance = take(f);
    p->available = take_number(f, 1) == 1;
    p->operator_code = take(f);
    p->network_type = take(f);
    p->description = take(f);
    f->bad = f->bad || !p->code || !p->name;
}

/* ---- customer ---- */

void entry_customer_write(struct buf *out, const struct customer *c, const char *json, size_t json_len,
                          int64_t filled_at)
{
    size_t start = begin(out, ENTRY_CUSTOMER);
    put(out, c->line);
    put(out, c->customer_id);
    put(out, c->name);
    put_number(out, c->status);
    put(out, c->operator_code);
    put(out, c->contract_date);
    put_number(out, c->has_product);
    if (c->has_product) {
        put_product(out, &c->product);
    }
    buf_put(out, json, json_len);
    finish(out, start, filled_at, json_len);
}

bool entry_customer_read(const char *value, size_t len, const char *line, struct entry_customer *out)
{
    if (!entry_whole(value, len, ENTRY_CUSTOMER, &out->head)) {
        return false;
    }
    struct customer *c = &out->customer;
    struct fields f = {.next = value + ENTRY_HEAD_LEN};
    f.end = f.next + out->head.fields_len;
    c->line = take(&f);
    c->customer_id = take(&f);
    c->name = take(&f);
    c->status = (enum line_status)take_number(&f, LINE_TERMINATED);
    c->operator_code = take(&f);
    c->contract_date = take(&f);
    c->has_product = take_number(&f, 1) == 1;
    if (c->has_product) {
        take_product(&f, &c->product);
    } else {
        c->product = (struct product){.code = NULL};
    }
    out->json = f.end;
    return !f.bad && f.next == f.end && c->line && strcmp(c->line, line) == 0;
}

/* ---- catalogue ---- */

void entry_catalogue_write(struct buf *out, const struct catalogue *c, int64_t filled_at,
                           char token[ENTRY_TOKEN_LEN + 1])
{
    size_t start = begin(out, ENTRY_CATALOGUE);
    put_number(out, (int64_t)c->count);
    for (size_t i = 0; i < c->count; i++) {
        put_product(out, &c->products[i]);
    }
    finish(out, start, filled_at, 0);
    if (buf_ok(out)) {
        memcpy(token, out->data + start, ENTRY_TOKEN_LEN);
        token[ENTRY_TOKEN_LEN] = '\0';
    } else {
        token[0] = '\0';
    }
}

struct catalogue *entry_catalogue_read(const char *value, size_t len)
{
    struct entry_head head;
    if (!entry_whole(value, len, ENTRY_CATALOGUE, &head)) {
        return NULL;
    }
    struct fields f = {.next = value + ENTRY_HEAD_LEN};
    f.end = f.next + head.fields_len;
    int64_t count = take_number(&f, (int64_t)(head.fields_len / PRODUCT_MIN));
    struct catalogue *c = f.bad ? NULL : catalogue_new((size_t)count);
    for (int64_t i = 0; c && i < count; i++) {
        struct product p;
        take_product(&f, &p);
        if (f.bad || !catalogue_add(c, &p)) {
            catalogue_unref(c);
            c = NULL;
        }
    }
    if (c && f.next != f.end) {
        catalogue_unref(c);
        c = NULL;
    }
    if (c) {
        c->filled_at = head.filled_at;
        memcpy(c->token, head.token, ENTRY_TOKEN_LEN);
        c->token[ENTRY_TOKEN_LEN] = '\0';
    }
    return c;
}
