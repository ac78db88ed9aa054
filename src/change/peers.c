/* peers.c - says that this instance is there, and looks who else is. */
#include "change/peers.h"

#include "pcs/core/clock.h"

#include <stdio.h>
#include <string.h>

#define BEAT_MS  1000
#define VALID_NS (3 * NS_PER_SEC) /* an answer is believed that long */
#define KEY      "pcs:instances"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static struct redis_arg text(const char *s)
{
    return (struct redis_arg){s, strlen(s)};
}

/* The two oldest: one of them is somebody else, or there is nobody else. */
static void on_instances(void *arg, enum redis_outcome outcome, const redisReply *reply)
{
    struct change_service *svc = arg;
    const char *self = journal_instance(svc->journal);
    svc->peers_call = NULL;
    bool alone = outcome == REDIS_REPLIED && reply->type == REDIS_REPLY_ARRAY && reply->elements == 1 &&
                 reply->element[0]->type == REDIS_REPLY_STRING && strcmp(reply->element[0]->str, self) == 0;
    peers_note(svc->shared, alone ? svc->peers_asked_ns + VALID_NS : 0);
}

static void beat(uv_timer_t *timer)
{
    struct change_service *svc = timer->data;
    char now[24], gone[24], memory[24];
    int64_t ms = clock_wall_ms();
    if (svc->peers_call || svc->destroying) {
        return;
    }
    snprintf(now, sizeof now, "%lld", (long long)ms);
    snprintf(gone, sizeof gone, "(%lld", (long long)(ms - PEER_MEMORY_MS));
    snprintf(memory, sizeof memory, "%lld", (long long)PEER_MEMORY_MS);
    struct redis_arg here[] = {text("ZADD"), text(KEY), text(now), text(journal_instance(svc->journal))};
    struct redis_arg forget[] = {text("ZREMRANGEBYSCORE"), text(KEY), text("-inf"), text(gone)};
    struct redis_arg life[] = {text("PEXPIRE"), text(KEY), text(memory)};
    struct redis_arg list[] = {text("ZRANGE"), text(KEY), text("0"), text("1")};
    (void)redis_command(svc->redis, 0, NULL, NULL, here, COUNT(here));
    (void)redis_command(svc->redis, 0, NULL, NULL, forget, COUNT(forget));
    (void)redis_command(svc->redis, 0, NULL, NULL, life, COUNT(life));
    svc->peers_asked_ns = clock_mono_ns();
    svc->peers_call = redis_command(svc->redis, 0, on_instances, svc, list, COUNT(list));
}

void peers_start(struct change_service *svc)
{
    if (peers_take_turn(svc->shared)) {
        uv_timer_start(&svc->peers_beat, beat, 0, BEAT_MS);
    }
}

void peers_stop(struct change_service *svc)
{
    uv_timer_stop(&svc->peers_beat);
    if (svc->peers_call) {
        redis_cancel(svc->peers_call);
        svc->peers_call = NULL;
    }
}
