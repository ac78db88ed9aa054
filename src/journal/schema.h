/* schema.h - the tables of the journal's file and the ladder of versions. */
#ifndef JOURNAL_SCHEMA_H
#define JOURNAL_SCHEMA_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

/* The version this program writes (PRAGMA user_version). */
extern const int schema_version;

/* Brings an empty or older file to schema_version, a step a transaction. Refuses a newer file and one that is
 * not a journal; err then says so. The file is never emptied. */
bool schema_migrate(sqlite3 *db, const char *file, char *err, size_t errlen);
/* quick_check of the small hot tables, or of everything. */
bool schema_check(sqlite3 *db, const char *file, bool everything, char *err, size_t errlen);

#endif
