/* serve.c - the service: start in order, wait for signals, end in named phases.
 *
 *   start   settings -> process limits -> journal -> history -> listeners -> reactors -> recovered: ready
 *   end     1 not ready           readiness says DOWN, requests are still served (server.drain_delay)
 *           2 stop accepting      listeners closed; answers say Connection: close
 *           3 drain               waiting polls get the current state; running changes are finished, which takes an
 *                                 order's deadline and a commit; what only waits (held, in doubt) is left to the journal
 *           4 let go              events and changes under way are put down once the journal has answered
 *           5 close               every handle of every reactor; loops end; threads are joined
 *           6 forward and close   the history worker's last batch, the journal's last commit
 *
 * A phase that does not end in its time ends the process with an error and without tidying: the journal has
 * everything. */
#include "cli/serve.h"

#include "cli/files.h"

#include "pcs/core/breaker_metrics.h"
#include "pcs/core/clock.h"
#include "pcs/core/log.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define DRAIN_EXTRA_MS   2000 /* drain: over the longest request */
#define LET_GO_MS        3000
#define LAST_ANSWERS_MS  5000 /* more than a read's deadline */
#define HISTORY_GRACE_MS 1000 /* for the history worker's last batch */
#define LAST_PHASES_S    10   /* close, forward and close: together */
#define FIRST_REDIS_MS   250  /* start: how long the first customers wait for Redis */
#define LAST_LINES_MS    200  /* for the last log lines, when the process ends early */
#define POLL_MS          5    /* between two questions to the reactors */
#define RETIRE_LOOK_MS   100  /* retiring: between two looks whether the journal is empty */

static int64_t ms_since(uint64_t start)
{
    return (int64_t)((clock_mono_ns() - start) / NS_PER_MS);
}

/* What the process is allowed and denied: no core dumps (they hold customers' data), files 0600, many
 * sockets. */
static void set_limits(void)
{
    struct rlimit none = {0, 0}, files;
    umask(077);
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    signal(SIGPIPE, SIG_IGN);
}

static unsigned reactor_count(const struct service *s, const struct http_config *http)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    long n = s->only_retire ? 1 : http->threads ? (long)http->threads : cores;
    return n < 1 ? 1 : n > REACTORS_MAX ? REACTORS_MAX : (unsigned)n;
}

static bool open_listeners(struct service *s, const struct http_config *http, char *err)
{
    int64_t port = http->port;
    if (!http_port_free(http->bind, port, err, ERROR_MAX)) {
        return false;
    }
    for (unsigned n = 0; n < s->count; n++) {
        s->instances[n].listen_fd = http_listen(http->bind, &port, err, ERROR_MAX);
        if (s->instances[n].listen_fd < 0) {
            return false;
        }
    }
    log_info("server.listening", log_str("bind", http->bind), log_int("port", port),
             log_int("reactors", s->count), log_bool("tls", *http->tls_cert_file != '\0'));
    return true;
}

static bool make_redis_breaker(struct service *s, char *err)
{
    const struct redis_config *redis = config_values(s->config, &redis_config_section);
    struct breaker_config cfg = breaker_config_default();
    cfg.slow_duration_ns = redis->deadline_ms * (int64_t)NS_PER_MS;
    cfg.wait_ms = 500;
    cfg.wait_max_ms = 5000;
    s->redis_breaker = breaker_create("redis", &cfg, err, ERROR_MAX);
    return s->redis_breaker != NULL;
}

/* The worst of the reactors since the last scrape: how late timers ran, a sign of overload. And what the log lost. */
static void collect_process(void *arg)
{
    static uint64_t told;
    struct service *s = arg;
    uint64_t worst = 0, dropped = log_dropped();
    for (unsigned n = 0; n < s->count; n++) {
        uint64_t lag = atomic_exchange(&s->instances[n].reactor.lag_peak_ns, 0);
        worst = lag > worst ? lag : worst;
    }
    metric_set(&process_loop_lag, 0, (double)worst / 1e9);
    metric_add(&process_log_dropped, 0, dropped - told);
    told = dropped;
}

