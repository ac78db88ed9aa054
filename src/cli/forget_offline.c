/* forget_offline.c - the steps of change/forget.c, one after the other, on connections of their own. */
#include "cli/forget_offline.h"

#include "pcs/change/operate.h"
#include "pcs/core/clock.h"
#include "pcs/product/cached.h"
#include "pcs/redis/redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOLD_MS "60000"
#define WAIT_S  5 /* for Redis */
#define PAGE    1000
#define MEMORY  ((size_t)8 << 20)

static enum forget_answer stopped(struct offline_forget *o, const char *why)
{
    snprintf(o->report.why, sizeof o->report.why, "%s", why);
    return FORGET_STOPPED;
}

/* ---- Redis ---- */

static bool is_status(const redisReply *reply)
{
    return reply && reply->type == REDIS_REPLY_STATUS;
}

/* "user's command": a reply of Redis, or NULL; the caller frees it. */
static redisReply *ask(redisContext *redis, int count, const char **words)
{
    return redisCommandArgv(redis, count, words, NULL);
}

static bool say(redisContext *redis, int count, const char **words)
{
    redisReply *reply = ask(redis, count, words);
    bool ok = is_status(reply);
    freeReplyObject(reply);
    return ok;
}

static redisContext *connect_redis(const struct redis_config *c)
{
    char number[24];
    const struct timeval patience = {.tv_sec = WAIT_S};
    redisContext *redis = redisConnectWithTimeout(c->host, (int)c->port, patience);
    snprintf(number, sizeof number, "%lld", (long long)c->database);
    bool ok = redis && !redis->err && redisSetTimeout(redis, patience) == REDIS_OK &&
              (!*c->password || say(redis, 2, (const char *[]){"AUTH", c->password})) &&
              say(redis, 2, (const char *[]){"SELECT", number});
    if (!ok && redis) {
        redisFree(redis);
        redis = NULL;
    }
    return redis;
}

/* FORGET_DONE: the line is ours. */
static enum forget_answer hold(struct offline_forget *o, redisContext *redis, const char *key,
                               const char *holder)
{
    redisReply *reply = ask(redis, 6, (const char *[]){"SET", key, holder, "NX", "PX", HOLD_MS});
    enum forget_answer answer = FORGET_DONE;
    if (reply && reply->type == REDIS_REPLY_NIL) {
        redisReply *who = ask(redis, 2, (const char *[]){"GET", key});
        bool known =
            who && who->type == REDIS_REPLY_STRING && uuid_parse(who->str, who->len, o->report.request_id);
        snprintf(o->report.why, sizeof o->report.why,
                 "a change of the line is open at another instance%s%s%s", known ? " (change " : "",
                 known ? o->report.request_id : "", known ? ")" : "");
        freeReplyObject(who);
        answer = FORGET_REFUSED;
    } else if (!is_status(reply)) {
        answer = stopped(o, "Redis does not answer");
    }
    freeReplyObject(reply);
    return answer;
}

static void release(redisContext *redis, const char *key, const char *holder)
{
    static const char script[] =
        "if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('DEL',KEYS[1]) end return 0";
    freeReplyObject(ask(redis, 5, (const char *[]){"EVAL", script, "1", key, holder}));
}

static enum forget_answer drop(struct offline_forget *o, redisContext *redis)
{
    char key[CHANGE_KEY_MAX], customer[CACHED_KEY_MAX];
    cached_customer_key(customer, o->request->line);
    for (size_t i = 0; i <= o->id_count; i++) {
        if (i) {
            change_key_request(key, o->ids[i - 1]);
        }
        redisReply *reply = ask(redis, 2, (const char *[]){"DEL", i ? key : customer});
        bool ok = reply && reply->type == REDIS_REPLY_INTEGER;
        o->report.redis_keys += ok ? reply->integer : 0;
        freeReplyObject(reply);
        if (!ok) {
            return stopped(o, "Redis did not delete");
        }
    }
    o->report.redis_done = true;
    return FORGET_DONE;
}

/* ---- the journal ---- */

static bool add_id(struct offline_forget *o, const char *id, bool refused)
{
    for (size_t i = 0; i < o->id_count; i++) {
        if (o->ids[i] && strcmp(o->ids[i], id) == 0) {
            return true;
        }
    }
    const char *copy = o->id_count < FORGET_IDS_MAX ? arena_strdup(&o->arena, id) : NULL;
    if (!copy) {
        return false;
    }
    o->ids[o->id_count++] = copy;
    if (refused) { /* those in front */
        o->ids[o->id_count - 1] = o->ids[o->refused_count];
        o->ids[o->refused_count++] = copy;
    }
    return true;
}

static enum forget_answer take_span(struct offline_forget *o, const struct journal_op *op, bool erase)
{
    struct forget_report *r = &o->report;
    if (op->status == JOURNAL_CONFLICT) {
        forget_blocked(r, op);
        return FORGET_REFUSED;
    }
    if (op->status != JOURNAL_OK) {
        return stopped(o, erase ? "the journal did not take it" : "the journal cannot be read");
    }
    for (size_t i = 0; !erase && i < op->list_count; i++) {
        if (!add_id(o, op->list[i].request_id, op->seqs[i] != 0)) {
            return stopped(o, "too many changes of the line, or no memory");
        }
    }
    if (erase) {
        r->journal_rows += op->forget.rows;
        r->journal_events += op->forget.events;
        r->given_up += op->forget.given_up;
    }
    return FORGET_DONE;
}

