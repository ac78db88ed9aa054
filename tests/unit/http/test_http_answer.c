/* What goes over the wire: error forms, headers, CORS, reading of a request, log and metrics. */
#include "unit/http/harness.h"

#include <cjson/cJSON.h>
#include <fcntl.h>

#define H  "Host: x\r\n"
#define ID "01234567-89ab-7def-8123-456789abcdef"

static const struct http_problem denied_change = {"CHANGE_DENIED", 409, "상품 변경에 실패하였습니다",
                                                  "The product could not be changed"};
static const struct http_problem unauthorized = {"UNAUTHORIZED", 401, "인증이 필요합니다",
                                                 "Authentication is required"};
static const struct http_problem too_many = {"TOO_MANY_REQUESTS", 429, "요청이 너무 많습니다",
                                             "Too many requests"};

/* Everything that an error can say. */
static void on_full(struct http_request *rq)
{
    const struct http_field_error fields[] = {{"lineNumber", "is no \"line\""}, {"page", "is not 1 or more"}};
    const struct http_error_extra extra = {
        .details = "단말기 오류",
        .fields = fields,
        .field_count = 2,
        .checks_json = "[{\"checkType\":\"LINE_STATUS\"}]",
        .result_code = "2004",
        .next_actions_json = "[{\"action\":\"CHOOSE_ANOTHER\"}]",
        .request_id = ID,
        .location = http_href(rq, "/request/" ID),
        .retry_after = 7,
        .replayed = true,
        .reason = "refused by KOS",
    };
    rq->log_line = "01012345678";
    http_fail(rq, &denied_change, &extra);
}

static void on_401(struct http_request *rq)
{
    http_fail(rq, &unauthorized, NULL);
}

static void on_429(struct http_request *rq)
{
    const struct http_header headers[] = {
        {"RateLimit", "\"default\";r=0;t=1"}, {"X-Bad", "a\r\nSet-Cookie: x"}, {"X-Empty", ""}};
    http_fail(rq, &too_many, &(struct http_error_extra){.headers = headers, .header_count = 3});
}

static void on_data(struct http_request *rq)
{
    struct buf b;
    buf_init(&b, 1000);
    buf_json_open(&b, NULL, '{');
    buf_json_str(&b, "a", "b");
    buf_json_close(&b, '}');
    http_reply_data(rq, 202, &b, &(struct http_header){"Age", "5"}, 1);
}

static void on_overflow(struct http_request *rq)
{
    struct buf b;
    buf_init(&b, 4);
    buf_puts(&b, "too long");
    http_reply_data(rq, 200, &b, NULL, 0);
}

static void put_opt(struct buf *b, const char *name, const char *value)
{
    buf_json_str(b, name, value ? value : "(absent)");
}

/* Shows how the request was read. */
static void on_read(struct http_request *rq)
{
    struct buf b;
    bool twice;
    buf_init(&b, 20000);
    buf_json_open(&b, NULL, '{');
    put_opt(&b, "q", http_query(rq, "q", &twice));
    buf_json_bool(&b, "twice", twice);
    put_opt(&b, "empty", http_query(rq, "empty", NULL));
    put_opt(&b, "flag", http_query(rq, "flag", NULL));
    put_opt(&b, "none", http_query(rq, "none", NULL));
    put_opt(&b, "id", rq->params[0].name ? http_param(rq, "id") : NULL);
    put_opt(&b, "path", rq->path);
    put_opt(&b, "auth", http_header(rq, "aUTHORIZATION"));
    put_opt(&b, "accept", http_header(rq, "Accept"));
    put_opt(&b, "other", http_header(rq, "X-Other"));
    put_opt(&b, "trace", rq->traceparent);
    put_opt(&b, "correlation", rq->correlation_id);
    put_opt(&b, "request", http_href(rq, "/request/1?x"));
    put_opt(&b, "validation", http_href(rq, "/request/validation"));
    put_opt(&b, "requests", http_href(rq, "/requests"));
    put_opt(&b, "menu", http_href(rq, "/menu"));
    put_opt(&b, "change", http_href(rq, "/change"));
    buf_json_bool(&b, "async", http_prefers(rq, "respond-async"));
    buf_json_bool(&b, "english", rq->english);
    buf_json_bool(&b, "fd", http_client_fd(rq) >= 0);
    buf_json_close(&b, '}');
    http_reply_data(rq, 200, &b, NULL, 0);
}

