/* row.h - a settled change as its row in the history (CONTRACT.md 5): what is stored in PostgreSQL, and what the hash
 * chain proves. One place, so that both can never disagree.
 *
 *   row                                   record
 *   status COMPLETED                      COMPLETED
 *   status FAILED, result_code            VALIDATION_FAILED: INVALID; NOT_APPLIED; KOS_UNAVAILABLE: NOT_SENT;
 *                                         CANCELLED; EXPIRED; any other (KOS's own): REFUSED
 *   actor                                 actor, else subject
 *
 * The rest has the same name. Thread-safe; texts are the record's or static. */
#ifndef PCS_JOURNAL_ROW_H
#define PCS_JOURNAL_ROW_H

#include "pcs/core/json.h"
#include "pcs/journal/change.h"

/* COMPLETED or FAILED. */
const char *change_row_status(const struct change_record *r);
/* The record's result_code; the state's own when there is none (never NULL). */
const char *change_row_result_code(const struct change_record *r);
enum change_state change_row_state(const char *status, const char *result_code);
const char *change_row_actor(const struct change_record *r);
/* The record's validation if PostgreSQL's jsonb takes it, else NULL. *reason (may be NULL): why it does not. */
const char *change_row_validation(const struct change_record *r, const char **reason);
/* What it is measured by. */
extern const struct json_limits change_row_validation_limits;

#endif
