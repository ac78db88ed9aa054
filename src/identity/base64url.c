/* Strict base64url. */
#include "identity/base64url.h"

#include <stdint.h>

static int digit(unsigned char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '-')
        return 62;
    return c == '_' ? 63 : -1;
}

bool base64url_decode(const char *text, size_t len, unsigned char *out, size_t size, size_t *out_len)
{
    size_t whole = len / 4 * 3 + (len % 4 ? len % 4 - 1 : 0), n = 0;
    uint32_t bits = 0;
    unsigned held = 0;

    if (len % 4 == 1 || whole > size)
        return false;
    for (size_t i = 0; i < len; i++) {
        int d = digit((unsigned char)text[i]);
        if (d < 0)
            return false;
        bits = bits << 6 | (uint32_t)d;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[n++] = (unsigned char)(bits >> held);
        }
    }
    if (bits & ((1u << held) - 1))
        return false;
    *out_len = n;
    return true;
}
