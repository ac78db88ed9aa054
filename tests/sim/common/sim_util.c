/* Memory, buffers, clocks and JSON helpers of the simulators. */
#include "sim_util.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SEOUL_OFFSET_MS (9LL * 3600 * 1000)
#define FILE_MAX        (64L * 1024 * 1024)

void sim_die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(70);
}

void *sim_alloc(size_t size)
{
    void *p = calloc(1, size ? size : 1);

    if (!p)
        sim_die("out of memory (%zu bytes)", size);
    return p;
}

void *sim_realloc(void *p, size_t size)
{
    void *q = realloc(p, size ? size : 1);

    if (!q)
        sim_die("out of memory (%zu bytes)", size);
    return q;
}

char *sim_strdup(const char *s)
{
    char *copy;

    if (!s)
        return NULL;
    copy = strdup(s);
    if (!copy)
        sim_die("out of memory");
    return copy;
}

void sim_copy(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text ? text : "");
}

static void reserve(struct sim_buf *b, size_t more)
{
    size_t want = b->length + more + 1;

    if (want <= b->size)
        return;
    if (want < 2 * b->size)
        want = 2 * b->size;
    if (want < 256)
        want = 256;
    b->data = sim_realloc(b->data, want);
    b->size = want;
}

void sim_buf_add(struct sim_buf *b, const void *bytes, size_t length)
{
    reserve(b, length);
    if (length)
        memcpy(b->data + b->length, bytes, length);
    b->length += length;
    b->data[b->length] = '\0';
}

void sim_buf_str(struct sim_buf *b, const char *text)
{
    sim_buf_add(b, text, strlen(text));
}

void sim_buf_fmt(struct sim_buf *b, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0)
        sim_die("cannot format text");
    reserve(b, (size_t)n);
    va_start(args, format);
    vsnprintf(b->data + b->length, (size_t)n + 1, format, args);
    va_end(args);
    b->length += (size_t)n;
}

void sim_buf_json(struct sim_buf *b, const char *text)
{
    const char *start = text;

    if (!text) {
        sim_buf_str(b, "null");
        return;
    }
    sim_buf_add(b, "\"", 1);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        sim_buf_add(b, start, (size_t)(text - start));
        start = text + 1;
        if (c == '"' || c == '\\')
            sim_buf_fmt(b, "\\%c", c);
        else
            sim_buf_fmt(b, "\\u%04x", c);
    }
    sim_buf_add(b, start, (size_t)(text - start));
    sim_buf_add(b, "\"", 1);
}

void sim_buf_free(struct sim_buf *b)
{
    free(b->data);
    *b = (struct sim_buf){0};
}

static int64_t clock_ms(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t sim_mono_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}

int64_t sim_wall_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

static void broken_down(int64_t wall_ms, struct tm *tm)
{
    time_t seconds = (time_t)(wall_ms / 1000);

    gmtime_r(&seconds, tm);
}

const char *sim_time_utc(char out[SIM_TIME_SIZE], int64_t wall_ms)
{
    struct tm tm;
    size_t n;

    broken_down(wall_ms, &tm);
    n = strftime(out, SIM_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, SIM_TIME_SIZE - n, ".%03dZ", (int)(wall_ms % 1000));
    return out;
}

const char *sim_time_seoul(char out[SIM_TIME_SIZE], int64_t wall_ms)
{
    struct tm tm;
    size_t n;

    broken_down(wall_ms + SEOUL_OFFSET_MS, &tm);
    n = strftime(out, SIM_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, SIM_TIME_SIZE - n, ".%03d", (int)(wall_ms % 1000));
    return out;
}

const char *sim_date_seoul(char out[SIM_TIME_SIZE], int64_t wall_ms)
{
    struct tm tm;

    broken_down(wall_ms + SEOUL_OFFSET_MS, &tm);
    strftime(out, SIM_TIME_SIZE, "%Y%m%d", &tm);
    return out;
}

const char *sim_json_text(const cJSON *object, const char *name, const char *fallback)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsString(item) ? item->valuestring : fallback;
}

double sim_json_number(const cJSON *object, const char *name, double fallback)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsNumber(item) ? item->valuedouble : fallback;
}

bool sim_json_bool(const cJSON *object, const char *name, bool fallback)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsBool(item) ? cJSON_IsTrue(item) : fallback;
}

cJSON *sim_json_load(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct sim_buf text = {0};
    char piece[8192];
    size_t n;
    cJSON *tree;

    if (!f)
        sim_die("cannot open data file %s", path);
    while ((n = fread(piece, 1, sizeof piece, f)) > 0 && text.length < FILE_MAX)
        sim_buf_add(&text, piece, n);
    fclose(f);
    tree = text.data ? cJSON_Parse(text.data) : NULL;
    if (!tree) {
        const char *at = cJSON_GetErrorPtr();

        sim_die("data file %s is not JSON, near: %.40s", path, at ? at : "its beginning");
    }
    sim_buf_free(&text);
    return tree;
}

void sim_json_raw(cJSON *tree)
{
    cJSON *child = tree ? tree->child : NULL;

    while (child) {
        cJSON *next = child->next;
        const char *raw = cJSON_IsObject(child) ? sim_json_text(child, "$raw", NULL) : NULL;

        if (raw) {
            cJSON *with = cJSON_CreateRaw(raw);

            if (!with)
                sim_die("out of memory");
            if (child->string) {
                with->string = sim_strdup(child->string);
            }
            cJSON_ReplaceItemViaPointer(tree, child, with);
        } else {
            sim_json_raw(child);
        }
        child = next;
    }
}

double sim_random(void)
{
    static uint64_t state;

    if (!state)
        state = (uint64_t)clock_ms(CLOCK_REALTIME) * 2654435761u + 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)(state >> 11) / 9007199254740992.0;
}
