/* clock.h - time: monotonic for deadlines, wall for what people read.
 *
 * Deadlines and durations use clock_mono_ns() only: a wall-clock step changes nothing (BREAKER.md).
 * Times that leave the process are RFC 3339, UTC, milliseconds; dates are Asia/Seoul, which is UTC+9 all year
 * (CONTRACT.md 1, "Times"). All functions are thread-safe and never fail unless they say so. */
#ifndef PCS_CORE_CLOCK_H
#define PCS_CORE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NS_PER_MS  UINT64_C(1000000)
#define NS_PER_SEC UINT64_C(1000000000)

#define CLOCK_RFC3339_LEN 24 /* "2026-11-23T00:39:33.123Z" without the NUL */
#define CLOCK_DATE_LEN    10 /* "2026-11-23" */

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t clock_mono_ns(void);
/* Milliseconds since the Unix epoch, UTC. */
int64_t clock_wall_ms(void);

/* Writes "yyyy-MM-ddTHH:mm:ss.SSSZ" and a NUL. What lies outside the years 0000..9999 becomes their
 * first or last moment. Returns out. */
char *clock_format_rfc3339(char out[CLOCK_RFC3339_LEN + 1], int64_t unix_ms);
/* Writes the day in Seoul, "yyyy-MM-dd" and a NUL. Returns out. */
char *clock_format_seoul_date(char out[CLOCK_DATE_LEN + 1], int64_t unix_ms);

/* Reads "yyyy-MM-dd" strictly (existing days only). *start_ms = that day's midnight in Seoul. */
bool clock_parse_seoul_date(const char *text, size_t len, int64_t *start_ms);
/* Reads RFC 3339, 'T' or ' ', fraction of any length, zone "Z"/"+hh:mm"/"-hh:mm"; without zone it is Seoul's
 * (CONTRACT.md 1 and 2). False when it is none. */
bool clock_parse_rfc3339(const char *text, size_t len, int64_t *unix_ms);
/* Midnight in Seoul of the day that unix_ms falls on. */
int64_t clock_seoul_midnight(int64_t unix_ms);

#endif
