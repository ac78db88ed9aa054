/* chain_note.c - the file `chain`: one "name value" a line. */
#include "pcs/journal/chain_note.h"

#include "journal/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOTE_FILE  "chain"
#define NOTE_FRESH "chain.new"
#define NOTE_MAX   1024

bool chain_note_write(int dir_fd, const struct chain_note *note)
{
    char text[NOTE_MAX], link[2 * CHAIN_HASH + 1];
    int len = snprintf(text, sizeof text,
                       "instance %s\nhead %" PRId64 " %s\nforwarded %" PRId64 "\nat %" PRId64 "\n%s%s%s",
                       note->instance, note->seq, chain_hex(link, note->link, CHAIN_HASH), note->forwarded,
                       note->at, *note->key ? "key " : "", note->key, *note->key ? "\n" : "");
    int fd = slot_open_file(dir_fd, NOTE_FRESH, O_WRONLY | O_TRUNC);
    if (fd < 0) {
        return false;
    }
    ssize_t n = write(fd, text, (size_t)len);
    if (close(fd) != 0 || n != len) {
        errno = n >= 0 && n != len ? ENOSPC : errno;
        return false;
    }
    return renameat(dir_fd, NOTE_FRESH, dir_fd, NOTE_FILE) == 0;
}

/* A number up to the end of the text or a space; *rest: behind it. */
static bool number(const char *text, int64_t *n, const char **rest)
{
    char *end;
    errno = 0;
    *n = strtoll(text, &end, 10);
    *rest = end;
    return end != text && !errno && (!*end || *end == ' ');
}

static bool copy(const char *text, char *out, size_t size)
{
    return snprintf(out, size, "%s", text) < (int)size;
}

static bool parse_line(const char *line, struct chain_note *note)
{
    const char *space = strchr(line, ' '), *rest = "";
    size_t len = space ? (size_t)(space - line) : 0;
    const char *value = space ? space + 1 : "";
    if (strncmp(line, "instance ", len + 1) == 0) {
        return copy(value, note->instance, sizeof note->instance);
    }
    if (strncmp(line, "key ", len + 1) == 0) {
        return copy(value, note->key, sizeof note->key);
    }
    if (strncmp(line, "head ", len + 1) == 0) {
        return number(value, &note->seq, &rest) && *rest && chain_unhex(rest + 1, note->link, CHAIN_HASH);
    }
    if (strncmp(line, "forwarded ", len + 1) == 0) {
        return number(value, &note->forwarded, &rest) && !*rest;
    }
    return strncmp(line, "at ", len + 1) == 0 && number(value, &note->at, &rest) && !*rest;
}

bool chain_note_read(const char *journal_path, unsigned number, struct chain_note *note)
{
    char path[PATH_MAX], text[NOTE_MAX + 1], *save = NULL;
    *note = (struct chain_note){.seq = -1};
    if (snprintf(path, sizeof path, "%s/%u/" NOTE_FILE, journal_path, number) >= (int)sizeof path) {
        errno = ENAMETOOLONG;
        return false;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t n = read(fd, text, NOTE_MAX);
    close(fd);
    if (n < 0) {
        return false;
    }
    text[n] = '\0';
    bool ok = true;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        ok = parse_line(line, note) && ok;
    }
    if (!ok || note->seq < 0 || !*note->instance) {
        errno = EBADMSG;
        return false;
    }
    return true;
}
