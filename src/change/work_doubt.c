/* work_doubt.c - waiting and asking: the work of RETRY, DOUBT and ASK. Decides nothing. */
#include "change/machine.h"

#include "pcs/core/clock.h"
#include "pcs/core/failpoint.h"
#include "pcs/core/log.h"

/* So that the first is served within a second of the carrier's return; a look costs nothing. */
#define RETRY_MAX_MS 1000

/* ---- waiting ---- */

void change_wait_start(struct change *c, int64_t ms)
{
    uv_update_time(&c->svc->reactor->loop);
    uv_timer_start(&c->wait, change_on_wait, (uint64_t)(ms > 0 ? ms : 0), 0);
}

void change_again_later(struct change *c)
{
    change_wait_start(c, change_retry_delay_ms(c));
}

int64_t change_retry_delay_ms(struct change *c)
{
    struct settle_rules rules = {.first_ms = 200, .max_ms = RETRY_MAX_MS};
    return settle_delay_ms(c->retries++, &rules, (double)(random_u64() % 1000) / 1000.0);
}

/* ---- DOUBT, ASK ---- */

int64_t change_now_ms(const struct change *c)
{
    return c->started_ms + (int64_t)((clock_mono_ns() - c->started_ns) / NS_PER_MS);
}

struct settle_rules change_settle_rules(const struct change *c)
{
    const struct kos_config *kos = kos_settings(c->svc->kos);
    return (struct settle_rules){.deduplicates = kos->deduplicates && !c->refused,
                                 .horizon_ms = kos->settle_horizon_ms,
                                 .first_ms = c->svc->config->settle_first_ms,
                                 .max_ms = c->svc->config->settle_max_ms};
}

int64_t change_first_ask_ms(const struct change *c)
{
    return c->svc->config->settle_first_ms;
}

int64_t change_next_ask_ms(const struct change *c)
{
    struct settle_rules rules = change_settle_rules(c);
    return settle_delay_ms(c->rec.checks, &rules, 0.5);
}

static void on_asked(void *arg, const struct kos_read *read)
{
    struct change *c = arg;
    struct settle_rules rules = change_settle_rules(c);
    FAILPOINT("change.asked");
    c->request = NULL;
    c->settle_step = settle_judge(&c->rec, read, change_now_ms(c), &rules);
    if (read->answer != KOS_UNAVAILABLE) {
        outage_over(c->svc->shared, false);
    }
    change_keep_notes(c, read->notes, read->note_count);
    change_tell_notes(c);
    log_info("change.asked", log_str("requestId", c->rec.request_id), log_int("checks", c->rec.checks),
             log_int("step", c->settle_step), log_str("reason", read->reason));
    change_advance(c);
}

bool change_ask_start(struct change *c)
{
    const struct kos_config *kos = kos_settings(c->svc->kos);
    struct kos_caller caller = change_caller(c);
    char key[KEY_MAX];
    redis_key_line(key, c->rec.line);
    (void)hold_renew(c->svc->redis, key, c->rec.request_id, HOLD_OPEN_MS, NULL, NULL);
    c->request = kos_inquiry(c->svc->kos, c->rec.line, &caller, change_after_ms(kos->inquiry_deadline_ms),
                             on_asked, c);
    if (!c->request) {
        c->rec.next_check_at = change_now_ms(c) + change_retry_delay_ms(c);
    }
    return c->request != NULL;
}
