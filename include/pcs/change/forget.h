/* forget.h - erasing a line's personal fields in Redis, PostgreSQL and this instance's journal (issue 5, point 9).
 *
 * The line is claimed meanwhile, here and in Redis, so that no change of it begins. The order is Redis, PostgreSQL, journal:
 * what an earlier step needs to know is erased by a later one only. So the first step that fails ends it, and the whole can
 * be repeated; every step is harmless when it was done before. Digests and links stay, the chain holds
 * (docs/tamper-evidence.md). */
#ifndef PCS_CHANGE_FORGET_H
#define PCS_CHANGE_FORGET_H

#include "pcs/change/change.h"
#include "pcs/core/buf.h"
#include "pcs/core/id.h"
#include "pcs/history/erase.h"

#define FORGET_IDS_MAX   5000 /* changes of one line that are looked up in Redis */
#define FORGET_KEYS      100  /* Redis keys in one DEL */
#define FORGET_MARGIN_MS (INT64_C(48) * 3600 * 1000)

enum forget_answer {
    FORGET_DONE,
    FORGET_REFUSED, /* something of the line is open: why, request_id. Nothing was erased, unless a step says so */
    FORGET_STOPPED /* a step could not be done: why. What was done before it stays done */
};

struct forget_report {
    bool redis_done, history_done, journal_done;
    int64_t redis_keys;                  /* deleted */
    int64_t history_rows, history_links; /* erased now */
    const struct history_erased *of;     /* whose rows they were */
    size_t of_count;
    int64_t journal_rows, journal_events, given_up;
    char why[320];
    char request_id[UUID_LEN + 1]; /* FORGET_REFUSED: the change; "": not known */
};
/* The report lives until the callback returns. */
typedef void (*forget_done)(void *arg, enum forget_answer answer, const struct forget_report *report);

struct forget_request {
    const char *line, *actor, *reason;
    bool give_up; /* dead letters of the line are thrown away; else they are in the way */
};

/* Exactly one done, on svc's reactor, never before this returned. False: no memory, or the service is ending; no callback.
 * Texts are copied. Own thread. */
bool change_forget_line(struct change_service *svc, const struct forget_request *request, forget_done done,
                        void *arg);

/* What both ways (with and without a daemon) share. */
/* The sentence of a JOURNAL_FORGET that met something: into r->why and r->request_id. */
void forget_blocked(struct forget_report *r, const struct journal_op *op);
/* Does the text contain the line's digits? The record of an erasure must not name whom it was about. */
bool forget_names_line(const char *text, const char *line);
/* Who and why as the journal keeps it; into out. */
void forget_note(struct buf *out, const struct forget_request *request, int64_t now_ms);

#endif
