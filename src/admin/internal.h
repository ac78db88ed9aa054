/* internal.h - inside the admin module: the two doors, and what the endpoints share. */
#ifndef ADMIN_INTERNAL_H
#define ADMIN_INTERNAL_H

#include "pcs/admin/admin.h"
#include "pcs/admin/view.h"
#include "pcs/core/id.h"
#include "pcs/core/json.h"

#define ADMIN_ANSWER_MAX ((size_t)32 << 20)
#define ACTOR_MAX        64  /* bytes of who acts */
#define REASON_MAX       200 /* bytes of why */

/* One way in: a listening socket and its HTTP server. It is the context of the server's requests. */
struct door {
    struct admin *admin;
    struct http_server *server; /* NULL: shut */
    bool local;                 /* the Unix socket */
};

struct admin {
    struct admin_parts parts;
    struct admin_config config;
    struct http_config http; /* of both servers */
    struct config *settings;
    struct door local, tcp;
    char token_hash[SHA256_HEX_LEN + 1]; /* "": no token */
    int64_t started_at;
    char socket_path[4096];
    bool socket_made;
    bool ending; /* what is under way is answered, nothing new is begun */
};

static inline struct admin *admin_of(const struct http_request *rq)
{
    return ((const struct door *)rq->context)->admin;
}

/* --- listen.c --- */
/* A listening Unix socket at path, 0600. A socket that nobody listens on is replaced. -1 with a sentence in err. */
int listen_local(const char *path, char *err, size_t errlen);

/* --- gate.c --- */
bool admin_gate(struct http_request *rq);
/* Hash of the token in the file; false: a sentence that names the setting. */
bool token_read(const char *file, char hash[SHA256_HEX_LEN + 1], char *err, size_t errlen);
/* May Host be this? bind: as configured. Against DNS rebinding: an attacker's page can only send a name. */
bool host_allowed(const char *host, const char *bind);

/* --- common.c --- */
extern const struct http_problem admin_unauthorized, admin_forbidden, admin_request_not_found,
    admin_breaker_not_found, admin_event_not_found, admin_slot_not_found, admin_not_in_doubt, admin_busy,
    admin_already_pending, admin_out_of_order, admin_slot_in_use, admin_ending, admin_line_busy,
    admin_backup_busy;

void admin_fail(struct http_request *rq, const struct http_problem *problem, const char *details);
void admin_fail_field(struct http_request *rq, const char *field, const char *ko, const char *en);
void admin_unavailable(struct http_request *rq, const char *reason);
/* {"success":true,"data":{...}}: opens, and closes and sends. */
void admin_data_open(struct buf *b);
void admin_data_send(struct http_request *rq, struct buf *b, int status);
/* A whole number of the query; fallback when absent. False: answered. */
bool admin_query_int(struct http_request *rq, const char *name, int64_t low, int64_t high, int64_t fallback,
                     int64_t *out);
/* A line of the query, NULL when absent. False: answered. */
bool admin_query_line(struct http_request *rq, const char **line);
/* {requestId} of the path, as a UUID; false: answered with 404. */
bool admin_path_id(struct http_request *rq, char id[UUID_LEN + 1]);

/* The body of a POST or PUT, an object; NULL: answered with 400. cJSON_Delete() it. */
cJSON *admin_body(struct http_request *rq);
/* A text member of at most max bytes without control characters. NULL: absent, or (then *ok is false) answered. In the
 * request's arena. */
const char *admin_body_text(struct http_request *rq, const cJSON *body, const char *name, size_t max,
                            bool required, bool *ok);
/* Who asks, as the door knows it: "uid 0", "token". */
const char *admin_caller(const struct http_request *rq);

/* --- endpoints: one file each group --- */
void handle_console(struct http_request *rq);
void handle_console_style(struct http_request *rq);
void handle_console_script(struct http_request *rq);
void handle_admin_status(struct http_request *rq);
void handle_admin_metrics(struct http_request *rq);
void handle_breakers(struct http_request *rq);
void handle_breaker_put(struct http_request *rq);
void handle_doubts(struct http_request *rq);
void handle_settle(struct http_request *rq);
void handle_check(struct http_request *rq);
void handle_deliveries(struct http_request *rq);
void handle_replay(struct http_request *rq);
void handle_trace(struct http_request *rq);
/* The service ends: a copy that is being made is given up, so that its request is answered. */
void admin_backup_stop(struct admin *a);
void handle_backup(struct http_request *rq);
void handle_forget(struct http_request *rq);
void handle_slots(struct http_request *rq);
void handle_retire(struct http_request *rq);
void handle_retire_cancel(struct http_request *rq);

#endif
