/* client.c - finding the daemon, asking it, and reading a journal that has none. */
#include "cli/client.h"

#include "cli/cli.h"
#include "pcs/admin/admin.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MAX  ((size_t)64 << 20)
#define CALL_WAIT_S 60L

void client_init(struct client *c, const char *command, const char *config_file)
{
    *c = (struct client){.command = command, .config_file = config_file, .slot = -1, .dir_fd = -1};
}

void client_free(struct client *c)
{
    config_unref(c->settings);
    if (c->dir_fd >= 0) {
        close(c->dir_fd);
    }
}

bool client_option(struct client *c, int opt)
{
    char *end;
    long slot;
    switch (opt) {
    case CLIENT_OPT_CONFIG:
        c->config_file = optarg;
        return true;
    case CLIENT_OPT_SOCKET:
        c->socket = optarg;
        return true;
    case CLIENT_OPT_JSON:
        c->json = true;
        return true;
    case CLIENT_OPT_SLOT:
        slot = strtol(optarg, &end, 10);
        if (*optarg >= '0' && *optarg <= '9' && !*end && slot < JOURNAL_SLOTS_MAX) {
            c->slot = (int)slot;
            return true;
        }
        fprintf(stderr, "%s: --slot must be a number from 0 to %d\n", c->command, JOURNAL_SLOTS_MAX - 1);
        return false;
    default:
        return false;
    }
}

int client_usage(const char *text)
{
    fprintf(stderr, "usage: product-change-service %s\n", text);
    return CLIENT_USAGE;
}

/* ---- the settings that say where the journal is ---- */

bool client_load(struct client *c)
{
    char err[8192];
    if (c->settings) {
        return true;
    }
    c->settings = cli_load_for_command(c->config_file, err, sizeof err);
    if (!c->settings) {
        fprintf(stderr, "%s: the settings cannot be read (or name the daemon with --socket):\n%s\n",
                c->command, err);
    }
    return c->settings != NULL;
}

static const struct journal_config *journal_settings(const struct client *c)
{
    return config_values(c->settings, &journal_config_section);
}

/* ---- finding the daemon ---- */

/* sockaddr_un and curl take 107 bytes: a longer path is named by the descriptor of its directory. */
static bool take_path(struct client *c, const char *path)
{
    char copy[4096];
    snprintf(copy, sizeof copy, "%s", path);
    if (strlen(path) < sizeof((struct sockaddr_un *)NULL)->sun_path) {
        snprintf(c->path, sizeof c->path, "%s", path);
        return true;
    }
    if (c->dir_fd >= 0) {
        close(c->dir_fd);
    }
    c->dir_fd = open(dirname(copy), O_PATH | O_DIRECTORY | O_CLOEXEC);
    snprintf(c->path, sizeof c->path, "/proc/self/fd/%d%s", c->dir_fd, strrchr(path, '/'));
    return c->dir_fd >= 0;
}

static bool answers(struct client *c, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!take_path(c, path)) {
        return false;
    }
    snprintf(address.sun_path, sizeof address.sun_path, "%.*s", (int)sizeof address.sun_path - 1, c->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool up = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    int cause = errno;
    if (fd >= 0) {
        close(fd);
    }
    errno = cause;
    return up;
}

static int not_running(const struct client *c, const char *where, const char *cause, bool quiet)
{
    if (!quiet) {
        fprintf(stderr, "%s: no daemon answers at %s (%s)\n", c->command, where, cause);
    }
    return CLIENT_NO_DAEMON;
}

/* The socket of the one slot whose daemon runs. */
static int find_slot(struct client *c, const struct admin_config *admin, bool quiet)
{
    const char *base = journal_settings(c)->path;
    char path[4096], found[4096] = "";
    int count = 0;
    for (unsigned n = 0; n < JOURNAL_SLOTS_MAX; n++) {
        if (admin_socket_path(admin->socket, base, n, path, sizeof path) && access(path, F_OK) == 0 &&
            answers(c, path)) {
            snprintf(found, sizeof found, "%s", path);
            count++;
        }
        if (*admin->socket) {
            break; /* one for all */
        }
    }
    if (count > 1) {
        fprintf(stderr, "%s: %d daemons run on %s: name one with --slot\n", c->command, count, base);
        return CLIENT_REFUSED;
    }
    if (count == 0) {
        return not_running(c, base, "no slot has one", quiet);
    }
    return take_path(c, found) ? CLIENT_OK : CLIENT_REFUSED;
}

int client_find(struct client *c, bool quiet)
{
    char path[4096];
    if (c->socket) {
        return answers(c, c->socket) ? CLIENT_OK
                                     : not_running(c, c->socket, strerror(errno), quiet && c->own_socket);
    }
    if (!client_load(c)) {
        return CLIENT_REFUSED;
    }
    const struct admin_config *admin = config_values(c->settings, &admin_config_section);
    if (c->slot < 0) {
        return find_slot(c, admin, quiet);
    }
    if (!admin_socket_path(admin->socket, journal_settings(c)->path, (unsigned)c->slot, path, sizeof path)) {
        return CLIENT_REFUSED;
    }
    return answers(c, path) ? CLIENT_OK : not_running(c, path, strerror(errno), quiet);
}

/* ---- asking ---- */

