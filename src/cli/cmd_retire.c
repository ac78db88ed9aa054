/* cmd_retire.c - the command `retire`: a slot of the journal is emptied and given up.
 *
 *   its owner runs       POST /admin/retire: it takes no new changes, and ends when nothing is left
 *   it has no owner      a process is started that takes it and does the same, without customers
 *
 * Either way this process looks on through the admin API, tells what is left and why, and what came of it. */
#include "cli/client.h"
#include "cli/serve.h"

#include "pcs/core/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define USAGE                                                                                                \
    "retire --slot N | --orphans [--wait SECONDS] [--leave-dead] [--reason R] [--actor A] [--json]; "        \
    "retire --slot N --cancel"
#define LOOK_US      250000
#define WAIT_DEFAULT INT64_C(900) /* s: longer than kos.settle_horizon */
#define WAIT_MAX     INT64_C(604800)
#define END_WAIT     INT64_C(30) /* s: for a process to end once it was asked to */
#define LEFT_MAX     ((size_t)16384)

static const struct option options[] = {{"wait", required_argument, NULL, 'w'},
                                        {"leave-dead", no_argument, NULL, 'd'},
                                        {"orphans", no_argument, NULL, 'o'},
                                        {"cancel", no_argument, NULL, 'c'},
                                        {"actor", required_argument, NULL, 'a'},
                                        {"reason", required_argument, NULL, 'r'},
                                        CLIENT_OPTIONS};

struct retire {
    struct client *client;
    const char *actor, *reason;
    bool leave_dead, orphans, cancel;
    int64_t wait_s;
    pid_t child;       /* 0: the slot's owner was asked */
    bool seen;         /* the journal could be looked into */
    struct buf left;   /* a line each: what waits, and why */
    char socket[4096]; /* of the process that was started */
};

/* ---- what is left, and why ---- */

static bool is_up(const cJSON *status, const char *neighbour)
{
    return strcmp(client_text(json_object(status, "neighbours"), neighbour), "UP") == 0;
}

static bool is_set(const cJSON *status, const char *setting)
{
    const cJSON *s;
    cJSON_ArrayForEach(s, json_array(status, "settings"))
    {
        if (strcmp(client_text(s, "name"), setting) == 0) {
            return true;
        }
    }
    return false;
}

static void add(struct retire *r, int64_t n, const char *what, const char *why)
{
    if (n > 0) {
        buf_printf(&r->left, "%" PRId64 " %s (%s)\n", n, what, why);
    }
}

/* Each doubt by its name. */
static void add_doubts(struct retire *r)
{
    cJSON *data = NULL;
    const cJSON *d;
    if (client_call(r->client, "GET", "/admin/doubts?limit=50", NULL, &data) != CLIENT_OK) {
        return;
    }
    cJSON_ArrayForEach(d, json_array(data, "doubts"))
    {
        bool waits = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(d, "onOperatorList"));
        buf_printf(&r->left, "  %s line %s: %s%s\n", client_text(d, "requestId"),
                   client_text(d, "lineNumber"),
                   waits ? "waits for an operator: settle ID --outcome ... now, beside this"
                         : "KOS is asked again at ",
                   waits ? "" : client_text(d, "nextCheckAt"));
    }
    cJSON_Delete(data);
}

static void read_left(struct retire *r, const cJSON *status)
{
    const cJSON *journal = json_object(status, "journal"), *backlog = json_object(status, "backlog");
    const char *kos = is_up(status, "kos") ? "KOS is up" : "KOS is out";
    const char *postgres = is_up(status, "postgresql") ? "PostgreSQL is up" : "PostgreSQL does not take them";
    const char *mvno = !is_set(status, "mvno.base_url") ? "MVNO_BASE_URL is not set"
                       : is_up(status, "mvno")          ? "MVNO AP is up"
                                                        : "MVNO AP does not take them";
    const char *redis = is_up(status, "redis") ? "Redis is up" : "Redis is out";
    int64_t doubts = client_number(journal, "inDoubt"), waiting = client_number(journal, "open") - doubts;
    int64_t rows = client_number(backlog, "postgresql.rows"),
            calls = client_number(backlog, "postgresql.calls");
    int64_t links = client_number(backlog, "postgresql.links"),
            events = client_number(backlog, "mvno.events");
    int64_t stale = client_number(backlog, "cache.invalidations"), claims = client_number(journal, "claims");
    int64_t refused = r->leave_dead ? 0 : client_number(backlog, "postgresql.refused");
    int64_t dead = r->leave_dead ? 0 : client_number(backlog, "mvno.dead");
    r->seen = true;
    buf_reset(&r->left);
    add(r, claims, "requests under way", "they are answered within seconds");
    add(r, waiting, "changes that wait for their turn", kos);
    add(r, doubts, "changes in doubt", kos);
    if (doubts) {
        add_doubts(r);
    }
    add(r, rows, "rows of the history", postgres);
    add(r, calls, "notes on calls of KOS", postgres);
    add(r, links, "links of the hash chain", postgres);
    add(r, events, "events", mvno);
    add(r, stale, "cached customers to be dropped", redis);
    add(r, refused, "rows that PostgreSQL refused",
        "kept with its reason; --leave-dead leaves them in the file");
    add(r, dead, "dead letters", "deliveries replay SEQ; --leave-dead leaves them in the file");
}

