/* change_screen.c - GET /change (UFR-PROD-020, SCR-006) and GET …/available: what the line may change to. */
#include "api/common.h"

#include "pcs/change/precheck.h"
#include "pcs/core/clock.h"

#include <string.h>

/* Customer and catalogue are loaded side by side; the later one answers. */
struct screen {
    struct http_request *rq;
    struct store_load *customer_load, *catalogue_load;
    char *customer_json; /* kept in the request's arena, since the other may come later */
    size_t customer_json_len;
    const char *current_code, *operator_code;
    int64_t current_fee;
    int64_t age_s; /* of the older stale part, -1: none is stale */
    struct catalogue *catalogue;
    bool answered;
};

static void put_products(struct buf *b, const struct screen *s, const char *default_operator, size_t *count)
{
    buf_json_open(b, "products", '[');
    for (size_t i = 0; i < s->catalogue->count; i++) {
        const struct product *p = &s->catalogue->products[i];
        if (!p->available || strcmp(p->code, s->current_code) == 0 ||
            !operator_matches(p, default_operator, s->operator_code)) {
            continue;
        }
        buf_json_open(b, NULL, '{');
        buf_puts(b, s->catalogue->json[i]);
        buf_json_int(b, "monthlyFeeDifference", p->monthly_fee - s->current_fee);
        buf_json_close(b, '}');
        ++*count;
    }
    buf_json_close(b, ']');
}

static void put_unavailable(struct buf *b, const struct screen *s, const char *default_operator, bool english)
{
    buf_json_open(b, "unavailable", '[');
    for (size_t i = 0; i < s->catalogue->count; i++) {
        const struct product *p = &s->catalogue->products[i];
        bool matches = operator_matches(p, default_operator, s->operator_code);
        if ((p->available && matches) || strcmp(p->code, s->current_code) == 0) {
            continue;
        }
        enum check check = p->available ? CHECK_OPERATOR_MATCH : CHECK_PRODUCT_AVAILABLE;
        buf_json_open(b, NULL, '{');
        buf_json_str(b, "productCode", p->code);
        buf_json_str(b, "productName", p->name);
        buf_json_str(b, "reasonCode", check_names[check]);
        buf_json_str(b, "reason",
                     check_text(check, p->available ? CHECK_OTHER_OPERATOR : CHECK_NOT_ON_SALE, english));
        buf_json_close(b, '}');
    }
    buf_json_close(b, ']');
}

static void screen_answer(struct screen *s)
{
    struct http_request *rq = s->rq;
    const char *default_operator = kos_settings(api_of(rq)->kos)->default_operator;
    size_t count = 0;
    struct buf b;
    data_open(rq, &b);
    put_customer(rq, &b, s->customer_json, s->customer_json_len);
    put_products(&b, s, default_operator, &count);
    buf_json_int(&b, "totalCount", (int64_t)count);
    put_unavailable(&b, s, default_operator, rq->english);
    data_send(rq, &b, 200, s->age_s);
}

static void screen_part_done(struct screen *s)
{
    if (!s->customer_load && !s->catalogue_load && !s->answered) {
        screen_answer(s);
    }
}

/* The first part that fails answers for both; the other is cancelled. */
static void screen_give_up(struct screen *s)
{
    s->answered = true;
    if (s->customer_load) {
        store_cancel(s->customer_load);
    }
    if (s->catalogue_load) {
        store_cancel(s->catalogue_load);
    }
    s->customer_load = s->catalogue_load = NULL;
}

static void note_age(struct screen *s, bool stale, int64_t age_s)
{
    if (stale && age_s > s->age_s) {
        s->age_s = age_s;
    }
}

static void on_customer(void *arg, const struct store_customer *c)
{
    struct screen *s = arg;
    struct arena *arena = &s->rq->arena;
    s->customer_load = NULL;
    if (c->answer != STORE_OK) {
        screen_give_up(s);
        (void)load_failed(s->rq, c, &problem_screen_failed);
        return;
    }
    s->customer_json = arena_strndup(arena, c->json, c->json_len);
    s->customer_json_len = c->json_len;
    s->current_code = arena_strdup(arena, c->customer.product.code);
    s->operator_code = c->customer.operator_code ? arena_strdup(arena, c->customer.operator_code) : NULL;
    s->current_fee = c->customer.product.monthly_fee;
    if (!s->customer_json || !s->current_code || !s->operator_code != !c->customer.operator_code) {
        screen_give_up(s); /* an operator that is lost would be taken for an unknown one, which matches any */
        fail_plain(s->rq, &http_problem_internal_error, "no memory");
        return;
    }
    note_age(s, c->stale, c->age_s);
    screen_part_done(s);
}

