/* Auth service simulator: what its files share. One thread. */
#ifndef AUTH_H
#define AUTH_H

#include "sim_exchange.h"

#define AUTH_TOKEN_MAX    4096
#define AUTH_REVOKED_MAX  100000
#define AUTH_ISSUER       "phonebill-auth-service"
#define AUTH_PERMISSION   "PRODUCT_CHANGE"
#define AUTH_GENERATE_MAX 1000000
#define AUTH_FIRST_LINE   1010000000L /* generated line 01010000000 */

struct auth_user {
    char id[64];
    char password[64];
    char customer_id[64];
    char line[20]; /* with dashes; "" = none */
    char name[64];
    char status[16]; /* ACTIVE, LOCKED, … */
    bool admin;
    char permissions[8][48];
    int permission_count;
};

enum auth_operation { AUTH_LOGIN, AUTH_LOGOUT, AUTH_USER, AUTH_CHECK, AUTH_OPERATIONS };
extern const char *const auth_operation_names[AUTH_OPERATIONS + 1];

struct auth {
    struct sim_faults faults;
    const char *data_path;
    const char *secret;
    long generate; /* users gen0000000… exist without being stored */
    long ttl_s, refresh_ttl_s;
    struct sim_map users;
    struct sim_map revoked; /* token → itself */
    struct sim_stats stats[AUTH_OPERATIONS];
    uint64_t last_jti;
};

/* users.c */
void auth_load(struct auth *a);
void auth_unload(struct auth *a);
/* The user, a generated one in `made`, or NULL. */
const struct auth_user *auth_find(const struct auth *a, const char *id, struct auth_user *made);
bool auth_allowed(const struct auth_user *u); /* active, and ADMIN or with PRODUCT_CHANGE */
void auth_user_json(struct sim_buf *out, const struct auth_user *u);
struct auth_user *auth_put_user(struct auth *a, const char *id, const cJSON *spec, const char **error);
/* A line number as 010-1234-5678. */
void auth_dashes(const char *line, char out[20]);

/* jwt.c: HS256, HS384, HS512; "none" signs nothing (attack tests). */
bool jwt_known_algorithm(const char *algorithm);
void jwt_sign(struct sim_buf *out, const char *algorithm, const char *secret, const char *claims_json);
/* The claims when `token` is an HS512 token of this secret that has not expired; NULL and a reason
 * otherwise. The caller deletes them. */
cJSON *jwt_verify(const char *token, const char *secret, const char **reason);

/* endpoints.c, control.c */
void auth_login(void *app, struct sim_req *req);
void auth_logout(void *app, struct sim_req *req);
void auth_user(void *app, struct sim_req *req);
void auth_check(void *app, struct sim_req *req);
void auth_forget_revoked(struct auth *a);
extern const struct sim_route auth_routes[];

/* mint.c: auth-sim mint …; returns the exit code. */
int auth_mint(int argc, char **argv);

#endif
