/* config.c - building snapshots: defaults, then file, then environment; counting; merging for a reload.
 *
 * While a snapshot is built, each setting has an entry with its canonical text; only when all texts are there
 * are the modules' structs filled from them. A merge picks texts from two snapshots and fills a third. */
#include "core/config_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARENA_LIMIT  ((size_t)16 * 1024 * 1024)
#define PROBLEMS_MAX 50
#define PROBLEM_SIZE 1024
#define TAIL_ROOM    32 /* for "and 4294967295 more problems" */

/* ---- problems ---- */

static void problems_init(struct problems *p, char *err, size_t errlen)
{
    *p = (struct problems){.out = err, .size = err ? errlen : 0};
    if (p->size) {
        err[0] = '\0';
    }
}

void problem_add(struct problems *p, const char *format, ...)
{
    char line[PROBLEM_SIZE];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    p->count++;
    size_t len = n < 0 ? 0 : (size_t)n < sizeof line ? (size_t)n : sizeof line - 1;
    bool fits = p->len + len + 1 + TAIL_ROOM < p->size;
    if (p->shown + 1 != p->count || p->shown == PROBLEMS_MAX || (!fits && p->shown > 0)) {
        return; /* once one is left out, all later ones are: they stay in order */
    }
    if (p->len > 0) {
        p->out[p->len++] = '\n';
    }
    for (size_t i = 0; i < len && p->len + 1 < p->size; i++) {
        /* Keys, paths and values are from outside: they must not forge lines. */
        p->out[p->len++] = (unsigned char)line[i] < 0x20 || line[i] == 0x7F ? '?' : line[i];
    }
    if (p->size) {
        p->out[p->len] = '\0';
    }
    p->shown++;
}

static void problems_end(struct problems *p)
{
    if (p->count > p->shown && p->len < p->size) {
        unsigned more = p->count - p->shown;
        snprintf(p->out + p->len, p->size - p->len, "\nand %u more problem%s", more, more == 1 ? "" : "s");
    }
}

/* ---- pieces ---- */

static void config_free(struct config *c)
{
    arena_free(&c->arena);
    free(c);
}

static bool allocate_values(struct config *c)
{
    for (size_t i = 0; i < c->section_count; i++) {
        if (!(c->values[i] = arena_zalloc(&c->arena, c->sections[i]->struct_size))) {
            return false;
        }
    }
    return true;
}

/* A snapshot without any value. */
static struct config *config_new(const struct config_section *const *sections, size_t count)
{
    struct config *c = calloc(1, sizeof *c);
    if (!c) {
        return NULL;
    }
    atomic_init(&c->refs, 1);
    arena_init(&c->arena, NULL, 0, ARENA_LIMIT);
    for (size_t i = 0; i < count; i++) {
        c->entry_count += sections[i]->count;
    }
    c->section_count = count;
    c->sections = arena_zalloc(&c->arena, count * sizeof(*c->sections));
    c->values = arena_zalloc(&c->arena, count * sizeof(*c->values));
    c->entries = arena_zalloc(&c->arena, c->entry_count * sizeof(*c->entries));
    if (!c->sections || !c->values || !c->entries) {
        config_free(c);
        return NULL;
    }
    struct entry *e = c->entries;
    for (size_t i = 0; i < count; i++) {
        c->sections[i] = sections[i];
        for (size_t j = 0; j < sections[i]->count; j++) {
            *e++ = (struct entry){.setting = &sections[i]->settings[j], .section = i};
        }
    }
    if (!allocate_values(c)) {
        config_free(c);
        return NULL;
    }
    return c;
}

void entry_give(struct config *c, struct problems *p, struct entry *e, const char *text, size_t len,
                const char *origin, const char *where)
{
    char why[WHY_SIZE];
    const char *canonical = value_read(e->setting, text, len, &c->arena, why, sizeof why);
    if (!canonical) {
        problem_add(p, "%s: %s", where, why);
        e->bad = true;
        return;
    }
    e->text = canonical;
    e->origin = origin;
}

