/* cmd_backup.c - the command `backup`: a copy of a slot's journal as DIR/<slot>, whole and on the disk when it returns.
 *
 * The daemon that has the slot copies its file beside itself; this program takes the copy away. Without a daemon it copies
 * the file itself, under the slot's lock. DIR can be given to `verify-history --journal`, and DIR/<slot> is put back as a
 * slot of JOURNAL_PATH (docs/operations.md). */
#include "cli/client.h"

#include "pcs/core/id.h"
#include "pcs/journal/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define USAGE  "backup DIR   [--json] [--socket PATH | --slot N] [--config FILE]"
#define WAIT_S 3600L /* a journal of journal.max_size takes minutes */
#define CHUNK  ((size_t)1 << 20)

static const struct option options[] = {CLIENT_OPTIONS};

struct place {
    char dir[PATH_MAX], slot[PATH_MAX + 16], journal[PATH_MAX + 32], note[PATH_MAX + 32];
};

static bool complain(const char *what)
{
    fprintf(stderr, "backup: %s: %s\n", what, strerror(errno));
    return false;
}

/* ---- files ---- */

static bool sync_path(const char *path, int flags)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return ok || complain(path);
}

static bool copy_bytes(int from, int to)
{
    char *chunk = malloc(CHUNK);
    ssize_t n = chunk ? 1 : -1;
    while (n > 0) {
        n = read(from, chunk, CHUNK);
        for (ssize_t done = 0, w; n > 0 && done < n; done += w) {
            w = write(to, chunk + done, (size_t)(n - done));
            if (w < 0) {
                n = -1;
                break;
            }
        }
    }
    free(chunk);
    return n == 0;
}

static bool copy_file(const char *from, const char *to)
{
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = in < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = out >= 0 && copy_bytes(in, out) && fsync(out) == 0;
    int cause = errno;
    if (in >= 0) {
        close(in);
    }
    if (out >= 0) {
        ok = close(out) == 0 && ok;
    }
    errno = cause;
    return ok || complain(in < 0 ? from : to);
}

/* DIR and DIR/<slot>, 0700; the slot's must not be there. */
static bool make_place(struct place *p, const char *dir, int slot)
{
    snprintf(p->dir, sizeof p->dir, "%s", dir);
    snprintf(p->slot, sizeof p->slot, "%s/%d", p->dir, slot);
    snprintf(p->journal, sizeof p->journal, "%s/journal.db", p->slot);
    snprintf(p->note, sizeof p->note, "%s/chain", p->slot);
    if (mkdir(p->dir, 0700) != 0 && errno != EEXIST) {
        return complain(p->dir);
    }
    return mkdir(p->slot, 0700) == 0 || complain(p->slot);
}

/* ---- one slot ---- */

/* The note for verify-history; there is none beside a journal that was never run with one. */
static bool copy_note(const char *slot_dir, const struct place *p)
{
    char note[PATH_MAX + 16];
    snprintf(note, sizeof note, "%s/chain", slot_dir);
    return (access(note, F_OK) != 0 && errno == ENOENT) || copy_file(note, p->note);
}

static int by_daemon(struct client *c, const char *dir, struct place *p)
{
    char slot_dir[PATH_MAX];
    cJSON *body = cJSON_CreateObject(), *data = NULL;
    c->wait_s = WAIT_S;
    int rc = client_call(c, "POST", "/admin/backup", body, &data);
    cJSON_Delete(body);
    const char *file = rc == CLIENT_OK ? json_text(data, "file") : NULL;
    if (file) {
        snprintf(slot_dir, sizeof slot_dir, "%.*s", (int)(strrchr(file, '/') - file), file);
        /* the note first: its head is then in the copy, or was before it */
        bool ok = make_place(p, dir, (int)client_number(data, "slot")) && copy_note(slot_dir, p) &&
                  copy_file(file, p->journal);
        ok = (unlink(file) == 0 || complain(file)) && ok;
        rc = ok ? CLIENT_OK : CLIENT_REFUSED;
    }
    cJSON_Delete(data);
    return rc;
}

static int by_ourselves(struct client *c, const char *dir, struct place *p)
{
    char err[1024] = "", slot_dir[PATH_MAX];
    struct journal *j = client_open_journal(c);
    if (!j) {
        return CLIENT_NO_DAEMON;
    }
    const struct journal_config *config = config_values(c->settings, &journal_config_section);
    snprintf(slot_dir, sizeof slot_dir, "%s/%u", config->path, journal_slot(j));
    bool ok = make_place(p, dir, (int)journal_slot(j)) && copy_note(slot_dir, p);
    if (ok && !journal_backup_offline(j, p->journal, err, sizeof err)) {
        fprintf(stderr, "backup: %s\n", err);
        ok = false;
    }
    journal_close_offline(j);
    return ok && sync_path(p->journal, 0) ? CLIENT_OK : CLIENT_REFUSED;
}

static int conclude(struct client *c, const struct place *p)
{
    char err[1024], instance[UUID_LEN + 1];
    struct stat st;
    if (!sync_path(p->slot, O_DIRECTORY) || !sync_path(p->dir, O_DIRECTORY)) {
        return CLIENT_REFUSED;
    }
    if (!journal_backup_check(p->journal, instance, err, sizeof err) || stat(p->journal, &st) != 0) {
        fprintf(stderr, "backup: the copy is no good: %s\n", err);
        return CLIENT_REFUSED;
    }
    cJSON *data = cJSON_CreateObject();
    cJSON_AddStringToObject(data, "directory", p->slot);
    cJSON_AddStringToObject(data, "instance", instance);
    cJSON_AddNumberToObject(data, "bytes", (double)st.st_size);
    if (!client_print_json(c, data)) {
        printf("%s: the journal of instance %s, %lld bytes, checked\n", p->slot, instance,
               (long long)st.st_size);
    }
    cJSON_Delete(data);
    return CLIENT_OK;
}

int cli_backup(const char *config_file, int argc, char **argv)
{
    struct client c;
    struct place place;
    bool ok = true;
    client_init(&c, "backup", config_file);
    optind = 0;
    for (int opt; ok && (opt = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        ok = client_option(&c, opt);
    }
    if (!ok || argc - optind != 2 || strlen(argv[optind + 1]) + 32 > PATH_MAX) {
        client_free(&c);
        return client_usage(USAGE);
    }
    const char *dir = argv[optind + 1];
    int rc = client_find(&c, true);
    if (rc == CLIENT_OK) {
        rc = by_daemon(&c, dir, &place);
    } else if (rc == CLIENT_NO_DAEMON && !c.socket) {
        rc = by_ourselves(&c, dir, &place);
    }
    rc = rc == CLIENT_OK ? conclude(&c, &place) : rc;
    client_free(&c);
    return rc;
}
