/* client_print.c - answers as people read them. */
#include "cli/client.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXTS    16
#define TEXT_MAX 512

bool client_print_json(const struct client *c, const cJSON *data)
{
    if (!c->json) {
        return false;
    }
    char *text = cJSON_Print(data);
    puts(text ? text : "{}");
    free(text);
    return true;
}

static const cJSON *member(const cJSON *object, const char *name)
{
    char part[64];
    while (object && *name) {
        size_t len = strcspn(name, ".");
        snprintf(part, sizeof part, "%.*s", (int)len, name);
        object = cJSON_GetObjectItemCaseSensitive(object, part);
        name += len + (name[len] == '.');
    }
    return object;
}

int64_t client_number(const cJSON *object, const char *name)
{
    const cJSON *item = member(object, name);
    return cJSON_IsNumber(item) ? (int64_t)item->valuedouble : 0;
}

/* What came from outside must not move the operator's cursor or colour the screen. */
static void copy_plain(char *out, size_t size, const char *text)
{
    size_t n = 0;
    for (; text[n] && n + 1 < size; n++) {
        unsigned char c = (unsigned char)text[n];
        out[n] = c < ' ' || c == 0x7f ? ' ' : (char)c;
    }
    out[n] = '\0';
}

const char *client_text(const cJSON *object, const char *name)
{
    static char texts[TEXTS][TEXT_MAX];
    static unsigned next;
    char *out = texts[next++ % TEXTS];
    const cJSON *item = member(object, name);
    if (cJSON_IsString(item)) {
        copy_plain(out, TEXT_MAX, item->valuestring);
    } else if (cJSON_IsNumber(item)) {
        snprintf(out, TEXT_MAX, "%" PRId64, (int64_t)item->valuedouble);
    } else if (cJSON_IsBool(item)) {
        snprintf(out, TEXT_MAX, "%s", cJSON_IsTrue(item) ? "yes" : "no");
    } else {
        snprintf(out, TEXT_MAX, "-");
    }
    return out;
}

const char *client_actor(void)
{
    const char *sudo = getenv("SUDO_USER");
    const struct passwd *user = sudo && *sudo ? NULL : getpwuid(getuid());
    return sudo && *sudo ? sudo : user ? user->pw_name : "unknown";
}
