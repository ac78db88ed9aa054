/* What KOS answers: the envelope {success, resultCode, resultMessage, data?, timestamp?, traceId?} with
 * HTTP 200 even for failures, camelCase for inquiry and order, snake_case for the list (contract, 2). */
#include "kos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JSON_TYPE "application/json"

static const struct message {
    const char *code;
    const char *text;
} messages[] = {
    {"0000", "정상 처리되었습니다"},
    {"2001", "존재하지 않는 회선번호입니다"},
    {"2002", "사용 중인 회선이 아닙니다"},
    {"2003", "존재하지 않는 상품입니다"},
    {"2004", "판매 중인 상품이 아닙니다"},
    {"2005", "사업자가 일치하지 않는 상품입니다"},
    {"2099", "상품 변경 처리에 실패하였습니다"},
    {"3001", "존재하지 않는 회선번호입니다"},
    {"3002", "사용 중인 회선이 아닙니다"},
    {"3003", "회선의 상품 정보를 찾을 수 없습니다"},
    {"9001", "requestId는 필수입니다"},
    {"9002", "회선번호 형식이 올바르지 않습니다"},
    {"9003", "상품코드는 필수입니다"},
    {"9004", "요청 본문을 읽을 수 없습니다"},
};

const char *kos_message(const char *code)
{
    size_t i;

    for (i = 0; i < sizeof messages / sizeof *messages; i++)
        if (strcmp(messages[i].code, code) == 0)
            return messages[i].text;
    return "시스템 오류가 발생하였습니다";
}

/* An object being written whose fields may be overridden by a customer's "inquiry" member. */
struct section {
    struct sim_buf *out;
    const cJSON *over; /* NULL = nothing */
    bool first;
};

static struct section open_section(struct sim_buf *out, const cJSON *all, const char *name)
{
    struct section s = {out, cJSON_GetObjectItemCaseSensitive(all, name), true};

    sim_buf_str(out, "{");
    return s;
}

static void key(struct section *s, const char *name)
{
    sim_buf_fmt(s->out, "%s\"%s\":", s->first ? "" : ",", name);
    s->first = false;
}

/* True when the override has taken the field (written, or left out). */
static bool overridden(struct section *s, const char *name)
{
    const cJSON *item = s->over ? cJSON_GetObjectItemCaseSensitive(s->over, name) : NULL;
    char *text;

    if (!item)
        return false;
    if (cJSON_IsString(item) && strcmp(item->valuestring, KOS_OMIT) == 0)
        return true;
    text = cJSON_PrintUnformatted(item);
    key(s, name);
    sim_buf_str(s->out, text);
    free(text);
    return true;
}

/* `json` is written as it is; NULL leaves the field out. */
static void field(struct section *s, const char *name, const char *json)
{
    if (overridden(s, name) || !json)
        return;
    key(s, name);
    sim_buf_str(s->out, json);
}

static void text_field(struct section *s, const char *name, const char *text)
{
    if (overridden(s, name) || !text)
        return;
    key(s, name);
    sim_buf_json(s->out, text);
}

static void close_section(struct section *s)
{
    sim_buf_str(s->out, "}");
}

static void timestamp(const struct kos *k, struct section *s)
{
    char text[SIM_TIME_SIZE];
    char json[96];
    int d[6];

    if (k->settings.timestamps == KOS_TIME_NONE)
        return;
    sim_time_seoul(text, sim_wall_ms());
    if (k->settings.timestamps == KOS_TIME_ARRAY &&
        sscanf(text, "%d-%d-%dT%d:%d:%d", &d[0], &d[1], &d[2], &d[3], &d[4], &d[5]) == 6) {
        snprintf(json, sizeof json, "[%d,%d,%d,%d,%d,%d,123456789]", d[0], d[1], d[2], d[3], d[4], d[5]);
        field(s, "timestamp", json);
        return;
    }
    text_field(s, "timestamp", k->settings.timestamps == KOS_TIME_ODD ? "어제 25:61" : text);
}

/* The envelope around `data` (JSON text, NULL = absent). */
static void envelope(struct kos *k, struct sim_answer *out, bool success, const char *code, const char *data,
                     const cJSON *over)
{
    struct section s = open_section(&out->body, over, "envelope");
    char trace[32];

    out->status = out->status ? out->status : 200;
    out->type = JSON_TYPE;
    snprintf(trace, sizeof trace, "kos-%012llx", (unsigned long long)++k->last_trace);
    field(&s, "success", success ? "true" : "false");
    text_field(&s, "resultCode", code);
    text_field(&s, "resultMessage", kos_message(code));
    field(&s, "data", data);
    timestamp(k, &s);
    text_field(&s, "traceId", trace);
    close_section(&s);
}

void kos_answer_failure(struct kos *k, struct sim_answer *out, unsigned status, const char *code)
{
    out->status = status;
    out->body.length = 0;
    envelope(k, out, false, code, k->settings.failure_data == KOS_DATA_ABSENT ? NULL : "null", NULL);
}

