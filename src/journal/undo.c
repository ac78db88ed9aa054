/* undo.c - taking back what was answered JOURNAL_FAILED. */
#include "journal/undo.h"

#include "journal/slot.h"

#include "pcs/core/buf.h"
#include "pcs/core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNDO_FILE   "undo"
#define ENTRY_BYTES ((size_t)(REQUEST_ID_MAX + SHA256_HEX_LEN + 16)) /* "intent <id> <key>\n" */

/* The file is as long as it will ever be, so that writing it needs no room on the disk. */
static size_t file_size(const struct undo *u)
{
    return u->max * ENTRY_BYTES + 1;
}

static int open_file(const struct undo *u)
{
    return slot_open_file(u->dir_fd, UNDO_FILE, O_RDWR);
}

/* Lines up to the first NUL. A line that cannot be read is an error: it may be the one that matters. */
static bool parse(struct undo *u, char *text, char *err, size_t errlen)
{
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char kind[8], id[REQUEST_ID_MAX + 1], key[SHA256_HEX_LEN + 1];
        if (u->count == u->max || sscanf(line, "%7s %128s %64s", kind, id, key) != 3) {
            snprintf(err, errlen, "journal: the file \"undo\" beside it is damaged; it was left as it is");
            return false;
        }
        undo_add(u, strcmp(kind, "send") == 0, id, strcmp(key, "-") == 0 ? NULL : key);
    }
    return true;
}

bool undo_init(struct undo *u, int dir_fd, size_t max, char *err, size_t errlen)
{
    *u = (struct undo){.dir_fd = dir_fd, .max = max};
    size_t size = file_size(u);
    u->entries = calloc(max, sizeof *u->entries);
    char *text = calloc(1, size + 1);
    int fd = open_file(u);
    bool ok = u->entries && text && fd >= 0;
    if (ok) {
        ssize_t n = pread(fd, text, size, 0);
        ok = n >= 0;
        if (ok && (size_t)n < size && posix_fallocate(fd, 0, (off_t)size) != 0) {
            /* the disk is full: at the worst what is to be undone is in memory only */
            log_warn("journal.undo_not_reserved", log_int("bytes", size));
        }
    }
    if (!ok) {
        snprintf(err, errlen, "journal: the file \"undo\" beside it cannot be read (%s)", strerror(errno));
    } else {
        ok = parse(u, text, err, errlen);
    }
    if (fd >= 0) {
        close(fd);
    }
    free(text);
    return ok;
}

void undo_free(struct undo *u)
{
    free(u->entries);
    *u = (struct undo){0};
}

void undo_add(struct undo *u, bool send, const char *request_id, const char *key)
{
    if (u->count == u->max) {
        return;
    }
    struct undo_entry *e = &u->entries[u->count++];
    e->send = send;
    snprintf(e->request_id, sizeof e->request_id, "%s", request_id);
    snprintf(e->key, sizeof e->key, "%s", key ? key : "");
}

static bool write_file(struct undo *u, const char *text, size_t len)
{
    int fd = open_file(u);
    if (fd < 0) {
        return false;
    }
    bool ok = pwrite(fd, text, len, 0) == (ssize_t)len;
    ok = fdatasync(fd) == 0 && ok;
    close(fd);
    return ok;
}

bool undo_save(struct undo *u)
{
    struct buf text;
    if (!u->count) {
        return true;
    }
    buf_init(&text, file_size(u));
    for (size_t i = 0; i < u->count; i++) {
        const struct undo_entry *e = &u->entries[i];
        buf_printf(&text, "%s %s %s\n", e->send ? "send" : "intent", e->request_id, *e->key ? e->key : "-");
    }
    buf_putc(&text, '\0');
    bool ok = buf_ok(&text) && write_file(u, text.data, text.len);
    if (!ok) {
        log_error("journal.undo_not_saved", log_int("count", u->count), log_str("reason", strerror(errno)));
    }
    buf_free(&text);
    return ok;
}

static int apply_one(const struct undo_entry *e, struct store *s)
{
    sqlite3_stmt *stmt = store_get(s, e->send ? SQL_UNDO_SEND : SQL_UNDO_INTENT);
    bind_text(stmt, 1, e->request_id);
    int rc = store_run(stmt);
    if (rc == SQLITE_OK && store_changes(s) > 0) {
        log_warn("journal.undone", log_str("requestId", e->request_id), log_bool("send", e->send));
    }
    if (rc == SQLITE_OK && !e->send && *e->key) {
        stmt = store_get(s, SQL_UNDO_KEY);
        bind_text(stmt, 1, e->key);
        bind_text(stmt, 2, e->request_id);
        rc = store_run(stmt);
    }
    return rc;
}

int undo_apply(struct undo *u, struct store *s)
{
    if (!u->count) {
        return SQLITE_OK;
    }
    int rc = store_do(s, SQL_BEGIN);
    for (size_t i = 0; rc == SQLITE_OK && i < u->count; i++) {
        rc = apply_one(&u->entries[i], s);
    }
    if (rc == SQLITE_OK) {
        rc = store_do(s, SQL_COMMIT);
    }
    if (rc == SQLITE_OK) {
        rc = write_file(u, "", 1) ? SQLITE_OK : SQLITE_IOERR_WRITE;
    }
    if (rc == SQLITE_OK) {
        u->count = 0;
    }
    return rc;
}
