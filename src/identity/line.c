/* Which line a caller acts on (contract, "Identity"). */
#include "pcs/identity/identity.h"

#include <string.h>

bool identity_owns(const struct identity *id, const char *line)
{
    if (id->admin)
        return true;
    for (unsigned i = 0; i < id->line_count; i++)
        if (strcmp(id->lines[i], line) == 0)
            return true;
    return false;
}

enum line_choice identity_pick_line(const struct identity *id, const char *requested, const char **line)
{
    if (requested) {
        if (!identity_owns(id, requested))
            return LINE_FOREIGN;
        *line = requested;
        return LINE_OK;
    }
    if (id->admin || id->line_count > 1)
        return LINE_REQUIRED;
    if (id->line_count == 0)
        return LINE_FOREIGN;
    *line = id->lines[0];
    return LINE_OK;
}
