/* forget.c - erasing a line's personal fields.
 *
 *   claim the line here ─► hold it in Redis ─► look what is open ─► which changes may be in Redis (journal, PostgreSQL)
 *        │                      │                    │                    │
 *        └──── another change: REFUSED ──────────────┘                    ▼
 *                                              Redis: delete ─► PostgreSQL: erase ─► journal: erase, in spans ─► DONE
 *
 * Each step that cannot be done ends it with STOPPED; in any case claim and hold are given back. */
#include "pcs/change/forget.h"

#include "change/service.h"
#include "pcs/core/clock.h"
#include "pcs/core/log.h"
#include "pcs/product/cached.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOLD_MS INT64_C(60000) /* as long as a claim in the journal lasts */
#define PAGE    1000
#define MEMORY  ((size_t)8 << 20)

struct forget {
    struct change_service *svc;
    struct forget_request in; /* texts in arena */
    struct arena arena;
    struct journal_op op;
    struct history_query query;
    struct history_erasure erasure;
    struct forget_report report;
    char holder[UUID_LEN + 1];
    char line_key[KEY_MAX], customer_key[CACHED_KEY_MAX];
    bool claimed, held;
    const char **ids; /* of changes that may be in Redis; those that PostgreSQL refused first */
    size_t id_count, refused_count, dropped;
    struct buf note;
    forget_done done;
    void *arg;
};

/* ---- the end ---- */

static void forget_free(struct forget *f)
{
    f->svc->tells--;
    journal_op_clear(&f->op);
    history_query_clear(&f->query);
    arena_free(&f->arena);
    buf_free(&f->note);
    free(f->ids);
    free(f);
}

static void on_released(struct journal_op *op)
{
    forget_free(op->arg);
}

static void tell_log(const struct forget *f, enum forget_answer answer)
{
    const struct forget_report *r = &f->report;
    log_warn(answer == FORGET_DONE      ? "personal.erased"
             : answer == FORGET_REFUSED ? "personal.erase_refused"
                                        : "personal.erase_stopped",
             log_line("line", f->in.line), log_str("actor", f->in.actor), log_str("reason", f->in.reason),
             log_bool("redis", r->redis_done), log_bool("history", r->history_done),
             log_bool("journal", r->journal_done), log_int("rows", r->history_rows),
             log_int("journalRows", r->journal_rows), log_int("events", r->journal_events),
             log_int("deadLettersGivenUp", r->given_up), log_str("why", *r->why ? r->why : NULL));
}

static void end(struct forget *f, enum forget_answer answer)
{
    tell_log(f, answer);
    f->done(f->arg, answer, &f->report);
    if (f->held) {
        hold_release(f->svc->redis, f->line_key, f->holder);
    }
    if (!f->claimed) {
        forget_free(f);
        return;
    }
    journal_op_clear(&f->op);
    journal_op_init(&f->op, f->svc->journal, JOURNAL_RELEASE, &f->svc->reactor->inbox, on_released, f);
    f->op.change.request_id = f->holder;
    if (!journal_submit(&f->op)) { /* never: a RELEASE is not refused */
        forget_free(f);
    }
}

static void stop(struct forget *f, const char *why)
{
    snprintf(f->report.why, sizeof f->report.why, "%s", why);
    end(f, FORGET_STOPPED);
}

void forget_blocked(struct forget_report *r, const struct journal_op *op)
{
    const char *id = op->found.request_id;
    char of[96] = "";
    if (id && op->forget.block_seq) {
        snprintf(of, sizeof of, " (change %.36s, number %lld)", id, (long long)op->forget.block_seq);
    } else if (id) {
        snprintf(of, sizeof of, " (change %.36s)", id);
    }
    snprintf(r->why, sizeof r->why, "%s%s", forget_block_name(op->forget.block), of);
    snprintf(r->request_id, sizeof r->request_id, "%s", id ? id : "");
}

/* ---- steps ---- */

