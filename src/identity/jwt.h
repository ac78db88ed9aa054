/* jwt.h - compact JWS (RFC 7515): form, header, signature. Knows nothing of claims. */
#ifndef IDENTITY_JWT_H
#define IDENTITY_JWT_H

#include "identity/base64url.h"
#include "identity/fault.h"
#include "identity/keys.h"

#define JWT_PAYLOAD_MAX BASE64URL_DECODED_MAX(IDENTITY_TOKEN_MAX)

/* FAULT_NONE when one of the keys signed the token; payload (JWT_PAYLOAD_MAX bytes) then holds its bytes, and
 * nothing usable otherwise. Any thread. */
enum fault jwt_verify(const struct key_set *keys, const char *token, size_t len, unsigned char *payload,
                      size_t *payload_len);

#endif
