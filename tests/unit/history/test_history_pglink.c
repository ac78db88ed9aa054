/* test_history_pglink.c - the connection: what errors mean, names that hang, servers that are silent. */
#include "history/pglink.h"
#include "history/resolve.h"
#include "history/waker.h"
#include "pcs/core/clock.h"
#include "pcs/core/config.h"
#include "pcs/core/log.h"
#include "pcs/history/history.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

START_TEST(sqlstates_are_told_apart)
{
    static const struct {
        const char *state;
        enum fault fault;
    } cases[] = {
        {"08006", FAULT_LOST},   {"25006", FAULT_LOST},   {"26000", FAULT_LOST},   {"40001", FAULT_BUSY},
        {"40P01", FAULT_BUSY},   {"53100", FAULT_BUSY},   {"53300", FAULT_BUSY},   {"55P03", FAULT_BUSY},
        {"57014", FAULT_BUSY},   {"57P01", FAULT_BUSY},   {"3F000", FAULT_SCHEMA}, {"42P01", FAULT_SCHEMA},
        {"42501", FAULT_SCHEMA}, {"42883", FAULT_SCHEMA}, {"22P02", FAULT_ROW},    {"22021", FAULT_ROW},
        {"23502", FAULT_ROW},    {"23514", FAULT_ROW},    {"54000", FAULT_ROW},    {"25001", FAULT_OTHER},
        {"42601", FAULT_OTHER},  {"XX000", FAULT_OTHER},  {"", FAULT_OTHER},       {NULL, FAULT_OTHER}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_msg(history_fault_classify(cases[i].state) == cases[i].fault, "%s", cases[i].state);
    }
}
END_TEST

/* A listener that accepts (in the kernel) and never says a word. */
static int silent_listener(int *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 8) == 0 &&
              getsockname(fd, (struct sockaddr *)&a, &len) == 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static uint64_t open_ms(struct pglink *l, const char *host, int port, uint64_t budget_ms)
{
    struct pglink_target t = {.host = host,
                              .port = port,
                              .database = "db",
                              .username = "user",
                              .password = "secret-word",
                              .sslmode = "disable"};
    uint64_t began = clock_mono_ns();
    ck_assert(!pglink_open(l, &t, 0, began + budget_ms * NS_PER_MS));
    ck_assert_ptr_null(l->pg);
    ck_assert_ptr_null(strstr(l->error, "secret-word"));
    return (clock_mono_ns() - began) / NS_PER_MS;
}

START_TEST(a_silent_server_ends_at_the_deadline)
{
    int port, fd = silent_listener(&port);
    struct pglink l = {.wake_fd = -1};
    uint64_t took = open_ms(&l, "127.0.0.1", port, 200);
    ck_assert_msg(took >= 195 && took < 600, "%llu", (unsigned long long)took);
    ck_assert(l.timed_out);
    close(fd);
}
END_TEST

static _Atomic uint64_t stop_at;
static struct waker *waker;
static int heard;

static void on_wake(void *arg)
{
    (void)arg;
    heard++;
}

static void *stop_soon(void *arg)
{
    (void)arg;
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    atomic_store(&stop_at, clock_mono_ns());
    history_waker_ring(waker);
    return NULL;
}

START_TEST(a_stop_ends_every_wait)
{
    int port, fd = silent_listener(&port);
    pthread_t thread;
    waker = history_waker_take();
    ck_assert_ptr_nonnull(waker);
    atomic_store(&stop_at, UINT64_MAX);
    heard = 0;
    struct pglink l = {.wake_fd = history_waker_fd(waker), .on_wake = on_wake, .stop_at = &stop_at};
    ck_assert_int_eq(pthread_create(&thread, NULL, stop_soon, NULL), 0);
    uint64_t took = open_ms(&l, "127.0.0.1", port, 5000);
    pthread_join(thread, NULL);
    ck_assert_msg(took < 1000, "%llu", (unsigned long long)took);
    ck_assert_int_eq(heard, 1);
    close(fd);
    history_waker_put_back(waker);
    history_waker_ring(waker); /* a late ring is harmless */
}
END_TEST

