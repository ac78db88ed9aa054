/* support.h - a journal in a directory of its own, and operations that wait for their answer. */
#ifndef TEST_JOURNAL_SUPPORT_H
#define TEST_JOURNAL_SUPPORT_H

#include "pcs/core/clock.h"
#include "pcs/core/id.h"
#include "pcs/core/log.h"
#include "pcs/journal/journal.h"

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_A "01011110001"
#define LINE_B "01011110002"
#define T0     INT64_C(1795000000000) /* a Unix time in milliseconds */

struct bench_dir {
    char path[64];
};

static struct bench_dir dir;
static struct journal *journal;
static struct mailbox box;
static struct journal_config config;
static char err[1024];

static inline int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static inline void open_journal(void)
{
    journal = journal_open(&config, err, sizeof err);
    ck_assert_msg(journal != NULL, "%s", err);
}

static inline void close_journal(void)
{
    if (journal) {
        journal_close(journal);
        journal = NULL;
    }
}

static inline void setup(void)
{
    log_set_threshold(LOG_LEVEL_OFF);
    snprintf(dir.path, sizeof dir.path, "/tmp/pcs-journal-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir.path));
    config = (struct journal_config){.path = dir.path,
                                     .max_bytes = 256 << 20,
                                     .reserve_bytes = 1 << 20,
                                     .queue_max = 4096,
                                     .group_max = 128,
                                     .retention_ms = 3650 * 86400000LL, /* T0 is long ago */
                                     .key_ms = 24 * 3600000LL};
    mailbox_init(&box, 1, NULL, NULL);
    open_journal();
}

static inline void teardown(void)
{
    close_journal();
    mailbox_destroy(&box);
    nftw(dir.path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void op_done(struct journal_op *op)
{
    *(bool *)op->arg = true;
}

/* Waits until the operation's done has run; delivers others' on the way. */
static inline void op_wait(struct journal_op *op)
{
    uint64_t until = clock_mono_ns() + 20 * NS_PER_SEC;
    while (!*(bool *)op->arg) {
        ck_assert_msg(clock_mono_ns() < until, "no answer in 20 s");
        for (struct msg *m = mailbox_wait(&box, until); m;) {
            struct msg *next = m->next;
            m->deliver(m);
            m = next;
        }
    }
}

static inline void op_start(struct journal_op *op, enum journal_verb verb, bool *answered)
{
    *answered = false;
    journal_op_init(op, journal, verb, &box, op_done, answered);
}

/* Submits and waits. The caller clears the operation. */
static inline enum journal_status op_run(struct journal_op *op)
{
    bool answered = false;
    op->arg = &answered;
    ck_assert(journal_submit(op));
    op_wait(op);
    return op->status;
}

static inline struct journal_op op_make(enum journal_verb verb)
{
    struct journal_op op;
    journal_op_init(&op, journal, verb, &box, op_done, NULL);
    op.now = T0;
    return op;
}

/* A change as the layer above would hand it over. */
static inline struct change_record change_make(const char *id, const char *line, enum change_state state)
{
    return (struct change_record){.request_id = id,
                                  .line = line,
                                  .state = state,
                                  .subject = "user-1",
                                  .customer_id = "C-1",
                                  .actor = "user-1",
                                  .correlation_id = "corr-1",
                                  .current_code = "LTE_A",
                                  .current_name = "LTE 가",
                                  .target_code = "5G_B",
                                  .target_name = "5G 나",
                                  .requested_at = T0,
                                  .loaded_at = T0,
                                  .validated_at = T0,
                                  .sent_at = state == CHANGE_SENDING ? T0 : 0};
}

/* One operation on one change, cleared; only the status is looked at. */
static inline enum journal_status change_do(enum journal_verb verb, const struct change_record *c)
{
    struct journal_op op = op_make(verb);
    op.change = *c;
    enum journal_status status = op_run(&op);
    journal_op_clear(&op);
    return status;
}

static inline enum journal_status intent(const char *id, const char *line, enum change_state state)
{
    struct change_record c = change_make(id, line, state);
    return change_do(JOURNAL_INTENT, &c);
}

static inline enum journal_status outcome_at(const char *id, enum change_state state, int64_t processed_at)
{
    struct change_record c = {.request_id = id,
                              .state = state,
                              .processed_at = processed_at,
                              .result_code = "0000",
                              .result_message = "상품 변경이 완료되었습니다"};
    return change_do(JOURNAL_OUTCOME, &c);
}

static inline struct journal_stats stats(void)
{
    struct journal_op op = op_make(JOURNAL_STATS);
    ck_assert_int_eq(op_run(&op), JOURNAL_OK);
    struct journal_stats st = op.stats;
    journal_op_clear(&op);
    return st;
}

/* The state of a change in the journal; CHANGE_STATES: it has none. */
static inline enum change_state state_of(const char *id)
{
    struct journal_op op = op_make(JOURNAL_GET);
    op.change.request_id = id;
    enum change_state s = op_run(&op) == JOURNAL_OK ? op.found.state : CHANGE_STATES;
    journal_op_clear(&op);
    return s;
}

static inline struct journal_event event_make(const char *event_id, const char *request_id, const char *line)
{
    return (struct journal_event){.event_id = event_id,
                                  .type = "product-change.completed",
                                  .request_id = request_id,
                                  .line = line,
                                  .body = "{\"message\":\"상품 변경이 완료되었습니다\"}",
                                  .created_at = T0};
}

static inline int run_suite(Suite *s)
{
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
