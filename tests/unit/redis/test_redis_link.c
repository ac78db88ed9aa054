/* The Redis link against a real redis-server: CONTRACT.md 4, "Redis down, slow or full of garbage never fails
 * a request", and the deadline and breaker of DESIGN.md, The cache. */
#include "unit/redis/rig.h"

static int port;
static pid_t server;
static struct redis_link *link_;

static void setup(void)
{
    port = free_port();
    server = start_redis(port, NULL);
    rig_setup();
    struct redis_config config = test_config(port);
    link_ = open_link(&config, NULL);
    ck_assert(rig_until(redis_link_up(link_), 2000));
}

static void teardown(void)
{
    if (link_) {
        redis_link_destroy(link_);
    }
    rig_teardown();
    stop_redis(server);
}

START_TEST(set_and_get)
{
    struct heard set = {0}, get = {0}, none = {0};
    command(link_, hear, &set, "SET", "k", "v");
    command(link_, hear, &get, "GET", "k", NULL);
    command(link_, hear, &none, "GET", "other", NULL);
    ck_assert_uint_eq(set.count, 0); /* never before the call returned */
    ck_assert(rig_until(none.count, 1000));
    ck_assert_int_eq(set.type, REDIS_REPLY_STATUS);
    ck_assert_str_eq(get.text, "v");
    ck_assert_int_eq(none.type, REDIS_REPLY_NIL);
    ck_assert_uint_eq(get.count, 1);
}
END_TEST

/* Arguments are bytes, not formats and not C strings. */
START_TEST(arguments_are_bytes)
{
    static const char odd[] = "%s\r\n\0%n$9\r\n";
    struct redis_arg set[] = {{"SET", 3}, {odd, sizeof odd}, {odd, sizeof odd}};
    struct redis_arg len[] = {{"STRLEN", 6}, {odd, sizeof odd}};
    struct heard a = {0}, b = {0};
    redis_command(link_, 0, hear, &a, set, 3);
    redis_command(link_, 0, hear, &b, len, 2);
    ck_assert(rig_until(b.count, 1000));
    ck_assert_str_eq(a.text, "OK");
    ck_assert_int_eq((int)b.integer, (int)sizeof odd);
}
END_TEST

/* All commands of a turn leave in one write. */
START_TEST(a_thousand_in_one_flush)
{
    static struct heard heard[1000];
    memset(heard, 0, sizeof heard);
    rig_run(20);
    unsigned before = link_->flushes;
    for (int i = 0; i < 1000; i++) {
        command(link_, hear, &heard[i], "GET", "missing", NULL);
    }
    ck_assert(rig_until(heard[999].count, 2000));
    for (int i = 0; i < 1000; i++) {
        ck_assert_uint_eq(heard[i].count, 1);
        ck_assert_int_eq(heard[i].outcome, REDIS_REPLIED);
    }
    ck_assert_uint_eq(link_->flushes - before, 1);
    ck_assert_uint_eq(link_->in_flight, 0);
}
END_TEST

/* A reply's callback may ask again: the next command goes out in the same turn. */
struct again {
    struct redis_link *link;
    int left;
};

static void ask_again(void *arg, enum redis_outcome outcome, const redisReply *reply)
{
    struct again *again = arg;
    ck_assert_int_eq(outcome, REDIS_REPLIED);
    ck_assert_ptr_nonnull(reply);
    if (--again->left > 0) {
        command(again->link, ask_again, again, "PING", NULL, NULL);
    }
}

START_TEST(callbacks_may_ask_again)
{
    struct again again = {link_, 200};
    command(link_, ask_again, &again, "PING", NULL, NULL);
    ck_assert(rig_until(again.left == 0, 2000));
}
END_TEST

START_TEST(error_replies_reach_the_caller)
{
    struct heard h = {0};
    command(link_, hear, &h, "NOSUCHCOMMAND", NULL, NULL);
    ck_assert(rig_until(h.count, 1000));
    ck_assert_int_eq(h.outcome, REDIS_REPLIED);
    ck_assert_int_eq(h.type, REDIS_REPLY_ERROR);
}
END_TEST

/* A stopped Redis: late at the deadline, not before; late replies are dropped; the same connection goes on.
 */
START_TEST(stopped_redis_is_late)
{
    struct heard late = {0}, orphan = {0}, after = {0};
    kill(server, SIGSTOP);
    uint64_t start = clock_mono_ns();
    command(link_, hear, &late, "SET", "k", "1");
    struct redis_call *cancelled = command(link_, hear, &orphan, "SET", "k", "2");
    redis_cancel(cancelled);
    ck_assert(rig_until(late.count, 1000));
    uint64_t took = (clock_mono_ns() - start) / NS_PER_MS;
    ck_assert_uint_ge(took, 200);
    ck_assert_uint_lt(took, 400);
    ck_assert_int_eq(late.outcome, REDIS_LATE);
    ck_assert_uint_eq(link_->in_flight, 2);
    kill(server, SIGCONT);
    ck_assert(rig_until(link_->in_flight == 0, 1000));
    ck_assert(redis_link_up(link_));
    command(link_, hear, &after, "GET", "k", NULL);
    ck_assert(rig_until(after.count, 1000));
    ck_assert_str_eq(after.text, "2");
    ck_assert_uint_eq(late.count, 1);
    ck_assert_uint_eq(orphan.count, 0);
}
END_TEST