/* What is shared by the reactors, in the order in which it depends on one another. */
static bool open_shared(struct service *s, char *err)
{
    const struct identity_config *identity = config_values(s->config, &identity_config_section);
    s->verifier = identity_verifier_new(identity, err, ERROR_MAX);
    if (!s->verifier || !cli_check_files(s->config, err, ERROR_MAX) ||
        !http_tls_load(config_values(s->config, &http_config_section), true, err, ERROR_MAX) ||
        !kos_gates_init(&s->gates, config_values(s->config, &kos_config_section), err, ERROR_MAX) ||
        !make_redis_breaker(s, err)) {
        return false;
    }
    struct journal_config journal =
        *(const struct journal_config *)config_values(s->config, &journal_config_section);
    journal.one_slot = s->only_retire;
    journal.slot = s->slot;
    s->journal = journal_open(&journal, err, ERROR_MAX);
    if (!s->journal) {
        return false;
    }
    s->history = history_start(config_values(s->config, &history_config_section), s->journal, err, ERROR_MAX);
    if (!s->history || !api_shared_init(&s->shared, config_values(s->config, &api_config_section))) {
        return false;
    }
    journal_refuse_new(s->journal, s->only_retire);
    s->shared.journal = s->journal;
    s->shared.history = s->history;
    s->shared.gates = &s->gates;
    for (int op = 0; op < KOS_OPERATIONS; op++) {
        breaker_metrics_show(s->gates.gate[op].breaker);
    }
    breaker_metrics_show(s->redis_breaker);
    metrics_on_scrape(kos_gates_collect, &s->gates);
    metrics_on_scrape(store_collect, NULL);
    metrics_on_scrape(collect_process, s);
    s->changes = change_shared_new(s->journal, s->history);
    return s->changes != NULL;
}

static void close_shared(struct service *s, bool emptied)
{
    if (s->history) {
        history_stop(s->history, HISTORY_GRACE_MS);
    }
    if (s->journal && emptied) {
        s->retired = journal_retire(s->journal, s->retire.leave_dead);
    } else if (s->journal) {
        journal_close(s->journal);
    }
    for (unsigned n = 0; n < s->count; n++) {
        if (s->instances[n].reactor.loop.data) {
            reactor_destroy(&s->instances[n].reactor);
        }
    }
    change_shared_free(s->changes);
    api_shared_free(&s->shared);
    kos_gates_free(&s->gates);
    breaker_destroy(s->redis_breaker);
    identity_verifier_unref(s->verifier);
    bypass_clear();
    http_tls_free();
}

static void each(struct service *s, void (*fn)(struct instance *))
{
    for (unsigned n = 0; n < s->count; n++) {
        instance_run(&s->instances[n], fn);
    }
}

/* Asks every reactor until none says yes or the time is up. False: time was up. */
static bool wait_until_none(struct service *s, void (*ask)(struct instance *), int64_t limit_ms)
{
    uint64_t start = clock_mono_ns();
    bool any;
    do {
        any = false;
        for (unsigned n = 0; n < s->count; n++) {
            instance_run(&s->instances[n], ask);
            any |= s->instances[n].says;
        }
        if (any) {
            usleep(POLL_MS * 1000);
        }
    } while (any && ms_since(start) < limit_ms);
    return !any;
}

static bool start_reactors(struct service *s, char *err)
{
    char name[24]; /* cut to 15 by the kernel */
    for (unsigned n = 0; n < s->count; n++) {
        struct instance *i = &s->instances[n];
        snprintf(name, sizeof name, "reactor-%u", n);
        if (!reactor_init(&i->reactor, n, err, ERROR_MAX)) {
            return false;
        }
        if (!reactor_start(&i->reactor, name, instance_start, i)) {
            snprintf(err, ERROR_MAX, "%s", *i->err ? i->err : "a reactor could not be started");
            return false;
        }
    }
    return true;
}

