/* catalogue.h - building a catalogue, once: from KOS's list or from the cache. */
#ifndef PRODUCT_CATALOGUE_H
#define PRODUCT_CATALOGUE_H

#include "pcs/product/product.h"

/* Enough for a list of 4 MiB in every form it takes here. */
#define CATALOGUE_BYTES_MAX ((size_t)64 * 1024 * 1024)

/* An empty one with room for capacity products and one reference. NULL: no memory. */
struct catalogue *catalogue_new(size_t capacity);
/* Copies p's texts and makes its JSON. False: no memory, or the room is used up. */
__attribute__((warn_unused_result)) bool catalogue_add(struct catalogue *c, const struct product *p);

/* What the carrier left out of a customer's product is taken from the catalogue's entry of the same code, by
 * reference: c has to outlive p. True when name and fee are there now. */
bool product_complete(struct product *p, const struct catalogue *c);

#define PRODUCT_FEE_MISSING INT64_C(-1)
static inline bool product_is_complete(const struct product *p)
{
    return p->name && p->monthly_fee != PRODUCT_FEE_MISSING;
}

#endif
