/* rig.h - for the tests of the delivery: a loop in the test's own thread, a real journal in a directory of its
 * own, and the MVNO AP simulator (tests/sim/README.md) as a process. */
#ifndef TESTS_DELIVERY_RIG_H
#define TESTS_DELIVERY_RIG_H

#include "delivery/internal.h"
#include "pcs/core/clock.h"
#include "pcs/core/id.h"
#include "pcs/core/json.h"
#include "pcs/core/log.h"

#include <check.h>
#include <curl/curl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECRET "whsec_dGhpcnR5LXR3by1ieXRlcy1vZi1hLWdvb2Qta2V5ISE="

static struct reactor reactor;
static uv_prepare_t turn_end;
static uv_timer_t guard;
static char dir[64];
static struct journal *journal;
static struct call_client *client;
static struct delivery *delivery;
static pid_t sim_pid;
static int sim_port;
static unsigned made;       /* events made by this test */
static int64_t made_ago_ms; /* so long before now */

/* ---- the loop ---- */

static void run_hooks(uv_prepare_t *handle)
{
    (void)handle;
    bool again = true;
    for (int round = 0; again && round < 16; round++) {
        again = false;
        for (struct reactor_hook *h = reactor.hooks; h; h = h->next) {
            again |= h->end_of_turn(h);
        }
    }
}

static void on_guard(uv_timer_t *t)
{
    (void)t; /* only ends a turn, so that deadlines are looked at */
}

/* Runs the loop until condition or ms have passed; false: the latter. May be nested in a condition. */
#define rig_until(condition, ms)                                                                             \
    __extension__({                                                                                          \
        uint64_t until_ = clock_mono_ns() + (uint64_t)(ms)*NS_PER_MS;                                        \
        bool met_;                                                                                           \
        while (!(met_ = (condition)) && clock_mono_ns() < until_) {                                          \
            uv_run(&reactor.loop, UV_RUN_ONCE);                                                              \
        }                                                                                                    \
        met_;                                                                                                \
    })
#define rig_run(ms) (void)rig_until(false, ms)

/* ---- the simulator ---- */

static inline void sim_path(char out[PATH_MAX])
{
    char self[PATH_MAX - 16];
    const char *given = getenv("PCS_SIM_DIR");
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    ck_assert_int_gt(n, 0);
    self[n] = '\0';
    snprintf(out, PATH_MAX, "%s/mvno-sim", given ? given : dirname(self));
}

/* port 0: a free one. Events are kept through restarts. */
static inline void sim_start(int port, const char *secret)
{
    char path[PATH_MAX], port_file[128], state[128], number[16];
    sim_path(path);
    ck_assert_msg(access(path, X_OK) == 0, "%s is needed: build the target mvno-sim", path);
    snprintf(port_file, sizeof port_file, "%s/port", dir);
    snprintf(state, sizeof state, "%s/mvno.state", dir);
    snprintf(number, sizeof number, "%d", port);
    unlink(port_file);
    sim_pid = fork();
    ck_assert_int_ge(sim_pid, 0);
    if (sim_pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        FILE *null = freopen("/dev/null", "w", stdout);
        (void)null;
        unsetenv("MVNO_WEBHOOK_SECRET");
        execl(path, path, "--port", number, "--port-file", port_file, "--state", state,
              secret ? "--secret" : NULL, secret, NULL);
        _exit(127);
    }
    for (int i = 0; i < 1000; i++) {
        FILE *f = fopen(port_file, "r");
        if (f) {
            int got = fscanf(f, "%d", &sim_port);
            fclose(f);
            if (got == 1) {
                return;
            }
        }
        usleep(10000);
    }
    ck_abort_msg("mvno-sim did not start");
}

static inline void sim_kill(void)
{
    if (sim_pid > 0) {
        kill(sim_pid, SIGKILL);
        waitpid(sim_pid, NULL, 0);
        sim_pid = 0;
    }
}

static inline size_t sim_collect(char *data, size_t size, size_t count, void *arg)
{
    buf_put(arg, data, size * count);
    return size * count;
}

/* Talks to the simulator's control interface (blocking; another process). The caller deletes the tree. */
static inline cJSON *sim_ask(const char *method, const char *path, const char *body)
{
    char url[256];
    struct buf out;
    CURL *easy = curl_easy_init();
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", sim_port, path);
    buf_init(&out, (size_t)64 << 20);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 10000L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, sim_collect);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &out);
    if (body) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
    }
    CURLcode code = curl_easy_perform(easy);
    ck_assert_msg(code == CURLE_OK, "%s %s: %s", method, path, curl_easy_strerror(code));
    curl_easy_cleanup(easy);
    cJSON *tree = cJSON_Parse(out.data ? out.data : "");
    buf_free(&out);
    return tree;
}

static inline void sim_do(const char *method, const char *path, const char *body)
{
    cJSON_Delete(sim_ask(method, path, body));
}

