/* The route table and content negotiation, without sockets. */
#include "http/internal.h"

#include "unit/http/harness.h"

static void handler(struct http_request *rq)
{
    (void)rq;
}

static const struct http_route routes[] = {
    {.method = "GET", .path = "/menu", .handler = handler},
    {.method = "POST", .path = "/request", .handler = handler},
    {.method = "GET", .path = "/request/{requestId}", .handler = handler},
    {.method = "DELETE", .path = "/request/{requestId}", .handler = handler},
    {.method = "POST", .path = "/request/validation", .handler = handler},
    {.method = "GET", .path = "/api/v1/products/customer", .handler = handler},
    {.method = "GET", .path = "/api/v1/products/customer/{lineNumber}", .handler = handler},
    {.method = "GET", .path = "/a/{x}/b/{y}", .handler = handler},
};
static struct router r;
static struct router_params params;
static unsigned allowed;

static void setup(void)
{
    char err[100];
    ck_assert(router_init(&r, routes, sizeof routes / sizeof *routes, err, sizeof err));
}

static void teardown(void)
{
    router_free(&r);
}

static const char *find(enum method method, const char *path)
{
    const struct http_route *route = router_find(&r, method, path, strlen(path), &params, &allowed);
    return route ? route->path : NULL;
}

START_TEST(matches)
{
    ck_assert_str_eq(find(METHOD_GET, "/menu"), "/menu");
    ck_assert_str_eq(find(METHOD_HEAD, "/menu"), "/menu");
    ck_assert_str_eq(find(METHOD_GET, "/request/abc"), "/request/{requestId}");
    ck_assert_uint_eq(params.count, 1);
    ck_assert(params.items[0].value_len == 3 && memcmp(params.items[0].value, "abc", 3) == 0);
    ck_assert_str_eq(find(METHOD_POST, "/request/validation"), "/request/validation");
    ck_assert_str_eq(find(METHOD_GET, "/a/1/b/2"), "/a/{x}/b/{y}");
    ck_assert_uint_eq(params.count, 2);
    ck_assert(params.items[1].name_len == 1 && params.items[1].name[0] == 'y' &&
              params.items[1].value[0] == '2');
    ck_assert_str_eq(find(METHOD_GET, "/request/a%20b"), "/request/{requestId}");
    ck_assert_str_eq(find(METHOD_GET, "/request/..."), "/request/{requestId}");
}
END_TEST

/* PITFALLS 1: paths are not decoded, not cleaned, not guessed: anything but the exact path is 404. */
START_TEST(unknown_paths)
{
    static const char *const unknown[] = {
        "/",
        "",
        "/menu/",
        "//menu",
        "/Menu",
        "/menu/x",
        "/%6denu",
        "/./menu",
        "/request/../menu",
        "/request/",
        "/request/.",
        "/request/..",
        "/request/%2e",
        "/request/%2E%2e",
        "/request/.%2e",
        "/request/a%2Fb",
        "/request/a%2fb",
        "/request/a%00",
        "/request/a/",
        "/request//",
        "/menu?x",
        "/a//b/2",
        "/a/1/b/",
        "/a/1/b/2/",
        "/a/1/b",
        "/men",
        "/menu%00",
        "/menu;x=1",
        "/request/a/b",
        "menu",
    };
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        ck_assert_msg(!find(METHOD_GET, unknown[i]) && allowed == 0, "%s is known", unknown[i]);
    }
}
END_TEST

/* 405 lists the path's methods; a literal path hides a pattern that would fit. */
START_TEST(methods_of_a_path)
{
    char allow[ROUTER_ALLOW_MAX];
    ck_assert_ptr_null(find(METHOD_DELETE, "/menu"));
    ck_assert_str_eq(router_allow(allowed, allow), "GET, HEAD");
    ck_assert_ptr_null(find(METHOD_PUT, "/request/1"));
    ck_assert_str_eq(router_allow(allowed, allow), "GET, HEAD, DELETE");
    ck_assert_ptr_null(find(METHOD_GET, "/request/validation"));
    ck_assert_str_eq(router_allow(allowed, allow), "POST");
    ck_assert_ptr_null(find(METHOD_OTHER, "/request"));
    ck_assert_str_eq(router_allow(allowed, allow), "POST");
    ck_assert_str_eq(router_allow(127, allow), "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
}
END_TEST

START_TEST(bad_rows_are_named)
{
    static const struct http_route bad[] = {
        {.method = "FETCH", .path = "/x"},   {.method = "GET", .path = "x"},
        {.method = "GET", .path = "/{x"},    {.method = "GET", .path = "/x}"},
        {.method = "GET", .path = "/a{x}"},  {.method = "GET", .path = "/{x}b"},
        {.method = "GET", .path = "/{}"},    {.method = "GET", .path = "/{a}/{b}/{c}"},
        {.method = "OPTIONS", .path = "/x"}, {.method = "HEAD", .path = "/x"},
    };
    char err[100];
    struct router broken;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert(!router_init(&broken, &bad[i], 1, err, sizeof err));
        ck_assert_ptr_nonnull(strstr(err, bad[i].path));
    }
}
END_TEST

