/* entry.h - what stands in Redis: a head line, fields, ready-made JSON (DESIGN.md, The cache).
 *
 *   PCSC1 <uuid> <filled at> <bytes of fields> <bytes of JSON> <CRC-32>\n<fields><JSON>
 *
 * The head has a fixed length. Up to the uuid it is unique and serves as the lease token of a refresh. The
 * checksum covers everything but itself. A field is '+', text, NUL, or '-', NUL when absent: it is used where
 * it lies, without copying, parsing or allocating. Pure: no I/O, no clock. */
#ifndef PRODUCT_ENTRY_H
#define PRODUCT_ENTRY_H

#include "product/catalogue.h"

#define ENTRY_TOKEN_LEN 42 /* "PCSC1 " and a UUID */
#define ENTRY_HEAD_LEN  84

#define ENTRY_CUSTOMER_MAX  ((size_t)1024 * 1024)     /* bytes of a whole entry */
#define ENTRY_CATALOGUE_MAX ((size_t)7 * 1024 * 1024) /* what fits into one command to Redis */

enum entry_kind { ENTRY_CUSTOMER, ENTRY_CATALOGUE };

struct entry_head {
    const char *token; /* ENTRY_TOKEN_LEN bytes, in the value */
    int64_t filled_at; /* Unix ms: when KOS was asked */
    size_t fields_len, json_len;
    uint32_t crc;
};

/* Reads the first ENTRY_HEAD_LEN bytes. False: they are no head of this kind. Says nothing of the rest. */
bool entry_head_read(const char *value, size_t len, enum entry_kind kind, struct entry_head *head);

struct entry_customer {
    struct entry_head head;
    struct customer customer; /* texts are in the value */
    const char *json;         /* members of Customer, in the value; not NUL-terminated */
};
/* Appends an entry with a new token. json: members of Customer without braces. out's sticky error tells. */
void entry_customer_write(struct buf *out, const struct customer *c, const char *json, size_t json_len,
                          int64_t filled_at);
/* False: damaged, or another line's. value has to outlive *out. */
bool entry_customer_read(const char *value, size_t len, const char *line, struct entry_customer *out);

/* token gets the new entry's, NUL-terminated. */
void entry_catalogue_write(struct buf *out, const struct catalogue *c, int64_t filled_at,
                           char token[ENTRY_TOKEN_LEN + 1]);
/* A catalogue with one reference, its filled_at and token set. NULL: damaged, or no memory. */
struct catalogue *entry_catalogue_read(const char *value, size_t len);

#endif
