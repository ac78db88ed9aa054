/* identity.h - who is calling: the bearer token's verification, its memory, and which line the caller acts
 * on.
 *
 * CONTRACT.md 1, "Identity" (UFR-AUTH-020). A verifier is the immutable set of keys and rules; main builds
 * one from the configuration and shares it with all reactors. Each reactor has a memory of the tokens it has
 * verified, so that a busy customer does not cost a signature per request. The algorithm is a property of the
 * configured key and never of the token (RFC 8725 3.1). */
#ifndef PCS_IDENTITY_IDENTITY_H
#define PCS_IDENTITY_IDENTITY_H

#include "pcs/core/config.h"
#include "pcs/core/metrics.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IDENTITY_TOKEN_MAX  4096 /* bytes of a token (contract) */
#define IDENTITY_LINES_MAX  16   /* lines of one token; more is a bad token */
#define IDENTITY_NAME_MAX   255  /* bytes of subject and of customer id */
#define IDENTITY_SECRET_MIN 32   /* bytes of JWT_SECRET (contract 6) */
#define IDENTITY_LINE_LEN   11   /* digits of a normalised line number */

/* ---- settings and metrics ---- */

struct identity_config {
    const char *secret;          /* "": none */
    const char *previous_secret; /* still accepted while callers move over; "": none */
    const char *public_key_file; /* PEM, one or more public keys; "": none */
    const char *jwks_file;       /* RFC 7517; "": none */
    struct config_list algorithms;
    const char *issuer, *audience; /* "": not checked */
    bool require_permission;
    int64_t leeway_ms;
    int64_t memory; /* tokens remembered per reactor; 0: none */
};

extern const struct config_section identity_config_section;
extern struct metric_family *const identity_metrics[];
extern const size_t identity_metrics_count;

/* ---- the verifier ---- */

struct identity_verifier;

/* Reads the key files and builds keys and rules. NULL: a sentence naming the setting in err. The
 * configuration may go away afterwards. One reference. Main thread; a reload builds a new one even when no
 * setting changed, since the files may have (key rotation by SIGHUP). */
struct identity_verifier *identity_verifier_new(const struct identity_config *config, char *err,
                                                size_t errlen);
/* Any thread. */
struct identity_verifier *identity_verifier_ref(struct identity_verifier *v);
void identity_verifier_unref(struct identity_verifier *v); /* NULL is fine */

/* ---- who it is ---- */

enum identity_result {
    IDENTITY_OK,
    IDENTITY_MISSING,   /* 401: no Authorization */
    IDENTITY_INVALID,   /* 401: not a token that we accept */
    IDENTITY_FORBIDDEN, /* 403: a good token without the permission, or without a line and not ADMIN */
    IDENTITY_ERROR,     /* 500: no memory */
};

/* Immutable; belongs to the reactor that verified it. */
struct identity {
    const char *subject;                        /* `sub`, else `userId`; never empty, no control characters */
    const char *customer_id;                    /* "" when the token has none */
    const char (*lines)[IDENTITY_LINE_LEN + 1]; /* normalised, each once */
    unsigned line_count;                        /* may be 0 for ADMIN only */
    bool admin;
    int64_t expires_at; /* Unix seconds: the first second in which the token is no longer good */
};

struct identity_memory;

/* Per reactor, own thread from then on. Takes its own reference to the verifier. entries: tokens remembered
 * at the most (about 250 bytes each when used); 0: every request is verified. NULL: no memory. */
struct identity_memory *identity_memory_new(struct identity_verifier *v, size_t entries);
/* Identities that requests still hold stay valid. */
void identity_memory_free(struct identity_memory *m);
/* Takes over another verifier (reload) and forgets every token. */
void identity_memory_set_verifier(struct identity_memory *m, struct identity_verifier *v);
size_t identity_memory_count(const struct identity_memory *m);

/* Judges the value of one Authorization header (NULL: none). Only IDENTITY_OK sets *out, and the caller gives
 * that back with identity_release() on the same reactor; it survives eviction and reload. *reason is static
 * text for the log ("ok" on success), never part of the token. Nothing blocks; a remembered token costs a
 * keyed hash and a look-up. */
enum identity_result identity_authenticate(struct identity_memory *m, const char *authorization, size_t len,
                                           int64_t now_unix_s, const struct identity **out,
                                           const char **reason) __attribute__((warn_unused_result));
void identity_release(const struct identity *id); /* NULL is fine */

/* ---- from a gateway ---- */

/* What a gateway says of the caller it has checked; NULL: not said. Values as they came. */
struct identity_headers {
    const char *user_id;     /* X-User-ID: the subject */
    const char *user_role;   /* X-User-Role: ADMIN, or anything else */
    const char *customer_id; /* X-Customer-ID */
    const char *line_number; /* X-Line-Number */
    const char *permissions; /* X-User-Permissions, separated by blanks */
    const char *expires_at;  /* X-Token-Expires-At: Unix seconds */
};
/* The identity that a request without a token has, if it comes from a gateway that may say so (auth.header_peers; the
 * caller has looked). The rules are those of a token's claims. As identity_authenticate(). */
enum identity_result identity_from_gateway(struct identity_memory *m, const struct identity_headers *h,
                                           int64_t now_unix_s, const struct identity **out,
                                           const char **reason) __attribute__((warn_unused_result));
/* Is the token's bearer the one whom the gateway has checked? True also when it named nobody. */
bool identity_agrees(const struct identity *id, const char *user_id);

/* ---- lines ---- */

/* Whether the caller may act on that (normalised) line: one of the token's, or any for ADMIN. */
bool identity_owns(const struct identity *id, const char *line);

enum line_choice {
    LINE_OK,
    LINE_REQUIRED, /* 400: ADMIN and tokens with several lines must name it */
    LINE_FOREIGN,  /* 403: somebody else's */
};

/* Which line a read acts on. requested: normalised, NULL when the parameter is absent. *line (LINE_OK only)
 * is the request's or the identity's own memory. */
enum line_choice identity_pick_line(const struct identity *id, const char *requested, const char **line)
    __attribute__((warn_unused_result));

#endif
