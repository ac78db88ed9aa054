/* record.h - the columns of a change, once: their names, where they are in struct change_record, and what
 * SEND, DOUBT and an outcome do to them. The SQL of both tables (open_change, settled) is made from it. */
#ifndef JOURNAL_RECORD_H
#define JOURNAL_RECORD_H

#include "pcs/core/arena.h"
#include "pcs/core/buf.h"
#include "pcs/journal/change.h"

#include <sqlite3.h>
#include <stdbool.h>

extern const int record_columns; /* how many; parameter i + 1 is column i everywhere */

/* "request_id,line,..." */
void record_names(struct buf *out);
/* "?1,?2,..." */
void record_params(struct buf *out);
/* "state=?3,..." for SEND and for DOUBT. */
void record_send(struct buf *out);
void record_doubt(struct buf *out);

/* Makes an outcome as it was submitted the row that is stored: what it keeps of the open row, or does not know itself, is
 * taken from there. Texts are shared with open. */
void record_end(const struct change_record *open, struct change_record *outcome);

/* Binds every column. The texts are borrowed until the statement is reset. */
void record_bind(sqlite3_stmt *s, const struct change_record *r);
/* A text column of a result, copied into a; NULL stays NULL. False: no memory. */
bool column_text(sqlite3_stmt *s, int at, const char **to, struct arena *a);
/* Reads the columns from result column first on; copies into a. False: no memory. */
bool record_read(sqlite3_stmt *s, int first, struct change_record *r, struct arena *a);

#endif
