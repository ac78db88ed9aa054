/* store_flight.c - flights: one question to KOS for everybody who has the same one.
 *
 * A flight is known by the lease, or the entry to be refreshed, that its first reader saw; without Redis by
 * the line's generation. A reader that begins after an invalidation sees another one of these, and therefore
 * starts a flight of its own (DESIGN.md, The cache). */
#include "product/store_internal.h"

#include "pcs/core/text.h"

#include <stdlib.h>
#include <string.h>

#define CUSTOMER_ARENA_MAX ((size_t)4 * 1024 * 1024)

static struct flight_list *bucket(struct store *s, const char *line)
{
    return &s->buckets[line_hash(line) % FLIGHT_BUCKETS];
}

struct flight *flight_find(struct store *s, enum store_kind kind, const char *line, const char *token)
{
    struct flight *f;
    LIST_FOREACH(f, bucket(s, line), chain)
    {
        if (f->kind == kind && strcmp(f->line, line) == 0 && strcmp(f->token, token) == 0 &&
            (*token || f->generation == line_generation(line))) {
            return f;
        }
    }
    return NULL;
}

struct flight *flight_new(struct store_load *first, const char *token, bool shared)
{
    struct store *s = first->store;
    struct flight *f = calloc(1, sizeof *f);
    if (!f) {
        return NULL;
    }
    f->store = s;
    f->kind = first->kind;
    f->shared = shared;
    f->asked_at = clock_wall_ms();
    f->answer = STORE_UNAVAILABLE;
    f->reason = "not answered";
    text_copy(f->token, sizeof f->token, token);
    text_copy(f->line, sizeof f->line, first->line);
    f->generation = line_generation(f->line);
    text_copy(f->correlation_id, sizeof f->correlation_id, first->caller.correlation_id);
    text_copy(f->traceparent, sizeof f->traceparent,
              first->caller.traceparent ? first->caller.traceparent : "");
    text_copy(f->change_id, sizeof f->change_id, first->caller.change_id ? first->caller.change_id : "");
    arena_init(&f->arena, NULL, 0, CUSTOMER_ARENA_MAX);
    TAILQ_INIT(&f->waiters);
    LIST_INSERT_HEAD(&s->flights, f, all);
    if (shared) {
        LIST_INSERT_HEAD(bucket(s, f->line), f, chain);
    }
    return f;
}

static void on_deadline(uv_timer_t *timer);

static void arm(struct store *s)
{
    struct store_load *first = TAILQ_FIRST(&s->waiting);
    if (!first) {
        uv_timer_stop(&s->timer);
        return;
    }
    uint64_t now = clock_mono_ns();
    uint64_t ms = first->deadline_ns > now ? (first->deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS : 0;
    uv_update_time(&s->reactor->loop);
    uv_timer_start(&s->timer, on_deadline, ms, 0);
}

/* Those whose time has come are told what there is; the flight goes on, for the cache. */
static void on_deadline(uv_timer_t *timer)
{
    struct store *s = timer->data;
    struct store_load *load;
    while ((load = TAILQ_FIRST(&s->waiting)) && load->deadline_ns <= clock_mono_ns()) {
        if (load->kind == STORE_CUSTOMER) {
            customer_give_up(load, "deadline");
        } else {
            catalogue_give_up(load, "deadline");
        }
    }
    arm(s);
}

void flight_join(struct flight *f, struct store_load *load)
{
    struct store *s = f->store;
    struct store_load *before = TAILQ_LAST(&s->waiting, load_list);
    TAILQ_REMOVE(&s->looking, load, in_store);
    while (before && before->deadline_ns > load->deadline_ns) { /* deadlines mostly come in order */
        before = TAILQ_PREV(before, load_list, in_store);
    }
    if (before) {
        TAILQ_INSERT_AFTER(&s->waiting, before, load, in_store);
    } else {
        TAILQ_INSERT_HEAD(&s->waiting, load, in_store);
        arm(s);
    }
    load->flight = f;
    TAILQ_INSERT_TAIL(&f->waiters, load, in_flight);
}

void flight_close(struct flight *f)
{
    if (f->shared) {
        LIST_REMOVE(f, chain);
        f->shared = false;
    }
}

void flight_free(struct flight *f)
{
    flight_close(f);
    if (f->request) {
        kos_cancel(f->request);
    }
    if (f->lookup) {
        lease_cancel(f->lookup);
    }
    if (f->catalogue_load) {
        store_cancel(f->catalogue_load);
    }
    catalogue_unref(f->catalogue);
    arena_free(&f->arena);
    free(f->stale);
    LIST_REMOVE(f, all);
    free(f);
}

struct kos_caller flight_caller(const struct flight *f)
{
    return (struct kos_caller){.correlation_id = f->correlation_id,
                               .traceparent = *f->traceparent ? f->traceparent : NULL,
                               .change_id = *f->change_id ? f->change_id : NULL};
}

void flight_take_notes(struct flight *f, const struct kos_read *read)
{
    for (size_t i = 0; i < read->note_count && f->note_count < STORE_NOTES; i++) {
        f->notes[f->note_count++] = read->notes[i];
    }
    f->retry_after_ns = read->retry_after_ns;
    f->reason = read->reason;
}
