/* id.h - identifiers: UUIDv7 for changes, W3C trace context, request ids, hashes.
 *
 * Randomness comes from getrandom(2), seeding a per-thread generator where noted. Thread-safe. */
#ifndef PCS_CORE_ID_H
#define PCS_CORE_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UUID_LEN        36
#define REQUEST_ID_MAX  128
#define TRACEPARENT_LEN 55
#define SHA256_HEX_LEN  64

/* A UUIDv7 (RFC 9562) of now, lower case, NUL-terminated; ascending within a thread. Returns out. */
char *uuid_v7(char out[UUID_LEN + 1]);
/* Any RFC 9562 text form, either case; writes lower case. */
bool uuid_parse(const char *text, size_t len, char out[UUID_LEN + 1]);
/* The Unix milliseconds in a UUIDv7; false when it is of another version. */
bool uuid_v7_time(const char *uuid, int64_t *unix_ms);

/* ^[A-Za-z0-9._:-]{1,128}$ (CONTRACT.md 1, X-Request-ID). */
bool request_id_valid(const char *text, size_t len);

/* W3C trace context. A child of *in* (a valid traceparent) with a new span id, or a new trace when in is NULL
 * or invalid. out is NUL-terminated, version 00. */
void traceparent_child(const char *in, size_t in_len, char out[TRACEPARENT_LEN + 1]);

/* Random lower-case hex digits. */
void random_hex(char *out, size_t digits);
uint64_t random_u64(void); /* per-thread generator, for jitter and span ids; not for secrets */

/* Hex SHA-256 of the concatenated parts, each preceded by its length, so that no two lists collide. False
 * when libcrypto has no memory. */
struct id_part {
    const void *data;
    size_t len;
};
__attribute__((warn_unused_result)) bool sha256_parts(char out[SHA256_HEX_LEN + 1],
                                                      const struct id_part *parts, size_t count);

#endif
