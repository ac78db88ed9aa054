/* negotiate.c - reading Accept, Accept-Language, Content-Type and Prefer (RFC 9110 12.5, RFC 7240). */
#include "http/internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct item {
    const char *name; /* the element up to its parameters, blanks removed */
    size_t len;
    int q; /* thousandths; 1000 when there is none */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* "q=0.8" to 800; anything unreadable counts as 0. */
static int parse_q(const char *p, const char *end)
{
    int value = 0, scale = 1000;
    if (p == end || (*p != '0' && *p != '1')) {
        return 0;
    }
    value = (*p++ - '0') * 1000;
    if (p < end && *p == '.') {
        for (p++; p < end && *p >= '0' && *p <= '9' && scale > 1; p++) {
            scale /= 10;
            value += (*p - '0') * scale;
        }
    }
    return value > 1000 ? 1000 : value;
}

/* The next element of a comma-separated list; commas inside quotes do not count. */
static bool next_item(const char **cursor, struct item *item)
{
    const char *p = *cursor;
    while (is_blank(*p) || *p == ',') {
        p++;
    }
    if (!*p) {
        return false;
    }
    const char *end = p;
    bool quoted = false;
    while (*end && (quoted || *end != ',')) {
        if (quoted && *end == '\\' && end[1]) {
            end++;
        } else if (*end == '"') {
            quoted = !quoted;
        }
        end++;
    }
    *cursor = end;
    item->name = p;
    item->q = 1000;
    while (p < end && *p != ';' && !is_blank(*p)) {
        p++;
    }
    item->len = (size_t)(p - item->name);
    while (p < end) {
        while (p < end && (is_blank(*p) || *p == ';')) {
            p++;
        }
        if (end - p > 2 && (*p == 'q' || *p == 'Q') && p[1] == '=') {
            item->q = parse_q(p + 2, end);
        }
        while (p < end && *p != ';') {
            p++;
        }
    }
    return true;
}

static bool item_is(const struct item *item, const char *name)
{
    return strlen(name) == item->len && strncasecmp(item->name, name, item->len) == 0;
}

/* "en" or "en-…" */
static bool language_is(const struct item *item, const char *language)
{
    return item->len >= 2 && strncasecmp(item->name, language, 2) == 0 &&
           (item->len == 2 || item->name[2] == '-');
}

/* English when it is asked for and not behind Korean; Korean is the default (CONTRACT.md 1). */
bool negotiate_english(const char *accept_language)
{
    int en = 0, ko = 0;
    bool en_first = false;
    struct item item;
    while (accept_language && next_item(&accept_language, &item)) {
        if (language_is(&item, "en") && item.q > en) {
            en = item.q;
            en_first = ko == 0;
        } else if (language_is(&item, "ko") && item.q > ko) {
            ko = item.q;
        }
    }
    return en > ko || (en > 0 && en == ko && en_first);
}

/* problem+json must be named; a client that likes plain JSON better gets that. */
bool negotiate_problem_json(const char *accept)
{
    int problem = 0, json = 0;
    struct item item;
    while (accept && next_item(&accept, &item)) {
        if (item_is(&item, "application/problem+json")) {
            problem = item.q;
        } else if (item_is(&item, "application/json")) {
            json = item.q;
        }
    }
    return problem > 0 && problem >= json;
}

bool negotiate_json_body(const char *content_type)
{
    static const char json[] = "application/json";
    if (!content_type || strncasecmp(content_type, json, sizeof json - 1) != 0) {
        return false;
    }
    const char *p = content_type + sizeof json - 1;
    while (is_blank(*p)) {
        p++;
    }
    return *p == '\0' || *p == ';';
}

bool negotiate_prefers(const char *prefer, const char *preference)
{
    size_t len = strlen(preference);
    struct item item;
    while (prefer && next_item(&prefer, &item)) {
        const char *equals = memchr(item.name, '=', item.len);
        size_t name_len = equals ? (size_t)(equals - item.name) : item.len;
        if (name_len == len && strncasecmp(item.name, preference, len) == 0) {
            return true;
        }
    }
    return false;
}
