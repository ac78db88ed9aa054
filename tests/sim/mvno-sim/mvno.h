/* MVNO AP simulator: what its files share. One thread. */
#ifndef MVNO_H
#define MVNO_H

#include "sim_exchange.h"
#include "sim_state.h"

#define MVNO_ATTEMPTS_MAX  10000
#define MVNO_EVENTS_MAX    200000
#define MVNO_TOLERANCE_S   300
#define MVNO_REASON_SIZE   96
#define MVNO_SECRET_PREFIX "whsec_"

/* One event that was accepted (answered 2xx, or accepted before a fault took the answer away). */
struct mvno_event {
    uint64_t sequence; /* order of arrival, from 1 */
    int64_t first_ms, last_ms;
    unsigned deliveries; /* 1 = told once */
    bool verified;       /* the signature was checked and is right */
    bool changed;        /* a later delivery had another body: a contradiction */
    char *id;            /* webhook-id */
    char *request_id;
    char *type;
    char line[16];
    char *headers; /* JSON object, of the first delivery */
    char *body;    /* as received */
};

/* One delivery attempt, whatever became of it. */
struct mvno_attempt {
    uint64_t sequence;
    int64_t at_ms;
    char id[72];
    char request_id[72];
    char type[48];
    char line[16];
    char timestamp[24];
    char signature[160];
    const char *outcome; /* waiting, accepted, duplicate, refused, faulted */
    char reason[MVNO_REASON_SIZE];
};

struct mvno {
    struct sim_faults faults;
    struct sim_state state;
    unsigned char *key; /* NULL = unsigned deliveries are accepted */
    size_t key_length;
    bool lax; /* do not check the body against the contract */
    size_t max_events;

    struct mvno_event **events; /* ring of the last max_events, by sequence */
    uint64_t event_count;
    struct sim_map by_id;
    struct sim_map by_request; /* requestId → its first event that is kept */
    struct mvno_attempt *attempts;
    uint64_t attempt_count;
    struct sim_stats stats;
    uint64_t duplicates, refused, changed, several_per_request;
};

/* webhook.c: checks one delivery. Return the HTTP status: 200, or 400, 401, 415, 422 with a reason. */
unsigned mvno_check_head(const struct mvno *m, const struct sim_req *req, char reason[MVNO_REASON_SIZE]);
unsigned mvno_check_body(const cJSON *body, const char *webhook_id, char reason[MVNO_REASON_SIZE]);
/* Decodes the secret (whsec_: base64, else the bytes as they are); ends the program when it is bad. */
void mvno_set_secret(struct mvno *m, const char *secret);

/* events.c */
struct mvno_delivery; /* one request on its way */
void mvno_deliver(void *app, struct sim_req *req);
void mvno_events_json(const struct mvno *m, struct sim_buf *out, const char *line, const char *request_id,
                      size_t limit);
void mvno_attempts_json(const struct mvno *m, struct sim_buf *out, const char *line, const char *id,
                        size_t limit);
void mvno_clear(struct mvno *m);
void mvno_replay(void *app, cJSON *line);

/* control.c */
extern const struct sim_route mvno_routes[];

#endif
