/* id.c - UUIDv7, trace context, request ids, hashes. */
#include "pcs/core/id.h"

#include "pcs/core/clock.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static const char hex_digits[] = "0123456789abcdef";

static void fill_random(void *out, size_t len)
{
    unsigned char *p = out;
    while (len) {
        ssize_t n = getrandom(p, len, 0);
        if (n < 0) {
            continue; /* only EINTR can happen for such sizes once the kernel's pool is ready */
        }
        p += n;
        len -= (size_t)n;
    }
}

/* xoshiro256** seeded by the kernel, one a thread: for ids and jitter, not for secrets. */
static _Thread_local uint64_t state[4];

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

uint64_t random_u64(void)
{
    uint64_t *s = state;
    if (!(s[0] | s[1] | s[2] | s[3])) {
        fill_random(s, sizeof state);
    }
    uint64_t result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

void random_hex(char *out, size_t digits)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < digits; i++) {
        if (i % 16 == 0) {
            bits = random_u64();
        }
        out[i] = hex_digits[bits & 15];
        bits >>= 4;
    }
}

char *uuid_v7(char out[UUID_LEN + 1])
{
    static _Thread_local uint64_t last_ms;
    static _Thread_local unsigned sequence; /* rand_a as a counter within a millisecond: ascending ids */
    uint64_t ms = (uint64_t)clock_wall_ms(), tail = random_u64();
    if (ms > last_ms) {
        last_ms = ms;
        sequence = (unsigned)(random_u64() & 0x7FF);
    } else if (++sequence > 0xFFF) {
        last_ms++;
        sequence = 0;
    }
    unsigned char b[16];
    for (int i = 0; i < 6; i++) {
        b[i] = (unsigned char)(last_ms >> (40 - 8 * i));
    }
    b[6] = (unsigned char)(0x70 | sequence >> 8);
    b[7] = (unsigned char)sequence;
    for (int i = 0; i < 8; i++) {
        b[8 + i] = (unsigned char)(tail >> (8 * i));
    }
    b[8] = (unsigned char)(0x80 | (b[8] & 0x3F));
    char *p = out;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *p++ = '-';
        }
        *p++ = hex_digits[b[i] >> 4];
        *p++ = hex_digits[b[i] & 15];
    }
    *p = '\0';
    return out;
}

bool uuid_parse(const char *text, size_t len, char out[UUID_LEN + 1])
{
    if (len != UUID_LEN) {
        return false;
    }
    for (size_t i = 0; i < UUID_LEN; i++) {
        char c = text[i];
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (c != '-') {
                return false;
            }
        } else if (c >= 'A' && c <= 'F') {
            c = (char)(c + ('a' - 'A'));
        } else if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            return false;
        }
        out[i] = c;
    }
    out[UUID_LEN] = '\0';
    return true;
}

bool uuid_v7_time(const char *uuid, int64_t *unix_ms)
{
    char digits[13];
    if (strlen(uuid) != UUID_LEN || uuid[14] != '7') {
        return false;
    }
    memcpy(digits, uuid, 8);
    memcpy(digits + 8, uuid + 9, 4);
    digits[12] = '\0';
    *unix_ms = (int64_t)strtoull(digits, NULL, 16);
    return true;
}

bool request_id_valid(const char *text, size_t len)
{
    if (len == 0 || len > REQUEST_ID_MAX) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
              c == '_' || c == ':' || c == '-')) {
            return false;
        }
    }
    return true;
}

static bool lower_hex(const char *p, size_t n, bool *all_zero)
{
    *all_zero = true;
    for (size_t i = 0; i < n; i++) {
        if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f'))) {
            return false;
        }
        *all_zero &= p[i] == '0';
    }
    return true;
}

/* W3C Trace Context level 1, 3.2: version 00 is exactly 55 characters; a higher version may go on after a
 * '-'. */
static bool traceparent_valid(const char *t, size_t len)
{
    bool zero;
    if (len < TRACEPARENT_LEN || t[2] != '-' || t[35] != '-' || t[52] != '-') {
        return false;
    }
    if (!lower_hex(t, 2, &zero) || (t[0] == 'f' && t[1] == 'f')) {
        return false;
    }
    if (len > TRACEPARENT_LEN && (zero || t[TRACEPARENT_LEN] != '-')) {
        return false;
    }
    if (!lower_hex(t + 3, 32, &zero) || zero) {
        return false;
    }
    if (!lower_hex(t + 36, 16, &zero) || zero) {
        return false;
    }
    return lower_hex(t + 53, 2, &zero);
}

void traceparent_child(const char *in, size_t in_len, char out[TRACEPARENT_LEN + 1])
{
    memcpy(out, "00-", 3);
    if (in && traceparent_valid(in, in_len)) {
        memcpy(out + 3, in + 3, 32);
        memcpy(out + 53, in + 53, 2);
    } else {
        random_hex(out + 3, 32);
        memcpy(out + 53, "01", 2);
    }
    out[35] = '-';
    random_hex(out + 36, 16);
    out[52] = '-';
    out[TRACEPARENT_LEN] = '\0';
}

bool sha256_parts(char out[SHA256_HEX_LEN + 1], const struct id_part *parts, size_t count)
{
    unsigned char digest[SHA256_DIGEST_LENGTH] = {0};
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
    for (size_t i = 0; ok && i < count; i++) {
        uint64_t len = parts[i].len;
        ok = EVP_DigestUpdate(ctx, &len, sizeof len) && EVP_DigestUpdate(ctx, parts[i].data, parts[i].len);
    }
    ok = ok && EVP_DigestFinal_ex(ctx, digest, NULL);
    EVP_MD_CTX_free(ctx);
    if (!ok) {
        return false;
    }
    for (size_t i = 0; i < sizeof digest; i++) {
        out[2 * i] = hex_digits[digest[i] >> 4];
        out[2 * i + 1] = hex_digits[digest[i] & 15];
    }
    out[SHA256_HEX_LEN] = '\0';
    return true;
}
