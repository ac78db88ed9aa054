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

#define JSON_DEPTH_MAX 32

struct json_limits {
    size_t max_bytes;      /* whole text */
    unsigned max_depth;    /* <= JSON_DEPTH_MAX */
    unsigned max_members;  /* members of one object (duplicate detection) */
    bool allow_duplicates; /* false for clients; KOS's bodies are judged the same */
};

struct json_error {
    size_t offset; /* byte at which it went wrong */
    unsigned line, column;
    const char *reason; /* static text */
};

/* RFC 8259, one pass, nothing allocated for ordinary texts: UTF-8, grammar of numbers and escapes, no lone
 * surrogates, no \u0000, no duplicate member, depth, end of input, no byte order mark. */
bool json_check(const char *text, size_t len, const struct json_limits *limits, struct json_error *error);
/* json_check(), then cJSON_ParseWithLength. NULL with *error filled. The caller frees with cJSON_Delete(). */
cJSON *json_parse(const char *text, size_t len, const struct json_limits *limits, struct json_error *error);

/* Typed reading; member names are case-sensitive. All return false/NULL when the member is absent, null or of
 * another type, and leave *out alone. */
const char *json_text(const cJSON *object, const char *name);
bool json_bool(const cJSON *object, const char *name, bool *out);
/* An exact integer |n| <= 2^53. */
bool json_int(const cJSON *object, const char *name, int64_t *out);
const cJSON *json_object(const cJSON *object, const char *name);
const cJSON *json_array(const cJSON *object, const char *name);

#endif