/* Every span. */
static enum forget_answer walk(struct offline_forget *o, bool erase, const char *note, const char *note_id)
{
    int64_t from = 0;
    enum forget_answer answer;
    do {
        struct journal_op op;
        journal_op_init(&op, o->journal, JOURNAL_FORGET, NULL, NULL, NULL);
        op.line = o->request->line;
        op.seq = from;
        op.forget = (struct journal_forget){
            .erase = erase, .give_up = o->request->give_up, .note = note, .note_id = note_id};
        (void)journal_run_offline(&op);
        answer = take_span(o, &op, erase);
        from = op.forget.next;
        journal_op_clear(&op);
    } while (answer == FORGET_DONE && from);
    o->report.journal_done = erase && answer == FORGET_DONE;
    return answer;
}

/* ---- PostgreSQL ---- */

static enum forget_answer recent(struct offline_forget *o)
{
    const struct change_config *change = config_values(o->settings, &change_config_section);
    bool more = true, ok = true;
    for (int64_t offset = 0; more && ok; offset += PAGE) {
        struct history_query q = {.kind = HISTORY_PAGE,
                                  .line = o->request->line,
                                  .from_ms = clock_wall_ms() - change->shared_ttl_ms - FORGET_MARGIN_MS,
                                  .offset = offset,
                                  .limit = PAGE};
        history_run_once(config_values(o->settings, &history_config_section), &q);
        more = q.status == HISTORY_OK && q.count == PAGE;
        for (size_t i = 0; ok && i < q.count; i++) {
            ok = add_id(o, q.rows[i].request_id, false);
        }
        bool asked = q.status == HISTORY_OK;
        history_query_clear(&q);
        if (!asked) {
            return stopped(o, "PostgreSQL cannot be asked for the line's changes");
        }
    }
    return ok ? FORGET_DONE : stopped(o, "too many changes of the line, or no memory");
}

static enum forget_answer erase_history(struct offline_forget *o)
{
    char why[300];
    struct forget_report *r = &o->report;
    o->erasure = (struct history_erasure){.instance = o->slot->instance,
                                          .actor = o->request->actor,
                                          .reason = o->request->reason,
                                          .refused = o->ids,
                                          .refused_count = o->refused_count};
    o->query =
        (struct history_query){.kind = HISTORY_ERASE, .line = o->request->line, .erasure = &o->erasure};
    history_run_once(config_values(o->settings, &history_config_section), &o->query);
    if (o->query.status != HISTORY_OK) {
        snprintf(why, sizeof why, "PostgreSQL did not erase: %s", o->erasure.why);
        return stopped(o, why);
    }
    r->history_done = true;
    r->history_rows = o->erasure.rows;
    r->history_links = o->erasure.links;
    r->of = o->erasure.of;
    r->of_count = o->erasure.of_count;
    return FORGET_DONE;
}

/* ---- all of it ---- */

static enum forget_answer steps(struct offline_forget *o, redisContext *redis, const char *holder)
{
    struct buf note;
    buf_init(&note, 4096);
    forget_note(&note, o->request, clock_wall_ms());
    enum forget_answer answer = walk(o, false, NULL, NULL);
    answer = answer == FORGET_DONE ? recent(o) : answer;
    answer = answer == FORGET_DONE ? drop(o, redis) : answer;
    answer = answer == FORGET_DONE ? erase_history(o) : answer;
    answer = answer == FORGET_DONE ? walk(o, true, note.data, holder) : answer;
    buf_free(&note);
    return answer;
}

enum forget_answer offline_forget_run(struct offline_forget *o)
{
    char err[256], key[CHANGE_KEY_MAX], holder[UUID_LEN + 1];
    arena_init(&o->arena, NULL, 0, MEMORY);
    o->ids = calloc(FORGET_IDS_MAX, sizeof *o->ids);
    o->journal = journal_open_offline(config_values(o->settings, &journal_config_section), o->slot->number,
                                      err, sizeof err);
    if (!o->ids || !o->journal) {
        return stopped(o, o->ids ? err : "no memory");
    }
    redisContext *redis = connect_redis(config_values(o->settings, &redis_config_section));
    if (!redis) {
        return stopped(o, "Redis cannot be reached (REDIS_HOST, REDIS_PORT, REDIS_PASSWORD)");
    }
    change_key_line(key, o->request->line);
    enum forget_answer answer = hold(o, redis, key, uuid_v7(holder));
    if (answer == FORGET_DONE) {
        answer = steps(o, redis, holder);
        release(redis, key, holder);
    }
    redisFree(redis);
    return answer;
}

void offline_forget_free(struct offline_forget *o)
{
    if (o->journal) {
        journal_close_offline(o->journal);
    }
    history_query_clear(&o->query);
    arena_free(&o->arena);
    free(o->ids);
}
