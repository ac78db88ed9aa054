/* Login, logout, the user's data, and the check that the gateway makes before it passes a request on. */
#include "auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *const auth_operation_names[AUTH_OPERATIONS + 1] = {"login", "logout", "users", "check", NULL};

/* What a request carries, taken before a fault can hold it. */
struct ask {
    enum auth_operation operation;
    char *path;
    char *correlation;
    char *token; /* without "Bearer ", NULL = none */
    cJSON *body;
};

static void ask_free(void *data)
{
    struct ask *q = data;

    free(q->path);
    free(q->correlation);
    free(q->token);
    cJSON_Delete(q->body);
    free(q);
}

/* The contract's form of an error. */
static void error_answer(struct sim_answer *out, const struct ask *q, unsigned status, const char *code,
                         const char *message, const char *details)
{
    char at[SIM_TIME_SIZE];

    out->status = status;
    out->type = "application/json";
    sim_buf_fmt(&out->body,
                "{\"success\":false,\"error\":{\"code\":\"%s\",\"message\":\"%s\",\"details\":", code,
                message);
    sim_buf_json(&out->body, details);
    sim_buf_fmt(&out->body, ",\"timestamp\":\"%s\",\"path\":", sim_time_utc(at, sim_wall_ms()));
    sim_buf_json(&out->body, q->path);
    sim_buf_str(&out->body, ",\"correlationId\":");
    sim_buf_json(&out->body, q->correlation);
    sim_buf_str(&out->body, "}}");
    if (status == 401)
        out->headers = sim_strdup("WWW-Authenticate: Bearer\n");
}

static void unauthorized(struct sim_answer *out, const struct ask *q, const char *details)
{
    error_answer(out, q, 401, "UNAUTHORIZED", "인증이 필요합니다", details);
}

static void forbidden(struct sim_answer *out, const struct ask *q, const char *details)
{
    error_answer(out, q, 403, "FORBIDDEN", "서비스 이용 권한이 없습니다", details);
}

static char *make_token(struct auth *a, const struct auth_user *u, const char *type, long ttl_s)
{
    cJSON *claims = cJSON_CreateObject();
    double now = (double)(sim_wall_ms() / 1000);
    struct sim_buf token = {0};
    char jti[40];
    char *text;

    snprintf(jti, sizeof jti, "%lld-%llu", (long long)sim_wall_ms(), (unsigned long long)++a->last_jti);
    cJSON_AddStringToObject(claims, "iss", AUTH_ISSUER);
    cJSON_AddStringToObject(claims, "sub", u->id);
    cJSON_AddStringToObject(claims, "userId", u->id);
    cJSON_AddStringToObject(claims, "customerId", u->customer_id);
    if (u->line[0])
        cJSON_AddStringToObject(claims, "lineNumber", u->line);
    if (u->admin)
        cJSON_AddStringToObject(claims, "role", "ADMIN");
    cJSON_AddStringToObject(claims, "type", type);
    cJSON_AddStringToObject(claims, "jti", jti);
    cJSON_AddNumberToObject(claims, "iat", now);
    cJSON_AddNumberToObject(claims, "exp", now + (double)ttl_s);
    text = cJSON_PrintUnformatted(claims);
    jwt_sign(&token, "HS512", a->secret, text);
    free(text);
    cJSON_Delete(claims);
    return token.data;
}

static void login(struct auth *a, const struct ask *q, struct sim_answer *out)
{
    const char *id = sim_json_text(q->body, "userId", sim_json_text(q->body, "user_id", ""));
    const char *password = sim_json_text(q->body, "password", "");
    struct auth_user made;
    const struct auth_user *u = auth_find(a, id, &made);
    char *access, *refresh;

    if (!*id || !*password) {
        error_answer(out, q, 400, "INVALID_REQUEST", "요청이 올바르지 않습니다",
                     "userId and password are needed");
        return;
    }
    if (!u || strcmp(u->password, password) != 0) {
        unauthorized(out, q, "unknown user or wrong password");
        return;
    }
    if (strcmp(u->status, "ACTIVE") != 0) {
        forbidden(out, q, "the account is not active");
        return;
    }
    access = make_token(a, u, "ACCESS", a->ttl_s);
    refresh = make_token(a, u, "REFRESH", a->refresh_ttl_s);
    out->status = 200;
    out->type = "application/json";
    sim_buf_fmt(
        &out->body,
        "{\"access_token\":\"%s\",\"refresh_token\":\"%s\",\"token_type\":\"Bearer\",\"expires_in\":%ld,"
        "\"user_id\":",
        access, refresh, a->ttl_s);
    sim_buf_json(&out->body, u->id);
    sim_buf_str(&out->body, ",\"customer_id\":");
    sim_buf_json(&out->body, u->customer_id[0] ? u->customer_id : NULL);
    sim_buf_str(&out->body, ",\"line_number\":");
    sim_buf_json(&out->body, u->line[0] ? u->line : NULL);
    sim_buf_str(&out->body, "}");
    free(access);
    free(refresh);
}

