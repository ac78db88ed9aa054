/* Bearer tokens (CONTRACT.md 1, Identity; issue 5, point 1): RFC 7515 and the rules of claims. First line: how to read
 * the rest.
 *
 *   raw        the value of an Authorization header, as it is
 *   HS256 …    the header's JSON in the next line and the payload's in the rest, signed by our secret as that algorithm
 *
 * A signature cannot be made up, so raw tokens are accepted only if this file has made them. */

/* The maker of tokens is that of the unit tests; Check's assertions need a running test, which this is not. */
#include <check.h>
#undef ck_assert
#undef ck_assert_msg
#undef ck_assert_str_eq
#undef ck_assert_int_eq
#undef ck_assert_int_ge
#undef ck_assert_uint_lt
#define ck_assert(condition)          FUZZ_CHECK(condition)
#define ck_assert_msg(condition, ...) FUZZ_CHECK(condition)
#define ck_assert_str_eq(a, b)        FUZZ_CHECK(fuzz_same(a, b))
#define ck_assert_int_eq(a, b)        FUZZ_CHECK((a) == (b))
#define ck_assert_int_ge(a, b)        FUZZ_CHECK((a) >= (b))
#define ck_assert_uint_lt(a, b)       FUZZ_CHECK((a) < (b))
#include "fuzz/fuzz.h"
#include "identity/jwt.h"
#include "identity/verifier.h"
#include "unit/identity/token.h"

#include "pcs/product/product.h"

static struct identity_memory *memory;
static char *raw_seed; /* a good token, that raw inputs are made from */

static void start(void)
{
    struct identity_config c = config_with_secret();
    struct identity_verifier *v = verifier_of(&c);
    memory = identity_memory_new(v, 64);
    identity_verifier_unref(v);
    raw_seed = hs256_token(good_payload);
    FUZZ_CHECK(memory && raw_seed);
}

static void check_identity(const struct identity *id)
{
    char line[LINE_LEN + 1];
    FUZZ_CHECK(id->subject && *id->subject && strlen(id->subject) <= IDENTITY_NAME_MAX);
    FUZZ_CHECK(strlen(id->customer_id) <= IDENTITY_NAME_MAX && id->expires_at > NOW);
    for (const char *p = id->subject; *p; p++) {
        FUZZ_CHECK((unsigned char)*p >= ' ' && *p != 0x7f);
    }
    FUZZ_CHECK(id->line_count <= IDENTITY_LINES_MAX && (id->admin || id->line_count));
    for (unsigned i = 0; i < id->line_count; i++) {
        FUZZ_CHECK(line_parse(id->lines[i], strlen(id->lines[i]), line) && strcmp(line, id->lines[i]) == 0);
        for (unsigned j = 0; j < i; j++) {
            FUZZ_CHECK(strcmp(id->lines[i], id->lines[j]) != 0);
        }
    }
}

static cJSON *claims(const char *payload)
{
    cJSON *root = cJSON_Parse(payload);
    FUZZ_CHECK(cJSON_IsObject(root));
    return root;
}

/* What an accepted payload must say, read once more by hand. */
static void check_claims(const char *payload, const struct identity *id)
{
    cJSON *root = claims(payload);
    const cJSON *exp = cJSON_GetObjectItemCaseSensitive(root, "exp"),
                *nbf = cJSON_GetObjectItemCaseSensitive(root, "nbf"),
                *type = cJSON_GetObjectItemCaseSensitive(root, "type");
    FUZZ_CHECK(cJSON_IsNumber(exp) && exp->valuedouble > (double)NOW);
    FUZZ_CHECK(!nbf || (cJSON_IsNumber(nbf) && nbf->valuedouble <= (double)NOW + 30));
    FUZZ_CHECK(!type || strcmp(cJSON_GetStringValue(type), "ACCESS") == 0);
    FUZZ_CHECK(!id->admin || strstr(payload, "ADMIN") || strchr(payload, '\\'));
    const cJSON *permissions = cJSON_GetObjectItemCaseSensitive(root, "permissions");
    FUZZ_CHECK(!permissions || id->admin || strstr(payload, "PRODUCT_CHANGE") || strchr(payload, '\\'));
    cJSON_Delete(root);
}

static bool authenticate(const char *header, size_t len, const char *payload)
{
    const struct identity *id = NULL;
    const char *reason = NULL;
    enum identity_result result = identity_authenticate(memory, header, len, NOW, &id, &reason);
    FUZZ_CHECK(reason && (result == IDENTITY_OK) == (id != NULL) && result != IDENTITY_ERROR);
    if (id) {
        check_identity(id);
        if (payload) {
            check_claims(payload, id);
        }
        identity_release(id);
    }
    return result == IDENTITY_OK;
}

static void check_raw(const char *text, size_t len)
{
    char *header = fuzz_bytes(text, len);
    bool ok = authenticate(header, len, NULL);
    /* one token, one spelling: accepted is exactly the one that was signed */
    FUZZ_CHECK(!ok || (len == strlen(raw_seed) + 7 && memcmp(text + 7, raw_seed, len - 7) == 0));
    free(header);
}

static void check_base64url(const char *text, size_t len)
{
    unsigned char *out = malloc(BASE64URL_DECODED_MAX(len));
    size_t n;
    FUZZ_CHECK(out);
    if (base64url_decode(text, len, out, BASE64URL_DECODED_MAX(len), &n)) {
        char *again = b64url(out, n);
        FUZZ_CHECK(strlen(again) == len && memcmp(again, text, len) == 0);
        free(again);
    }
    free(out);
}

static void check_signed(const char *alg, struct fuzz_input *in)
{
    char *header = fuzz_line(in), *payload = fuzz_text(in->at, in->left), *text;
    const EVP_MD *md = strcmp(alg, "HS512") == 0   ? EVP_sha512()
                       : strcmp(alg, "HS384") == 0 ? EVP_sha384()
                                                   : EVP_sha256();
    char *token = hmac_token_by(md, SECRET, strlen(SECRET), header, payload);
    FUZZ_CHECK(asprintf(&text, "Bearer %s", token) > 0);
    bool ok = authenticate(text, strlen(text), payload);
    FUZZ_CHECK(ok == authenticate(text, strlen(text), payload)); /* from the memory, the same */
    if (ok) {
        cJSON *root = claims(header);
        const char *named = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, "alg"));
        FUZZ_CHECK(named && strncmp(named, "HS", 2) == 0 && !cJSON_GetObjectItemCaseSensitive(root, "crit"));
        cJSON_Delete(root);
        size_t at = strlen(text) / 2;
        text[at] = text[at] == 'A' ? 'B' : 'A';
        FUZZ_CHECK(!authenticate(text, strlen(text), NULL));
    }
    free(text);
    free(token);
    free(header);
    free(payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    if (!memory) {
        start();
    }
    char *how = fuzz_line(&in);
    if (strncmp(how, "HS", 2) == 0) {
        check_signed(how, &in);
    } else {
        check_raw((const char *)in.at, in.left);
        check_base64url((const char *)in.at, in.left);
    }
    free(how);
    return 0;
}
