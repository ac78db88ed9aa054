/* Leases and values in Redis (lease.h): the input is what Redis says, byte for byte, to the commands of one look-up. The
 * link is left out: its commands are answered here, by hiredis' own reader. */
#include "fuzz/fuzz.h"

#include "pcs/redis/lease.h"

/* The look-up's command that waits for its reply; others (DEL) are not answered. */
static redis_done waiting;
static void *waiting_arg;
static unsigned commands;
static char calls[16]; /* handles: never looked into */

struct redis_call *redis_command(struct redis_link *link, uint32_t timeout_ms, redis_done done, void *arg,
                                 const struct redis_arg *args, size_t count)
{
    (void)link, (void)timeout_ms;
    for (size_t i = 0; i < count; i++) {
        FUZZ_CHECK(args[i].data);
    }
    if (done) {
        FUZZ_CHECK(!waiting);
        waiting = done;
        waiting_arg = arg;
    }
    FUZZ_CHECK(commands < sizeof calls); /* a look-up asks a few times, whatever it is told */
    return (struct redis_call *)(void *)&calls[commands++];
}

void redis_cancel(struct redis_call *call)
{
    FUZZ_CHECK(waiting && call == (struct redis_call *)(void *)&calls[commands - 1]);
    waiting = NULL;
}

static unsigned found;
static size_t head_only;

static void on_found(void *arg, const struct lease_result *r)
{
    (void)arg;
    found++;
    switch (r->answer) {
    case LEASE_VALUE:
        FUZZ_CHECK(r->value && r->len > 0 && (!head_only || r->len <= head_only));
        FUZZ_CHECK(r->len != LEASE_TOKEN_LEN || head_only == LEASE_TOKEN_LEN ||
                   memcmp(r->value, "lease:", 6) != 0);
        break;
    case LEASE_HELD:
        FUZZ_CHECK(r->token && memcmp(r->token, "lease:", 6) == 0);
        FUZZ_CHECK(memchr(r->token, '\0', LEASE_TOKEN_LEN + 1));
        break;
    case LEASE_NONE:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t heads[] = {0, 42, 84, 10};
    struct fuzz_input in = {data, size};
    uint8_t choice = fuzz_byte(&in);
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    FUZZ_CHECK(reader);
    head_only = heads[choice & 3];
    commands = found = 0;
    struct lease_lookup *l = lease_get(NULL, "pcs:customer:1:01012345678", head_only, on_found, NULL);
    FUZZ_CHECK(l && found == 0 && waiting);
    redisReaderFeed(reader, (const char *)in.at, in.left);
    while (waiting) {
        bool more = redisReaderGetReply(reader, &reply) == REDIS_OK && reply;
        redis_done done = waiting;
        waiting = NULL;
        done(waiting_arg, more ? REDIS_REPLIED : choice & 4 ? REDIS_LOST : REDIS_LATE, reply);
        if (reply) {
            freeReplyObject(reply);
            reply = NULL;
        }
        if (waiting && choice & 8) {
            lease_cancel(l);
            FUZZ_CHECK(!waiting && found == 0);
            found = 1;
        }
    }
    FUZZ_CHECK(found == 1); /* exactly once */
    redisReaderFree(reader);
    return 0;
}
