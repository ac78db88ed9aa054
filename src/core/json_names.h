/* json_names.h - private to json_check.c: member names and their order. */
#ifndef CORE_JSON_NAMES_H
#define CORE_JSON_NAMES_H

#include <stdbool.h>
#include <stdint.h>

/* One member name as it stands in the text, between its quotes; the scan has accepted it. */
struct json_name {
    const char *text;
    uint32_t len;
    uint32_t hash; /* of the unescaped bytes */
    bool escaped;  /* has a backslash */
};

/* The value of four hex digits at p, -1 when they are none. */
long json_hex4(const char *p, const char *end);
uint32_t json_name_hash(const struct json_name *n);
/* A total order over unescaped names for qsort(): hash, then length, then bytes. 0: the same name. */
int json_name_compare(const void *left, const void *right);

#endif
