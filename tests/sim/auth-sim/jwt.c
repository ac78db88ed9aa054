/* JSON Web Tokens of the auth service simulator: HMAC only, as the issuer in production signs. */
#include "auth.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#define HS512_MAC 64

static const EVP_MD *digest_of(const char *algorithm)
{
    if (strcmp(algorithm, "HS256") == 0)
        return EVP_sha256();
    if (strcmp(algorithm, "HS384") == 0)
        return EVP_sha384();
    return strcmp(algorithm, "HS512") == 0 ? EVP_sha512() : NULL;
}

bool jwt_known_algorithm(const char *algorithm)
{
    return digest_of(algorithm) || strcmp(algorithm, "none") == 0;
}

static void add_base64url(struct sim_buf *out, const void *bytes, size_t length)
{
    unsigned char *text = sim_alloc(length / 3 * 4 + 8);
    int n = EVP_EncodeBlock(text, bytes, (int)length);
    int i;

    while (n > 0 && text[n - 1] == '=')
        n--;
    for (i = 0; i < n; i++)
        text[i] = text[i] == '+' ? '-' : (text[i] == '/' ? '_' : text[i]);
    sim_buf_add(out, text, (size_t)n);
    free(text);
}

void jwt_sign(struct sim_buf *out, const char *algorithm, const char *secret, const char *claims_json)
{
    const EVP_MD *digest = digest_of(algorithm);
    unsigned char mac[EVP_MAX_MD_SIZE];
    struct sim_buf head = {0};
    unsigned n = 0;
    size_t start = out->length;

    sim_buf_fmt(&head, "{\"alg\":\"%s\"}", algorithm);
    add_base64url(out, head.data, head.length);
    sim_buf_free(&head);
    sim_buf_str(out, ".");
    add_base64url(out, claims_json, strlen(claims_json));
    if (digest)
        HMAC(digest, secret, (int)strlen(secret), (const unsigned char *)out->data + start,
             out->length - start, mac, &n);
    sim_buf_str(out, ".");
    if (digest)
        add_base64url(out, mac, n);
}

/* Decodes unpadded base64url into a new NUL-terminated buffer; NULL when it is malformed. */
static char *decode(const char *text, size_t length)
{
    size_t padded = (length + 3) / 4 * 4;
    unsigned char *in, *out;
    size_t i;
    int n;

    if (length == 0 || length % 4 == 1)
        return NULL;
    in = sim_alloc(padded + 1);
    out = sim_alloc(padded + 1);
    for (i = 0; i < padded; i++) {
        char c = i < length ? text[i] : '=';

        in[i] = (unsigned char)(c == '-' ? '+' : (c == '_' ? '/' : c));
    }
    n = memchr(text, '=', length) ? -1 : EVP_DecodeBlock(out, in, (int)padded);
    free(in);
    if (n < 0) {
        free(out);
        return NULL;
    }
    out[(size_t)n - (padded - length)] = '\0';
    return (char *)out;
}

static cJSON *decode_json(const char *text, size_t length)
{
    char *json = decode(text, length);
    cJSON *tree = json ? cJSON_Parse(json) : NULL;

    free(json);
    return tree;
}

static bool signature_fits(const char *token, const char *end, const char *secret)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    struct sim_buf wanted = {0};
    unsigned n = 0;
    bool fits;

    HMAC(EVP_sha512(), secret, (int)strlen(secret), (const unsigned char *)token, (size_t)(end - token), mac,
         &n);
    add_base64url(&wanted, mac, n);
    fits = n == HS512_MAC && strlen(end + 1) == wanted.length &&
           CRYPTO_memcmp(end + 1, wanted.data, wanted.length) == 0;
    sim_buf_free(&wanted);
    return fits;
}

cJSON *jwt_verify(const char *token, const char *secret, const char **reason)
{
    const char *first = strchr(token, '.');
    const char *second = first ? strchr(first + 1, '.') : NULL;
    cJSON *head, *claims;

    *reason = "the token is malformed";
    if (!second || strchr(second + 1, '.') || strlen(token) > AUTH_TOKEN_MAX)
        return NULL;
    head = decode_json(token, (size_t)(first - token));
    if (strcmp(sim_json_text(head, "alg", ""), "HS512") != 0) {
        *reason = "the token is not signed with HS512";
        cJSON_Delete(head);
        return NULL;
    }
    cJSON_Delete(head);
    if (!signature_fits(token, second, secret)) {
        *reason = "the signature does not fit";
        return NULL;
    }
    claims = decode_json(first + 1, (size_t)(second - first - 1));
    *reason = NULL;
    if (!cJSON_IsObject(claims))
        *reason = "the claims are no JSON object";
    else if (sim_json_number(claims, "exp", 0) <= (double)(sim_wall_ms() / 1000))
        *reason = "the token has expired";
    else if (strcmp(sim_json_text(claims, "type", "ACCESS"), "ACCESS") != 0)
        *reason = "the token is not an access token";
    if (!*reason)
        return claims;
    cJSON_Delete(claims);
    return NULL;
}
