/* config.h - settings: declared as tables, read from one YAML file and the environment, kept as a snapshot.
 *
 * Each module declares a section: a table of settings, each pointing into the module's own plain struct, and
 * a cross-field check. main joins the sections; file, environment, --help and docs/configuration all come
 * from these tables. A snapshot is immutable and counted: readers take a reference, a reload builds a fresh
 * one and swaps it only if every check passes (STYLE.md 12).
 *
 * Names: "server.port" is group `server`, key `port` in the file; SERVER_PORT in the environment (CONTRACT.md
 * 6). A secret can also come from the file named by <ENV>_FILE (a final newline is removed). Durations:
 * 250ms, 3s, 10m, 4h, 7d. Sizes: 16KiB, 4MiB. Lists: comma-separated text, or a YAML sequence. */
#ifndef PCS_CORE_CONFIG_H
#define PCS_CORE_CONFIG_H

#include "pcs/core/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum config_type {
    CONFIG_TEXT,     /* const char * (never NULL; "" when unset) */
    CONFIG_INT,      /* int64_t */
    CONFIG_BOOL,     /* bool */
    CONFIG_DURATION, /* int64_t milliseconds */
    CONFIG_SIZE,     /* int64_t bytes */
    CONFIG_PERCENT,  /* double, 0 < x <= 100 */
    CONFIG_ENUM,     /* int: index into choices */
    CONFIG_LIST,     /* struct config_list */
};

struct config_list {
    const char *const *items;
    size_t count;
};

struct config_setting {
    const char *name; /* "server.port" */
    enum config_type type;
    size_t offset;              /* offsetof(struct <module>_config, member) */
    const char *default_text;   /* as it would stand in the file; NULL: required */
    const char *min, *max;      /* as text, NULL: no bound; TEXT: length in bytes */
    const char *const *choices; /* CONFIG_ENUM, NULL-terminated */
    bool reloadable;            /* taken over on SIGHUP */
    bool secret;                /* never printed; also <ENV>_FILE */
    const char *env;            /* NULL: derived from the name */
    const char *help;           /* one line */
};

struct config_section {
    const char *module;
    const struct config_setting *settings;
    size_t count;
    size_t struct_size;
    /* Cross-field rules. False: a sentence in err. Warnings may be logged. NULL: none. */
    bool (*check)(const void *values, char *err, size_t errlen);
};

struct config; /* a snapshot */

/* Builds a snapshot from defaults, file (NULL: none) and environment (NULL: environ). NULL on any error; err
 * then names file, line, setting and the accepted range, one problem per line. Unknown keys in the file are
 * errors; unknown environment names are left alone. The returned snapshot has one reference. */
struct config *config_load(const struct config_section *const *sections, size_t count, const char *file,
                           char *const *environment, char *err, size_t errlen);
struct config *config_ref(struct config *c);
void config_unref(struct config *c);
/* The module's struct inside the snapshot; valid while a reference is held. Never NULL for a joined section.
 */
const void *config_values(const struct config *c, const struct config_section *section);
/* Where a setting's value came from: "default", "file:12", "environment" or "environment file". */
const char *config_origin(const struct config *c, const char *name);

/* Compares two snapshots. Writes one line per setting that differs into applied (reloadable) or refused
 * (needs a restart); the refused ones keep their old value: the result of a reload is config_merge(). Secrets
 * print as ***. */
struct config *config_merge(struct config *current, struct config *loaded, struct buf *applied,
                            struct buf *refused);

/* For --help, the README table and --print-config: every setting of the sections. */
void config_print_help(const struct config_section *const *sections, size_t count, struct buf *out);
void config_print_markdown(const struct config_section *const *sections, size_t count, struct buf *out);
void config_print_values(const struct config *c, struct buf *out);

#endif
