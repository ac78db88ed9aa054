/* lease.h - the cache protocol: leases, not deletes-and-hopes (DESIGN.md, The cache).
 *
 * A key holds a value, or "lease:<uuid>" left by somebody who is loading it. A miss takes a lease; a fill
 * stores only if the key still begins with the token that the reader saw; a change deletes the key. A read
 * that began before a change can then never put the old value back: not after eviction, flush or a pause. A
 * value has to begin with a unique head (its own token), so that a stale value can be refreshed by the same
 * rule without losing it. */
#ifndef PCS_REDIS_LEASE_H
#define PCS_REDIS_LEASE_H

#include "pcs/redis/redis.h"

#define LEASE_TOKEN_LEN 42   /* "lease:" + uuid */
#define LEASE_MS        8000 /* longer than any load that may fill */

enum lease_answer {
    LEASE_VALUE, /* a value (not a lease): value, len */
    LEASE_HELD,  /* no value; token is the lease, just taken by us (fresh) or found there (somebody else's) */
    LEASE_NONE   /* Redis could not be asked: load without filling */
};

struct lease_result {
    enum lease_answer answer;
    const char *value; /* LEASE_VALUE; lives until the callback returns */
    size_t len;
    const char *token; /* LEASE_HELD; LEASE_TOKEN_LEN bytes + NUL; lives until the callback returns */
    bool fresh;        /* LEASE_HELD: we took it */
};

struct lease_lookup;
typedef void (*lease_found)(void *arg, const struct lease_result *result);

/* GET; on a miss SET NX GET PX, which takes the lease or says what is there by now. head_only > 0: fetch only
 * that many bytes of a value (GETRANGE), for callers that keep the rest in memory. A key of another type, or
 * an empty text, is garbage: it is deleted and the lease taken. Any other error of Redis (LOADING, READONLY,
 * OOM, ...) is LEASE_NONE, as are late, lost and skipped commands. found is called once, never before this
 * returned; the look-up ends with it. NULL: no memory, or the link is being destroyed; no callback. Own
 * thread. */
struct lease_lookup *lease_get(struct redis_link *link, const char *key, size_t head_only, lease_found found,
                               void *arg);
/* No callback after this. A lease that was being taken stays until it expires. */
void lease_cancel(struct lease_lookup *lookup);

/* In the four below done may be NULL and NULL is returned as by redis_command(). key, token, value and holder
 * are copied. The scripts never fail on a key of another type. */

/* Stores value for ttl_ms if the key still begins with token (the lease, or the first token_len bytes of the
 * value that is being refreshed; an empty token never matches). done gets an integer reply: 1 stored, 0 not.
 */
struct redis_call *lease_fill(struct redis_link *link, const char *key, const char *token, size_t token_len,
                              const char *value, size_t len, int64_t ttl_ms, redis_done done, void *arg);
/* Gives an unused lease back (deletes it if it is still there). */
void lease_return(struct redis_link *link, const char *key, const char *token);
/* Deletes the key: the invalidation. Has to be repeated until done was told REDIS_REPLIED with an integer. */
struct redis_call *lease_drop(struct redis_link *link, const char *key, redis_done done, void *arg);

/* A holder's key between instances: SET NX PX, renew and delete only by the holder (DESIGN.md, Claim before
 * read). A key without an expiry or of another type is no hold but garbage, and is taken over. Taking twice
 * is harmless: a command whose outcome is unknown may be repeated. */

/* Status OK: taken, or held by this holder already; a string: the holder that has it, read in the same instant. */
struct redis_call *hold_take(struct redis_link *link, const char *key, const char *holder, int64_t ttl_ms,
                             redis_done done, void *arg);
/* Integer 1: renewed or taken anew; 0: somebody else's. */
struct redis_call *hold_renew(struct redis_link *link, const char *key, const char *holder, int64_t ttl_ms,
                              redis_done done, void *arg);
/* Deletes the key if holder still has it. */
void hold_release(struct redis_link *link, const char *key, const char *holder);

#endif
