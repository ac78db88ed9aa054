/* config_yaml.c - walking the YAML file, one event at a time.
 *
 * libyaml's events, not its documents: a document has already replaced aliases and forgotten anchors, and is
 * built in full before its depth can be judged. Mappings are groups, their keys join with dots; the walk goes
 * on after every problem except a syntax error. */
#include "core/config_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define SKIP_DEPTH_MAX 64  /* of what is passed over */
#define PATH_SIZE      200 /* a longer name cannot be known, and is cut in messages */

struct group {
    struct group *next;
    const char *name;
    unsigned line;
};

struct walk {
    struct config *config;
    struct problems *problems;
    const char *file;
    const struct buf *content;
    yaml_parser_t parser;
    yaml_event_t event;   /* the present one; zeroed when there is none */
    bool broken;          /* syntax error: there are no further events */
    struct group *groups; /* seen so far, in the snapshot's arena */
};

static unsigned line_of(const struct walk *w)
{
    return (unsigned)w->event.start_mark.line + 1;
}

#define REPORT(w, line, format, ...)                                                                         \
    problem_add((w)->problems, "%.300s:%u: " format, (w)->file, (line), __VA_ARGS__)

static void report_syntax(struct walk *w)
{
    const yaml_parser_t *y = &w->parser;
    unsigned line = (unsigned)y->problem_mark.line + 1;
    if (y->error == YAML_READER_ERROR) { /* has an offset only */
        line = 1;
        for (size_t i = 0; i < y->problem_offset && i < w->content->len; i++) {
            line += w->content->data[i] == '\n';
        }
    }
    if (y->context) {
        REPORT(w, line, "%s, %s (line %u)", y->problem ? y->problem : "unreadable", y->context,
               (unsigned)y->context_mark.line + 1);
    } else {
        REPORT(w, line, "%s",
               y->error == YAML_MEMORY_ERROR ? "no memory"
               : y->problem                  ? y->problem
                                             : "unreadable");
    }
}

/* Moves to the next event. False: syntax error, reported. */
static bool next(struct walk *w)
{
    if (w->broken) {
        return false;
    }
    yaml_event_delete(&w->event);
    if (!yaml_parser_parse(&w->parser, &w->event)) {
        report_syntax(w);
        w->broken = true;
        memset(&w->event, 0, sizeof w->event);
        return false;
    }
    return true;
}

/* Moves to the last event of the node whose first event is the present one. */
static bool skip_node(struct walk *w)
{
    size_t depth = 0;
    for (;;) {
        switch (w->event.type) {
        case YAML_MAPPING_START_EVENT:
        case YAML_SEQUENCE_START_EVENT:
            depth++;
            break;
        case YAML_MAPPING_END_EVENT:
        case YAML_SEQUENCE_END_EVENT:
            depth--;
            break;
        default:
            break;
        }
        if (depth == 0) {
            return true;
        }
        if (depth > SKIP_DEPTH_MAX) {
            /* libyaml's time grows with the square of the depth. */
            REPORT(w, line_of(w), "nested deeper than %d", SKIP_DEPTH_MAX);
            w->broken = true;
        }
        if (!next(w)) {
            return false;
        }
    }
}

/* Anchors, aliases and explicit tags change what the text seems to say: refused. False: reported. */
static bool plain_node(struct walk *w, const char *name)
{
    const yaml_event_t *e = &w->event;
    const yaml_char_t *anchor = NULL, *tag = NULL;
    switch (e->type) {
    case YAML_ALIAS_EVENT:
        anchor = e->data.alias.anchor;
        break;
    case YAML_SCALAR_EVENT:
        anchor = e->data.scalar.anchor;
        tag = e->data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = e->data.sequence_start.anchor;
        tag = e->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = e->data.mapping_start.anchor;
        tag = e->data.mapping_start.tag;
        break;
    default:
        break;
    }
    if (anchor) {
        REPORT(w, line_of(w), "%s: %s (%s%.40s) are not supported", name,
               e->type == YAML_ALIAS_EVENT ? "aliases" : "anchors", e->type == YAML_ALIAS_EVENT ? "*" : "&",
               (const char *)anchor);
    } else if (tag) {
        REPORT(w, line_of(w), "%s: tags (%.40s) are not supported", name, (const char *)tag);
    }
    return !anchor && !tag;
}

