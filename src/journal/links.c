/* links.c - the journal's hash chain: a link for each settled change, in the change's own transaction.
 *
 * The working head is in j->delta, so that a rollback takes it back and a commit takes it over. The newest link is never
 * removed from the file: it is the head, also after everything else was forwarded and has aged away.
 *
 *   chain_open    the key: the setting's, or one of its own that is made once and kept in the file (meta)
 *   chain_tell    instance, key and head into the slot's file `chain` (0600), which `verify-history` reads beside a
 *                 running instance that has the journal's file for itself */
#include "journal/internal.h"
#include "pcs/core/clock.h"
#include "pcs/core/failpoint.h"
#include "pcs/core/log.h"
#include "pcs/journal/chain_note.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define NOTE_EVERY_NS (60 * NS_PER_SEC)
#define LOG_EVERY_NS  (3600 * NS_PER_SEC)

static bool draw(void *out, size_t len)
{
    return getrandom(out, len, 0) == (ssize_t)len; /* up to 256 bytes come whole (getrandom(2)) */
}

/* ---- the key ---- */

/* The journal's own key, if it ever had one, into kept_key. */
static int read_kept_key(struct journal *j)
{
    sqlite3_stmt *s = store_get(&j->store, SQL_CHAIN_KEY);
    int rc = sqlite3_step(s);
    const char *text = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(s, 0) : NULL;
    snprintf(j->chain.kept_key, sizeof j->chain.kept_key, "%s", text ? text : "");
    sqlite3_reset(s);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int make_kept_key(struct journal *j)
{
    unsigned char bytes[CHAIN_KEY_MIN];
    if (!draw(bytes, sizeof bytes)) {
        return SQLITE_IOERR;
    }
    chain_hex(j->chain.kept_key, bytes, sizeof bytes);
    sqlite3_stmt *s = store_get(&j->store, SQL_CHAIN_KEY_KEEP);
    bind_text(s, 1, j->chain.kept_key);
    return store_run(s);
}

static int load_key(struct journal *j)
{
    unsigned char bytes[CHAIN_KEY_MIN];
    const char *set = j->config.chain_key;
    int rc = read_kept_key(j);
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (set && *set) {
        j->chain.key = chain_key_new(set, strlen(set));
        return j->chain.key ? SQLITE_OK : SQLITE_NOMEM;
    }
    if (!*j->chain.kept_key && (rc = make_kept_key(j)) != SQLITE_OK) {
        return rc;
    }
    if (!chain_unhex(j->chain.kept_key, bytes, sizeof bytes)) {
        return SQLITE_CORRUPT;
    }
    j->chain.key = chain_key_new(bytes, sizeof bytes);
    return j->chain.key ? SQLITE_OK : SQLITE_NOMEM;
}

bool chain_open(struct journal *j, char *err, size_t errlen)
{
    j->chain.hasher = chain_hasher_new();
    int rc = j->chain.hasher ? load_key(j) : SQLITE_NOMEM;
    rc = rc == SQLITE_OK ? chain_load(j) : rc;
    j->config.chain_key = NULL; /* the caller's */
    if (rc != SQLITE_OK) {
        snprintf(err, errlen, "journal: the hash chain of %s cannot be read (%s)", j->file,
                 sqlite3_errstr(rc));
        return false;
    }
    j->chain.noted_seq = j->chain.noted_forwarded = -1;
    j->chain.log_at = clock_mono_ns() + LOG_EVERY_NS;
    chain_tell(j, clock_mono_ns(), true);
    return true;
}

void chain_free(struct journal *j)
{
    chain_hasher_free(j->chain.hasher);
    chain_key_free(j->chain.key);
    explicit_bzero(j->chain.kept_key, sizeof j->chain.kept_key);
}

int chain_load(struct journal *j)
{
    struct chain_head *head = &j->chain.head;
    *head = (struct chain_head){0};
    sqlite3_stmt *s = store_get(&j->store, SQL_CHAIN_HEAD);
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW) {
        head->seq = sqlite3_column_int64(s, 0);
        bool whole = sqlite3_column_bytes(s, 1) == CHAIN_HASH;
        if (whole) {
            memcpy(head->link, sqlite3_column_blob(s, 1), CHAIN_HASH);
        }
        rc = whole ? SQLITE_DONE : SQLITE_CORRUPT;
    } else if (rc == SQLITE_DONE) { /* it begins now, behind what an older version has settled */
        sqlite3_reset(s);
        return store_number(&j->store, SQL_CHAIN_START, &head->seq);
    }
    sqlite3_reset(s);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* ---- adding ---- */

int64_t chain_next_seq(const struct journal *j)
{
    return j->delta.head.seq + 1;
}

static void bind_blob(sqlite3_stmt *s, int n, const void *bytes, size_t len)
{
    (void)sqlite3_bind_blob(s, n, bytes, (int)len, SQLITE_STATIC);
}

static int append(struct journal *j, struct chain_link *l)
{
    struct chain_head *head = &j->delta.head;
    l->seq = head->seq + 1;
    memcpy(l->previous, head->link, CHAIN_HASH);
    memcpy(l->key_id, chain_key_id(j->chain.key), CHAIN_KEY_ID);
    if (!chain_sign(j->chain.key, j->instance, l, l->link)) {
        return SQLITE_NOMEM;
    }
    sqlite3_stmt *s = store_get(&j->store, SQL_CHAIN_INSERT);
    bind_int(s, 1, l->seq);
    bind_int(s, 2, l->kind);
    bind_text(s, 3, l->request_id);
    bind_int(s, 4, l->requested_at);
    bind_blob(s, 5, l->key_id, CHAIN_KEY_ID);
    bind_blob(s, 6, l->previous, CHAIN_HASH);
    bind_blob(s, 7, l->digests, CHAIN_DIGESTS);
    bind_blob(s, 8, l->salted ? l->salt : NULL, CHAIN_SALT);
    bind_blob(s, 9, l->link, CHAIN_HASH);
    int rc = store_run(s);
    if (rc == SQLITE_OK) {
        head->seq = l->seq;
        memcpy(head->link, l->link, CHAIN_HASH);
    }
    return rc;
}

int chain_add_row(struct journal *j, const struct change_record *r)
{
    struct chain_row row;
    struct chain_link l = {
        .kind = CHAIN_ROW, .request_id = r->request_id, .requested_at = r->requested_at, .salted = true};
    chain_row_of(r, &row);
    if (!draw(l.salt, sizeof l.salt) || !chain_digest(j->chain.hasher, &row, l.salt, l.digests)) {
        return SQLITE_NOMEM;
    }
    FAILPOINT("journal.link_half");
    return append(j, &l);
}

static int queue_loose(struct journal *j, int64_t seq)
{
    sqlite3_stmt *s = store_get(&j->store, SQL_LINK_QUEUE);
    bind_int(s, 1, seq);
    j->delta.wake[SINK_HISTORY] = true;
    return store_run(s);
}

int chain_add_refusal(struct journal *j, int64_t seq)
{
    struct chain_link of;
    char request_id[CHAIN_REQUEST_ID] = "";
    sqlite3_stmt *s = store_get(&j->store, SQL_CHAIN_GET);
    bind_int(s, 1, seq);
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW) {
        snprintf(request_id, sizeof request_id, "%s", (const char *)sqlite3_column_text(s, 2));
        of = (struct chain_link){
            .kind = CHAIN_REFUSED, .request_id = request_id, .requested_at = sqlite3_column_int64(s, 3)};
    }
    sqlite3_reset(s);
    if (rc != SQLITE_ROW) {
        return rc == SQLITE_DONE ? SQLITE_OK : rc; /* older than the chain */
    }
    rc = queue_loose(j, seq);
    rc = rc == SQLITE_OK ? append(j, &of) : rc;
    return rc == SQLITE_OK ? queue_loose(j, of.seq) : rc;
}

