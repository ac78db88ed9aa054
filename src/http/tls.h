/* tls.h - the certificate of the listening port: one for the process, exchanged while it runs. */
#ifndef PCS_SRC_HTTP_TLS_H
#define PCS_SRC_HTTP_TLS_H

#include "pcs/http/http.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>

/* TLS 1.2 and 1.3, with forward secrecy and AEAD ciphers only; the server's order counts. */
#define TLS_PRIORITIES                                                                                       \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:+ECDHE-RSA:+ECDHE-ECDSA:-CIPHER-ALL:"                \
    "+AES-256-GCM:+CHACHA20-POLY1305:+AES-128-GCM:%SERVER_PRECEDENCE"

/* Does the configuration ask for TLS? */
bool tls_wanted(const struct http_config *config);

/* What libmicrohttpd asks at every handshake (a gnutls_certificate_retrieve_function2), on the reactor's thread. */
int tls_certificate(gnutls_session_t session, const gnutls_datum_t *issuers, int issuer_count,
                    const gnutls_pk_algorithm_t *algorithms, int algorithm_count, gnutls_pcert_st **chain,
                    unsigned int *chain_len, gnutls_privkey_t *key);

#endif
