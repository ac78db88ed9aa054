/* chain.c - digests and links of the hash chain. */
#include "pcs/journal/chain.h"

#include "pcs/core/buf.h"
#include "pcs/journal/row.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

#define LABEL         "pcs-chain-1:"
#define CANONICAL_MAX ((size_t)512 * 1024) /* a validation of 64 KiB with every byte escaped */

static const struct {
    const char *label, *told;
} parts[CHAIN_PARTS] = {
    [CHAIN_PRODUCT] = {LABEL "product", "products"},
    [CHAIN_CHECK] = {LABEL "check", "validation"},
    [CHAIN_RESULT] = {LABEL "result", "result"},
    [CHAIN_LINE] = {LABEL "line_number", "line_number"},
    [CHAIN_CUSTOMER] = {LABEL "customer_id", "customer_id"},
    [CHAIN_ACTOR] = {LABEL "actor", "actor"},
    [CHAIN_REASON] = {LABEL "failure_reason", "failure_reason"},
};

const char *chain_part_name(enum chain_part part)
{
    return parts[part].told;
}

void chain_row_of(const struct change_record *r, struct chain_row *row)
{
    *row = (struct chain_row){
        .current_code = r->current_code,
        .current_name = r->current_name,
        .target_code = r->target_code,
        .target_name = r->target_name,
        .validation = change_row_validation(r, NULL),
        .validated_at = r->validated_at,
        .status = change_row_status(r),
        .result_code = change_row_result_code(r),
        .result_message = r->result_message,
        .kos_order_number = r->kos_order_number,
        .processed_at = r->processed_at,
        .line = r->line,
        .customer_id = r->customer_id,
        .actor = change_row_actor(r),
        .failure_reason = r->failure_reason,
    };
}

/* ---- fields ---- */

static size_t text_head(unsigned char head[5], const char *text)
{
    size_t len = text ? strlen(text) : 0;
    head[0] = text ? 1 : 0;
    for (int i = 0; i < 4; i++) {
        head[1 + i] = (unsigned char)(len >> (24 - 8 * i));
    }
    return len;
}

static void number_bytes(unsigned char out[9], int64_t n)
{
    uint64_t u = (uint64_t)n;
    out[0] = 2;
    for (int i = 0; i < 8; i++) {
        out[1 + i] = (unsigned char)(u >> (56 - 8 * i));
    }
}

/* ---- digests of a row ---- */

struct chain_hasher {
    EVP_MD *sha256; /* fetched once: a look-up by name costs more than the digest */
    EVP_MD_CTX *ctx;
    struct buf json;
};

struct chain_hasher *chain_hasher_new(void)
{
    struct chain_hasher *h = calloc(1, sizeof *h);
    if (!h) {
        return NULL;
    }
    buf_init(&h->json, CANONICAL_MAX);
    h->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    h->ctx = EVP_MD_CTX_new();
    if (!h->sha256 || !h->ctx) {
        chain_hasher_free(h);
        return NULL;
    }
    return h;
}

void chain_hasher_free(struct chain_hasher *h)
{
    if (h) {
        EVP_MD_CTX_free(h->ctx);
        EVP_MD_free(h->sha256);
        buf_free(&h->json);
        free(h);
    }
}

static bool text(struct chain_hasher *h, const char *t)
{
    unsigned char head[5];
    size_t len = text_head(head, t);
    return EVP_DigestUpdate(h->ctx, head, sizeof head) && EVP_DigestUpdate(h->ctx, t ? t : "", len);
}

static bool number(struct chain_hasher *h, int64_t n)
{
    unsigned char bytes[9];
    number_bytes(bytes, n);
    return EVP_DigestUpdate(h->ctx, bytes, sizeof bytes);
}

static int by_name(const void *a, const void *b)
{
    const cJSON *const *x = a, *const *y = b;
    return strcmp((*x)->string, (*y)->string);
}

static void put_canonical(struct buf *out, const cJSON *item);

static void put_members(struct buf *out, const cJSON *object)
{
    const cJSON *sorted[64]; /* change_row_validation_limits.max_members */
    size_t count = 0;
    const cJSON *member;
    cJSON_ArrayForEach(member, object)
    {
        if (count < sizeof sorted / sizeof *sorted) {
            sorted[count++] = member;
        }
    }
    qsort(sorted, count, sizeof *sorted, by_name);
    for (size_t i = 0; i < count; i++) {
        buf_puts(out, i ? "," : "");
        buf_json_text(out, sorted[i]->string, strlen(sorted[i]->string));
        buf_putc(out, ':');
        put_canonical(out, sorted[i]);
    }
}

/* The depth is bounded by the check before it (change_row_validation_limits). */
static void put_canonical(struct buf *out, const cJSON *item)
{
    const cJSON *element;
    if (cJSON_IsObject(item)) {
        buf_putc(out, '{');
        put_members(out, item);
        buf_putc(out, '}');
    } else if (cJSON_IsArray(item)) {
        buf_putc(out, '[');
        cJSON_ArrayForEach(element, item)
        {
            buf_puts(out, element == item->child ? "" : ",");
            put_canonical(out, element);
        }
        buf_putc(out, ']');
    } else if (cJSON_IsString(item)) {
        buf_json_text(out, item->valuestring, strlen(item->valuestring));
    } else if (cJSON_IsNumber(item)) {
        buf_printf(out, "%.17g", item->valuedouble + 0.0); /* + 0.0: jsonb has no -0 */
    } else {
        buf_puts(out, cJSON_IsTrue(item) ? "true" : cJSON_IsFalse(item) ? "false" : "null");
    }
}

