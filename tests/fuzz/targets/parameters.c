/* Parameters of reads (CONTRACT.md 1, bad parameters): a number is taken only if it is one and within its bounds, a line
 * only if it is the caller's. The input is a query; the customers' API and the operator's read it. */
#include "admin/internal.h"
#include "api/common.h"
#include "fuzz/fake_request.h"

typedef bool (*int_reader)(struct http_request *rq, const char *name, int64_t low, int64_t high,
                           int64_t fallback, int64_t *out);

static void check_int(int_reader read, const char *query, int64_t low, int64_t high)
{
    struct request *rq = fake_request(query, NULL, 0);
    int64_t n = 0;
    bool twice = false;
    const char *text = http_query(&rq->pub, "n", &twice);
    bool ok = read(&rq->pub, "n", low, high, -7, &n);
    if (ok) {
        FUZZ_CHECK(!twice && (text ? n >= low && n <= high : n == -7));
        for (const char *p = text; p && *p; p++) {
            FUZZ_CHECK(*p >= '0' && *p <= '9');
        }
        FUZZ_CHECK(!text || strtoll(text, NULL, 10) == n);
    }
    FUZZ_CHECK(fake_end(rq) == (ok ? 0 : 400));
}

static void check_line(const char *query, bool admin)
{
    static const char lines[][IDENTITY_LINE_LEN + 1] = {"01012345678"};
    const struct identity who = {
        .subject = "u", .customer_id = "", .lines = lines, .line_count = 1, .admin = admin};
    struct request *rq = fake_request(query, NULL, 0);
    const char *line = NULL;
    rq->pub.identity = &who;
    bool ok = line_from_query(&rq->pub, &line);
    if (ok) {
        char again[LINE_LEN + 1];
        FUZZ_CHECK(line_parse(line, strlen(line), again) && (admin || strcmp(line, lines[0]) == 0));
    }
    int status = fake_end(rq);
    FUZZ_CHECK(ok ? status == 0 : status == 400 || (status == 403 && !admin));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *query = fuzz_text(data, size);
    check_int(query_int, query, 1, 100);
    check_int(query_int, query, 1, INT64_MAX);
    check_int(admin_query_int, query, 0, 1000);
    check_line(query, false);
    check_line(query, true);
    struct request *rq = fake_request(query, NULL, 0);
    const char *line;
    bool ok = admin_query_line(&rq->pub, &line);
    FUZZ_CHECK(!ok || !line || strlen(line) == LINE_LEN);
    FUZZ_CHECK(fake_end(rq) == (ok ? 0 : 400));
    free(query);
    return 0;
}
