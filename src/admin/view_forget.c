/* view_forget.c - what became of a line's personal fields, where. */
#include "pcs/admin/view.h"

#include <inttypes.h>
#include <stdio.h>

void view_forgotten(struct buf *b, const char *instance, const struct forget_report *r)
{
    buf_json_bool(b, "complete", r->redis_done && r->history_done && r->journal_done);
    buf_json_open(b, "redis", '{');
    buf_json_bool(b, "done", r->redis_done);
    buf_json_int(b, "keys", r->redis_keys);
    buf_json_close(b, '}');
    buf_json_open(b, "postgresql", '{');
    buf_json_bool(b, "done", r->history_done);
    buf_json_int(b, "rows", r->history_rows);
    buf_json_int(b, "links", r->history_links);
    buf_json_open(b, "instances", '[');
    for (size_t i = 0; i < r->of_count; i++) {
        buf_json_open(b, NULL, '{');
        buf_json_str(b, "instance", r->of[i].instance);
        buf_json_int(b, "rows", r->of[i].rows);
        buf_json_time(b, "newestRequestedAt", r->of[i].newest_ms);
        buf_json_close(b, '}');
    }
    buf_json_close(b, ']');
    buf_json_close(b, '}');
    buf_json_open(b, "journal", '{');
    buf_json_bool(b, "done", r->journal_done);
    buf_json_str(b, "instance", instance);
    buf_json_int(b, "rows", r->journal_rows);
    buf_json_int(b, "events", r->journal_events);
    buf_json_int(b, "deadLettersGivenUp", r->given_up);
    buf_json_close(b, '}');
}

void view_forget_why(char *out, size_t size, const struct forget_report *r)
{
    if (!r->redis_done && !r->redis_keys) {
        snprintf(out, size, "%s; nothing was erased", r->why);
        return;
    }
    snprintf(out, size,
             "%s; erased so far: in Redis %" PRId64 " keys%s, in PostgreSQL %" PRId64
             " rows%s, in the journal "
             "%" PRId64 " rows; repeat it",
             r->why, r->redis_keys, r->redis_done ? " (all)" : "", r->history_rows,
             r->history_done ? " (all)" : "", r->journal_rows);
}
