/* forget_offline.h - erasing a line's personal fields when no daemon has the journal. */
#ifndef CLI_FORGET_OFFLINE_H
#define CLI_FORGET_OFFLINE_H

#include "pcs/change/forget.h"
#include "pcs/core/config.h"
#include "pcs/journal/slots.h"

struct offline_forget {
    const struct config *settings;
    const struct journal_slot *slot; /* without an owner */
    const struct forget_request *request;
    struct forget_report report; /* out; its texts live until offline_forget_free() */
    /* private */
    struct journal *journal;
    struct arena arena;
    struct history_query query;
    struct history_erasure erasure;
    const char **ids;
    size_t id_count, refused_count;
};

/* As change_forget_line() does, blocking, with the slot's lock held meanwhile. */
enum forget_answer offline_forget_run(struct offline_forget *o);
void offline_forget_free(struct offline_forget *o);

#endif
