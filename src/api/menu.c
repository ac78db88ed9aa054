/* menu.c - GET /menu (UFR-PROD-010, SCR-005): the line, its customer, its product, and what may be done. */
#include "api/common.h"

#include "pcs/core/clock.h"

/* What nearly every menu ends in, ready-made. */
#define MENU_ITEMS(change, history)                                                                          \
    ",\"menuItems\":[{\"menuId\":\"PRODUCT_CHANGE\",\"menuName\":\"" change                                  \
    "\",\"available\":true},{\"menuId\":\"CHANGE_HISTORY\",\"menuName\":\"" history                          \
    "\",\"available\":true}]"

struct item_words {
    const char *id, *ko, *en;
};

#define CHANGE_KO  "상품 변경"
#define CHANGE_EN  "Change plan"
#define HISTORY_KO "변경 이력"
#define HISTORY_EN "Change history"

static const struct item_words change_item = {"PRODUCT_CHANGE", CHANGE_KO, CHANGE_EN};
static const struct item_words history_item = {"CHANGE_HISTORY", HISTORY_KO, HISTORY_EN};

static void put_item(struct buf *b, const struct item_words *item, bool english, const char *unavailable)
{
    buf_json_open(b, NULL, '{');
    buf_json_str(b, "menuId", item->id);
    buf_json_str(b, "menuName", english ? item->en : item->ko);
    buf_json_bool(b, "available", !unavailable);
    buf_json_str(b, "reason", unavailable);
    buf_json_close(b, '}');
}

static void put_items(struct buf *b, bool english)
{
    if (english) {
        buf_lit(b, MENU_ITEMS(CHANGE_EN, HISTORY_EN));
    } else {
        buf_lit(b, MENU_ITEMS(CHANGE_KO, HISTORY_KO));
    }
}

/* Line not in use, or its product unknown at KOS: a menu all the same, with the reason in it. */
static void put_limited(struct http_request *rq, struct buf *b, const struct store_customer *c)
{
    struct customer shown = c->customer;
    shown.line = rq->log_line;
    if (!shown.customer_id || !*shown.customer_id) {
        shown.customer_id = own_customer_id(rq, shown.line);
    }
    if (c->answer == STORE_NOT_ACTIVE && shown.status == LINE_ACTIVE) {
        shown.status = LINE_SUSPENDED;
    }
    customer_json(b, &shown);
}

static const char *why_unavailable(const struct http_request *rq, const struct store_customer *c)
{
    if (c->answer == STORE_NO_PRODUCT) {
        return say(rq, "현재 이용 중인 상품을 확인할 수 없습니다",
                   "The line's current plan could not be determined");
    }
    if (c->customer.status == LINE_TERMINATED) {
        return say(rq, "해지된 회선은 상품을 변경할 수 없습니다",
                   "The plan of a terminated line cannot be changed");
    }
    return say(rq, "정지된 회선은 상품을 변경할 수 없습니다",
               "The plan of a suspended line cannot be changed");
}

static void on_customer(void *arg, const struct store_customer *c)
{
    struct http_request *rq = arg;
    struct buf b;
    bool limited = c->answer == STORE_NOT_ACTIVE || c->answer == STORE_NO_PRODUCT;
    if (!limited && load_failed(rq, c, &problem_menu_failed)) {
        return;
    }
    data_open(rq, &b);
    if (limited) {
        put_limited(rq, &b, c);
        buf_json_open(&b, "menuItems", '[');
        put_item(&b, &change_item, rq->english, why_unavailable(rq, c));
        put_item(&b, &history_item, rq->english, NULL);
        buf_json_close(&b, ']');
    } else {
        put_customer(rq, &b, c->json, c->json_len);
        put_items(&b, rq->english);
    }
    data_send(rq, &b, 200, c->stale ? c->age_s : -1);
}

static void load_customer(struct http_request *rq, const char *line, store_customer_done done)
{
    struct api *api = api_of(rq);
    struct kos_caller caller = kos_caller_of(rq);
    uint64_t deadline = rq->started_ns + (uint64_t)api->config->read_deadline_ms * NS_PER_MS;
    if (!store_customer(api->store, line, STORE_SCREEN, &caller, deadline, done, rq)) {
        fail_plain(rq, &http_problem_internal_error, "no memory");
    }
}

void handle_menu(struct http_request *rq)
{
    const char *line;
    if (line_from_query(rq, &line)) {
        load_customer(rq, line, on_customer);
    }
}

/* ---- GET /api/v1/products/customer: the same without the menu ---- */

static void on_plain_customer(void *arg, const struct store_customer *c)
{
    struct http_request *rq = arg;
    struct buf b;
    if (load_failed(rq, c, &problem_menu_failed)) {
        return;
    }
    data_open(rq, &b);
    put_customer(rq, &b, c->json, c->json_len);
    data_send(rq, &b, 200, c->stale ? c->age_s : -1);
}

void handle_customer(struct http_request *rq)
{
    const char *line, *in_path = rq->params[0].name ? http_param(rq, "lineNumber") : NULL;
    if (in_path ? line_for_read(rq, in_path, &line) : line_from_query(rq, &line)) {
        load_customer(rq, line, on_plain_customer);
    }
}
