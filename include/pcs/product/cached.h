/* cached.h - what stands in Redis of a line's customer, told to support (the store itself reads it elsewhere). Pure. */
#ifndef PCS_PRODUCT_CACHED_H
#define PCS_PRODUCT_CACHED_H

#include "pcs/product/product.h"

#define CACHED_KEY_MAX 64

void cached_customer_key(char out[CACHED_KEY_MAX], const char *line);

enum cached_kind {
    CACHED_LEASE, /* somebody is loading it */
    CACHED_VALUE,
    CACHED_GARBAGE /* damaged, or not of this version: the next reader deletes it */
};
const char *cached_kind_name(enum cached_kind k); /* "lease", "value", "garbage" */

struct cached_customer {
    enum cached_kind kind;
    int64_t filled_at;        /* CACHED_VALUE: Unix ms, when KOS was asked */
    const char *product_code; /* CACHED_VALUE: in the value; NULL: none */
    enum line_status status;  /* CACHED_VALUE */
};
/* value has to outlive out. */
void cached_customer_read(const char *value, size_t len, const char *line, struct cached_customer *out);

#endif
