/* cmd_settle.c - the command `settle`: changes in doubt, listed, asked about, decided. */
#include "cli/client.h"
#include "pcs/admin/view.h"
#include "pcs/core/clock.h"
#include "pcs/core/id.h"

#include <stdio.h>
#include <string.h>

#define USAGE                                                                                                \
    "settle [list] | settle REQUEST_ID --check | settle REQUEST_ID --outcome completed|not-applied "         \
    "--reason R [--actor A]   [--json] [--socket PATH | --slot N]"

static const struct option options[] = {{"outcome", required_argument, NULL, 'o'},
                                        {"actor", required_argument, NULL, 'a'},
                                        {"reason", required_argument, NULL, 'r'},
                                        {"check", no_argument, NULL, 'k'},
                                        CLIENT_OPTIONS};

struct settle {
    const char *outcome, *actor, *reason;
    bool check;
};

static void print_doubts(const cJSON *data)
{
    const cJSON *d;
    int n = 0;
    cJSON_ArrayForEach(d, json_array(data, "doubts"))
    {
        n++;
        printf("%s  line %s  %s -> %s  in doubt %s s, %s checks, ", client_text(d, "requestId"),
               client_text(d, "lineNumber"), client_text(d, "currentProductCode"),
               client_text(d, "targetProductCode"), client_text(d, "ageSeconds"), client_text(d, "checks"));
        if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(d, "onOperatorList"))) {
            puts("waits for an operator");
        } else {
            printf("next %s\n", client_text(d, "nextCheckAt"));
        }
    }
    if (n == 0) {
        puts("no change is in doubt");
    }
}

static void view_now(struct buf *b, const struct journal_op *op)
{
    view_doubts(b, op, clock_wall_ms());
}

static cJSON *list_offline(struct client *c)
{
    struct journal *j = client_open_journal(c);
    struct journal_op op;
    if (!j) {
        return NULL;
    }
    journal_op_init(&op, j, JOURNAL_LIST_DOUBT, NULL, NULL, NULL);
    cJSON *data = client_read(j, &op, view_now);
    journal_op_clear(&op);
    journal_close_offline(j);
    return data;
}

static int list(struct client *c, cJSON **data)
{
    int rc = client_find(c, true);
    if (rc == CLIENT_OK) {
        rc = client_call(c, "GET", "/admin/doubts", NULL, data);
    } else if (rc == CLIENT_NO_DAEMON) {
        *data = list_offline(c);
        rc = *data ? CLIENT_OK : CLIENT_NO_DAEMON;
    }
    if (rc == CLIENT_OK && !client_print_json(c, *data)) {
        print_doubts(*data);
    }
    return rc;
}

static int decide(struct client *c, const char *id, const struct settle *s, cJSON **data)
{
    char path[128];
    cJSON *body = cJSON_CreateObject();
    int rc = client_find(c, false);
    if (s->outcome) {
        cJSON_AddStringToObject(body, "outcome", s->outcome);
        cJSON_AddStringToObject(body, "actor", s->actor);
        cJSON_AddStringToObject(body, "reason", s->reason);
    }
    snprintf(path, sizeof path, "/admin/changes/%s/%s", id, s->check ? "check" : "settle");
    if (rc == CLIENT_OK) {
        rc = client_call(c, "POST", path, s->check ? NULL : body, data);
    }
    cJSON_Delete(body);
    if (rc == CLIENT_OK && !client_print_json(c, *data)) {
        if (s->check) {
            printf("%s: KOS is being asked\n", id);
        } else {
            printf("%s: %s, line %s is open again (%s)\n", id, client_text(*data, "change.state"),
                   client_text(*data, "change.lineNumber"), client_text(*data, "change.actor"));
        }
    }
    return rc;
}

int cli_settle(const char *config_file, int argc, char **argv)
{
    struct client c;
    struct settle s = {.actor = client_actor()};
    char id[UUID_LEN + 1];
    cJSON *data = NULL;
    bool ok = true;
    client_init(&c, "settle", config_file);
    optind = 0;
    for (int opt; ok && (opt = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (opt) {
        case 'o':
            s.outcome = optarg;
            break;
        case 'a':
            s.actor = optarg;
            break;
        case 'r':
            s.reason = optarg;
            break;
        case 'k':
            s.check = true;
            break;
        default:
            ok = client_option(&c, opt);
            break;
        }
    }
    int left = argc - optind - 1, rc;
    const char *word = left > 0 ? argv[optind + 1] : "list";
    bool decision = s.check ? !s.outcome : s.outcome && s.reason;
    if (ok && left <= 1 && strcmp(word, "list") == 0 && !s.check && !s.outcome) {
        rc = list(&c, &data);
    } else if (ok && left == 1 && decision && uuid_parse(word, strlen(word), id)) {
        rc = decide(&c, id, &s, &data);
    } else {
        rc = client_usage(USAGE);
    }
    cJSON_Delete(data);
    client_free(&c);
    return rc;
}