/* ---- forwarding ---- */

static bool copy_blob(sqlite3_stmt *s, int column, unsigned char *to, size_t len)
{
    const void *from = sqlite3_column_blob(s, column);
    bool whole = from && (size_t)sqlite3_column_bytes(s, column) == len;
    if (whole) {
        memcpy(to, from, len);
    } else {
        memset(to, 0, len);
    }
    return whole;
}

bool chain_read(sqlite3_stmt *s, int first, struct chain_link *l, struct arena *a)
{
    *l = (struct chain_link){.seq = sqlite3_column_int64(s, first)};
    if (!l->seq) {
        return true;
    }
    const char *id = (const char *)sqlite3_column_text(s, first + 2);
    l->kind = (enum chain_kind)sqlite3_column_int(s, first + 1);
    l->request_id = id ? arena_strdup(a, id) : NULL;
    l->requested_at = sqlite3_column_int64(s, first + 3);
    /* one that is damaged is forwarded as zeros, and found */
    (void)copy_blob(s, first + 4, l->key_id, CHAIN_KEY_ID);
    (void)copy_blob(s, first + 5, l->previous, CHAIN_HASH);
    (void)copy_blob(s, first + 6, l->digests, CHAIN_DIGESTS);
    l->salted = copy_blob(s, first + 7, l->salt, CHAIN_SALT);
    (void)copy_blob(s, first + 8, l->link, CHAIN_HASH);
    return l->request_id != NULL;
}

