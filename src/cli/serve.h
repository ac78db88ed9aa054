/* serve.h - inside the command `serve`: the process and its reactors. */
#ifndef CLI_SERVE_H
#define CLI_SERVE_H

#include "cli/cli.h"

#include "pcs/admin/admin.h"
#include "pcs/api/api.h"

#define REACTORS_MAX 64
#define ERROR_MAX    2048

/* Everything that lives on one reactor, made and ended on its own thread. */
struct instance {
    struct reactor reactor;
    struct service *service;
    struct api api;
    struct call_client *calls;
    struct http_server *server;
    struct admin *admin; /* of the first reactor only */
    int listen_fd;
    bool says; /* the answer to the main thread's last question */
    char err[ERROR_MAX];
};

/* The process. */
struct service {
    const char *config_file;
    struct config *config;   /* in force */
    struct config *keep[64]; /* older ones, still pointed to by what cannot be reloaded */
    size_t kept;
    struct journal *journal;
    struct history *history;
    struct identity_verifier *verifier;
    struct kos_gates gates;
    struct breaker *redis_breaker;
    struct api_shared shared;
    struct change_shared *changes;
    struct instance *instances;
    unsigned count;
    struct admin_retire retire; /* the slot is given up: no new changes, and the end when nothing is left */
    bool only_retire;           /* this process was started for that alone: no customers */
    unsigned slot;              /* then: the slot */
    bool refusing;              /* the journal has been told */
    unsigned empty_looks;       /* in a row */
    bool retired;               /* it came to it */
    _Atomic int recovered;      /* 0: not yet, 1: yes, -1: failed */
};

extern struct metric_family process_loop_lag, process_log_dropped; /* settings.c */

/* process_metrics.c: adds the process's own samples to every scrape. Main thread, once. */
void process_metrics_start(void);

/* --- instance.c: on the reactor's own thread --- */
bool instance_start(struct reactor *r, void *instance);
/* Begins to answer customers (and, on the first, operators). says: it worked. */
void instance_serve(struct instance *i);
/* says: Redis has not been reached yet. */
void instance_redis_away(struct instance *i);
/* Runs fn on i's thread and waits for it. Main thread. */
void instance_run(struct instance *i, void (*fn)(struct instance *));
void instance_quiesce(struct instance *i);
void instance_drain(struct instance *i);
void instance_let_go(struct instance *i);
void instance_free(struct instance *i);
bool instance_busy(struct instance *i);
bool instance_idle(struct instance *i);

/* --- retire.c: main thread --- */
/* Looks again: are new changes refused or taken, is anything left? True: nothing is, twice in a row. */
bool service_emptied(struct service *s);
/* The command `retire`, in a process of its own: takes the slot and empties it. Returns the exit status. */
int cli_serve_retiring(const char *config_file, unsigned slot, bool leave_dead);

/* --- reload.c --- */
void service_reload(struct service *s);

#endif