/* Commands with longer and shorter deadlines of their own end in the order of their deadlines. */
START_TEST(own_deadlines)
{
    struct heard slow = {0}, usual = {0}, fast = {0};
    struct redis_arg ping = {"PING", 4};
    kill(server, SIGSTOP);
    redis_command(link_, 600, hear, &slow, &ping, 1);
    redis_command(link_, 0, hear, &usual, &ping, 1);
    redis_command(link_, 20, hear, &fast, &ping, 1);
    ck_assert(rig_until(fast.count, 150));
    ck_assert_uint_eq(usual.count, 0);
    ck_assert(rig_until(usual.count, 300));
    ck_assert_uint_eq(slow.count, 0);
    ck_assert(rig_until(slow.count, 600));
    ck_assert_int_eq(slow.outcome, REDIS_LATE);
}
END_TEST

/* A head that is stuck for ten deadlines ends the connection; a new one is made and works when Redis does. */
START_TEST(dead_link_is_replaced)
{
    struct heard first = {0}, after = {0};
    kill(server, SIGSTOP);
    command(link_, hear, &first, "PING", NULL, NULL);
    ck_assert(rig_until(!redis_link_up(link_), 4000));
    ck_assert_int_eq(first.outcome, REDIS_LATE);
    ck_assert_uint_eq(link_->in_flight, 0);
    rig_run(800); /* the kernel connects to a stopped process: the greeting has the connect deadline */
    ck_assert(!redis_link_up(link_));
    kill(server, SIGCONT);
    ck_assert(rig_until(redis_link_up(link_), 5000));
    command(link_, hear, &after, "PING", NULL, NULL);
    ck_assert(rig_until(after.count, 1000));
    ck_assert_str_eq(after.text, "PONG");
}
END_TEST

static void count_up(void *arg)
{
    ++*(int *)arg;
}

/* Killed: what is under way is lost, what comes is skipped at once, and after a restart the link is up by
 * itself and says so. */
START_TEST(killed_and_restarted)
{
    int ups = 0;
    struct heard lost = {0}, skipped = {0}, after = {0};
    redis_on_up(link_, count_up, &ups);
    kill(server, SIGSTOP);
    command(link_, hear, &lost, "GET", "k", NULL);
    rig_run(20);
    stop_redis(server);
    ck_assert(rig_until(lost.count, 1000));
    ck_assert_int_eq(lost.outcome, REDIS_LOST);
    ck_assert(!redis_link_up(link_));
    uint64_t start = clock_mono_ns();
    command(link_, hear, &skipped, "GET", "k", NULL);
    ck_assert_uint_eq(skipped.count, 0);
    ck_assert(rig_until(skipped.count, 1000));
    ck_assert_int_eq(skipped.outcome, REDIS_SKIPPED);
    ck_assert_uint_lt((clock_mono_ns() - start) / NS_PER_MS, 20);
    rig_run(300);
    ck_assert_int_eq(ups, 0);
    server = start_redis(port, NULL);
    ck_assert(rig_until(redis_link_up(link_), 5000));
    ck_assert_int_eq(ups, 1);
    command(link_, hear, &after, "PING", NULL, NULL);
    ck_assert(rig_until(after.count, 1000));
    ck_assert_str_eq(after.text, "PONG");
}
END_TEST

/* Over redis.max_in_flight: skipped, never queued without a bound. */
START_TEST(in_flight_is_bounded)
{
    struct redis_config config = test_config(port);
    struct heard heard[4] = {{0}};
    config.max_in_flight = 3;
    struct redis_link *small = open_link(&config, NULL);
    ck_assert(rig_until(redis_link_up(small), 2000));
    for (int i = 0; i < 4; i++) {
        command(small, hear, &heard[i], "PING", NULL, NULL);
    }
    ck_assert(rig_until(heard[2].count, 1000));
    ck_assert_int_eq(heard[2].outcome, REDIS_REPLIED);
    ck_assert_int_eq(heard[3].outcome, REDIS_SKIPPED);
    redis_link_destroy(small);
}
END_TEST

