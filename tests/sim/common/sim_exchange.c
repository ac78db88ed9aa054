/* An exchange on its way:
 *
 *   DELAY_BEFORE → GATE_BEFORE → EFFECT → DELAY_AFTER → GATE_AFTER → DELIVER
 *
 * Every stage either goes on at once or suspends the request: a delay until its timer fires, a gate or
 * hang until POST /_sim/faults/release. Which side of the effect a wait is on is the fault's "phase". */
#include "sim_exchange.h"

#include <stdlib.h>
#include <string.h>

#define BIG_BODY_BYTES (8u * 1024 * 1024)
#define DRIP_MS        100

enum stage { DELAY_BEFORE, GATE_BEFORE, EFFECT, DELAY_AFTER, GATE_AFTER, DELIVER };

static void step(struct sim_exchange *x);

static bool waits(const struct sim_fault *f)
{
    return f && (f->kind == SIM_HANG || f->kind == SIM_APPLIED_NO_ANSWER);
}

static bool matches(struct sim_fault *f, const struct sim_exchange *x)
{
    if (f->remaining == 0)
        return false;
    if (f->operation[0] != '*' && strcmp(f->operation, x->operation) != 0)
        return false;
    if (f->line[0] && strcmp(f->line, x->line) != 0)
        return false;
    return f->rate >= 1.0 || sim_random() < f->rate;
}

static void take(struct sim_fault *f)
{
    f->hits++;
    if (f->remaining > 0)
        f->remaining--;
}

/* Delays add up; the first gate and the first fault of another kind count. */
static void choose(struct sim_exchange *x)
{
    struct sim_fault *f;

    for (f = x->faults->first; f; f = f->next) {
        struct sim_fault **slot = f->kind == SIM_GATE ? &x->gate : &x->fault;

        if ((f->kind != SIM_DELAY && *slot) || !matches(f, x))
            continue;
        take(f);
        if (f->kind == SIM_DELAY) {
            x->delay_ms[f->after] += f->delay_ms + (int)(sim_random() * f->jitter_ms);
            continue;
        }
        f->references++;
        *slot = f;
    }
    if ((x->gate || x->fault) && x->req->stats)
        x->req->stats->faulted++;
}

static void finish(struct sim_exchange *x)
{
    struct sim_faults *f = x->faults;
    struct sim_req *req = x->req;

    if (x->held_by)
        x->held_by->waiting--;
    sim_timer_stop(sim_server_timers(f->server), &x->timer);
    *(x->prev ? &x->prev->next : &f->live) = x->next;
    *(x->next ? &x->next->prev : &f->live_last) = x->prev;
    sim_fault_release_ref(x->gate);
    sim_fault_release_ref(x->fault);
    sim_answer_free(&x->answer);
    if (x->free_data)
        x->free_data(x->data);
    free(x);
    sim_req_release(req);
}

static void timer_fired(void *arg)
{
    step(arg);
}

/* True when the exchange has to wait. */
static bool delay(struct sim_exchange *x, int ms)
{
    if (ms <= 0)
        return false;
    sim_hold(x->req);
    sim_timer_start(sim_server_timers(x->faults->server), &x->timer, sim_mono_ms() + ms, timer_fired, x);
    return true;
}

static bool gate(struct sim_exchange *x, bool after)
{
    struct sim_fault *by = NULL;

    if (x->gate && x->gate->after == after)
        by = x->gate;
    else if (waits(x->fault) && x->fault->after == after)
        by = x->fault;
    if (!by)
        return false;
    sim_hold(x->req);
    by->waiting++;
    x->held_by = by;
    return true;
}

void sim_exchange_go_on(struct sim_exchange *x)
{
    struct sim_fault *by = x->held_by;

    by->waiting--;
    x->held_by = NULL;
    if (by == x->gate && waits(x->fault) && x->fault->after == by->after)
        x->stage--; /* a hang behind the gate on the same side */
    if (by == x->gate) {
        sim_fault_release_ref(x->gate);
        x->gate = NULL;
    }
    step(x);
}

static void big_body(struct sim_answer *a, size_t bytes)
{
    size_t start;

    if (a->body.length && a->body.data[a->body.length - 1] == '}')
        a->body.data[--a->body.length] = '\0';
    sim_buf_str(&a->body, a->body.length > 1 ? ",\"filler\":\"" : "{\"filler\":\"");
    start = a->body.length;
    if (bytes > start) {
        char block[4096];

        memset(block, 'x', sizeof block);
        while (a->body.length < bytes) {
            size_t left = bytes - a->body.length;

            sim_buf_add(&a->body, block, left < sizeof block ? left : sizeof block);
        }
    }
    sim_buf_str(&a->body, "\"}");
}

