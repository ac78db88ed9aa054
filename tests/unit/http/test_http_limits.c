/* limits.c, cidr.c (issue 4, 6: overload is shed early; issue 5, 2: limits per client address, not for gateways). */
#include "unit/http/handlers.h"

#include "http/internal.h"

#define CROWD 20

static struct cidr block(const char *text)
{
    struct cidr c;
    ck_assert_msg(cidr_parse(text, &c), "%s", text);
    return c;
}

static bool within(const char *list, const char *address)
{
    struct cidr b = block(list), a = block(address);
    return cidr_contains(&b, a.address);
}

START_TEST(blocks_of_addresses)
{
    static const char *const wrong[] = {
        "",       "x",       "10.0.0.0/33", "10.0.0.1/8",  "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x",
        "10.0.0", "::1/129", "fe80::1/10",  "10.0.0.0/ 8", "/8",        "1.2.3.4.5",   "10.0.0.0/8/8"};
    struct cidr c;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_msg(!cidr_parse(wrong[i], &c), "%s", wrong[i]);
    }
    ck_assert(within("10.0.0.0/8", "10.255.1.2") && !within("10.0.0.0/8", "11.0.0.0"));
    ck_assert(within("192.0.2.128/25", "192.0.2.129") && !within("192.0.2.128/25", "192.0.2.127"));
    ck_assert(within("192.0.2.7", "192.0.2.7") && !within("192.0.2.7", "192.0.2.6"));
    ck_assert(within("0.0.0.0/0", "1.2.3.4") && !within("0.0.0.0/0", "2001:db8::1"));
    ck_assert(within("::/0", "1.2.3.4") && within("::/0", "2001:db8::1"));
    ck_assert(within("fc00::/7", "fdff::1") && !within("fc00::/7", "fe00::1"));
    ck_assert(within("10.0.0.0/8", "::ffff:10.1.2.3")); /* a socket of both kinds shows IPv4 so */
}
END_TEST

/* An IPv6 customer has 2^64 addresses; IPv4 has one. */
START_TEST(neighbours_share_an_address)
{
    struct cidr a = block("2001:db8:1:2:3:4:5:6"), b = block("2001:db8:1:2:ffff::"), c = block("192.0.2.7");
    unsigned char whole[CIDR_BYTES];
    cidr_fold(a.address);
    cidr_fold(b.address);
    ck_assert_mem_eq(a.address, b.address, CIDR_BYTES);
    memcpy(whole, c.address, CIDR_BYTES);
    cidr_fold(c.address);
    ck_assert_mem_eq(whole, c.address, CIDR_BYTES);
}
END_TEST

static unsigned shed_of_hundred(struct shed *s, bool order)
{
    unsigned n = 0;
    for (int i = 0; i < 100; i++) {
        n += shed_takes(s, order);
    }
    return n;
}

/* One late tick is nothing; several in a row shed a growing share, reads first, never all; half the limit ends it. */
START_TEST(lag_sheds_a_growing_share)
{
    struct shed s = {0};
    const uint64_t limit = 100 * NS_PER_MS;
    shed_step(&s, 10 * limit, limit);
    shed_step(&s, 10 * limit, limit);
    shed_step(&s, 0, limit);
    ck_assert_uint_eq(s.level, 0);
    ck_assert_uint_eq(shed_of_hundred(&s, false), 0);
    for (int i = 0; i < SHED_AFTER - 1; i++) {
        shed_step(&s, limit + 1, limit);
        ck_assert_uint_eq(s.level, 0);
    }
    shed_step(&s, limit + 1, limit);
    ck_assert_uint_eq(shed_of_hundred(&s, false), SHED_UP);
    ck_assert_uint_eq(shed_of_hundred(&s, true), 0);
    shed_step(&s, limit * 3 / 4, limit); /* neither late nor well: hysteresis */
    ck_assert_uint_eq(shed_of_hundred(&s, false), SHED_UP);
    for (int i = 0; i < 100; i++) {
        shed_step(&s, limit + 1, limit);
    }
    ck_assert_uint_eq(shed_of_hundred(&s, false), SHED_MAX);
    ck_assert_uint_eq(shed_of_hundred(&s, true), 2 * (SHED_MAX - 50));
    int steps = 0;
    while (s.level) {
        shed_step(&s, limit / 2 - 1, limit);
        ck_assert_int_lt(steps++, 100);
    }
    ck_assert_int_eq(steps, SHED_MAX / SHED_DOWN);
}
END_TEST

