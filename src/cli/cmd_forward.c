/* cmd_forward.c - the command `forward`: what a slot's journal still keeps goes to PostgreSQL once more, after a restore of
 * the database. For a slot without a daemon: the next one that has the slot, or `retire`, forwards it. */
#include "cli/client.h"

#include <inttypes.h>
#include <stdio.h>

#define USAGE "forward [--slot N] [--json] [--config FILE]   (the slot's daemon stopped)"

static const struct option options[] = {CLIENT_OPTIONS};

static void tell(const struct client *c, unsigned slot, const struct journal_again *n)
{
    cJSON *data = cJSON_CreateObject();
    cJSON_AddNumberToObject(data, "slot", slot);
    cJSON_AddNumberToObject(data, "rows", (double)n->rows);
    cJSON_AddNumberToObject(data, "links", (double)n->links);
    cJSON_AddNumberToObject(data, "calls", (double)n->calls);
    if (!client_print_json(c, data)) {
        printf("slot %u: %" PRId64 " rows, %" PRId64 " links of refused ones and %" PRId64
               " notes on calls wait again: start an instance with this slot, or retire it\n",
               slot, n->rows, n->links, n->calls);
    }
    cJSON_Delete(data);
}

int cli_forward(const char *config_file, int argc, char **argv)
{
    struct client c;
    struct journal_again n = {0};
    char err[1024] = "";
    bool ok = true;
    client_init(&c, "forward", config_file);
    optind = 0;
    for (int opt; ok && (opt = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        ok = client_option(&c, opt);
    }
    if (!ok || argc - optind != 1 || c.socket) {
        client_free(&c);
        return client_usage(USAGE);
    }
    struct journal *j = client_load(&c) ? client_open_journal(&c) : NULL;
    ok = j && journal_forward_again(j, &n, err, sizeof err);
    if (ok) {
        tell(&c, journal_slot(j), &n);
    } else if (*err) {
        fprintf(stderr, "forward: %s\n", err);
    }
    if (j) {
        journal_close_offline(j);
    }
    client_free(&c);
    return ok ? CLIENT_OK : CLIENT_REFUSED;
}