static inline void sim_fault(const char *json)
{
    cJSON *answer = sim_ask("POST", "/_sim/faults", json);
    ck_assert_msg(cJSON_GetObjectItemCaseSensitive(answer, "id") != NULL, "the fault was refused: %s", json);
    cJSON_Delete(answer);
}

static inline void sim_no_faults(void)
{
    sim_do("DELETE", "/_sim/faults", NULL);
    sim_do("POST", "/_sim/faults/release", "{\"all\":true}");
}

static inline int64_t sim_stat(const char *name)
{
    int64_t n = -1;
    cJSON *tree = sim_ask("GET", "/_sim/stats", NULL);
    ck_assert_msg(json_int(json_object(tree, "results"), name, &n), "no %s in the statistics", name);
    cJSON_Delete(tree);
    return n;
}

/* Nothing was contradicted, and nothing was refused by the receiver's own rules. */
static inline void sim_is_content(void)
{
    ck_assert_int_eq(sim_stat("refused"), 0);
    ck_assert_int_eq(sim_stat("changedBodies"), 0);
    ck_assert_int_eq(sim_stat("severalPerRequest"), 0);
}

/* ---- the journal ---- */

static inline struct journal_config journal_test_config(void)
{
    return (struct journal_config){.path = dir,
                                   .max_bytes = (int64_t)256 << 20,
                                   .reserve_bytes = (int64_t)1 << 20,
                                   .queue_max = 100000,
                                   .group_max = 512,
                                   .retention_ms = (int64_t)48 * 3600 * 1000,
                                   .key_ms = (int64_t)24 * 3600 * 1000};
}

static inline void journal_start(void)
{
    char err[256];
    struct journal_config config = journal_test_config();
    journal = journal_open(&config, err, sizeof err);
    ck_assert_msg(journal != NULL, "%s", err);
}

static inline void on_asked(struct journal_op *op)
{
    *(bool *)op->arg = true;
}

/* Runs one operation to its end; the caller clears it. */
static inline void journal_ask(struct journal_op *op, enum journal_verb verb)
{
    bool done = false;
    journal_op_init(op, journal, verb, &reactor.inbox, on_asked, &done);
    ck_assert(journal_submit(op));
    ck_assert(rig_until(done, 10000));
}

static inline struct journal_stats journal_now(void)
{
    struct journal_op op;
    journal_ask(&op, JOURNAL_STATS);
    ck_assert_int_eq(op.status, JOURNAL_OK);
    struct journal_stats stats = op.stats;
    journal_op_clear(&op);
    return stats;
}

/* ---- events: each is that of a change of its own, recorded with it ---- */

struct making {
    struct journal_op op;
    struct arena arena;
    struct journal_event event;
};
static unsigned being_made;

static inline void on_made(struct journal_op *op)
{
    struct making *m = op->arg;
    ck_assert_int_eq(op->status, JOURNAL_OK);
    being_made--;
    journal_op_clear(op);
    arena_free(&m->arena);
    free(m);
}

static inline struct change_record test_change(struct arena *arena, const char *line, unsigned number)
{
    char *id = arena_alloc(arena, UUID_LEN + 1);
    uuid_v7(id);
    return (struct change_record){.request_id = id,
                                  .line = arena_strdup(arena, line),
                                  .state = CHANGE_NOT_SENT,
                                  .traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                                  .current_code = "5GX_STANDARD",
                                  .target_code = arena_printf(arena, "T%06u", number),
                                  .result_code = "KOS_UNAVAILABLE",
                                  .failure_reason =
                                      "통신사 시스템에 연결할 수 없어 신청이 접수되지 않았습니다",
                                  .requested_at = clock_wall_ms(),
                                  .processed_at = clock_wall_ms()};
}

/* The target product's code is T and the number of the event, so that tests can see the order. */
static inline void make_event(const char *line)
{
    struct making *m = calloc(1, sizeof *m);
    arena_init(&m->arena, NULL, 0, 65536);
    journal_op_init(&m->op, journal, JOURNAL_RECORD, &reactor.inbox, on_made, m);
    m->op.change = test_change(&m->arena, line, ++made);
    ck_assert(delivery_event(&m->event, DELIVERY_SYSTEM_UNAVAILABLE, &m->op.change, &m->arena));
    m->event.created_at -= made_ago_ms;
    m->op.event = &m->event;
    being_made++;
    ck_assert(journal_submit(&m->op));
}

static inline void make_events(unsigned lines, unsigned each)
{
    char line[16];
    for (unsigned i = 0; i < each; i++) {
        for (unsigned l = 0; l < lines; l++) {
            snprintf(line, sizeof line, "010%08u", l);
            make_event(line);
        }
    }
    ck_assert(rig_until(being_made == 0, 20000));
}

/* ---- the delivery ---- */

