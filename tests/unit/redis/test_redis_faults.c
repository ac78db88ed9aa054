/* The Redis link against what is no Redis, or not a willing one: refused, reset, closed, silent, junk, wrong
 * password. CONTRACT.md 4: never a failed request, always a miss; and never the end of the process. */
#include "unit/redis/rig.h"

static struct fake fake;
static struct redis_link *link_;
static const char *script; /* what the fake says to everything after the greeting */

static void setup(void)
{
    rig_setup();
    script = NULL;
}

static void teardown(void)
{
    rig_teardown();
}

static void greet_then_script(struct fake *f, const char *data, size_t len)
{
    (void)len;
    if (strstr(data, "SELECT")) {
        fake_say(f, "+OK\r\n", 5);
    } else if (script) {
        fake_say(f, script, strlen(script));
    }
}

static void open_to_fake(void (*on_data)(struct fake *, const char *, size_t))
{
    fake_start(&fake, on_data);
    struct redis_config config = test_config(fake.port);
    link_ = open_link(&config, NULL);
}

static void close_both(void)
{
    redis_link_destroy(link_);
    fake_stop(&fake);
}

/* Nobody listens at start; the link comes up by itself once somebody does. */
START_TEST(refused_then_up)
{
    int port = free_port();
    struct redis_config config = test_config(port);
    struct heard h = {0};
    link_ = open_link(&config, NULL);
    rig_run(300);
    ck_assert_uint_gt(link_->attempts, 1);
    ck_assert(strstr(link_->last_reason, "refused") != NULL);
    command(link_, hear, &h, "PING", NULL, NULL);
    ck_assert(rig_until(h.count, 100));
    ck_assert_int_eq(h.outcome, REDIS_SKIPPED);
    pid_t server = start_redis(port, NULL);
    ck_assert(rig_until(redis_link_up(link_), 4000));
    redis_link_destroy(link_);
    stop_redis(server);
}
END_TEST

/* The back-off lies between 50 ms and 2 s: a refused link does not spin. */
START_TEST(refused_backs_off)
{
    struct redis_config config = test_config(free_port());
    link_ = open_link(&config, NULL);
    rig_run(1000);
    ck_assert_uint_ge(link_->attempts, 2);
    ck_assert_uint_le(link_->attempts, 16);
    redis_link_destroy(link_);
}
END_TEST

static void reset_peer(struct fake *f, const char *data, size_t len)
{
    greet_then_script(f, data, len);
    if (!strstr(data, "SELECT")) {
        fake_close_peer(f, true);
    }
}

static void close_peer(struct fake *f, const char *data, size_t len)
{
    greet_then_script(f, data, len);
    if (!strstr(data, "SELECT")) {
        fake_close_peer(f, false);
    }
}

/* RST and FIN with commands under way: all lost, each told once, and the link comes back. */
START_TEST(reset_and_closed)
{
    struct heard a = {0}, b = {0};
    open_to_fake(_i ? reset_peer : close_peer);
    ck_assert(rig_until(redis_link_up(link_), 1000));
    command(link_, hear, &a, "GET", "k", NULL);
    command(link_, hear, &b, "GET", "k", NULL);
    ck_assert(rig_until(b.count, 1000));
    ck_assert_int_eq(a.outcome, REDIS_LOST);
    ck_assert_int_eq(b.outcome, REDIS_LOST);
    ck_assert(rig_until(redis_link_up(link_), 2000));
    ck_assert_uint_eq(fake.accepted, 2);
    ck_assert_uint_eq(a.count, 1);
    close_both();
}
END_TEST

/* A connection that is reset while idle is noticed without a command. */
START_TEST(reset_while_idle)
{
    open_to_fake(greet_then_script);
    ck_assert(rig_until(redis_link_up(link_), 1000));
    fake_close_peer(&fake, true);
    ck_assert(rig_until(!redis_link_up(link_), 1000));
    ck_assert(rig_until(redis_link_up(link_), 2000));
    close_both();
}
END_TEST

static void say_script(struct fake *f, const char *data, size_t len)
{
    (void)data;
    (void)len;
    fake_say(f, script, strlen(script));
}

/* Junk instead of a greeting: the link is never up. */
static const char *const junk[] = {
    "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "\x01\x02\x03\x04",
    ":1\r\n",
    "$5\r\nhello\r\n",
    "*2\r\n+OK\r\n+OK\r\n",
    "-ERR max number of clients reached\r\n",
    "$-7\r\n",
    "*-9\r\n",
    "$99999999999999999999\r\n",
};

START_TEST(junk_greeting)
{
    script = junk[_i];
    open_to_fake(say_script);
    rig_run(250);
    ck_assert(!redis_link_up(link_));
    ck_assert_uint_ge(fake.accepted, 1);
    close_both();
}
END_TEST

/* Junk instead of a reply: lost or late, the process lives, the link comes back. hiredis on its own would
 * abort() on a reply too many and allocate gigabytes for an array that is announced. */