static bool json(struct chain_hasher *h, const char *t)
{
    struct json_error error;
    if (!t) {
        return text(h, NULL);
    }
    cJSON *tree = json_parse(t, strlen(t), &change_row_validation_limits, &error);
    if (!tree) {
        return false;
    }
    buf_reset(&h->json);
    put_canonical(&h->json, tree);
    cJSON_Delete(tree);
    return buf_ok(&h->json) && text(h, h->json.data);
}

static bool fields(struct chain_hasher *h, enum chain_part part, const struct chain_row *r)
{
    switch (part) {
    case CHAIN_PRODUCT:
        return text(h, r->current_code) && text(h, r->current_name) && text(h, r->target_code) &&
               text(h, r->target_name);
    case CHAIN_CHECK:
        return json(h, r->validation) && number(h, r->validated_at);
    case CHAIN_RESULT:
        return text(h, r->status) && text(h, r->result_code) && text(h, r->result_message) &&
               text(h, r->kos_order_number) && number(h, r->processed_at);
    case CHAIN_LINE:
        return text(h, r->line);
    case CHAIN_CUSTOMER:
        return text(h, r->customer_id);
    case CHAIN_ACTOR:
        return text(h, r->actor);
    case CHAIN_REASON:
        return text(h, r->failure_reason);
    case CHAIN_PARTS:
        break;
    }
    return false;
}

bool chain_digest_part(struct chain_hasher *h, enum chain_part part, const struct chain_row *row,
                       const unsigned char salt[CHAIN_SALT], unsigned char out[CHAIN_HASH])
{
    const char *label = parts[part].label;
    return EVP_DigestInit_ex2(h->ctx, h->sha256, NULL) &&
           EVP_DigestUpdate(h->ctx, label, strlen(label) + 1) &&
           (part < CHAIN_LINE || EVP_DigestUpdate(h->ctx, salt, CHAIN_SALT)) && fields(h, part, row) &&
           EVP_DigestFinal_ex(h->ctx, out, NULL);
}

bool chain_digest(struct chain_hasher *h, const struct chain_row *row, const unsigned char salt[CHAIN_SALT],
                  unsigned char out[CHAIN_DIGESTS])
{
    for (int part = 0; part < CHAIN_PARTS; part++) {
        if (!chain_digest_part(h, (enum chain_part)part, row, salt, out + (size_t)part * CHAIN_HASH)) {
            return false;
        }
    }
    return true;
}

/* ---- links ---- */

struct chain_key {
    EVP_MAC *hmac;
    EVP_MAC_CTX *ctx; /* keyed once; a NULL key starts again with it */
    unsigned char id[CHAIN_KEY_ID];
};

static bool make_id(struct chain_key *k, const void *bytes, size_t len)
{
    static const char label[] = LABEL "key";
    unsigned char digest[CHAIN_HASH];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) &&
              EVP_DigestUpdate(ctx, label, sizeof label) && EVP_DigestUpdate(ctx, bytes, len) &&
              EVP_DigestFinal_ex(ctx, digest, NULL);
    EVP_MD_CTX_free(ctx);
    if (ok) {
        memcpy(k->id, digest, CHAIN_KEY_ID);
    }
    return ok;
}

struct chain_key *chain_key_new(const void *bytes, size_t len)
{
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                 OSSL_PARAM_construct_end()};
    struct chain_key *k = len >= CHAIN_KEY_MIN && len <= CHAIN_KEY_MAX ? calloc(1, sizeof *k) : NULL;
    if (!k) {
        return NULL;
    }
    k->hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    k->ctx = k->hmac ? EVP_MAC_CTX_new(k->hmac) : NULL;
    if (!k->ctx || !EVP_MAC_init(k->ctx, bytes, len, params) || !make_id(k, bytes, len)) {
        chain_key_free(k);
        return NULL;
    }
    return k;
}

void chain_key_free(struct chain_key *k)
{
    if (k) {
        EVP_MAC_CTX_free(k->ctx);
        EVP_MAC_free(k->hmac);
        free(k);
    }
}

const unsigned char *chain_key_id(const struct chain_key *k)
{
    return k->id;
}

static bool sign_text(struct chain_key *k, const char *t)
{
    unsigned char head[5];
    size_t len = text_head(head, t);
    return EVP_MAC_update(k->ctx, head, sizeof head) &&
           EVP_MAC_update(k->ctx, (const unsigned char *)(t ? t : ""), len);
}

static bool sign_number(struct chain_key *k, int64_t n)
{
    unsigned char bytes[9];
    number_bytes(bytes, n);
    return EVP_MAC_update(k->ctx, bytes, sizeof bytes);
}

bool chain_sign(struct chain_key *k, const char *instance, const struct chain_link *l,
                unsigned char out[CHAIN_HASH])
{
    static const unsigned char label[] = LABEL "link";
    size_t len = 0;
    return EVP_MAC_init(k->ctx, NULL, 0, NULL) && EVP_MAC_update(k->ctx, label, sizeof label) &&
           sign_text(k, instance) && sign_number(k, l->seq) && sign_number(k, l->kind) &&
           sign_text(k, l->request_id) && sign_number(k, l->requested_at) &&
           EVP_MAC_update(k->ctx, l->previous, CHAIN_HASH) &&
           EVP_MAC_update(k->ctx, l->digests, CHAIN_DIGESTS) &&
           EVP_MAC_final(k->ctx, out, &len, CHAIN_HASH) && len == CHAIN_HASH;
}

/* ---- hex ---- */

char *chain_hex(char *out, const unsigned char *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * len] = '\0';
    return out;
}

static int nibble(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

bool chain_unhex(const char *hex, unsigned char *out, size_t len)
{
    if (strlen(hex) != 2 * len) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        int high = nibble(hex[2 * i]), low = nibble(hex[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        out[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}