bool config_read_file(const char *path, size_t max, struct buf *out, char *why, size_t whylen)
{
    struct stat st;
    char chunk[8192];
    ssize_t n = -1;
    /* O_NONBLOCK: a FIFO must not hang the start; it is refused below. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0) {
        snprintf(why, whylen, "cannot be read: %s", strerror(errno));
        goto out;
    }
    if (!S_ISREG(st.st_mode)) {
        snprintf(why, whylen, "is not a regular file");
        goto out;
    }
    while (out->len <= max && ((n = read(fd, chunk, sizeof chunk)) > 0 || (n < 0 && errno == EINTR))) {
        buf_put(out, chunk, n > 0 ? (size_t)n : 0);
    }
    if (n < 0) {
        snprintf(why, whylen, "cannot be read: %s", strerror(errno));
    } else if (out->len > max) {
        snprintf(why, whylen, "is larger than %zu KiB", max / 1024);
        n = -1;
    } else if (!buf_ok(out)) {
        snprintf(why, whylen, "cannot be read: no memory");
        n = -1;
    }
out:
    if (fd >= 0) {
        close(fd);
    }
    return n >= 0;
}

static void give_defaults(struct config *c, struct problems *p)
{
    char where[WHERE_SIZE];
    for (size_t i = 0; i < c->entry_count; i++) {
        const char *text = c->entries[i].setting->default_text;
        if (text) {
            snprintf(where, sizeof where, "settings table: %s: default", c->entries[i].setting->name);
            entry_give(c, p, &c->entries[i], text, strlen(text), "default", where);
        }
    }
}

static void require_all(const struct config *c, struct problems *p, const char *file)
{
    char env[ENV_SIZE];
    for (size_t i = 0; i < c->entry_count; i++) {
        const struct entry *e = &c->entries[i];
        if (!e->text && !e->bad) {
            problem_add(p, "%s: required, but given neither in %s nor in the environment as %s%s",
                        e->setting->name, file ? file : "a file", setting_env(e->setting, env),
                        e->setting->secret ? " or with _FILE" : "");
        }
    }
}

/* A sentence that begins with a setting's name tells how the environment calls it, too. */
static void add_sentence(struct problems *p, const struct config_section *section, const char *sentence)
{
    char env[ENV_SIZE];
    size_t len = strcspn(sentence, ": ");
    for (size_t i = 0; i < section->count; i++) {
        const struct config_setting *s = &section->settings[i];
        if (strlen(s->name) == len && memcmp(s->name, sentence, len) == 0 &&
            !strstr(sentence, setting_env(s, env))) {
            problem_add(p, "%s: %s (%s)%s", section->module, s->name, env, sentence + len);
            return;
        }
    }
    problem_add(p, "%s: %s", section->module, sentence);
}

/* Fills the structs and calls the cross-field checks of the sections whose values are all right. */
static void fill_and_check(struct config *c, struct problems *p)
{
    for (size_t i = 0; i < c->section_count; i++) {
        const struct config_section *section = c->sections[i];
        bool complete = true;
        for (size_t j = 0; j < c->entry_count; j++) {
            struct entry *e = &c->entries[j];
            if (e->section != i) {
                continue;
            }
            if (e->bad || !e->text) {
                complete = false;
            } else if (!value_store(e->setting, e->text, &c->arena, c->values[i])) {
                problem_add(p, "%s: no memory", e->setting->name);
                complete = false;
            }
        }
        char sentence[PROBLEM_SIZE / 2] = "";
        if (complete && section->check && !section->check(c->values[i], sentence, sizeof sentence)) {
            add_sentence(p, section, *sentence ? sentence : "the settings do not fit together");
        }
    }
}

/* ---- snapshots ---- */

/* Adds every problem there is to p. */
static void load(struct config *c, struct problems *p, const char *file, char *const *environment)
{
    tables_check(c, p);
    if (p->count == 0) {
        give_defaults(c, p);
    }
    if (p->count > 0) {
        return; /* the tables are wrong: what users gave cannot be judged */
    }
    bool whole = !file || config_walk_file(c, p, file);
    config_walk_environment(c, p, environment ? environment : environ);
    if (whole) {
        require_all(c, p, file);
        fill_and_check(c, p);
    }
}

struct config *config_load(const struct config_section *const *sections, size_t count, const char *file,
                           char *const *environment, char *err, size_t errlen)
{
    struct problems p;
    problems_init(&p, err, errlen);
    struct config *c = config_new(sections, count);
    if (!c) {
        problem_add(&p, "settings: no memory");
        return NULL;
    }
    load(c, &p, file, environment);
    problems_end(&p);
    if (p.count > 0) {
        config_free(c);
        return NULL;
    }
    return c;
}

struct config *config_ref(struct config *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void config_unref(struct config *c)
{
    if (c && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1) {
        config_free(c);
    }
}

const void *config_values(const struct config *c, const struct config_section *section)
{
    for (size_t i = 0; i < c->section_count; i++) {
        if (c->sections[i] == section) {
            return c->values[i];
        }
    }
    return NULL;
}

const char *config_origin(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->entry_count; i++) {
        if (strcmp(c->entries[i].setting->name, name) == 0) {
            return c->entries[i].origin;
        }
    }
    return NULL;
}

/* ---- merging ---- */

static bool same_sections(const struct config *a, const struct config *b)
{
    return a->section_count == b->section_count &&
           (a->section_count == 0 ||
            memcmp(a->sections, b->sections, a->section_count * sizeof(*a->sections)) == 0);
}

static const char *shown_in_list(const struct entry *e, char out[SHOWN_SIZE])
{
    return e->setting->secret ? "***" : *e->text ? value_shown(e->text, strlen(e->text), out) : "\"\"";
}

/* Takes one setting from one of the two. False: no memory. */
static bool merge_entry(struct config *c, size_t i, const struct entry *current, const struct entry *loaded,
                        struct buf *applied, struct buf *refused)
{
    const struct config_setting *s = current->setting;
    const struct entry *from = s->reloadable ? loaded : current;
    struct buf *list = s->reloadable ? applied : refused;
    char before[SHOWN_SIZE], after[SHOWN_SIZE];
    if (list && strcmp(current->text, loaded->text) != 0) {
        buf_printf(list, "%s: %s -> %s\n", s->name, shown_in_list(current, before),
                   shown_in_list(loaded, after));
    }
    c->entries[i].text = arena_strdup(&c->arena, from->text);
    c->entries[i].origin = arena_strdup(&c->arena, from->origin);
    c->entries[i].line = from->line;
    return c->entries[i].text && c->entries[i].origin;
}

struct config *config_merge(const struct config *current, const struct config *loaded, struct buf *applied,
                            struct buf *refused, char *err, size_t errlen)
{
    struct problems p;
    problems_init(&p, err, errlen);
    if (!same_sections(current, loaded)) {
        problem_add(&p, "settings: the two snapshots are of different sections");
        return NULL;
    }
    struct config *c = config_new(current->sections, current->section_count);
    bool memory = c != NULL;
    for (size_t i = 0; memory && i < c->entry_count; i++) {
        memory = merge_entry(c, i, &current->entries[i], &loaded->entries[i], applied, refused);
    }
    if (!memory) {
        problem_add(&p, "settings: no memory");
    } else {
        fill_and_check(c, &p);
    }
    problems_end(&p);
    if (p.count > 0) {
        if (c) {
            config_free(c);
        }
        return NULL;
    }
    return c;
}
