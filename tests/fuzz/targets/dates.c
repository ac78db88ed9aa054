/* Dates and times (CONTRACT.md 1, Times): what is read is a moment that exists, printed it is read as the same, and the
 * C library agrees on it. */
#include "fuzz/fuzz.h"

#include "pcs/core/clock.h"

#include <ctype.h>
#include <time.h>

#define DAY_MS   INT64_C(86400000)
#define SEOUL_MS (9 * 60 * 60 * INT64_C(1000))

static int64_t number(const char *text, size_t at, size_t digits)
{
    int64_t n = 0;
    for (size_t i = at; i < at + digits; i++) {
        FUZZ_CHECK(isdigit((unsigned char)text[i]));
        n = n * 10 + (text[i] - '0');
    }
    return n;
}

/* Midnight UTC of the day that the text begins with, by the C library. */
static int64_t day_of(const char *text)
{
    struct tm tm = {.tm_year = (int)number(text, 0, 4) - 1900,
                    .tm_mon = (int)number(text, 5, 2) - 1,
                    .tm_mday = (int)number(text, 8, 2)};
    int month = tm.tm_mon, day = tm.tm_mday;
    int64_t s = timegm(&tm);
    FUZZ_CHECK(tm.tm_mon == month && tm.tm_mday == day); /* it did not have to be put right: the day exists */
    return s * 1000;
}

static void check_date(const char *text, size_t len)
{
    int64_t ms;
    char out[CLOCK_DATE_LEN + 1];
    if (!clock_parse_seoul_date(text, len, &ms)) {
        return;
    }
    FUZZ_CHECK(len == CLOCK_DATE_LEN && ms == day_of(text) - SEOUL_MS && clock_seoul_midnight(ms) == ms);
    clock_format_seoul_date(out, ms);
    FUZZ_CHECK(memcmp(out, text, len) == 0);
}

static void check_time(const char *text, size_t len)
{
    int64_t ms, again;
    char out[CLOCK_RFC3339_LEN + 1];
    if (!clock_parse_rfc3339(text, len, &ms)) {
        return;
    }
    FUZZ_CHECK(len >= 16);
    int64_t day = day_of(text), clock = number(text, 11, 2) * 3600000 + number(text, 14, 2) * 60000;
    /* up to a minute of seconds, and zones of a day at the most */
    FUZZ_CHECK(ms >= day + clock - DAY_MS && ms <= day + clock + 61000 + DAY_MS);
    if (day < -62135596800000 || day > INT64_C(253402214400000) - 2 * DAY_MS) {
        return; /* the zone may lead out of the years that can be printed */
    }
    clock_format_rfc3339(out, ms);
    FUZZ_CHECK(clock_parse_rfc3339(out, strlen(out), &again) && again == ms);
    FUZZ_CHECK(clock_seoul_midnight(ms) <= ms && ms - clock_seoul_midnight(ms) < DAY_MS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_bytes(data, size);
    check_date(text, size);
    check_time(text, size);
    free(text);
    return 0;
}
