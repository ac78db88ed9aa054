/* tls.c - certificate and key of the listening port (server.tls.*), read at the start and again on SIGHUP.
 *
 * A handshake borrows what is in force at its beginning. So those that were replaced are kept until the end: a few
 * kilobytes each, and reloads are an operator's. */
#include "http/tls.h"

#include "pcs/core/buf.h"
#include "pcs/core/clock.h"
#include "pcs/core/config.h"
#include "pcs/core/log.h"

#include <gnutls/x509.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHAIN_MAX 16 /* certificates of one file */
#define KEY_ID    32 /* bytes of a key's SHA-256 */
#define PEM_MAX   (256 * 1024)

struct certificate {
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned int chain_len;
    gnutls_privkey_t key;
    struct certificate *older;
};

static struct certificate *_Atomic current;

bool tls_wanted(const struct http_config *config)
{
    return config->tls_cert_file && *config->tls_cert_file;
}

int tls_certificate(gnutls_session_t session, const gnutls_datum_t *issuers, int issuer_count,
                    const gnutls_pk_algorithm_t *algorithms, int algorithm_count, gnutls_pcert_st **chain,
                    unsigned int *chain_len, gnutls_privkey_t *key)
{
    struct certificate *c = atomic_load(&current);
    (void)session;
    (void)issuers;
    (void)issuer_count;
    (void)algorithms;
    (void)algorithm_count;
    if (!c) {
        return -1;
    }
    *chain = c->chain;
    *chain_len = c->chain_len;
    *key = c->key;
    return 0;
}

static void certificate_free(struct certificate *c)
{
    for (unsigned i = 0; i < c->chain_len; i++) {
        gnutls_pcert_deinit(&c->chain[i]);
    }
    if (c->key) {
        gnutls_privkey_deinit(c->key);
    }
    free(c);
}

/* What a file holds; the caller wipes and frees it. */
static bool read_pem(const char *setting, const char *file, struct buf *text, char *err, size_t errlen)
{
    char why[160];
    buf_init(text, PEM_MAX + 8192);
    bool ok = config_read_file(file, PEM_MAX, text, why, sizeof why);
    if (!ok) {
        snprintf(err, errlen, "%s: %s %s", setting, file, why);
    }
    return ok;
}

static bool read_chain(struct certificate *c, const char *file, char *err, size_t errlen)
{
    unsigned int count = CHAIN_MAX;
    struct buf text;
    bool ok = read_pem("server.tls.cert_file", file, &text, err, errlen);
    if (ok) {
        const gnutls_datum_t pem = {.data = (unsigned char *)text.data, .size = (unsigned int)text.len};
        int rc = text.len ? gnutls_pcert_list_import_x509_raw(c->chain, &count, &pem, GNUTLS_X509_FMT_PEM,
                                                              GNUTLS_X509_CRT_LIST_SORT |
                                                                  GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED)
                          : GNUTLS_E_NO_CERTIFICATE_FOUND;
        ok = rc >= 0 && count > 0;
        c->chain_len = ok ? count : 0;
        if (!ok) {
            snprintf(err, errlen, "server.tls.cert_file: %s holds no certificate chain (%s)", file,
                     rc < 0 ? gnutls_strerror(rc) : "it is empty");
        }
    }
    buf_free(&text);
    return ok;
}

static bool read_key(struct certificate *c, const char *file, char *err, size_t errlen)
{
    struct buf text;
    bool ok = read_pem("server.tls.key_file", file, &text, err, errlen);
    if (ok) {
        const gnutls_datum_t pem = {.data = (unsigned char *)text.data, .size = (unsigned int)text.len};
        int rc = text.len ? gnutls_privkey_init(&c->key) : GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE;
        if (rc == 0) {
            rc = gnutls_privkey_import_x509_raw(c->key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0);
        }
        ok = rc == 0;
        if (!ok) {
            snprintf(err, errlen, "server.tls.key_file: %s holds no private key (%s)", file,
                     gnutls_strerror(rc));
        }
    }
    if (text.data) {
        gnutls_memset(text.data, 0, text.len);
    }
    buf_free(&text);
    return ok;
}

/* A key that does not belong to the certificate would fail every handshake. */
static bool belong_together(const struct certificate *c)
{
    unsigned char of_chain[KEY_ID], of_key[KEY_ID];
    size_t chain_size = sizeof of_chain, key_size = sizeof of_key;
    gnutls_pubkey_t public_key = NULL;
    bool same =
        gnutls_pubkey_init(&public_key) == 0 && gnutls_pubkey_import_privkey(public_key, c->key, 0, 0) == 0 &&
        gnutls_pubkey_get_key_id(public_key, GNUTLS_KEYID_USE_SHA256, of_key, &key_size) == 0 &&
        gnutls_pubkey_get_key_id(c->chain[0].pubkey, GNUTLS_KEYID_USE_SHA256, of_chain, &chain_size) == 0 &&
        chain_size == key_size && memcmp(of_chain, of_key, key_size) == 0;
    if (public_key) {
        gnutls_pubkey_deinit(public_key);
    }
    return same;
}

/* An expired one is served all the same: the clients decide, and the log says why they do not come. */
static void tell_expiry(struct certificate *c)
{
    gnutls_x509_crt_t first = NULL;
    if (gnutls_pcert_export_x509(&c->chain[0], &first) == 0) {
        int64_t left = (int64_t)gnutls_x509_crt_get_expiration_time(first) - clock_wall_ms() / 1000;
        if (left < 0) {
            log_warn("http.certificate_expired", log_int("seconds", (uint64_t)-left));
        } else {
            log_info("http.certificate", log_int("certificates", c->chain_len), log_int("secondsLeft", left));
        }
        gnutls_x509_crt_deinit(first);
    }
}

bool http_tls_load(const struct http_config *config, bool keep, char *err, size_t errlen)
{
    if (!tls_wanted(config)) {
        return true;
    }
    struct certificate *c = calloc(1, sizeof *c);
    if (!c) {
        snprintf(err, errlen, "server.tls: no memory");
        return false;
    }
    bool ok =
        read_chain(c, config->tls_cert_file, err, errlen) && read_key(c, config->tls_key_file, err, errlen);
    if (ok && !belong_together(c)) {
        snprintf(err, errlen, "server.tls.key_file: %s is not the key of the certificate in %s",
                 config->tls_key_file, config->tls_cert_file);
        ok = false;
    }
    if (!ok || !keep) {
        certificate_free(c);
        return ok;
    }
    tell_expiry(c);
    c->older = atomic_load(&current);
    atomic_store(&current, c);
    return true;
}

void http_tls_free(void)
{
    struct certificate *c = atomic_exchange(&current, NULL);
    while (c) {
        struct certificate *older = c->older;
        certificate_free(c);
        c = older;
    }
}