/* Customers are let in when Redis has been reached: a fresh instance without it could not see which lines other
 * instances hold. A Redis that is down delays the start by no more than this. */
static bool let_in(struct service *s, char *err)
{
    (void)wait_until_none(s, instance_redis_away, FIRST_REDIS_MS);
    for (unsigned n = 0; n < s->count; n++) {
        instance_run(&s->instances[n], instance_serve);
        if (!s->instances[n].says) {
            snprintf(err, ERROR_MAX, "%s", s->instances[n].err);
            return false;
        }
    }
    return true;
}

/* ---- the end ---- */

static void note_busy(struct instance *i)
{
    i->says = instance_busy(i);
}

static void note_unanswered(struct instance *i)
{
    i->says = i->server && http_server_pending(i->server) > 0;
}

static void note_not_idle(struct instance *i)
{
    i->says = !instance_idle(i);
}

static void phase(const char *name)
{
    log_info("shutdown.phase", log_str("phase", name));
}

/* The last phases join threads, and that of the journal may hang on its disk, with nothing under way that the earlier ones
 * would have seen. */
static void *end_anyway(void *arg)
{
    (void)arg;
    sleep(LAST_PHASES_S);
    metrics_thread_init();
    log_error("shutdown.incomplete", log_bool("drained", true));
    log_drain(LAST_LINES_MS);
    _exit(EXIT_FAILURE);
}

static void limit_last_phases(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, end_anyway, NULL) == 0) {
        pthread_detach(thread);
    }
}

