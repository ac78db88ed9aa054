/* result.c - how a change is told (CONTRACT.md 1, Result): status, words in two languages, next actions. */
#include "pcs/change/result.h"

#include "pcs/change/precheck.h"

#include <stdio.h>
#include <string.h>

#define DOUBT_KO "처리 중입니다. 다시 신청하지 마시고 변경 이력에서 결과를 확인해 주세요"
#define DOUBT_EN                                                                                             \
    "Your request is being processed. Please do not ask again; the result will be in your change history"

struct wording {
    const char *ko, *en;
};

/* One row a state: what the customer reads, and the contract's resultCode (NULL: KOS's own). */
static const struct state_words {
    const char *process_status, *code;
    struct wording message;
    struct wording reason;
} state_words[CHANGE_STATES] = {
    [CHANGE_ACCEPTED] = {"PROCESSING",
                         "PROCESSING",
                         {"상품 변경이 진행되었습니다", "Your plan change is under way"},
                         {0}},
    [CHANGE_SENDING] = {"PROCESSING",
                        "PROCESSING",
                        {"상품 변경이 진행되었습니다", "Your plan change is under way"},
                        {0}},
    [CHANGE_COMPLETED] = {"COMPLETED",
                          "0000",
                          {"상품 변경이 완료되었습니다", "Your plan has been changed"},
                          {0}},
    [CHANGE_REFUSED] = {"FAILED",
                        NULL,
                        {"상품 변경에 실패하였습니다", "Your plan could not be changed"},
                        {0}},
    [CHANGE_NOT_SENT] = {"FAILED",
                         "KOS_UNAVAILABLE",
                         {"시스템 일시 장애, 잠시 후 재시도",
                          "Temporary system failure, please try again shortly"},
                         {"통신사 시스템에 연결할 수 없어 신청이 접수되지 않았습니다",
                          "The carrier's system could not be reached; nothing was ordered"}},
    [CHANGE_NOT_APPLIED] = {"FAILED",
                            "NOT_APPLIED",
                            {"상품 변경에 실패하였습니다", "Your plan could not be changed"},
                            {"통신사에서 변경이 적용되지 않은 것으로 확인되었습니다",
                             "The carrier confirmed that the change was not applied"}},
    [CHANGE_INVALID] = {"FAILED",
                        "VALIDATION_FAILED",
                        {"상품 사전 체크에 실패하였습니다", "The plan pre-check failed"},
                        {0}},
    [CHANGE_CANCELLED] = {"FAILED",
                          "CANCELLED",
                          {"상품 변경에 실패하였습니다", "Your plan was not changed"},
                          {"고객님의 요청으로 신청이 취소되었습니다",
                           "The request was cancelled as you asked"}},
    [CHANGE_EXPIRED] = {"FAILED",
                        "EXPIRED",
                        {"상품 변경에 실패하였습니다", "Your plan could not be changed"},
                        {"처리 가능 시간이 지나 신청이 만료되었습니다",
                         "The request expired before it could be processed"}},
};

/* KOS's order codes (CONTRACT.md 2) and what they mean to a customer. */
static const struct kos_words {
    const char *code;
    struct wording guidance;
} kos_words[] = {
    {"2001",
     {"통신사에서 회선을 찾을 수 없습니다. 고객센터로 문의해 주세요",
      "The carrier does not know this line. Please contact support"}},
    {"2002",
     {"사용 중이 아닌 회선은 상품을 변경할 수 없습니다",
      "The plan of a line that is not in use cannot be changed"}},
    {"2003",
     {"존재하지 않는 상품입니다. 다른 상품을 선택해 주세요", "There is no such plan. Please choose another"}},
    {"2004",
     {"판매가 종료된 상품입니다. 다른 상품을 선택해 주세요",
      "The plan is no longer on sale. Please choose another"}},
    {"2005",
     {"고객님의 통신사에서 이용할 수 없는 상품입니다. 다른 상품을 선택해 주세요",
      "The plan is not offered by your operator. Please choose another"}},
    {"2099",
     {"통신사에서 변경을 적용하지 못했습니다. 잠시 후 다시 신청해 주세요",
      "The carrier could not apply the change. Please try again later"}},
};

static const char *say(const struct wording *w, bool english)
{
    return english ? w->en : w->ko;
}

const char *result_kos_guidance(const char *kos_code, bool english)
{
    for (size_t i = 0; kos_code && i < sizeof kos_words / sizeof kos_words[0]; i++) {
        if (strcmp(kos_words[i].code, kos_code) == 0) {
            return say(&kos_words[i].guidance, english);
        }
    }
    return NULL;
}

static bool pending(const struct change_record *c)
{
    return c->state == CHANGE_ACCEPTED && c->held;
}

const char *result_process_status(const struct change_record *c)
{
    return pending(c) ? "PENDING" : state_words[c->state].process_status;
}

