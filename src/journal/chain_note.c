/* chain_note.c - the file `chain`: one "name value" a line. */
#include "pcs/journal/chain_note.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
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
    int fd = openat(dir_fd, NOTE_FRESH, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
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

static bool parse_line(const char *line, struct chain_note *note)
{
    char value[2 * CHAIN_HASH + 1];
    if (sscanf(line, "instance %63s", note->instance) == 1 || sscanf(line, "key %64s", note->key) == 1 ||
        sscanf(line, "forwarded %" SCNd64, &note->forwarded) == 1 ||
        sscanf(line, "at %" SCNd64, &note->at) == 1) {
        return true;
    }
    return sscanf(line, "head %" SCNd64 " %64s", &note->seq, value) == 2 &&
           chain_unhex(value, note->link, CHAIN_HASH);
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
