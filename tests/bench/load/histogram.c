/* histogram.c - 1024 buckets an octave above 1024 us, one a microsecond below: of 45 ms, 32 us are seen. */
#include "load.h"

#define STEPS_LOG2 10
#define STEPS      (UINT64_C(1) << STEPS_LOG2) /* in an octave */

static size_t bucket_of(uint64_t us)
{
    if (us < STEPS) {
        return (size_t)us;
    }
    unsigned octave = 63U - (unsigned)__builtin_clzll(us) - STEPS_LOG2;
    size_t bucket = (size_t)((octave + 1) * STEPS + (us >> octave) - STEPS);
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

static uint64_t upper_end(size_t bucket)
{
    if (bucket < STEPS) {
        return bucket;
    }
    unsigned octave = (unsigned)(bucket / STEPS) - 1;
    return ((bucket % STEPS + STEPS + 1) << octave) - 1;
}

void histogram_add(struct histogram *h, uint64_t us)
{
    h->counts[bucket_of(us)]++;
    h->count++;
    h->sum_us += us;
    if (us > h->max_us) {
        h->max_us = us;
    }
}

uint64_t histogram_at(const struct histogram *h, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)h->count), seen = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->counts[i];
        if (seen > wanted || (seen == h->count && seen)) {
            uint64_t end = upper_end(i);
            return end < h->max_us ? end : h->max_us;
        }
    }
    return 0;
}
