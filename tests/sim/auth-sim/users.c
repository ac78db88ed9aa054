/* Users of the auth service simulator: from the data file, generated, or put at run time. */
#include "auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void auth_dashes(const char *line, char out[20])
{
    char digits[12] = "";
    size_t n = 0;

    for (; *line && n < sizeof digits - 1; line++)
        if (*line != '-')
            digits[n++] = *line;
    digits[n] = '\0';
    if (n == 11)
        snprintf(out, 20, "%.3s-%.4s-%.4s", digits, digits + 3, digits + 7);
    else
        sim_copy(out, 20, digits);
}

static void set(const cJSON *spec, const char *name, char *out, size_t size)
{
    if (cJSON_GetObjectItemCaseSensitive(spec, name))
        sim_copy(out, size, sim_json_text(spec, name, ""));
}

static bool set_permissions(struct auth_user *u, const cJSON *list)
{
    const cJSON *item;

    if (!list)
        return true;
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > 8)
        return false;
    u->permission_count = 0;
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsString(item))
            return false;
        sim_copy(u->permissions[u->permission_count++], sizeof u->permissions[0], item->valuestring);
    }
    return true;
}

struct auth_user *auth_put_user(struct auth *a, const char *id, const cJSON *spec, const char **error)
{
    struct auth_user *u = sim_map_get(&a->users, id);
    const char *line = sim_json_text(spec, "line_number", NULL);

    if (!*id || strlen(id) >= sizeof u->id) {
        *error = "the user id is empty or too long";
        return NULL;
    }
    if (!u) {
        u = sim_alloc(sizeof *u);
        sim_copy(u->id, sizeof u->id, id);
        sim_copy(u->status, sizeof u->status, "ACTIVE");
        sim_map_put(&a->users, u->id, u);
    }
    if (!set_permissions(u, cJSON_GetObjectItemCaseSensitive(spec, "permissions"))) {
        *error = "permissions must be an array of at most 8 strings";
        return NULL;
    }
    set(spec, "password", u->password, sizeof u->password);
    set(spec, "customer_id", u->customer_id, sizeof u->customer_id);
    set(spec, "user_name", u->name, sizeof u->name);
    set(spec, "account_status", u->status, sizeof u->status);
    if (line)
        auth_dashes(line, u->line);
    u->admin = sim_json_bool(spec, "admin", u->admin);
    return u;
}

void auth_load(struct auth *a)
{
    cJSON *tree = sim_json_load(a->data_path);
    const cJSON *users = cJSON_GetObjectItemCaseSensitive(tree, "users");
    const cJSON *item;
    const char *error = NULL;

    if (!cJSON_IsArray(users))
        sim_die("data file %s: needs the array users", a->data_path);
    cJSON_ArrayForEach(item, users)
    {
        if (!auth_put_user(a, sim_json_text(item, "user_id", ""), item, &error))
            sim_die("data file %s: user %s: %s", a->data_path, sim_json_text(item, "user_id", "?"), error);
    }
    cJSON_Delete(tree);
}

void auth_unload(struct auth *a)
{
    size_t at = 0;
    struct auth_user *u;

    while ((u = sim_map_next(&a->users, &at)))
        free(u);
    sim_map_free(&a->users);
}

const struct auth_user *auth_find(const struct auth *a, const char *id, struct auth_user *made)
{
    const struct auth_user *u = sim_map_get(&a->users, id);
    char line[32];
    long n;

    if (u || strncmp(id, "gen", 3) != 0 || strlen(id) != 10 || strspn(id + 3, "0123456789") != 7)
        return u;
    n = strtol(id + 3, NULL, 10);
    if (n >= a->generate)
        return NULL;
    *made = (struct auth_user){.permission_count = 1};
    sim_copy(made->id, sizeof made->id, id);
    sim_copy(made->password, sizeof made->password, "password");
    sim_copy(made->name, sizeof made->name, "김고객");
    sim_copy(made->status, sizeof made->status, "ACTIVE");
    sim_copy(made->permissions[0], sizeof made->permissions[0], AUTH_PERMISSION);
    snprintf(made->customer_id, sizeof made->customer_id, "CUST%07ld", n);
    snprintf(line, sizeof line, "0%010ld", AUTH_FIRST_LINE + n);
    auth_dashes(line, made->line);
    return made;
}

bool auth_allowed(const struct auth_user *u)
{
    int i;

    if (strcmp(u->status, "ACTIVE") != 0)
        return false;
    for (i = 0; i < u->permission_count; i++)
        if (strcmp(u->permissions[i], AUTH_PERMISSION) == 0)
            return true;
    return u->admin;
}

static void pair(struct sim_buf *out, const char *name, const char *value)
{
    sim_buf_fmt(out, "\"%s\":", name);
    sim_buf_json(out, *value ? value : NULL);
    sim_buf_str(out, ",");
}

void auth_user_json(struct sim_buf *out, const struct auth_user *u)
{
    int i;

    sim_buf_str(out, "{");
    pair(out, "user_id", u->id);
    pair(out, "customer_id", u->customer_id);
    pair(out, "line_number", u->line);
    pair(out, "user_name", u->name);
    pair(out, "account_status", u->status);
    sim_buf_str(out, "\"permissions\":[");
    for (i = 0; i < u->permission_count; i++) {
        sim_buf_str(out, i ? "," : "");
        sim_buf_json(out, u->permissions[i]);
    }
    sim_buf_str(out, "]}");
}