static void replace(struct sim_answer *a, const char *type, const char *bytes, size_t length)
{
    a->body.length = 0;
    sim_buf_add(&a->body, bytes, length);
    a->type = type;
}

/* The spoiling that is the same for every operation; the rest is the effect's. */
static void spoil(struct sim_answer *a, const struct sim_fault *f)
{
    static const char garbage[] = "\x00\xff\xfe{\"success\":tru\xc3\x28,,,]] not json";
    static const char html[] = "<html><head><title>404 Not Found</title></head><body>"
                               "<center><h1>404 Not Found</h1></center><hr>nginx</body></html>";

    if (f->kind == SIM_GARBAGE)
        replace(a, a->type, garbage, sizeof garbage - 1);
    if (f->kind == SIM_NOT_FOUND_HTML) {
        replace(a, "text/html", html, sizeof html - 1);
        a->status = 404;
    }
    if (f->kind == SIM_BIG_BODY)
        big_body(a, f->bytes ? f->bytes : BIG_BODY_BYTES);
    if (f->kind == SIM_HTTP_STATUS)
        a->status = 500;
    if (f->body)
        replace(a, a->type, f->body, strlen(f->body));
    if (f->status)
        a->status = f->status;
    if (f->type)
        a->type = f->type;
    if (f->headers) {
        free(a->headers);
        a->headers = sim_strdup(f->headers);
    }
}

static void deliver(struct sim_exchange *x)
{
    const struct sim_fault *f = x->fault;
    enum sim_way way = f && f->chunked ? SIM_CHUNKED : SIM_PLAIN;
    size_t piece = f && f->bytes && f->kind != SIM_BIG_BODY ? f->bytes : 0;

    switch (f ? f->kind : SIM_DELAY) {
    case SIM_RESET:
    case SIM_APPLIED_RESET:
        sim_abort(x->req, true);
        return;
    case SIM_CLOSE:
        sim_abort(x->req, false);
        return;
    case SIM_RESET_MID_BODY:
        way = SIM_CUT_RESET;
        break;
    case SIM_TRUNCATED:
        way = SIM_CUT_CLOSE;
        break;
    case SIM_SLOW_DRIP:
        way = SIM_DRIP;
        piece = piece ? piece : 1;
        break;
    case SIM_IN_CHUNKS:
        way = SIM_CHUNKED;
        piece = piece ? piece : 16;
        break;
    default:
        piece = 65536;
        break;
    }
    sim_send(x->req, &x->answer, way, piece, f && f->delay_ms ? f->delay_ms : DRIP_MS);
}

static void effect(struct sim_exchange *x)
{
    const struct sim_fault *f = x->fault;
    bool apply = !f || waits(f) || f->after;

    x->effect(x->app, x->data, f, apply, &x->answer);
    if (f)
        spoil(&x->answer, f);
}

static void step(struct sim_exchange *x)
{
    for (;;) {
        switch ((enum stage)x->stage++) {
        case DELAY_BEFORE:
            if (delay(x, x->delay_ms[0]))
                return;
            break;
        case GATE_BEFORE:
            if (gate(x, false))
                return;
            break;
        case EFFECT:
            effect(x);
            break;
        case DELAY_AFTER:
            if (delay(x, x->delay_ms[1]))
                return;
            break;
        case GATE_AFTER:
            if (gate(x, true))
                return;
            break;
        case DELIVER:
            deliver(x);
            finish(x);
            return;
        }
    }
}

void sim_exchange_start(struct sim_faults *f, struct sim_req *req, const char *operation, const char *line,
                        sim_effect_fn run, void *app, void *data, void (*free_data)(void *))
{
    struct sim_exchange *x = sim_alloc(sizeof *x);

    x->faults = f;
    x->req = req;
    x->effect = run;
    x->app = app;
    x->data = data;
    x->free_data = free_data;
    sim_copy(x->operation, sizeof x->operation, operation);
    sim_copy(x->line, sizeof x->line, line);
    x->since_ms = sim_mono_ms();
    x->prev = f->live_last;
    *(x->prev ? &x->prev->next : &f->live) = x;
    f->live_last = x;
    req->exchange = x;
    if (f->first)
        choose(x);
    step(x);
}

void sim_exchange_client_gone(struct sim_exchange *x)
{
    if (waits(x->held_by)) /* after a delay or at a gate the effect is still to come */
        finish(x);
}

void sim_faults_clear(struct sim_faults *f, bool drop)
{
    while (f->first) {
        struct sim_fault *fault = f->first;

        f->first = fault->next;
        sim_fault_release_ref(fault);
    }
    f->count = 0;
    while (drop && f->live) {
        sim_abort(f->live->req, false);
        finish(f->live);
    }
}
