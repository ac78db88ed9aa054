/* view_parts.h - between the files of the view. */
#ifndef ADMIN_VIEW_PARTS_H
#define ADMIN_VIEW_PARTS_H

#include "pcs/admin/view.h"

void view_attempt(struct buf *b, const char *name, const struct journal_attempt *a);
/* Members of an event without its body. */
void view_event(struct buf *b, const struct journal_event *e);
void view_json(struct buf *b, const char *name, const char *text);

#endif
