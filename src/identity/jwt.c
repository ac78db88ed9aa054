/* Compact JWS, strictly: exactly three parts, one spelling, no header parameter that changes the rules.
 *
 * What the token says about its key (jwk, jku, x5u, x5c) is never used; crit is refused, since we know no
 * extension (RFC 7515 4.1.11). alg only selects among what the configured keys allow (RFC 8725 3.1, 3.2). */
#include "identity/jwt.h"

#include "pcs/core/json.h"

#include <string.h>
#include <strings.h>

static const struct json_limits header_limits = {
    .max_bytes = IDENTITY_TOKEN_MAX, .max_depth = 4, .max_members = 16};

struct part {
    const char *text;
    size_t len;
};

struct header {
    enum jwt_alg alg;
    const char *kid; /* NULL: none; lives in json */
    cJSON *json;
};

static bool split(const char *token, size_t len, struct part parts[3])
{
    const char *end = token + len;

    for (int i = 0; i < 3; i++) {
        const char *dot = memchr(token, '.', (size_t)(end - token));
        if ((dot == NULL) != (i == 2))
            return false;
        parts[i] = (struct part){token, (size_t)((dot ? dot : end) - token)};
        if (parts[i].len == 0)
            return false;
        token = dot ? dot + 1 : end;
    }
    return true;
}

/* RFC 7519 5.1 and RFC 9068: JWT or at+jwt, in any case, with or without "application/". */
static bool typ_is_jwt(const char *typ)
{
    if (strncasecmp(typ, "application/", 12) == 0)
        typ += 12;
    return strcasecmp(typ, "JWT") == 0 || strcasecmp(typ, "at+jwt") == 0;
}

/* The header's members; h->json is the caller's to delete, whatever is returned. */
static enum fault header_read(struct header *h)
{
    const cJSON *alg = cJSON_GetObjectItemCaseSensitive(h->json, "alg");
    const cJSON *typ = cJSON_GetObjectItemCaseSensitive(h->json, "typ");
    const cJSON *kid = cJSON_GetObjectItemCaseSensitive(h->json, "kid");

    if (!cJSON_IsObject(h->json) || !cJSON_IsString(alg))
        return FAULT_HEADER;
    if (cJSON_GetObjectItemCaseSensitive(h->json, "crit"))
        return FAULT_CRIT;
    if (typ && (!cJSON_IsString(typ) || !typ_is_jwt(typ->valuestring)))
        return FAULT_TYP;
    if (kid && !cJSON_IsString(kid))
        return FAULT_KID;
    h->kid = kid ? kid->valuestring : NULL;
    h->alg = jwt_alg_parse(alg->valuestring);
    return h->alg == ALG_COUNT ? FAULT_ALG : FAULT_NONE;
}

/* A key with a kid serves tokens that name it or name none; one without serves all. */
static bool key_is_meant(const struct jwt_key *key, const struct header *h)
{
    return !key->kid[0] || !h->kid || strcmp(key->kid, h->kid) == 0;
}

static enum fault signature_check(const struct key_set *keys, const struct header *h, const char *input,
                                  size_t input_len, const unsigned char *signature, size_t signature_len)
{
    enum fault fault = FAULT_ALG;

    for (size_t i = 0; i < keys->count; i++) {
        const struct jwt_key *key = &keys->keys[i];
        enum key_verdict verdict;

        if ((key->algs & (1u << h->alg)) == 0)
            continue;
        if (!key_is_meant(key, h)) {
            if (fault == FAULT_ALG)
                fault = FAULT_KEY;
            continue;
        }
        verdict = jwt_key_verify(key, h->alg, input, input_len, signature, signature_len);
        if (verdict == KEY_ACCEPTS)
            return FAULT_NONE;
        if (verdict == KEY_NO_MEMORY)
            return FAULT_NO_MEMORY;
        fault = FAULT_SIGNATURE;
    }
    return fault;
}

enum fault jwt_verify(const struct key_set *keys, const char *token, size_t len, unsigned char *payload,
                      size_t *payload_len)
{
    unsigned char signature[SIGNATURE_MAX];
    size_t signature_len, header_len;
    struct part parts[3];
    struct header h = {0};
    struct json_error error;
    enum fault fault;

    if (len > IDENTITY_TOKEN_MAX)
        return FAULT_TOO_LONG;
    if (!split(token, len, parts))
        return FAULT_PARTS;
    /* The payload's memory serves for the header first. */
    if (!base64url_decode(parts[0].text, parts[0].len, payload, JWT_PAYLOAD_MAX, &header_len) ||
        !base64url_decode(parts[2].text, parts[2].len, signature, sizeof signature, &signature_len))
        return FAULT_ENCODING;
    h.json = json_parse((const char *)payload, header_len, &header_limits, &error);
    if (!h.json)
        return FAULT_HEADER;
    fault = header_read(&h);
    if (fault == FAULT_NONE)
        fault =
            signature_check(keys, &h, token, (size_t)(parts[2].text - 1 - token), signature, signature_len);
    cJSON_Delete(h.json);
    if (fault != FAULT_NONE)
        return fault;
    return base64url_decode(parts[1].text, parts[1].len, payload, JWT_PAYLOAD_MAX, payload_len)
               ? FAULT_NONE
               : FAULT_ENCODING;
}