static void ask_journal(struct forget *f, enum journal_verb verb, void (*done)(struct journal_op *op))
{
    journal_op_clear(&f->op);
    journal_op_init(&f->op, f->svc->journal, verb, &f->svc->reactor->inbox, done, f);
    f->op.line = f->in.line;
}

static bool ending(struct forget *f)
{
    if (f->svc->draining) {
        stop(f, "the service is ending");
    }
    return f->svc->draining;
}

static void submit(struct forget *f)
{
    if (!journal_submit(&f->op)) {
        stop(f, "the journal's queue is full");
    }
}

/* -- the journal: erase -- */

static void erase_journal(struct forget *f, int64_t from);

static void on_journal_erased(struct journal_op *op)
{
    struct forget *f = op->arg;
    struct forget_report *r = &f->report;
    int64_t next = op->forget.next;
    if (op->status == JOURNAL_CONFLICT) {
        forget_blocked(r, op);
        end(f, FORGET_REFUSED);
        return;
    }
    if (op->status != JOURNAL_OK) {
        stop(f, "the journal did not take it");
        return;
    }
    r->journal_rows += op->forget.rows;
    r->journal_events += op->forget.events;
    r->given_up += op->forget.given_up;
    if (next) {
        erase_journal(f, next);
        return;
    }
    r->journal_done = true;
    end(f, FORGET_DONE);
}

static void erase_journal(struct forget *f, int64_t from)
{
    if (ending(f)) {
        return;
    }
    ask_journal(f, JOURNAL_FORGET, on_journal_erased);
    f->op.seq = from;
    f->op.forget = (struct journal_forget){
        .erase = true, .give_up = f->in.give_up, .note = f->note.data, .note_id = f->holder};
    submit(f);
}

/* -- PostgreSQL: erase -- */

static void on_history_erased(struct history_query *q)
{
    struct forget *f = q->arg;
    if (q->status != HISTORY_OK) {
        char why[300];
        snprintf(why, sizeof why, "PostgreSQL did not erase: %s",
                 q->status == HISTORY_BUSY ? "too many queries wait" : f->erasure.why);
        stop(f, why);
        return;
    }
    f->report.history_done = true;
    f->report.history_rows = f->erasure.rows;
    f->report.history_links = f->erasure.links;
    f->report.of = f->erasure.of;
    f->report.of_count = f->erasure.of_count;
    erase_journal(f, 0);
}

static bool ask_history(struct forget *f, enum history_kind kind, void (*done)(struct history_query *q))
{
    struct history *h = change_history(f->svc->shared);
    history_query_clear(&f->query);
    f->query = (struct history_query){
        .kind = kind, .reply_to = &f->svc->reactor->inbox, .done = done, .arg = f, .line = f->in.line};
    if (!h) {
        stop(f, "there is no history");
        return false;
    }
    return true;
}

static void submit_query(struct forget *f)
{
    if (!history_submit(change_history(f->svc->shared), &f->query)) {
        stop(f, "too many history queries wait");
    }
}

static void erase_history(struct forget *f)
{
    if (ending(f) || !ask_history(f, HISTORY_ERASE, on_history_erased)) {
        return;
    }
    f->erasure = (struct history_erasure){.instance = journal_instance(f->svc->journal),
                                          .actor = f->in.actor,
                                          .reason = f->in.reason,
                                          .refused = f->ids,
                                          .refused_count = f->refused_count};
    f->query.erasure = &f->erasure;
    submit_query(f);
}

/* -- Redis: delete -- */

static void drop_keys(struct forget *f);

static void on_dropped(void *arg, enum redis_outcome outcome, const redisReply *reply)
{
    struct forget *f = arg;
    if (outcome != REDIS_REPLIED || reply->type != REDIS_REPLY_INTEGER) {
        stop(f, "Redis did not delete");
        return;
    }
    f->report.redis_keys += reply->integer;
    drop_keys(f);
}

