/* What the MVNO AP simulator received: events, each once, and every attempt. */
#include "mvno.h"

#include <stdlib.h>
#include <string.h>

struct mvno_delivery {
    unsigned status;
    char reason[MVNO_REASON_SIZE];
    uint64_t attempt;
    bool verified;
    char *id, *request_id, *type, *headers, *body;
    char line[16];
};

static void delivery_free(void *data)
{
    struct mvno_delivery *d = data;

    free(d->id);
    free(d->request_id);
    free(d->type);
    free(d->headers);
    free(d->body);
    free(d);
}

static void event_free(struct mvno_event *e)
{
    free(e->id);
    free(e->request_id);
    free(e->type);
    free(e->headers);
    free(e->body);
    free(e);
}

static void drop_oldest(struct mvno *m, struct mvno_event **place)
{
    struct mvno_event *e = *place;

    if (!e)
        return;
    if (sim_map_get(&m->by_id, e->id) == e)
        sim_map_remove(&m->by_id, e->id);
    if (sim_map_get(&m->by_request, e->request_id) == e)
        sim_map_remove(&m->by_request, e->request_id);
    event_free(e);
}

/* Takes the event over. */
static void keep(struct mvno *m, struct mvno_event *e)
{
    struct mvno_event **place = &m->events[m->event_count++ % m->max_events];

    drop_oldest(m, place);
    *place = e;
    e->sequence = m->event_count;
    sim_map_put(&m->by_id, e->id, e);
    if (sim_map_get(&m->by_request, e->request_id))
        m->several_per_request++;
    else
        sim_map_put(&m->by_request, e->request_id, e);
}

static void repeated(struct mvno *m, struct mvno_event *e, int64_t at_ms, bool same)
{
    m->duplicates++;
    e->deliveries++;
    e->last_ms = at_ms;
    if (!same) {
        e->changed = true;
        m->changed++;
    }
}

static void event_json(struct sim_buf *out, const struct mvno_event *e)
{
    char at[SIM_TIME_SIZE];
    cJSON *body;
    char *text;

    sim_buf_fmt(out, "{\"sequence\":%llu,\"firstAt\":\"%s\",\"firstMs\":%lld",
                (unsigned long long)e->sequence, sim_time_utc(at, e->first_ms), (long long)e->first_ms);
    sim_buf_fmt(out, ",\"lastAt\":\"%s\",\"deliveries\":%u,\"verified\":%s,\"changed\":%s,\"webhookId\":",
                sim_time_utc(at, e->last_ms), e->deliveries, e->verified ? "true" : "false",
                e->changed ? "true" : "false");
    sim_buf_json(out, e->id);
    sim_buf_str(out, ",\"requestId\":");
    sim_buf_json(out, e->request_id);
    sim_buf_str(out, ",\"lineNumber\":");
    sim_buf_json(out, e->line);
    sim_buf_str(out, ",\"eventType\":");
    sim_buf_json(out, e->type);
    sim_buf_fmt(out, ",\"headers\":%s,\"rawBody\":", e->headers);
    sim_buf_json(out, e->body);
    body = cJSON_Parse(e->body); /* cJSON is lax: what it prints is JSON, what came may not be */
    text = cJSON_PrintUnformatted(body);
    sim_buf_fmt(out, ",\"body\":%s}", text ? text : "null");
    free(text);
    cJSON_Delete(body);
}

static void save_event(struct mvno *m, const struct mvno_event *e)
{
    struct sim_buf line = {0};

    if (m->state.fd < 0)
        return;
    sim_buf_str(&line, "{\"event\":{\"webhookId\":");
    sim_buf_json(&line, e->id);
    sim_buf_fmt(&line, ",\"firstMs\":%lld,\"verified\":%s,\"headers\":", (long long)e->first_ms,
                e->verified ? "true" : "false");
    sim_buf_json(&line, e->headers);
    sim_buf_str(&line, ",\"body\":");
    sim_buf_json(&line, e->body);
    sim_buf_str(&line, "}}");
    sim_state_add(&m->state, line.data, line.length);
    sim_buf_free(&line);
}

static void save_repeat(struct mvno *m, const struct mvno_event *e, bool same)
{
    struct sim_buf line = {0};

    if (m->state.fd < 0)
        return;
    sim_buf_str(&line, "{\"repeat\":");
    sim_buf_json(&line, e->id);
    sim_buf_fmt(&line, ",\"atMs\":%lld,\"same\":%s}", (long long)e->last_ms, same ? "true" : "false");
    sim_state_add(&m->state, line.data, line.length);
    sim_buf_free(&line);
}