const char *result_code(const struct change_record *c)
{
    if (pending(c)) {
        return "PENDING";
    }
    if (state_words[c->state].code) {
        return state_words[c->state].code;
    }
    return c->result_code ? c->result_code : "UNKNOWN";
}

const char *result_message(const struct change_record *c, bool english)
{
    static const struct wording held = {"통신사 연결이 회복되면 자동으로 신청됩니다",
                                        "Your request will be sent when the carrier is back"};
    if (pending(c)) {
        return say(&held, english);
    }
    if (c->state == CHANGE_SENDING && c->in_doubt) {
        return english ? DOUBT_EN : DOUBT_KO;
    }
    return say(&state_words[c->state].message, english);
}

bool result_cancellable(const struct change_record *c)
{
    return c->state == CHANGE_ACCEPTED;
}

const char *result_failure_reason(const struct change_record *c, bool english, char *scratch, size_t size)
{
    struct precheck checks;
    if (!change_state_final(c->state) || c->state == CHANGE_COMPLETED) {
        return NULL;
    }
    if (!english && c->failure_reason) {
        return c->failure_reason;
    }
    if (c->state == CHANGE_INVALID && c->check_codes && precheck_decode(c->check_codes, &checks)) {
        struct buf b;
        buf_init(&b, size - 1);
        precheck_failure_text(&b, &checks, english);
        snprintf(scratch, size, "%s", buf_ok(&b) && b.data ? b.data : "");
        buf_free(&b);
        return scratch;
    }
    if (c->state == CHANGE_REFUSED) {
        const char *guidance = result_kos_guidance(c->result_code, english);
        return guidance ? guidance : c->failure_reason;
    }
    const char *words = say(&state_words[c->state].reason, english);
    return words ? words : c->failure_reason;
}

void result_finish(struct change_record *c, const char *kos_code, const char *kos_reason)
{
    const struct state_words *w = &state_words[c->state];
    c->result_code = w->code ? w->code : kos_code;
    c->result_message = w->message.ko;
    if (c->state == CHANGE_REFUSED) {
        const char *guidance = result_kos_guidance(kos_code, false);
        c->failure_reason = kos_reason && *kos_reason ? kos_reason : guidance ? guidance : w->message.ko;
    } else if (w->reason.ko) {
        c->failure_reason = w->reason.ko;
    }
}

void result_href(struct buf *out, const char *request_id, const struct result_view *view)
{
    if (view->frontend) {
        buf_lit(out, "/api/v1/products/change/");
    } else {
        buf_puts(out, view->prefix);
        buf_lit(out, "/request/");
    }
    buf_puts(out, request_id);
}

enum action { WAIT, RETRY, CHOOSE_ANOTHER, CANCEL, VIEW_MENU, VIEW_HISTORY, CONTACT_SUPPORT };

static const struct {
    const char *name;
    struct wording label;
    const char *core, *frontend; /* NULL: the change's own path; "": no href */
} actions[] = {
    [WAIT] = {"WAIT", {"처리 결과 기다리기", "Wait for the result"}, NULL, NULL},
    [RETRY] = {"RETRY", {"다시 신청하기", "Try again"}, "/request", "/api/v1/products/change"},
    [CHOOSE_ANOTHER] = {"CHOOSE_ANOTHER",
                        {"다른 상품 선택하기", "Choose another plan"},
                        "/change",
                        "/api/v1/products/available"},
    [CANCEL] = {"CANCEL", {"신청 취소하기", "Cancel the request"}, NULL, NULL},
    [VIEW_MENU] = {"VIEW_MENU",
                   {"상품 변경 메뉴로 이동", "Go to the menu"},
                   "/menu",
                   "/api/v1/products/menu"},
    [VIEW_HISTORY] = {"VIEW_HISTORY",
                      {"변경 이력 보기", "See the change history"},
                      "/history",
                      "/api/v1/products/history"},
    [CONTACT_SUPPORT] = {"CONTACT_SUPPORT", {"고객센터 문의하기", "Contact support"}, "", ""},
};

static void put_action(struct buf *out, enum action a, const char *request_id, const struct result_view *view)
{
    const char *path = view->frontend ? actions[a].frontend : actions[a].core;
    buf_json_open(out, NULL, '{');
    buf_json_str(out, "action", actions[a].name);
    buf_json_str(out, "label", say(&actions[a].label, view->english));
    if (!path || *path) {
        struct buf href;
        buf_init(&href, 512);
        if (!path) {
            result_href(&href, request_id, view);
        } else {
            if (!view->frontend) {
                buf_puts(&href, view->prefix);
            }
            buf_puts(&href, path);
        }
        if (buf_ok(&href)) {
            buf_json_strn(out, "href", href.data, href.len);
        }
        buf_free(&href);
    }
    buf_json_close(out, '}');
}

