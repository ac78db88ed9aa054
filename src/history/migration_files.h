/* migration_files.h - the numbered .sql files of a directory. */
#ifndef HISTORY_MIGRATION_FILES_H
#define HISTORY_MIGRATION_FILES_H

#include "pcs/core/id.h"

#include <stdbool.h>
#include <stddef.h>

#define MIGRATION_NAME_MAX 128

struct migration {
    int version;                       /* 1.. */
    char name[MIGRATION_NAME_MAX];     /* "0001_history.sql" */
    char checksum[SHA256_HEX_LEN + 1]; /* as sha256sum prints it */
    char *sql;
};

struct migration_files {
    struct migration *at; /* ascending by version */
    size_t count;
};

/* Reads every NNNN_name.sql. False with err: the directory cannot be read or holds none, another .sql name, a
 * number twice, a file that is empty, too large or not readable. */
bool history_migration_files_read(struct migration_files *files, const char *dir, char *err, size_t errlen);
void history_migration_files_free(struct migration_files *files);

#endif
