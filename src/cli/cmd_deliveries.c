/* cmd_deliveries.c - the command `deliveries`: events to MVNO AP, listed and sent again. */
#include "cli/client.h"
#include "pcs/admin/view.h"
#include "pcs/product/product.h"

#include <stdio.h>
#include <string.h>

#define USAGE                                                                                                \
    "deliveries list [--state pending|dead|delivered] [--line LINE] [--limit N] [--before SEQ] | "           \
    "deliveries replay SEQ [--out-of-order] [--reason R] [--actor A]   [--json] [--socket PATH | --slot N]"

static const struct option options[] = {
    {"state", required_argument, NULL, 's'},  {"line", required_argument, NULL, 'l'},
    {"limit", required_argument, NULL, 'n'},  {"before", required_argument, NULL, 'b'},
    {"out-of-order", no_argument, NULL, 'u'}, {"actor", required_argument, NULL, 'a'},
    {"reason", required_argument, NULL, 'r'}, CLIENT_OPTIONS};

struct deliveries {
    const char *state, *line, *limit, *before, *actor, *reason;
    bool out_of_order;
};

static void print_list(const cJSON *data)
{
    const cJSON *e;
    int n = 0;
    cJSON_ArrayForEach(e, json_array(data, "deliveries"))
    {
        const cJSON *last = json_object(e, "lastAttempt");
        n++;
        printf("%-8s %-9s %s  line %s  change %s  made %s", client_text(e, "seq"), client_text(e, "state"),
               client_text(e, "eventType"), client_text(e, "lineNumber"), client_text(e, "requestId"),
               client_text(e, "createdAt"));
        if (last) {
            printf("  last: %s %s %s ms %s %.120s", client_text(last, "at"), client_text(last, "status"),
                   client_text(last, "milliseconds"), client_text(last, "error"),
                   client_text(last, "answer"));
        }
        putchar('\n');
    }
    if (n == 0) {
        puts("none");
    }
    if (client_number(data, "nextBefore")) {
        printf("more: --before %s\n", client_text(data, "nextBefore"));
    }
}

static cJSON *list_offline(struct client *c, const struct deliveries *d)
{
    struct journal *j = client_open_journal(c);
    struct journal_op op;
    char line[LINE_LEN + 1];
    if (!j) {
        return NULL;
    }
    journal_op_init(&op, j, JOURNAL_EVENTS_LIST, NULL, NULL, NULL);
    op.limit = 100;
    cJSON *data = NULL;
    if (!view_event_state_parse(d->state, &op.event_state) ||
        (d->line && !line_parse(d->line, strlen(d->line), line))) {
        (void)client_usage(USAGE);
    } else {
        op.line = d->line ? line : NULL;
        data = client_read(j, &op, view_deliveries);
    }
    journal_op_clear(&op);
    journal_close_offline(j);
    return data;
}

static int list(struct client *c, const struct deliveries *d, cJSON **data)
{
    struct buf path;
    int rc = client_find(c, true);
    buf_init(&path, 4096);
    buf_puts(&path, "/admin/deliveries");
    client_query(&path, "state", d->state);
    client_query(&path, "line", d->line);
    client_query(&path, "limit", d->limit);
    client_query(&path, "before", d->before);
    if (rc == CLIENT_OK) {
        rc = buf_ok(&path) ? client_call(c, "GET", path.data, NULL, data) : client_usage(USAGE);
    } else if (rc == CLIENT_NO_DAEMON) {
        *data = list_offline(c, d);
        rc = *data ? CLIENT_OK : CLIENT_NO_DAEMON;
    }
    buf_free(&path);
    if (rc == CLIENT_OK && !client_print_json(c, *data)) {
        print_list(*data);
    }
    return rc;
}

static int replay(struct client *c, const char *seq, const struct deliveries *d, cJSON **data)
{
    char path[128];
    cJSON *body = cJSON_CreateObject();
    int rc = client_find(c, false);
    cJSON_AddBoolToObject(body, "outOfOrder", d->out_of_order);
    cJSON_AddStringToObject(body, "actor", d->actor);
    if (d->reason) {
        cJSON_AddStringToObject(body, "reason", d->reason);
    }
    snprintf(path, sizeof path, "/admin/deliveries/%s/replay", seq);
    if (rc == CLIENT_OK) {
        rc = client_call(c, "POST", path, body, data);
    }
    cJSON_Delete(body);
    if (rc == CLIENT_OK && !client_print_json(c, *data)) {
        printf("%s: %s event of change %s is due again\n", client_text(*data, "seq"),
               client_text(*data, "was"), client_text(*data, "requestId"));
    }
    return rc;
}

static bool take(struct client *c, struct deliveries *d, int opt)
{
    switch (opt) {
    case 's':
        d->state = optarg;
        return true;
    case 'l':
        d->line = optarg;
        return true;
    case 'n':
        d->limit = optarg;
        return true;
    case 'b':
        d->before = optarg;
        return true;
    case 'u':
        d->out_of_order = true;
        return true;
    case 'a':
        d->actor = optarg;
        return true;
    case 'r':
        d->reason = optarg;
        return true;
    default:
        return client_option(c, opt);
    }
}

int cli_deliveries(const char *config_file, int argc, char **argv)
{
    struct client c;
    struct deliveries d = {.actor = client_actor()};
    cJSON *data = NULL;
    bool ok = true;
    client_init(&c, "deliveries", config_file);
    optind = 0;
    for (int opt; ok && (opt = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        ok = take(&c, &d, opt);
    }
    int left = argc - optind - 1, rc;
    char **words = argv + optind + 1;
    if (ok && (left == 0 || (left == 1 && strcmp(words[0], "list") == 0))) {
        rc = list(&c, &d, &data);
    } else if (ok && left == 2 && strcmp(words[0], "replay") == 0 && *words[1] &&
               strspn(words[1], "0123456789") == strlen(words[1]) && strlen(words[1]) < 19) {
        rc = replay(&c, words[1], &d, &data);
    } else {
        rc = client_usage(USAGE);
    }
    cJSON_Delete(data);
    client_free(&c);
    return rc;
}