static void on_static(struct http_request *rq)
{
    http_reply_static(rq, 200, "text/plain", "hello", 5);
}

static const struct http_route routes[] = {
    {.method = "GET", .path = "/full", .handler = on_full, .flags = HTTP_OPEN},
    {.method = "GET",
     .path = "/api/v1/full",
     .handler = on_full,
     .flags = HTTP_OPEN,
     .family = HTTP_FRONTEND},
    {.method = "GET", .path = "/401", .handler = on_401, .flags = HTTP_OPEN},
    {.method = "GET", .path = "/429", .handler = on_429, .flags = HTTP_OPEN},
    {.method = "GET", .path = "/data", .handler = on_data, .flags = HTTP_OPEN},
    {.method = "POST", .path = "/data", .handler = on_data, .flags = HTTP_OPEN | HTTP_BODY},
    {.method = "GET", .path = "/overflow", .handler = on_overflow, .flags = HTTP_OPEN},
    {.method = "GET", .path = "/read", .handler = on_read, .flags = HTTP_OPEN},
    {.method = "GET", .path = "/read/{id}", .handler = on_read, .flags = HTTP_OPEN},
    {.method = "GET",
     .path = "/api/v1/read",
     .handler = on_read,
     .flags = HTTP_OPEN,
     .family = HTTP_FRONTEND},
    {.method = "GET", .path = "/static", .handler = on_static, .flags = HTTP_OPEN | HTTP_QUIET},
};
#define ROUTE_COUNT (sizeof routes / sizeof *routes)

static const char *const origins[] = {"https://shop.example", "http://localhost:3000"};
static struct fixture f;
static struct answer a;
static int log_fd;

static void setup(void)
{
    char name[] = "/tmp/http-answer-XXXXXX";
    log_fd = mkstemp(name);
    unlink(name);
    log_set_fd(log_fd);
    if (http_metrics[0]->series == 0) { /* once, also when tests share a process */
        http_metrics_bind(routes, ROUTE_COUNT);
        metrics_register(http_metrics, http_metrics_count);
    }
    f = (struct fixture){.config = default_config(), .routes = routes, .route_count = ROUTE_COUNT};
    f.config.public_prefix = "/product";
    f.config.cors_allowed_origins = (struct config_list){.items = origins, .count = 2};
    fixture_start(&f);
}

static void teardown(void)
{
    fixture_stop(&f);
    log_set_fd(-1);
    close(log_fd);
}

static const char *text_at(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsString(item) ? item->valuestring : "(none)";
}

