/* Standard Webhooks as a receiver: signature, time, required headers, and the event's own rules
 * (contract, 3). Written from the specification, not from the sender. */
#include "mvno.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SIGNATURE_TEXT 48 /* "v1," and 44 characters */

static unsigned refuse(unsigned status, char reason[MVNO_REASON_SIZE], const char *text)
{
    sim_copy(reason, MVNO_REASON_SIZE, text);
    return status;
}

void mvno_set_secret(struct mvno *m, const char *secret)
{
    const char *text = secret;
    size_t n = strlen(secret);
    int decoded;

    if (strncmp(secret, MVNO_SECRET_PREFIX, strlen(MVNO_SECRET_PREFIX)) != 0) {
        m->key = (unsigned char *)sim_strdup(secret);
        m->key_length = n;
        return;
    }
    text += strlen(MVNO_SECRET_PREFIX);
    n = strlen(text);
    m->key = sim_alloc(n + 4);
    decoded = n % 4 == 0 && n > 0 ? EVP_DecodeBlock(m->key, (const unsigned char *)text, (int)n) : -1;
    if (decoded < 0)
        sim_die("the webhook secret after whsec_ is not base64");
    while (n > 0 && text[n - 1] == '=') {
        decoded--;
        n--;
    }
    m->key_length = (size_t)decoded;
}

/* "v1," + base64 HMAC-SHA256 over id.timestamp.body. */
static void sign(const struct mvno *m, const char *id, const char *timestamp, const struct sim_buf *body,
                 char out[SIGNATURE_TEXT])
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    struct sim_buf text = {0};
    unsigned n = 0;

    sim_buf_fmt(&text, "%s.%s.", id, timestamp);
    sim_buf_add(&text, body->data, body->length);
    HMAC(EVP_sha256(), m->key, (int)m->key_length, (const unsigned char *)text.data, text.length, mac, &n);
    sim_buf_free(&text);
    memcpy(out, "v1,", 3);
    EVP_EncodeBlock((unsigned char *)out + 3, mac, (int)n);
}

/* The header is a list separated by spaces, so that secrets can be rotated. */
static bool one_matches(const char *header, const char *wanted)
{
    size_t n = strlen(wanted);

    while (*header) {
        size_t length = strcspn(header, " ");

        if (length == n && CRYPTO_memcmp(header, wanted, n) == 0)
            return true;
        header += length;
        header += strspn(header, " ");
    }
    return false;
}

unsigned mvno_check_head(const struct mvno *m, const struct sim_req *req, char reason[MVNO_REASON_SIZE])
{
    const char *type = sim_req_header(req, "Content-Type");
    const char *id = sim_req_header(req, "webhook-id");
    const char *timestamp = sim_req_header(req, "webhook-timestamp");
    const char *signature = sim_req_header(req, "webhook-signature");
    char wanted[SIGNATURE_TEXT] = "";
    long long seconds, now = sim_wall_ms() / 1000;

    if (!type || strncasecmp(type, "application/json", 16) != 0)
        return refuse(415, reason, "Content-Type is not application/json");
    if (!id || !*id || strchr(id, '.'))
        return refuse(400, reason, "webhook-id is missing, empty or contains a dot");
    if (!timestamp || !*timestamp || strspn(timestamp, "0123456789") != strlen(timestamp) ||
        strlen(timestamp) > 12)
        return refuse(400, reason, "webhook-timestamp is missing or not unix seconds");
    seconds = atoll(timestamp);
    if (seconds < now - MVNO_TOLERANCE_S || seconds > now + MVNO_TOLERANCE_S)
        return refuse(401, reason, "webhook-timestamp is more than 5 minutes off");
    if (!m->key)
        return 200;
    if (!signature)
        return refuse(401, reason, "webhook-signature is missing");
    sign(m, id, timestamp, &req->body, wanted);
    if (!one_matches(signature, wanted))
        return refuse(401, reason, "webhook-signature does not match");
    return 200;
}

static const struct rule {
    const char *type, *result, *message;
} rules[] = {
    {"product-change.completed", "정상", "상품 변경이 완료되었습니다"},
    {"product-change.failed", "실패", "상품 변경에 실패하였습니다"},
    {"product-change.system-unavailable", "장애", "시스템 일시 장애, 잠시 후 재시도"},
};

/* RFC 3339 in UTC: 2024-05-01T01:02:03[.fraction]Z */
static bool is_time(const char *text)
{
    static const char shape[] = "0000-00-00T00:00:00";
    size_t i;

    for (i = 0; shape[i]; i++)
        if (shape[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != shape[i])
            return false;
    if (text[i] == '.')
        i += 1 + strspn(text + i + 1, "0123456789");
    return strcmp(text + i, "Z") == 0;
}

unsigned mvno_check_body(const cJSON *body, const char *webhook_id, char reason[MVNO_REASON_SIZE])
{
    static const char *const needed[] = {
        "eventId",           "eventType",     "requestId",  "lineNumber", "currentProductCode",
        "targetProductCode", "processResult", "resultCode", "message",    "occurredAt"};
    const struct rule *r = rules;
    const char *line;
    size_t i;

    if (!cJSON_IsObject(body))
        return refuse(400, reason, "the body is not a JSON object");
    for (i = 0; i < sizeof needed / sizeof *needed; i++) {
        if (!*sim_json_text(body, needed[i], "")) {
            snprintf(reason, MVNO_REASON_SIZE, "%s is missing or empty", needed[i]);
            return 422;
        }
    }
    if (strcmp(sim_json_text(body, "eventId", ""), webhook_id) != 0)
        return refuse(422, reason, "eventId is not the webhook-id");
    while (r < rules + 3 && strcmp(r->type, sim_json_text(body, "eventType", "")) != 0)
        r++;
    if (r == rules + 3)
        return refuse(422, reason, "eventType is unknown");
    if (strcmp(r->result, sim_json_text(body, "processResult", "")) != 0)
        return refuse(422, reason, "processResult does not belong to the eventType");
    if (strcmp(r->message, sim_json_text(body, "message", "")) != 0)
        return refuse(422, reason, "message does not belong to the eventType");
    line = sim_json_text(body, "lineNumber", "");
    if (strlen(line) != 11 || strncmp(line, "010", 3) != 0 || strspn(line, "0123456789") != 11)
        return refuse(422, reason, "lineNumber is not 010 and eight digits");
    if (!is_time(sim_json_text(body, "occurredAt", "")))
        return refuse(422, reason, "occurredAt is not RFC 3339 in UTC");
    return 200;
}
