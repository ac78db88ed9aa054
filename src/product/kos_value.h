/* kos_value.h - reading KOS's untidy values: numbers as integers, decimals or text, either spelling of a
 * name, null for absent (CONTRACT.md 2).
 *
 * Texts are copied into the reader's arena, so that they outlive the parsed tree. */
#ifndef PRODUCT_KOS_VALUE_H
#define PRODUCT_KOS_VALUE_H

#include "pcs/core/arena.h"
#include "pcs/core/json.h"

#define KOS_CODE_MAX 15   /* characters of a result code that are kept */
#define KOS_TEXT_MAX 4096 /* bytes of any other text */

struct kos_reader {
    struct arena *arena;
    bool no_memory; /* sticky: what was read since then may lack texts, and must not be believed */
};

/* The member called name (camelCase), or its snake_case spelling if that one is absent or null. NULL: neither
 * is there, or object is none. Never a null item. */
const cJSON *kos_get(const cJSON *object, const char *name);
const cJSON *kos_get_object(const cJSON *object, const char *name);

/* A non-empty text, or a whole number as text; NULL for anything else. Longer ones are cut. */
const char *kos_text(struct kos_reader *in, const cJSON *object, const char *name);

/* True with *code when the member is there and is a text or whole number. A number gets its leading zeros
 * back (0 is "0000"). Longer texts are cut and odd characters become '?', so they equal none of ours. *given
 * (may be NULL): the member is there at all, readable or not. */
bool kos_code(const cJSON *object, const char *name, char code[KOS_CODE_MAX + 1], bool *given);

/* A JSON number or plain decimal text with a whole, non-negative value of at most 2^53 - 1 (CONTRACT.md 1,
 * Product): 45000, "45000.00", 4.5E4. */
bool kos_fee(const cJSON *object, const char *name, int64_t *won);

/* -1 is "무제한", a number gets its unit, another text stays; NULL when nothing was said, or nothing that
 * makes sense. Numbers also come as text. */
const char *kos_allowance(struct kos_reader *in, const cJSON *object, const char *name, const char *unit);

/* yyyyMMdd, yyyy-MM-dd or RFC 3339 (no zone = Seoul) as yyyy-MM-dd; NULL when absent or unreadable. */
const char *kos_date(struct kos_reader *in, const cJSON *object, const char *name);

#endif