static void product_info(struct kos *k, struct sim_buf *out, const struct kos_shape *s,
                         const struct kos_customer *c)
{
    const struct kos_product *p = c->product ? sim_map_get(&k->products, c->product) : NULL;
    struct section in = open_section(out, c->over, "productInfo");

    text_field(&in, "lineNumber", s->line);
    text_field(&in, "currentProductCode", c->product);
    field(&in, "currentProductName", p ? p->name_json : NULL);
    field(&in, "monthlyFee", p ? p->fee_json : NULL);
    field(&in, "dataAllowance", p ? p->data_json : NULL);
    field(&in, "voiceAllowance", p ? p->voice_json : NULL);
    field(&in, "smsAllowance", p ? p->sms_json : NULL);
    field(&in, "productStatus", p ? p->status_json : NULL);
    text_field(&in, "contractDate", c->contract_date);
    close_section(&in);
}

static void customer_info(struct sim_buf *out, const struct kos_customer *c)
{
    struct section in = open_section(out, c->over, "customerInfo");

    text_field(&in, "customerName", c->name);
    text_field(&in, "customerId", c->id);
    text_field(&in, "operatorCode", c->operator_code);
    text_field(&in, "lineStatus", c->status[0] ? c->status : NULL);
    close_section(&in);
}

/* Whether `data` is written, and as what, for failures and null_data. */
static bool without_data(struct kos *k, struct sim_answer *out, const struct kos_shape *s, const cJSON *over)
{
    bool failed = strcmp(s->code, "0000") != 0;

    if (s->null_data || (failed && !s->force_data && k->settings.failure_data == KOS_DATA_NULL)) {
        envelope(k, out, s->success, s->envelope_code, "null", over);
        return true;
    }
    if (failed && !s->force_data && k->settings.failure_data == KOS_DATA_ABSENT) {
        envelope(k, out, s->success, s->envelope_code, NULL, over);
        return true;
    }
    return false;
}

void kos_answer_inquiry(struct kos *k, struct sim_answer *out, const struct kos_shape *s,
                        const struct kos_customer *c)
{
    const cJSON *over = c && strcmp(s->code, "0000") == 0 ? c->over : NULL;
    struct sim_buf data = {0}, part = {0};
    struct section in;

    if (without_data(k, out, s, over))
        return;
    in = open_section(&data, over, "data");
    text_field(&in, "requestId", s->request_id);
    text_field(&in, "procStatus", strcmp(s->code, "0000") == 0 ? "SUCCESS" : "FAIL");
    text_field(&in, "resultCode", s->code);
    text_field(&in, "resultMessage", kos_message(s->code));
    if (c && strcmp(s->code, "0000") == 0) {
        product_info(k, &part, s, c);
        field(&in, "productInfo", part.data);
        part.length = 0;
        customer_info(&part, c);
        field(&in, "customerInfo", part.data);
    } else {
        field(&in, "productInfo", "null");
        field(&in, "customerInfo", "null");
    }
    close_section(&in);
    envelope(k, out, s->success, s->envelope_code, data.data, over);
    sim_buf_free(&part);
    sim_buf_free(&data);
}

void kos_answer_list(struct kos *k, struct sim_answer *out, const struct kos_shape *s)
{
    struct sim_buf data = {0};

    if (without_data(k, out, s, NULL))
        return;
    sim_buf_fmt(&data,
                "{\"result_code\":\"%s\",\"result_message\":\"%s\",\"product_count\":%zu,\"products\":",
                s->code, kos_message(s->code), k->product_count);
    sim_buf_str(&data, kos_list_json(k));
    sim_buf_str(&data, "}");
    envelope(k, out, s->success, s->envelope_code, data.data, NULL);
    sim_buf_free(&data);
}

static void change_info(struct kos *k, struct sim_buf *out, const struct kos_shape *s,
                        const struct kos_order *o)
{
    const struct kos_product *from = o->previous ? sim_map_get(&k->products, o->previous) : NULL;
    const struct kos_product *to = sim_map_get(&k->products, s->target);
    struct section in = open_section(out, NULL, "");
    char text[SIM_TIME_SIZE];
    char number[32];

    text_field(&in, "lineNumber", s->line);
    text_field(&in, "previousProductCode", o->previous);
    field(&in, "previousProductName", from ? from->name_json : NULL);
    text_field(&in, "newProductCode", s->target);
    field(&in, "newProductName", to ? to->name_json : NULL);
    text_field(&in, "effectiveDate", sim_date_seoul(text, o->at_ms));
    text_field(&in, "changeStatus", "COMPLETED");
    kos_order_number(o, number);
    text_field(&in, "kosOrderNumber", number);
    text_field(&in, "estimatedCompletionTime", sim_time_seoul(text, o->at_ms));
    close_section(&in);
}

void kos_answer_change(struct kos *k, struct sim_answer *out, const struct kos_shape *s,
                       const struct kos_order *o)
{
    struct sim_buf data = {0}, info = {0};
    struct section in;

    if (without_data(k, out, s, NULL))
        return;
    in = open_section(&data, NULL, "");
    text_field(&in, "requestId", s->request_id);
    text_field(&in, "resultCode", s->code);
    text_field(&in, "resultMessage", kos_message(s->code));
    if (strcmp(o->result, "0000") == 0 || s->force_data) {
        change_info(k, &info, s, o);
        field(&in, "changeInfo", info.data);
    } else {
        field(&in, "changeInfo", "null");
    }
    close_section(&in);
    envelope(k, out, s->success, s->envelope_code, data.data, NULL);
    sim_buf_free(&info);
    sim_buf_free(&data);
}
