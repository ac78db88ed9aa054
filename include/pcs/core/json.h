/* json.h - reading JSON from outside: a strict check first, then cJSON for access.
 *
 * cJSON accepts trailing garbage, duplicate keys, control characters, bad UTF-8, 1e999 and more (PITFALLS.md
 * 7), so nothing reaches it that json_check() has not passed. Thread-safe. */
#ifndef PCS_CORE_JSON_H
#define PCS_CORE_JSON_H

#include "pcs/core/buf.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH_MAX  32
#define JSON_NUMBER_MAX 63                        /* characters of one number: what cJSON can read */
#define JSON_INT_MAX    INT64_C(9007199254740991) /* 2^53 - 1: 2^53 may have been another number in the text */

/* All of them are limits, also 0. */
struct json_limits {
    size_t max_bytes;      /* whole text */
    unsigned max_depth;    /* of nested objects and arrays, <= JSON_DEPTH_MAX; 0: a bare value only */
    unsigned max_members;  /* members of one object */
    bool allow_duplicates; /* false for clients; KOS's bodies are judged the same */
};

struct json_error {
    size_t offset;         /* byte at which it went wrong */
    unsigned line, column; /* both from 1; column in bytes */
    const char *reason;    /* static text */
};

/* RFC 8259, one pass, nothing allocated for ordinary texts: UTF-8, grammar of numbers and escapes, no lone
 * surrogates, no \u0000, no number beyond a double or JSON_NUMBER_MAX, no duplicate member (names are
 * compared unescaped), depth, end of input, no byte order mark. Time is O(n log n) for any text. *error is
 * always written. */
bool json_check(const char *text, size_t len, const struct json_limits *limits, struct json_error *error)
    __attribute__((warn_unused_result));
/* json_check(), then cJSON_ParseWithLength. NULL with *error filled (also "no memory"). The caller frees with
 * cJSON_Delete(). */
cJSON *json_parse(const char *text, size_t len, const struct json_limits *limits, struct json_error *error)
    __attribute__((warn_unused_result));

/* Typed reading; member names are case-sensitive. All return false/NULL when object is NULL or no object, or
 * the member is absent, null or of another type, and leave *out alone. Pointers live as long as the cJSON
 * tree. */
const char *json_text(const cJSON *object, const char *name);
bool json_bool(const cJSON *object, const char *name, bool *out);
/* A whole number, |n| <= JSON_INT_MAX; 45000.00 and 4.5E4 are whole. */
bool json_int(const cJSON *object, const char *name, int64_t *out);
bool json_number_int(const cJSON *item, int64_t *out); /* the same for an item in hand; NULL: false */
const cJSON *json_object(const cJSON *object, const char *name);
const cJSON *json_array(const cJSON *object, const char *name);

#endif