/* CONTRACT 1: Korean by default, English for Accept-Language: en. */
START_TEST(languages)
{
    static const struct {
        const char *header;
        bool english;
    } cases[] = {
        {"en", true},
        {"EN-us", true},
        {"ko", false},
        {"fr", false},
        {"*", false},
        {"ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7", false},
        {"fr,en;q=0.5", true},
        {"en,ko;q=0.9", true},
        {"en;q=0", false},
        {"", false},
        {"ko;q=0.3, en;q=0.8", true},
        {"english", false},
        {"en,ko", true},
        {"ko,en", false},
        {";;,,;q=,en;q=abc", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_msg(negotiate_english(cases[i].header) == cases[i].english, "%s", cases[i].header);
    }
}
END_TEST

START_TEST(problem_json)
{
    ck_assert(negotiate_problem_json("application/problem+json"));
    ck_assert(negotiate_problem_json("application/json, application/problem+json"));
    ck_assert(negotiate_problem_json("text/html;q=0.1, APPLICATION/PROBLEM+JSON;q=0.9"));
    ck_assert(!negotiate_problem_json("application/json, application/problem+json;q=0.5"));
    ck_assert(!negotiate_problem_json("application/problem+json;q=0"));
    ck_assert(!negotiate_problem_json("*/*"));
    ck_assert(!negotiate_problem_json("application/problem+jsonx"));
    ck_assert(!negotiate_problem_json(""));
}
END_TEST

START_TEST(content_types)
{
    ck_assert(negotiate_json_body("application/json"));
    ck_assert(negotiate_json_body("Application/JSON; charset=utf-8"));
    ck_assert(negotiate_json_body("application/json ;x=y"));
    ck_assert(!negotiate_json_body("application/jsonx"));
    ck_assert(!negotiate_json_body("application/problem+json"));
    ck_assert(!negotiate_json_body("text/plain; a=application/json"));
    ck_assert(!negotiate_json_body(""));
    ck_assert(!negotiate_json_body(NULL));
}
END_TEST

/* RFC 7240 */
START_TEST(preferences)
{
    ck_assert(negotiate_prefers("respond-async", "respond-async"));
    ck_assert(negotiate_prefers("wait=10, Respond-Async; x=1", "respond-async"));
    ck_assert(negotiate_prefers("return=minimal", "return"));
    ck_assert(!negotiate_prefers("x=\"a, respond-async\"", "respond-async"));
    ck_assert(!negotiate_prefers("respond-asynchronously", "respond-async"));
    ck_assert(!negotiate_prefers("", "respond-async"));
}
END_TEST

START_TEST(percent_decoding)
{
    char out[32];
    ck_assert_uint_eq(percent_decode(out, "a%20b+c", 7, false), 5);
    ck_assert_str_eq(out, "a b+c");
    ck_assert_uint_eq(percent_decode(out, "a%20b+c", 7, true), 5);
    ck_assert_str_eq(out, "a b c");
    ck_assert_uint_eq(percent_decode(out, "%zz", 3, true), SIZE_MAX);
    ck_assert_uint_eq(percent_decode(out, "%4", 2, true), SIZE_MAX);
    ck_assert_uint_eq(percent_decode(out, "%", 1, true), SIZE_MAX);
    ck_assert_uint_eq(percent_decode(out, "%00", 3, true), SIZE_MAX);
}
END_TEST

/* The settings' cross-field rules name the setting that is wrong. */
START_TEST(settings_are_checked)
{
    static const char *const good[] = {"https://shop.example", "http://127.0.0.1:3000", "*"};
    static const char *const bad[] = {"shop.example", "https://shop.example/", "://x", "https://"};
    struct http_config c = default_config();
    char err[200] = "";
    c.cors_allowed_origins = (struct config_list){.items = good, .count = 3};
    c.public_prefix = "/product";
    ck_assert(http_config_section.check(&c, err, sizeof err));
    for (int i = 0; i < 4; i++) {
        c.cors_allowed_origins = (struct config_list){.items = &bad[i], .count = 1};
        ck_assert(!http_config_section.check(&c, err, sizeof err));
        ck_assert_ptr_nonnull(strstr(err, "cors.allowed_origins"));
    }
    c.cors_allowed_origins.count = 0;
    static const char *const prefixes[] = {"product", "/product/", "/", "/a b", "/a?b", "//a", "/a\"b"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        c.public_prefix = prefixes[i];
        ck_assert(!http_config_section.check(&c, err, sizeof err));
        ck_assert_ptr_nonnull(strstr(err, "server.public_prefix"));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http router");
    TCase *tc = tcase_create("router");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, matches);
    tcase_add_test(tc, unknown_paths);
    tcase_add_test(tc, methods_of_a_path);
    tcase_add_test(tc, bad_rows_are_named);
    tcase_add_test(tc, languages);
    tcase_add_test(tc, problem_json);
    tcase_add_test(tc, content_types);
    tcase_add_test(tc, preferences);
    tcase_add_test(tc, percent_decoding);
    tcase_add_test(tc, settings_are_checked);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
