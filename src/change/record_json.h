/* record_json.h - a change record as the text that instances share in Redis (req:{id}). */
#ifndef CHANGE_RECORD_JSON_H
#define CHANGE_RECORD_JSON_H

#include "pcs/core/arena.h"
#include "pcs/core/buf.h"
#include "pcs/journal/change.h"

#include <stdbool.h>
#include <stddef.h>

void record_encode(struct buf *out, const struct change_record *c);
/* False: not a record (garbage in Redis is a miss). Texts are in arena. */
bool record_decode(const char *text, size_t len, struct arena *arena, struct change_record *out);

#endif