/* ---- the slot's owner ---- */

/* One socket may be configured for all instances: is it this slot's that answers? */
static bool is_the_slots(struct retire *r)
{
    cJSON *status = NULL;
    bool same = client_call(r->client, "GET", "/admin/status", NULL, &status) == CLIENT_OK &&
                client_number(status, "service.slot") == r->client->slot;
    if (status && !same) {
        fprintf(stderr, "retire: %s is not the socket of slot %d (admin.socket)\n", r->client->path,
                r->client->slot);
    }
    cJSON_Delete(status);
    return same;
}

static int ask_owner(struct retire *r)
{
    if (!is_the_slots(r)) {
        return CLIENT_REFUSED;
    }
    cJSON *body = cJSON_CreateObject(), *data = NULL;
    if (!r->cancel) {
        cJSON_AddStringToObject(body, "actor", r->actor);
        cJSON_AddBoolToObject(body, "leaveDead", r->leave_dead);
        if (r->reason) {
            cJSON_AddStringToObject(body, "reason", r->reason);
        }
    }
    int rc = client_call(r->client, r->cancel ? "DELETE" : "POST", "/admin/retire", r->cancel ? NULL : body,
                         &data);
    cJSON_Delete(body);
    cJSON_Delete(data);
    return rc;
}

/* A process for a slot that has no owner. Ends with this one. */
static void start_owner(struct retire *r)
{
    pid_t parent = getpid();
    if (client_slot_socket(r->client, r->socket, sizeof r->socket)) {
        r->client->socket = r->socket; /* a configured one is another instance's */
        r->client->own_socket = true;
    }
    fflush(NULL);
    r->child = fork();
    if (r->child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent) {
            _exit(EXIT_FAILURE);
        }
        exit(cli_serve_retiring(r->client->config_file, (unsigned)r->client->slot, r->leave_dead));
    }
}

static bool owner_ended(struct retire *r)
{
    if (r->child > 0) {
        int status;
        pid_t got = waitpid(r->child, &status, WNOHANG);
        if (got == r->child || (got < 0 && errno == ECHILD)) {
            r->child = -1;
        }
        return r->child < 0;
    }
    return client_slot_state(r->client) != SLOT_OWNED;
}

/* Only what was started for this is ended: a running instance goes on, retiring. */
static void end_owner(struct retire *r)
{
    if (r->child <= 0) {
        return;
    }
    kill(r->child, SIGTERM);
    for (int64_t n = 0; n < END_WAIT * 1000000 / LOOK_US && !owner_ended(r); n++) {
        usleep(LOOK_US);
    }
    if (r->child > 0) {
        kill(r->child, SIGKILL); /* the journal has everything */
        (void)waitpid(r->child, NULL, 0);
    }
}

/* ---- looking on ---- */

static void print_left(const struct retire *r)
{
    if (!r->client->json && r->left.len) {
        printf("slot %d: left:\n%s", r->client->slot, r->left.data);
        fflush(stdout);
    }
}

static void look(struct retire *r, size_t *shown)
{
    cJSON *status = NULL;
    if (access(r->child ? r->socket : "/", F_OK) != 0 || client_find(r->client, true) != CLIENT_OK ||
        client_call(r->client, "GET", "/admin/status", NULL, &status) != CLIENT_OK) {
        return; /* it has just begun, or ends */
    }
    read_left(r, status);
    cJSON_Delete(status);
    if (r->left.len != *shown) { /* about as often as something moves */
        print_left(r);
        *shown = r->left.len;
    }
}

static void watch(struct retire *r)
{
    uint64_t until = clock_mono_ns() + (uint64_t)r->wait_s * NS_PER_SEC;
    size_t shown = 0;
    while (!owner_ended(r)) {
        look(r, &shown);
        if (clock_mono_ns() >= until) {
            end_owner(r);
            break;
        }
        usleep(LOOK_US);
    }
}

