/* The cache protocol: DESIGN.md, The cache. "No read that begins after a completed change was answered sees
 * the old product" (CONTRACT.md 4) rests on these rules. */
#include "unit/redis/rig.h"

static int port;
static pid_t server;
static struct redis_link *link_;
static redisContext *other; /* another instance */

static void setup(void)
{
    port = free_port();
    server = start_redis(port, NULL);
    rig_setup();
    struct redis_config config = test_config(port);
    link_ = open_link(&config, NULL);
    ck_assert(rig_until(redis_link_up(link_), 2000));
    other = client(port);
    ck_assert_ptr_nonnull(other);
}

static void teardown(void)
{
    redisFree(other);
    redis_link_destroy(link_);
    rig_teardown();
    stop_redis(server);
}

struct found {
    unsigned count;
    enum lease_answer answer;
    char value[512];
    size_t len;
    char token[LEASE_TOKEN_LEN + 1];
    bool fresh;
};

static void on_found(void *arg, const struct lease_result *r)
{
    struct found *f = arg;
    f->count++;
    f->answer = r->answer;
    f->fresh = r->fresh;
    f->len = r->len;
    if (r->answer == LEASE_VALUE) {
        memcpy(f->value, r->value, r->len);
    }
    if (r->answer == LEASE_HELD) {
        ck_assert_uint_eq(strlen(r->token), LEASE_TOKEN_LEN);
        memcpy(f->token, r->token, LEASE_TOKEN_LEN + 1);
    }
}

static struct found look(const char *key, size_t head_only)
{
    struct found f = {0};
    ck_assert_ptr_nonnull(lease_get(link_, key, head_only, on_found, &f));
    ck_assert_uint_eq(f.count, 0);
    ck_assert(rig_until(f.count, 1000));
    ck_assert_uint_eq(f.count, 1);
    return f;
}

static long long fill(const char *key, const char *token, size_t token_len, const char *value)
{
    struct heard h = {0};
    ck_assert_ptr_nonnull(lease_fill(link_, key, token, token_len, value, strlen(value), 60000, hear, &h));
    ck_assert(rig_until(h.count, 1000));
    ck_assert_int_eq(h.outcome, REDIS_REPLIED);
    ck_assert_msg(h.type == REDIS_REPLY_INTEGER, "%s", h.text);
    return h.integer;
}

/* What the other instance sees; "" for nothing. */
static const char *stored(const char *key)
{
    static char text[512];
    redisReply *r = redisCommand(other, "GET %s", key);
    snprintf(text, sizeof text, "%s", r->str ? r->str : "");
    freeReplyObject(r);
    return text;
}

static void run(const char *format, const char *a, const char *b)
{
    redisReply *r = redisCommand(other, format, a, b);
    ck_assert_ptr_nonnull(r);
    freeReplyObject(r);
}

START_TEST(miss_takes_a_lease_and_fills)
{
    struct found f = look("k", 0);
    ck_assert_int_eq(f.answer, LEASE_HELD);
    ck_assert(f.fresh);
    ck_assert_str_eq(stored("k"), f.token);
    redisReply *ttl = redisCommand(other, "PTTL k");
    ck_assert_int_gt((int)ttl->integer, LEASE_MS - 1000);
    ck_assert_int_le((int)ttl->integer, LEASE_MS);
    freeReplyObject(ttl);
    ck_assert_int_eq((int)fill("k", f.token, LEASE_TOKEN_LEN, "head:value"), 1);
    f = look("k", 0);
    ck_assert_int_eq(f.answer, LEASE_VALUE);
    ck_assert_uint_eq(f.len, 10);
    ck_assert_mem_eq(f.value, "head:value", 10);
    ttl = redisCommand(other, "PTTL k");
    ck_assert_int_gt((int)ttl->integer, 58000);
    freeReplyObject(ttl);
}
END_TEST

/* A second reader finds the first one's lease and may fill with it. */
START_TEST(found_lease_is_shared)
{
    struct found a = look("k", 0), b = look("k", 0);
    ck_assert(a.fresh && !b.fresh);
    ck_assert_str_eq(a.token, b.token);
    ck_assert_int_eq((int)fill("k", b.token, LEASE_TOKEN_LEN, "v1"), 1);
    ck_assert_int_eq((int)fill("k", a.token, LEASE_TOKEN_LEN, "v2"), 0);
    ck_assert_str_eq(stored("k"), "v1");
}
END_TEST

