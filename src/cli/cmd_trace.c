/* cmd_trace.c - the command `trace`: the whole story of a change, for support at three in the morning. */
#include "cli/client.h"
#include "pcs/admin/view.h"
#include "pcs/core/id.h"
#include "pcs/product/product.h"

#include <stdio.h>
#include <string.h>

#define USAGE "trace REQUEST_ID | trace LINE [--limit N]   [--json] [--socket PATH | --slot N]"

static const struct option options[] = {{"limit", required_argument, NULL, 'n'}, CLIENT_OPTIONS};

static void print_member(const cJSON *o, const char *label, const char *name)
{
    const char *text = client_text(o, name);
    if (strcmp(text, "-") != 0) {
        printf("  %-16s %s\n", label, text);
    }
}

static void print_change(const cJSON *r)
{
    const cJSON *check;
    print_member(r, "line", "lineNumber");
    print_member(r, "state", "state");
    print_member(r, "customer", "customerId");
    print_member(r, "asked by", "subject");
    print_member(r, "actor", "actor");
    print_member(r, "from", "currentProductCode");
    print_member(r, "to", "targetProductCode");
    print_member(r, "result", "resultCode");
    print_member(r, "message", "resultMessage");
    print_member(r, "failure", "failureReason");
    print_member(r, "KOS order", "kosOrderNumber");
    print_member(r, "first answer", "firstStatus");
    print_member(r, "correlation", "correlationId");
    print_member(r, "in doubt", "inDoubt");
    print_member(r, "checks", "checks");
    print_member(r, "next check", "nextCheckAt");
    print_member(r, "operator's list", "onOperatorList");
    cJSON_ArrayForEach(check, json_array(r, "validation"))
    {
        printf("  pre-check        %s %s: %s\n", client_text(check, "checkType"),
               client_text(check, "result"), client_text(check, "message"));
    }
}

static void print_events(const cJSON *story)
{
    const cJSON *e, *a;
    cJSON_ArrayForEach(e, json_array(story, "events"))
    {
        printf("  event %s %s %s, %s, made %s\n", client_text(e, "seq"), client_text(e, "eventType"),
               client_text(e, "eventId"), client_text(e, "state"), client_text(e, "createdAt"));
        cJSON_ArrayForEach(a, json_array(e, "attempts"))
        {
            printf("    %s  status %s  %s ms  %s  %s  %s\n", client_text(a, "at"), client_text(a, "status"),
                   client_text(a, "milliseconds"), client_text(a, "verdict"), client_text(a, "error"),
                   client_text(a, "answer"));
        }
    }
}

static void print_story(const cJSON *s)
{
    const cJSON *item;
    printf("change %s\n", client_text(s, "requestId"));
    if (json_object(s, "change")) {
        print_change(json_object(s, "change"));
    } else {
        puts("  not in this journal");
    }
    cJSON_ArrayForEach(item, json_array(s, "states"))
    {
        printf("  %-24s %s\n", client_text(item, "at"), client_text(item, "state"));
    }
    cJSON_ArrayForEach(item, json_array(s, "kosCalls"))
    {
        printf("  KOS %s %s #%s  http %s  code %s  %s  %s ms  breaker %s\n", client_text(item, "at"),
               client_text(item, "operation"), client_text(item, "attempt"), client_text(item, "httpStatus"),
               client_text(item, "resultCode"), client_text(item, "outcome"),
               client_text(item, "milliseconds"), client_text(item, "breakerState"));
    }
    print_events(s);
    print_member(s, "invalidation due", "invalidation.pending");
    print_member(s, "to postgres", "forwarding.state");
    print_member(s, "refused because", "forwarding.reason");
    if (json_object(s, "history")) {
        const cJSON *row = json_object(json_object(s, "history"), "row");
        printf("  postgres         %s\n",
               row ? client_text(row, "resultCode")
               : cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json_object(s, "history"), "answered"))
                   ? "no row"
                   : "could not be asked");
        print_member(row, "  processed", "processedAt");
        print_member(row, "  actor", "actor");
    }
    print_member(s, "redis answered", "redis.answered");
    print_member(s, "redis request", "redis.request.value.state");
    print_member(s, "redis key of", "redis.idempotencyKey.requestId");
}

