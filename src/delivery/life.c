/* life.c - making and ending the delivery.
 *
 *   RUNNING ─delivery_drain─► DRAINING ─delivery_stop─► STOPPING ─(idle)─► delivery_destroy
 *      └────────────────delivery_stop──────────────────────▲ */
#include "delivery/internal.h"
#include "pcs/core/clock.h"
#include "pcs/core/log.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESULTS_PATH "/api/v1/mvno/product-change/results"

/* ---- making ---- */

/* Slowness is no failure here: nobody waits, and a slow answer has delivered. One probe decides; HALF_OPEN
 * waits for an event for as long as it takes. */
static struct breaker *make_breaker(const struct delivery_config *config, char *err, size_t errlen)
{
    struct breaker_config b = breaker_config_default();
    b.slow_duration_ns = INT64_MAX;
    b.slow_call_rate = 100;
    b.consecutive_failures = config->breaker_consecutive;
    b.half_open_permits = 1;
    b.half_open_max_ms = 0;
    b.wait_ms = config->breaker_wait_ms;
    b.wait_multiplier = 2;
    b.wait_max_ms = config->probe_ms;
    return breaker_create("mvno", &b, err, errlen);
}

static bool copy_text(char **to, const char *text)
{
    if (!text || !*text) {
        return true;
    }
    *to = strdup(text);
    return *to != NULL;
}

static bool copy_config(struct delivery *d, const struct delivery_config *config)
{
    size_t len = strlen(config->base_url);
    d->config = *config;
    d->config.base_url = d->config.webhook_secret = NULL;
    d->config.ca_file = d->config.client_cert = d->config.client_key = NULL;
    while (len > 0 && config->base_url[len - 1] == '/') {
        len--;
    }
    if (len > 0) {
        d->url = malloc(len + sizeof RESULTS_PATH);
        if (!d->url) {
            return false;
        }
        memcpy(d->url, config->base_url, len);
        memcpy(d->url + len, RESULTS_PATH, sizeof RESULTS_PATH);
    }
    if (!copy_text(&d->ca_file, config->ca_file) || !copy_text(&d->client_cert, config->client_cert) ||
        !copy_text(&d->client_key, config->client_key)) {
        return false;
    }
    d->endpoint = (struct call_endpoint){
        .ca_file = d->ca_file, .client_cert = d->client_cert, .client_key = d->client_key};
    return true;
}

static bool make_signer(struct delivery *d, const struct delivery_config *config, char *err, size_t errlen)
{
    if (!*config->webhook_secret) {
        if (d->url) {
            log_warn("delivery.unsigned", log_str("reason", "mvno.webhook_secret (MVNO_WEBHOOK_SECRET) is "
                                                            "not set: events go out without a signature"));
        }
        return true;
    }
    d->signer = signer_new(config->webhook_secret, err, errlen);
    if (d->signer && signer_key_len(d->signer) < SIGN_SECRET_GOOD) {
        log_warn(
            "delivery.short_secret", log_int("bytes", signer_key_len(d->signer)),
            log_str("reason", "mvno.webhook_secret (MVNO_WEBHOOK_SECRET) should have at least 24 bytes"));
    }
    return d->signer != NULL;
}

static void free_parts(struct delivery *d)
{
    breaker_destroy(d->breaker);
    signer_free(d->signer);
    free(d->url);
    free(d->ca_file);
    free(d->client_cert);
    free(d->client_key);
    free(d);
}

static void on_wake(uv_async_t *handle)
{
    struct delivery *d = handle->data;
    d->want = true;
    delivery_drive(d);
}

static void on_first_turn(uv_timer_t *timer)
{
    delivery_drive(timer->data);
}

static bool make_handles(struct delivery *d, char *err, size_t errlen)
{
    int rc = uv_async_init(&d->reactor->loop, &d->wake, on_wake);
    if (rc != 0) {
        snprintf(err, errlen, "delivery: %s", uv_strerror(rc));
        return false;
    }
    uv_timer_init(&d->reactor->loop, &d->timer);
    d->wake.data = d->timer.data = d;
    d->handles = 2;
    return true;
}