static void release_catalogue(void *catalogue)
{
    catalogue_unref(catalogue);
}

static bool keep_catalogue(struct http_request *rq, const struct store_catalogue *c)
{
    if (!arena_on_free(&rq->arena, release_catalogue, c->catalogue)) {
        return false;
    }
    c->catalogue->refs++;
    return true;
}

static void on_catalogue(void *arg, const struct store_catalogue *c)
{
    struct screen *s = arg;
    s->catalogue_load = NULL;
    if (c->answer != STORE_OK) {
        screen_give_up(s);
        fail_unavailable(s->rq, &problem_screen_failed, c->retry_after_ns, c->reason);
        return;
    }
    if (!keep_catalogue(s->rq, c)) {
        screen_give_up(s);
        fail_plain(s->rq, &http_problem_internal_error, "no memory");
        return;
    }
    s->catalogue = c->catalogue;
    note_age(s, c->stale, c->age_s);
    screen_part_done(s);
}

static uint64_t read_deadline(const struct http_request *rq)
{
    return rq->started_ns + (uint64_t)api_of(rq)->config->read_deadline_ms * NS_PER_MS;
}

void handle_change_screen(struct http_request *rq)
{
    struct api *api = api_of(rq);
    struct kos_caller caller = kos_caller_of(rq);
    const char *line;
    if (!line_from_query(rq, &line)) {
        return;
    }
    struct screen *s = arena_zalloc(&rq->arena, sizeof *s);
    if (s) {
        s->rq = rq;
        s->age_s = -1;
        s->customer_load =
            store_customer(api->store, line, STORE_SCREEN, &caller, read_deadline(rq), on_customer, s);
        s->catalogue_load = s->customer_load
                                ? store_catalogue(api->store, &caller, read_deadline(rq), on_catalogue, s)
                                : NULL;
    }
    if (!s || !s->catalogue_load) {
        if (s) {
            screen_give_up(s);
        }
        fail_plain(rq, &http_problem_internal_error, "no memory");
    }
}

/* ---- GET /api/v1/products/available: no customer look-up ---- */

struct available {
    struct http_request *rq;
    const char *current, *operator_code;
};

static void on_available(void *arg, const struct store_catalogue *c)
{
    struct available *a = arg;
    struct http_request *rq = a->rq;
    const char *default_operator = kos_settings(api_of(rq)->kos)->default_operator;
    int64_t count = 0;
    struct buf b;
    if (c->answer != STORE_OK) {
        fail_unavailable(rq, &problem_screen_failed, c->retry_after_ns, c->reason);
        return;
    }
    data_open(rq, &b);
    buf_json_open(&b, "products", '[');
    for (size_t i = 0; i < c->catalogue->count; i++) {
        const struct product *p = &c->catalogue->products[i];
        bool current = a->current && strcmp(p->code, a->current) == 0;
        if (!p->available || current ||
            (a->operator_code && !operator_matches(p, default_operator, a->operator_code))) {
            continue;
        }
        buf_json_open(&b, NULL, '{');
        buf_puts(&b, c->catalogue->json[i]);
        buf_json_close(&b, '}');
        count++;
    }
    buf_json_close(&b, ']');
    buf_json_int(&b, "totalCount", count);
    data_send(rq, &b, 200, c->stale ? c->age_s : -1);
}

/* ?currentProductCode=&operatorCode= : named, and left open */
static bool text_from_query(struct http_request *rq, const char *name, const char **text)
{
    if (!query_once(rq, name, text)) {
        return false;
    }
    if (*text && !**text) {
        *text = NULL;
    }
    return true;
}

static bool code_from_query(struct http_request *rq, const char *name, const char **code)
{
    if (!text_from_query(rq, name, code)) {
        return false;
    }
    if (*code && !product_code_valid(*code, strlen(*code))) {
        fail_field(rq, name, "영문, 숫자, '_', '.', '-'로 된 50자 이내의 코드여야 합니다",
                   "must be 1 to 50 letters, digits, '_', '.' or '-'");
        return false;
    }
    return true;
}

void handle_available(struct http_request *rq)
{
    struct api *api = api_of(rq);
    struct kos_caller caller = kos_caller_of(rq);
    struct available *a = arena_zalloc(&rq->arena, sizeof *a);
    if (!a) {
        fail_plain(rq, &http_problem_internal_error, "no memory");
        return;
    }
    a->rq = rq;
    if (!code_from_query(rq, "currentProductCode", &a->current) ||
        !text_from_query(rq, "operatorCode", &a->operator_code)) { /* KOS's own word, whatever its form */
        return;
    }
    if (!store_catalogue(api->store, &caller, read_deadline(rq), on_available, a)) {
        fail_plain(rq, &http_problem_internal_error, "no memory");
    }
}