/* The heart: a change deletes the key while a read is on its way; the read's fill does not put the old value
 * back, neither into the void nor over the lease of a later reader. */
START_TEST(change_defeats_an_older_read)
{
    struct heard dropped = {0};
    struct found old = look("k", 0);
    lease_drop(link_, "k", hear, &dropped);
    ck_assert(rig_until(dropped.count, 1000));
    ck_assert_int_eq(dropped.type, REDIS_REPLY_INTEGER);
    ck_assert_int_eq((int)fill("k", old.token, LEASE_TOKEN_LEN, "old product"), 0);
    ck_assert_str_eq(stored("k"), "");
    struct found fresh = look("k", 0);
    ck_assert(fresh.fresh);
    ck_assert_str_ne(fresh.token, old.token);
    ck_assert_int_eq((int)fill("k", old.token, LEASE_TOKEN_LEN, "old product"), 0);
    ck_assert_int_eq((int)fill("k", fresh.token, LEASE_TOKEN_LEN, "new product"), 1);
    ck_assert_int_eq((int)fill("k", old.token, LEASE_TOKEN_LEN, "old product"), 0);
    ck_assert_str_eq(stored("k"), "new product");
}
END_TEST

/* The same after an eviction or a flush. */
START_TEST(flush_defeats_an_older_read)
{
    struct found old = look("k", 0);
    run("FLUSHALL", NULL, NULL);
    ck_assert_int_eq((int)fill("k", old.token, LEASE_TOKEN_LEN, "old product"), 0);
    ck_assert_str_eq(stored("k"), "");
}
END_TEST

/* A stale value is refreshed by its own head, and only as long as it is there. */
START_TEST(stale_value_is_refreshed_by_its_head)
{
    run("SET %s %s", "k", "head-1|old");
    ck_assert_int_eq((int)fill("k", "head-1|", 7, "head-2|new"), 1);
    ck_assert_int_eq((int)fill("k", "head-1|", 7, "head-3|newer"), 0);
    ck_assert_str_eq(stored("k"), "head-2|new");
    ck_assert_int_eq((int)fill("k", "", 0, "anything"), 0);
}
END_TEST

START_TEST(head_only)
{
    char long_value[201];
    memset(long_value, 'x', 200);
    long_value[200] = '\0';
    run("SET %s %s", "k", long_value);
    struct found f = look("k", 16);
    ck_assert_int_eq(f.answer, LEASE_VALUE);
    ck_assert_uint_eq(f.len, 16);
    f = look("k", 100);
    ck_assert_uint_eq(f.len, 100);
    f = look("none", 16);
    ck_assert_int_eq(f.answer, LEASE_HELD);
    ck_assert(f.fresh);
    f = look("none", 16);
    ck_assert_int_eq(f.answer, LEASE_HELD);
    ck_assert(!f.fresh);
}
END_TEST

/* Somebody fills between the GET and the SET NX: the value is the answer. The other instance writes as soon
 * as the GET has been answered, before this loop reads the answer. */
START_TEST(lost_race_for_the_lease)
{
    struct found f = {0};
    lease_get(link_, "k", 0, on_found, &f);
    uv_run(&reactor.loop, UV_RUN_NOWAIT); /* GET leaves */
    usleep(50000);
    run("SET %s %s", "k", "from elsewhere");
    ck_assert(rig_until(f.count, 1000));
    ck_assert_int_eq(f.answer, LEASE_VALUE);
    ck_assert_mem_eq(f.value, "from elsewhere", f.len);
}
END_TEST

START_TEST(lease_is_given_back)
{
    struct found f = look("k", 0);
    lease_return(link_, "k", "lease:00000000-0000-7000-8000-000000000000");
    rig_run(30);
    ck_assert_str_eq(stored("k"), f.token);
    lease_return(link_, "k", f.token);
    rig_run(30);
    ck_assert_str_eq(stored("k"), "");
}
END_TEST

