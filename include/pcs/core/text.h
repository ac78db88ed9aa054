/* text.h - short texts into memory of a fixed size, where snprintf() would read its format for nothing.
 *
 * Plain functions of their arguments, for any thread. */
#ifndef PCS_CORE_TEXT_H
#define PCS_CORE_TEXT_H

#include <stddef.h>
#include <stdint.h>

#define TEXT_I64_SIZE 21 /* the longest, "-9223372036854775808", and its NUL */

/* first and second, one after the other, into out, NUL-terminated; cut where size (at least 1) ends. Returns the length
 * that was wanted: size or more when it was cut. As snprintf(out, size, "%s%s", first, second). */
size_t text_join(char *out, size_t size, const char *first, const char *second);
/* The same of one text. */
size_t text_copy(char *out, size_t size, const char *text);
/* n in decimal, NUL-terminated, at the end of room. Returns where it begins there. */
const char *text_i64(char room[TEXT_I64_SIZE], int64_t n);

#endif
