/* config_internal.h - what the config*.c files share. Nothing here is for other modules. */
#ifndef CORE_CONFIG_INTERNAL_H
#define CORE_CONFIG_INTERNAL_H

#include "pcs/core/arena.h"
#include "pcs/core/config.h"

#include <stdatomic.h>

#define NAME_MAX_BYTES 64  /* of a setting's name */
#define ENV_SIZE       128 /* derived or given environment name, "_FILE" and NUL */
#define SHOWN_SIZE     80  /* a value as it stands in a message */
#define WHY_SIZE       512
#define WHERE_SIZE     512

/* Problems found while loading, written to the caller's err as lines; see config_load(). */
struct problems {
    char *out;
    size_t size, len;
    unsigned count, shown;
};

/* One setting of a snapshot. text is canonical: equal values have equal text. */
struct entry {
    const struct config_setting *setting;
    size_t section;
    const char *text; /* NULL: not given yet */
    const char *origin;
    unsigned line; /* where the file gives it, 0: it does not */
    bool bad;      /* a problem was reported */
};

struct config {
    atomic_uint refs;
    struct arena arena; /* everything below and all texts */
    const struct config_section **sections;
    size_t section_count;
    void **values; /* one struct per section */
    struct entry *entries;
    size_t entry_count;
};

/* ---- config.c ---- */
void problem_add(struct problems *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Takes text as the entry's value. where: the beginning of the message, e.g. "environment SERVER_PORT". */
void entry_give(struct config *c, struct problems *p, struct entry *e, const char *text, size_t len,
                const char *origin, const char *where);

/* ---- config_table.c ---- */
const char *setting_env(const struct config_setting *s, char out[ENV_SIZE]);
struct entry *entry_find(struct config *c, const char *name);
/* Whether name is the beginning of a setting's name, up to a dot. */
bool group_exists(const struct config *c, const char *name);
/* The known setting (group: or group) whose name is nearest, at most two edits away; false: none. */
bool name_suggest(const struct config *c, const char *name, bool group, char out[NAME_MAX_BYTES + 1]);
/* Reports mistakes in the sections' tables: programming errors, told apart by the first words of the message.
 */
void tables_check(const struct config *c, struct problems *p);

/* ---- config_number.c ---- */
#define MILLIONTHS INT64_C(1000000) /* the unit of CONFIG_PERCENT */

enum number { NUMBER_OK, NUMBER_BAD, NUMBER_HUGE };

/* Reads text as the setting's type; TEXT and LIST: as the count that bounds them. No bounds are applied.
 * HUGE: well formed, but does not fit *n. Locales are never consulted. */
enum number number_read(const struct config_setting *s, const char *text, int64_t *n);
/* The canonical form; out of 64 bytes is enough for all types but ENUM. */
void number_print(const struct config_setting *s, int64_t n, char *out, size_t size);

/* ---- config_value.c ---- */
/* Judges text and gives its canonical form, in the arena. NULL: why holds the message's end, such as
 * `"abc" is not a whole number (1 to 65535)`; it never shows a secret. */
const char *value_read(const struct config_setting *s, const char *text, size_t len, struct arena *a,
                       char *why, size_t whylen);
/* Writes a canonical value, which must live as long as the struct, into the module's struct. False: no
 * memory. */
bool value_store(const struct config_setting *s, const char *canonical, struct arena *a, void *values);
size_t value_size(enum config_type type);  /* of the member */
size_t value_align(enum config_type type); /* of the member */
bool value_accepts_empty(const struct config_setting *s);
/* False when min or max cannot be read, or min > max. */
bool value_bounds_valid(const struct config_setting *s);
/* "1 to 65535", "at least 1s", "one of refuse, hold"; nothing when there is no bound. */
void value_range(const struct config_setting *s, char *out, size_t size);
/* Text cut to a length that suits a message, at a character's boundary. */
const char *value_shown(const char *text, size_t len, char out[SHOWN_SIZE]);

/* ---- config_yaml.c, config_env.c ---- */
/* False when the file cannot be read as far as its end: what it lacks is then unknown. */
bool config_walk_file(struct config *c, struct problems *p, const char *file);
void config_walk_environment(struct config *c, struct problems *p, char *const *environment);

#endif
