/* lease.c - the cache protocol (DESIGN.md, The cache).
 *
 *   lease_get -> LOOKING --a value, a lease-----------------------------> told
 *                 | nothing            | wrong type, empty: DEL first
 *                 v                    v
 *                TAKING (SET NX GET PX: takes the lease, or says what is there) -> told
 *   anything else - late, lost, skipped, LOADING, READONLY, ... -> told LEASE_NONE
 *
 * The scripts are sent whole (EVAL): they run once a load, and there is no NOSCRIPT to recover from. */
#include "pcs/redis/lease.h"

#include "pcs/core/id.h"
#include "pcs/core/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEASE_PREFIX     "lease:"
#define LEASE_PREFIX_LEN 6

_Static_assert(LEASE_TOKEN_LEN == LEASE_PREFIX_LEN + UUID_LEN, "a lease is the prefix and a UUID");

struct lease_lookup {
    struct redis_link *link;
    struct redis_call *call;
    lease_found found;
    void *arg;
    size_t head_only;
    bool asked_twice;
    char token[LEASE_TOKEN_LEN + 1];
    size_t key_len;
    char key[];
};

/* A key of another type answers pcall with a table, which equals no token: nothing is stored, nothing fails.
 */
static const char fill_script[] =
    "if #ARGV[1]>0 and redis.pcall('GETRANGE',KEYS[1],0,#ARGV[1]-1)==ARGV[1] then "
    "redis.call('SET',KEYS[1],ARGV[2],'PX',ARGV[3]) return 1 end return 0";
static const char return_script[] =
    "if redis.pcall('GET',KEYS[1])==ARGV[1] then return redis.call('DEL',KEYS[1]) end return 0";
/* A hold always has an expiry: what has none, or is no string, is not a hold and must not close a line for
 * ever. */
static const char take_script[] =
    "local ok={ok='OK'} "
    "if redis.call('SET',KEYS[1],ARGV[1],'NX','PX',ARGV[2]) then return ok end "
    "local v=redis.pcall('GET',KEYS[1]) "
    "if type(v)=='string' and v~=ARGV[1] and redis.call('PTTL',KEYS[1])>=0 then return v end "
    "redis.call('SET',KEYS[1],ARGV[1],'PX',ARGV[2]) return ok";
static const char renew_script[] =
    "local v=redis.pcall('GET',KEYS[1]) "
    "if type(v)=='string' and v~=ARGV[1] and redis.call('PTTL',KEYS[1])>=0 then return 0 end "
    "redis.call('SET',KEYS[1],ARGV[1],'PX',ARGV[2]) return 1";

static struct redis_arg text(const char *s)
{
    return (struct redis_arg){s, strlen(s)};
}

#define literal(s) ((struct redis_arg){"" s, sizeof(s) - 1})

/* ---- look-up ---- */

static void finish(struct lease_lookup *l, const struct lease_result *result)
{
    lease_found found = l->found;
    void *arg = l->arg;
    found(arg, result);
    free(l);
}

static void finish_none(struct lease_lookup *l)
{
    finish(l, &(struct lease_result){.answer = LEASE_NONE});
}

static bool is_lease(const redisReply *r)
{
    return r->len == LEASE_TOKEN_LEN && memcmp(r->str, LEASE_PREFIX, LEASE_PREFIX_LEN) == 0;
}

/* A string that is not empty. */
static void finish_found(struct lease_lookup *l, const redisReply *r)
{
    if (is_lease(r)) {
        memcpy(l->token, r->str, LEASE_TOKEN_LEN);
        l->token[LEASE_TOKEN_LEN] = '\0';
        finish(l, &(struct lease_result){.answer = LEASE_HELD, .token = l->token});
        return;
    }
    size_t len = l->head_only && l->head_only < r->len ? l->head_only : r->len;
    finish(l, &(struct lease_result){.answer = LEASE_VALUE, .value = r->str, .len = len});
}

static bool is_text(const redisReply *r)
{
    return r->type == REDIS_REPLY_STRING && r->len > 0;
}

/* Nothing there, or what cannot be a value of ours. */
static bool is_nothing(const redisReply *r)
{
    return r->type == REDIS_REPLY_NIL || (r->type == REDIS_REPLY_STRING && r->len == 0);
}

static bool is_wrong_type(const redisReply *r)
{
    return r->type == REDIS_REPLY_ERROR && strncmp(r->str, "WRONGTYPE", 9) == 0;
}

static void take(struct lease_lookup *l, bool drop_first);

static void on_taken(void *arg, enum redis_outcome outcome, const redisReply *reply)
{
    struct lease_lookup *l = arg;
    l->call = NULL;
    if (outcome != REDIS_REPLIED) {
        finish_none(l);
    } else if (reply->type == REDIS_REPLY_NIL) {
        finish(l, &(struct lease_result){.answer = LEASE_HELD, .token = l->token, .fresh = true});
    } else if (is_text(reply)) {
        finish_found(l, reply);
    } else if (!l->asked_twice && (is_nothing(reply) || is_wrong_type(reply))) {
        l->asked_twice = true;
        take(l, true);
    } else {
        finish_none(l);
    }
}

