/* change.c - the durable states of a change, their names and the moves between them. */
#include "pcs/journal/change.h"

#include <stddef.h>
#include <string.h>

static const char *const names[CHANGE_STATES] = {
    [CHANGE_ACCEPTED] = "ACCEPTED", [CHANGE_SENDING] = "SENDING",     [CHANGE_COMPLETED] = "COMPLETED",
    [CHANGE_REFUSED] = "REFUSED",   [CHANGE_NOT_SENT] = "NOT_SENT",   [CHANGE_NOT_APPLIED] = "NOT_APPLIED",
    [CHANGE_INVALID] = "INVALID",   [CHANGE_CANCELLED] = "CANCELLED", [CHANGE_EXPIRED] = "EXPIRED",
};

#define TO(state) (1U << (state))

static const unsigned moves[CHANGE_STATES] = {
    [CHANGE_ACCEPTED] = TO(CHANGE_SENDING) | TO(CHANGE_NOT_SENT) | TO(CHANGE_INVALID) | TO(CHANGE_CANCELLED) |
                        TO(CHANGE_EXPIRED),
    [CHANGE_SENDING] =
        TO(CHANGE_COMPLETED) | TO(CHANGE_REFUSED) | TO(CHANGE_NOT_SENT) | TO(CHANGE_NOT_APPLIED),
};

const char *change_state_name(enum change_state s)
{
    return (unsigned)s < CHANGE_STATES ? names[s] : "UNKNOWN";
}

bool change_state_parse(const char *name, enum change_state *s)
{
    for (unsigned i = 0; i < CHANGE_STATES; i++) {
        if (strcmp(names[i], name) == 0) {
            *s = (enum change_state)i;
            return true;
        }
    }
    return false;
}

bool change_state_final(enum change_state s)
{
    return s != CHANGE_ACCEPTED && s != CHANGE_SENDING;
}

bool change_frees_key(enum change_state ended, int64_t first_status)
{
    return (ended == CHANGE_NOT_SENT && first_status != 202) ||
           (ended == CHANGE_NOT_APPLIED && first_status == 503);
}

bool change_transition_ok(enum change_state from, enum change_state to)
{
    return (unsigned)from < CHANGE_STATES && (unsigned)to < CHANGE_STATES && (moves[from] & TO(to));
}
