/* log_sink.c (issue 4): nobody who reads our log, or does not, can stop or tear it. */
#include "pcs/core/clock.h"
#include "pcs/core/log.h"

#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define THREADS      4
#define TOO_MANY     4000 /* lines of a thread: together well over a pipe and 1 MiB */
#define PAD          "0123456789012345678901234567890123456789012345678901234567890123456789"
#define DEADLINE_SEC 20

static int ends[2];

static void open_pipe(void)
{
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_gt(fcntl(ends[1], F_SETPIPE_SZ, 4096), 0);
}

/* Lines t:0 .. t:count-1 of one thread, in turns as a reactor has them. */
struct writer {
    pthread_t thread;
    int id, count;
};

static void *write_lines(void *arg)
{
    struct writer *w = arg;
    log_thread_buffered(true);
    for (int n = 0; n < w->count; n++) {
        log_info("line", log_int("writer", w->id), log_int("n", n), log_str("pad", PAD));
        if (n % 10 == 9) {
            log_flush();
        }
    }
    log_thread_buffered(false);
    return NULL;
}

static void write_in_threads(int count)
{
    struct writer writers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        writers[i] = (struct writer){.id = i, .count = count};
        ck_assert_int_eq(pthread_create(&writers[i].thread, NULL, write_lines, &writers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(writers[i].thread, NULL);
    }
}

/* What a reader sees until there is nothing more; whole lines, each writer's in order. Returns their number. */
struct seen {
    int lines, next[THREADS];
    uint64_t told; /* by log.dropped */
};

static void look_at_line(struct seen *seen, const char *line)
{
    const char *at = strstr(line, "\"writer\":"), *number = strstr(line, "\"n\":");
    size_t len = strlen(line);
    ck_assert_msg(strncmp(line, "{\"time\":\"", 9) == 0 && line[len - 1] == '}', "torn: %s", line);
    if (at) {
        ck_assert_ptr_nonnull(number);
        long writer = strtol(at + strlen("\"writer\":"), NULL, 10),
             n = strtol(number + strlen("\"n\":"), NULL, 10);
        ck_assert(writer >= 0 && writer < THREADS);
        ck_assert_int_ge(n, seen->next[writer]);
        ck_assert_ptr_nonnull(strstr(at, "\"pad\":\"" PAD "\"}"));
        seen->next[writer] = (int)n + 1;
        seen->lines++;
    } else if ((at = strstr(line, "\"lines\":")) != NULL) {
        seen->told += strtoull(at + strlen("\"lines\":"), NULL, 10);
    }
}

/* Reads until quiet while this thread flushes, as a reactor's tick does. */
static void read_all(struct seen *seen)
{
    static char text[8192];
    size_t kept = 0;
    struct pollfd ready = {.fd = ends[0], .events = POLLIN};
    uint64_t until_ns = clock_mono_ns() + DEADLINE_SEC * NS_PER_SEC;
    for (;;) {
        log_flush();
        if (poll(&ready, 1, 0) == 0) {
            ck_assert_uint_eq(kept, 0);
            return;
        }
        ck_assert_msg(clock_mono_ns() < until_ns, "never quiet");
        ssize_t n = read(ends[0], text + kept, sizeof text - 1 - kept);
        ck_assert_int_gt(n, 0);
        text[kept + (size_t)n] = '\0';
        char *line = text;
        for (char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
            *end = '\0';
            look_at_line(seen, line);
        }
        kept = strlen(line);
        memmove(text, line, kept + 1);
    }
}

static void nobody_reads(void)
{
    struct seen seen = {0};
    uint64_t before = log_dropped();
    write_in_threads(TOO_MANY); /* would never return */
    uint64_t lost = log_dropped() - before;
    ck_assert_uint_gt(lost, 0);
    ck_assert_uint_lt(lost, (uint64_t)THREADS * TOO_MANY - 4000); /* 1 MiB of them was kept */
    read_all(&seen);
    ck_assert_uint_eq((uint64_t)seen.lines + lost, (uint64_t)THREADS * TOO_MANY);
    ck_assert_uint_eq(seen.told, lost);
    /* and as before afterwards, with a reader that keeps up */
    log_info("line", log_int("writer", 0), log_int("n", TOO_MANY), log_str("pad", PAD));
    read_all(&seen);
    ck_assert_int_eq(seen.next[0], TOO_MANY + 1);
    ck_assert_uint_eq(log_dropped() - before, lost);
}

START_TEST(a_pipe_that_nobody_reads)
{
    open_pipe();
    log_set_fd(ends[1]);
    nobody_reads();
    ck_assert_int_eq(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0); /* it is not ours alone */
}
END_TEST

START_TEST(a_socket_that_nobody_reads)
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    log_set_fd(ends[1]);
    nobody_reads();
}
END_TEST

