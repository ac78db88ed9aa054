/* claims.h - who is about to change a line, and which keys wait for their first answer. In memory.
 *
 *   CLAIM ─► CLAIMED ── INTENT or RECORD committed ──► UNANSWERED ── ANSWERED committed ──► gone
 *              │ (line and key)                         │ (key only; without a key: gone)
 *              └── RELEASE, or CLAIM_LIFE ──► gone       └── the key is freed, or CLAIM_LIFE ──► gone
 *
 * A claim ends by itself after CLAIM_LIFE: no request lives that long (CONTRACT.md 1: 9 s), and an INTENT
 * checks that nobody else has claimed since. The journal's thread only. */
#ifndef JOURNAL_CLAIMS_H
#define JOURNAL_CLAIMS_H

#include "journal/lines.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLAIM_LIFE_NS  (UINT64_C(60) * 1000000000)
#define CLAIMS_MAX     65536
#define CLAIMS_BUCKETS 8192

enum claim_state { CLAIM_CLAIMED, CLAIM_UNANSWERED };

struct claim {
    struct claim *next_id, *next_line, *next_key; /* of its buckets */
    enum claim_state state;
    int64_t first_status; /* UNANSWERED: the answer that is known but not yet committed; 0: none */
    uint64_t born_ns;
    const char *request_id, *line, *key, *body_hash; /* behind the struct; key, body_hash: NULL without */
};

struct claims {
    struct claim **by_id, **by_line, **by_key; /* CLAIMS_BUCKETS each */
    uint64_t seed;
    size_t count;
    struct lines *lines; /* where claimed lines are counted; NULL: nowhere */
};

bool claims_init(struct claims *c);
void claims_free(struct claims *c);

/* The live claim of a line (CLAIMED only), a key (either state), a request; NULL: none. */
struct claim *claims_of_line(struct claims *c, const char *line, uint64_t now_ns);
struct claim *claims_of_key(struct claims *c, const char *key, uint64_t now_ns);
struct claim *claims_of_request(struct claims *c, const char *request_id);

/* False: too many, or no memory. key and body_hash may be NULL. Copies its arguments. */
bool claims_add(struct claims *c, enum claim_state state, const char *request_id, const char *line,
                const char *key, const char *body_hash, uint64_t now_ns);
void claims_drop(struct claims *c, const char *request_id);
/* The change is on disk: gives the line free, keeps the key until the first answer is (unless answered). */
void claims_recorded(struct claims *c, const char *request_id, const char *line, const char *key,
                     const char *body_hash, bool answered, uint64_t now_ns);
/* Adds the claimed lines to a count (lines.h). */
void claims_count_lines(const struct claims *c, uint32_t *fresh);
/* Ends claims that are too old. */
void claims_sweep(struct claims *c, uint64_t now_ns);

/* A hash of text for tables in memory; seed is random, so that nobody outside can choose collisions. */
uint64_t claims_hash(uint64_t seed, const char *text);

#endif
