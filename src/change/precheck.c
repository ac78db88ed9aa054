/* precheck.c - the three checks of UFR-PROD-030, as data. */
#include "pcs/change/precheck.h"

#include <string.h>

const char *const check_names[CHECKS] = {"PRODUCT_AVAILABLE", "OPERATOR_MATCH", "LINE_STATUS"};

static const char *const reason_names[CHECK_REASONS] = {
    "PASS",           "UNKNOWN_PRODUCT", "NOT_ON_SALE",  "OTHER_OPERATOR",
    "LINE_SUSPENDED", "LINE_TERMINATED", "LINE_UNKNOWN",
};

struct wording {
    const char *ko, *en;
};

static const struct wording pass_words[CHECKS] = {
    {"판매 중인 상품입니다", "The plan is on sale"},
    {"통신사가 일치합니다", "The plan belongs to your operator"},
    {"사용 중인 회선입니다", "The line is in use"},
};

static const struct wording fail_words[CHECK_REASONS] = {
    [CHECK_UNKNOWN_PRODUCT] = {"존재하지 않는 상품입니다", "There is no such plan"},
    [CHECK_NOT_ON_SALE] = {"현재 판매 중인 상품이 아닙니다", "The plan is not on sale"},
    [CHECK_OTHER_OPERATOR] = {"고객님의 통신사에서 이용할 수 없는 상품입니다",
                              "The plan is not offered by your operator"},
    [CHECK_LINE_SUSPENDED] = {"정지된 회선입니다", "The line is suspended"},
    [CHECK_LINE_TERMINATED] = {"해지된 회선입니다", "The line has been terminated"},
    [CHECK_LINE_UNKNOWN] = {"확인되지 않는 회선입니다", "The line is not known"},
};

struct precheck precheck_run(const struct product *target, const struct customer *customer,
                             const char *default_operator)
{
    struct precheck p = {{CHECK_PASS, CHECK_PASS, CHECK_PASS}};
    if (!target) {
        p.reason[CHECK_PRODUCT_AVAILABLE] = p.reason[CHECK_OPERATOR_MATCH] = CHECK_UNKNOWN_PRODUCT;
    } else {
        if (!target->available) {
            p.reason[CHECK_PRODUCT_AVAILABLE] = CHECK_NOT_ON_SALE;
        }
        if (!operator_matches(target, default_operator, customer ? customer->operator_code : NULL)) {
            p.reason[CHECK_OPERATOR_MATCH] = CHECK_OTHER_OPERATOR;
        }
    }
    if (!customer) {
        p.reason[CHECK_LINE_STATUS] = CHECK_LINE_UNKNOWN;
    } else if (customer->status == LINE_SUSPENDED) {
        p.reason[CHECK_LINE_STATUS] = CHECK_LINE_SUSPENDED;
    } else if (customer->status == LINE_TERMINATED) {
        p.reason[CHECK_LINE_STATUS] = CHECK_LINE_TERMINATED;
    }
    return p;
}

enum check precheck_first_failure(const struct precheck *p)
{
    for (enum check c = 0; c < CHECKS; c++) {
        if (p->reason[c] != CHECK_PASS) {
            return c;
        }
    }
    return CHECKS;
}

bool precheck_passed(const struct precheck *p)
{
    return precheck_first_failure(p) == CHECKS;
}

const char *check_text(enum check check, enum check_reason reason, bool english)
{
    const struct wording *w = reason == CHECK_PASS ? &pass_words[check] : &fail_words[reason];
    return english ? w->en : w->ko;
}

void precheck_json(struct buf *out, const char *name, const struct precheck *p, bool english)
{
    buf_json_open(out, name, '[');
    for (enum check c = 0; c < CHECKS; c++) {
        buf_json_open(out, NULL, '{');
        buf_json_str(out, "checkType", check_names[c]);
        buf_json_str(out, "result", p->reason[c] == CHECK_PASS ? "PASS" : "FAIL");
        buf_json_str(out, "message", check_text(c, p->reason[c], english));
        buf_json_close(out, '}');
    }
    buf_json_close(out, ']');
}

void precheck_encode(const struct precheck *p, char *out, size_t size)
{
    struct buf b;
    buf_init(&b, size - 1);
    for (enum check c = 0; c < CHECKS; c++) {
        if (c) {
            buf_putc(&b, ',');
        }
        buf_puts(&b, reason_names[p->reason[c]]);
    }
    out[0] = '\0';
    if (buf_ok(&b)) {
        memcpy(out, b.data, b.len + 1);
    }
    buf_free(&b);
}

static bool reason_parse(const char *text, size_t len, enum check_reason *out)
{
    for (int r = 0; r < CHECK_REASONS; r++) {
        if (strlen(reason_names[r]) == len && memcmp(reason_names[r], text, len) == 0) {
            *out = (enum check_reason)r;
            return true;
        }
    }
    return false;
}

bool precheck_decode(const char *text, struct precheck *out)
{
    for (enum check c = 0; c < CHECKS; c++) {
        size_t len = text ? strcspn(text, ",") : 0;
        if (!text || !reason_parse(text, len, &out->reason[c])) {
            return false;
        }
        text = text[len] ? text + len + 1 : NULL;
    }
    return text == NULL;
}

void precheck_failure_text(struct buf *out, const struct precheck *p, bool english)
{
    bool first = true;
    for (enum check c = 0; c < CHECKS; c++) {
        /* an unknown product fails two checks with one sentence: said once */
        bool repeated = c == CHECK_OPERATOR_MATCH && p->reason[c] == p->reason[CHECK_PRODUCT_AVAILABLE];
        if (p->reason[c] == CHECK_PASS || repeated) {
            continue;
        }
        if (!first) {
            buf_lit(out, ". ");
        }
        buf_puts(out, check_text(c, p->reason[c], english));
        first = false;
    }
}
