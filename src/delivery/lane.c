/* lane.c - the lines that have an event in hand: a table by line, and its one writer of states.
 *
 *            started          ended            stored
 *   READY ─────────► CALLING ──────► STORING ─────────► (gone: the line's next event may be pulled)
 *     │                               │   ▲
 *     └─► (gone: fetched again later) ▼   │ handed in again
 *                                     RETRY ──► (gone, at the end of the process only) */
#include "delivery/internal.h"

#include "pcs/core/log.h"
#include "pcs/core/metrics.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const bool allowed[LANE_STATES][LANE_STATES] = {
    [LANE_READY] = {[LANE_CALLING] = true},
    [LANE_CALLING] = {[LANE_STORING] = true},
    [LANE_STORING] = {[LANE_RETRY] = true},
    [LANE_RETRY] = {[LANE_STORING] = true},
};

static struct lane_bucket *bucket_of(struct delivery *d, const char *line)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (const char *p = line; *p; p++) {
        hash = (hash ^ (unsigned char)*p) * 16777619u;
    }
    return &d->lanes[hash % LANE_BUCKETS];
}

size_t lanes_in_hand(const struct delivery *d)
{
    size_t n = 0;
    for (int i = 0; i < LANE_STATES; i++) {
        n += d->count[i];
    }
    return n;
}

struct lane *lane_find(struct delivery *d, const char *line)
{
    struct lane *lane;
    LIST_FOREACH(lane, bucket_of(d, line), in_bucket)
    {
        if (strcmp(lane->line, line) == 0) {
            return lane;
        }
    }
    return NULL;
}

static struct lane_queue *queue_of(struct delivery *d, enum lane_state state)
{
    return state == LANE_READY ? &d->ready : state == LANE_RETRY ? &d->retry : NULL;
}

static void enter(struct lane *lane, enum lane_state state)
{
    struct delivery *d = lane->d;
    struct lane_queue *queue = queue_of(d, state);
    lane->state = state;
    d->count[state]++;
    if (queue) {
        TAILQ_INSERT_TAIL(queue, lane, in_queue);
    }
    if (state == LANE_CALLING) {
        metric_gauge_add(&delivery_metric_in_flight, 0, 1);
    }
}

static void leave(struct lane *lane)
{
    struct delivery *d = lane->d;
    struct lane_queue *queue = queue_of(d, lane->state);
    d->count[lane->state]--;
    if (queue) {
        TAILQ_REMOVE(queue, lane, in_queue);
    }
    if (lane->state == LANE_CALLING) {
        metric_gauge_add(&delivery_metric_in_flight, 0, -1);
    }
}

void lane_set(struct lane *lane, enum lane_state to)
{
    assert(allowed[lane->state][to]);
    if (!allowed[lane->state][to]) {
        log_error("delivery.wrong_transition", log_str("eventId", lane->event_id),
                  log_int("from", lane->state), log_int("to", to));
    }
    leave(lane);
    enter(lane, to);
}

static const char *put_text(char **at, const char *text)
{
    if (!text) {
        return NULL;
    }
    char *start = *at;
    size_t len = strlen(text) + 1;
    memcpy(start, text, len);
    *at += len;
    return start;
}

struct lane *lane_new(struct delivery *d, const struct journal_event *event)
{
    const char *line = event->line ? event->line : "", *body = event->body ? event->body : "";
    const char *texts[] = {event->event_id, event->type, event->request_id, line, body, event->traceparent};
    size_t size = 0;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        size += texts[i] ? strlen(texts[i]) + 1 : 0;
    }
    struct lane *lane = malloc(sizeof *lane + size);
    if (!lane) {
        return NULL;
    }
    memset(lane, 0, offsetof(struct lane, answer));
    lane->answer[0] = lane->error[0] = '\0';
    char *at = lane->texts;
    lane->d = d;
    lane->seq = event->seq;
    lane->created_at = event->created_at;
    lane->event_id = put_text(&at, event->event_id);
    lane->type = put_text(&at, event->type);
    lane->request_id = put_text(&at, event->request_id);
    lane->line = put_text(&at, line);
    lane->body = put_text(&at, body);
    lane->body_len = strlen(lane->body);
    lane->traceparent = put_text(&at, event->traceparent);
    LIST_INSERT_HEAD(bucket_of(d, lane->line), lane, in_bucket);
    enter(lane, LANE_READY);
    return lane;
}

void lane_free(struct lane *lane)
{
    leave(lane);
    LIST_REMOVE(lane, in_bucket);
    free(lane);
}

void lanes_drop_ready(struct delivery *d)
{
    struct lane *lane;
    while ((lane = TAILQ_FIRST(&d->ready))) {
        lane_free(lane);
        d->want = true; /* they are still in the journal */
    }
}

bool lanes_caught_up(const struct delivery *d, int64_t now_ms)
{
    const struct lane *lane;
    for (size_t i = 0; i < LANE_BUCKETS; i++) {
        LIST_FOREACH(lane, &d->lanes[i], in_bucket)
        {
            if (lane->created_at < now_ms - CAUGHT_UP_MS) {
                return false;
            }
        }
    }
    return true;
}
