/* settle.h - what an inquiry says about a change in doubt (DESIGN.md, "In doubt is a state"). Pure. */
#ifndef CHANGE_SETTLE_H
#define CHANGE_SETTLE_H

#include "pcs/journal/change.h"
#include "pcs/product/kos.h"

struct settle_rules {
    bool deduplicates;        /* KOS recognises a repeated requestId: a repeat is safe */
    int64_t horizon_ms;       /* still the baseline this long after sending: it was not applied */
    int64_t first_ms, max_ms; /* back-off between inquiries */
};

enum settle_step {
    SETTLE_COMPLETED,   /* the customer has the target: it was applied */
    SETTLE_NOT_APPLIED, /* still the baseline at the horizon, seen often enough */
    SETTLE_REPEAT,      /* still the baseline, and a repeat is safe */
    SETTLE_ASK_AGAIN,   /* at next_check_at */
    SETTLE_OPERATOR     /* a third product, or no product past the horizon: a person decides */
};

/* Judges one answer and brings c's settling fields up to date (checks, baselines, next_check_at,
 * on_operator_list). */
enum settle_step settle_judge(struct change_record *c, const struct kos_read *answer, int64_t now,
                              const struct settle_rules *rules);

/* When to ask next: doubling from first_ms to max_ms with the number of checks made, +-10 % jitter from unit
 * (0..1). */
int64_t settle_delay_ms(int64_t checks, const struct settle_rules *rules, double unit);

#endif
