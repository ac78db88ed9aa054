/* bypass.h - per-line generations of invalidation, process-wide. Private to the store. */
#ifndef PRODUCT_BYPASS_H
#define PRODUCT_BYPASS_H

#include "pcs/product/store.h"

uint32_t line_hash(const char *line);

/* Grows each time something about the line was invalidated by this process (lines share counters). A load
 * without a lease that began under an older one must not be joined by a newer reader. Any thread. */
uint64_t line_generation(const char *line);
void line_generation_next(const char *line);

#endif
