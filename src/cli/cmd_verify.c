/* cmd_verify.c - the command `verify-history`: is the history in PostgreSQL what the instances have written?
 *
 * Keys and heads: of every slot below journal.path, beside a running instance too (the slot's file `chain`); of --journal
 * directories, copied from other hosts; the setting history.chain_key; --key-file, --head. Exit status: 0 clean, 1
 * findings, 2 not (or not all of it) verified. */
#include "cli/cli.h"
#include "cli/client.h"

#include "pcs/core/clock.h"
#include "pcs/history/verify.h"
#include "pcs/journal/chain_note.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USAGE                                                                                                \
    "verify-history [--instance I] [--from SEQ] [--rows-since yyyy-MM-dd] [--head [INSTANCE:]SEQ:LINK]... "  \
    "[--journal DIR]... [--key-file FILE]... [--json] [--config FILE]"

#define KEYS_MAX    128
#define HEADS_MAX   256
#define PROGRESS_NS (5 * NS_PER_SEC)

enum { CLEAN = 0, FINDINGS = 1, NOT_VERIFIED = 2 };

struct verification {
    const char *config_file;
    struct config *settings;
    bool json, help;
    struct history_verify job;
    struct chain_key *keys[KEYS_MAX];
    struct history_head heads[HEADS_MAX];
    char names[HEADS_MAX][CHAIN_INSTANCE]; /* of the heads' instances */
    const char *journals[JOURNAL_SLOTS_MAX], *key_files[KEYS_MAX], *head_texts[HEADS_MAX];
    size_t journal_count, key_file_count, head_text_count;
    uint64_t began, told_at;
    bool some_found;
};

/* ---- keys and heads ---- */

static bool complain(const char *what, const char *why)
{
    fprintf(stderr, "verify-history: %s: %s\n", what, why);
    return false;
}

static bool number(const char *text, int64_t *n)
{
    char *end;
    errno = 0;
    *n = strtoll(text, &end, 10);
    return (*text && !*end && !errno && *n > 0) || complain(text, "SEQ is a number from 1 on");
}

static bool add_key(struct verification *v, const void *bytes, size_t len, const char *from)
{
    if (v->job.key_count == KEYS_MAX) {
        return complain(from, "too many keys");
    }
    struct chain_key *k = chain_key_new(bytes, len);
    if (!k) {
        return complain(from, "a key has 32 to 1024 bytes");
    }
    v->keys[v->job.key_count++] = k;
    return true;
}

static struct history_head *add_head(struct verification *v, const char *instance, const char *from)
{
    if (v->job.head_count == HEADS_MAX) {
        (void)complain(from, "too many heads");
        return NULL;
    }
    char *name = v->names[v->job.head_count];
    if (snprintf(name, CHAIN_INSTANCE, "%s", instance) >= CHAIN_INSTANCE) {
        (void)complain(from, "no instance has so long a name");
        return NULL;
    }
    struct history_head *h = &v->heads[v->job.head_count++];
    *h = (struct history_head){.instance = name};
    return h;
}

/* The file `chain` of each slot. Slots without one (never used, or of an older version) are passed over. */
static bool add_journal(struct verification *v, const char *path)
{
    struct chain_note note;
    unsigned char key[CHAIN_KEY_MIN];
    bool ok = true;
    for (unsigned slot = 0; ok && slot < JOURNAL_SLOTS_MAX; slot++) {
        if (!chain_note_read(path, slot, &note)) {
            ok = errno == ENOENT || errno == ENOTDIR || complain(path, strerror(errno));
            continue;
        }
        struct history_head *h = add_head(v, note.instance, path);
        ok = h != NULL;
        if (ok) {
            h->seq = note.seq;
            h->has_link = note.seq > 0;
            h->forwarded = note.forwarded;
            memcpy(h->link, note.link, CHAIN_HASH);
        }
        if (ok && *note.key) {
            ok = chain_unhex(note.key, key, sizeof key) ? add_key(v, key, sizeof key, path)
                                                        : complain(path, "a slot's key cannot be read");
        }
    }
    explicit_bzero(key, sizeof key);
    explicit_bzero(&note, sizeof note);
    return ok;
}

/* The bytes of the file but one newline at its end, as HISTORY_CHAIN_KEY_FILE has it. */
static bool add_key_file(struct verification *v, const char *file)
{
    unsigned char bytes[CHAIN_KEY_MAX + 2];
    FILE *f = fopen(file, "re");
    if (!f) {
        return complain(file, strerror(errno));
    }
    size_t len = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    len -= len && bytes[len - 1] == '\n' ? 1 : 0;
    bool ok = add_key(v, bytes, len, file);
    explicit_bzero(bytes, sizeof bytes);
    return ok;
}

