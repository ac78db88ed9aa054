/* client.h - the operator's commands as clients of a running daemon's admin API; without one, readers of the journal.
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include "pcs/core/buf.h"
#include "pcs/core/json.h"
#include "pcs/journal/slots.h"

#include <getopt.h>
#include <stdbool.h>

/* Exit statuses of the operator's commands. */
enum {
    CLIENT_OK = 0,
    CLIENT_REFUSED = 1, /* the daemon said no, or it could not be read */
    CLIENT_USAGE = 2,
    CLIENT_NO_DAEMON = 3
};

struct client {
    const char *command; /* for messages */
    const char *config_file;
    const char *socket; /* --socket */
    bool own_socket;    /* it was chosen by the command itself, which waits for it */
    int slot;           /* --slot; -1: not given */
    bool json;
    long wait_s;             /* for an answer; 0: a minute */
    struct config *settings; /* NULL with --socket */
    char path[4096];         /* of the socket in use */
    int dir_fd;
};

/* Options that every command takes; a command's own stand before them in its table. */
enum { CLIENT_OPT_CONFIG = 1000, CLIENT_OPT_SOCKET, CLIENT_OPT_SLOT, CLIENT_OPT_JSON, CLIENT_OPT_HELP };
#define CLIENT_OPTIONS                                                                                       \
    {"config", required_argument, NULL, CLIENT_OPT_CONFIG},                                                  \
        {"socket", required_argument, NULL, CLIENT_OPT_SOCKET},                                              \
        {"slot", required_argument, NULL, CLIENT_OPT_SLOT}, {"json", no_argument, NULL, CLIENT_OPT_JSON},    \
        {"help", no_argument, NULL, CLIENT_OPT_HELP},                                                        \
    {                                                                                                        \
        0                                                                                                    \
    }

void client_init(struct client *c, const char *command, const char *config_file);
void client_free(struct client *c);
/* Takes one of the common options; false: not one of them, or its value is wrong (told). */
bool client_option(struct client *c, int opt);
/* Prints how the command is used. Returns CLIENT_USAGE. */
int client_usage(const char *text);

/* Reads the settings into c->settings; secrets that a command does not need may be missing. False: told. */
bool client_load(struct client *c);
/* Finds the daemon. CLIENT_OK; CLIENT_NO_DAEMON: none runs, told on stderr unless quiet; else told. */
int client_find(struct client *c, bool quiet);
/* One request; body NULL: none. CLIENT_OK: *data is the answer's data, to be deleted by the caller. Otherwise the
 * error has been told on stderr (with --json: on stdout as it came). */
int client_call(struct client *c, const char *method, const char *path, const cJSON *body, cJSON **data);
/* Appends an escaped query parameter; skipped when value is NULL. */
void client_query(struct buf *path, const char *name, const char *value);

/* How the slot of --slot stands; SLOT_NONE: no journal is in it, or the settings cannot be read (told). */
enum journal_slot_state client_slot_state(struct client *c);
/* The socket in the directory of --slot, whatever is configured. */
bool client_slot_socket(struct client *c, char *out, size_t size);
/* Without a daemon: the journal of --slot, or the only one there is. NULL: told. */
struct journal *client_open_journal(struct client *c);
/* Runs a reading verb on it and returns {members written by view} as data; NULL: told. */
cJSON *client_read(struct journal *j, struct journal_op *op,
                   void (*view)(struct buf *b, const struct journal_op *op));

/* --- printing --- */
/* Prints data as JSON if --json was given; true: that was all. */
bool client_print_json(const struct client *c, const cJSON *data);
/* A member as text, "-" when absent; dots go into objects. The text lives until the next calls (16 of them). */
const char *client_text(const cJSON *object, const char *name);
int64_t client_number(const cJSON *object, const char *name);
/* Who acts, when --actor is not given: the login name behind sudo. */
const char *client_actor(void);

/* --- commands --- */
int cli_status(const char *config_file, int argc, char **argv);
int cli_breakers(const char *config_file, int argc, char **argv);
int cli_slots(const char *config_file, int argc, char **argv);
int cli_settle(const char *config_file, int argc, char **argv);
int cli_deliveries(const char *config_file, int argc, char **argv);
int cli_retire(const char *config_file, int argc, char **argv);
int cli_forward(const char *config_file, int argc, char **argv);
int cli_backup(const char *config_file, int argc, char **argv);
int cli_forget(const char *config_file, int argc, char **argv);
int cli_trace(const char *config_file, int argc, char **argv);
/* 0: clean, 1: findings, 2: not verified. */
int cli_verify_history(const char *config_file, int argc, char **argv);

#endif