/* ---- a server ---- */

/* All of 127/8 is this machine: clients of several addresses. */
static int connect_from(const char *address)
{
    struct sockaddr_in from = {.sin_family = AF_INET},
                       to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)f.port)};
    struct timeval limit = {.tv_sec = PATIENCE_S};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(inet_pton(AF_INET, address, &from.sin_addr), 1);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ck_assert_msg(bind(fd, (struct sockaddr *)&from, sizeof from) == 0, "bind: %s", strerror(errno));
    ck_assert_msg(connect(fd, (struct sockaddr *)&to, sizeof to) == 0, "connect: %s", strerror(errno));
    return fd;
}

static const char *const gateways[] = {"127.0.0.1"};

static void setup_limits(void)
{
    prepare();
    f.config.gateway_addresses = (struct config_list){gateways, 1};
    f.config.address_connections = 3;
    f.config.address_rate = 1;
    f.config.address_burst = 10;
    f.config.addresses = 100;
    fixture_start(&f);
}

static void expect_refusal(int fd, int status, const char *code)
{
    struct answer a;
    ck_assert_msg(client_read(fd, &a, false), "no answer to a connection too many");
    ck_assert_int_eq(a.status, status);
    ck_assert_ptr_nonnull(strstr(a.body, code));
    ck_assert_ptr_nonnull(strstr(a.body, "\"success\":false"));
    ck_assert_ptr_nonnull(strstr(a.body, "\"retryAfterSeconds\":1"));
    ck_assert_str_eq(answer_header(&a, "Retry-After"), "1");
    ck_assert_str_eq(answer_header(&a, "Connection"), "close");
    ck_assert(client_ended(fd));
    close(fd);
}

#define GET_PLAIN "GET /plain HTTP/1.1\r\n" H "\r\n"
#define GET_GATED "GET /gated HTTP/1.1\r\n" H "Authorization: x\r\n\r\n"

START_TEST(connections_of_one_address)
{
    int held[3], gateway[6];
    for (int i = 0; i < 3; i++) {
        held[i] = connect_from("127.0.0.2");
        client_puts(held[i], GET_PLAIN);
        expect(held[i], 200);
    }
    expect_refusal(connect_from("127.0.0.2"), 429, "TOO_MANY_REQUESTS");
    int asking = connect_from("127.0.0.2"); /* its request is on the way when it is refused: no reset */
    client_puts(asking, GET_PLAIN);
    expect_refusal(asking, 429, "TOO_MANY_REQUESTS");
    int other = connect_from("127.0.0.3");
    client_puts(other, GET_PLAIN);
    expect(other, 200);
    for (int i = 0; i < 6; i++) { /* a gateway has as many as it likes */
        gateway[i] = client_connect(&f);
        client_puts(gateway[i], GET_PLAIN);
        expect(gateway[i], 200);
    }
    close(held[0]);
    uint64_t until = clock_mono_ns() + PATIENCE_S * NS_PER_SEC;
    struct answer a = {0};
    while (a.status != 200) { /* its place is free as soon as the server has seen the end */
        ck_assert(clock_mono_ns() < until);
        held[0] = connect_from("127.0.0.2");
        client_puts(held[0], GET_PLAIN);
        ck_assert(client_read(held[0], &a, false));
        if (a.status != 200) {
            close(held[0]);
        }
    }
    for (int i = 0; i < 6; i++) {
        close(gateway[i]);
    }
    for (int i = 0; i < 3; i++) {
        close(held[i]);
    }
    close(other);
}
END_TEST

