/* trace.c - GET /admin/trace?id= | ?line= (issue 3, point 6): the whole story of a change, or of a line's newest ones.
 *
 *   ?line= ── journal: what PostgreSQL does not have yet ── PostgreSQL: the newest rows ──┐ ids, newest first
 *   ?id= ─────────────────────────────────────────────────────────────────────────────────┤
 *                                                                                         ▼
 *            ┌─► journal: record, calls, events, ledger ── PostgreSQL: row ── Redis: req:, idem: ──┐
 *            └─────────────────────────────────── next id ◄────────────────────────────────────────┤
 *                                                                                                  ▼ no more
 *                                                               Redis: the line's claim, the cached customer ── answer
 *
 * Every step answers in bounded time, whatever is down; what could not be asked is told as such. */
#include "admin/internal.h"
#include "admin/view_parts.h"

#include "pcs/change/operate.h"
#include "pcs/core/clock.h"
#include "pcs/product/cached.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORIES_MAX     20
#define STORIES_DEFAULT 5
#define PEEKS           4

/* One look into Redis. */
struct peek {
    struct trace *trace;
    bool asked, answered;
    char *text; /* malloc'd; NULL: not there */
    size_t len;
    int64_t number;
};

struct trace {
    struct http_request *rq;
    struct admin *admin;
    struct buf out;
    char line[LINE_LEN + 1]; /* "": not known yet */
    char ids[STORIES_MAX][UUID_LEN + 1];
    int64_t requested[STORIES_MAX];
    size_t count, at, limit;
    bool by_line, history_out;
    struct journal_op op;
    struct history_query query;
    struct peek peeks[PEEKS];
    size_t waiting;
    void (*peeked)(struct trace *t);
};

static void next_story(struct trace *t);

static void trace_free(struct trace *t)
{
    for (size_t i = 0; i < PEEKS; i++) {
        free(t->peeks[i].text);
    }
    journal_op_clear(&t->op);
    history_query_clear(&t->query);
    buf_free(&t->out);
    free(t);
}

static void trace_fail(struct trace *t, const char *reason)
{
    struct http_request *rq = t->rq;
    trace_free(t);
    admin_unavailable(rq, reason);
}

/* ---- Redis ---- */

static void peek_done(struct trace *t)
{
    if (--t->waiting == 0) {
        t->peeked(t);
    }
}

static void on_peek(void *arg, enum redis_outcome outcome, const redisReply *reply)
{
    struct peek *p = arg;
    p->answered = outcome == REDIS_REPLIED && reply->type != REDIS_REPLY_ERROR;
    if (p->answered && reply->type == REDIS_REPLY_INTEGER) {
        p->number = reply->integer;
    } else if (p->answered && reply->type == REDIS_REPLY_STRING) {
        p->text = malloc(reply->len + 1);
        if (p->text) {
            memcpy(p->text, reply->str, reply->len);
            p->text[reply->len] = '\0';
            p->len = reply->len;
        }
    }
    peek_done(p->trace);
}

static void peek(struct trace *t, size_t at, const char *verb, const char *key)
{
    struct redis_arg args[] = {{verb, strlen(verb)}, {key, strlen(key)}};
    struct peek *p = &t->peeks[at];
    free(p->text);
    *p = (struct peek){.trace = t, .asked = true};
    if (redis_command(t->admin->parts.redis, 0, on_peek, p, args, 2)) {
        t->waiting++;
    }
}

static void peeks_begin(struct trace *t, void (*then)(struct trace *t))
{
    for (size_t i = 0; i < PEEKS; i++) {
        t->peeks[i].asked = t->peeks[i].answered = false;
    }
    t->peeked = then;
    t->waiting = 1;
}

/* ---- the end: what stands in Redis of the line ---- */

static void put_ttl(struct buf *b, const struct peek *p)
{
    if (p->answered && p->number >= 0) {
        buf_json_int(b, "ttlMilliseconds", p->number);
    }
}

static void put_line(struct trace *t)
{
    struct buf *b = &t->out;
    const struct peek *holder = &t->peeks[0], *value = &t->peeks[2];
    buf_json_open(b, "line", '{');
    buf_json_str(b, "lineNumber", t->line);
    buf_json_bool(b, "redisAnswered", holder->answered && value->answered);
    if (holder->text) {
        buf_json_open(b, "claim", '{');
        buf_json_str(b, "requestId", holder->text);
        put_ttl(b, &t->peeks[1]);
        buf_json_close(b, '}');
    }
    if (value->text) {
        struct cached_customer c;
        cached_customer_read(value->text, value->len, t->line, &c);
        buf_json_open(b, "cachedCustomer", '{');
        buf_json_str(b, "kind", cached_kind_name(c.kind));
        buf_json_time(b, "filledAt", c.filled_at);
        buf_json_str(b, "currentProductCode", c.product_code);
        buf_json_str(b, "lineStatus", c.kind == CACHED_VALUE ? line_status_name(c.status) : NULL);
        put_ttl(b, &t->peeks[3]);
        buf_json_close(b, '}');
    }
    buf_json_bool(b, "cacheBypassed", bypass_holds(t->line));
    buf_json_close(b, '}');
}