/* [INSTANCE:]SEQ:LINK */
static bool add_head_text(struct verification *v, const char *text)
{
    char words[CHAIN_INSTANCE + 128];
    bool ok = snprintf(words, sizeof words, "%s", text) < (int)sizeof words;
    char *link = ok ? strrchr(words, ':') : NULL;
    if (!link) {
        return complain(text, "a head is [INSTANCE:]SEQ:LINK, as event history.chain_head is logged");
    }
    *link++ = '\0';
    char *seq = strrchr(words, ':');
    if (seq) {
        *seq++ = '\0';
    }
    const char *instance = seq ? words : v->job.instance;
    int64_t n;
    if (!number(seq ? seq : words, &n)) {
        return false;
    }
    if (!instance) {
        return complain(text, "whose head? Name the instance in it, or by --instance");
    }
    struct history_head *h = add_head(v, instance, text);
    if (!h) {
        return false;
    }
    h->seq = h->forwarded = n;
    h->has_link = true;
    return chain_unhex(link, h->link, CHAIN_HASH) || complain(text, "a head's LINK has 64 hex digits");
}

static bool gather(struct verification *v)
{
    const struct journal_config *journal = config_values(v->settings, &journal_config_section);
    bool ok = add_journal(v, journal->path);
    if (ok && *journal->chain_key) {
        ok = add_key(v, journal->chain_key, strlen(journal->chain_key), "history.chain_key");
    }
    for (size_t i = 0; ok && i < v->journal_count; i++) {
        ok = add_journal(v, v->journals[i]);
    }
    for (size_t i = 0; ok && i < v->key_file_count; i++) {
        ok = add_key_file(v, v->key_files[i]);
    }
    for (size_t i = 0; ok && i < v->head_text_count; i++) {
        ok = add_head_text(v, v->head_texts[i]);
    }
    return ok;
}

/* ---- telling ---- */

static void print(struct buf *b)
{
    if (buf_ok(b) && b->len) {
        fwrite(b->data, 1, b->len, stdout);
    }
    buf_free(b);
}

static void found_json(struct verification *v, const struct history_finding *f)
{
    struct buf b;
    buf_init(&b, 1 << 16);
    fputs(v->some_found ? ",\n" : "\n", stdout);
    buf_json_open(&b, NULL, '{');
    buf_json_str(&b, "finding", history_finding_name(f->kind));
    buf_json_str(&b, "instance", f->instance);
    if (f->seq) {
        buf_json_int(&b, "seq", f->seq);
    }
    if (f->until) {
        buf_json_int(&b, "until", f->until);
    }
    buf_json_str(&b, "requestId", f->request_id);
    buf_json_str(&b, "what", f->what);
    buf_json_close(&b, '}');
    print(&b);
}

/* Text from the table is printed escaped, since whoever altered it may have meant the terminal. */
static void print_safe(const char *label, const char *text)
{
    if (text) {
        struct buf b;
        buf_init(&b, 1 << 16);
        buf_json_text(&b, text, strlen(text));
        printf("%s", label);
        print(&b);
    }
}

static void found(void *arg, const struct history_finding *f)
{
    struct verification *v = arg;
    if (v->json) {
        found_json(v, f);
    } else {
        printf("%s:", history_finding_name(f->kind));
        print_safe(" instance ", f->instance);
        if (f->seq) {
            printf(f->until ? " seq %" PRId64 " to %" PRId64 : " seq %" PRId64, f->seq, f->until);
        }
        print_safe(" request ", f->request_id);
        print_safe(" ", f->what);
        putchar('\n');
    }
    v->some_found = true;
}

static void progress(void *arg, const struct history_totals *t)
{
    struct verification *v = arg;
    uint64_t now = clock_mono_ns();
    if (now - v->told_at >= PROGRESS_NS) {
        v->told_at = now;
        fprintf(stderr,
                "verify-history: %" PRId64 " links and %" PRId64 " rows after %llu s, %" PRId64 " findings\n",
                t->links, t->rows, (unsigned long long)((now - v->began) / NS_PER_SEC), t->findings);
    }
}

static const char *const verdicts[] = {
    [VERIFY_CLEAN] = "clean", [VERIFY_FINDINGS] = "findings", [VERIFY_FAILED] = "not verified"};

static void conclude_json(enum history_verdict verdict, const struct history_totals *t, const char *err)
{
    struct buf b;
    buf_init(&b, 1 << 16);
    buf_puts(&b, "]");
    buf_json_open(&b, "totals", '{');
    buf_json_int(&b, "instances", t->instances);
    buf_json_int(&b, "links", t->links);
    buf_json_int(&b, "rows", t->rows);
    buf_json_int(&b, "refused", t->refused);
    buf_json_int(&b, "erased", t->erased);
    buf_json_int(&b, "removed", t->removed);
    buf_json_int(&b, "waiting", t->waiting);
    buf_json_int(&b, "withoutHead", t->headless);
    buf_json_int(&b, "unverified", t->unverified);
    buf_json_int(&b, "findings", t->findings);
    buf_json_close(&b, '}');
    buf_json_str(&b, "result", verdicts[verdict]);
    buf_json_str(&b, "error", *err ? err : NULL);
    buf_puts(&b, "}\n");
    print(&b);
}