/* emptied: nothing is left in the journal, whose slot is given up. */
static int end_service(struct service *s, bool emptied)
{
    const struct process_config *process = config_values(s->config, &process_config_section);
    const struct change_config *change = config_values(s->config, &change_config_section);
    phase("not ready");
    s->shared.stopping = true;
    for (int64_t left = process->drain_delay_ms; left > 0; left -= POLL_MS) {
        usleep(POLL_MS * 1000);
    }
    phase("stop accepting");
    each(s, instance_quiesce);
    phase("drain");
    each(s, instance_drain);
    bool drained = wait_until_none(s, note_busy, change->request_deadline_ms + DRAIN_EXTRA_MS);
    phase("let go");
    each(s, instance_let_go);
    if (!wait_until_none(s, note_not_idle, LET_GO_MS) || !drained) {
        /* Something hangs: the journal's thread on its disk, for one, which must not be waited for; and reactors that
         * still run may use the journal and the history, which must not be freed. Every change is in the journal. */
        log_error("shutdown.incomplete", log_bool("drained", drained));
        log_drain(LAST_LINES_MS);
        _exit(EXIT_FAILURE);
    }
    /* What came on an idle connection between the last look of the drain and letting go (since then the gate
     * refuses) has work under way that would answer after the request was freed. */
    (void)wait_until_none(s, note_unanswered, LAST_ANSWERS_MS);
    limit_last_phases();
    phase("close");
    each(s, instance_free);
    for (unsigned n = 0; n < s->count; n++) {
        reactor_join(&s->instances[n].reactor);
    }
    phase("forward and close");
    close_shared(s, emptied);
    log_info("shutdown.done", log_bool("retired", s->retired));
    return emptied && !s->retired ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int next_signal(struct service *s, const sigset_t *watched)
{
    struct timespec step = {.tv_nsec = RETIRE_LOOK_MS * 1000000L};
    return s->retire.asked ? sigtimedwait(watched, NULL, &step) : sigwaitinfo(watched, NULL);
}

static int wait_for_signals(struct service *s, const sigset_t *watched)
{
    for (;;) {
        int signal_number = next_signal(s, watched);
        if (service_emptied(s)) {
            log_info("shutdown.asked", log_str("signal", "retired"));
            return end_service(s, true);
        }
        if (signal_number == SIGHUP) {
            service_reload(s);
        } else if (signal_number == SIGTERM || signal_number == SIGINT) {
            log_info("shutdown.asked", log_str("signal", signal_number == SIGTERM ? "SIGTERM" : "SIGINT"));
            return end_service(s, false);
        }
    }
}

static int refuse(const char *err)
{
    log_error("start.refused", log_str("reason", err));
    return EXIT_FAILURE;
}

/* Waits for the first page of recovery, so that "ready" in the log is true. */
static bool wait_recovered(struct service *s, const sigset_t *watched)
{
    struct timespec step = {.tv_nsec = 1000000};
    while (s->recovered == 0) {
        int signal_number = sigtimedwait(watched, NULL, &step);
        if (signal_number == SIGTERM || signal_number == SIGINT) {
            kill(getpid(), signal_number); /* looked at again when the start is done */
            break;
        }
    }
    return s->recovered >= 0;
}

static void free_settings(struct service *s)
{
    free(s->instances);
    config_unref(s->config);
    for (size_t n = 0; n < s->kept; n++) {
        config_unref(s->keep[n]);
    }
}

/* The main thread waits for signals: one of them says that something is to be looked at. */
static void wake_main(void *arg)
{
    (void)arg;
    kill(getpid(), SIGUSR2);
}

static bool start_service(struct service *s, char *err)
{
    const struct http_config *http = config_values(s->config, &http_config_section);
    s->count = reactor_count(s, http);
    s->instances = calloc(s->count, sizeof *s->instances);
    if (!s->instances) {
        snprintf(err, ERROR_MAX, "no memory");
        return false;
    }
    for (unsigned n = 0; n < s->count; n++) {
        s->instances[n].service = s;
        s->instances[n].listen_fd = -1;
    }
    if (!open_shared(s, err) || (!s->only_retire && !open_listeners(s, http, err))) {
        close_shared(s, false);
        return false;
    }
    if (!start_reactors(s, err) || !let_in(s, err)) {
        /* some may run: nothing is freed under them, and the journal has all */
        int status = refuse(err);
        log_drain(LAST_LINES_MS);
        _exit(status);
    }
    return true;
}

static int serve(struct service *s)
{
    uint64_t start = clock_mono_ns();
    char err[ERROR_MAX] = "";
    sigset_t watched;
    s->config = cli_load(s->config_file);
    if (!s->config) {
        return EXIT_FAILURE;
    }
    const struct process_config *process = config_values(s->config, &process_config_section);
    log_set_threshold((enum log_level)process->log_level);
    set_limits();
    sigemptyset(&watched);
    sigaddset(&watched, SIGTERM);
    sigaddset(&watched, SIGINT);
    sigaddset(&watched, SIGHUP);
    sigaddset(&watched, SIGUSR2);
    sigprocmask(SIG_BLOCK, &watched, NULL);
    s->retire.wake = wake_main;
    cli_register_metrics();
    metrics_thread_init();
    log_info("start", log_str("version", PCS_VERSION), log_int("pid", getpid()),
             log_bool("retire", s->only_retire));
    cli_warn_secrets(s->config);
    if (!start_service(s, err)) {
        free_settings(s);
        return refuse(err);
    }
    if (!wait_recovered(s, &watched)) {
        log_error("start.not_ready",
                  log_str("reason", "open changes could not be taken up from the journal"));
    }
    log_info("start.ready", log_ms("milliseconds", clock_mono_ns() - start),
             log_int("slot", journal_slot(s->journal)), log_str("instance", journal_instance(s->journal)));
    int status = wait_for_signals(s, &watched);
    free_settings(s);
    return status;
}

int cli_serve(const char *config_file)
{
    struct service s = {.config_file = config_file};
    return serve(&s);
}

int cli_serve_retiring(const char *config_file, unsigned slot, bool leave_dead)
{
    struct service s = {.config_file = config_file, .only_retire = true, .slot = slot};
    s.retire.asked = true;
    s.retire.leave_dead = leave_dead;
    return serve(&s);
}
