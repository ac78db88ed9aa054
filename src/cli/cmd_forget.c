/* cmd_forget.c - the command `forget`: erases a line's personal fields, in every journal of journal.path.
 *
 * A slot with a daemon is done by it (admin API), one without by this program. Each tells what it erased where; what the
 * journals of other hosts may still have is told at the end. Exit status: 0 all done, 1 not all of it, 2 wrong use, 3 no
 * journal. */
#include "cli/client.h"
#include "cli/forget_offline.h"
#include "pcs/admin/admin.h"
#include "pcs/admin/view.h"
#include "pcs/core/clock.h"
#include "pcs/core/id.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USAGE                                                                                                \
    "forget LINE --reason R [--actor A] [--give-up-dead-letters]   [--json] [--socket PATH | --slot N] "     \
    "[--config FILE]"
#define ANSWER_MAX ((size_t)1 << 20)

static const struct option options[] = {{"actor", required_argument, NULL, 'a'},
                                        {"reason", required_argument, NULL, 'r'},
                                        {"give-up-dead-letters", no_argument, NULL, 'g'},
                                        CLIENT_OPTIONS};

struct forgetting {
    struct client c;
    struct forget_request in;
    char line[LINE_LEN + 1];
    cJSON *answers; /* one for each slot */
    bool all;       /* everything was done */
};

/* ---- one slot ---- */

/* Takes over data; slot -1: by --socket. */
static void add_answer(struct forgetting *f, cJSON *data, int slot, const char *by)
{
    if (slot >= 0) {
        cJSON_AddNumberToObject(data, "slot", slot);
    }
    cJSON_AddStringToObject(data, "by", by);
    cJSON_AddItemToArray(f->answers, data);
    if (f->c.json) {
        return;
    }
    printf(slot >= 0 ? "slot %d" : "the daemon", slot);
    printf(" (%s): Redis %s keys, PostgreSQL %s rows and %s salts, journal %s rows and %s events", by,
           client_text(data, "redis.keys"), client_text(data, "postgresql.rows"),
           client_text(data, "postgresql.links"), client_text(data, "journal.rows"),
           client_text(data, "journal.events"));
    if (client_number(data, "journal.deadLettersGivenUp")) {
        printf(", %s dead letters given up", client_text(data, "journal.deadLettersGivenUp"));
    }
    putchar('\n');
}

static void by_daemon(struct forgetting *f, int slot)
{
    cJSON *body = cJSON_CreateObject(), *data = NULL;
    bool json = f->c.json;
    cJSON_AddStringToObject(body, "lineNumber", f->line);
    cJSON_AddStringToObject(body, "actor", f->in.actor);
    cJSON_AddStringToObject(body, "reason", f->in.reason);
    cJSON_AddBoolToObject(body, "giveUpDeadLetters", f->in.give_up);
    f->c.json = false; /* errors go to stderr: there may be several answers */
    if (client_call(&f->c, "POST", "/admin/lines/forget", body, &data) == CLIENT_OK) {
        f->c.json = json;
        add_answer(f, data, slot, "daemon");
    } else {
        f->all = false;
        if (slot >= 0) {
            fprintf(stderr, "forget: slot %d is not done\n", slot);
        }
    }
    f->c.json = json;
    cJSON_Delete(body);
}

static void by_ourselves(struct forgetting *f, const struct journal_slot *slot)
{
    char why[512];
    struct offline_forget o = {.settings = f->c.settings, .slot = slot, .request = &f->in};
    enum forget_answer answer = offline_forget_run(&o);
    if (answer == FORGET_DONE) {
        struct buf b;
        buf_init(&b, ANSWER_MAX);
        buf_json_open(&b, NULL, '{');
        view_forgotten(&b, slot->instance, &o.report);
        buf_json_close(&b, '}');
        cJSON *data = buf_ok(&b) ? cJSON_ParseWithLength(b.data, b.len) : NULL;
        buf_free(&b);
        if (data) {
            add_answer(f, data, (int)slot->number, "without a daemon");
        }
    } else {
        f->all = false;
        view_forget_why(why, sizeof why, &o.report);
        fprintf(stderr, "forget: slot %u: %s\n", slot->number, why);
    }
    offline_forget_free(&o);
}

/* ---- all of them ---- */

