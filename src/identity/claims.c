/* Claims of a verified token, in this order: times, issuer and audience, type, who, lines, permissions. All
 * that makes it a bad token (401) comes before what the bearer merely may not do (403). A claim that we use
 * must have the type that the contract gives it: a guess at what was meant would be a guess at who may do
 * what. */
#include "identity/claims.h"

#include "pcs/core/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct json_limits payload_limits = {
    .max_bytes = IDENTITY_TOKEN_MAX, .max_depth = 8, .max_members = 64};

/* What has been read so far; texts live in the JSON tree. */
struct reading {
    const char *subject, *customer_id;
    char lines[IDENTITY_LINES_MAX][IDENTITY_LINE_LEN + 1];
    unsigned line_count;
    bool admin, may_change;
    int64_t expires_at;
};

static const cJSON *claim(const cJSON *root, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(root, name);
}

/* ---- times ---- */

/* RFC 7519 NumericDate: whole or decimal seconds. */
static bool numeric_date(const cJSON *item, double *out)
{
    if (!cJSON_IsNumber(item) || !(fabs(item->valuedouble) <= (double)JSON_INT_MAX))
        return false;
    *out = item->valuedouble;
    return true;
}

/* nbf and iat: absent, or a date that is not further ahead than clocks differ. */
static bool has_begun(const cJSON *item, int64_t now, int64_t leeway)
{
    double at;

    return !item || (numeric_date(item, &at) && at <= (double)(now + leeway));
}

static enum fault read_times(const struct claim_rules *rules, const cJSON *root, int64_t now,
                             struct reading *r)
{
    double exp;

    if (!numeric_date(claim(root, "exp"), &exp))
        return FAULT_EXP;
    r->expires_at = (int64_t)floor(exp); /* a fraction of a second too early, never too late; no leeway */
    if (now >= r->expires_at)
        return FAULT_EXPIRED;
    if (!has_begun(claim(root, "nbf"), now, rules->leeway_s))
        return FAULT_NBF;
    return has_begun(claim(root, "iat"), now, rules->leeway_s) ? FAULT_NONE : FAULT_IAT;
}

/* ---- where it comes from and for whom ---- */

static bool is_text(const cJSON *item, const char *wanted)
{
    return cJSON_IsString(item) && strcmp(item->valuestring, wanted) == 0;
}

static bool names_audience(const cJSON *aud, const char *wanted)
{
    const cJSON *one;

    if (!cJSON_IsArray(aud))
        return is_text(aud, wanted);
    cJSON_ArrayForEach(one, aud)
    {
        if (is_text(one, wanted))
            return true;
    }
    return false;
}

static enum fault read_origin(const struct claim_rules *rules, const cJSON *root)
{
    const cJSON *type = claim(root, "type");

    if (*rules->issuer && !is_text(claim(root, "iss"), rules->issuer))
        return FAULT_ISSUER;
    if (*rules->audience && !names_audience(claim(root, "aud"), rules->audience))
        return FAULT_AUDIENCE;
    return !type || is_text(type, "ACCESS") ? FAULT_NONE : FAULT_TYPE;
}

/* ---- who ---- */

/* Text of 1 to IDENTITY_NAME_MAX bytes without control characters; it goes into logs and records. */
static bool is_name(const cJSON *item)
{
    const char *p;

    if (!cJSON_IsString(item) || !item->valuestring[0])
        return false;
    for (p = item->valuestring; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7F)
            return false;
    return p - item->valuestring <= IDENTITY_NAME_MAX;
}

/* Absent, null and "" say the same: nothing. */
static bool is_blank(const cJSON *item)
{
    return !item || cJSON_IsNull(item) || (cJSON_IsString(item) && !item->valuestring[0]);
}

static enum fault read_names(const cJSON *root, struct reading *r)
{
    const cJSON *sub = claim(root, "sub"), *customer = claim(root, "customerId");

    if (is_blank(sub))
        sub = claim(root, "userId");
    if (!is_name(sub))
        return FAULT_SUBJECT;
    r->subject = sub->valuestring;
    if (is_blank(customer)) {
        r->customer_id = "";
        return FAULT_NONE;
    }
    r->customer_id = customer->valuestring;
    return is_name(customer) ? FAULT_NONE : FAULT_CUSTOMER;
}

/* ---- lines ---- */

/* Dashes removed; true when ^010[0-9]{8}$ remains (contract, "Line number"). */
static bool normalise_line(const char *text, char out[IDENTITY_LINE_LEN + 1])
{
    size_t n = 0;

    for (; *text; text++) {
        if (*text == '-')
            continue;
        if (n == IDENTITY_LINE_LEN || *text < '0' || *text > '9')
            return false;
        out[n++] = *text;
    }
    out[n] = '\0';
    return n == IDENTITY_LINE_LEN && memcmp(out, "010", 3) == 0;
}

