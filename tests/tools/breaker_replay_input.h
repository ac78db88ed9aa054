/* breaker-replay: state of a run, and reading its file. Included by breaker-replay.c only. */
#ifndef TESTS_BREAKER_REPLAY_INPUT_H
#define TESTS_BREAKER_REPLAY_INPUT_H

#include <cjson/cJSON.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pcs/core/breaker.h"

#define MAX_FILE     (64L * 1024 * 1024)
#define MAX_MS       INT64_C(1000000000000)
#define MESSAGE_SIZE 256

/* An acquire that was permitted and is neither completed nor released yet. */
struct held {
    const char *id; /* NULL: without id */
    struct breaker_permit permit;
    struct held *next;
};

struct replay {
    struct breaker *breaker;
    uint64_t now_ns;
    int64_t slow_ms;
    uint64_t events[BREAKER_EVENT_COUNT];
    struct held *held; /* oldest first */
    char why[MESSAGE_SIZE];
};

__attribute__((format(printf, 2, 3))) static bool fail(struct replay *r, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(r->why, sizeof r->why, format, args);
    va_end(args);
    return false;
}

/* A whole number, or a failure that names the key. */
static bool get_int(struct replay *r, const cJSON *object, const char *key, int64_t *out)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    if (!cJSON_IsNumber(item) || floor(item->valuedouble) != item->valuedouble ||
        fabs(item->valuedouble) > 9e15)
        return fail(r, "\"%s\" is missing or no whole number", key);
    *out = (int64_t)item->valuedouble;
    return true;
}

static bool get_ms(struct replay *r, const cJSON *object, const char *key, int64_t *out)
{
    if (!get_int(r, object, key, out))
        return false;
    return (*out >= 0 && *out <= MAX_MS) || fail(r, "\"%s\" is out of range", key);
}

static bool get_double(struct replay *r, const cJSON *object, const char *key, double *out)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    if (!cJSON_IsNumber(item))
        return fail(r, "\"%s\" is missing or no number", key);
    *out = item->valuedouble;
    return true;
}

static bool has(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key) != NULL;
}

static const char *get_text(const cJSON *object, const char *key)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
}

static bool get_state(struct replay *r, const cJSON *object, const char *key, enum breaker_state *out)
{
    const char *name = get_text(object, key);

    return (name != NULL && breaker_state_parse(name, out)) ||
           fail(r, "\"%s\" is missing or no state: %s", key, name != NULL ? name : "-");
}

/* An optional boolean; false with r->why set if it is there and is none. */
static bool get_bool(struct replay *r, const cJSON *object, const char *key, bool absent, bool *out)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    *out = item != NULL ? cJSON_IsTrue(item) : absent;
    return item == NULL || cJSON_IsBool(item) || fail(r, "\"%s\" is no boolean", key);
}

/* Every key must be one of these: an unknown one may change the meaning of the rest. */
static bool only_keys(struct replay *r, const cJSON *object, const char *const *keys, size_t n)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, object)
    {
        size_t i = 0;
        while (i < n && strcmp(item->string, keys[i]) != 0)
            i++;
        if (i == n)
            return fail(r, "unknown key \"%s\"", item->string);
    }
    return true;
}

/* The whole file, NUL-terminated, or NULL with a message printed. */
static char *read_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    char *text = NULL;
    long length = -1;

    if (f == NULL) {
        perror(path);
        return NULL;
    }
    if (fseek(f, 0, SEEK_END) == 0)
        length = ftell(f);
    rewind(f);
    if (length < 0 || length > MAX_FILE)
        fprintf(stderr, "%s: cannot be read, or is over %ld bytes\n", path, MAX_FILE);
    else if ((text = malloc((size_t)length + 1)) == NULL)
        fprintf(stderr, "%s: out of memory\n", path);
    else if (fread(text, 1, (size_t)length, f) != (size_t)length) {
        fprintf(stderr, "%s: cannot be read\n", path);
        free(text);
        text = NULL;
    } else {
        text[length] = '\0';
        *size = (size_t)length;
    }
    fclose(f);
    return text;
}

static cJSON *load(const char *path)
{
    size_t size = 0;
    char *text = read_file(path, &size);
    const char *end = NULL;

    if (text == NULL)
        return NULL;
    cJSON *json = cJSON_ParseWithLengthOpts(text, size + 1, &end, true);
    if (json == NULL)
        fprintf(stderr, "%s: no JSON, or cut short, at byte %zu\n", path,
                end != NULL ? (size_t)(end - text) : 0);
    else if (!cJSON_IsArray(json)) {
        fprintf(stderr, "%s: must hold an array of vectors\n", path);
        cJSON_Delete(json);
        json = NULL;
    }
    free(text);
    return json;
}

#endif
