/* row.h - a change's record and its row in product_change_history.
 *
 * Which column is which member: pcs/journal/row.h. A row knows the actor and no other subject; what it does not have is
 * absent in the record. */
#ifndef HISTORY_ROW_H
#define HISTORY_ROW_H

#include "pcs/core/arena.h"
#include "pcs/journal/change.h"

#include <libpq-fe.h>
#include <stddef.h>

/* The record's validation if PostgreSQL's jsonb takes it, else NULL (told in the log): the change's outcome
 * is not lost over its details. */
const char *history_row_validation(const struct change_record *r);

/* The SELECT list that history_row_read() reads. */
extern const char history_row_columns[];
/* Reads row `row` from result column `first` on into out; texts are copied into a. False: no memory. */
bool history_row_read(const PGresult *result, int row, int first, struct change_record *out, struct arena *a);

#endif
