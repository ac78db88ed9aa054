/* history.c - starts and stops the two threads. */
#include "history/internal.h"
#include "pcs/core/id.h"
#include "pcs/core/log.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t history_backoff_next(struct backoff *b, uint64_t now_ns)
{
    b->delay_ns = b->delay_ns ? b->delay_ns * 2 : BACKOFF_MIN_NS;
    if (b->delay_ns > BACKOFF_MAX_NS) {
        b->delay_ns = BACKOFF_MAX_NS;
    }
    /* Half fixed, half chance: instances do not come back all at once. */
    return now_ns + b->delay_ns / 2 + random_u64() % (b->delay_ns / 2 + 1);
}

void history_trouble_tell(struct trouble *t, const char *event, enum fault f, const struct pglink *l)
{
    const char *what = l->sqlstate[0] ? l->sqlstate : history_fault_name(f);
    if (strcmp(t->told, what) == 0) {
        return;
    }
    snprintf(t->told, sizeof t->told, "%s", what);
    log_warn(event, log_str("fault", history_fault_name(f)),
             log_str("sqlstate", l->sqlstate[0] ? l->sqlstate : NULL), log_str("error", l->error));
}

void history_trouble_end(struct trouble *t, const char *event)
{
    if (t->told[0]) {
        log_info(event, log_str("after", t->told));
        t->told[0] = '\0';
    }
}

/* One block with all the texts, so that the configuration's snapshot may go. */
static bool copy_config(struct history *h, const struct history_config *c)
{
    const char **texts[] = {&h->config.host,        &h->config.name,      &h->config.username,
                            &h->config.password,    &h->config.sslmode,   &h->config.ca_file,
                            &h->config.client_cert, &h->config.client_key};
    size_t count = sizeof texts / sizeof *texts, len = 0;
    h->config = *c;
    h->config.migrate_username = h->config.migrate_password = "";
    for (size_t i = 0; i < count; i++) {
        *texts[i] = *texts[i] ? *texts[i] : "";
        len += strlen(*texts[i]) + 1;
    }
    char *p = h->texts = malloc(len);
    if (!p) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(*texts[i]) + 1;
        *texts[i] = memcpy(p, *texts[i], n);
        p += n;
    }
    h->target = pglink_target_of(&h->config);
    return true;
}

static void history_free(struct history *h)
{
    history_worker_free(&h->worker);
    history_reader_free(&h->reader);
    free(h->texts);
    free(h);
}

static bool start_thread(pthread_t *thread, const char *name, void *(*run)(void *), void *arg)
{
    sigset_t all, old;
    sigfillset(&all); /* signals are the main thread's */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    bool ok = pthread_create(thread, NULL, run, arg) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (ok) {
        pthread_setname_np(*thread, name);
    }
    return ok;
}

struct history *history_start(const struct history_config *config, struct journal *journal, char *err,
                              size_t errlen)
{
    struct history *h = calloc(1, sizeof *h);
    if (!h || !copy_config(h, config)) {
        free(h);
        snprintf(err, errlen, "history: no memory");
        return NULL;
    }
    h->journal = journal;
    snprintf(h->instance, sizeof h->instance, "%s", journal_instance(journal));
    atomic_init(&h->stop_at, UINT64_MAX);
    atomic_init(&h->up, false);
    atomic_init(&h->queries_down, false);
    atomic_init(&h->queries_failing_until_ns, 0);
    bool worker = history_worker_init(&h->worker, h), reader = history_reader_init(&h->reader, h);
    if (!worker || !reader) {
        history_free(h);
        snprintf(err, errlen, "history: no memory or no descriptors");
        return NULL;
    }
    /* before the first pull */
    journal_on_pending(journal, SINK_HISTORY, history_waker_ring_news, h->worker.waker);
    if (!start_thread(&h->worker_thread, "history", history_worker_thread, &h->worker)) {
        journal_on_pending(journal, SINK_HISTORY, NULL, NULL);
        history_free(h);
        snprintf(err, errlen, "history: the worker's thread cannot be started");
        return NULL;
    }
    if (!start_thread(&h->reader_thread, "history-query", history_reader_thread, &h->reader)) {
        atomic_store(&h->stop_at, clock_mono_ns());
        history_waker_ring(h->worker.waker);
        pthread_join(h->worker_thread, NULL);
        journal_on_pending(journal, SINK_HISTORY, NULL, NULL);
        history_free(h);
        snprintf(err, errlen, "history: the query thread cannot be started");
        return NULL;
    }
    return h;
}

void history_stop(struct history *h, uint32_t grace_ms)
{
    if (!h) {
        return;
    }
    mailbox_close(&h->reader.box);
    atomic_store(&h->stop_at, clock_mono_ns() + grace_ms * NS_PER_MS);
    history_waker_ring(h->worker.waker);
    history_waker_ring(h->reader.waker);
    pthread_join(h->reader_thread, NULL);
    pthread_join(h->worker_thread, NULL);
    journal_on_pending(h->journal, SINK_HISTORY, NULL, NULL);
    history_free(h);
}

bool history_up(const struct history *h)
{
    return atomic_load(&h->up) && !atomic_load(&h->queries_down) &&
           clock_mono_ns() >= atomic_load(&h->queries_failing_until_ns);
}
