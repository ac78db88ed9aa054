/* auth-sim mint: tokens for tests and benchmarks, one per line. */
#include "auth.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_MAX 1000000

struct mint {
    const char *secret, *algorithm, *line, *subject, *customer, *issuer, *type, *role;
    long ttl_s, count;
    bool plain; /* line number without dashes */
    cJSON *claims;
};

static const struct option mint_options[] = {
    {"secret", required_argument, NULL, 'k'},
    {"alg", required_argument, NULL, 'a'},
    {"line", required_argument, NULL, 'l'},
    {"line-start", required_argument, NULL, 'l'},
    {"sub", required_argument, NULL, 's'},
    {"customer", required_argument, NULL, 'c'},
    {"ttl", required_argument, NULL, 't'},
    {"claims", required_argument, NULL, 'j'},
    {"count", required_argument, NULL, 'n'},
    {"iss", required_argument, NULL, 'i'},
    {"type", required_argument, NULL, 'y'},
    {"role", required_argument, NULL, 'r'},
    {"no-dashes", no_argument, NULL, 'd'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static void usage(FILE *to)
{
    fputs("usage: auth-sim mint [options]\n"
          "Prints tokens as the auth service signs them, one per line.\n\n"
          "  --secret SECRET     signing key (or JWT_SECRET)\n"
          "  --alg ALG           HS512 (default), HS384, HS256 or none\n"
          "  --line NUMBER       the token's line; absent = no line\n"
          "  --sub USER          sub and userId (default user01)\n"
          "  --customer ID       customerId\n"
          "  --ttl SECONDS       until exp, may be negative (default 3600)\n"
          "  --iss TEXT          issuer (default phonebill-auth-service)\n"
          "  --type TEXT         type (default ACCESS)\n"
          "  --role TEXT         role, such as ADMIN\n"
          "  --claims JSON       members to set; null removes one\n"
          "  --no-dashes         lineNumber without dashes\n"
          "  --count N           N tokens for lines from --line-start, subjects gen0000000…,\n"
          "  --line-start NUMBER customers CUST0000000… (default 01010000000), as --generate makes them\n",
          to);
}

static void read_options(struct mint *m, int argc, char **argv)
{
    int option;

    while ((option = getopt_long(argc, argv, "", mint_options, NULL)) != -1) {
        switch (option) {
        case 'k':
            m->secret = optarg;
            break;
        case 'a':
            m->algorithm = optarg;
            break;
        case 'l':
            m->line = optarg;
            break;
        case 's':
            m->subject = optarg;
            break;
        case 'c':
            m->customer = optarg;
            break;
        case 't':
            m->ttl_s = sim_number_option("--ttl", optarg, -1000000000, 1000000000);
            break;
        case 'j':
            m->claims = cJSON_Parse(optarg);
            if (!cJSON_IsObject(m->claims))
                sim_die("--claims: not a JSON object");
            break;
        case 'n':
            m->count = sim_number_option("--count", optarg, 1, COUNT_MAX);
            break;
        case 'i':
            m->issuer = optarg;
            break;
        case 'y':
            m->type = optarg;
            break;
        case 'r':
            m->role = optarg;
            break;
        case 'd':
            m->plain = true;
            break;
        default:
            usage(option == 'h' ? stdout : stderr);
            exit(option == 'h' ? 0 : 64);
        }
    }
    if (optind < argc)
        sim_die("unexpected argument %s", argv[optind]);
}

static void add_text(cJSON *claims, const char *name, const char *value)
{
    if (value)
        cJSON_AddStringToObject(claims, name, value);
}

static void print_token(const struct mint *m, const char *line, const char *subject, const char *customer)
{
    cJSON *claims = cJSON_CreateObject();
    double now = (double)(sim_wall_ms() / 1000);
    const cJSON *item;
    struct sim_buf token = {0};
    char dashed[20] = "";
    char *text;

    if (line && !m->plain)
        auth_dashes(line, dashed);
    add_text(claims, "iss", m->issuer);
    add_text(claims, "sub", subject);
    add_text(claims, "userId", subject);
    add_text(claims, "customerId", customer);
    add_text(claims, "lineNumber", line && !m->plain ? dashed : line);
    add_text(claims, "role", m->role);
    add_text(claims, "type", m->type);
    cJSON_AddNumberToObject(claims, "iat", now);
    cJSON_AddNumberToObject(claims, "exp", now + (double)m->ttl_s);
    cJSON_ArrayForEach(item, m->claims)
    {
        cJSON_DeleteItemFromObjectCaseSensitive(claims, item->string);
        if (!cJSON_IsNull(item))
            cJSON_AddItemToObject(claims, item->string, cJSON_Duplicate(item, 1));
    }
    text = cJSON_PrintUnformatted(claims);
    jwt_sign(&token, m->algorithm, m->secret ? m->secret : "", text);
    puts(token.data);
    sim_buf_free(&token);
    free(text);
    cJSON_Delete(claims);
}

int auth_mint(int argc, char **argv)
{
    struct mint m = {.secret = getenv("JWT_SECRET"),
                     .algorithm = "HS512",
                     .issuer = AUTH_ISSUER,
                     .type = "ACCESS",
                     .ttl_s = 3600};
    long first, i;

    read_options(&m, argc, argv);
    if (!jwt_known_algorithm(m.algorithm))
        sim_die("--alg: %s is not HS256, HS384, HS512 or none", m.algorithm);
    if (!m.secret && strcmp(m.algorithm, "none") != 0)
        sim_die("a signing key is needed: --secret or JWT_SECRET");
    if (!m.count)
        print_token(&m, m.line, m.subject ? m.subject : "user01", m.customer);
    first = m.count && m.line ? sim_number_option("--line-start", m.line, 1000000000L, 1099999999L)
                              : AUTH_FIRST_LINE;
    for (i = 0; i < m.count; i++) {
        char line[32], subject[96], customer[96];

        snprintf(line, sizeof line, "0%010ld", first + i);
        snprintf(subject, sizeof subject, "%.60s%07ld", m.subject ? m.subject : "gen",
                 first + i - AUTH_FIRST_LINE);
        snprintf(customer, sizeof customer, "%.60s%07ld", m.customer ? m.customer : "CUST",
                 first + i - AUTH_FIRST_LINE);
        print_token(&m, line, subject, customer);
    }
    cJSON_Delete(m.claims);
    return 0;
}
