/* The small files beside the journal (issue 5: it does not trust its own files): `chain`, whose chain it is, and `undo`,
 * what must be taken back. First byte: 'c' or 'u'. */
#include "fuzz/fuzz.h"

#include "journal/undo.h"
#include "pcs/journal/chain_note.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <strings.h>
#include <sys/stat.h>

#define UNDO_MAX 8

static char folder[] = "/tmp/pcs-fuzz-files-XXXXXX";
static int slot = -1;

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static void clean(void)
{
    nftw(folder, remove_one, 4, FTW_DEPTH | FTW_PHYS);
}

static void start(void)
{
    char path[64];
    FUZZ_CHECK(mkdtemp(folder) && atexit(clean) == 0);
    snprintf(path, sizeof path, "%s/0", folder);
    FUZZ_CHECK(mkdir(path, 0700) == 0);
    slot = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    FUZZ_CHECK(slot >= 0);
}

static void put_file(const char *name, const void *data, size_t len)
{
    int fd = openat(slot, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FUZZ_CHECK(fd >= 0 && write(fd, len ? data : "", len) == (ssize_t)len);
    close(fd);
}

static void check_note(const void *data, size_t len)
{
    struct chain_note note, again;
    put_file("chain", data, len);
    if (!chain_note_read(folder, 0, &note)) {
        FUZZ_CHECK(errno == EBADMSG);
        return;
    }
    FUZZ_CHECK(note.seq >= 0 && *note.instance && strlen(note.instance) < CHAIN_INSTANCE);
    FUZZ_CHECK(chain_note_write(slot, &note) && chain_note_read(folder, 0, &again));
    FUZZ_CHECK(strcmp(note.instance, again.instance) == 0 && strcmp(note.key, again.key) == 0);
    FUZZ_CHECK(note.seq == again.seq && note.forwarded == again.forwarded && note.at == again.at);
    FUZZ_CHECK(memcmp(note.link, again.link, CHAIN_HASH) == 0);
}

static void check_undo(const void *data, size_t len)
{
    struct undo u, again;
    char err[200] = "";
    put_file("undo", data, len);
    bool ok = undo_init(&u, slot, UNDO_MAX, err, sizeof err);
    FUZZ_CHECK(ok || *err);
    FUZZ_CHECK(u.count <= UNDO_MAX);
    for (size_t i = 0; i < u.count; i++) {
        FUZZ_CHECK(*u.entries[i].request_id && strlen(u.entries[i].request_id) <= REQUEST_ID_MAX);
    }
    if (ok && u.count) {
        FUZZ_CHECK(undo_save(&u) && undo_init(&again, slot, UNDO_MAX, err, sizeof err));
        FUZZ_CHECK(again.count == u.count);
        for (size_t i = 0; i < u.count; i++) {
            FUZZ_CHECK(memcmp(&again.entries[i], &u.entries[i], sizeof u.entries[i]) == 0);
        }
        undo_free(&again);
    }
    undo_free(&u);
}

static void check_hex(const char *text)
{
    unsigned char bytes[CHAIN_HASH];
    char hex[2 * CHAIN_HASH + 1];
    if (chain_unhex(text, bytes, sizeof bytes)) {
        FUZZ_CHECK(strcasecmp(chain_hex(hex, bytes, sizeof bytes), text) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    if (slot < 0) {
        start();
    }
    if (fuzz_byte(&in) == 'u') {
        check_undo(in.at, in.left);
    } else {
        char *text = fuzz_text(in.at, in.left);
        check_note(in.at, in.left);
        check_hex(text);
        free(text);
    }
    return 0;
}