static inline struct delivery_config test_config(void)
{
    static char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", sim_port);
    return (struct delivery_config){.base_url = url,
                                    .webhook_secret = SECRET,
                                    .deadline_ms = 500,
                                    .connect_timeout_ms = 500,
                                    .concurrency = 16,
                                    .rate = 2000,
                                    .probe_ms = 100,
                                    .ca_file = "",
                                    .client_cert = "",
                                    .client_key = "",
                                    .breaker_wait_ms = 20,
                                    .breaker_consecutive = 3};
}

static inline void wake(void *arg)
{
    delivery_events_wait(arg);
}

static inline void delivery_start(const struct delivery_config *config)
{
    char err[256];
    delivery = delivery_create(&reactor, client, journal, config, err, sizeof err);
    ck_assert_msg(delivery != NULL, "%s", err);
    journal_on_pending(journal, SINK_EVENTS, wake, delivery);
}

static inline void delivery_end(void)
{
    if (delivery) {
        journal_on_pending(journal, SINK_EVENTS, NULL, NULL);
        delivery_stop(delivery);
        ck_assert(rig_until(delivery_idle(delivery), 10000));
        delivery_destroy(delivery);
        delivery = NULL;
    }
}

static inline void journal_end(void)
{
    if (journal) {
        journal_close(journal);
        journal = NULL;
        mailbox_deliver_all(&reactor.inbox);
    }
}

static inline bool all_delivered(void)
{
    return journal_now().events_pending == 0;
}

/* The numbers of a line's events as MVNO AP accepted them, in order. */
static inline size_t accepted(const char *line, unsigned *numbers, size_t max)
{
    char path[128];
    size_t n = 0;
    const cJSON *event;
    snprintf(path, sizeof path, "/_sim/events%s%s", line ? "?lineNumber=" : "", line ? line : "");
    cJSON *tree = sim_ask("GET", path, NULL);
    cJSON_ArrayForEach(event, json_array(tree, "events"))
    {
        const char *code = json_text(json_object(event, "body"), "targetProductCode");
        ck_assert_ptr_nonnull(code);
        if (n < max) {
            numbers[n] = (unsigned)strtoul(code + 1, NULL, 10);
        }
        n++;
    }
    cJSON_Delete(tree);
    return n;
}

/* Every line got all of its events, in the order in which they were made. */
static inline void in_order(unsigned lines, unsigned each)
{
    unsigned numbers[1024];
    char line[16];
    for (unsigned l = 0; l < lines; l++) {
        snprintf(line, sizeof line, "010%08u", l);
        size_t n = accepted(line, numbers, 1024);
        ck_assert_msg(n == each, "line %s: %zu of %u events", line, n, each);
        for (size_t i = 1; i < n; i++) {
            ck_assert_msg(numbers[i] > numbers[i - 1], "line %s: %u before %u", line, numbers[i - 1],
                          numbers[i]);
        }
    }
}

static inline double attempts_of(enum post_outcome outcome)
{
    return metric_value(&delivery_metric_attempts, outcome);
}

static inline double attempts_made(void)
{
    double n = 0;
    for (int i = 0; i < POST_OUTCOMES; i++) {
        n += attempts_of((enum post_outcome)i);
    }
    return n;
}

/* ---- around each test ---- */

static inline void rig_setup(void)
{
    char err[128];
    static bool once;
    signal(SIGPIPE, SIG_IGN);
    if (!getenv("PCS_TEST_LOG")) {
        log_set_threshold(LOG_LEVEL_OFF);
    }
    if (!once) {
        metrics_register(journal_metrics, journal_metrics_count);
        metrics_register(delivery_metrics, delivery_metrics_count);
        metrics_thread_init();
        once = true;
    }
    made = 0;
    made_ago_ms = 0;
    snprintf(dir, sizeof dir, "/tmp/pcs-delivery-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_msg(reactor_init(&reactor, 0, err, sizeof err), "%s", err);
    uv_prepare_init(&reactor.loop, &turn_end);
    uv_prepare_start(&turn_end, run_hooks);
    uv_unref((uv_handle_t *)&turn_end);
    uv_timer_init(&reactor.loop, &guard);
    uv_timer_start(&guard, on_guard, 10, 10);
    client = call_client_create(&reactor, 64, err, sizeof err);
    ck_assert_msg(client != NULL, "%s", err);
    journal_start();
    sim_start(0, SECRET);
}

/* Every handle of the module must be closed by then: the loop proves it. */
static inline void rig_teardown(void)
{
    char command[128];
    delivery_end();
    journal_end();
    call_client_destroy(client);
    uv_close((uv_handle_t *)&turn_end, NULL);
    uv_close((uv_handle_t *)&guard, NULL);
    reactor_stop(&reactor);
    for (int i = 0; i < 1000 && uv_run(&reactor.loop, UV_RUN_NOWAIT); i++) {
    }
    ck_assert_msg(!uv_loop_alive(&reactor.loop), "handles were left open");
    reactor_destroy(&reactor);
    sim_kill();
    snprintf(command, sizeof command, "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

static inline int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}

#endif