static void print_trace(const cJSON *data)
{
    const cJSON *s, *line = json_object(data, "line");
    int n = 0;
    cJSON_ArrayForEach(s, json_array(data, "stories"))
    {
        printf("%s", n++ ? "\n" : "");
        print_story(s);
    }
    if (n == 0) {
        puts("no change of this line");
    }
    if (line) {
        printf("\nline %s\n", client_text(line, "lineNumber"));
        print_member(line, "redis answered", "redisAnswered");
        print_member(line, "claimed by", "claim.requestId");
        print_member(line, "cached customer", "cachedCustomer.kind");
        print_member(line, "  filled", "cachedCustomer.filledAt");
        print_member(line, "  product", "cachedCustomer.currentProductCode");
        print_member(line, "cache bypassed", "cacheBypassed");
    }
}

/* ---- without a daemon: the journal's part ---- */

static cJSON *story_offline(struct journal *j, const char *id)
{
    struct journal_op op;
    journal_op_init(&op, j, JOURNAL_TRACE, NULL, NULL, NULL);
    op.change.request_id = id;
    cJSON *story = client_read(j, &op, view_story);
    journal_op_clear(&op);
    if (story) {
        cJSON_AddStringToObject(story, "requestId", id);
    }
    return story;
}

static cJSON *trace_offline(struct client *c, const char *id, const char *line)
{
    struct journal_op op;
    struct journal *j = client_open_journal(c);
    if (!j) {
        return NULL;
    }
    cJSON *data = cJSON_CreateObject(), *stories = cJSON_AddArrayToObject(data, "stories");
    if (id) {
        cJSON_AddItemToArray(stories, story_offline(j, id));
    } else {
        journal_op_init(&op, j, JOURNAL_LIST_LINE, NULL, NULL, NULL);
        op.line = line;
        op.limit = 20;
        (void)journal_run_offline(&op);
        for (size_t i = 0; i < op.list_count; i++) {
            cJSON_AddItemToArray(stories, story_offline(j, op.list[i].request_id));
        }
        journal_op_clear(&op);
    }
    journal_close_offline(j);
    return data;
}

static int trace(struct client *c, const char *id, const char *line, const char *limit)
{
    struct buf path;
    cJSON *data = NULL;
    int rc = client_find(c, true);
    buf_init(&path, 1024);
    buf_puts(&path, "/admin/trace");
    client_query(&path, "id", id);
    client_query(&path, "line", line);
    client_query(&path, "limit", limit);
    if (rc == CLIENT_OK) {
        rc = client_call(c, "GET", path.data, NULL, &data);
    } else if (rc == CLIENT_NO_DAEMON) {
        data = trace_offline(c, id, line);
        rc = data ? CLIENT_OK : CLIENT_NO_DAEMON;
    }
    if (rc == CLIENT_OK && !client_print_json(c, data)) {
        print_trace(data);
    }
    buf_free(&path);
    cJSON_Delete(data);
    return rc;
}

int cli_trace(const char *config_file, int argc, char **argv)
{
    struct client c;
    char id[UUID_LEN + 1], line[LINE_LEN + 1];
    const char *limit = NULL;
    bool ok = true;
    int rc;
    client_init(&c, "trace", config_file);
    optind = 0;
    for (int opt; ok && (opt = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (opt == 'n') {
            limit = optarg;
        } else {
            ok = client_option(&c, opt);
        }
    }
    const char *word = ok && argc - optind == 2 ? argv[optind + 1] : "";
    if (uuid_parse(word, strlen(word), id)) {
        rc = trace(&c, id, NULL, NULL);
    } else if (line_parse(word, strlen(word), line)) {
        rc = trace(&c, NULL, line, limit);
    } else {
        rc = client_usage(USAGE);
    }
    client_free(&c);
    return rc;
}