/* drop_first: what is there is no value of ours. Deleting is always allowed, storing is not. */
static void take(struct lease_lookup *l, bool drop_first)
{
    char uuid[UUID_LEN + 1], ms[24];
    snprintf(l->token, sizeof l->token, LEASE_PREFIX "%s", uuid_v7(uuid));
    snprintf(ms, sizeof ms, "%d", LEASE_MS);
    struct redis_arg key = {l->key, l->key_len};
    if (drop_first) {
        lease_drop(l->link, l->key, NULL, NULL);
    }
    struct redis_arg args[] = {
        literal("SET"), key,     {l->token, LEASE_TOKEN_LEN}, literal("NX"), literal("GET"),
        literal("PX"),  text(ms)};
    l->call = redis_command(l->link, 0, on_taken, l, args, sizeof args / sizeof args[0]);
    if (!l->call) {
        finish_none(l);
    }
}

static void on_found(void *arg, enum redis_outcome outcome, const redisReply *reply)
{
    struct lease_lookup *l = arg;
    l->call = NULL;
    if (outcome != REDIS_REPLIED) {
        finish_none(l);
    } else if (is_text(reply)) {
        finish_found(l, reply);
    } else if (is_nothing(reply)) {
        take(l, false); /* of an empty text SET NX GET says so, see on_taken() */
    } else if (is_wrong_type(reply)) {
        l->asked_twice = true;
        take(l, true);
    } else {
        finish_none(l);
    }
}

struct lease_lookup *lease_get(struct redis_link *link, const char *key, size_t head_only, lease_found found,
                               void *arg)
{
    size_t key_len = strlen(key);
    struct lease_lookup *l = malloc(sizeof *l + key_len + 1);
    if (!l) {
        return NULL;
    }
    *l = (struct lease_lookup){
        .link = link, .found = found, .arg = arg, .head_only = head_only, .key_len = key_len};
    memcpy(l->key, key, key_len + 1);
    if (head_only) {
        /* one byte more than a lease, so that a lease can be told from a value that begins like one */
        char room[TEXT_I64_SIZE];
        const char *last =
            text_i64(room, head_only > LEASE_TOKEN_LEN ? (int64_t)head_only - 1 : LEASE_TOKEN_LEN);
        struct redis_arg args[] = {literal("GETRANGE"), {key, key_len}, literal("0"), text(last)};
        l->call = redis_command(link, 0, on_found, l, args, 4);
    } else {
        struct redis_arg args[] = {literal("GET"), {key, key_len}};
        l->call = redis_command(link, 0, on_found, l, args, 2);
    }
    if (!l->call) {
        free(l);
        return NULL;
    }
    return l;
}

void lease_cancel(struct lease_lookup *l)
{
    if (l->call) {
        redis_cancel(l->call);
    }
    free(l);
}

/* ---- fill, give back, drop ---- */

struct redis_call *lease_fill(struct redis_link *link, const char *key, const char *token, size_t token_len,
                              const char *value, size_t len, int64_t ttl_ms, redis_done done, void *arg)
{
    char room[TEXT_I64_SIZE];
    const char *ms = text_i64(room, ttl_ms);
    struct redis_arg args[] = {literal("EVAL"),
                               {fill_script, sizeof fill_script - 1},
                               literal("1"),
                               text(key),
                               {token, token_len},
                               {value, len},
                               text(ms)};
    return redis_command(link, 0, done, arg, args, sizeof args / sizeof args[0]);
}

static void delete_if_equal(struct redis_link *link, const char *key, const char *content)
{
    struct redis_arg args[] = {
        literal("EVAL"), {return_script, sizeof return_script - 1}, literal("1"), text(key), text(content)};
    (void)redis_command(link, 0, NULL, NULL, args, sizeof args / sizeof args[0]);
}

void lease_return(struct redis_link *link, const char *key, const char *token)
{
    delete_if_equal(link, key, token);
}

struct redis_call *lease_drop(struct redis_link *link, const char *key, redis_done done, void *arg)
{
    struct redis_arg args[] = {literal("DEL"), text(key)};
    return redis_command(link, 0, done, arg, args, 2);
}

/* ---- holds ---- */

static struct redis_call *hold_script(struct redis_link *link, const char *script, const char *key,
                                      const char *holder, int64_t ttl_ms, redis_done done, void *arg)
{
    char room[TEXT_I64_SIZE];
    const char *ms = text_i64(room, ttl_ms);
    struct redis_arg args[] = {literal("EVAL"), text(script), literal("1"),
                               text(key),       text(holder), text(ms)};
    return redis_command(link, 0, done, arg, args, sizeof args / sizeof args[0]);
}

struct redis_call *hold_take(struct redis_link *link, const char *key, const char *holder, int64_t ttl_ms,
                             redis_done done, void *arg)
{
    return hold_script(link, take_script, key, holder, ttl_ms, done, arg);
}

struct redis_call *hold_renew(struct redis_link *link, const char *key, const char *holder, int64_t ttl_ms,
                              redis_done done, void *arg)
{
    return hold_script(link, renew_script, key, holder, ttl_ms, done, arg);
}

void hold_release(struct redis_link *link, const char *key, const char *holder)
{
    delete_if_equal(link, key, holder);
}
