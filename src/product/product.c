/* product.c - lines, codes, and the JSON of products and customers (CONTRACT.md 1, Objects). */
#include "pcs/product/product.h"

#include <string.h>

const char *line_status_name(enum line_status s)
{
    switch (s) {
    case LINE_ACTIVE:
        return "ACTIVE";
    case LINE_TERMINATED:
        return "TERMINATED";
    case LINE_SUSPENDED:
        break;
    }
    return "SUSPENDED";
}

bool line_parse(const char *text, size_t len, char out[LINE_LEN + 1])
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '-') {
            continue;
        }
        if (text[i] < '0' || text[i] > '9' || n == LINE_LEN) {
            return false;
        }
        out[n++] = text[i];
    }
    out[n] = '\0';
    return n == LINE_LEN && memcmp(out, "010", 3) == 0;
}

bool product_code_valid(const char *text, size_t len)
{
    if (len == 0 || len > PRODUCT_CODE_MAX) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool digit = c >= '0' && c <= '9';
        if (!letter && !digit && c != '_' && c != '.' && c != '-') {
            return false;
        }
    }
    return true;
}

static const char *allowance_text(const char *text)
{
    return text ? text : "정보 없음";
}

void product_json(struct buf *out, const struct product *p)
{
    buf_json_str(out, "productCode", p->code);
    buf_json_str(out, "productName", p->name);
    buf_json_int(out, "monthlyFee", p->monthly_fee);
    buf_json_str(out, "dataAllowance", allowance_text(p->data_allowance));
    buf_json_str(out, "voiceAllowance", allowance_text(p->voice_allowance));
    buf_json_str(out, "smsAllowance", allowance_text(p->sms_allowance));
    buf_json_bool(out, "isAvailable", p->available);
    buf_json_bool(out, "available", p->available);
    buf_json_str(out, "operatorCode", p->operator_code);
    buf_json_str(out, "networkType", p->network_type);
    buf_json_str(out, "description", p->description);
}

void customer_json(struct buf *out, const struct customer *c)
{
    buf_json_str(out, "customerId", c->customer_id);
    buf_json_str(out, "lineNumber", c->line);
    buf_json_str(out, "customerName", c->name);
    buf_json_str(out, "lineStatus", line_status_name(c->status));
    if (c->has_product) {
        buf_json_open(out, "currentProduct", '{');
        product_json(out, &c->product);
        buf_json_close(out, '}');
    }
    if (c->contract_date) {
        buf_json_open(out, "contractInfo", '{');
        buf_json_str(out, "contractDate", c->contract_date);
        buf_json_close(out, '}');
    }
}

bool operator_matches(const struct product *p, const char *default_operator, const char *line_operator)
{
    const char *own = p->operator_code && *p->operator_code ? p->operator_code : default_operator;
    if (!own || !*own || !line_operator || !*line_operator) {
        return true;
    }
    return strcmp(own, line_operator) == 0;
}
