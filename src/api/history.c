/* history.c - GET /history (UFR-PROD-040): PostgreSQL's rows and this instance's open or not yet forwarded
 * changes, each once, newest first. */
#include "api/common.h"

#include "pcs/core/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_MAX_PAGE 100
#define LOCAL_MAX     1000 /* changes of one line that have not reached PostgreSQL */
#define DAY_MS        INT64_C(86400000)

/* The journal is asked first; PostgreSQL then leaves out what the journal had, so that a row that is
 * forwarded in between is still told once. Both always answer, so the request cannot end before them. */
struct listing {
    struct http_request *rq;
    const char *line;
    int64_t from_ms, until_ms, page, size;
    struct journal_op op;
    struct history_query query;
    struct change_record *local; /* newest first, within the dates */
    size_t local_count;
};

static void listing_free(struct listing *l)
{
    journal_op_clear(&l->op);
    history_query_clear(&l->query);
    free(l->local);
    free((void *)(uintptr_t)l->query.exclude);
    free(l);
}

static bool newer(const struct change_record *a, const struct change_record *b)
{
    return a->requested_at != b->requested_at ? a->requested_at > b->requested_at
                                              : strcmp(a->request_id, b->request_id) > 0;
}

/* Merges both lists, each newest first, and writes the page's items. first: position of PostgreSQL's first
 * row. */
static void put_page(struct buf *b, const struct listing *l, int64_t first)
{
    struct result_view view = view_of(l->rq);
    int64_t start = (l->page - 1) * l->size, at = first;
    size_t i = 0, j = 0;
    /* local rows newer than everything skipped in PostgreSQL come before first */
    while (at < start + l->size && (i < l->local_count || j < l->query.count)) {
        const struct change_record *next;
        bool local = j == l->query.count || (i < l->local_count && newer(&l->local[i], &l->query.rows[j]));
        next = local ? &l->local[i++] : &l->query.rows[j++];
        if (at >= start) {
            result_history_item(b, next, &view);
        }
        at++;
    }
}

static void put_pagination(struct buf *b, int64_t page, int64_t size, int64_t total)
{
    int64_t pages = (total + size - 1) / size;
    buf_json_open(b, "pagination", '{');
    buf_json_int(b, "page", page);
    buf_json_int(b, "size", size);
    buf_json_int(b, "totalElements", total);
    buf_json_int(b, "totalPages", pages);
    buf_json_bool(b, "hasNext", page < pages);
    buf_json_bool(b, "hasPrevious", page > 1 && total > 0);
    buf_json_close(b, '}');
}

static void on_history(struct history_query *q)
{
    struct listing *l = q->arg;
    struct http_request *rq = l->rq;
    if (q->status != HISTORY_OK) {
        listing_free(l);
        fail_unavailable(rq, &http_problem_service_unavailable, 0, "history not available");
        return;
    }
    int64_t total = q->total + (int64_t)l->local_count;
    char count[24];
    struct http_header header = {"X-Total-Count", count};
    struct buf b;
    snprintf(count, sizeof count, "%lld", (long long)total);
    buf_init(&b, ANSWER_MAX);
    buf_lit(&b, "{\"success\":true,\"data\":{");
    buf_json_open(&b, "history", '[');
    put_page(&b, l, q->offset);
    buf_json_close(&b, ']');
    put_pagination(&b, l->page, l->size, total);
    buf_lit(&b, "}}");
    size_t len;
    char *body = buf_steal(&b, &len);
    listing_free(l);
    if (!body) {
        fail_plain(rq, &http_problem_internal_error, "no memory for the answer");
        return;
    }
    http_reply(rq, 200, "application/json; charset=utf-8", body, len, &header, 1);
}

static bool keep_local(struct listing *l, const struct journal_op *op)
{
    const char **exclude = calloc(op->list_count + 1, sizeof *exclude);
    l->local = calloc(op->list_count + 1, sizeof *l->local);
    l->query.exclude = exclude;
    if (!l->local || !exclude) {
        return false;
    }
    for (size_t i = 0; i < op->list_count; i++) {
        const struct change_record *c = &op->list[i];
        exclude[l->query.exclude_count++] = c->request_id;
        if ((!l->from_ms || c->requested_at >= l->from_ms) &&
            (!l->until_ms || c->requested_at < l->until_ms)) {
            l->local[l->local_count++] = *c;
        }
    }
    return true;
}

static void on_journal(struct journal_op *op)
{
    struct listing *l = op->arg;
    struct http_request *rq = l->rq;
    struct history *history = api_of(rq)->shared->history;
    if (op->status != JOURNAL_OK || !keep_local(l, op)) {
        listing_free(l);
        fail_unavailable(rq, &http_problem_service_unavailable, 0, "journal could not be read");
        return;
    }
    /* As many local rows as there are may stand before the page: start that much earlier, and read that much
     * more. */
    int64_t start = (l->page - 1) * l->size, local = (int64_t)l->local_count;
    l->query.kind = HISTORY_PAGE;
    l->query.reply_to = &rq->reactor->inbox;
    l->query.done = on_history;
    l->query.arg = l;
    l->query.line = l->line;
    l->query.from_ms = l->from_ms;
    l->query.until_ms = l->until_ms;
    l->query.offset = start > local ? start - local : 0;
    l->query.limit = l->size + local;
    if (!history || !history_submit(history, &l->query)) {
        listing_free(l);
        fail_unavailable(rq, &http_problem_service_unavailable, 0, "history queue full");
    }
}

static bool date_from_query(struct http_request *rq, const char *name, int64_t *ms)
{
    const char *text;
    *ms = 0;
    if (!query_once(rq, name, &text)) {
        return false;
    }
    if (text && !clock_parse_seoul_date(text, strlen(text), ms)) {
        fail_field(rq, name, "yyyy-MM-dd 형식의 날짜여야 합니다", "must be a day, yyyy-MM-dd");
        return false;
    }
    return true;
}

void handle_history(struct http_request *rq)
{
    struct listing in = {.rq = rq};
    if (!line_from_query(rq, &in.line) || !date_from_query(rq, "startDate", &in.from_ms) ||
        !date_from_query(rq, "endDate", &in.until_ms) || !query_int(rq, "page", 1, 1000000, 1, &in.page) ||
        !query_int(rq, "size", 1, SIZE_MAX_PAGE, 10, &in.size)) {
        return;
    }
    if (in.from_ms && in.until_ms && in.from_ms > in.until_ms) {
        fail_field(rq, "startDate", "종료일보다 늦을 수 없습니다", "must not be after endDate");
        return;
    }
    if (in.until_ms) {
        in.until_ms += DAY_MS; /* endDate is inclusive */
    }
    struct listing *l = malloc(sizeof *l);
    if (!l) {
        fail_plain(rq, &http_problem_internal_error, "no memory");
        return;
    }
    *l = in;
    journal_op_init(&l->op, api_of(rq)->shared->journal, JOURNAL_LIST_LINE, &rq->reactor->inbox, on_journal,
                    l);
    l->op.line = l->line;
    l->op.limit = LOCAL_MAX;
    if (!journal_submit(&l->op)) {
        listing_free(l);
        fail_unavailable(rq, &http_problem_service_unavailable, 0, "journal queue full");
    }
}
