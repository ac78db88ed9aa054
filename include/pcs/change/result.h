/* result.h - how a change is told: the contract's Result, its words in both languages, and what to do next.
 */
#ifndef PCS_CHANGE_RESULT_H
#define PCS_CHANGE_RESULT_H

#include "pcs/core/buf.h"
#include "pcs/journal/change.h"

struct result_view {
    bool english;
    bool frontend;      /* which family of paths hrefs name */
    const char *prefix; /* SERVER_PUBLIC_PREFIX, for the core family */
    int retry_after;    /* seconds, in a 202: the header's value in the body too; 0: none */
};

/* COMPLETED, FAILED, PROCESSING or PENDING (CONTRACT.md 1, Result). */
const char *result_process_status(const struct change_record *c);
/* "0000", KOS's own, or one of the contract's words. */
const char *result_code(const struct change_record *c);
const char *result_message(const struct change_record *c, bool english);
/* Why it failed, in the language asked for; NULL when it did not. Written into scratch when it has to be
 * made. */
const char *result_failure_reason(const struct change_record *c, bool english, char *scratch, size_t size);
bool result_cancellable(const struct change_record *c);

/* The members of Result with braces, under name (NULL: as an element). */
void result_json(struct buf *out, const char *name, const struct change_record *c,
                 const struct result_view *view);
/* Only the array of next actions. */
void result_next_actions(struct buf *out, const char *name, const struct change_record *c,
                         const struct result_view *view);
/* An item of History. */
void result_history_item(struct buf *out, const struct change_record *c, const struct result_view *view);
/* Absolute path of a change in the family asked for. */
void result_href(struct buf *out, const char *request_id, const struct result_view *view);

/* Fills result_code, result_message and failure_reason (Korean, as history and events keep them) for the
 * state that the record is in; kos_reason: KOS's own words, NULL when none. Texts are static or point into
 * the arguments. */
void result_finish(struct change_record *c, const char *kos_code, const char *kos_reason);
/* Guidance for one of KOS's codes; NULL when it is not known. */
const char *result_kos_guidance(const char *kos_code, bool english);

#endif
