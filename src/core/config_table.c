/* config_table.c - the joined tables: names, environment names, look-up, suggestions, and rules for the
 * tables. */
#include "core/config_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define SUGGEST_EDITS 2

const char *setting_env(const struct config_setting *s, char out[ENV_SIZE])
{
    if (s->env) {
        snprintf(out, ENV_SIZE, "%s", s->env);
        return out;
    }
    size_t n = 0;
    for (const char *p = s->name; *p && n < ENV_SIZE - 1; p++) {
        out[n++] = *p == '.' ? '_' : (char)toupper((unsigned char)*p);
    }
    out[n] = '\0';
    return out;
}

struct entry *entry_find(struct config *c, const char *name)
{
    for (size_t i = 0; i < c->entry_count; i++) {
        if (strcmp(c->entries[i].setting->name, name) == 0) {
            return &c->entries[i];
        }
    }
    return NULL;
}

static bool is_group_of(const char *group, const char *name)
{
    size_t len = strlen(group);
    return len > 0 && strncmp(group, name, len) == 0 && name[len] == '.';
}

bool group_exists(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->entry_count; i++) {
        if (is_group_of(name, c->entries[i].setting->name)) {
            return true;
        }
    }
    return false;
}

/* ---- suggestions ---- */

/* Levenshtein's distance between text and the first len bytes of name (both at most NAME_MAX_BYTES). */
static unsigned edits(const char *text, const char *name, size_t len)
{
    unsigned row[NAME_MAX_BYTES + 1];
    for (unsigned j = 0; j <= len; j++) {
        row[j] = j;
    }
    for (unsigned i = 1; text[i - 1]; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= len; j++) {
            unsigned change = diagonal + (text[i - 1] != name[j - 1]);
            diagonal = row[j];
            unsigned shift = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = change < shift ? change : shift;
        }
    }
    return row[len];
}

bool name_suggest(const struct config *c, const char *name, bool group, char out[NAME_MAX_BYTES + 1])
{
    unsigned best = SUGGEST_EDITS + 1;
    size_t name_len = strlen(name);
    if (name_len > NAME_MAX_BYTES || name_len <= SUGGEST_EDITS) {
        return false; /* any other short word would be near */
    }
    for (size_t i = 0; i < c->entry_count; i++) {
        const char *known = c->entries[i].setting->name;
        for (size_t len = 1; len <= strlen(known); len++) {
            bool candidate = group ? known[len] == '.' : known[len] == '\0';
            size_t apart = len > name_len ? len - name_len : name_len - len;
            if (!candidate || apart >= best) {
                continue;
            }
            unsigned distance = edits(name, known, len);
            if (distance < best) {
                best = distance;
                snprintf(out, NAME_MAX_BYTES + 1, "%.*s", (int)len, known);
            }
        }
    }
    return best <= SUGGEST_EDITS;
}

/* ---- rules for the tables ---- */

/* Words of lower-case letters, digits and '_', each beginning with a letter, joined by dots. */
static bool name_valid(const char *name)
{
    bool begin = true;
    for (const char *p = name; *p; p++) {
        bool letter = *p >= 'a' && *p <= 'z', digit = *p >= '0' && *p <= '9';
        if (begin ? !letter : !(letter || digit || *p == '_' || *p == '.')) {
            return false;
        }
        begin = *p == '.';
    }
    return !begin && strlen(name) <= NAME_MAX_BYTES;
}

static const char *setting_mistake(const struct config_section *section, const struct config_setting *s)
{
    if (!name_valid(s->name)) {
        return "a name is words of a-z, 0-9 and _, joined by dots";
    }
    if (s->env && strlen(s->env) + sizeof "_FILE" > ENV_SIZE) {
        return "the environment name is too long";
    }
    if (!s->help) {
        return "has no help";
    }
    if (s->offset % value_align(s->type) || s->offset + value_size(s->type) > section->struct_size) {
        return "its offset does not fit the struct";
    }
    if (s->secret && s->type != CONFIG_TEXT) {
        return "only a TEXT can be secret";
    }
    if (s->type == CONFIG_ENUM ? !s->choices || !s->choices[0] : s->choices && s->type != CONFIG_LIST) {
        return "choices are for ENUM, which needs them, and LIST";
    }
    if ((s->min || s->max) && (s->type == CONFIG_ENUM || s->type == CONFIG_BOOL)) {
        return "ENUM and BOOL have no bounds";
    }
    return value_bounds_valid(s) ? NULL : "its min or max cannot be used";
}

static void pair_check(struct problems *p, const struct config_setting *a, const struct config_setting *b)
{
    char env_a[ENV_SIZE], env_b[ENV_SIZE], file_a[ENV_SIZE + 8], file_b[ENV_SIZE + 8];
    snprintf(file_a, sizeof file_a, "%s_FILE", setting_env(a, env_a));
    snprintf(file_b, sizeof file_b, "%s_FILE", setting_env(b, env_b));
    if (strcmp(a->name, b->name) == 0) {
        problem_add(p, "settings table: %s: declared twice", a->name);
    } else if (is_group_of(a->name, b->name) || is_group_of(b->name, a->name)) {
        problem_add(p, "settings table: %s and %s: one is the other's group", a->name, b->name);
    } else if (strcmp(env_a, env_b) == 0 || (a->secret && strcmp(file_a, env_b) == 0) ||
               (b->secret && strcmp(file_b, env_a) == 0)) {
        problem_add(p, "settings table: %s and %s: same environment name", a->name, b->name);
    }
}

void tables_check(const struct config *c, struct problems *p)
{
    for (size_t i = 0; i < c->entry_count; i++) {
        const struct config_setting *s = c->entries[i].setting;
        const char *mistake = setting_mistake(c->sections[c->entries[i].section], s);
        if (mistake) {
            problem_add(p, "settings table: %s: %s", s->name, mistake);
        }
        for (size_t j = 0; j < i; j++) {
            pair_check(p, c->entries[j].setting, s);
        }
    }
}