/* Names of an event from its body; texts are copied. */
static void name_event(struct mvno_event *e, const char *id, const cJSON *body)
{
    e->id = sim_strdup(id);
    e->request_id = sim_strdup(sim_json_text(body, "requestId", ""));
    e->type = sim_strdup(sim_json_text(body, "eventType", ""));
    sim_copy(e->line, sizeof e->line, sim_json_text(body, "lineNumber", ""));
}

/* Returns what became of it. */
static const char *accept_event(struct mvno *m, struct mvno_delivery *d)
{
    struct mvno_event *e = sim_map_get(&m->by_id, d->id);
    cJSON *body;

    if (e) {
        bool same = strcmp(e->body, d->body) == 0;

        repeated(m, e, sim_wall_ms(), same);
        save_repeat(m, e, same);
        return "duplicate";
    }
    e = sim_alloc(sizeof *e);
    body = cJSON_Parse(d->body);
    name_event(e, d->id, body);
    cJSON_Delete(body);
    e->first_ms = e->last_ms = sim_wall_ms();
    e->deliveries = 1;
    e->verified = d->verified;
    e->headers = sim_strdup(d->headers);
    e->body = sim_strdup(d->body);
    keep(m, e);
    save_event(m, e);
    return "accepted";
}

void mvno_replay(void *app, cJSON *line)
{
    struct mvno *m = app;
    const cJSON *event = cJSON_GetObjectItemCaseSensitive(line, "event");
    const char *repeat = sim_json_text(line, "repeat", NULL);
    struct mvno_event *e = repeat ? sim_map_get(&m->by_id, repeat) : NULL;
    cJSON *body;

    if (e)
        repeated(m, e, (int64_t)sim_json_number(line, "atMs", 0), sim_json_bool(line, "same", true));
    if (!event)
        return;
    e = sim_alloc(sizeof *e);
    e->body = sim_strdup(sim_json_text(event, "body", "{}"));
    e->headers = sim_strdup(sim_json_text(event, "headers", "{}"));
    body = cJSON_Parse(e->body);
    name_event(e, sim_json_text(event, "webhookId", ""), body);
    cJSON_Delete(body);
    e->first_ms = e->last_ms = (int64_t)sim_json_number(event, "firstMs", 0);
    e->deliveries = 1;
    e->verified = sim_json_bool(event, "verified", false);
    keep(m, e);
}

static void outcome(struct mvno *m, const struct mvno_delivery *d, const char *text)
{
    struct mvno_attempt *a = &m->attempts[(d->attempt - 1) % MVNO_ATTEMPTS_MAX];

    if (a->sequence != d->attempt)
        return; /* long ago: its place was used again */
    a->outcome = text;
    sim_copy(a->reason, sizeof a->reason, d->reason);
}

static void effect(void *app, void *data, const struct sim_fault *f, bool apply, struct sim_answer *out)
{
    struct mvno *m = app;
    struct mvno_delivery *d = data;
    const char *became = "faulted";

    (void)f;
    out->status = d->status;
    out->type = "application/json";
    if (!apply) {
        sim_buf_str(&out->body, "{\"received\":false,\"reason\":\"fault\"}");
    } else if (d->status != 200) {
        m->refused++;
        became = "refused";
        sim_buf_str(&out->body, "{\"received\":false,\"reason\":");
        sim_buf_json(&out->body, d->reason);
        sim_buf_str(&out->body, "}");
    } else {
        became = accept_event(m, d);
        sim_buf_str(&out->body, "{\"received\":true}");
    }
    outcome(m, d, became);
}

static void note_attempt(struct mvno *m, struct mvno_delivery *d, const struct sim_req *req)
{
    struct mvno_attempt *a = &m->attempts[m->attempt_count++ % MVNO_ATTEMPTS_MAX];

    *a = (struct mvno_attempt){.sequence = m->attempt_count, .at_ms = sim_wall_ms(), .outcome = "waiting"};
    d->attempt = a->sequence;
    sim_copy(a->id, sizeof a->id, d->id);
    sim_copy(a->request_id, sizeof a->request_id, d->request_id);
    sim_copy(a->type, sizeof a->type, d->type);
    sim_copy(a->line, sizeof a->line, d->line);
    sim_copy(a->timestamp, sizeof a->timestamp, sim_req_header(req, "webhook-timestamp"));
    sim_copy(a->signature, sizeof a->signature, sim_req_header(req, "webhook-signature"));
}

