/* base64url.h - RFC 4648 5 without padding, strict: one text for one value. */
#ifndef IDENTITY_BASE64URL_H
#define IDENTITY_BASE64URL_H

#include <stdbool.h>
#include <stddef.h>

#define BASE64URL_DECODED_MAX(len) ((len) / 4 * 3 + 3)

/* Refuses padding, white space, other alphabets, an impossible length and non-zero unused bits, so that a
 * token has exactly one spelling. False also when out (size bytes) is too small. *out_len: bytes written. */
bool base64url_decode(const char *text, size_t len, unsigned char *out, size_t size, size_t *out_len);

#endif
