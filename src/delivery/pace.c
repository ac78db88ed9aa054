/* pace.c - a token bucket whose rate is halved by push-back and raised by half each second after it. */
#include "delivery/pace.h"

#include "pcs/core/clock.h"

#define BURST_SECONDS 0.02 /* what may go at once after an idle moment */

static double rate_now(const struct pace *p)
{
    double rate = p->backlog ? p->cap : 0;
    return p->slowed > 0 && (rate == 0 || p->slowed < rate) ? p->slowed : rate; /* 0: unlimited */
}

static double burst(double rate)
{
    return rate * BURST_SECONDS > 1 ? rate * BURST_SECONDS : 1;
}

void pace_init(struct pace *p, int64_t rate, uint64_t now_ns)
{
    *p = (struct pace){.cap = (double)rate, .at_ns = now_ns};
}

void pace_backlog(struct pace *p, bool on, uint64_t now_ns)
{
    if (on && !p->backlog) {
        p->tokens = 1;
        p->at_ns = now_ns;
    }
    p->backlog = on;
}

uint64_t pace_pushed_back(struct pace *p, uint64_t wait_ns, uint64_t now_ns)
{
    wait_ns = wait_ns < PACE_PAUSE_MIN_NS ? PACE_PAUSE_MIN_NS : wait_ns;
    uint64_t until = now_ns + (wait_ns > PACE_PAUSE_MAX_NS ? PACE_PAUSE_MAX_NS : wait_ns);
    if (now_ns >= p->pause_until_ns) {
        double rate = rate_now(p) > 0 ? rate_now(p) : p->cap;
        p->slowed = rate / 2 > 1 ? rate / 2 : 1;
    }
    if (until > p->pause_until_ns) {
        p->pause_until_ns = until;
        p->raise_at_ns = until + NS_PER_SEC;
        p->tokens = 1; /* one asks first; the others follow at the new pace */
        p->at_ns = until;
    }
    return p->pause_until_ns;
}

void pace_succeeded(struct pace *p, uint64_t now_ns)
{
    if (p->slowed > 0 && now_ns >= p->raise_at_ns) {
        p->slowed = p->slowed * 1.5 + 1;
        p->raise_at_ns = now_ns + NS_PER_SEC;
        if (p->slowed >= p->cap) {
            p->slowed = 0;
        }
    }
}

uint64_t pace_wait(struct pace *p, uint64_t now_ns)
{
    double rate = rate_now(p);
    if (now_ns < p->pause_until_ns) {
        return p->pause_until_ns - now_ns;
    }
    if (rate == 0) {
        return 0;
    }
    if (now_ns > p->at_ns) {
        p->tokens += (double)(now_ns - p->at_ns) / (double)NS_PER_SEC * rate;
        p->tokens = p->tokens > burst(rate) ? burst(rate) : p->tokens;
        p->at_ns = now_ns;
    }
    return p->tokens >= 1 ? 0 : (uint64_t)((1 - p->tokens) / rate * (double)NS_PER_SEC) + 1;
}

void pace_spend(struct pace *p)
{
    if (rate_now(p) > 0) {
        p->tokens -= 1;
    }
}
