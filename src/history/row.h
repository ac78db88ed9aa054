/* row.h - a change's record and its row in product_change_history.
 *
 *   row                                   record
 *   status COMPLETED                      COMPLETED
 *   status FAILED, result_code            VALIDATION_FAILED: INVALID; NOT_APPLIED; KOS_UNAVAILABLE: NOT_SENT;
 *                                         CANCELLED; EXPIRED; any other (KOS's own): REFUSED
 *   actor                                 actor, and subject (the row knows no other)
 *
 * The rest has the same name, and what the row does not have is absent in the record. */
#ifndef HISTORY_ROW_H
#define HISTORY_ROW_H

#include "pcs/core/arena.h"
#include "pcs/journal/change.h"

#include <libpq-fe.h>
#include <stddef.h>

/* COMPLETED or FAILED. */
const char *history_row_status(const struct change_record *r);
/* The record's result_code; the state's own when there is none (never NULL). */
const char *history_row_result_code(const struct change_record *r);
enum change_state history_row_state(const char *status, const char *result_code);
/* The record's validation if PostgreSQL's jsonb takes it, else NULL (told in the log): the change's outcome
 * is not lost over its details. */
const char *history_row_validation(const struct change_record *r);

/* The SELECT list that history_row_read() reads. */
extern const char history_row_columns[];
/* Reads row `row` from result column `first` on into out; texts are copied into a. False: no memory. */
bool history_row_read(const PGresult *result, int row, int first, struct change_record *out, struct arena *a);

#endif