static void conclude(enum history_verdict verdict, const struct history_totals *t, const char *err)
{
    printf("%" PRId64 " instances, %" PRId64 " links, %" PRId64 " rows; %" PRId64
           " refused by PostgreSQL, %" PRId64 " without personal fields, %" PRId64 " removed, %" PRId64
           " still in a journal\n",
           t->instances, t->links, t->rows, t->refused, t->erased, t->removed, t->waiting);
    if (t->headless) {
        printf("%" PRId64
               " instances without a known head: rows cut off at their end would not be seen (--journal, "
               "--head)\n",
               t->headless);
    }
    if (t->unverified) {
        printf("%" PRId64
               " links were made with a key that was not given (key id %s; --journal, --key-file)\n",
               t->unverified, t->unverified_key);
    }
    if (verdict == VERIFY_FINDINGS) {
        printf("result: %" PRId64 " findings\n", t->findings);
    } else {
        printf("result: %s\n", verdicts[verdict]);
    }
    if (*err) {
        fprintf(stderr, "verify-history: %s\n", err);
    }
}

/* ---- the command ---- */

static bool keep(const char **list, size_t *count, size_t max, const char *text)
{
    if (*count == max) {
        return complain(text, "too many of this option");
    }
    list[(*count)++] = text;
    return true;
}

static const struct option options[] = {{"instance", required_argument, NULL, 'i'},
                                        {"from", required_argument, NULL, 'f'},
                                        {"rows-since", required_argument, NULL, 's'},
                                        {"head", required_argument, NULL, 'h'},
                                        {"journal", required_argument, NULL, 'j'},
                                        {"key-file", required_argument, NULL, 'k'},
                                        {"json", no_argument, NULL, 'o'},
                                        {"config", required_argument, NULL, 'c'},
                                        {"help", no_argument, NULL, '?'},
                                        {0}};

static bool take_option(struct verification *v, int opt)
{
    switch (opt) {
    case 'i':
        v->job.instance = optarg;
        return true;
    case 'f':
        return number(optarg, &v->job.from_seq);
    case 's':
        return clock_parse_seoul_date(optarg, strlen(optarg), &v->job.rows_since_ms) ||
               complain(optarg, "a date is yyyy-MM-dd");
    case 'h':
        return keep(v->head_texts, &v->head_text_count, HEADS_MAX, optarg);
    case 'j':
        return keep(v->journals, &v->journal_count, JOURNAL_SLOTS_MAX, optarg);
    case 'k':
        return keep(v->key_files, &v->key_file_count, KEYS_MAX, optarg);
    case 'o':
        v->json = true;
        return true;
    case 'c':
        v->config_file = optarg;
        return true;
    default:
        v->help = true;
        return false;
    }
}

static int run(struct verification *v)
{
    static const int statuses[] = {
        [VERIFY_CLEAN] = CLEAN, [VERIFY_FINDINGS] = FINDINGS, [VERIFY_FAILED] = NOT_VERIFIED};
    struct history_totals totals;
    char err[1024] = "", problems[8192];
    v->settings = cli_load_for_command(v->config_file, problems, sizeof problems);
    if (!v->settings) {
        fprintf(stderr, "verify-history: the settings cannot be read:\n%s\n", problems);
    }
    if (!v->settings || !gather(v)) {
        return NOT_VERIFIED;
    }
    v->job.config = config_values(v->settings, &history_config_section);
    v->job.keys = v->keys;
    v->job.heads = v->heads;
    v->job.found = found;
    v->job.progress = progress;
    v->job.arg = v;
    v->began = v->told_at = clock_mono_ns();
    if (v->json) {
        fputs("{\"findings\":[", stdout);
    }
    enum history_verdict verdict = history_verify(&v->job, &totals, err, sizeof err);
    (v->json ? conclude_json : conclude)(verdict, &totals, err);
    return statuses[verdict];
}

int cli_verify_history(const char *config_file, int argc, char **argv)
{
    bool ok = true;
    int status;
    struct verification *v = calloc(1, sizeof *v);
    if (!v) {
        return NOT_VERIFIED;
    }
    v->config_file = config_file;
    optind = 0;
    for (int opt; ok && (opt = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        ok = take_option(v, opt);
    }
    if (!ok || argc - optind != 1) {
        status = ok || v->help ? client_usage(USAGE) : NOT_VERIFIED;
    } else {
        status = run(v);
    }
    for (size_t i = 0; i < v->job.key_count; i++) {
        chain_key_free(v->keys[i]);
    }
    config_unref(v->settings);
    free(v);
    return status;
}
