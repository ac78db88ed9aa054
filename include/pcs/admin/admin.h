/* admin.h - the operator's API: on a Unix socket beside the journal, and on TCP if configured (issue 5, point 7).
 *
 * The Unix socket (0600) serves root and the daemon's own user, told by peer credentials. TCP has a bearer token of its
 * own and looks at Host, so that a web page cannot reach it through a rebound name. Both have their own HTTP server on
 * the first reactor and the same routes; nothing of them is on the customers' port. docs/admin-api.md describes them. */
#ifndef PCS_ADMIN_ADMIN_H
#define PCS_ADMIN_ADMIN_H

#include "pcs/change/change.h"
#include "pcs/core/config.h"
#include "pcs/delivery/delivery.h"
#include "pcs/http/http.h"

#include <stdatomic.h>

#define ADMIN_TOKEN_MIN   32 /* bytes */
#define ADMIN_SOCKET_NAME "admin.sock"

struct admin_config {
    const char *bind;
    int64_t port;           /* 0: not on TCP */
    const char *token_file; /* required with a port */
    const char *socket;     /* "": ADMIN_SOCKET_NAME in the journal's slot */
};
extern const struct config_section admin_config_section;
extern const struct http_route admin_routes[];
extern const size_t admin_route_count;

/* Giving the journal's slot up (docs/operations.md): set by an operator, worked on by the main thread. */
struct admin_retire {
    _Atomic bool asked;
    _Atomic bool leave_dead; /* dead letters and refused rows may stay in the file */
    void (*wake)(void *arg); /* asked has changed. Any thread */
    void *arg;
};

/* What the handlers work with. Everything outlives the admin, and belongs to the first reactor or to all. */
struct admin_parts {
    struct reactor *reactor;
    struct journal *journal;
    const char *journal_path; /* the directory of the slots */
    struct history *history;
    struct delivery *delivery;
    struct kos_gates *gates;
    struct breaker *redis_breaker;
    struct redis_link *redis;
    struct store *store;
    struct change_service *changes;
    const _Atomic bool *ready, *stopping; /* recovery is done; the end has begun */
    struct admin_retire *retire;
    bool local_only; /* only the Unix socket, and in the slot: another process has the configured doors */
    const struct config_section *const *sections;
    size_t section_count;
};

struct admin;

/* Opens both doors. settings: the snapshot in force, a reference is taken. NULL with a sentence in err. The first
 * reactor's thread, as everything below. */
struct admin *admin_create(const struct admin_parts *parts, struct config *settings, char *err,
                           size_t errlen);
/* Takes over another snapshot, and reads the token again. False with err: the old token stays. */
bool admin_reload(struct admin *a, struct config *settings, char *err, size_t errlen);
/* Shutdown: no further connections. */
void admin_quiesce(struct admin *a);
/* Requests without an answer. */
size_t admin_pending(const struct admin *a);
/* Ends both servers and removes the socket; their memory goes with the loop's next turns. NULL is fine. */
void admin_stop(struct admin *a);

/* Reads what the settings name, as a start would. False: a sentence in err. */
bool admin_check_files(const struct admin_config *config, char *err, size_t errlen);

/* Where the socket of a slot is: into out (configured: admin.socket). False: it does not fit. */
bool admin_socket_path(const char *configured, const char *journal_path, unsigned slot, char *out,
                       size_t size);

#endif