static const char *const replies[] = {
    "nonsense\r\n",
    "+OK\r\n+OK\r\n+OK\r\n",
    "$3\r\nabc\r\n$3\r\nabc\r\n:5\r\n*1\r\n:1\r\n",
    "*2000000000\r\n",
    "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
    "$-5\r\n",
    ":not a number\r\n",
    "$2147483648\r\nab",
    "+",
};

START_TEST(junk_reply)
{
    struct heard h = {0};
    script = replies[_i];
    open_to_fake(greet_then_script);
    ck_assert(rig_until(redis_link_up(link_), 1000));
    command(link_, hear, &h, "GET", "k", NULL);
    ck_assert(rig_until(h.count, 1500));
    rig_run(50);
    ck_assert_uint_eq(h.count, 1);
    ck_assert(rig_until(redis_link_up(link_), 3000));
    close_both();
}
END_TEST

/* Whole replies, but none of ours: arrays in arrays would multiply what a reader's limit of bytes allows. */
static const char *const arrays[] = {
    "*2\r\n*1\r\n:1\r\n*1\r\n:1\r\n",
    "*1\r\n*0\r\n",
    ("*17\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:"
     "1\r\n:"
     "1\r\n"),
};

START_TEST(arrays_that_nobody_asked_for)
{
    struct heard h = {0};
    script = arrays[_i];
    open_to_fake(greet_then_script);
    ck_assert(rig_until(redis_link_up(link_), 1000));
    command(link_, hear, &h, "GET", "k", NULL);
    ck_assert(rig_until(h.count, 1500));
    ck_assert_int_ne(h.outcome, REDIS_REPLIED);
    close_both();
}
END_TEST

/* A bulk string without an end does not fill the memory: the connection ends at LINK_ANSWER_MAX. */
static void flood(struct fake *f, const char *data, size_t len)
{
    greet_then_script(f, data, len);
    if (strstr(data, "GET")) {
        fake_say(f, "$500000000\r\n", 12);
    }
}

START_TEST(endless_reply)
{
    static char block[65536];
    struct redis_arg get[] = {{"GET", 3}, {"k", 1}};
    struct heard h = {0};
    memset(block, 'x', sizeof block);
    open_to_fake(flood);
    ck_assert(rig_until(redis_link_up(link_), 1000));
    redis_command(link_, 20000, hear, &h, get, 2);
    uint64_t until = clock_mono_ns() + 15 * NS_PER_SEC;
    while (!h.count && clock_mono_ns() < until) {
        fake_say(&fake, block, sizeof block);
        uv_run(&reactor.loop, UV_RUN_NOWAIT);
    }
    ck_assert_uint_eq(h.count, 1);
    ck_assert_int_eq(h.outcome, REDIS_LOST);
    close_both();
}
END_TEST

/* A server that accepts and says nothing: the connect deadline covers the greeting. */
START_TEST(silent_greeting)
{
    open_to_fake(NULL);
    rig_run(450);
    ck_assert_uint_eq(fake.accepted, 1);
    ck_assert(rig_until(fake.accepted >= 2, 2000));
    ck_assert_str_eq(link_->last_reason, "not connected in time");
    close_both();
}
END_TEST

/* A black hole (a full backlog): ended by redis.connect_timeout. */
START_TEST(connect_timeout)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int hole = socket(AF_INET, SOCK_STREAM, 0), filler[4];
    ck_assert_int_eq(bind(hole, (struct sockaddr *)&a, sizeof a), 0);
    getsockname(hole, (struct sockaddr *)&a, &len);
    listen(hole, 0);
    for (int i = 0; i < 4; i++) {
        filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(filler[i], (struct sockaddr *)&a, sizeof a);
    }
    struct redis_config config = test_config(ntohs(a.sin_port));
    config.connect_timeout_ms = 100;
    link_ = open_link(&config, NULL);
    ck_assert(rig_until(link_->attempts >= 2, 1000));
    ck_assert_str_eq(link_->last_reason, "not connected in time");
    redis_link_destroy(link_);
    rig_run(1);
    for (int i = 0; i < 4; i++) {
        close(filler[i]);
    }
    close(hole);
}
END_TEST

/* Wrong password, missing password, no such database: never up, and the reason is Redis' own. */
START_TEST(refused_greetings)
{
    static const struct {
        const char *password;
        int64_t database;
        const char *reason;
    } cases[] = {{"wrong", 0, "WRONGPASS"}, {"", 0, "NOAUTH"}, {"secret", 99, "out of range"}};
    int port = free_port();
    pid_t server = start_redis(port, "secret");
    struct redis_config config = test_config(port);
    struct heard h = {0};
    config.password = cases[_i].password;
    config.database = cases[_i].database;
    link_ = open_link(&config, NULL);
    ck_assert(rig_until(link_->last_reason[0], 2000));
    ck_assert_msg(strstr(link_->last_reason, cases[_i].reason) != NULL, "%s", link_->last_reason);
    ck_assert(strstr(link_->last_reason, "secret") == NULL);
    command(link_, hear, &h, "PING", NULL, NULL);
    ck_assert(rig_until(h.count, 100));
    ck_assert_int_eq(h.outcome, REDIS_SKIPPED);
    redis_link_destroy(link_);
    rig_run(1);
    stop_redis(server);
}
END_TEST