static size_t on_answer(char *data, size_t size, size_t count, void *arg)
{
    struct buf *b = arg;
    buf_put(b, data, size * count);
    return buf_ok(b) ? size * count : 0;
}

static CURLcode perform(struct client *c, const char *method, const char *path, const char *body,
                        struct buf *answer, long *status)
{
    char url[4096];
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    CURLcode rc = CURLE_OUT_OF_MEMORY;
    snprintf(url, sizeof url, "http://localhost%s", path);
    headers = headers ? curl_slist_append(headers, "Accept-Language: en") : NULL;
    if (curl && headers) {
        curl_easy_setopt(curl, CURLOPT_URL, url);
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, c->path);
        curl_easy_setopt(curl, CURLOPT_PROXY, "");
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_answer);
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
        curl_easy_setopt(curl, CURLOPT_TIMEOUT, c->wait_s ? c->wait_s : CALL_WAIT_S);
        curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
        if (body || strcmp(method, "GET") != 0) {
            curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body ? body : "");
        }
        rc = curl_easy_perform(curl);
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status);
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    return rc;
}

static int tell_error(const struct client *c, long status, const cJSON *root, const struct buf *answer)
{
    const cJSON *error = json_object(root, "error");
    const char *details = json_text(error, "details");
    if (c->json && root) {
        printf("%s\n", answer->data);
    } else if (error) {
        fprintf(stderr, "%s: %s (%s%s%s)\n", c->command, client_text(error, "message"),
                client_text(error, "code"), details ? ": " : "", details ? details : "");
        const cJSON *field;
        cJSON_ArrayForEach(field, json_array(error, "fields"))
        {
            fprintf(stderr, "  %s %s\n", client_text(field, "field"), client_text(field, "message"));
        }
    } else {
        fprintf(stderr, "%s: the daemon answered %ld\n", c->command, status);
    }
    return CLIENT_REFUSED;
}

int client_call(struct client *c, const char *method, const char *path, const cJSON *body, cJSON **data)
{
    struct buf answer;
    long status = 0;
    char *text = body ? cJSON_PrintUnformatted(body) : NULL;
    int result = CLIENT_REFUSED;
    *data = NULL;
    buf_init(&answer, ANSWER_MAX);
    CURLcode rc = perform(c, method, path, text, &answer, &status);
    cJSON *root = rc == CURLE_OK && answer.data ? cJSON_ParseWithLength(answer.data, answer.len) : NULL;
    if (rc != CURLE_OK) {
        fprintf(stderr, "%s: %s: %s\n", c->command, c->path, curl_easy_strerror(rc));
    } else if (status / 100 != 2 || !root) {
        result = tell_error(c, status, root, &answer);
    } else {
        *data = cJSON_DetachItemFromObject(root, "data");
        result = *data ? CLIENT_OK : CLIENT_REFUSED;
    }
    cJSON_Delete(root);
    buf_free(&answer);
    free(text);
    return result;
}

void client_query(struct buf *path, const char *name, const char *value)
{
    if (value) {
        char *escaped = curl_easy_escape(NULL, value, 0);
        buf_printf(path, "%c%s=%s", path->data && strchr(path->data, '?') ? '&' : '?', name,
                   escaped ? escaped : "");
        curl_free(escaped);
    }
}

/* ---- without a daemon ---- */

bool client_slot_socket(struct client *c, char *out, size_t size)
{
    return client_load(c) && admin_socket_path("", journal_settings(c)->path, (unsigned)c->slot, out, size);
}

enum journal_slot_state client_slot_state(struct client *c)
{
    return client_load(c) ? journal_slot_look(journal_settings(c)->path, (unsigned)c->slot) : SLOT_NONE;
}

struct journal *client_open_journal(struct client *c)
{
    static struct journal_slot slots[JOURNAL_SLOTS_MAX];
    char err[1024];
    int slot = c->slot;
    if (c->socket) {
        return NULL;
    }
    const struct journal_config *config = journal_settings(c);
    if (slot < 0) {
        size_t n = journal_slots(config->path, -1, slots);
        if (n != 1) {
            fprintf(stderr,
                    n ? "%s: %zu journals are in %s: name one with --slot\n" : "%s: %zu journals are in %s\n",
                    c->command, n, config->path);
            return NULL;
        }
        slot = (int)slots[0].number;
    }
    struct journal *j = journal_open_offline(config, (unsigned)slot, err, sizeof err);
    if (!j) {
        fprintf(stderr, "%s: %s\n", c->command, err);
    } else {
        fprintf(stderr, "%s: no daemon runs; this is what the journal of slot %d holds\n", c->command, slot);
    }
    return j;
}

cJSON *client_read(struct journal *j, struct journal_op *op,
                   void (*view)(struct buf *b, const struct journal_op *op))
{
    struct buf b;
    cJSON *data = NULL;
    enum journal_status status = journal_run_offline(op);
    (void)j;
    buf_init(&b, ANSWER_MAX);
    if (status == JOURNAL_OK || status == JOURNAL_NOT_FOUND) {
        buf_json_open(&b, NULL, '{');
        view(&b, op);
        buf_json_close(&b, '}');
        data = buf_ok(&b) ? cJSON_ParseWithLength(b.data, b.len) : NULL;
    }
    if (!data) {
        fprintf(stderr, "the journal cannot be read (%s)\n", journal_status_name(status));
    }
    buf_free(&b);
    return data;
}
