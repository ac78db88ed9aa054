/* config.h - settings: declared as tables, read from one YAML file and the environment, kept as a snapshot.
 *
 * Each module declares a section: a table of settings, each pointing into the module's own plain struct, and
 * a cross-field check. main joins the sections; file, environment, --help and the README's table all come
 * from these tables. A snapshot is immutable and counted: readers take a reference, a reload builds a fresh
 * one and swaps it only if every check passes (STYLE.md 12).
 *
 * Names: "server.port" is group `server`, key `port` in the file; SERVER_PORT in the environment (CONTRACT.md
 * 6). Groups nest to any depth; `cache.customer: {soft_age: 1h}` and `cache: {customer: {soft_age: 1h}}` are
 * the same. Values: whole numbers are decimal; true|false, yes|no, on|off, 1|0; durations 250ms, 3s, 10m, 4h,
 * 7d, 0; sizes 512, 16KiB, 4MiB; percentages 50, 0.5, 12.5%; lists are comma-separated text or a YAML
 * sequence, without empty items. Anchors, aliases and tags are refused.
 *
 * Empty environment values: `FOO=` is how docker compose hands on a variable that nobody set. It makes a TEXT
 * or LIST empty if the setting accepts that (its default is "", or it has no min above 0), else it counts as
 * unset. Secrets can also come from the file named by <ENV>_FILE: one final newline is removed, all other
 * bytes count. Both given, or the file empty, unreadable or over 64 KiB: an error. */
#ifndef PCS_CORE_CONFIG_H
#define PCS_CORE_CONFIG_H

#include "pcs/core/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_FILE_MAX     ((size_t)256 * 1024) /* bytes of the file */
#define CONFIG_VALUE_MAX    ((size_t)64 * 1024)  /* bytes of one value */
#define CONFIG_ITEMS_MAX    256                  /* items of one list */
#define CONFIG_DURATION_MAX "3650d"              /* so that nanoseconds fit int64_t */

enum config_type {
    CONFIG_TEXT,     /* const char * (never NULL; "" when unset); no control characters unless secret */
    CONFIG_INT,      /* int64_t */
    CONFIG_BOOL,     /* bool */
    CONFIG_DURATION, /* int64_t milliseconds */
    CONFIG_SIZE,     /* int64_t bytes */
    CONFIG_PERCENT,  /* double, 0 < x <= 100, to six decimals */
    CONFIG_ENUM,     /* int: index into choices; either case */
    CONFIG_LIST,     /* struct config_list */
};

struct config_list {
    const char *const *items; /* NULL when count is 0 */
    size_t count;
};

struct config_setting {
    const char *name; /* "server.port": lower case, digits, '_', at least one letter per part; <= 64 bytes */
    enum config_type type;
    size_t offset;            /* offsetof(struct <module>_config, member) */
    const char *default_text; /* as it would stand in the file; NULL: required */
    /* As text of the setting's own type; NULL: no bound. TEXT: length in bytes, LIST: number of items. A
     * setting whose default is "" may also be empty, whatever min says. */
    const char *min, *max;
    const char *const *choices; /* NULL-terminated: CONFIG_ENUM; CONFIG_LIST: the words allowed, NULL: any */
    bool reloadable;            /* taken over on SIGHUP */
    bool secret;                /* TEXT only: never printed; also <ENV>_FILE */
    const char *env;            /* NULL: derived from the name */
    const char *help;           /* one line */
};

struct config_section {
    const char *module;
    const struct config_setting *settings;
    size_t count;
    size_t struct_size;
    /* Cross-field rules, called when every single value is right. False: a sentence in err, without secrets.
     * Warnings may be logged. NULL: none. Also called by config_merge(). */
    bool (*check)(const void *values, char *err, size_t errlen);
};

struct config; /* a snapshot */

/* Builds a snapshot from defaults, file (NULL: none) and environment (NULL: environ). NULL on any error; err
 * then names file, line, setting and the accepted range, one problem per line (as many as fit, 50 at the
 * most, and how many more; 8 KiB is a good size), with no newline at the end. Unknown keys in the file are
 * errors; unknown environment names are left alone. Mistakes in the tables themselves are reported the same
 * way. The snapshot has one reference; it points to the sections, which are static memory. Blocks on the
 * disk: main thread. */
struct config *config_load(const struct config_section *const *sections, size_t count, const char *file,
                           char *const *environment, char *err, size_t errlen);
/* Any thread. config_unref(NULL) does nothing; the last one frees the snapshot. */
struct config *config_ref(struct config *c);
void config_unref(struct config *c);
/* The module's struct inside the snapshot; valid while a reference is held. NULL only for a section that was
 * not joined. Any thread. */
const void *config_values(const struct config *c, const struct config_section *section);
/* Where a setting's value came from: "default", "file:12", "environment" or "environment file"; NULL: no such
 * setting. Valid while a reference is held. */
const char *config_origin(const struct config *c, const char *name);

/* Appends the file that a setting names to out: a regular one (a FIFO would hold up the start, or a reload, for ever) of at
 * most max bytes. False: the reason in why, as in "cannot be read: No such file or directory". Blocks on the disk. */
bool config_read_file(const char *path, size_t max, struct buf *out, char *why, size_t whylen);

/* The result of a reload: a new snapshot (one reference) with loaded's reloadable and current's other values.
 * Both must come from the same sections; both stay the caller's. Writes one line "name: old -> new" per
 * setting that differs into applied (reloadable) or refused (needs a restart); either may be NULL. Secrets
 * print as ***. NULL with the reasons in err when the mixture fails a cross-field check: keep current. */
struct config *config_merge(const struct config *current, const struct config *loaded, struct buf *applied,
                            struct buf *refused, char *err, size_t errlen);

/* For --help (110 columns), the README's table and --print-config: every setting of the sections.
 * config_print_values() writes a file that config_load() reads; in it a secret is a comment, "# name: ***".
 */
void config_print_help(const struct config_section *const *sections, size_t count, struct buf *out);
void config_print_markdown(const struct config_section *const *sections, size_t count, struct buf *out);
void config_print_values(const struct config *c, struct buf *out);

#endif