START_TEST(password_and_database)
{
    int port = free_port();
    pid_t server = start_redis(port, "secret");
    struct redis_config config = test_config(port);
    struct heard h = {0};
    config.host = "localhost"; /* resolved off the loop */
    config.password = "secret";
    config.database = 3;
    link_ = open_link(&config, NULL);
    ck_assert(rig_until(redis_link_up(link_), 4000));
    command(link_, NULL, NULL, "SET", "in-three", "x");
    command(link_, hear, &h, "CLIENT", "INFO", NULL);
    ck_assert(rig_until(h.count, 1000));
    ck_assert_msg(strstr(h.text, " db=3 ") != NULL, "%s", h.text);
    redis_link_destroy(link_);
    rig_run(1);
    stop_redis(server);
}
END_TEST

START_TEST(unknown_host)
{
    struct redis_config config = test_config(6379);
    struct heard h = {0};
    config.host = "no-such-host.invalid";
    link_ = open_link(&config, NULL);
    command(link_, hear, &h, "PING", NULL, NULL);
    ck_assert(rig_until(h.count, 200));
    ck_assert(rig_until(strstr(link_->last_reason, "host name"), 20000));
    redis_link_destroy(link_);
}
END_TEST

/* Destroyed in each state on the way up: no callback, nothing left open (rig_teardown proves it). */
START_TEST(destroyed_on_the_way)
{
    struct redis_config config = test_config(free_port());
    config.host = _i == 0 ? "127.0.0.1" : "localhost";
    link_ = open_link(&config, NULL);
    for (int i = 0; i < _i; i++) {
        uv_run(&reactor.loop, UV_RUN_NOWAIT);
    }
    redis_link_destroy(link_);
    redis_link_destroy(link_);
}
END_TEST

/* One write for all commands of a turn, seen by the server as one piece. */
START_TEST(one_write_a_turn)
{
    struct heard h[20] = {{0}};
    open_to_fake(greet_then_script);
    ck_assert(rig_until(redis_link_up(link_), 1000));
    unsigned before = fake.reads;
    for (int i = 0; i < 20; i++) {
        command(link_, hear, &h[i], "GET", "key", NULL);
    }
    rig_run(50);
    ck_assert_uint_eq(fake.reads - before, 1);
    close_both();
}
END_TEST

/* A failover: the old primary is a replica now and keeps our connection. It is left, so that the host's name is resolved
 * anew; but not again and again when there is nothing better. */
START_TEST(a_primary_that_became_a_replica_is_left)
{
    int port = free_port();
    pid_t server = start_redis(port, NULL);
    struct redis_config config = test_config(port);
    struct heard h[3] = {{0}};
    redisContext *op = client(port);
    link_ = open_link(&config, NULL);
    ck_assert(rig_until(redis_link_up(link_), 4000));
    freeReplyObject(redisCommand(op, "REPLICAOF 127.0.0.1 1"));
    command(link_, hear, &h[0], "SET", "key", "x");
    ck_assert(rig_until(h[0].count, 1000));
    ck_assert_int_eq(h[0].type, REDIS_REPLY_ERROR);
    ck_assert_msg(redis_link_up(link_), "left a moment after connecting");

    link_->up_since_ns -= 2 * LINK_REPLICA_MS * NS_PER_MS;
    command(link_, hear, &h[1], "SET", "key", "x");
    ck_assert(rig_until(h[1].count, 1000));
    ck_assert_int_eq(h[1].type, REDIS_REPLY_ERROR);
    ck_assert(!redis_link_up(link_));
    freeReplyObject(redisCommand(op, "REPLICAOF NO ONE"));
    ck_assert(rig_until(redis_link_up(link_), 4000));
    command(link_, hear, &h[2], "SET", "key", "x");
    ck_assert(rig_until(h[2].count, 1000));
    ck_assert_int_eq(h[2].type, REDIS_REPLY_STATUS);
    redis_link_destroy(link_);
    rig_run(1);
    redisFree(op);
    stop_redis(server);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redis faults");
    TCase *c = tcase_create("faults");
    tcase_set_timeout(c, 30);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, refused_then_up);
    tcase_add_test(c, refused_backs_off);
    tcase_add_loop_test(c, reset_and_closed, 0, 2);
    tcase_add_test(c, reset_while_idle);
    tcase_add_loop_test(c, junk_greeting, 0, sizeof junk / sizeof junk[0]);
    tcase_add_loop_test(c, junk_reply, 0, sizeof replies / sizeof replies[0]);
    tcase_add_loop_test(c, arrays_that_nobody_asked_for, 0, (int)(sizeof arrays / sizeof *arrays));
    tcase_add_test(c, endless_reply);
    tcase_add_test(c, silent_greeting);
    tcase_add_test(c, connect_timeout);
    tcase_add_loop_test(c, refused_greetings, 0, 3);
    tcase_add_test(c, password_and_database);
    tcase_add_test(c, unknown_host);
    tcase_add_test(c, a_primary_that_became_a_replica_is_left);
    tcase_add_loop_test(c, destroyed_on_the_way, 0, 4);
    tcase_add_test(c, one_write_a_turn);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