/* CONTRACT 1: the envelope, Korean by default; every member, in JSON that parses. */
START_TEST(error_envelope)
{
    ask(&f, "GET /full?lineNumber=01012345678 HTTP/1.1\r\n" H "X-Request-ID: caller.1:2-3_4\r\n\r\n", &a);
    ck_assert_int_eq(a.status, 409);
    ck_assert_str_eq(answer_header(&a, "Content-Type"), "application/json");
    ck_assert_str_eq(answer_header(&a, "X-Request-ID"), "caller.1:2-3_4");
    ck_assert_str_eq(answer_header(&a, "Location"), "/product/request/" ID);
    ck_assert_str_eq(answer_header(&a, "Retry-After"), "7");
    ck_assert_str_eq(answer_header(&a, "Idempotent-Replayed"), "true");
    ck_assert_str_eq(answer_header(&a, "X-Content-Type-Options"), "nosniff");
    ck_assert_str_eq(answer_header(&a, "Cache-Control"), "no-store");
    cJSON *root = cJSON_Parse(a.body), *e = cJSON_GetObjectItemCaseSensitive(root, "error");
    ck_assert(cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(root, "success")));
    ck_assert_str_eq(text_at(e, "code"), "CHANGE_DENIED");
    ck_assert_str_eq(text_at(e, "message"), "상품 변경에 실패하였습니다");
    ck_assert_str_eq(text_at(e, "details"), "단말기 오류");
    ck_assert_str_eq(text_at(e, "resultCode"), "2004");
    ck_assert_str_eq(text_at(e, "path"), "/full");
    ck_assert_str_eq(text_at(e, "correlationId"), "caller.1:2-3_4");
    ck_assert_str_eq(text_at(e, "requestId"), ID);
    ck_assert_uint_eq(strlen(text_at(e, "timestamp")), CLOCK_RFC3339_LEN);
    ck_assert_int_eq(cJSON_GetObjectItemCaseSensitive(e, "retryAfterSeconds")->valueint, 7);
    const cJSON *field = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(e, "fields"), 0);
    ck_assert_str_eq(text_at(field, "message"), "is no \"line\"");
    ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(e, "checks")), 1);
    ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(e, "nextActions")), 1);
    cJSON_Delete(root);
    /* absent members are absent; the frontend's family has its own paths */
    ask(&f, "GET /401 HTTP/1.1\r\n" H "\r\n", &a);
    ck_assert_int_eq(a.status, 401);
    ck_assert_str_eq(answer_header(&a, "WWW-Authenticate"), "Bearer");
    ck_assert_ptr_null(strstr(a.body, "details"));
    ck_assert_ptr_null(strstr(a.body, "fields"));
    ck_assert_ptr_null(strstr(a.body, "retryAfter"));
    ask(&f, "GET /api/v1/full HTTP/1.1\r\n" H "\r\n", &a);
    ck_assert_str_eq(answer_header(&a, "Location"), "/api/v1/products/change/" ID);
}
END_TEST

/* CONTRACT 1: English for Accept-Language: en; RFC 9457 for Accept: application/problem+json. */
START_TEST(english_and_problem_json)
{
    ask(&f,
        "GET /full HTTP/1.1\r\n" H
        "Accept-Language: en-US,en;q=0.9\r\nAccept: application/problem+json\r\n\r\n",
        &a);
    ck_assert_int_eq(a.status, 409);
    ck_assert_str_eq(answer_header(&a, "Content-Type"), "application/problem+json");
    cJSON *root = cJSON_Parse(a.body);
    ck_assert_str_eq(text_at(root, "type"), "urn:pcs:CHANGE_DENIED");
    ck_assert_str_eq(text_at(root, "title"), "The product could not be changed");
    ck_assert_int_eq(cJSON_GetObjectItemCaseSensitive(root, "status")->valueint, 409);
    ck_assert_str_eq(text_at(root, "detail"), "단말기 오류");
    ck_assert_str_eq(text_at(root, "code"), "CHANGE_DENIED");
    ck_assert_str_eq(text_at(root, "message"), "The product could not be changed");
    ck_assert_str_eq(text_at(root, "requestId"), ID);
    ck_assert_ptr_null(cJSON_GetObjectItemCaseSensitive(root, "success"));
    cJSON_Delete(root);
    ask(&f, "GET /nowhere HTTP/1.1\r\n" H "Accept-Language: en\r\n\r\n", &a);
    ck_assert_int_eq(a.status, 404);
    ck_assert_ptr_nonnull(
        strstr(a.body, "\"code\":\"NOT_FOUND\",\"message\":\"There is nothing at this path\""));
    ask(&f, "GET /nowhere HTTP/1.1\r\n" H "\r\n", &a);
    ck_assert_ptr_nonnull(strstr(a.body, "\"message\":\"요청하신 경로를 찾을 수 없습니다\""));
}
END_TEST

/* 429 and 503 always carry Retry-After; a header with CR LF or nothing in it is dropped, never injected. */
START_TEST(headers_of_an_error)
{
    ask(&f, "GET /429 HTTP/1.1\r\n" H "\r\n", &a);
    ck_assert_int_eq(a.status, 429);
    ck_assert_str_eq(answer_header(&a, "Retry-After"), "1");
    ck_assert_ptr_nonnull(strstr(a.body, "\"retryAfterSeconds\":1"));
    ck_assert_str_eq(answer_header(&a, "RateLimit"), "\"default\";r=0;t=1");
    ck_assert_ptr_null(strstr(a.head, "X-Bad"));
    ck_assert_ptr_null(strstr(a.head, "Set-Cookie"));
    ck_assert_ptr_null(strstr(a.head, "X-Empty"));
    ask(&f, "PUT /data HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", &a);
    ck_assert_int_eq(a.status, 405);
    ck_assert_str_eq(answer_header(&a, "Allow"), "GET, HEAD, POST");
    ask(&f, "BREW /data HTTP/1.1\r\n" H "\r\n", &a);
    ck_assert_int_eq(a.status, 405);
}
END_TEST

