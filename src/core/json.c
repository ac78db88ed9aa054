/* Reading checked JSON through cJSON, with typed access. */
#include "pcs/core/json.h"

#include <math.h>

cJSON *json_parse(const char *text, size_t len, const struct json_limits *limits, struct json_error *error)
{
    cJSON *root;

    if (!json_check(text, len, limits, error))
        return NULL;
    root = cJSON_ParseWithLength(text, len);
    if (!root)
        *error = (struct json_error){.line = 1, .column = 1, .reason = "no memory"};
    return root;
}

const char *json_text(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

bool json_bool(const cJSON *object, const char *name, bool *out)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    if (!cJSON_IsBool(item))
        return false;
    *out = cJSON_IsTrue(item);
    return true;
}

bool json_number_int(const cJSON *item, int64_t *out)
{
    double value;

    if (!cJSON_IsNumber(item))
        return false;
    value = item->valuedouble;
    if (!(fabs(value) <= (double)JSON_INT_MAX) || floor(value) != value)
        return false;
    *out = (int64_t)value;
    return true;
}

bool json_int(const cJSON *object, const char *name, int64_t *out)
{
    return json_number_int(cJSON_GetObjectItemCaseSensitive(object, name), out);
}

const cJSON *json_object(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsObject(item) ? item : NULL;
}

const cJSON *json_array(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsArray(item) ? item : NULL;
}
