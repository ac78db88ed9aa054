/* service.h - inside the module: a reactor's service and one change in memory. */
#ifndef CHANGE_SERVICE_H
#define CHANGE_SERVICE_H

#include "change/settle.h"
#include "change/shared.h"
#include "pcs/delivery/delivery.h"

#include <uv.h>

#define CHANGE_MEMORY_MAX 262144
#define CHANGE_NOTES_MAX  16
#define KEY_MAX           128

/* The keys of the lines of open changes in Redis (renew.c). */
struct renewal {
    struct change_service *svc;
    uv_timer_t timer;
    struct journal_op op;
    char after[UUID_LEN + 1]; /* the page before ended here; "": a pass begins */
    bool everything;          /* also what has only just come */
    bool in_flight, restart;
};

struct change_service {
    struct reactor *reactor;
    struct change_shared *shared;
    struct journal *journal;
    struct redis_link *redis;
    struct store *store;
    struct kos *kos;
    const struct change_config *config;
    struct change *changes; /* all of this reactor, doubly linked */
    size_t count, recovered_active;
    size_t tells;       /* fire-and-forget operations under way */
    size_t outage_rows; /* refusals being recorded */
    bool draining, destroying;
    struct recovery *recovery; /* NULL: nothing to take up any more */
    bool forwarding;           /* the invalidations are being pulled or repeated */
    bool forward_again;
    uv_timer_t forward_later;
    struct renewal renewal;
    uv_timer_t peers_beat; /* peers.h */
    struct redis_call *peers_call;
    uint64_t peers_asked_ns;
    unsigned handles_open;
};

/* The states of a change in memory. The durable ones are enum change_state; this is the way between them,
 * drawn at the top of machine.c. */
enum phase {
    PHASE_CLAIM,
    PHASE_HOLD,
    PHASE_ELSEWHERE,
    PHASE_LOAD,
    PHASE_CHECK,
    PHASE_RECORD,
    PHASE_ADMIT,
    PHASE_INTENT,
    PHASE_NOTE,
    PHASE_SEND,
    PHASE_ORDER,
    PHASE_OUTCOME,
    PHASE_DROP,
    PHASE_RETRY,
    PHASE_DOUBT,
    PHASE_ASK,
    PHASE_REPEAT,
    PHASE_END,
    PHASES
};

struct change {
    struct change *next, *prev;
    struct change_service *svc;
    enum phase phase;
    uint64_t started_ns, answer_by_ns, order_by_ns;
    int64_t started_ms; /* the wall clock's at started_ns: steps of it after that do not touch the settling */
    struct arena arena; /* what lives as long as the change */
    struct arena facts[2]; /* what was loaded: facts[facts_now] is the record's, a load fills the other */
    struct arena ordered;  /* what the last order answered */
    int facts_now;

    /* inputs */
    struct change_request in;
    change_done done;
    void *arg;

    /* facts */
    struct change_record rec;
    struct precheck checks;
    char check_codes[128];
    struct customer customer; /* as loaded; texts in arena */
    const char *loaded_code;  /* the line's product at KOS; NULL: unknown */
    struct kos_call_note notes[CHANGE_NOTES_MAX];
    size_t note_count;
    bool answered;     /* the caller has had its answer (or there never was one: recovery) */
    bool abandoned;    /* caller gone or time up before the intent: end as soon as the children allow */
    bool durable;      /* the journal has it open */
    bool in_flight;    /* an operation of ours is in the journal's queue */
    bool claimed;      /* the journal's claim in memory is ours */
    bool has_line_key; /* the line's key in Redis is ours, or may be */
    bool recovered;    /* taken up from the journal, not from a request */
    bool on_cached; /* KOS is out and OUTAGE_MODE=hold: the pre-check uses what is cached (then rec.held) */
    bool paced;     /* has its turn among the held changes that are looked at again */
    bool counted_held;
    bool owned;
    bool refused;         /* taken up, and its caller was perhaps told 503: nothing is sent any more */
    bool order_looks_out; /* the breaker of orders would refuse, when it was looked at */
    int reloads;
    int64_t attempts;   /* orders sent under this id */
    int64_t retries;    /* back-off of RETRY and of a refused OUTCOME */
    int64_t generation; /* of the line's invalidation */
    int event_tries;    /* attempts to make the outcome's event that ended without memory */