static void each_slot(struct forgetting *f, const struct journal_slot *slots, size_t count)
{
    const struct admin_config *admin = config_values(f->c.settings, &admin_config_section);
    bool shared_door = *admin->socket != '\0', asked = false;
    int only = f->c.slot;
    for (size_t i = 0; i < count; i++) {
        const struct journal_slot *s = &slots[i];
        if (only >= 0 && (unsigned)only != s->number) {
            continue;
        }
        if (s->state == SLOT_ORPHAN || s->state == SLOT_RETIRED) {
            by_ourselves(f, s);
            continue;
        }
        if (shared_door && asked) { /* one socket: which daemon answers there cannot be told */
            fprintf(stderr, "forget: slot %u is in use by another daemon: name its socket (--socket)\n",
                    s->number);
            f->all = false;
            continue;
        }
        f->c.slot = (int)s->number;
        if (client_find(&f->c, false) == CLIENT_OK) {
            by_daemon(f, (int)s->number);
            asked = true;
        } else {
            f->all = false;
        }
        f->c.slot = only;
    }
}

static bool done_here(const struct forgetting *f, const char *instance)
{
    const cJSON *a;
    cJSON_ArrayForEach(a, f->answers)
    {
        if (strcmp(client_text(a, "journal.instance"), instance) == 0) {
            return true;
        }
    }
    return false;
}

/* Instances whose rows PostgreSQL had, and whose journal was not among ours. */
static void tell_elsewhere(struct forgetting *f, cJSON *list)
{
    const cJSON *a, *of;
    cJSON_ArrayForEach(a, f->answers)
    {
        const cJSON *postgresql = cJSON_GetObjectItemCaseSensitive(a, "postgresql");
        cJSON_ArrayForEach(of, json_array(postgresql, "instances"))
        {
            const char *instance = json_text(of, "instance");
            if (!instance || done_here(f, instance)) {
                continue;
            }
            cJSON_AddItemToArray(list, cJSON_Duplicate(of, true));
            if (!f->c.json) {
                printf(
                    "instance %s had %s rows of the line, the newest of %s: run this beside its journal too, "
                    "unless its journal.retention has passed since\n",
                    instance, client_text(of, "rows"), client_text(of, "newestRequestedAt"));
            }
        }
    }
}

static int conclude(struct forgetting *f)
{
    cJSON *whole = cJSON_CreateObject(), *elsewhere = cJSON_AddArrayToObject(whole, "elsewhere");
    tell_elsewhere(f, elsewhere);
    bool complete = f->all && cJSON_GetArraySize(elsewhere) == 0;
    cJSON_AddBoolToObject(whole, "complete", complete);
    cJSON_AddItemToObject(whole, "journals", f->answers);
    f->answers = NULL;
    if (!client_print_json(&f->c, whole)) {
        puts(complete ? "all of it is erased" : "not all of it is erased: see above, and repeat it");
    }
    cJSON_Delete(whole);
    return complete ? CLIENT_OK : CLIENT_REFUSED;
}

static int forget(struct forgetting *f)
{
    static struct journal_slot slots[JOURNAL_SLOTS_MAX];
    f->all = true;
    f->answers = cJSON_CreateArray();
    if (f->c.socket) {
        int rc = client_find(&f->c, false);
        if (rc != CLIENT_OK) {
            return rc;
        }
        by_daemon(f, -1);
        return conclude(f);
    }
    if (!client_load(&f->c)) {
        return CLIENT_REFUSED;
    }
    const struct journal_config *journal = config_values(f->c.settings, &journal_config_section);
    size_t count = journal_slots(journal->path, -1, slots);
    each_slot(f, slots, count);
    if (f->all && cJSON_GetArraySize(f->answers) == 0) {
        fprintf(stderr, "forget: there is no journal%s in %s\n", f->c.slot >= 0 ? " in this slot" : "",
                journal->path);
        return CLIENT_NO_DAEMON;
    }
    return conclude(f);
}

static bool read_words(struct forgetting *f, int argc, char **argv)
{
    bool ok = true;
    optind = 0;
    for (int opt; ok && (opt = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (opt) {
        case 'a':
            f->in.actor = optarg;
            break;
        case 'r':
            f->in.reason = optarg;
            break;
        case 'g':
            f->in.give_up = true;
            break;
        default:
            ok = client_option(&f->c, opt);
            break;
        }
    }
    if (!ok || argc - optind != 2 || !f->in.reason || !*f->in.reason) {
        return false;
    }
    if (!line_parse(argv[optind + 1], strlen(argv[optind + 1]), f->line)) {
        fprintf(stderr, "forget: a line is 010 followed by 8 digits\n");
        return false;
    }
    if (forget_names_line(f->in.reason, f->line) || forget_names_line(f->in.actor, f->line)) {
        fprintf(stderr, "forget: the reason is kept, so it must not contain the line's number\n");
        return false;
    }
    f->in.line = f->line;
    return true;
}

int cli_forget(const char *config_file, int argc, char **argv)
{
    struct forgetting f = {.in = {.actor = client_actor()}};
    client_init(&f.c, "forget", config_file);
    int rc = read_words(&f, argc, argv) ? forget(&f) : client_usage(USAGE);
    cJSON_Delete(f.answers);
    client_free(&f.c);
    return rc;
}