START_TEST(requests_of_one_address)
{
    struct answer a = {0};
    int fd = connect_from("127.0.0.2"), asked = 0;
    while (a.status != 429) {
        ck_assert_int_lt(asked++, 20);
        client_puts(fd, asked % 2 ? GET_PLAIN : "GET /nothing HTTP/1.1\r\n" H "\r\n");
        ck_assert(client_read(fd, &a, false));
    }
    ck_assert_int_ge(asked, 10);
    ck_assert_ptr_nonnull(strstr(a.body, "TOO_MANY_REQUESTS"));
    ck_assert_str_eq(answer_header(&a, "RateLimit-Policy"), "\"address\";q=10;w=11");
    ck_assert_ptr_nonnull(strstr(answer_header(&a, "RateLimit"), "\"address\";r=0;t="));
    ck_assert_ptr_nonnull(answer_header(&a, "Retry-After"));
    int other = connect_from("127.0.0.3");
    client_puts(other, GET_PLAIN);
    expect(other, 200);
    int gateway = client_connect(&f);
    for (int i = 0; i < 30; i++) {
        client_puts(gateway, GET_PLAIN);
        expect(gateway, 200);
    }
    close(fd);
    close(other);
    close(gateway);
}
END_TEST

static void setup_crowd(void)
{
    prepare();
    f.config.connection_limit = CROWD;
    f.config.gateway_addresses = (struct config_list){gateways, 1};
    fixture_start(&f);
}

/* A full server: who idles makes room for who comes, the longest idle first. */
START_TEST(idle_connections_make_room)
{
    int held[CROWD], fresh[CROWD];
    for (int i = 0; i < CROWD; i++) {
        held[i] = connect_from("127.0.0.2");
        client_puts(held[i], GET_PLAIN);
        expect(held[i], 200);
    }
    for (int i = 0; i < CROWD; i++) {
        fresh[i] = connect_from("127.0.0.3");
        client_puts(fresh[i], GET_PLAIN);
        expect(fresh[i], 200);
        ck_assert(client_ended(held[i]));
    }
    for (int i = 0; i < CROWD; i++) {
        close(held[i]);
        close(fresh[i]);
    }
}
END_TEST

/* A full server, and nobody idles: a stranger hears 503 at once; through the gateway health is still answered, the rest
 * is 503; when some have gone everybody is served again. */
START_TEST(a_full_server_answers)
{
    int busy[CROWD];
    for (int i = 0; i < CROWD; i++) {
        busy[i] = connect_from("127.0.0.2");
        client_puts(busy[i], "GET /hang HTTP/1.1\r\n" H "\r\n");
    }
    wait_for(&arrived, CROWD);
    int asking = connect_from("127.0.0.3");
    client_puts(asking, GET_GATED);
    expect_refusal(asking, 503, "SERVICE_UNAVAILABLE");
    for (int i = 0; i < 30; i++) { /* many of them: no place is lost */
        expect_refusal(connect_from("127.0.0.3"), 503, "SERVICE_UNAVAILABLE");
    }
    struct answer a;
    ask(&f, GET_PLAIN, &a); /* an open route, as health is */
    ck_assert_int_eq(a.status, 200);
    ck_assert_str_eq(answer_header(&a, "Connection"), "close");
    ask(&f, GET_GATED, &a);
    ck_assert_int_eq(a.status, 503);
    ck_assert_ptr_nonnull(answer_header(&a, "Retry-After"));
    on_reactor(&f, release_all);
    for (int i = 0; i < CROWD; i++) {
        expect(busy[i], 200);
        close(busy[i]);
    }
    uint64_t until = clock_mono_ns() + PATIENCE_S * NS_PER_SEC;
    do {
        ck_assert(clock_mono_ns() < until);
        ask(&f, GET_GATED, &a);
    } while (a.status != 200);
}
END_TEST

