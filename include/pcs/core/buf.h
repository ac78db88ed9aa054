/* buf.h - a growing byte buffer with a maximum given at construction and a sticky error.
 *
 * Write without checking, ask buf_ok() once at the end. After an error (limit reached, no memory) every
 * further write is a no-op. Owned by one thread. The JSON writers below produce RFC 8259 text; strings are
 * given as UTF-8 and are escaped; invalid UTF-8 becomes U+FFFD, so the output is always valid. */
#ifndef PCS_CORE_BUF_H
#define PCS_CORE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buf {
    char *data; /* NUL-terminated whenever data is not NULL and buf_ok() */
    size_t len, cap, max;
    bool failed;
};

/* max: bytes at the most. Nothing is allocated until the first write. */
void buf_init(struct buf *b, size_t max);
/* Allocates cap bytes at once, for a writer that knows its size. */
void buf_reserve(struct buf *b, size_t cap);
void buf_free(struct buf *b);
void buf_reset(struct buf *b); /* empties, keeps the memory, clears the error */
static inline bool buf_ok(const struct buf *b)
{
    return !b->failed;
}
/* Gives the malloc'd memory to the caller (free()); *len its length. NULL on a sticky error. b is empty then.
 */
char *buf_steal(struct buf *b, size_t *len);

/* buf_room() where there is not yet room: call that one. */
bool buf_grow(struct buf *b, size_t extra);

/* Makes room for extra bytes and a NUL. False: the sticky error. Inline, as is buf_put(): answers and log lines are
 * written in many small pieces of a length known to the compiler. */
static inline bool buf_room(struct buf *b, size_t extra)
{
    return (!b->failed && extra < b->cap - b->len) || buf_grow(b, extra);
}

static inline void buf_put(struct buf *b, const void *data, size_t len)
{
    if (!buf_room(b, len)) {
        return;
    }
    if (len) {
        memcpy(b->data + b->len, data, len);
    }
    b->len += len;
    b->data[b->len] = '\0';
}
static inline void buf_puts(struct buf *b, const char *text)
{
    buf_put(b, text, strlen(text));
}
static inline void buf_putc(struct buf *b, char c)
{
    buf_put(b, &c, 1);
}
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_put_i64(struct buf *b, int64_t n);
#define buf_lit(b, literal) buf_put((b), "" literal, sizeof(literal) - 1)

/* RFC 3629, strictly: what JSON and PostgreSQL take. */
bool utf8_valid(const char *text, size_t len);

/* ---- JSON ----
 * Members are written as buf_json_*(b, "name", value): a comma is put first unless the last byte is '{' or
 * '['. A NULL name writes an array element. */
void buf_json_text(struct buf *b, const char *text,
                   size_t len); /* "escaped" with quotes, no name, no comma */
void buf_json_open(struct buf *b, const char *name, char bracket);    /* '{' or '[' */
void buf_json_close(struct buf *b, char bracket);                     /* '}' or ']' */
void buf_json_str(struct buf *b, const char *name, const char *text); /* NULL text: the member is left out */
void buf_json_strn(struct buf *b, const char *name, const char *text, size_t len);
void buf_json_int(struct buf *b, const char *name, int64_t n);
void buf_json_bool(struct buf *b, const char *name, bool value);
void buf_json_null(struct buf *b, const char *name);
void buf_json_raw(struct buf *b, const char *name, const char *json, size_t len); /* ready-made JSON */
void buf_json_time(struct buf *b, const char *name, int64_t unix_ms);             /* RFC 3339; 0: left out */

#endif