static void on_line_peeked(struct trace *t)
{
    struct http_request *rq = t->rq;
    struct buf out;
    buf_json_close(&t->out, ']');
    if (*t->line) {
        put_line(t);
    }
    out = t->out;
    buf_init(&t->out, 0);
    trace_free(t);
    admin_data_send(rq, &out, 200);
}

static void tell_line(struct trace *t)
{
    char key[CHANGE_KEY_MAX], customer[CACHED_KEY_MAX];
    peeks_begin(t, on_line_peeked);
    if (*t->line) {
        change_key_line(key, t->line);
        cached_customer_key(customer, t->line);
        peek(t, 0, "GET", key);
        peek(t, 1, "PTTL", key);
        peek(t, 2, "GET", customer);
        peek(t, 3, "PTTL", customer);
    }
    peek_done(t);
}

/* ---- one change ---- */

static void put_redis(struct trace *t)
{
    struct buf *b = &t->out;
    const struct peek *request = &t->peeks[0], *idem = &t->peeks[2];
    buf_json_open(b, "redis", '{');
    buf_json_bool(b, "answered", request->answered);
    if (request->text) {
        buf_json_open(b, "request", '{');
        put_ttl(b, &t->peeks[1]);
        view_json(b, "value", request->text);
        buf_json_close(b, '}');
    }
    if (idem->text) {
        buf_json_open(b, "idempotencyKey", '{');
        buf_json_str(b, "requestId", idem->text);
        put_ttl(b, &t->peeks[3]);
        buf_json_close(b, '}');
    }
    buf_json_close(b, '}');
}

static void put_history(struct trace *t)
{
    struct buf *b = &t->out;
    bool answered = t->query.status == HISTORY_OK || t->query.status == HISTORY_NOT_FOUND;
    buf_json_open(b, "history", '{');
    buf_json_bool(b, "answered", answered);
    if (t->query.status == HISTORY_OK && t->query.count) {
        view_record(b, "row", &t->query.rows[0]);
    }
    buf_json_close(b, '}');
}

static void not_found(struct trace *t)
{
    struct http_request *rq = t->rq;
    bool sure = !t->history_out;
    trace_free(t);
    if (sure) {
        admin_fail(rq, &admin_request_not_found, "neither the journal nor Redis nor PostgreSQL has it");
    } else {
        admin_unavailable(rq, "the journal does not have it, and PostgreSQL cannot be asked now");
    }
}

static void on_story_peeked(struct trace *t)
{
    bool in_history = t->query.status == HISTORY_OK && t->query.count > 0;
    const struct change_record *r = t->op.status == JOURNAL_OK ? &t->op.found
                                    : in_history               ? &t->query.rows[0]
                                                               : NULL;
    t->history_out |= t->query.status != HISTORY_OK && t->query.status != HISTORY_NOT_FOUND;
    if (!r && !t->peeks[0].text && !t->by_line) {
        not_found(t);
        return;
    }
    if (r && r->line && !*t->line) {
        snprintf(t->line, sizeof t->line, "%s", r->line);
    }
    buf_json_open(&t->out, NULL, '{');
    buf_json_str(&t->out, "requestId", t->ids[t->at]);
    view_story(&t->out, &t->op);
    put_history(t);
    put_redis(t);
    buf_json_close(&t->out, '}');
    t->at++;
    next_story(t);
}

static void ask_redis(struct trace *t)
{
    char key[CHANGE_KEY_MAX];
    const char *idem = t->op.status == JOURNAL_OK ? t->op.found.idem_key : NULL;
    peeks_begin(t, on_story_peeked);
    change_key_request(key, t->ids[t->at]);
    peek(t, 0, "GET", key);
    peek(t, 1, "PTTL", key);
    free(t->peeks[2].text);
    t->peeks[2].text = NULL;
    if (idem) {
        change_key_idem(key, idem);
        peek(t, 2, "GET", key);
        peek(t, 3, "PTTL", key);
    }
    peek_done(t);
}

static void on_row(struct history_query *q)
{
    ask_redis(q->arg);
}

