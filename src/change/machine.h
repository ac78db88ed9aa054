/* machine.h - between the machine (machine.c), the work of its phases (work.c) and its life (life.c).
 *
 * A *_start function begins the work of a phase: true, it is under way and its callback stores the result in
 * c and calls change_advance(); false, it could not be begun (no memory). */
#ifndef CHANGE_MACHINE_H
#define CHANGE_MACHINE_H

#include "change/service.h"

/* --- machine.c --- */
void change_run(struct change *c, enum phase first);
void change_advance(struct change *c);
void change_on_journal(struct journal_op *op);
void change_on_wait(uv_timer_t *timer);
void change_answer_with(struct change *c, const struct change_answer *a);
/* The time of the request is up: the truth as far as it is known; ends the change when nothing was promised.
 */
void change_time_up(struct change *c);
/* The caller is gone, or has been told that nothing was ordered: keeps that word. */
void change_abandon(struct change *c);
/* Nothing reached KOS. Returns the next phase. */
enum phase change_not_sent(struct change *c, const char *why);
/* Lets go of a change that only waits, in the journal's care; a caller that still waits is told how it stands. False:
 * it is in the middle of something. */
bool change_put_down(struct change *c);
/* Somebody has cancelled it (JOURNAL_CANCEL): one that only waits ends now, not when KOS is back. */
void change_was_cancelled(struct change *c);
/* In doubt: the next inquiry is made now. False: it is in no doubt. */
bool change_ask_now(struct change *c);
const char *change_phase_name(enum phase p);

/* --- refuse.c --- */
struct kos_outage {
    bool orders;      /* it is orders that KOS does not take (too) */
    uint64_t left_ns; /* until a breaker lets somebody through */
};
/* Would a breaker that a change needs refuse now? Looks only. */
bool kos_looks_out(struct change_service *svc, struct kos_outage *out);
/* OUTAGE_MODE=hold, and a request that it is for. */
bool outage_holds(const struct change_service *svc, bool async);

/* --- life.c --- */
/* Of the validated fields, as hex: out has SHA256_HEX_LEN + 1 bytes. */
bool change_body_hash(char *out, const struct change_request *in);

/* --- work.c, work_doubt.c --- */
#define HOLD_OPEN_MS (20 * 60 * 1000) /* the line's claim between instances while its change is open */

uint64_t change_after_ms(int64_t ms); /* a monotonic deadline */
struct kos_caller change_caller(const struct change *c);
/* KOS's calls of this change, kept until there is a row to tell them with; tell empties the list. */
void change_keep_notes(struct change *c, const struct kos_call_note *notes, size_t count);
void change_tell_notes(struct change *c);
/* Asks Redis for the line's key and for what it knows of the request's; on_hold and on_idem drive the machine. */
void change_hold_start(struct change *c);
bool change_hold_asks(const struct change *c); /* is one of the answers still to come? */
bool change_foreign_start(struct change *c);
/* The change that held the line has ended: its key in Redis is a leftover. */
void change_clear_stale_hold(struct change *c);
bool change_load_start(struct change *c);
bool change_admit_start(struct change *c);
bool change_order_start(struct change *c);
/* Deletes the cached customer, which is told to the phase DROP. Nothing is started when Redis cannot be asked. */
void change_drop_start(struct change *c);
/* The outcome is on disk, and so is the invalidation that it owes: owed no more if the delete was acknowledged. */
void change_tell_dropped(struct change *c);
bool change_ask_start(struct change *c);
void change_wait_start(struct change *c, int64_t ms);
/* Deletes the cached customer ahead of the order; nobody waits for it. */
void change_drop_ahead(struct change *c);
/* Brings what was loaded into the record: names, pre-check, changed product. target: NULL when there is none.
 */
void change_take_facts(struct change *c, const struct product *target);
/* The intent is on disk: the line's keys are renewed, other instances can see it. */
void change_opened(struct change *c);
/* Counts a held change for the metric; change_let_go() takes it off. */
void change_note_held(struct change *c);
/* The outcome is on disk: counted, logged, shared, told to whoever waits. */
void change_ended(struct change *c);
/* Fills c->event for the outcome that the record is in, once; leaves it empty when nobody is to be told. False: no
 * memory now, try again. */
bool change_make_event(struct change *c);
/* The journal could not take the outcome: the same phase again after a while. The caller returns PHASE_WAIT. */
void change_again_later(struct change *c);
/* The journal says that somebody else has ended it: tell what is on disk, and end. */
enum phase change_settled_elsewhere(struct change *c);
int64_t change_retry_delay_ms(struct change *c);
/* Now, as the settling counts it: Unix ms that go on evenly while the process lives. */
int64_t change_now_ms(const struct change *c);
int64_t change_first_ask_ms(const struct change *c);
/* The back-off after as many inquiries as were made. */
int64_t change_next_ask_ms(const struct change *c);
struct settle_rules change_settle_rules(const struct change *c);

#endif