void auth_forget_revoked(struct auth *a)
{
    size_t at = 0;
    char *token;

    while ((token = sim_map_next(&a->revoked, &at)))
        free(token);
    sim_map_free(&a->revoked);
}

/* The claims of the request's token; NULL after a 401 was written. */
static cJSON *claims_of(struct auth *a, const struct ask *q, struct sim_answer *out)
{
    const char *reason = "no bearer token";
    cJSON *claims = q->token ? jwt_verify(q->token, a->secret, &reason) : NULL;

    if (claims && sim_map_get(&a->revoked, q->token)) {
        reason = "logged out";
        cJSON_Delete(claims);
        claims = NULL;
    }
    if (!claims)
        unauthorized(out, q, reason);
    return claims;
}

static void logout(struct auth *a, const struct ask *q, struct sim_answer *out)
{
    cJSON *claims = claims_of(a, q, out);
    char *token;

    if (!claims)
        return;
    cJSON_Delete(claims);
    if (a->revoked.count >= AUTH_REVOKED_MAX)
        auth_forget_revoked(a);
    token = sim_strdup(q->token);
    sim_map_put(&a->revoked, token, token);
    out->status = 200;
    out->type = "application/json";
    sim_buf_str(&out->body, "{\"success\":true,\"data\":null}");
}

static void user(struct auth *a, const struct ask *q, struct sim_answer *out)
{
    const char *id = strrchr(q->path, '/') + 1;
    struct auth_user made;
    const struct auth_user *u = auth_find(a, id, &made);

    if (!u) {
        error_answer(out, q, 404, "NOT_FOUND", "사용자를 찾을 수 없습니다", "unknown user");
        return;
    }
    out->status = 200;
    out->type = "application/json";
    auth_user_json(&out->body, u);
}

static const char *subject_of(const cJSON *claims)
{
    return sim_json_text(claims, "sub", sim_json_text(claims, "userId", ""));
}

/* The token's line as digits: the gateway hashes by it when the service has several instances. */
static void add_line_header(struct sim_buf *headers, const cJSON *claims)
{
    const char *line = sim_json_text(claims, "lineNumber", "");

    if (!*line)
        return;
    sim_buf_str(headers, "X-Line-Number: ");
    for (; *line; line++)
        if (*line >= '0' && *line <= '9')
            sim_buf_add(headers, line, 1);
    sim_buf_str(headers, "\n");
}

/* UFR-AUTH-020: 204 lets the request pass, 401 and 403 stop it (nginx auth_request). */
static void check(struct auth *a, const struct ask *q, struct sim_answer *out)
{
    cJSON *claims = claims_of(a, q, out);
    struct auth_user made;
    const struct auth_user *u;
    struct sim_buf headers = {0};

    if (!claims)
        return;
    u = auth_find(a, subject_of(claims), &made);
    if (!u || !auth_allowed(u)) {
        forbidden(out, q,
                  u ? "no permission " AUTH_PERMISSION ", or the account is not active" : "unknown user");
        cJSON_Delete(claims);
        return;
    }
    out->status = 204;
    sim_buf_fmt(&headers, "X-User-ID: %s\nX-User-Role: %s\nX-Token-Expires-At: %.0f\n", u->id,
                u->admin ? "ADMIN" : "USER", sim_json_number(claims, "exp", 0));
    add_line_header(&headers, claims);
    out->headers = headers.data;
    cJSON_Delete(claims);
}

static void effect(void *app, void *data, const struct sim_fault *f, bool apply, struct sim_answer *out)
{
    static void (*const run[AUTH_OPERATIONS])(struct auth *, const struct ask *,
                                              struct sim_answer *) = {login, logout, user, check};
    struct ask *q = data;

    (void)f;
    if (apply)
        run[q->operation](app, q, out);
    else
        error_answer(out, q, 500, "INTERNAL_ERROR", "시스템 오류가 발생하였습니다", "fault");
}

static void start(struct auth *a, struct sim_req *req, enum auth_operation operation)
{
    const char *authorization = sim_req_header(req, "Authorization");
    const char *correlation = sim_req_header(req, "X-Request-ID");
    struct ask *q = sim_alloc(sizeof *q);

    q->operation = operation;
    q->path = sim_strdup(req->path);
    q->correlation = sim_strdup(correlation ? correlation : "");
    if (authorization && strncasecmp(authorization, "Bearer ", 7) == 0)
        q->token = sim_strdup(authorization + 7);
    if (req->body.length && operation == AUTH_LOGIN)
        q->body = cJSON_ParseWithLength(req->body.data, req->body.length);
    sim_req_count(req, &a->stats[operation]);
    sim_exchange_start(&a->faults, req, auth_operation_names[operation], "", effect, a, q, ask_free);
}

void auth_login(void *app, struct sim_req *req)
{
    start(app, req, AUTH_LOGIN);
}

void auth_logout(void *app, struct sim_req *req)
{
    start(app, req, AUTH_LOGOUT);
}

void auth_user(void *app, struct sim_req *req)
{
    start(app, req, AUTH_USER);
}

void auth_check(void *app, struct sim_req *req)
{
    start(app, req, AUTH_CHECK);
}