struct delivery *delivery_create(struct reactor *r, struct call_client *client, struct journal *journal,
                                 const struct delivery_config *config, char *err, size_t errlen)
{
    struct delivery *d = calloc(1, sizeof *d);
    if (!d) {
        snprintf(err, errlen, "delivery: no memory");
        return NULL;
    }
    uint64_t now = clock_mono_ns();
    snprintf(err, errlen, "delivery: no memory");
    d->reactor = r;
    d->client = client;
    d->journal = journal;
    TAILQ_INIT(&d->ready);
    TAILQ_INIT(&d->retry);
    if (!copy_config(d, config) || !make_signer(d, config, err, errlen) ||
        !(d->breaker = make_breaker(config, err, errlen)) || !make_handles(d, err, errlen)) {
        free_parts(d);
        return NULL;
    }
    pace_init(&d->pace, config->rate, now);
    pace_backlog(&d->pace, true, now); /* what an earlier process left */
    d->up = d->due_wanted = true;      /* nothing is known of the destination: everything may be tried */
    d->sweep_at_ns = now;
    atomic_store(&d->up_seen, true);
    metric_set(&delivery_metric_up, 0, 1);
    if (d->url) {
        uv_timer_start(&d->timer, on_first_turn, 0, 0);
    }
    err[0] = '\0';
    return d;
}

void delivery_wake(struct delivery *d)
{
    uv_async_send(&d->wake);
}

void delivery_events_wait(struct delivery *d)
{
    if (!atomic_exchange(&d->told, true)) {
        delivery_wake(d);
    }
}

bool delivery_up(const struct delivery *d)
{
    return atomic_load(&d->up_seen);
}

struct breaker *delivery_breaker(struct delivery *d)
{
    return d->breaker;
}

/* ---- ending ---- */

void delivery_drain(struct delivery *d)
{
    if (d->life == DELIVERY_RUNNING) {
        d->life = DELIVERY_DRAINING;
        lanes_drop_ready(d);
    }
}

static void give_up(struct lane *lane)
{
    struct journal_attempt *a = &lane->op.attempt;
    uint64_t elapsed = clock_mono_ns() - lane->started_ns;
    call_cancel(lane->call);
    lane->call = NULL;
    breaker_release(lane->d->breaker, &lane->permit);
    snprintf(lane->error, sizeof lane->error, "%s", call_error_name(CALL_SHUTDOWN));
    a->error = lane->error;
    a->milliseconds = (int64_t)(elapsed / NS_PER_MS);
    a->next_due = clock_wall_ms();
    a->verdict = VERDICT_AGAIN;
    a->counted = false;
    ledger_store(lane);
}

void delivery_stop(struct delivery *d)
{
    struct lane *lane, *next;
    if (d->life == DELIVERY_STOPPING) {
        return;
    }
    delivery_drain(d);
    d->life = DELIVERY_STOPPING;
    uv_timer_stop(&d->timer);
    for (size_t i = 0; i < LANE_BUCKETS; i++) {
        for (lane = LIST_FIRST(&d->lanes[i]); lane; lane = next) {
            next = LIST_NEXT(lane, in_bucket);
            if (lane->state == LANE_CALLING) {
                give_up(lane);
            } else if (lane->state == LANE_RETRY) {
                lane_free(lane); /* not noted: it will be repeated with the same id */
            }
        }
    }
}

bool delivery_idle(const struct delivery *d)
{
    bool busy = d->life == DELIVERY_STOPPING ? lanes_in_hand(d) > 0
                                             : d->count[LANE_CALLING] + d->count[LANE_STORING] > 0;
    return d->life != DELIVERY_RUNNING && !busy && !d->pulling && !d->due_asked;
}

static void on_closed(uv_handle_t *handle)
{
    struct delivery *d = handle->data;
    if (--d->handles == 0) {
        free_parts(d);
    }
}

void delivery_destroy(struct delivery *d)
{
    if (!d) {
        return;
    }
    delivery_stop(d);
    assert(delivery_idle(d));
    if (!delivery_idle(d)) {
        log_error("delivery.destroyed_busy", log_int("lanes", lanes_in_hand(d)));
        return; /* the journal still holds our memory: rather lost than used after its end */
    }
    uv_close((uv_handle_t *)&d->timer, on_closed);
    uv_close((uv_handle_t *)&d->wake, on_closed);
}