/* As with a container's log: the pipe belongs to another user and cannot be opened again. */
START_TEST(a_pipe_of_another_user)
{
    open_pipe();
    if (getuid() == 0) {
        ck_assert_int_eq(seteuid(65534), 0);
    }
    log_set_fd(ends[1]);
    log_info("first");
    nobody_reads();
    if (getuid() == 0) {
        ck_assert_int_eq(seteuid(0), 0); /* the leak checker looks into this process */
    }
}
END_TEST

static void *read_on(void *arg)
{
    static char waste[1 << 16];
    atomic_size_t *bytes = arg;
    for (ssize_t n; (n = read(ends[0], waste, sizeof waste)) > 0;) {
        *bytes += (size_t)n;
    }
    return NULL;
}

/* In normal operation nothing is lost, whatever the threads do at once. */
START_TEST(a_reader_that_keeps_up_gets_everything)
{
    pthread_t reader;
    atomic_size_t bytes = 0;
    ck_assert_int_eq(pipe(ends), 0);
    log_set_fd(ends[1]);
    ck_assert_int_eq(pthread_create(&reader, NULL, read_on, &bytes), 0);
    write_in_threads(1000);
    log_drain(DEADLINE_SEC * 1000);
    log_set_fd(-1);
    close(ends[1]);
    pthread_join(reader, NULL);
    ck_assert_uint_gt(bytes, (size_t)THREADS * 1000 * (sizeof PAD + 60));
    ck_assert_uint_eq(log_dropped(), 0);
}
END_TEST

/* A reader that has gone for good, or a full disk. */
START_TEST(a_log_that_cannot_be_written)
{
    int full = open("/dev/full", O_WRONLY);
    ck_assert_int_ge(full, 0);
    log_set_fd(full);
    log_warn("lost");
    log_warn("lost");
    ck_assert_uint_eq(log_dropped(), 2);
    open_pipe();
    log_set_fd(ends[1]);
    close(ends[0]);
    log_warn("lost");
    ck_assert_uint_eq(log_dropped(), 3);
}
END_TEST

/* An error may be the last word: a reactor writes it at once, with what came before it. */
START_TEST(an_error_does_not_wait_for_the_turns_end)
{
    char text[4096] = "";
    open_pipe();
    log_set_fd(ends[1]);
    log_thread_buffered(true);
    log_info("before");
    log_error("fatal");
    ck_assert_int_gt(read(ends[0], text, sizeof text - 1), 0);
    ck_assert_ptr_nonnull(strstr(text, "\"before\""));
    ck_assert_ptr_nonnull(strstr(text, "\"fatal\""));
    log_thread_buffered(false);
}
END_TEST

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    Suite *s = suite_create("log sink");
    TCase *t = tcase_create("log sink");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_pipe_that_nobody_reads);
    tcase_add_test(t, a_socket_that_nobody_reads);
    tcase_add_test(t, a_pipe_of_another_user);
    tcase_add_test(t, a_reader_that_keeps_up_gets_everything);
    tcase_add_test(t, a_log_that_cannot_be_written);
    tcase_add_test(t, an_error_does_not_wait_for_the_turns_end);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