/* A text that is no line of ours is no line; anything but text makes a bad token. */
static bool add_line(struct reading *r, const cJSON *item)
{
    char line[IDENTITY_LINE_LEN + 1];

    if (!cJSON_IsString(item))
        return false;
    if (!normalise_line(item->valuestring, line))
        return true;
    for (unsigned i = 0; i < r->line_count; i++)
        if (strcmp(r->lines[i], line) == 0)
            return true;
    if (r->line_count == IDENTITY_LINES_MAX)
        return false;
    memcpy(r->lines[r->line_count++], line, sizeof line);
    return true;
}

static enum fault read_lines(const cJSON *root, struct reading *r)
{
    const cJSON *one = claim(root, "lineNumber"), *several = claim(root, "lineNumbers"), *item;

    if (!is_blank(one) && !add_line(r, one))
        return FAULT_LINES;
    if (!several || cJSON_IsNull(several))
        return FAULT_NONE;
    if (!cJSON_IsArray(several))
        return FAULT_LINES;
    cJSON_ArrayForEach(item, several)
    {
        if (!add_line(r, item))
            return FAULT_LINES;
    }
    return FAULT_NONE;
}

/* ---- permissions ---- */

static void grant(struct reading *r, const char *word, size_t len)
{
    if (len == strlen("ADMIN") && memcmp(word, "ADMIN", len) == 0)
        r->admin = true;
    if (len == strlen("PRODUCT_CHANGE") && memcmp(word, "PRODUCT_CHANGE", len) == 0)
        r->may_change = true;
}

static bool grant_all(struct reading *r, const cJSON *permissions)
{
    const cJSON *item;

    if (cJSON_IsString(permissions)) {
        for (const char *p = permissions->valuestring; *p;) {
            size_t len = strcspn(p, " ");
            grant(r, p, len);
            p += len + (p[len] == ' ');
        }
        return true;
    }
    cJSON_ArrayForEach(item, permissions)
    {
        if (!cJSON_IsString(item))
            return false;
        grant(r, item->valuestring, strlen(item->valuestring));
    }
    return cJSON_IsArray(permissions);
}

static enum fault read_permissions(const struct claim_rules *rules, const cJSON *root, struct reading *r)
{
    const cJSON *permissions = claim(root, "permissions");

    r->admin = is_text(claim(root, "role"), "ADMIN");
    r->may_change = !permissions && !rules->require_permission;
    if (permissions && !grant_all(r, permissions))
        return FAULT_PERMISSIONS;
    if (r->admin)
        return FAULT_NONE;
    if (!r->may_change)
        return FAULT_NO_PERMISSION;
    return r->line_count > 0 ? FAULT_NONE : FAULT_NO_LINE;
}

/* ---- the identity ---- */

/* One block: the struct, the lines, the two texts. */
static struct held *build(const struct reading *r)
{
    size_t lines_size = r->line_count * sizeof r->lines[0];
    size_t subject_size = strlen(r->subject) + 1, customer_size = strlen(r->customer_id) + 1;
    struct held *h = malloc(sizeof *h + lines_size + subject_size + customer_size);
    char *tail;

    if (!h)
        return NULL;
    tail = (char *)(h + 1);
    memcpy(tail, r->lines, lines_size);
    memcpy(tail + lines_size, r->subject, subject_size);
    memcpy(tail + lines_size + subject_size, r->customer_id, customer_size);
    *h = (struct held){
        .identity = {.subject = tail + lines_size,
                     .customer_id = tail + lines_size + subject_size,
                     .lines = (const char(*)[IDENTITY_LINE_LEN + 1]) tail,
                     .line_count = r->line_count,
                     .admin = r->admin,
                     .expires_at = r->expires_at},
        .refs = 1,
    };
    return h;
}

static enum fault read_all(const struct claim_rules *rules, const cJSON *root, int64_t now, struct reading *r)
{
    enum fault fault = cJSON_IsObject(root) ? read_times(rules, root, now, r) : FAULT_PAYLOAD;

    if (fault == FAULT_NONE)
        fault = read_origin(rules, root);
    if (fault == FAULT_NONE)
        fault = read_names(root, r);
    if (fault == FAULT_NONE)
        fault = read_lines(root, r);
    return fault == FAULT_NONE ? read_permissions(rules, root, r) : fault;
}

enum fault claims_read(const struct claim_rules *rules, const char *payload, size_t len, int64_t now_unix_s,
                       struct held **out, int64_t *expires_at)
{
    struct reading r = {0};
    struct json_error error;
    cJSON *root = json_parse(payload, len, &payload_limits, &error);
    enum fault fault;

    if (!root)
        return FAULT_PAYLOAD;
    fault = read_all(rules, root, now_unix_s, &r);
    if (fault == FAULT_NONE) {
        *out = build(&r);
        if (!*out)
            fault = FAULT_NO_MEMORY;
    }
    *expires_at = r.expires_at;
    cJSON_Delete(root);
    return fault;
}