START_TEST(several_hosts_are_tried_in_turn)
{
    int port, fd = silent_listener(&port);
    struct pglink l = {.wake_fd = -1};
    struct resolve_list list;
    ck_assert(history_resolve_hosts(&l, "127.0.0.1, ::1,/var/run/postgresql", UINT64_MAX, &list));
    ck_assert_uint_eq(list.count, 3);
    ck_assert_str_eq(list.at[0].address, "127.0.0.1");
    ck_assert_str_eq(list.at[1].address, "::1");
    ck_assert_str_eq(list.at[2].host, "/var/run/postgresql");
    ck_assert_str_eq(list.at[2].address, "");
    close(fd);
    /* nobody listens on either: the last one's words */
    open_ms(&l, "127.0.0.1,127.0.0.2", port, 2000);
    ck_assert_ptr_nonnull(strstr(l.error, "127.0.0.2"));
}
END_TEST

START_TEST(names_are_looked_up_beside_and_within_the_deadline)
{
    struct pglink l = {.wake_fd = -1};
    struct resolve_list list;
    ck_assert_msg(history_resolve_hosts(&l, "localhost", clock_mono_ns() + 5 * NS_PER_SEC, &list), "%s",
                  l.error);
    ck_assert_uint_ge(list.count, 1);
    ck_assert_str_eq(list.at[0].host, "localhost");
    uint64_t took = open_ms(&l, "no-such-host.invalid", 5432, 1500);
    ck_assert_msg(took < 2500, "%llu", (unsigned long long)took);
    ck_assert_ptr_nonnull(strstr(l.error, "resolve"));
}
END_TEST

/* ---- settings (CONTRACT.md 6) ---- */

static const struct config_section *const sections[] = {&history_config_section};

START_TEST(settings_have_defaults_and_come_from_the_environment)
{
    char err[2048];
    char *const none[] = {NULL};
    char *const env[] = {(char *)"DB_HOST=db.example",
                         (char *)"DB_PORT=6432",
                         (char *)"DB_NAME=n",
                         (char *)"DB_USERNAME=u",
                         (char *)"DB_PASSWORD=p",
                         (char *)"DB_SSLMODE=verify-full",
                         (char *)"DB_MIGRATE_USERNAME=m",
                         (char *)"HISTORY_QUERY_DEADLINE=250ms",
                         NULL};
    struct config *c = config_load(sections, 1, NULL, none, err, sizeof err);
    ck_assert_msg(c != NULL, "%s", err);
    const struct history_config *h = config_values(c, &history_config_section);
    ck_assert_str_eq(h->host, "127.0.0.1");
    ck_assert_int_eq(h->port, 5432);
    ck_assert_str_eq(h->name, "product_change");
    ck_assert_str_eq(h->sslmode, "prefer");
    ck_assert_int_eq(h->batch, 256);
    ck_assert_int_eq(h->query_deadline_ms, 2000);
    ck_assert_int_eq(h->query_queue, 256);
    ck_assert_int_eq(h->months_ahead, 3);
    config_unref(c);
    c = config_load(sections, 1, NULL, env, err, sizeof err);
    ck_assert_msg(c != NULL, "%s", err);
    h = config_values(c, &history_config_section);
    ck_assert_str_eq(h->host, "db.example");
    ck_assert_str_eq(h->sslmode, "verify-full");
    ck_assert_str_eq(h->migrate_username, "m");
    ck_assert_int_eq(h->query_deadline_ms, 250);
    config_unref(c);
}
END_TEST

START_TEST(a_wrong_sslmode_is_named)
{
    char err[2048];
    char *const env[] = {(char *)"DB_SSLMODE=sometimes", NULL};
    ck_assert_ptr_null(config_load(sections, 1, NULL, env, err, sizeof err));
    ck_assert_ptr_nonnull(strstr(err, "db.sslmode"));
    ck_assert_ptr_nonnull(strstr(err, "verify-full"));
}
END_TEST