START_TEST(data_envelope)
{
    ask(&f, "GET /data HTTP/1.1\r\n" H "\r\n", &a);
    ck_assert_int_eq(a.status, 202);
    ck_assert_str_eq(a.body, "{\"success\":true,\"data\":{\"a\":\"b\"}}");
    ck_assert_str_eq(answer_header(&a, "Age"), "5");
    ask(&f, "GET /overflow HTTP/1.1\r\n" H "\r\n", &a);
    ck_assert_int_eq(a.status, 500);
    ck_assert_ptr_nonnull(strstr(a.body, "INTERNAL_ERROR"));
    ask(&f, "GET /static HTTP/1.0\r\n\r\n", &a);
    ck_assert_str_eq(a.body, "hello");
}
END_TEST

/* RFC 9110 9.3.2: HEAD is GET without its body, length included, and the connection goes on. */
START_TEST(head_is_get_without_body)
{
    int fd = client_connect(&f);
    client_puts(fd, "HEAD /data HTTP/1.1\r\n" H "\r\nGET /data HTTP/1.1\r\n" H "\r\n");
    ck_assert(client_read(fd, &a, true));
    ck_assert_int_eq(a.status, 202);
    ck_assert_str_eq(answer_header(&a, "Content-Length"), "33");
    ck_assert(client_read(fd, &a, false));
    ck_assert_uint_eq(a.body_len, 33);
    close(fd);
}
END_TEST

static cJSON *read_data(const char *request)
{
    ask(&f, request, &a);
    ck_assert_int_eq(a.status, 200);
    cJSON *root = cJSON_Parse(a.body), *data = cJSON_DetachItemFromObject(root, "data");
    cJSON_Delete(root);
    return data;
}

