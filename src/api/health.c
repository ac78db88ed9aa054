/* health.c - health, metrics and the interface's description: no token, no envelope (CONTRACT.md 1). */
#include "api/common.h"

#include "pcs/redis/redis.h"

#include <string.h>

#define JSON_TYPE "application/json; charset=utf-8"

enum state { UP, DEGRADED, DOWN };
static const char *const state_names[] = {"UP", "DEGRADED", "DOWN"};

/* Ready: the journal can be written and recovery is done; a neighbour that is down is a degradation
 * (CONVENTIONS 13). */
static enum state readiness(const struct api *api, struct buf *neighbours)
{
    const struct api_shared *s = api->shared;
    const struct {
        const char *name;
        bool up;
    } list[] = {
        {"kos", kos_gates_up(s->gates)},
        {"mvno", !s->delivery || delivery_up(s->delivery)},
        {"redis", redis_link_up(api->redis)},
        {"postgresql", !s->history || history_up(s->history)},
    };
    enum state state = s->stopping || !s->ready || !journal_writable(s->journal) ? DOWN : UP;
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        buf_json_str(neighbours, list[i].name, list[i].up ? "UP" : "DOWN");
        if (!list[i].up && state == UP) {
            state = DEGRADED;
        }
    }
    return state;
}

static void send_buf(struct http_request *rq, int status, const char *type, struct buf *b)
{
    size_t len;
    char *body = buf_steal(b, &len);
    if (!body) {
        fail_plain(rq, &http_problem_internal_error, "no memory");
        return;
    }
    http_reply(rq, status, type, body, len, NULL, 0);
}

void handle_health_live(struct http_request *rq)
{
    static const char live[] = "{\"status\":\"UP\"}";
    http_reply_static(rq, 200, JSON_TYPE, live, sizeof live - 1);
}

void handle_health_ready(struct http_request *rq)
{
    struct buf b, neighbours;
    buf_init(&b, 4096);
    buf_init(&neighbours, 4096);
    buf_putc(&neighbours, '{');
    enum state state = readiness(api_of(rq), &neighbours);
    buf_putc(&neighbours, '}');
    buf_json_open(&b, NULL, '{');
    buf_json_str(&b, "status", state_names[state]);
    if (buf_ok(&neighbours)) {
        buf_json_raw(&b, "neighbours", neighbours.data, neighbours.len);
    }
    buf_json_close(&b, '}');
    buf_free(&neighbours);
    send_buf(rq, state == DOWN ? 503 : 200, JSON_TYPE, &b);
}

/* The names that the existing gateway probes: only UP or DOWN. */
static void send_actuator(struct http_request *rq, bool up)
{
    static const char up_body[] = "{\"status\":\"UP\"}", down_body[] = "{\"status\":\"DOWN\"}";
    http_reply_static(rq, up ? 200 : 503, JSON_TYPE, up ? up_body : down_body,
                      up ? sizeof up_body - 1 : sizeof down_body - 1);
}

void handle_actuator_readiness(struct http_request *rq)
{
    const struct api_shared *s = api_of(rq)->shared;
    send_actuator(rq, !s->stopping && s->ready && journal_writable(s->journal));
}

void handle_actuator_health(struct http_request *rq)
{
    handle_actuator_readiness(rq);
}

void handle_actuator_liveness(struct http_request *rq)
{
    send_actuator(rq, true);
}

void handle_metrics(struct http_request *rq)
{
    struct buf b;
    buf_init(&b, ANSWER_MAX);
    metrics_print(&b);
    send_buf(rq, 200, "text/plain; version=0.0.4; charset=utf-8", &b);
}
