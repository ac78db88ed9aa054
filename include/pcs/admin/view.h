/* view.h - what the journal knows, as the admin API tells it: used by its handlers, and by the commands that read a
 * journal without a daemon. Each writes one member of `data`, or an object's members. Pure. */
#ifndef PCS_ADMIN_VIEW_H
#define PCS_ADMIN_VIEW_H

#include "pcs/change/forget.h"
#include "pcs/core/buf.h"
#include "pcs/journal/slots.h"

/* "doubts": [...]; op: of JOURNAL_LIST_DOUBT. */
void view_doubts(struct buf *b, const struct journal_op *op, int64_t now_ms);
/* "deliveries": [...], "nextBefore"; op: of JOURNAL_EVENTS_LIST. */
void view_deliveries(struct buf *b, const struct journal_op *op);
/* Members of one change's story; op: of JOURNAL_TRACE, also NOT_FOUND. */
void view_story(struct buf *b, const struct journal_op *op);
/* A change's record as an object under name. */
void view_record(struct buf *b, const char *name, const struct change_record *r);
/* "slots": [...] */
void view_slots(struct buf *b, const struct journal_slot *slots, size_t count, int64_t now_ms);

/* Members that tell what was erased, and where; instance: the journal's. */
void view_forgotten(struct buf *b, const char *instance, const struct forget_report *r);
/* Why not all of it, and what was erased all the same: a sentence. */
void view_forget_why(char *out, size_t size, const struct forget_report *r);

const char *view_event_state(enum journal_event_state s); /* "pending", "dead", "delivered" */
/* EVENT_ANY for "" or NULL; false: no such state. */
bool view_event_state_parse(const char *text, enum journal_event_state *s);

#endif