START_TEST(query_headers_params)
{
    cJSON *d = read_data("GET /read?q=a%20b%EA%B0%80+c&empty=&flag&q=2 HTTP/1.1\r\n" H
                         "Authorization: Bearer x \r\nAccept: a/b\r\naccept: c/d\r\nX-Other: o\r\n"
                         "Prefer: wait=5\r\nprefer: respond-async\r\n\r\n");
    ck_assert_str_eq(text_at(d, "q"), "a b가 c");
    ck_assert(cJSON_IsTrue(cJSON_GetObjectItem(d, "twice")));
    ck_assert_str_eq(text_at(d, "empty"), "");
    ck_assert_str_eq(text_at(d, "flag"), "");
    ck_assert_str_eq(text_at(d, "none"), "(absent)");
    ck_assert_str_eq(text_at(d, "path"), "/read");
    ck_assert_str_eq(text_at(d, "auth"), "Bearer x");
    ck_assert_str_eq(text_at(d, "accept"), "a/b, c/d");
    ck_assert_str_eq(text_at(d, "other"), "o");
    ck_assert(cJSON_IsTrue(cJSON_GetObjectItem(d, "async")));
    ck_assert(cJSON_IsTrue(cJSON_GetObjectItem(d, "fd")));
    ck_assert_str_eq(text_at(d, "request"), "/product/request/1?x");
    cJSON_Delete(d);
    d = read_data("GET /read/%41%2Bb?q=%ff%ED%A0%80x HTTP/1.1\r\n" H "\r\n");
    ck_assert_str_eq(text_at(d, "id"), "A+b");
    ck_assert_str_eq(text_at(d, "path"), "/read/%41%2Bb");
    ck_assert_str_eq(text_at(d, "q"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDx");
    ck_assert(cJSON_IsFalse(cJSON_GetObjectItem(d, "twice")));
    cJSON_Delete(d);
    d = read_data("GET /api/v1/read HTTP/1.1\r\n" H "\r\n");
    ck_assert_str_eq(text_at(d, "request"), "/api/v1/products/change/1?x");
    ck_assert_str_eq(text_at(d, "validation"), "/api/v1/products/change/validation");
    ck_assert_str_eq(text_at(d, "requests"), "/api/v1/products/requests");
    ck_assert_str_eq(text_at(d, "menu"), "/api/v1/products/menu");
    ck_assert_str_eq(text_at(d, "change"), "/api/v1/products/available");
    cJSON_Delete(d);
}
END_TEST

/* CONTRACT 1: X-Request-ID is taken when well-formed, made otherwise; a trace goes on under a new span. */
START_TEST(correlation)
{
    static const char trace[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    char request[600];
    snprintf(request, sizeof request,
             "GET /read HTTP/1.1\r\n" H "X-Request-ID: bad id!\r\ntraceparent: %s\r\n\r\n", trace);
    cJSON *d = read_data(request);
    ck_assert_uint_eq(strlen(text_at(d, "correlation")), UUID_LEN);
    ck_assert_str_eq(answer_header(&a, "X-Request-ID"), text_at(d, "correlation"));
    ck_assert(strncmp(text_at(d, "trace"), trace, 36) == 0);
    ck_assert(strcmp(text_at(d, "trace"), trace) != 0);
    cJSON_Delete(d);
    snprintf(request, sizeof request,
             "GET /read HTTP/1.1\r\n" H
             "X-Request-ID: a\r\nX-Request-ID: b\r\ntraceparent: %s\r\ntraceparent: %s\r\n\r\n",
             trace, trace);
    d = read_data(request);
    ck_assert_uint_eq(strlen(text_at(d, "correlation")), UUID_LEN);
    ck_assert(strncmp(text_at(d, "trace"), trace, 36) != 0);
    cJSON_Delete(d);
}
END_TEST

/* CONTRACT 1, CORS: preflight 204 without token, for origins of the list only. */
START_TEST(cors)
{
    ask(&f,
        "OPTIONS /data HTTP/1.1\r\n" H
        "Origin: https://shop.example\r\nAccess-Control-Request-Method: POST\r\n\r\n",
        &a);
    ck_assert_int_eq(a.status, 204);
    ck_assert_uint_eq(a.body_len, 0);
    ck_assert_str_eq(answer_header(&a, "Access-Control-Allow-Origin"), "https://shop.example");
    ck_assert_str_eq(answer_header(&a, "Access-Control-Allow-Methods"), "GET, HEAD, POST");
    ck_assert_str_eq(answer_header(&a, "Access-Control-Allow-Headers"),
                     "Authorization, Content-Type, Prefer, Idempotency-Key, X-Request-ID");
    ck_assert_str_eq(answer_header(&a, "Access-Control-Expose-Headers"),
                     "Location, Retry-After, X-Total-Count");
    ck_assert_str_eq(answer_header(&a, "Vary"), "Origin");
    ask(&f,
        "OPTIONS /data HTTP/1.1\r\n" H
        "Origin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n\r\n",
        &a);
    ck_assert_int_eq(a.status, 405);
    ck_assert_ptr_null(answer_header(&a, "Access-Control-Allow-Origin"));
    ck_assert_str_eq(answer_header(&a, "Vary"), "Origin");
    ask(&f, "OPTIONS /data HTTP/1.1\r\n" H "Origin: https://shop.example\r\n\r\n", &a);
    ck_assert_int_eq(a.status, 405);
    ask(&f,
        "OPTIONS /nowhere HTTP/1.1\r\n" H
        "Origin: https://shop.example\r\nAccess-Control-Request-Method: GET\r\n\r\n",
        &a);
    ck_assert_int_eq(a.status, 404);
    ask(&f, "GET /401 HTTP/1.1\r\n" H "Origin: http://localhost:3000\r\n\r\n", &a);
    ck_assert_int_eq(a.status, 401);
    ck_assert_str_eq(answer_header(&a, "Access-Control-Allow-Origin"), "http://localhost:3000");
    fixture_stop(&f);
    f.config.cors_allowed_origins.count = 0;
    fixture_start(&f);
    ask(&f,
        "OPTIONS /data HTTP/1.1\r\n" H
        "Origin: https://shop.example\r\nAccess-Control-Request-Method: GET\r\n\r\n",
        &a);
    ck_assert_int_eq(a.status, 405);
    ck_assert_ptr_null(answer_header(&a, "Vary"));
}
END_TEST

static void nothing(struct fixture *fx)
{
    (void)fx;
}

/* The access log: one line a request, the template instead of the path, the line masked, quiet ones left out.
 */
START_TEST(access_log)
{
    static char text[20000];
    ask(&f, "GET /full HTTP/1.1\r\n" H "X-Request-ID: id-1\r\n\r\n", &a);
    ask(&f, "GET /read/01099998888 HTTP/1.1\r\n" H "\r\n", &a);
    ask(&f, "GET /static HTTP/1.1\r\n" H "\r\n", &a);
    on_reactor(&f, nothing);
    on_reactor(&f, nothing); /* two turns: the lines are written at the end of one */
    ssize_t n = pread(log_fd, text, sizeof text - 1, 0);
    ck_assert_int_gt(n, 0);
    text[n] = '\0';
    ck_assert_ptr_nonnull(
        strstr(text, "\"event\":\"http.request\",\"method\":\"GET\",\"route\":\"/full\",\"status\":409,"));
    ck_assert_ptr_nonnull(strstr(text, "\"correlationId\":\"id-1\""));
    ck_assert_ptr_nonnull(
        strstr(text, "\"requestId\":\"" ID "\",\"line\":\"010****5678\",\"reason\":\"refused by KOS\"}"));
    ck_assert_ptr_nonnull(strstr(text, "\"route\":\"/read/{id}\",\"status\":200"));
    ck_assert_ptr_null(strstr(text, "01099998888"));
    ck_assert_ptr_null(strstr(text, "/static"));
}
END_TEST

/* Metrics: counted once, under the route's template. */
START_TEST(metrics)
{
    struct buf out;
    for (int i = 0; i < 3; i++) {
        ask(&f, "GET /read/1 HTTP/1.1\r\n" H "\r\n", &a);
    }
    ask(&f, "POST /data HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\n{}", &a);
    ask(&f, "GET /nowhere HTTP/1.1\r\n" H "\r\n", &a);
    on_reactor(&f, nothing);
    buf_init(&out, 1 << 20);
    metrics_print(&out);
    ck_assert_ptr_nonnull(strstr(
        out.data, "\npcs_http_requests_total{route=\"/read/{id}\",method=\"GET\",status=\"2xx\"} 3\n"));
    ck_assert_ptr_nonnull(
        strstr(out.data, "\npcs_http_requests_total{route=\"/data\",method=\"POST\",status=\"4xx\"} 1\n"));
    ck_assert_ptr_nonnull(strstr(
        out.data, "\npcs_http_requests_total{route=\"unmatched\",method=\"other\",status=\"4xx\"} 1\n"));
    ck_assert_ptr_nonnull(
        strstr(out.data, "\npcs_http_request_seconds_count{route=\"/read/{id}\",method=\"GET\"} 3\n"));
    ck_assert_ptr_nonnull(strstr(out.data, "\npcs_http_rejected_total{reason=\"media_type\"} 1\n"));
    ck_assert_ptr_nonnull(strstr(out.data, "\npcs_http_rejected_total{reason=\"not_found\"} 1\n"));
    ck_assert_ptr_nonnull(strstr(out.data, "# TYPE pcs_http_connections gauge\n"));
    buf_free(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http answers");
    TCase *tc = tcase_create("answers");
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, metrics); /* first: it counts */
    tcase_add_test(tc, error_envelope);
    tcase_add_test(tc, english_and_problem_json);
    tcase_add_test(tc, headers_of_an_error);
    tcase_add_test(tc, data_envelope);
    tcase_add_test(tc, head_is_get_without_body);
    tcase_add_test(tc, query_headers_params);
    tcase_add_test(tc, correlation);
    tcase_add_test(tc, cors);
    tcase_add_test(tc, access_log);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