/* Heads that never end, from anywhere, do not keep others out for longer than a second. */
START_TEST(overdue_heads_make_room)
{
    int slow[CROWD];
    struct answer a = {0};
    for (int i = 0; i < CROWD; i++) {
        slow[i] = connect_from("127.0.0.2");
        client_puts(slow[i], "GET /plain HT");
    }
    uint64_t until = clock_mono_ns() + PATIENCE_S * NS_PER_SEC;
    while (a.status != 200) {
        ck_assert(clock_mono_ns() < until);
        int fd = connect_from("127.0.0.3");
        client_puts(fd, GET_PLAIN);
        ck_assert(client_read(fd, &a, false));
        ck_assert(a.status == 200 || a.status == 503);
        close(fd);
        poll(NULL, 0, 10);
    }
    for (int i = 0; i < CROWD; i++) {
        close(slow[i]);
    }
}
END_TEST

/* ---- lag ---- */

static void stand_still(struct http_request *rq)
{
    poll(NULL, 0, 150); /* what must never happen on a reactor */
    reply_ok(rq);
}

static const struct http_route slow_routes[] = {
    {.method = "GET", .path = "/slow", .handler = stand_still},
    {.method = "GET", .path = "/health", .handler = on_plain, .flags = HTTP_OPEN},
};

static void setup_slow(void)
{
    prepare();
    f.routes = slow_routes;
    f.route_count = 2;
    f.config.loop_lag_ms = 20;
    fixture_start(&f);
}

/* A loop that is late sheds some, health is answered meanwhile, and it ends by itself. */
START_TEST(a_late_loop_sheds)
{
    struct answer a = {0};
    int shed = 0, served = 0, fd = client_connect(&f);
    uint64_t until = clock_mono_ns() + PATIENCE_S * NS_PER_SEC;
    while (shed < 3) {
        ck_assert_msg(clock_mono_ns() < until, "never shed, %d served", served);
        client_puts(fd, "GET /slow HTTP/1.1\r\n" H "Authorization: x\r\n\r\n");
        ck_assert(client_read(fd, &a, false));
        ck_assert(a.status == 200 || a.status == 503);
        if (a.status == 503) {
            ck_assert_ptr_nonnull(strstr(a.body, "\"code\":\"SERVICE_UNAVAILABLE\""));
            ck_assert_ptr_nonnull(answer_header(&a, "Retry-After"));
        }
        shed += a.status == 503;
        served += a.status == 200;
        client_puts(fd, "GET /health HTTP/1.1\r\n" H "\r\n");
        expect(fd, 200);
    }
    ck_assert_int_ge(served, SHED_AFTER);
    poll(NULL, 0, 100 * SHED_MAX / SHED_DOWN + 500); /* ticks with nothing to do: it is well again */
    for (int i = 0; i < 3; i++) {
        client_puts(fd, "GET /slow HTTP/1.1\r\n" H "Authorization: x\r\n\r\n");
        expect(fd, 200);
    }
    close(fd);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("http limits");
    TCase *pure = tcase_create("blocks, shares"), *address = tcase_create("addresses"),
          *crowd = tcase_create("crowd"), *lag = tcase_create("lag");
    tcase_add_test(pure, blocks_of_addresses);
    tcase_add_test(pure, neighbours_share_an_address);
    tcase_add_test(pure, lag_sheds_a_growing_share);
    tcase_add_checked_fixture(address, setup_limits, teardown);
    tcase_add_test(address, connections_of_one_address);
    tcase_add_test(address, requests_of_one_address);
    tcase_add_checked_fixture(crowd, setup_crowd, teardown);
    tcase_add_test(crowd, idle_connections_make_room);
    tcase_add_test(crowd, a_full_server_answers);
    tcase_add_test(crowd, overdue_heads_make_room);
    tcase_add_checked_fixture(lag, setup_slow, teardown);
    tcase_add_test(lag, a_late_loop_sheds);
    TCase *const all[] = {pure, address, crowd, lag};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        tcase_set_timeout(all[i], 60);
        suite_add_tcase(s, all[i]);
    }
    return run_suite(s);
}