/* "key:" without anything, "key: ~" and "key: null". */
static bool is_null(const yaml_event_t *e)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    for (size_t i = 0; e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && i < sizeof words / sizeof *words;
         i++) {
        if (strcmp((const char *)e->data.scalar.value, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- settings ---- */

/* Joins a sequence's items with commas into text. The present event is its first, then its last. False:
 * reported. */
static bool join_items(struct walk *w, const char *name, struct buf *text)
{
    bool good = true;
    size_t count = 0;
    while (next(w) && w->event.type != YAML_SEQUENCE_END_EVENT) {
        const char *item = (const char *)w->event.data.scalar.value;
        if (!plain_node(w, name)) {
            good = false;
        } else if (w->event.type != YAML_SCALAR_EVENT || is_null(&w->event)) {
            REPORT(w, line_of(w), "%s: item %zu is not a text", name, count + 1);
            good = false;
        } else if (memchr(item, ',', w->event.data.scalar.length)) {
            REPORT(w, line_of(w), "%s: item %zu contains a comma", name, count + 1);
            good = false;
        } else {
            if (count > 0) {
                buf_putc(text, ',');
            }
            buf_put(text, item, w->event.data.scalar.length);
        }
        if (count == 0 && w->event.type == YAML_SCALAR_EVENT && w->event.data.scalar.length == 0) {
            buf_putc(text, ','); /* [""] is a list with an empty item, not an empty list */
        }
        count++;
        if (!skip_node(w)) {
            return false;
        }
    }
    return good && !w->broken;
}

static void give(struct walk *w, struct entry *e, unsigned line, const char *text, size_t len)
{
    char where[WHERE_SIZE];
    const char *origin = arena_printf(&w->config->arena, "file:%u", line);
    snprintf(where, sizeof where, "%.300s:%u: %s", w->file, line, e->setting->name);
    if (origin) {
        entry_give(w->config, w->problems, e, text, len, origin, where);
    } else {
        problem_add(w->problems, "%s: no memory", where);
    }
}

static void give_items(struct walk *w, struct entry *e, unsigned line)
{
    struct buf text;
    buf_init(&text, CONFIG_VALUE_MAX);
    if (!join_items(w, e->setting->name, &text)) {
        e->bad = true;
    } else if (!buf_ok(&text)) {
        REPORT(w, line, "%s: the list is longer than %zu KiB", e->setting->name, CONFIG_VALUE_MAX / 1024);
        e->bad = true;
    } else {
        give(w, e, line, text.data ? text.data : "", text.len);
    }
    buf_free(&text);
}

static void walk_setting(struct walk *w, struct entry *e)
{
    const char *name = e->setting->name;
    unsigned line = line_of(w);
    if (e->line > 0) {
        REPORT(w, line, "%s: given twice, first on line %u", name, e->line);
        e->bad = true;
        skip_node(w);
        return;
    }
    e->line = line;
    if (!plain_node(w, name)) {
        e->bad = true;
        skip_node(w);
    } else if (w->event.type == YAML_MAPPING_START_EVENT ||
               (w->event.type == YAML_SEQUENCE_START_EVENT && e->setting->type != CONFIG_LIST)) {
        REPORT(w, line, "%s: is a single value, not a %s", name,
               w->event.type == YAML_MAPPING_START_EVENT ? "group" : "list");
        e->bad = true;
        skip_node(w);
    } else if (w->event.type == YAML_SEQUENCE_START_EVENT) {
        give_items(w, e, line);
    } else if (is_null(&w->event)) {
        REPORT(w, line, "%s: has no value%s", name,
               value_accepts_empty(e->setting) ? "; write \"\" for an empty one, or remove the line" : "");
        e->bad = true;
    } else {
        give(w, e, line, (const char *)w->event.data.scalar.value, w->event.data.scalar.length);
    }
}

/* ---- groups ---- */

static void walk_mapping(struct walk *w, const char *prefix);

/* False: the group was there before, reported. */
static bool note_group(struct walk *w, const char *name, unsigned line)
{
    for (const struct group *g = w->groups; g; g = g->next) {
        if (strcmp(g->name, name) == 0) {
            REPORT(w, line, "%s: given twice, first on line %u", name, g->line);
            return false;
        }
    }
    struct group *group = arena_alloc(&w->config->arena, sizeof *group);
    const char *copy = arena_strdup(&w->config->arena, name);
    if (!group || !copy) {
        REPORT(w, line, "%s: no memory", name);
        return false;
    }
    *group = (struct group){w->groups, copy, line};
    w->groups = group;
    return true;
}

static void walk_group(struct walk *w, const char *name, unsigned key_line)
{
    if (!note_group(w, name, key_line) || !plain_node(w, name)) {
        skip_node(w);
    } else if (w->event.type == YAML_MAPPING_START_EVENT) {
        walk_mapping(w, name);
    } else if (w->event.type != YAML_SCALAR_EVENT || !is_null(&w->event)) {
        /* A group whose settings are all commented out is null: fine. */
        REPORT(w, line_of(w), "%s: is a group of settings, not a %s", name,
               w->event.type == YAML_SCALAR_EVENT ? "value" : "list");
        skip_node(w);
    }
}

/* possible: as join_name() says. */
static void report_unknown(struct walk *w, const char *name, bool possible, unsigned line)
{
    char suggestion[NAME_MAX_BYTES + 1], shown[SHOWN_SIZE];
    bool group = w->event.type == YAML_MAPPING_START_EVENT;
    value_shown(name, strlen(name), shown);
    if (possible && (name_suggest(w->config, name, group, suggestion) ||
                     name_suggest(w->config, name, !group, suggestion))) {
        REPORT(w, line, "%s: unknown setting; did you mean %s?", shown, suggestion);
    } else {
        REPORT(w, line, "%s: unknown setting", shown);
    }
    skip_node(w);
}

/* Appends the key that is the present event to prefix. False: it cannot be the name of anything known. */
static bool join_name(const struct walk *w, const char *prefix, char name[PATH_SIZE])
{
    const char *key = (const char *)w->event.data.scalar.value;
    int n = snprintf(name, PATH_SIZE, "%s%s%s", prefix, *prefix ? "." : "", key);
    return n < PATH_SIZE && strlen(key) == w->event.data.scalar.length;
}

/* The present event is the mapping's first, then its last. Only known groups are entered: the recursion is as
 * deep as the names in the tables. */
static void walk_mapping(struct walk *w, const char *prefix)
{
    char name[PATH_SIZE];
    while (next(w) && w->event.type != YAML_MAPPING_END_EVENT) {
        unsigned line = line_of(w);
        bool usable = w->event.type == YAML_SCALAR_EVENT && plain_node(w, "a key");
        bool possible = usable && join_name(w, prefix, name);
        if (!usable && w->event.type != YAML_SCALAR_EVENT) {
            REPORT(w, line, "%s: a key is not a text", *prefix ? prefix : "the file");
        }
        if (!skip_node(w) || !next(w)) {
            return;
        }
        struct entry *e = possible ? entry_find(w->config, name) : NULL;
        if (!usable) {
            skip_node(w);
        } else if (e) {
            walk_setting(w, e);
        } else if (possible && group_exists(w->config, name)) {
            walk_group(w, name, line);
        } else {
            report_unknown(w, name, possible, line);
        }
    }
}

/* ---- the file ---- */

static void walk_document(struct walk *w)
{
    if (!next(w) || !next(w) || w->event.type == YAML_STREAM_END_EVENT) {
        return; /* an empty file */
    }
    if (!next(w)) {
        return;
    }
    if (!plain_node(w, "the file")) {
        skip_node(w);
    } else if (w->event.type == YAML_MAPPING_START_EVENT) {
        walk_mapping(w, "");
    } else if (w->event.type != YAML_SCALAR_EVENT || !is_null(&w->event)) {
        REPORT(w, line_of(w), "%s", "the file must consist of groups of settings, such as \"server:\"");
        skip_node(w);
    }
    if (next(w) && next(w) && w->event.type == YAML_DOCUMENT_START_EVENT) {
        REPORT(w, line_of(w), "%s", "a second document begins here; the file may have only one");
    }
}

bool config_walk_file(struct config *c, struct problems *p, const char *file)
{
    char why[WHY_SIZE];
    struct buf content;
    bool whole = false;
    buf_init(&content, CONFIG_FILE_MAX + 8192);
    struct walk *w = calloc(1, sizeof *w);
    if (!w || !yaml_parser_initialize(&w->parser)) {
        problem_add(p, "%.300s: no memory", file);
        goto out;
    }
    if (!config_read_file(file, CONFIG_FILE_MAX, &content, why, sizeof why)) {
        problem_add(p, "%.300s: %s", file, why);
    } else {
        w->config = c;
        w->problems = p;
        w->file = file;
        w->content = &content;
        /* UTF-8 whatever a byte order mark says; libyaml then does not take UTF-8's own mark away. */
        const char *text = content.data ? content.data : "";
        size_t mark = content.len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
        yaml_parser_set_encoding(&w->parser, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&w->parser, (const unsigned char *)text + mark, content.len - mark);
        walk_document(w);
        whole = !w->broken;
    }
    yaml_event_delete(&w->event);
    yaml_parser_delete(&w->parser);
out:
    free(w);
    buf_free(&content);
    return whole;
}