static int report(const struct retire *r, bool retired, const char *note)
{
    int slot = r->client->slot;
    if (r->client->json) {
        cJSON *root = cJSON_CreateObject(), *left = cJSON_AddArrayToObject(root, "left");
        char *copy = retired || !r->left.len ? NULL : strdup(r->left.data), *save = NULL;
        for (char *line = copy ? strtok_r(copy, "\n", &save) : NULL; line;
             line = strtok_r(NULL, "\n", &save)) {
            cJSON_AddItemToArray(left, cJSON_CreateString(line));
        }
        cJSON_AddNumberToObject(root, "slot", slot);
        cJSON_AddBoolToObject(root, "retired", retired);
        char *text = cJSON_Print(root);
        puts(text ? text : "{}");
        free(text);
        free(copy);
        cJSON_Delete(root);
    } else if (retired) {
        printf("slot %d: retired%s\n", slot, note);
    } else if (r->child < 0 && !r->seen) {
        fprintf(
            stderr,
            "retire: slot %d: the process that was to empty it has ended at once, for the reason above; its "
            "journal was left as it is\n",
            slot);
    } else {
        fprintf(stderr, "retire: slot %d is not empty%s; nothing of it is lost, run it again\n%s", slot, note,
                r->left.len ? r->left.data : "");
    }
    return retired ? CLIENT_OK : CLIENT_REFUSED;
}

static int retire_slot(struct retire *r)
{
    struct client *c = r->client;
    enum journal_slot_state state = client_slot_state(c);
    buf_init(&r->left, LEFT_MAX);
    r->child = 0;
    r->seen = false;
    c->socket = NULL;
    c->own_socket = false;
    int rc = CLIENT_OK;
    if (state == SLOT_RETIRED) {
        rc = report(r, true, " already");
    } else if (state == SLOT_ORPHAN && !r->cancel) {
        start_owner(r);
    } else if (state == SLOT_OWNED && (rc = client_find(c, false)) == CLIENT_OK) {
        rc = ask_owner(r);
    } else if (rc == CLIENT_OK) {
        fprintf(stderr,
                state == SLOT_NONE ? "retire: slot %d holds no journal\n" : "retire: slot %d has no owner\n",
                c->slot);
        rc = CLIENT_REFUSED;
    }
    if (rc == CLIENT_OK && state != SLOT_RETIRED) {
        if (r->child < 0) {
            fprintf(stderr, "retire: no process can be started (%s)\n", strerror(errno));
            rc = CLIENT_REFUSED;
        } else if (r->cancel) {
            printf("slot %d: takes new changes again\n", c->slot);
        } else {
            bool asked = r->child == 0;
            watch(r);
            state = client_slot_state(c);
            rc = report(r, state == SLOT_RETIRED,
                        asked && state == SLOT_OWNED
                            ? " (the instance goes on with it, and takes no new changes)"
                            : "");
        }
    }
    buf_free(&r->left);
    return rc;
}

/* Every slot without an owner, one after the other; the worst of the statuses. */
static int retire_orphans(struct retire *r)
{
    int worst = CLIENT_OK, seen = 0;
    for (int n = 0; n < JOURNAL_SLOTS_MAX; n++) {
        r->client->slot = n;
        if (client_slot_state(r->client) == SLOT_ORPHAN) {
            int rc = retire_slot(r);
            worst = rc > worst ? rc : worst;
            seen++;
        }
    }
    if (!seen && !r->client->json) {
        puts("no slot is without an owner");
    }
    return worst;
}

static bool read_wait(const char *text, int64_t *seconds)
{
    char *end;
    errno = 0;
    *seconds = strtoll(text, &end, 10);
    return !errno && *text >= '0' && *text <= '9' && !*end && *seconds <= WAIT_MAX;
}

int cli_retire(const char *config_file, int argc, char **argv)
{
    struct client c;
    struct retire r = {.client = &c, .actor = client_actor(), .wait_s = WAIT_DEFAULT};
    bool ok = true;
    client_init(&c, "retire", config_file);
    optind = 0;
    for (int opt; ok && (opt = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (opt) {
        case 'w':
            ok = read_wait(optarg, &r.wait_s);
            break;
        case 'd':
            r.leave_dead = true;
            break;
        case 'o':
            r.orphans = true;
            break;
        case 'c':
            r.cancel = true;
            break;
        case 'a':
            r.actor = optarg;
            break;
        case 'r':
            r.reason = optarg;
            break;
        default:
            ok = client_option(&c, opt);
            break;
        }
    }
    int rc;
    if (!ok || optind != argc - 1 || c.socket || (c.slot >= 0) == r.orphans || (r.cancel && r.orphans)) {
        rc = client_usage(USAGE);
    } else {
        rc = r.orphans ? retire_orphans(&r) : retire_slot(&r);
    }
    client_free(&c);
    return rc;
}