static bool hear_message(int fd, bool startup)
{
    unsigned char head[5], skipped[4096];
    size_t at = startup ? 1 : 0;
    if (recv(fd, head + at, sizeof head - at, MSG_WAITALL) != (ssize_t)(sizeof head - at)) {
        return false;
    }
    size_t len = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
    return len - 4 <= sizeof skipped && recv(fd, skipped, len - 4, MSG_WAITALL) == (ssize_t)(len - 4);
}

/* What libpq wants to know of a primary before it takes it for one. */
static void say_status(int fd, const char *name, const char *value)
{
    char text[128] = "S";
    int n = snprintf(text + 5, sizeof text - 5, "%s%c%s", name, '\0', value) + 1;
    text[4] = (char)(n + 4);
    send(fd, text, (size_t)n + 5, MSG_NOSIGNAL);
}

/* A server that lets everybody in and answers the second query with rows without end. */
static void *endless_server(void *arg)
{
    static const char ready[] = "Z\0\0\0\5I", hello[] = "R\0\0\0\10\0\0\0\0", done[] = "C\0\0\0\10SET";
    static const char columns[] = "T\0\0\0\32\0\1a\0\0\0\0\0\0\0\0\0\0\31\377\377\377\377\377\377\0";
    static char row[60011] = "D\0\0\352\152\0\1\0\0\352\140";
    int fd = accept(*(int *)arg, NULL, NULL);
    if (fd >= 0 && hear_message(fd, true)) {
        send(fd, hello, 9, MSG_NOSIGNAL);
        say_status(fd, "server_version", "15.0");
        say_status(fd, "default_transaction_read_only", "off");
        say_status(fd, "in_hot_standby", "off");
        send(fd, ready, 6, MSG_NOSIGNAL);
    }
    if (fd >= 0 && hear_message(fd, false)) { /* the session's settings */
        send(fd, done, 9, MSG_NOSIGNAL);
        send(fd, ready, 6, MSG_NOSIGNAL);
    }
    if (fd >= 0 && hear_message(fd, false)) {
        send(fd, columns, sizeof columns, MSG_NOSIGNAL);
        while (send(fd, row, sizeof row, MSG_NOSIGNAL) > 0) {
        }
    }
    close(fd);
    return NULL;
}

/* Issue 5, point 4: what PostgreSQL says is input too. */
START_TEST(an_answer_without_end_does_not_fill_the_memory)
{
    int port, fd = silent_listener(&port);
    pthread_t thread;
    struct pglink l = {.wake_fd = -1};
    struct pglink_target t = {
        .host = "127.0.0.1", .port = port, .database = "db", .username = "user", .sslmode = "disable"};
    PGresult *result = NULL;
    ck_assert_int_eq(pthread_create(&thread, NULL, endless_server, &fd), 0);
    ck_assert_msg(pglink_open(&l, &t, 0, clock_mono_ns() + 10 * NS_PER_SEC), "%s", l.error);
    ck_assert_int_eq(pglink_exec(&l, "SELECT a", clock_mono_ns() + 60 * NS_PER_SEC, &result), FAULT_LOST);
    ck_assert_ptr_null(result);
    ck_assert_ptr_null(l.pg);
    ck_assert_str_eq(l.error, "the answer is larger than 64 MiB");
    pthread_join(thread, NULL);
    close(fd);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("history pglink");
    TCase *tc = tcase_create("pglink");
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, sqlstates_are_told_apart);
    tcase_add_test(tc, an_answer_without_end_does_not_fill_the_memory);
    tcase_add_test(tc, a_silent_server_ends_at_the_deadline);
    tcase_add_test(tc, a_stop_ends_every_wait);
    tcase_add_test(tc, several_hosts_are_tried_in_turn);
    tcase_add_test(tc, names_are_looked_up_beside_and_within_the_deadline);
    tcase_add_test(tc, settings_have_defaults_and_come_from_the_environment);
    tcase_add_test(tc, a_wrong_sslmode_is_named);
    suite_add_tcase(suite, tc);
    log_set_threshold(LOG_LEVEL_OFF);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
