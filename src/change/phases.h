/* phases.h - the phases of a change: begin starts the work, finish looks at its result; both return the next
 * phase.
 *
 * PHASE_WAIT: the work goes on, its callback will call change_advance(). */
#ifndef CHANGE_PHASES_H
#define CHANGE_PHASES_H

#include "change/machine.h"

#define PHASE_WAIT PHASES

/* --- machine.c: what phases share --- */
void change_answer(struct change *c, enum change_verdict verdict, const char *reason);
/* Tells the outcome that is on disk. */
void change_answer_outcome(struct change *c);
/* Nothing was ordered: says so. Returns PHASE_END. */
enum phase change_end_with(struct change *c, enum change_verdict verdict, const char *reason);
/* KOS is out: answered first, recorded after, once per line and outage. Returns PHASE_END. */
enum phase change_end_unavailable(struct change *c, const char *reason);
/* Another change has the line (or the key). Returns PHASE_END. */
enum phase change_busy(struct change *c, const struct change_record *found, bool recorded,
                       const char *reason);
/* Hands c's record to the journal. Returns PHASE_WAIT. */
enum phase change_submit_op(struct change *c, enum journal_verb verb);
void change_give_pass_back(struct change *c);
/* Would a breaker that a change needs refuse now? Looks only; notes the time left. (phases_ask.c) */
bool change_kos_looks_out(struct change *c);

enum phase phase_claim_begin(struct change *c);
enum phase phase_claim_finish(struct change *c);
enum phase phase_hold_begin(struct change *c);
enum phase phase_hold_finish(struct change *c);
enum phase phase_elsewhere_begin(struct change *c);
enum phase phase_elsewhere_finish(struct change *c);
enum phase phase_load_begin(struct change *c);
enum phase phase_load_finish(struct change *c);
enum phase phase_check_begin(struct change *c);
enum phase phase_record_begin(struct change *c);
enum phase phase_record_finish(struct change *c);
enum phase phase_admit_begin(struct change *c);
enum phase phase_admit_finish(struct change *c);
enum phase phase_intent_begin(struct change *c);
enum phase phase_intent_finish(struct change *c);
enum phase phase_note_begin(struct change *c);
enum phase phase_note_finish(struct change *c);
enum phase phase_send_begin(struct change *c);
enum phase phase_send_finish(struct change *c);
enum phase phase_order_begin(struct change *c);
enum phase phase_order_finish(struct change *c);
enum phase phase_outcome_begin(struct change *c);
enum phase phase_outcome_finish(struct change *c);
enum phase phase_drop_begin(struct change *c);
enum phase phase_drop_finish(struct change *c);
enum phase phase_retry_begin(struct change *c);
enum phase phase_retry_finish(struct change *c);
enum phase phase_doubt_begin(struct change *c);
enum phase phase_doubt_finish(struct change *c);
enum phase phase_ask_begin(struct change *c);
enum phase phase_ask_finish(struct change *c);
enum phase phase_repeat_begin(struct change *c);
enum phase phase_repeat_finish(struct change *c);

#endif
