/* migration_files.c - reads and checks the migration files. */
#include "history/migration_files.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX 1000
#define SQL_MAX   ((size_t)1 << 20) /* bytes of one file */

static bool ends_in_sql(const char *name)
{
    size_t len = strlen(name);
    return len > 4 && strcmp(name + len - 4, ".sql") == 0;
}

/* ^[0-9]{4}_[A-Za-z0-9_-]+\.sql$; the number, 0 when it is no such name. */
static int version_of(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    if (strspn(name, "0123456789") != 4 || name[4] != '_' || strlen(name) >= MIGRATION_NAME_MAX) {
        return 0;
    }
    size_t word = strspn(name + 5, letters);
    return word && strcmp(name + 5 + word, ".sql") == 0 ? (int)strtol(name, NULL, 10) : 0;
}

static bool sha256_hex(char out[SHA256_HEX_LEN + 1], const void *data, size_t len)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (!EVP_Digest(data, len, digest, &n, EVP_sha256(), NULL) || n * 2 != SHA256_HEX_LEN) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        snprintf(out + i * 2, 3, "%02x", digest[i]);
    }
    return true;
}

static bool read_file(struct migration *m, const char *dir, char *err, size_t errlen)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", dir, m->name);
    FILE *f = fopen(path, "re");
    if (!f) {
        snprintf(err, errlen, "%s: %s", path, strerror(errno));
        return false;
    }
    m->sql = malloc(SQL_MAX + 1);
    size_t len = m->sql ? fread(m->sql, 1, SQL_MAX + 1, f) : 0;
    bool ok = m->sql && !ferror(f) && len > 0 && len <= SQL_MAX && !memchr(m->sql, '\0', len);
    fclose(f);
    if (!ok) {
        snprintf(err, errlen, "%s: empty, over %zu bytes, not text, or not readable", path, SQL_MAX);
        return false;
    }
    m->sql[len] = '\0';
    if (!sha256_hex(m->checksum, m->sql, len)) {
        snprintf(err, errlen, "%s: no memory for its checksum", path);
        return false;
    }
    return true;
}

static int by_version(const void *a, const void *b)
{
    const struct migration *x = a, *y = b;
    return (x->version > y->version) - (x->version < y->version);
}

static bool add_file(struct migration_files *files, const char *name, char *err, size_t errlen)
{
    int version = version_of(name);
    if (!version) {
        snprintf(err, errlen, "%.200s: a migration is named NNNN_name.sql, from 0001 on", name);
        return false;
    }
    if (files->count == FILES_MAX) {
        snprintf(err, errlen, "more than %d migrations", FILES_MAX);
        return false;
    }
    struct migration *grown = realloc(files->at, (files->count + 1) * sizeof *grown);
    if (!grown) {
        snprintf(err, errlen, "no memory for the migrations");
        return false;
    }
    files->at = grown;
    struct migration *m = &grown[files->count++];
    memset(m, 0, sizeof *m);
    m->version = version;
    memcpy(m->name, name, strlen(name) + 1); /* version_of() has judged its length */
    return true;
}

static bool list_files(struct migration_files *files, const char *dir, char *err, size_t errlen)
{
    DIR *d = opendir(dir);
    if (!d) {
        snprintf(err, errlen, "directory of migrations %s: %s", dir, strerror(errno));
        return false;
    }
    bool ok = true;
    for (const struct dirent *e; ok && (e = readdir(d)) != NULL;) {
        if (e->d_name[0] != '.' && ends_in_sql(e->d_name)) {
            ok = add_file(files, e->d_name, err, errlen);
        }
    }
    closedir(d);
    if (ok && files->count == 0) {
        snprintf(err, errlen, "directory of migrations %s: holds no .sql file", dir);
        ok = false;
    }
    return ok;
}

bool history_migration_files_read(struct migration_files *files, const char *dir, char *err, size_t errlen)
{
    *files = (struct migration_files){0};
    if (!list_files(files, dir, err, errlen)) {
        return false;
    }
    qsort(files->at, files->count, sizeof *files->at, by_version);
    for (size_t i = 0; i < files->count; i++) {
        if (i && files->at[i].version == files->at[i - 1].version) {
            snprintf(err, errlen, "%s and %s have the same number", files->at[i - 1].name, files->at[i].name);
            return false;
        }
        if (!read_file(&files->at[i], dir, err, errlen)) {
            return false;
        }
    }
    return true;
}

void history_migration_files_free(struct migration_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        free(files->at[i].sql);
    }
    free(files->at);
    *files = (struct migration_files){0};
}
