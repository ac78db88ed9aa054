/* cmd_status.c - the commands `status`, `breakers` and `slots`. */
#include "cli/client.h"

#include "pcs/admin/view.h"
#include "pcs/core/clock.h"

#include <stdio.h>
#include <string.h>

static const struct option plain_options[] = {CLIENT_OPTIONS};

/* Reads the common options only. False: told, or --help. */
static bool read_options(struct client *c, int argc, char **argv)
{
    optind = 0;
    for (int opt; (opt = getopt_long(argc, argv, "", plain_options, NULL)) != -1;) {
        if (!client_option(c, opt)) {
            return false;
        }
    }
    return true;
}

/* ---- status ---- */

static void print_status(const cJSON *d)
{
    const cJSON *item;
    printf("%s  version %s, pid %s, slot %s, up %s s since %s\ninstance %s\n", client_text(d, "status"),
           client_text(d, "service.version"), client_text(d, "service.pid"), client_text(d, "service.slot"),
           client_text(d, "service.uptimeSeconds"), client_text(d, "service.startedAt"),
           client_text(d, "service.instance"));
    printf("neighbours  ");
    cJSON_ArrayForEach(item, json_object(d, "neighbours"))
    {
        printf(" %s %s ", item->string, cJSON_GetStringValue(item));
    }
    printf("\njournal     writable %s, open %s, in doubt %s (oldest %s s), %s bytes\n",
           client_text(d, "journal.writable"), client_text(d, "journal.open"),
           client_text(d, "journal.inDoubt"), client_text(d, "journal.oldestDoubtSeconds"),
           client_text(d, "journal.bytes"));
    printf("to postgres %s rows, %s calls, %s refused\n", client_text(d, "backlog.postgresql.rows"),
           client_text(d, "backlog.postgresql.calls"), client_text(d, "backlog.postgresql.refused"));
    printf("to mvno     %s events (oldest %s s), %s dead letters\n", client_text(d, "backlog.mvno.events"),
           client_text(d, "backlog.mvno.oldestSeconds"), client_text(d, "backlog.mvno.dead"));
    printf("to cache    %s invalidations\norphan slots %s\n", client_text(d, "backlog.cache.invalidations"),
           client_text(d, "orphanSlots"));
}

int cli_status(const char *config_file, int argc, char **argv)
{
    struct client c;
    cJSON *data = NULL;
    client_init(&c, "status", config_file);
    int rc = read_options(&c, argc, argv) && optind == argc - 1
                 ? client_find(&c, false)
                 : client_usage("status [--json] [--socket PATH | --slot N]");
    if (rc == CLIENT_OK && (rc = client_call(&c, "GET", "/admin/status", NULL, &data)) == CLIENT_OK &&
        !client_print_json(&c, data)) {
        print_status(data);
    }
    cJSON_Delete(data);
    client_free(&c);
    return rc;
}

/* ---- breakers ---- */

static void print_breaker(const cJSON *b)
{
    printf("%-12s %-12s", client_text(b, "name"), client_text(b, "state"));
    if (client_number(b, "openForMilliseconds")) {
        printf(" for %s ms more", client_text(b, "openForMilliseconds"));
    }
    printf(" since %s; calls %s, failed %s, slow %s, refused %s", client_text(b, "since"),
           client_text(b, "window.calls"), client_text(b, "window.failed"), client_text(b, "window.slow"),
           client_text(b, "totals.rejected"));
    if (json_object(b, "bulkhead")) {
        printf("; in flight %s/%s, queued %s/%s", client_text(b, "bulkhead.inFlight"),
               client_text(b, "bulkhead.maxInFlight"), client_text(b, "bulkhead.queued"),
               client_text(b, "bulkhead.maxQueue"));
    }
    if (json_text(b, "lastCause")) {
        printf("; last cause \"%s\" at %s", client_text(b, "lastCause"), client_text(b, "lastCauseAt"));
    }
    putchar('\n');
}

static const struct option breaker_options[] = {
    {"actor", required_argument, NULL, 'a'}, {"reason", required_argument, NULL, 'r'}, CLIENT_OPTIONS};

static int switch_breaker(struct client *c, const char *name, const char *action, const char *actor,
                          const char *reason, cJSON **data)
{
    struct buf path;
    buf_init(&path, 1024);
    buf_printf(&path, "/admin/breakers/%s", name);
    cJSON *body = cJSON_CreateObject();
    cJSON_AddStringToObject(body, "action", action);
    cJSON_AddStringToObject(body, "actor", actor);
    if (reason) {
        cJSON_AddStringToObject(body, "reason", reason);
    }
    int rc = strspn(name, "abcdefghijklmnopqrstuvwxyz.") == strlen(name) && buf_ok(&path)
                 ? client_call(c, "PUT", path.data, body, data)
                 : client_usage("breakers [NAME forced-open|disabled|metrics-only|closed|reset]");
    cJSON_Delete(body);
    buf_free(&path);
    return rc;
}

