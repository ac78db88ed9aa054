/* operate.h - what an operator does to a change: settle a doubt by hand, have KOS asked now.
 *
 * A change in doubt may be in the hands of a machine on any reactor. It is taken out of them first, so that nothing is
 * sent or settled beside the operator's decision (DESIGN.md, "In doubt is a state"). */
#ifndef PCS_CHANGE_OPERATE_H
#define PCS_CHANGE_OPERATE_H

#include "pcs/change/change.h"

enum hand_answer {
    HAND_OK,
    HAND_NOT_FOUND,    /* this journal does not have it */
    HAND_NOT_IN_DOUBT, /* record tells how it is */
    HAND_BUSY,         /* an order or an outcome of it is under way, for half a second by now: try again */
    HAND_UNAVAILABLE   /* the journal did not store it; settling goes on as before */
};
/* record: as it is now; NULL when it is not known. It lives until the callback returns. */
typedef void (*change_hand_done)(void *arg, enum hand_answer answer, const struct change_record *record);

/* Ends a change in doubt as COMPLETED or NOT_APPLIED. actor and reason are stored with it (change_record.actor becomes
 * "actor: reason") and logged; event, history row, invalidation and everybody who waits follow as after any outcome,
 * and the line is open again. Exactly one done, on svc's reactor, never before this returned. False: no memory, or the
 * service is ending; no callback. Texts are copied. Own thread. */
bool change_settle_by_hand(struct change_service *svc, const char *request_id, enum change_state outcome,
                           const char *actor, const char *reason, change_hand_done done, void *arg);

/* KOS is asked about a change in doubt at once, whether it waits for its next turn or is on the operator's list. OK
 * does not wait for KOS's answer. Otherwise as above. */
bool change_check_now(struct change_service *svc, const char *request_id, change_hand_done done, void *arg);

#define CHANGE_KEY_MAX 128
/* The names in Redis of what instances share: of a change, of an Idempotency-Key (as hashed in the record), of a line's
 * claim. */
void change_key_request(char out[CHANGE_KEY_MAX], const char *request_id);
void change_key_idem(char out[CHANGE_KEY_MAX], const char *idem_key);
void change_key_line(char out[CHANGE_KEY_MAX], const char *line);

#endif