static void on_story(struct journal_op *op)
{
    struct trace *t = op->arg;
    struct history *h = t->admin->parts.history;
    if (op->status != JOURNAL_OK && op->status != JOURNAL_NOT_FOUND) {
        trace_fail(t, "the journal cannot be read now");
        return;
    }
    history_query_clear(&t->query);
    t->query = (struct history_query){.kind = HISTORY_GET,
                                      .reply_to = &t->rq->reactor->inbox,
                                      .done = on_row,
                                      .arg = t,
                                      .request_id = t->ids[t->at]};
    if (!h || !history_submit(h, &t->query)) {
        t->query.status = HISTORY_UNAVAILABLE;
        ask_redis(t);
    }
}

static void ask_journal(struct trace *t, enum journal_verb verb, void (*done)(struct journal_op *op))
{
    journal_op_clear(&t->op);
    journal_op_init(&t->op, t->admin->parts.journal, verb, &t->rq->reactor->inbox, done, t);
    t->op.line = t->line;
    t->op.limit = (int64_t)t->limit;
    t->op.change.request_id = t->at < t->count ? t->ids[t->at] : NULL;
    if (!journal_submit(&t->op)) {
        trace_fail(t, "the journal's queue is full");
    }
}

static void next_story(struct trace *t)
{
    if (t->at == t->count) {
        tell_line(t);
    } else {
        ask_journal(t, JOURNAL_TRACE, on_story);
    }
}

/* ---- which changes of a line ---- */

static void take_id(struct trace *t, const struct change_record *r)
{
    size_t at = t->count;
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->ids[i], r->request_id) == 0) {
            return; /* forwarded between the two questions */
        }
    }
    while (at > 0 && t->requested[at - 1] < r->requested_at) {
        at--;
    }
    if (at == t->limit || strlen(r->request_id) != UUID_LEN) {
        return;
    }
    size_t last = t->count < t->limit ? t->count++ : t->limit - 1;
    for (size_t i = last; i > at; i--) {
        memcpy(t->ids[i], t->ids[i - 1], sizeof t->ids[i]);
        t->requested[i] = t->requested[i - 1];
    }
    memcpy(t->ids[at], r->request_id, UUID_LEN + 1);
    t->requested[at] = r->requested_at;
}

static void on_page(struct history_query *q)
{
    struct trace *t = q->arg;
    bool answered = q->status == HISTORY_OK || q->status == HISTORY_NOT_FOUND;
    for (size_t i = 0; q->status == HISTORY_OK && i < q->count; i++) {
        take_id(t, &q->rows[i]);
    }
    buf_json_bool(&t->out, "historyAnswered", answered);
    buf_json_open(&t->out, "stories", '[');
    next_story(t);
}

static void on_line_list(struct journal_op *op)
{
    struct trace *t = op->arg;
    struct history *h = t->admin->parts.history;
    if (op->status != JOURNAL_OK) {
        trace_fail(t, "the journal cannot be read now");
        return;
    }
    for (size_t i = 0; i < op->list_count; i++) {
        take_id(t, &op->list[i]);
    }
    t->query = (struct history_query){.kind = HISTORY_PAGE,
                                      .reply_to = &t->rq->reactor->inbox,
                                      .done = on_page,
                                      .arg = t,
                                      .line = t->line,
                                      .limit = (int64_t)t->limit};
    if (!h || !history_submit(h, &t->query)) {
        t->query.status = HISTORY_UNAVAILABLE;
        on_page(&t->query);
    }
}

void handle_trace(struct http_request *rq)
{
    bool twice = false;
    char parsed[UUID_LEN + 1];
    int64_t limit;
    const char *line, *id = http_query(rq, "id", &twice);
    if (!admin_query_line(rq, &line) ||
        !admin_query_int(rq, "limit", 1, STORIES_MAX, STORIES_DEFAULT, &limit)) {
        return;
    }
    if (twice || !id == !line || (id && !uuid_parse(id, strlen(id), parsed))) {
        admin_fail_field(rq, "id", "UUID 형식의 id 또는 line 중 하나를 지정해야 합니다",
                         "a UUID is required, or line instead");
        return;
    }
    struct trace *t = calloc(1, sizeof *t);
    if (!t) {
        admin_unavailable(rq, "no memory");
        return;
    }
    t->rq = rq;
    t->admin = admin_of(rq);
    t->by_line = line != NULL;
    t->limit = (size_t)limit;
    admin_data_open(&t->out);
    if (line) {
        memcpy(t->line, line, sizeof t->line);
        ask_journal(t, JOURNAL_LIST_LINE, on_line_list);
        return;
    }
    memcpy(t->ids[0], parsed, sizeof t->ids[0]);
    t->count = 1;
    rq->log_change = arena_strdup(&rq->arena, parsed);
    buf_json_open(&t->out, "stories", '[');
    next_story(t);
}
