/* settle.c - ask first: the customer's product at KOS against the baseline read just before SENDING. */
#include "change/settle.h"

#include "pcs/core/id.h"

#include <string.h>

int64_t settle_delay_ms(int64_t checks, const struct settle_rules *rules, double unit)
{
    int64_t delay = rules->first_ms;
    for (int64_t i = 0; i < checks && delay < rules->max_ms; i++) {
        delay *= 2;
    }
    if (delay > rules->max_ms) {
        delay = rules->max_ms;
    }
    return (int64_t)((double)delay * (0.9 + 0.2 * unit));
}

static enum settle_step ask_again(struct change_record *c, int64_t now, const struct settle_rules *rules)
{
    double unit = (double)(random_u64() >> 11) / 9007199254740992.0;
    c->next_check_at = now + settle_delay_ms(c->checks, rules, unit);
    return SETTLE_ASK_AGAIN;
}

static enum settle_step operator_decides(struct change_record *c)
{
    c->on_operator_list = true;
    c->next_check_at = 0;
    return SETTLE_OPERATOR;
}

/* Still the baseline: not applied only after the horizon, and only if two inquiries far enough apart said so.
 */
static enum settle_step baseline(struct change_record *c, int64_t now, const struct settle_rules *rules)
{
    int64_t apart = rules->horizon_ms / 10 < 60000 ? rules->horizon_ms / 10 : 60000;
    if (!c->first_baseline_at) {
        c->first_baseline_at = now;
    }
    c->last_baseline_at = now;
    if (now - c->sent_at >= rules->horizon_ms && c->last_baseline_at - c->first_baseline_at >= apart) {
        return SETTLE_NOT_APPLIED;
    }
    if (rules->deduplicates) {
        return SETTLE_REPEAT;
    }
    return ask_again(c, now, rules);
}

enum settle_step settle_judge(struct change_record *c, const struct kos_read *answer, int64_t now,
                              const struct settle_rules *rules)
{
    c->checks++;
    if (answer->answer == KOS_UNAVAILABLE) {
        return ask_again(c, now, rules);
    }
    const struct customer *customer = answer->customer;
    const char *product = customer && customer->product.code ? customer->product.code : NULL;
    if (!product || !*product) {
        return now - c->sent_at >= rules->horizon_ms ? operator_decides(c) : ask_again(c, now, rules);
    }
    if (strcmp(product, c->target_code) == 0) {
        return SETTLE_COMPLETED;
    }
    if (strcmp(product, c->current_code) == 0) {
        return baseline(c, now, rules);
    }
    return operator_decides(c);
}
