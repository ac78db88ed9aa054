/* clock.c - monotonic and wall time, RFC 3339, Seoul days. */
#include "pcs/core/clock.h"

#include <string.h>
#include <time.h>

#define SEOUL_OFFSET_MS (9 * 3600 * INT64_C(1000))
#define DAY_MS          (86400 * INT64_C(1000))

uint64_t clock_mono_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

int64_t clock_wall_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a % b < 0) != (b < 0));
}

/* Days since 1970-01-01 to a civil date and back: the proleptic Gregorian calendar in eras of 400 years. */
static void civil_from_days(int64_t days, int *year, int *month, int *day)
{
    days += 719468;
    int64_t era = floor_div(days, 146097);
    int64_t doe = days - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *day = (int)(doy - (153 * mp + 2) / 5 + 1);
    *month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *year = (int)(yoe + era * 400 + (*month <= 2));
}

static int64_t days_from_civil(int year, int month, int day)
{
    int64_t y = year - (month <= 2);
    int64_t era = floor_div(y, 400);
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

/* The times that have a text: whole days within them, so that no sum below runs over. */
#define YEAR_0_MS    (-62167219200000) /* 0000-01-01T00:00:00Z */
#define YEAR_9999_MS 253402300799999   /* 9999-12-31T23:59:59.999Z */

static int64_t clamp(int64_t unix_ms)
{
    return unix_ms < YEAR_0_MS ? YEAR_0_MS : unix_ms > YEAR_9999_MS ? YEAR_9999_MS : unix_ms;
}

static char *put_digits(char *p, int value, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        p[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return p + digits;
}

static char *put_date(char *p, int64_t days)
{
    int year, month, day;
    civil_from_days(days, &year, &month, &day);
    p = put_digits(p, year, 4);
    *p++ = '-';
    p = put_digits(p, month, 2);
    *p++ = '-';
    return put_digits(p, day, 2);
}

char *clock_format_rfc3339(char out[CLOCK_RFC3339_LEN + 1], int64_t unix_ms)
{
    unix_ms = clamp(unix_ms);
    int64_t days = floor_div(unix_ms, DAY_MS);
    int ms = (int)(unix_ms - days * DAY_MS);
    char *p = put_date(out, days);
    *p++ = 'T';
    p = put_digits(p, ms / 3600000, 2);
    *p++ = ':';
    p = put_digits(p, ms / 60000 % 60, 2);
    *p++ = ':';
    p = put_digits(p, ms / 1000 % 60, 2);
    *p++ = '.';
    p = put_digits(p, ms % 1000, 3);
    *p++ = 'Z';
    *p = '\0';
    return out;
}

char *clock_format_seoul_date(char out[CLOCK_DATE_LEN + 1], int64_t unix_ms)
{
    *put_date(out, floor_div(clamp(clamp(unix_ms) + SEOUL_OFFSET_MS), DAY_MS)) = '\0';
    return out;
}

int64_t clock_seoul_midnight(int64_t unix_ms)
{
    return floor_div(clamp(unix_ms) + SEOUL_OFFSET_MS, DAY_MS) * DAY_MS - SEOUL_OFFSET_MS;
}

/* Reads exactly n digits. */
static bool take_digits(const char **p, const char *end, int n, int *out)
{
    int value = 0;
    if (end - *p < n) {
        return false;
    }
    for (int i = 0; i < n; i++) {
        char c = (*p)[i];
        if (c < '0' || c > '9') {
            return false;
        }
        value = value * 10 + (c - '0');
    }
    *p += n;
    *out = value;
    return true;
}

static bool take_char(const char **p, const char *end, char c)
{
    if (*p == end || **p != c) {
        return false;
    }
    ++*p;
    return true;
}

static bool take_date(const char **p, const char *end, int64_t *days)
{
    static const int month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day;
    if (!take_digits(p, end, 4, &year) || !take_char(p, end, '-') || !take_digits(p, end, 2, &month) ||
        !take_char(p, end, '-') || !take_digits(p, end, 2, &day)) {
        return false;
    }
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (month < 1 || month > 12 || day < 1 || day > month_days[month - 1] ||
        (month == 2 && day == 29 && !leap)) {
        return false;
    }
    *days = days_from_civil(year, month, day);
    return true;
}

bool clock_parse_seoul_date(const char *text, size_t len, int64_t *start_ms)
{
    const char *p = text, *end = text + len;
    int64_t days;
    if (!take_date(&p, end, &days) || p != end) {
        return false;
    }
    *start_ms = days * DAY_MS - SEOUL_OFFSET_MS;
    return true;
}

/* ".123456" to milliseconds; further digits are cut. */
static bool take_fraction(const char **p, const char *end, int *ms)
{
    *ms = 0;
    if (*p == end || (**p != '.' && **p != ',')) {
        return true;
    }
    ++*p;
    int scale = 100, digits = 0;
    while (*p < end && **p >= '0' && **p <= '9') {
        *ms += (**p - '0') * scale;
        scale /= 10;
        digits++;
        ++*p;
    }
    return digits > 0;
}

static bool take_zone(const char **p, const char *end, int64_t *offset_ms)
{
    if (*p == end) {
        *offset_ms = SEOUL_OFFSET_MS;
        return true;
    }
    char sign = *(*p)++;
    if (sign == 'Z' || sign == 'z') {
        *offset_ms = 0;
        return true;
    }
    int hours, minutes;
    if ((sign != '+' && sign != '-') || !take_digits(p, end, 2, &hours)) {
        return false;
    }
    take_char(p, end, ':');
    if (!take_digits(p, end, 2, &minutes) || hours > 23 || minutes > 59) {
        return false;
    }
    *offset_ms = (hours * 60 + minutes) * INT64_C(60000) * (sign == '-' ? -1 : 1);
    return true;
}

bool clock_parse_rfc3339(const char *text, size_t len, int64_t *unix_ms)
{
    const char *p = text, *end = text + len;
    int64_t days, offset;
    int hour, minute, second, ms;
    if (!take_date(&p, end, &days) || p == end || (*p != 'T' && *p != 't' && *p != ' ')) {
        return false;
    }
    p++;
    if (!take_digits(&p, end, 2, &hour) || !take_char(&p, end, ':') || !take_digits(&p, end, 2, &minute)) {
        return false;
    }
    second = 0;
    ms = 0;
    if (take_char(&p, end, ':') && (!take_digits(&p, end, 2, &second) || !take_fraction(&p, end, &ms))) {
        return false;
    }
    if (hour > 23 || minute > 59 || second > 60 || !take_zone(&p, end, &offset) || p != end) {
        return false;
    }
    *unix_ms = days * DAY_MS + hour * INT64_C(3600000) + minute * INT64_C(60000) + second * INT64_C(1000) +
               ms - offset;
    return true;
}
