/* log.c - one JSON line per event. */
#include "pcs/core/log.h"

#include "pcs/core/buf.h"
#include "pcs/core/clock.h"

#include "core/log_sink.h"

#include <stdatomic.h>
#include <string.h>
#include <strings.h>

#define VALUE_MAX  2048
#define LINE_MAX_  16384
#define BUFFER_MAX 65536

static const char *const level_names[] = {"trace", "debug", "info", "warn", "error", "off"};

static _Atomic int threshold = LOG_LEVEL_INFO;

static _Thread_local struct {
    struct buf lines;
    bool buffered;
    bool ready;
    int64_t second;                    /* the second that stamp shows */
    char stamp[CLOCK_RFC3339_LEN + 1]; /* formatted once a second, milliseconds patched in */
} mine;

enum log_level log_threshold(void)
{
    return (enum log_level)atomic_load_explicit(&threshold, memory_order_relaxed);
}

void log_set_threshold(enum log_level level)
{
    atomic_store(&threshold, level);
}

bool log_level_parse(const char *name, enum log_level *level)
{
    for (int i = 0; i <= LOG_LEVEL_OFF; i++) {
        if (strcasecmp(name, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

void log_set_fd(int fd)
{
    log_sink_set_fd(fd);
}

static void tell_dropped(uint64_t lines)
{
    if (lines) {
        log_warn("log.dropped", log_int("lines", lines),
                 log_str("reason", "nobody read the log, or it could not be written"));
    }
}

void log_flush(void)
{
    struct buf *b = &mine.lines;
    if (!b->len && !log_sink_behind()) {
        return;
    }
    uint64_t dropped = log_sink_put(b->data, b->len);
    buf_reset(b);
    tell_dropped(dropped);
}

void log_drain(unsigned wait_ms)
{
    log_flush();
    tell_dropped(log_sink_drain(wait_ms));
    log_flush();
}

uint64_t log_dropped(void)
{
    return log_sink_dropped();
}

void log_thread_buffered(bool on)
{
    if (!on && mine.ready) {
        log_flush();
        buf_free(&mine.lines);
        mine.ready = false;
    }
    mine.buffered = on;
}

static const char *timestamp(void)
{
    int64_t now = clock_wall_ms();
    if (now / 1000 != mine.second || !mine.stamp[0]) {
        mine.second = now / 1000;
        clock_format_rfc3339(mine.stamp, now);
    } else {
        int ms = (int)(now % 1000);
        mine.stamp[20] = (char)('0' + ms / 100);
        mine.stamp[21] = (char)('0' + ms / 10 % 10);
        mine.stamp[22] = (char)('0' + ms % 10);
    }
    return mine.stamp;
}

/* 010****5678: the first three and the last four digits; anything shorter is hidden whole. */
static void put_masked_line(struct buf *b, const char *name, const char *line)
{
    size_t len = strlen(line);
    char masked[12] = "010****0000";
    if (len != 11) {
        buf_json_str(b, name, "***");
        return;
    }
    memcpy(masked, line, 3);
    memcpy(masked + 7, line + 7, 4);
    buf_json_strn(b, name, masked, 11);
}

static void put_field(struct buf *b, const struct log_field *f)
{
    switch (f->kind) {
    case LOG_KIND_STR:
        if (f->text) {
            buf_json_strn(b, f->name, f->text, strnlen(f->text, VALUE_MAX));
        }
        break;
    case LOG_KIND_LINE:
        if (f->text) {
            put_masked_line(b, f->name, f->text);
        }
        break;
    case LOG_KIND_INT:
        buf_json_int(b, f->name, f->number);
        break;
    case LOG_KIND_BOOL:
        buf_json_bool(b, f->name, f->number != 0);
        break;
    case LOG_KIND_MS: {
        char fraction[4];
        int64_t us = f->number / 1000;
        buf_json_int(b, f->name, us / 1000);
        fraction[0] = '.';
        fraction[1] = (char)('0' + us % 1000 / 100);
        fraction[2] = (char)('0' + us % 100 / 10);
        fraction[3] = (char)('0' + us % 10);
        buf_put(b, fraction, sizeof fraction);
        break;
    }
    case LOG_KIND_NONE:
        break;
    }
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    struct buf *b = &mine.lines;
    if (!mine.ready) {
        buf_init(b, BUFFER_MAX);
        mine.ready = true;
    }
    if (b->len > BUFFER_MAX - LINE_MAX_) {
        log_flush();
    }
    size_t start = b->len;
    buf_lit(b, "{\"time\":\"");
    buf_put(b, timestamp(), CLOCK_RFC3339_LEN);
    buf_lit(b, "\",\"level\":\"");
    buf_puts(b, level_names[level]);
    buf_lit(b, "\",\"event\":\"");
    buf_puts(b, event);
    buf_putc(b, '"');
    for (const struct log_field *f = fields; f->kind != LOG_KIND_NONE; f++) {
        put_field(b, f);
    }
    buf_lit(b, "}\n");
    if (!buf_ok(b)) { /* no memory or absurdly long: drop this line, keep the ones before it */
        b->failed = false;
        b->len = start;
        if (b->data) {
            b->data[start] = '\0';
        }
    }
    if (!mine.buffered) {
        log_flush();
        buf_free(b);
        mine.ready = false;
    } else if (level == LOG_LEVEL_ERROR) {
        log_flush(); /* it may be the last word of this process */
    }
}