/* The customer's entry first, then each change's result. */
static void drop_keys(struct forget *f)
{
    char keys[FORGET_KEYS][KEY_MAX];
    struct redis_arg args[FORGET_KEYS + 1] = {{"DEL", 3}};
    size_t count = 1;
    if (ending(f)) {
        return;
    }
    if (f->dropped > f->id_count) {
        f->report.redis_done = true;
        erase_history(f);
        return;
    }
    for (; count <= FORGET_KEYS && f->dropped <= f->id_count; count++, f->dropped++) {
        if (f->dropped == 0) {
            args[count] = (struct redis_arg){f->customer_key, strlen(f->customer_key)};
            continue;
        }
        redis_key_request(keys[count - 1], f->ids[f->dropped - 1]);
        args[count] = (struct redis_arg){keys[count - 1], strlen(keys[count - 1])};
    }
    if (!redis_command(f->svc->redis, 0, on_dropped, f, args, count)) {
        stop(f, "Redis did not delete");
    }
}

/* -- which changes -- */

/* Copies the id. False: no memory, or too many. */
static bool add_id(struct forget *f, const char *id)
{
    for (size_t i = 0; i < f->id_count; i++) {
        if (strcmp(f->ids[i], id) == 0) {
            return true;
        }
    }
    const char *copy = f->id_count < FORGET_IDS_MAX ? arena_strdup(&f->arena, id) : NULL;
    if (copy) {
        f->ids[f->id_count++] = copy;
    }
    return copy != NULL;
}

static void ask_recent(struct forget *f, int64_t offset);

static void on_recent(struct history_query *q)
{
    struct forget *f = q->arg;
    bool ok = true;
    if (q->status != HISTORY_OK) {
        stop(f, "PostgreSQL cannot be asked for the line's changes");
        return;
    }
    for (size_t i = 0; i < q->count; i++) {
        ok = add_id(f, q->rows[i].request_id) && ok;
    }
    if (!ok) {
        stop(f, "too many changes of the line are in Redis; try again in a day");
    } else if (q->count == PAGE) {
        ask_recent(f, q->offset + PAGE);
    } else {
        drop_keys(f);
    }
}

static void ask_recent(struct forget *f, int64_t offset)
{
    if (ending(f) || !ask_history(f, HISTORY_PAGE, on_recent)) {
        return;
    }
    f->query.from_ms = clock_wall_ms() - f->svc->config->shared_ttl_ms - FORGET_MARGIN_MS;
    f->query.offset = offset;
    f->query.limit = PAGE;
    submit_query(f);
}

static void look(struct forget *f, int64_t from);

/* Those that PostgreSQL refused are kept in front. */
static bool take_looked(struct forget *f, const struct journal_op *op)
{
    bool ok = true;
    for (size_t i = 0; i < op->list_count; i++) {
        size_t before = f->id_count;
        ok = add_id(f, op->list[i].request_id) && ok;
        if (op->seqs[i] && f->id_count > before) {
            const char *other = f->ids[f->refused_count];
            f->ids[f->refused_count++] = f->ids[before];
            f->ids[before] = other;
        }
    }
    return ok;
}

static void on_looked(struct journal_op *op)
{
    struct forget *f = op->arg;
    int64_t next = op->forget.next;
    if (op->status == JOURNAL_CONFLICT) {
        forget_blocked(&f->report, op);
        end(f, FORGET_REFUSED);
    } else if (op->status != JOURNAL_OK) {
        stop(f, "the journal cannot be read now");
    } else if (!take_looked(f, op)) {
        stop(f, "too many changes of the line are in the journal, or no memory");
    } else if (next) {
        look(f, next);
    } else {
        ask_recent(f, 0);
    }
}

static void look(struct forget *f, int64_t from)
{
    if (ending(f)) {
        return;
    }
    ask_journal(f, JOURNAL_FORGET, on_looked);
    f->op.seq = from;
    f->op.forget.give_up = f->in.give_up;
    submit(f);
}