/* What to do after KOS's refusal depends on its code. */
static size_t after_refusal(const char *code, enum action *out)
{
    size_t n = 0;
    if (code && (strcmp(code, "2003") == 0 || strcmp(code, "2004") == 0 || strcmp(code, "2005") == 0)) {
        out[n++] = CHOOSE_ANOTHER;
    } else if (code && strcmp(code, "2099") == 0) {
        out[n++] = RETRY;
    }
    out[n++] = VIEW_MENU;
    out[n++] = CONTACT_SUPPORT;
    return n;
}

static size_t after_invalid(const struct change_record *c, enum action *out)
{
    struct precheck checks;
    size_t n = 0;
    bool line_fails = c->check_codes && precheck_decode(c->check_codes, &checks) &&
                      checks.reason[CHECK_LINE_STATUS] != CHECK_PASS;
    out[n++] = line_fails ? CONTACT_SUPPORT : CHOOSE_ANOTHER;
    out[n++] = VIEW_MENU;
    return n;
}

static size_t choose_actions(const struct change_record *c, enum action *out)
{
    size_t n = 0;
    switch (c->state) {
    case CHANGE_ACCEPTED:
        out[n++] = WAIT;
        out[n++] = CANCEL;
        out[n++] = VIEW_HISTORY;
        return n;
    case CHANGE_SENDING:
        out[n++] = WAIT;
        out[n++] = VIEW_HISTORY;
        if (c->on_operator_list) {
            out[n++] = CONTACT_SUPPORT;
        }
        return n;
    case CHANGE_COMPLETED:
        out[n++] = VIEW_MENU;
        out[n++] = VIEW_HISTORY;
        return n;
    case CHANGE_REFUSED:
        return after_refusal(c->result_code, out);
    case CHANGE_INVALID:
        return after_invalid(c, out);
    default: /* NOT_SENT, NOT_APPLIED, CANCELLED, EXPIRED */
        out[n++] = RETRY;
        out[n++] = VIEW_MENU;
        if (c->state == CHANGE_NOT_APPLIED) {
            out[n++] = CONTACT_SUPPORT;
        }
        return n;
    }
}

void result_next_actions(struct buf *out, const char *name, const struct change_record *c,
                         const struct result_view *view)
{
    enum action chosen[4];
    size_t n = choose_actions(c, chosen);
    buf_json_open(out, name, '[');
    for (size_t i = 0; i < n; i++) {
        put_action(out, chosen[i], c->request_id, view);
    }
    buf_json_close(out, ']');
}

void result_json(struct buf *out, const char *name, const struct change_record *c,
                 const struct result_view *view)
{
    char scratch[512];
    buf_json_open(out, name, '{');
    buf_json_str(out, "requestId", c->request_id);
    buf_json_str(out, "lineNumber", c->line);
    buf_json_str(out, "processStatus", result_process_status(c));
    buf_json_str(out, "currentProductCode", c->current_code);
    buf_json_str(out, "targetProductCode", c->target_code);
    buf_json_time(out, "requestedAt", c->requested_at);
    buf_json_time(out, "processedAt", c->processed_at);
    buf_json_str(out, "resultCode", result_code(c));
    buf_json_str(out, "resultMessage", result_message(c, view->english));
    buf_json_str(out, "failureReason", result_failure_reason(c, view->english, scratch, sizeof scratch));
    if (c->state == CHANGE_COMPLETED && c->changed_product_json) {
        buf_json_raw(out, "changedProduct", c->changed_product_json, strlen(c->changed_product_json));
    }
    buf_json_str(out, "kosOrderNumber", c->kos_order_number);
    if (c->state == CHANGE_SENDING && c->in_doubt) {
        buf_json_bool(out, "inDoubt", true);
        buf_json_time(out, "nextCheckAt", c->next_check_at);
    }
    if (c->state == CHANGE_ACCEPTED) {
        buf_json_time(out, "expiresAt", c->expires_at);
    }
    buf_json_bool(out, "cancellable", result_cancellable(c));
    if (view->retry_after) {
        buf_json_int(out, "retryAfterSeconds", view->retry_after);
    }
    result_next_actions(out, "nextActions", c, view);
    buf_json_close(out, '}');
}

void result_history_item(struct buf *out, const struct change_record *c, const struct result_view *view)
{
    buf_json_open(out, NULL, '{');
    buf_json_str(out, "requestId", c->request_id);
    buf_json_str(out, "lineNumber", c->line);
    buf_json_str(out, "processStatus", result_process_status(c));
    buf_json_str(out, "currentProductCode", c->current_code);
    buf_json_str(out, "currentProductName", c->current_name);
    buf_json_str(out, "targetProductCode", c->target_code);
    buf_json_str(out, "targetProductName", c->target_name);
    buf_json_time(out, "requestedAt", c->requested_at);
    buf_json_time(out, "processedAt", c->processed_at);
    buf_json_str(out, "resultCode", result_code(c));
    buf_json_str(out, "resultMessage", result_message(c, view->english));
    buf_json_close(out, '}');
}
