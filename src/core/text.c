/* text.c - short texts into memory of a fixed size. */
#include "pcs/core/text.h"

#include <string.h>

size_t text_join(char *out, size_t size, const char *first, const char *second)
{
    size_t head = text_copy(out, size, first);
    return head < size ? head + text_copy(out + head, size - head, second) : head + strlen(second);
}

size_t text_copy(char *out, size_t size, const char *text)
{
    size_t len = strlen(text), fits = len < size ? len : size - 1;
    memcpy(out, text, fits);
    out[fits] = '\0';
    return len;
}

const char *text_i64(char room[TEXT_I64_SIZE], int64_t n)
{
    char *p = room + TEXT_I64_SIZE - 1;
    uint64_t u = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    *p = '\0';
    do {
        *--p = (char)('0' + u % 10);
        u /= 10;
    } while (u);
    if (n < 0) {
        *--p = '-';
    }
    return p;
}