/* -- the line is ours -- */

static void refuse_busy(struct forget *f, const char *where, const char *id)
{
    snprintf(f->report.why, sizeof f->report.why, "%s%s%s%s", where, id ? " (change " : "", id ? id : "",
             id ? ")" : "");
    snprintf(f->report.request_id, sizeof f->report.request_id, "%s", id ? id : "");
    end(f, FORGET_REFUSED);
}

static void on_hold(void *arg, enum redis_outcome outcome, const redisReply *reply)
{
    struct forget *f = arg;
    char holder[UUID_LEN + 1];
    if (outcome == REDIS_REPLIED && reply->type == REDIS_REPLY_STATUS) {
        f->held = true;
        look(f, 0);
    } else if (outcome == REDIS_REPLIED && reply->type == REDIS_REPLY_STRING) {
        bool known = uuid_parse(reply->str, reply->len, holder);
        refuse_busy(f, "a change of the line is open at another instance", known ? holder : NULL);
    } else {
        stop(f, "Redis does not answer");
    }
}

static void on_claimed(struct journal_op *op)
{
    struct forget *f = op->arg;
    if (op->status == JOURNAL_LINE_BUSY) {
        refuse_busy(f, "a change of the line is open", op->found.request_id);
        return;
    }
    f->claimed = op->status == JOURNAL_OK;
    if (!f->claimed) {
        stop(f, "the journal cannot be asked now");
    } else if (!ending(f) && !hold_take(f->svc->redis, f->line_key, f->holder, HOLD_MS, on_hold, f)) {
        stop(f, "Redis does not answer");
    }
}

bool forget_names_line(const char *text, const char *line)
{
    size_t met = 0, len = strlen(line);
    for (const char *start = text; *start; start++) {
        const char *p = start;
        for (met = 0; *p && met < len; p++) {
            if (*p == line[met]) {
                met++;
            } else if (*p >= '0' && *p <= '9') {
                break;
            }
        }
        if (met == len) {
            return true;
        }
    }
    return false;
}

void forget_note(struct buf *out, const struct forget_request *request, int64_t now_ms)
{
    buf_json_open(out, NULL, '{');
    buf_json_time(out, "at", now_ms);
    buf_json_str(out, "actor", request->actor);
    buf_json_str(out, "reason", request->reason);
    buf_json_close(out, '}');
}

static bool copy_request(struct forget *f, const struct forget_request *in)
{
    f->in.line = arena_strdup(&f->arena, in->line);
    f->in.actor = arena_strdup(&f->arena, in->actor);
    f->in.reason = arena_strdup(&f->arena, in->reason);
    f->in.give_up = in->give_up;
    f->ids = calloc(FORGET_IDS_MAX, sizeof *f->ids);
    forget_note(&f->note, in, clock_wall_ms());
    return f->in.line && f->in.actor && f->in.reason && f->ids && buf_ok(&f->note);
}

bool change_forget_line(struct change_service *svc, const struct forget_request *request, forget_done done,
                        void *arg)
{
    struct forget *f = svc->draining ? NULL : calloc(1, sizeof *f);
    if (!f) {
        return false;
    }
    f->svc = svc;
    f->done = done;
    f->arg = arg;
    svc->tells++;
    arena_init(&f->arena, NULL, 0, MEMORY);
    buf_init(&f->note, 4096);
    (void)uuid_v7(f->holder);
    redis_key_line(f->line_key, request->line);
    cached_customer_key(f->customer_key, request->line);
    journal_op_init(&f->op, svc->journal, JOURNAL_CLAIM, &svc->reactor->inbox, on_claimed, f);
    f->op.change.request_id = f->holder;
    if (!copy_request(f, request)) {
        forget_free(f);
        return false;
    }
    f->op.change.line = f->in.line;
    if (!journal_submit(&f->op)) {
        forget_free(f);
        return false;
    }
    return true;
}
