/* json_plain.h - which bytes of a text JSON writes, and reads, as they are: what buf.c and json_check.c step over. */
#ifndef CORE_JSON_PLAIN_H
#define CORE_JSON_PLAIN_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* So many bytes from p on stand for themselves, of left ones: no control, '"', '\\', DEL, and all ASCII. */
static inline size_t json_plain(const unsigned char *p, size_t left)
{
    size_t n = 0;
    /* eight at a time: in each byte the top bit is set where the byte is not plain. A borrow may mark a byte above
     * one that is marked, so only the lowest mark, the first byte, is to be believed. */
    for (; left - n >= 8; n += 8) {
        const uint64_t ones = 0x0101010101010101U, tops = 0x8080808080808080U;
        uint64_t w;
        memcpy(&w, p + n, sizeof w);
        w = le64toh(w);
        uint64_t quote = w ^ ones * '"', back = w ^ ones * '\\', del = w ^ ones * 0x7F;
        uint64_t marks = ((w - ones * 0x20) | (quote - ones) | (back - ones) | (del - ones) | w) & tops;
        if (marks) {
            return n + (size_t)__builtin_ctzll(marks) / 8;
        }
    }
    while (n < left && p[n] >= 0x20 && p[n] < 0x7F && p[n] != '"' && p[n] != '\\') {
        n++;
    }
    return n;
}

#endif
