/* chain.h - the hash chain over the history: how a row and its link are turned into digests.
 *
 * Each final row of an instance has a link: seq, kind, request id, requested_at, previous link, digests of the row's
 * columns, and an HMAC-SHA256 over all of it under the instance's key. seq counts up by one without gaps; the first
 * link's previous is all zero. docs/tamper-evidence.md says what that proves.
 *
 * Bytes: every digest begins with a label, "pcs-chain-1:" and the part's name, and a NUL. A text is the byte 1, its
 * length in four bytes (high byte first) and its UTF-8; an absent one five zero bytes; a number the byte 2 and eight
 * bytes. Times are milliseconds, 0 when absent. JSON enters as a text in a canonical form (no space, members by name),
 * since jsonb does not keep what it was given.
 *
 * created_at is PostgreSQL's and not part of it. Everything here belongs to the thread that uses it. */
#ifndef PCS_JOURNAL_CHAIN_H
#define PCS_JOURNAL_CHAIN_H

#include "pcs/journal/change.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHAIN_HASH    32
#define CHAIN_SALT    16
#define CHAIN_KEY_ID  8
#define CHAIN_KEY_MIN 32 /* bytes of a key */
#define CHAIN_KEY_MAX 1024
/* line_number of a row whose personal fields were erased; the others are NULL */
#define CHAIN_ERASED     "erased"
#define CHAIN_NO_TIME    INT64_MIN /* in struct chain_row: a time that no journal has written */
#define CHAIN_INSTANCE   64        /* room for an instance's name with its NUL */
#define CHAIN_REQUEST_ID 129

enum chain_kind {
    CHAIN_ROW = 1, /* a row of the history */
    /* PostgreSQL refuses the row of this request id for itself; its link stands without it */
    CHAIN_REFUSED = 2
};

/* Groups of columns, one digest each. From CHAIN_LINE on they are personal: one column each, salted, so that the field
 * and the salt can be erased while the digest stays. */
enum chain_part {
    CHAIN_PRODUCT, /* current_product_code, _name, target_product_code, _name */
    CHAIN_CHECK,   /* validation, validated_at */
    CHAIN_RESULT,  /* status, result_code, result_message, kos_order_number, processed_at */
    CHAIN_LINE,
    CHAIN_CUSTOMER,
    CHAIN_ACTOR,
    CHAIN_REASON, /* failure_reason: may quote what KOS wrote */
    CHAIN_PARTS
};
#define CHAIN_DIGESTS ((size_t)CHAIN_PARTS * CHAIN_HASH)
/* The columns, as they are told to people. */
const char *chain_part_name(enum chain_part part);

struct chain_link {
    int64_t seq; /* 0: none */
    enum chain_kind kind;
    const char *request_id;
    int64_t requested_at;
    unsigned char key_id[CHAIN_KEY_ID], previous[CHAIN_HASH], link[CHAIN_HASH];
    unsigned char digests[CHAIN_DIGESTS]; /* zero for CHAIN_REFUSED */
    unsigned char salt[CHAIN_SALT];
    bool salted; /* false: the personal fields were erased, or there are none */
};

/* The columns that enter the digests. */
struct chain_row {
    const char *current_code, *current_name, *target_code, *target_name;
    const char *validation; /* JSON */
    int64_t validated_at;
    const char *status, *result_code, *result_message, *kos_order_number;
    int64_t processed_at;
    const char *line, *customer_id, *actor, *failure_reason;
};
/* Borrows the record's texts. */
void chain_row_of(const struct change_record *r, struct chain_row *row);

/* Makes digests. NULL: no memory. */
struct chain_hasher;
struct chain_hasher *chain_hasher_new(void);
void chain_hasher_free(struct chain_hasher *h);
/* All digests of a row. False: no memory, or its validation is no JSON of change_row_validation_limits. */
__attribute__((warn_unused_result)) bool chain_digest(struct chain_hasher *h, const struct chain_row *row,
                                                      const unsigned char salt[CHAIN_SALT],
                                                      unsigned char out[CHAIN_DIGESTS]);
/* The digest of one part. salt: of the personal parts only. */
__attribute__((warn_unused_result)) bool chain_digest_part(struct chain_hasher *h, enum chain_part part,
                                                           const struct chain_row *row,
                                                           const unsigned char salt[CHAIN_SALT],
                                                           unsigned char out[CHAIN_HASH]);

/* A key with its id, a hash by which links tell which key they were made with. NULL: no memory, or a length outside
 * CHAIN_KEY_MIN..CHAIN_KEY_MAX. */
struct chain_key;
struct chain_key *chain_key_new(const void *bytes, size_t len);
void chain_key_free(struct chain_key *k);
const unsigned char *chain_key_id(const struct chain_key *k);
/* The HMAC over everything in l but link, salt and key_id. False: no memory. */
__attribute__((warn_unused_result)) bool chain_sign(struct chain_key *k, const char *instance,
                                                    const struct chain_link *l,
                                                    unsigned char out[CHAIN_HASH]);

/* Lower-case hex; out has room for 2 * len + 1. Returns out. */
char *chain_hex(char *out, const unsigned char *bytes, size_t len);
/* Exactly len bytes from 2 * len hex digits, either case. */
bool chain_unhex(const char *hex, unsigned char *out, size_t len);

#endif
