/* Options that the three programs share. */
#include "sim_http.h"

#include <errno.h>
#include <stdlib.h>

long sim_number_option(const char *what, const char *text, long min, long max)
{
    char *end;
    long value;

    errno = 0;
    value = strtol(text, &end, 10);
    if (errno || end == text || *end || value < min || value > max)
        sim_die("%s: \"%s\" is not a number from %ld to %ld", what, text, min, max);
    return value;
}

bool sim_option(struct sim_options *o, int option, const char *value)
{
    switch (option) {
    case 'p':
        o->port = (unsigned)sim_number_option("--port", value, 0, 65535);
        return true;
    case 'b':
        o->bind = value;
        return true;
    case 'f':
        o->port_file = value;
        return true;
    default:
        return false;
    }
}
