/* cached.c - a cached customer as support sees it. */
#include "pcs/product/cached.h"

#include "pcs/core/text.h"

#include "product/store_internal.h"

#include <string.h>

#define LEASE_WORD "lease:"

void cached_customer_key(char out[CACHED_KEY_MAX], const char *line)
{
    text_join(out, CACHED_KEY_MAX, CUSTOMER_KEY, line);
}

const char *cached_kind_name(enum cached_kind k)
{
    static const char *const names[] = {
        [CACHED_LEASE] = "lease", [CACHED_VALUE] = "value", [CACHED_GARBAGE] = "garbage"};
    return (size_t)k < sizeof names / sizeof names[0] ? names[k] : "unknown";
}

void cached_customer_read(const char *value, size_t len, const char *line, struct cached_customer *out)
{
    struct entry_customer entry;
    *out = (struct cached_customer){.kind = CACHED_GARBAGE};
    if (len >= sizeof LEASE_WORD - 1 && memcmp(value, LEASE_WORD, sizeof LEASE_WORD - 1) == 0) {
        out->kind = CACHED_LEASE;
    } else if (entry_customer_read(value, len, line, &entry)) {
        out->kind = CACHED_VALUE;
        out->filled_at = entry.head.filled_at;
        out->product_code = entry.customer.has_product ? entry.customer.product.code : NULL;
        out->status = entry.customer.status;
    }
}
