/* product.h - what a customer and a product are here, whatever the carrier's answers look like (CONTRACT.md
 * 1, 2). */
#ifndef PCS_PRODUCT_PRODUCT_H
#define PCS_PRODUCT_PRODUCT_H

#include "pcs/core/arena.h"
#include "pcs/core/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINE_LEN         11
#define PRODUCT_CODE_MAX 50

enum line_status { LINE_ACTIVE, LINE_SUSPENDED, LINE_TERMINATED };
const char *line_status_name(enum line_status s);

/* A plan. code, name and fee are always there; other texts are NULL when the carrier did not give them. */
struct product {
    const char *code, *name;
    int64_t monthly_fee; /* won */
    const char *data_allowance, *voice_allowance, *sms_allowance;
    bool available;          /* on sale */
    bool availability_given; /* of a current product: KOS said so; else the catalogue decides */
    const char *operator_code, *network_type, *description;
};

struct customer {
    const char *line;
    const char *customer_id; /* NULL when the carrier did not say */
    const char *name;
    enum line_status status;
    const char *operator_code; /* of the line; NULL: unknown */
    bool has_product;          /* false: 3002 or 3003 */
    struct product product;
    const char *contract_date; /* yyyy-MM-dd or NULL */
};

/* The catalogue, KOS's order. Immutable; counted per reactor. */
struct catalogue {
    unsigned refs; /* own thread only */
    struct arena arena;
    struct product *products;
    size_t count, capacity;
    const char **json; /* parallel: members of Product, ready-made, without braces */
    int64_t filled_at; /* Unix ms when KOS answered */
    char token[64];    /* the cache entry it came from; "" when it came from KOS directly */
};
const struct product *catalogue_find(const struct catalogue *c, const char *code);
void catalogue_unref(struct catalogue *c);

/* ^010[0-9]{8}$ after removing dashes; false otherwise. */
bool line_parse(const char *text, size_t len, char out[LINE_LEN + 1]);
/* ^[A-Za-z0-9_.-]{1,50}$ */
bool product_code_valid(const char *text, size_t len);

/* Members of Product without braces / of Customer without braces, as the contract names them. */
void product_json(struct buf *out, const struct product *p);
void customer_json(struct buf *out, const struct customer *c);
/* A product's operator is its own, else default_operator; unknown on either side matches (CONTRACT.md 1,
 * Validation). */
bool operator_matches(const struct product *p, const char *default_operator, const char *line_operator);

#endif