int cli_breakers(const char *config_file, int argc, char **argv)
{
    struct client c;
    cJSON *data = NULL;
    const char *actor = client_actor(), *reason = NULL;
    bool ok = true;
    client_init(&c, "breakers", config_file);
    optind = 0;
    for (int opt; ok && (opt = getopt_long(argc, argv, "", breaker_options, NULL)) != -1;) {
        if (opt == 'a') {
            actor = optarg;
        } else if (opt == 'r') {
            reason = optarg;
        } else {
            ok = client_option(&c, opt);
        }
    }
    int left = argc - optind - 1, rc;
    char **words = argv + optind + 1;
    if (!ok || (left != 0 && left != 2)) {
        rc = client_usage(
            "breakers [NAME forced-open|disabled|metrics-only|closed|reset [--reason R] [--actor A]] "
            "[--json] [--socket PATH | --slot N]");
    } else if ((rc = client_find(&c, false)) == CLIENT_OK) {
        rc = left ? switch_breaker(&c, words[0], words[1], actor, reason, &data)
                  : client_call(&c, "GET", "/admin/breakers", NULL, &data);
    }
    if (rc == CLIENT_OK && !client_print_json(&c, data)) {
        const cJSON *b;
        if (left) {
            print_breaker(json_object(data, "breaker"));
        }
        cJSON_ArrayForEach(b, json_array(data, "breakers"))
        {
            print_breaker(b);
        }
    }
    cJSON_Delete(data);
    client_free(&c);
    return rc;
}

/* ---- slots ---- */

static void print_slots(const cJSON *data)
{
    const cJSON *s;
    cJSON_ArrayForEach(s, json_array(data, "slots"))
    {
        printf("slot %-3s %-12s", client_text(s, "slot"), client_text(s, "state"));
        if (cJSON_GetObjectItemCaseSensitive(s, "open")) {
            printf(
                " open %s (in doubt %s), rows %s, calls %s, events %s (dead %s), invalidations %s, %s bytes, "
                "instance %s",
                client_text(s, "open"), client_text(s, "inDoubt"), client_text(s, "historyPending"),
                client_text(s, "callsPending"), client_text(s, "eventsPending"), client_text(s, "eventsDead"),
                client_text(s, "invalidations"), client_text(s, "bytes"), client_text(s, "instance"));
        }
        if (json_text(s, "reason")) {
            printf(" %s", client_text(s, "reason"));
        }
        putchar('\n');
    }
}

/* Nobody runs: what is left behind is looked at from here. NULL: told. */
static cJSON *slots_offline(struct client *c)
{
    static struct journal_slot found[JOURNAL_SLOTS_MAX];
    struct buf b;
    const struct journal_config *journal = config_values(c->settings, &journal_config_section);
    size_t count = journal_slots(journal->path, -1, found);
    cJSON *data = NULL;
    fprintf(stderr, "slots: no daemon runs; this is what %s holds\n", journal->path);
    buf_init(&b, (size_t)1 << 20);
    buf_json_open(&b, NULL, '{');
    view_slots(&b, found, count, clock_wall_ms());
    buf_json_close(&b, '}');
    if (buf_ok(&b)) {
        data = cJSON_ParseWithLength(b.data, b.len);
    }
    buf_free(&b);
    return data;
}

static int list_slots(struct client *c, cJSON **data)
{
    int rc = client_find(c, c->slot < 0);
    if (rc == CLIENT_OK) {
        return client_call(c, "GET", "/admin/slots", NULL, data);
    }
    if (rc == CLIENT_NO_DAEMON && !c->socket && c->slot < 0) {
        *data = slots_offline(c);
        rc = *data ? CLIENT_OK : CLIENT_REFUSED;
    }
    return rc;
}

int cli_slots(const char *config_file, int argc, char **argv)
{
    struct client c;
    cJSON *data = NULL;
    client_init(&c, "slots", config_file);
    int rc = read_options(&c, argc, argv) && optind == argc - 1
                 ? list_slots(&c, &data)
                 : client_usage("slots [--json] [--socket PATH | --slot N]");
    if (rc == CLIENT_OK && !client_print_json(&c, data)) {
        print_slots(data);
    }
    cJSON_Delete(data);
    client_free(&c);
    return rc;
}