/* The breaker: late commands open it, then everything is skipped at once, a probe closes it again. */
START_TEST(breaker_opens_and_closes)
{
    struct breaker *breaker = test_breaker(300);
    struct redis_config config = test_config(port);
    struct breaker_snapshot state;
    struct heard late[6] = {{0}}, skipped = {0};
    config.deadline_ms = 30;
    struct redis_link *guarded = open_link(&config, breaker);
    ck_assert(rig_until(redis_link_up(guarded), 2000));
    kill(server, SIGSTOP);
    for (int i = 0; i < 6; i++) {
        command(guarded, hear, &late[i], "PING", NULL, NULL);
    }
    ck_assert(rig_until(late[5].count, 1000));
    breaker_snapshot(breaker, &state);
    ck_assert_int_eq(state.state, BREAKER_OPEN);
    ck_assert(redis_link_up(guarded));
    uint64_t start = clock_mono_ns();
    command(guarded, hear, &skipped, "PING", NULL, NULL);
    ck_assert_uint_eq(skipped.count, 0);
    ck_assert(rig_until(skipped.count, 1000));
    ck_assert_int_eq(skipped.outcome, REDIS_SKIPPED);
    ck_assert_uint_lt((clock_mono_ns() - start) / NS_PER_MS, 20);
    kill(server, SIGCONT);
    rig_run(350);
    for (int i = 0; i < 3; i++) {
        struct heard probe = {0};
        command(guarded, hear, &probe, "PING", NULL, NULL);
        ck_assert(rig_until(probe.count, 1000));
        ck_assert_int_eq(probe.outcome, REDIS_REPLIED);
    }
    breaker_snapshot(breaker, &state);
    ck_assert_int_eq(state.state, BREAKER_CLOSED);
    redis_link_destroy(guarded);
    redis_link_destroy(link_);
    link_ = NULL;
    rig_run(1);
    breaker_destroy(breaker);
}
END_TEST

/* If we were late ourselves, the reply that waits in the socket counts, not our own lag. */
START_TEST(own_lag_is_not_lateness)
{
    struct heard h = {0};
    struct redis_arg ping = {"PING", 4};
    redis_command(link_, 30, hear, &h, &ping, 1);
    uv_run(&reactor.loop, UV_RUN_NOWAIT); /* the command leaves */
    usleep(80000);
    ck_assert(rig_until(h.count, 500));
    ck_assert_int_eq(h.outcome, REDIS_REPLIED);
}
END_TEST

/* Destroyed with commands under way: each caller is told before the call returns, never again. */
START_TEST(destroyed_with_commands_under_way)
{
    struct heard sent = {0}, cancelled = {0};
    kill(server, SIGSTOP);
    command(link_, hear, &sent, "GET", "k", NULL);
    redis_cancel(command(link_, hear, &cancelled, "GET", "k", NULL));
    rig_run(10);
    redis_link_destroy(link_);
    ck_assert_uint_eq(sent.count, 1);
    ck_assert_int_eq(sent.outcome, REDIS_LOST);
    ck_assert_uint_eq(cancelled.count, 0);
    kill(server, SIGCONT);
    rig_run(50);
    ck_assert_uint_eq(sent.count, 1);
    link_ = NULL;
}
END_TEST

static void destroy_link(void *arg, enum redis_outcome outcome, const redisReply *reply)
{
    (void)reply;
    ck_assert_int_eq(outcome, REDIS_REPLIED);
    redis_link_destroy(arg);
    ck_assert_ptr_null(command(arg, hear, NULL, "PING", NULL, NULL));
}

START_TEST(destroyed_in_a_callback)
{
    struct heard next = {0};
    command(link_, destroy_link, link_, "PING", NULL, NULL);
    command(link_, hear, &next, "PING", NULL, NULL);
    ck_assert(rig_until(next.count, 1000));
    ck_assert_int_eq(next.outcome, REDIS_LOST);
    link_ = NULL;
}
END_TEST

/* A reactor that stops runs its hooks no more: what was deferred is told all the same. */
START_TEST(deferred_without_hooks)
{
    struct heard skipped = {0};
    struct redis_config config = test_config(free_port());
    struct redis_link *down = open_link(&config, NULL);
    uv_prepare_stop(&turn_end);
    command(down, hear, &skipped, "PING", NULL, NULL);
    ck_assert(rig_until(skipped.count, 500));
    ck_assert_int_eq(skipped.outcome, REDIS_SKIPPED);
    uv_prepare_start(&turn_end, run_hooks);
    redis_link_destroy(down);
}
END_TEST

START_TEST(fire_and_forget)
{
    struct heard h = {0};
    ck_assert_ptr_nonnull(command(link_, NULL, NULL, "SET", "k", "forgotten"));
    command(link_, hear, &h, "GET", "k", NULL);
    ck_assert(rig_until(h.count, 1000));
    ck_assert_str_eq(h.text, "forgotten");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redis link");
    TCase *c = tcase_create("real");
    tcase_set_timeout(c, 30);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, set_and_get);
    tcase_add_test(c, arguments_are_bytes);
    tcase_add_test(c, a_thousand_in_one_flush);
    tcase_add_test(c, callbacks_may_ask_again);
    tcase_add_test(c, error_replies_reach_the_caller);
    tcase_add_test(c, stopped_redis_is_late);
    tcase_add_test(c, own_deadlines);
    tcase_add_test(c, dead_link_is_replaced);
    tcase_add_test(c, killed_and_restarted);
    tcase_add_test(c, in_flight_is_bounded);
    tcase_add_test(c, breaker_opens_and_closes);
    tcase_add_test(c, own_lag_is_not_lateness);
    tcase_add_test(c, destroyed_with_commands_under_way);
    tcase_add_test(c, destroyed_in_a_callback);
    tcase_add_test(c, deferred_without_hooks);
    tcase_add_test(c, fire_and_forget);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
