/* batch.h - rows, their links in the hash chain, and call notes to PostgreSQL in one statement.
 *
 * One prepared INSERT ... SELECT FROM unnest(arrays) with all three tables in it: one round trip, one transaction
 * of its own, any number of rows. ON CONFLICT DO NOTHING makes it idempotent, so a commit whose answer was
 * lost is simply repeated (PITFALLS.md 4). */
#ifndef HISTORY_BATCH_H
#define HISTORY_BATCH_H

#include "history/pglink.h"
#include "pcs/core/buf.h"
#include "pcs/journal/journal.h"

enum {
    BATCH_ROW_COLUMNS = 17,
    BATCH_CALL_COLUMNS = 10,
    BATCH_LINK_COLUMNS = 9,
    BATCH_COLUMNS = BATCH_ROW_COLUMNS + BATCH_CALL_COLUMNS + BATCH_LINK_COLUMNS
};

struct batch {
    struct buf columns[BATCH_COLUMNS]; /* one array literal each; memory is kept between batches */
};

/* What one statement stores. */
struct batch_input {
    const struct change_record *rows;
    const struct chain_link *links; /* parallel to rows; seq 0: none */
    size_t row_count;
    const struct journal_call *calls;
    size_t call_count;
    const struct chain_link *loose; /* links without rows */
    size_t loose_count;
};

struct batch_counts {
    size_t rows, calls; /* that were new */
};

void history_batch_init(struct batch *b);
void history_batch_free(struct batch *b);
/* Once a session. */
enum fault history_batch_prepare(struct pglink *l, uint64_t deadline_ns);
/* Stores all or nothing. FAULT_BUSY also for want of memory. counts: written with FAULT_NONE. */
enum fault history_batch_store(struct batch *b, struct pglink *l, const char *instance,
                               const struct batch_input *in, uint64_t deadline_ns,
                               struct batch_counts *counts);

#endif
