/* auth-sim: a stand-in for the auth service, and a mint for tokens. See tests/sim/README.md. */
#include "auth.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct option long_options[] = {
    SIM_LONG_OPTIONS,
    {"data", required_argument, NULL, 'd'},
    {"secret", required_argument, NULL, 'k'},
    {"generate", required_argument, NULL, 'g'},
    {"ttl", required_argument, NULL, 't'},
    {NULL, 0, NULL, 0},
};

static void usage(FILE *to)
{
    fputs("usage: auth-sim --data FILE [options]\n"
          "       auth-sim mint --help\n"
          "Simulates the auth service: login, logout, user data, the gateway's permission "
          "check.\n\n" SIM_OPTIONS_HELP "  --data FILE       users (tests/sim/data/users.json)\n"
          "  --secret SECRET   signing key (or JWT_SECRET)\n"
          "  --generate N      users gen0000000… with lines from 01010000000, password \"password\"\n"
          "  --ttl SECONDS     lifetime of an access token (default 1800)\n",
          to);
}

static void read_options(struct auth *a, struct sim_options *o, int argc, char **argv)
{
    int option;

    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (sim_option(o, option, optarg))
            continue;
        if (option == 'd')
            a->data_path = optarg;
        else if (option == 'k')
            a->secret = optarg;
        else if (option == 'g')
            a->generate = sim_number_option("--generate", optarg, 0, AUTH_GENERATE_MAX);
        else if (option == 't')
            a->ttl_s = sim_number_option("--ttl", optarg, 1, 31536000);
        else {
            usage(option == 'h' ? stdout : stderr);
            exit(option == 'h' ? 0 : 64);
        }
    }
    if (optind < argc)
        sim_die("unexpected argument %s", argv[optind]);
    if (!a->data_path)
        sim_die("--data FILE is needed");
    if (!a->secret || !*a->secret)
        sim_die("a signing key is needed: --secret or JWT_SECRET");
}

int main(int argc, char **argv)
{
    static struct auth a = {.ttl_s = 1800, .refresh_ttl_s = 86400};
    struct sim_options options = {.bind = "127.0.0.1"};
    struct sim_server *server;

    if (argc > 1 && strcmp(argv[1], "mint") == 0)
        return auth_mint(argc - 1, argv + 1);
    a.secret = getenv("JWT_SECRET");
    read_options(&a, &options, argc, argv);
    a.faults.operations = auth_operation_names;
    a.faults.kinds = SIM_RESULT_CODE;
    auth_load(&a);
    server = sim_server_start(&options, auth_routes, &a);
    a.faults.server = server;
    sim_server_run(server);
    sim_faults_clear(&a.faults, true);
    sim_server_stop(server);
    auth_forget_revoked(&a);
    auth_unload(&a);
    return 0;
}