    /* children: each cancelled by cancel_children() */
    struct journal_op op;
    struct journal_event event;
    struct redis_call *hold_call, *idem_call;
    bool hold_asked; /* by CLAIM, so that HOLD does not ask again */
    enum {
        LINE_KEY_UNKNOWN,
        LINE_KEY_OURS,
        LINE_KEY_FOREIGN
    } line_key;                    /* what HOLD, which asks for the line's key, was told */
    char foreign_id[UUID_LEN + 1]; /* the change that has the line or the key, on another instance */
    bool foreign_is_key;
    struct change_record foreign; /* what Redis knows of it; request_id NULL: nothing */
    struct redis_call *foreign_call;
    struct change_lookup *foreign_lookup;
    bool hold_cleared; /* a leftover of the line's key was removed once */
    struct store_load *customer_load, *catalogue_load;
    enum store_answer customer_answer;
    struct catalogue *catalogue;
    bool catalogue_failed;
    bool load_lost; /* there was no memory for what the pre-check needs of the customer */
    const char *load_reason, *admit_reason, *outcome_reason; /* for the log */
    uint64_t retry_after_ns;
    struct gate_pass *pass;
    bool pass_waiting;
    struct kos_request *request; /* inquiry of the settling, or the order */
    bool order_under_way;
    enum kos_order_answer order_answer;
    const char *kos_code, *kos_message;
    enum settle_step settle_step;
    struct store_drop *drop;
    bool dropped; /* Redis has acknowledged it */
    uv_timer_t deadline, wait;
    unsigned handles_open;
};

/* --- life.c --- */
/* Takes an open record of the journal up: ACCEPTED is sent, SENDING is settled. record is copied. False: no
 * memory. */
bool change_take_up(struct change_service *svc, const struct change_record *record);
/* Cancels every child, gives back what is held, frees. Nothing of c may be used afterwards. */
void change_let_go(struct change *c);
/* --- service.c --- */
/* A recovered change has ended: the next page may be taken up. */
void change_service_recover_more(struct change_service *svc);

/* --- renew.c --- */
void renewal_init(struct change_service *svc);

/* --- tell.c: what is said without waiting for an answer --- */
void tell_answered(struct change_service *svc, const char *request_id, int status);
void tell_calls(struct change_service *svc, const char *request_id, const struct kos_call_note *notes,
                size_t count, int64_t attempt);
/* False: no memory, or the journal takes nothing now; say it again. */
bool tell_invalidated(struct change_service *svc, const char *line, int64_t generation);
/* outage_first() (shared.h) as of now. */
bool change_outage_first(struct change_service *svc, const char *line, bool orders);
/* A refusal because KOS is out: recorded after the answer, best effort, once per line and outage. */
void tell_outage(struct change_service *svc, const struct change_record *record, bool orders);
/* req:{id} and idem:{hash} in Redis, best effort. */
void tell_shared(struct change_service *svc, const struct change_record *record, bool with_key);
void redis_key_line(char out[KEY_MAX], const char *line);
void redis_key_request(char out[KEY_MAX], const char *request_id);
void redis_key_idem(char out[KEY_MAX], const char *idem_key);

/* Copies a record and its texts. False: no memory. */
bool record_copy(struct change_record *out, const struct change_record *in, struct arena *arena);

/* --- metrics and settings of the module (tables.c) --- */
extern struct metric_family change_results, change_seconds, change_unguarded, change_settle_seconds,
    change_held;
void change_count_result(const struct change_record *record);

#endif
