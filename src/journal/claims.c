/* claims.c - three hash tables over one set of claims. */
#include "journal/claims.h"

#include "pcs/core/id.h"
#include "pcs/core/log.h"

#include <stdlib.h>
#include <string.h>

uint64_t claims_hash(uint64_t seed, const char *text)
{
    uint64_t h = seed ^ UINT64_C(0xcbf29ce484222325);
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        h = (h ^ *p) * UINT64_C(0x100000001b3);
    }
    h ^= h >> 32;
    h *= UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 29;
}

bool claims_init(struct claims *c)
{
    *c = (struct claims){.seed = random_u64()};
    c->by_id = calloc(CLAIMS_BUCKETS, sizeof *c->by_id);
    c->by_line = calloc(CLAIMS_BUCKETS, sizeof *c->by_line);
    c->by_key = calloc(CLAIMS_BUCKETS, sizeof *c->by_key);
    if (!c->by_id || !c->by_line || !c->by_key) {
        claims_free(c);
        return false;
    }
    return true;
}

void claims_free(struct claims *c)
{
    for (size_t i = 0; c->by_id && i < CLAIMS_BUCKETS; i++) {
        while (c->by_id[i]) {
            struct claim *next = c->by_id[i]->next_id;
            free(c->by_id[i]);
            c->by_id[i] = next;
        }
    }
    free(c->by_id);
    free(c->by_line);
    free(c->by_key);
    *c = (struct claims){0};
}

static struct claim **bucket(struct claims *c, struct claim **table, const char *text)
{
    return &table[claims_hash(c->seed, text) % CLAIMS_BUCKETS];
}

static void unlink_line(struct claims *c, struct claim *it)
{
    struct claim **at = bucket(c, c->by_line, it->line);
    while (*at && *at != it) {
        at = &(*at)->next_line;
    }
    if (*at) {
        *at = it->next_line;
    }
}

static void remove_claim(struct claims *c, struct claim *it)
{
    struct claim **at = bucket(c, c->by_id, it->request_id);
    while (*at != it) {
        at = &(*at)->next_id;
    }
    *at = it->next_id;
    if (it->state == CLAIM_CLAIMED) {
        unlink_line(c, it);
        if (c->lines) {
            lines_remove(c->lines, it->line);
        }
    }
    if (it->key) {
        at = bucket(c, c->by_key, it->key);
        while (*at != it) {
            at = &(*at)->next_key;
        }
        *at = it->next_key;
    }
    c->count--;
    free(it);
}

static bool too_old(const struct claim *it, uint64_t now_ns)
{
    return now_ns > it->born_ns && now_ns - it->born_ns > CLAIM_LIFE_NS;
}

/* it, unless it is too old: then it ends here. */
static struct claim *alive(struct claims *c, struct claim *it, uint64_t now_ns)
{
    if (!it || !too_old(it, now_ns)) {
        return it;
    }
    log_warn("journal.claim_expired", log_str("requestId", it->request_id), log_line("line", it->line),
             log_bool("recorded", it->state == CLAIM_UNANSWERED));
    remove_claim(c, it);
    return NULL;
}

struct claim *claims_of_line(struct claims *c, const char *line, uint64_t now_ns)
{
    struct claim *it = *bucket(c, c->by_line, line);
    while (it && strcmp(it->line, line) != 0) {
        it = it->next_line;
    }
    return alive(c, it, now_ns);
}

struct claim *claims_of_key(struct claims *c, const char *key, uint64_t now_ns)
{
    struct claim *it = *bucket(c, c->by_key, key);
    while (it && strcmp(it->key, key) != 0) {
        it = it->next_key;
    }
    return alive(c, it, now_ns);
}

struct claim *claims_of_request(struct claims *c, const char *request_id)
{
    struct claim *it = *bucket(c, c->by_id, request_id);
    while (it && strcmp(it->request_id, request_id) != 0) {
        it = it->next_id;
    }
    return it;
}

static char *put(char **to, const char *text)
{
    char *start = *to;
    if (!text) {
        return NULL;
    }
    size_t size = strlen(text) + 1;
    memcpy(start, text, size);
    *to += size;
    return start;
}

static size_t room(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

bool claims_add(struct claims *c, enum claim_state state, const char *request_id, const char *line,
                const char *key, const char *body_hash, uint64_t now_ns)
{
    struct claim *it = c->count < CLAIMS_MAX
                           ? malloc(sizeof *it + room(request_id) + room(line) + room(key) + room(body_hash))
                           : NULL;
    if (!it) {
        return false;
    }
    char *text = (char *)(it + 1);
    *it = (struct claim){.state = state, .born_ns = now_ns};
    it->request_id = put(&text, request_id);
    it->line = put(&text, line);
    it->key = put(&text, key);
    it->body_hash = put(&text, body_hash);

    struct claim **at = bucket(c, c->by_id, request_id);
    it->next_id = *at;
    *at = it;
    if (state == CLAIM_CLAIMED) {
        at = bucket(c, c->by_line, line);
        it->next_line = *at;
        *at = it;
        if (c->lines) {
            lines_add(c->lines, line);
        }
    }
    if (key) {
        at = bucket(c, c->by_key, key);
        it->next_key = *at;
        *at = it;
    }
    c->count++;
    return true;
}

void claims_drop(struct claims *c, const char *request_id)
{
    struct claim *it = claims_of_request(c, request_id);
    if (it) {
        remove_claim(c, it);
    }
}

void claims_recorded(struct claims *c, const char *request_id, const char *line, const char *key,
                     const char *body_hash, bool answered, uint64_t now_ns)
{
    claims_drop(c, request_id);
    if (key && !answered && !claims_add(c, CLAIM_UNANSWERED, request_id, line, key, body_hash, now_ns)) {
        /* a replay will then not wait for the first answer: it tells the change's state */
        log_warn("journal.claims_full", log_str("requestId", request_id));
    }
}

void claims_count_lines(const struct claims *c, uint32_t *fresh)
{
    for (size_t i = 0; c->lines && i < CLAIMS_BUCKETS; i++) {
        for (const struct claim *it = c->by_id[i]; it; it = it->next_id) {
            if (it->state == CLAIM_CLAIMED) {
                lines_recount_add(c->lines, fresh, it->line);
            }
        }
    }
}

void claims_sweep(struct claims *c, uint64_t now_ns)
{
    for (size_t i = 0; i < CLAIMS_BUCKETS; i++) {
        struct claim *it = c->by_id[i];
        while (it) {
            struct claim *next = it->next_id;
            (void)alive(c, it, now_ns);
            it = next;
        }
    }
}