int chain_loose_pull(struct journal *j, struct journal_op *op)
{
    size_t cap = 0;
    int rc;
    op->loose = NULL;
    op->loose_count = 0;
    sqlite3_stmt *s = store_get(&j->store, SQL_LINK_PULL);
    bind_int(s, 1, list_limit(op));
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        if (!list_room(&op->arena, &op->loose, op->loose_count, &cap, sizeof *op->loose) ||
            !chain_read(s, 0, &op->loose[op->loose_count], &op->arena)) {
            rc = SQLITE_NOMEM;
            break;
        }
        op->loose_count++;
    }
    sqlite3_reset(s);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int chain_loose_ack(struct journal *j, const struct journal_op *op)
{
    int rc = SQLITE_OK;
    for (size_t i = 0; rc == SQLITE_OK && i < op->ack_link_count; i++) {
        sqlite3_stmt *s = store_get(&j->store, SQL_LINK_ACK);
        bind_int(s, 1, op->ack_links[i]);
        rc = store_run(s);
    }
    return rc;
}

/* ---- telling ---- */

/* Up to which seq everything is in PostgreSQL. */
static bool forwarded(struct journal *j, int64_t *seq)
{
    int64_t waiting;
    if (store_number(&j->store, SQL_CHAIN_WAITING, &waiting) != SQLITE_OK) {
        return false;
    }
    *seq = waiting ? waiting - 1 : j->chain.head.seq;
    return true;
}

static void write_note(struct journal *j, int64_t done)
{
    struct chain_note note = {.seq = j->chain.head.seq, .forwarded = done, .at = clock_wall_ms()};
    snprintf(note.instance, sizeof note.instance, "%s", j->instance);
    snprintf(note.key, sizeof note.key, "%s", j->chain.kept_key);
    memcpy(note.link, j->chain.head.link, CHAIN_HASH);
    if (chain_note_write(j->slot.dir_fd, &note)) {
        j->chain.noted_seq = note.seq;
        j->chain.noted_forwarded = done;
    } else {
        log_warn("journal.chain_note_failed", log_str("reason", strerror(errno)));
    }
    explicit_bzero(note.key, sizeof note.key);
}

void chain_tell(struct journal *j, uint64_t now_ns, bool now)
{
    struct chain *c = &j->chain;
    char link[2 * CHAIN_HASH + 1];
    int64_t done;
    if ((!now && now_ns < c->note_at && now_ns < c->log_at) || !forwarded(j, &done)) {
        return;
    }
    if (now || now_ns >= c->note_at) {
        c->note_at = now_ns + NOTE_EVERY_NS;
        if (c->noted_seq != c->head.seq || c->noted_forwarded != done) {
            write_note(j, done);
        }
    }
    if (now || now_ns >= c->log_at) {
        c->log_at = now_ns + LOG_EVERY_NS;
        log_info("history.chain_head", log_str("instance", j->instance), log_int("seq", c->head.seq),
                 log_str("link", chain_hex(link, c->head.link, CHAIN_HASH)), log_int("forwarded", done));
    }
}