/* Garbage in the key: of another type, empty, or something that only begins like a lease. */
START_TEST(garbage_is_a_miss)
{
    size_t head = _i ? 16 : 0;
    run("RPUSH %s %s", "list", "x");
    run("SET %s %s", "odd", "lease:not one at all");
    struct found f = look("list", head);
    ck_assert_int_eq(f.answer, LEASE_HELD);
    ck_assert(f.fresh);
    ck_assert_int_eq((int)fill("list", f.token, LEASE_TOKEN_LEN, "v"), 1);
    redisReply *set = redisCommand(other, "SET empty %b", "", (size_t)0);
    freeReplyObject(set);
    f = look("empty", head);
    ck_assert_int_eq(f.answer, LEASE_HELD);
    ck_assert(f.fresh);
    f = look("odd", head);
    ck_assert_int_eq(f.answer, LEASE_VALUE);
    run("RPUSH %s %s", "later", "x");
    ck_assert_int_eq((int)fill("later", f.token, LEASE_TOKEN_LEN, "v"), 0);
    lease_return(link_, "later", "lease:x");
    rig_run(20);
    ck_assert(redis_link_up(link_));
}
END_TEST

static void answers_get_only(struct fake *f, const char *data, size_t len)
{
    (void)len;
    if (strstr(data, "SELECT")) {
        fake_say(f, "+OK\r\n", 5);
    } else if (strstr(data, "GET") && !strstr(data, "NX")) {
        fake_say(f, "$-1\r\n$-1\r\n", 10);
    }
}

/* Before anything has left, and between the GET and the SET. */
START_TEST(cancelled_look_up)
{
    static struct fake fake;
    struct found f = {0};
    fake_start(&fake, answers_get_only);
    struct redis_config config = test_config(fake.port);
    struct redis_link *second = open_link(&config, NULL);
    ck_assert(rig_until(redis_link_up(second), 1000));
    lease_cancel(lease_get(second, "k", 0, on_found, &f));
    struct lease_lookup *lookup = lease_get(second, "k", 0, on_found, &f);
    ck_assert(rig_until(strstr(fake.input, "NX"), 150));
    lease_cancel(lookup);
    rig_run(300);
    ck_assert_uint_eq(f.count, 0);
    redis_link_destroy(second);
    fake_stop(&fake);
    rig_run(1);
}
END_TEST

START_TEST(no_redis_no_lease)
{
    kill(server, SIGSTOP);
    struct found f = look("k", 0);
    ck_assert_int_eq(f.answer, LEASE_NONE);
    ck_assert(rig_until(!redis_link_up(link_), 4000));
    f = look("k", 0);
    ck_assert_int_eq(f.answer, LEASE_NONE);
    kill(server, SIGCONT);
}
END_TEST

START_TEST(destroyed_during_a_look_up)
{
    struct redis_config config = test_config(port);
    struct found f = {0};
    struct redis_link *second = open_link(&config, NULL);
    ck_assert(rig_until(redis_link_up(second), 1000));
    lease_get(second, "k", 0, on_found, &f);
    redis_link_destroy(second);
    ck_assert_uint_eq(f.count, 1);
    ck_assert_int_eq(f.answer, LEASE_NONE);
    ck_assert_ptr_null(lease_get(second, "k", 0, on_found, &f));
}
END_TEST

/* ---- errors that a Redis in trouble gives ---- */

static const char *trouble;

static void troubled(struct fake *f, const char *data, size_t len)
{
    const char *reply = strstr(data, "SELECT") ? "+OK\r\n" : trouble;
    (void)len;
    fake_say(f, reply, strlen(reply));
}

static const char *const troubles[] = {
    "-LOADING Redis is loading the dataset in memory\r\n",
    "-READONLY You can't write against a read only replica.\r\n",
    "-MASTERDOWN Link with MASTER is down\r\n",
    "-OOM command not allowed when used memory > 'maxmemory'.\r\n",
    "-NOAUTH Authentication required.\r\n",
    "-ERR unknown\r\n",
    ":5\r\n",
    "*0\r\n",
    "+OK\r\n",
    "-WRONGTYPE always\r\n",
};

START_TEST(trouble_is_none)
{
    static struct fake fake;
    struct found f = {0};
    trouble = troubles[_i];
    fake_start(&fake, troubled);
    struct redis_config config = test_config(fake.port);
    struct redis_link *second = open_link(&config, NULL);
    ck_assert(rig_until(redis_link_up(second), 1000));
    lease_get(second, "k", 0, on_found, &f);
    ck_assert(rig_until(f.count, 1000));
    ck_assert_int_eq(f.answer, LEASE_NONE);
    ck_assert_uint_eq(f.count, 1);
    redis_link_destroy(second);
    fake_stop(&fake);
    rig_run(1);
}
END_TEST