void mvno_deliver(void *app, struct sim_req *req)
{
    struct mvno *m = app;
    struct mvno_delivery *d = sim_alloc(sizeof *d);
    cJSON *body = req->body.length ? cJSON_ParseWithLength(req->body.data, req->body.length) : NULL;
    const char *id = sim_req_header(req, "webhook-id");
    struct sim_buf headers = {0};

    sim_req_count(req, &m->stats);
    d->id = sim_strdup(id ? id : "");
    d->request_id = sim_strdup(sim_json_text(body, "requestId", ""));
    d->type = sim_strdup(sim_json_text(body, "eventType", ""));
    sim_copy(d->line, sizeof d->line, sim_json_text(body, "lineNumber", ""));
    d->body = sim_strdup(req->body.data ? req->body.data : "");
    sim_req_headers_json(req, &headers);
    d->headers = headers.data;
    d->status = mvno_check_head(m, req, d->reason);
    d->verified = m->key && d->status == 200;
    if (d->status == 200 && !cJSON_IsObject(body)) {
        d->status = 400;
        sim_copy(d->reason, sizeof d->reason, "the body is not a JSON object");
    }
    if (d->status == 200 && !m->lax)
        d->status = mvno_check_body(body, d->id, d->reason);
    cJSON_Delete(body);
    note_attempt(m, d, req);
    sim_exchange_start(&m->faults, req, "results", d->line, effect, m, d, delivery_free);
}

void mvno_events_json(const struct mvno *m, struct sim_buf *out, const char *line, const char *request_id,
                      size_t limit)
{
    uint64_t first = m->event_count > m->max_events ? m->event_count - m->max_events : 0;
    uint64_t i;
    size_t total = 0, seen = 0, skip = 0;
    int pass;

    sim_buf_str(out, "{\"events\":[");
    for (pass = 0; pass < 2; pass++) { /* count first: a limit keeps the newest */
        skip = limit && total > limit ? total - limit : 0;
        for (i = first; i < m->event_count; i++) {
            const struct mvno_event *e = m->events[i % m->max_events];

            if ((line && strcmp(line, e->line) != 0) ||
                (request_id && strcmp(request_id, e->request_id) != 0))
                continue;
            if (pass == 0) {
                total++;
            } else if (seen++ >= skip) {
                if (out->data[out->length - 1] != '[')
                    sim_buf_str(out, ",");
                event_json(out, e);
            }
        }
    }
    sim_buf_fmt(out, "],\"total\":%zu}", total);
}

static void attempt_json(struct sim_buf *out, const struct mvno_attempt *a)
{
    char at[SIM_TIME_SIZE];

    sim_buf_fmt(out, "{\"sequence\":%llu,\"at\":\"%s\",\"atMs\":%lld,\"outcome\":\"%s\",\"webhookId\":",
                (unsigned long long)a->sequence, sim_time_utc(at, a->at_ms), (long long)a->at_ms, a->outcome);
    sim_buf_json(out, a->id);
    sim_buf_str(out, ",\"requestId\":");
    sim_buf_json(out, a->request_id);
    sim_buf_str(out, ",\"lineNumber\":");
    sim_buf_json(out, a->line);
    sim_buf_str(out, ",\"eventType\":");
    sim_buf_json(out, a->type);
    sim_buf_str(out, ",\"timestamp\":");
    sim_buf_json(out, a->timestamp);
    sim_buf_str(out, ",\"signature\":");
    sim_buf_json(out, a->signature);
    sim_buf_str(out, ",\"reason\":");
    sim_buf_json(out, a->reason);
    sim_buf_str(out, "}");
}

void mvno_attempts_json(const struct mvno *m, struct sim_buf *out, const char *line, const char *id,
                        size_t limit)
{
    uint64_t first = m->attempt_count > MVNO_ATTEMPTS_MAX ? m->attempt_count - MVNO_ATTEMPTS_MAX : 0;

    if (limit && m->attempt_count - first > limit)
        first = m->attempt_count - limit;
    sim_buf_str(out, "{\"attempts\":[");
    for (; first < m->attempt_count; first++) {
        const struct mvno_attempt *a = &m->attempts[first % MVNO_ATTEMPTS_MAX];

        if ((line && strcmp(line, a->line) != 0) || (id && strcmp(id, a->id) != 0))
            continue;
        if (out->data[out->length - 1] != '[')
            sim_buf_str(out, ",");
        attempt_json(out, a);
    }
    sim_buf_fmt(out, "],\"total\":%llu}", (unsigned long long)m->attempt_count);
}

void mvno_clear(struct mvno *m)
{
    size_t i;
    uint64_t now = m->stats.concurrent;

    for (i = 0; i < m->max_events && i < m->event_count; i++) {
        event_free(m->events[i]);
        m->events[i] = NULL;
    }
    m->event_count = 0;
    sim_map_free(&m->by_id);
    sim_map_free(&m->by_request);
    m->attempt_count = 0;
    m->stats = (struct sim_stats){.concurrent = now};
    m->duplicates = m->refused = m->changed = m->several_per_request = 0;
}
