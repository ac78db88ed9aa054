/* Key files (CONTRACT.md 1, Identity): a JWK set and PEM. The first byte chooses; what is taken is a public key of a kind
 * and size that we verify with, for one algorithm. */
#include "identity/keys.h"
#include "fuzz/fuzz.h"

static void check_set(const struct key_set *set)
{
    FUZZ_CHECK(set->count <= KEYS_MAX);
    for (size_t i = 0; i < set->count; i++) {
        const struct jwt_key *k = &set->keys[i];
        bool rsa = k->algs == 1u << ALG_RS256, ec = k->algs == 1u << ALG_ES256;
        FUZZ_CHECK(k->pkey && (rsa || ec) && strlen(k->kid) <= KID_MAX);
        FUZZ_CHECK(EVP_PKEY_is_a(k->pkey, rsa ? "RSA" : "EC"));
        FUZZ_CHECK(rsa ? EVP_PKEY_get_bits(k->pkey) >= 2048 : EVP_PKEY_get_bits(k->pkey) == 256);
        unsigned char signature[64] = {0};
        FUZZ_CHECK(jwt_key_verify(k, rsa ? ALG_RS256 : ALG_ES256, "x", 1, signature, sizeof signature) !=
                   KEY_ACCEPTS);
        FUZZ_CHECK(jwt_key_verify(k, ALG_HS256, "x", 1, signature, 32) == KEY_REFUSES); /* key confusion */
    }
}

static void check_jwks(const char *text, size_t len)
{
    struct key_set set = {0};
    char err[256] = "";
    size_t added = 0;
    bool ok = jwks_load(&set, text, len, &added, err, sizeof err);
    FUZZ_CHECK(added == set.count && (ok || *err));
    check_set(&set);
    key_set_free(&set);
}

static void check_pem(const char *text, size_t len)
{
    struct key_set set = {0};
    char err[512] = "", path[32];
    int fd = fuzz_file(text, len, path);
    struct identity_config c = {
        .secret = "", .previous_secret = "", .public_key_file = path, .jwks_file = ""};
    bool ok = key_set_load(&set, &c, err, sizeof err);
    FUZZ_CHECK(ok ? set.count > 0 : *err != '\0');
    check_set(&set);
    key_set_free(&set);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_bytes(data, size);
    if (size && text[0] == '{') {
        check_jwks(text, size);
    } else {
        check_pem(text, size);
    }
    free(text);
    return 0;
}
