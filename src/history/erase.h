/* erase.h - HISTORY_ERASE, run on a link. */
#ifndef HISTORY_ERASE_H
#define HISTORY_ERASE_H

#include "history/internal.h"
#include "pcs/history/erase.h"

enum fault history_erase_run(struct pglink *l, struct history_query *q);
/* Why it could not be done, as the link tells it. */
void history_erase_explain(struct history_query *q, const struct pglink *l);

#endif
