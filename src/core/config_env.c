/* config_env.c - settings from the environment, secrets also from files named there (CONTRACT.md 6). */
#include "core/config_internal.h"

#include <stdio.h>
#include <string.h>

/* Like getenv(), in a given environment. */
static const char *find(char *const *environment, const char *name)
{
    size_t len = strlen(name);
    for (; *environment; environment++) {
        if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=') {
            return *environment + len + 1;
        }
    }
    return NULL;
}

static void give_secret_file(struct config *c, struct problems *p, struct entry *e, const char *env,
                             const char *path)
{
    char where[WHERE_SIZE], why[WHY_SIZE];
    struct buf content;
    buf_init(&content, CONFIG_VALUE_MAX + 8192);
    snprintf(where, sizeof where, "environment %s (%.200s)", env, path);
    if (!config_read_file(path, CONFIG_VALUE_MAX, &content, why, sizeof why)) {
        problem_add(p, "%s: %s", where, why);
        e->bad = true;
    } else {
        size_t len = content.len;
        if (len > 0 && content.data[len - 1] == '\n') {
            len--;
        }
        if (len == 0) {
            problem_add(p, "%s: the file is empty", where);
            e->bad = true;
        } else {
            entry_give(c, p, e, content.data, len, "environment file", where);
        }
    }
    buf_free(&content);
}

static void walk_entry(struct config *c, struct problems *p, struct entry *e, char *const *environment)
{
    char env[ENV_SIZE], env_file[ENV_SIZE + 8], where[WHERE_SIZE];
    const char *value = find(environment, setting_env(e->setting, env));
    if (e->setting->secret) {
        snprintf(env_file, sizeof env_file, "%s_FILE", env);
        const char *path = find(environment, env_file);
        if (path && *path && value && *value) {
            problem_add(p, "environment %s and %s are both set: give only one", env, env_file);
            e->bad = true;
            return;
        }
        if (path && *path) {
            give_secret_file(c, p, e, env_file, path);
            return;
        }
    }
    if (value && (*value || value_accepts_empty(e->setting))) {
        snprintf(where, sizeof where, "environment %s", env);
        entry_give(c, p, e, value, strlen(value), "environment", where);
    }
}

void config_walk_environment(struct config *c, struct problems *p, char *const *environment)
{
    for (size_t i = 0; i < c->entry_count; i++) {
        walk_entry(c, p, &c->entries[i], environment);
    }
}