/* ---- holds ---- */

static struct heard take(const char *key, const char *holder, int64_t ttl_ms)
{
    struct heard h = {0};
    ck_assert_ptr_nonnull(hold_take(link_, key, holder, ttl_ms, hear, &h));
    ck_assert(rig_until(h.count, 1000));
    return h;
}

static long long renew(const char *key, const char *holder, int64_t ttl_ms)
{
    struct heard h = {0};
    ck_assert_ptr_nonnull(hold_renew(link_, key, holder, ttl_ms, hear, &h));
    ck_assert(rig_until(h.count, 1000));
    ck_assert_int_eq(h.type, REDIS_REPLY_INTEGER);
    return h.integer;
}

START_TEST(hold_is_exclusive)
{
    struct heard h = take("line", "a", 12000);
    ck_assert_int_eq(h.type, REDIS_REPLY_STATUS);
    ck_assert_str_eq(h.text, "OK");
    h = take("line", "b", 12000); /* told by whom, at once: by the time of a second question it may be gone */
    ck_assert_int_eq(h.type, REDIS_REPLY_STRING);
    ck_assert_str_eq(h.text, "a");
    ck_assert_str_eq(stored("line"), "a");
    ck_assert_int_eq(take("line", "a", 12000).type, REDIS_REPLY_STATUS); /* a repeat */
    hold_release(link_, "line", "b");
    rig_run(30);
    ck_assert_str_eq(stored("line"), "a");
    hold_release(link_, "line", "a");
    rig_run(30);
    ck_assert_int_eq(take("line", "b", 12000).type, REDIS_REPLY_STATUS);
}
END_TEST

START_TEST(hold_expires_and_is_renewed)
{
    take("line", "a", 100);
    ck_assert_int_eq((int)renew("line", "a", 60000), 1);
    redisReply *ttl = redisCommand(other, "PTTL line");
    ck_assert_int_gt((int)ttl->integer, 50000);
    freeReplyObject(ttl);
    ck_assert_int_eq((int)renew("line", "b", 60000), 0);
    run("DEL %s", "line", NULL);
    ck_assert_int_eq((int)renew("line", "b", 60000), 1); /* taken anew */
    ck_assert_str_eq(stored("line"), "b");
    run("DEL %s", "line", NULL);
    take("line", "a", 30);
    rig_run(60);
    ck_assert_int_eq(take("line", "b", 1000).type, REDIS_REPLY_STATUS);
}
END_TEST

/* Garbage under a hold's key does not close the line for ever. */
START_TEST(garbage_is_no_hold)
{
    run("RPUSH %s %s", "line", "x");
    ck_assert_int_eq(take("line", "a", 12000).type, REDIS_REPLY_STATUS);
    run("SET %s %s", "line", "without an expiry");
    ck_assert_int_eq(take("line", "b", 12000).type, REDIS_REPLY_STATUS);
    run("SET %s %s", "line", "without an expiry");
    ck_assert_int_eq((int)renew("line", "c", 12000), 1);
    run("DEL %s", "line", NULL);
    run("RPUSH %s %s", "line", "x");
    hold_release(link_, "line", "c");
    ck_assert_int_eq((int)renew("line", "c", 12000), 1);
    ck_assert_str_eq(stored("line"), "c");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redis lease");
    TCase *c = tcase_create("lease");
    tcase_set_timeout(c, 30);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, miss_takes_a_lease_and_fills);
    tcase_add_test(c, found_lease_is_shared);
    tcase_add_test(c, change_defeats_an_older_read);
    tcase_add_test(c, flush_defeats_an_older_read);
    tcase_add_test(c, stale_value_is_refreshed_by_its_head);
    tcase_add_test(c, head_only);
    tcase_add_test(c, lost_race_for_the_lease);
    tcase_add_test(c, lease_is_given_back);
    tcase_add_loop_test(c, garbage_is_a_miss, 0, 2);
    tcase_add_test(c, cancelled_look_up);
    tcase_add_test(c, no_redis_no_lease);
    tcase_add_test(c, destroyed_during_a_look_up);
    tcase_add_loop_test(c, trouble_is_none, 0, sizeof troubles / sizeof troubles[0]);
    tcase_add_test(c, hold_is_exclusive);
    tcase_add_test(c, hold_expires_and_is_renewed);
    tcase_add_test(c, garbage_is_no_hold);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
