/* log.h - one JSON line per event on stderr.
 *
 *   log_info("kos.call", log_str("operation", "inquiry"), log_int("milliseconds", 12), log_line("line",
 * line));
 *
 * Every line has time, level, event; the caller adds the rest. Rules (issue "customer's journey", 9): line
 * numbers only through log_line(), which masks them (010****5678); tokens and secrets never. Text values are
 * escaped, so nothing from outside can forge a line, and are cut at 2 KiB. Any thread. A reactor's lines are
 * collected and written once per loop turn, with an error at once; every other thread's are written at once.
 *
 * Never fails, and never waits for whoever reads stderr: up to 1 MiB is kept for a reader that is behind (in order, whole
 * lines), what comes on top is dropped and counted (log_dropped(), and one line "log.dropped" when it reads again). At
 * the end of the process what is kept gets one more second. */
#ifndef PCS_CORE_LOG_H
#define PCS_CORE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level {
    LOG_LEVEL_TRACE,
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_INFO,
    LOG_LEVEL_WARN,
    LOG_LEVEL_ERROR,
    LOG_LEVEL_OFF
};

enum log_kind { LOG_KIND_STR, LOG_KIND_INT, LOG_KIND_BOOL, LOG_KIND_LINE, LOG_KIND_MS, LOG_KIND_NONE };

struct log_field {
    const char *name;
    const char *text; /* LOG_KIND_STR, LOG_KIND_LINE: NULL leaves the member out */
    int64_t number;   /* LOG_KIND_INT, LOG_KIND_BOOL; LOG_KIND_MS: nanoseconds, printed as milliseconds */
    enum log_kind kind;
};

/* clang-format off */
#define log_str(n, v)  (struct log_field){.name = (n), .text = (v), .kind = LOG_KIND_STR}
#define log_int(n, v)  (struct log_field){.name = (n), .number = (int64_t)(v), .kind = LOG_KIND_INT}
#define log_bool(n, v) (struct log_field){.name = (n), .number = (v), .kind = LOG_KIND_BOOL}
#define log_line(n, v) (struct log_field){.name = (n), .text = (v), .kind = LOG_KIND_LINE}
#define log_ms(n, v)   (struct log_field){.name = (n), .number = (int64_t)(v), .kind = LOG_KIND_MS}

#define log_at(level, event, ...) \
    do { if ((level) >= log_threshold()) \
        log_write((level), (event), (const struct log_field[]){__VA_ARGS__ __VA_OPT__(,) {.kind = LOG_KIND_NONE}}); \
    } while (0)
#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...)  log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_error(...) log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
/* clang-format on */

enum log_level log_threshold(void);
void log_set_threshold(enum log_level level); /* any thread, at any time */
/* "trace".."error","off"; false when it is none of them. */
bool log_level_parse(const char *name, enum log_level *level);

/* fields end with one of kind LOG_KIND_NONE. Use the macros. */
void log_write(enum log_level level, const char *event, const struct log_field *fields);

/* Collect this thread's lines until log_flush() (or 64 KiB). */
void log_thread_buffered(bool on);
void log_flush(void);
/* Flushes and gives the reader so long to take what was kept: before _exit() and abort(). exit() does it by itself. */
void log_drain(unsigned wait_ms);
/* Lines that were never written, since the start. Any thread. */
uint64_t log_dropped(void);
/* Where lines go instead of stderr (tests); -1 = stderr. */
void log_set_fd(int fd);

#endif
