/* main.c - options and commands; the service itself is in cli/serve.c. */
#include "cli/cli.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPT_CONFIG = 256,
    OPT_CHECK,
    OPT_PRINT_CONFIG,
    OPT_PRINT_SETTINGS,
    OPT_PRINT_ROUTES,
    OPT_VERSION,
    OPT_HELP
};

static const struct option options[] = {
    {"config", required_argument, NULL, OPT_CONFIG},
    {"check-config", no_argument, NULL, OPT_CHECK},
    {"print-config", no_argument, NULL, OPT_PRINT_CONFIG},
    {"print-settings", no_argument, NULL, OPT_PRINT_SETTINGS},
    {"print-routes", no_argument, NULL, OPT_PRINT_ROUTES},
    {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, OPT_HELP},
    {0},
};

static const struct command {
    const char *name;
    int (*run)(const char *config_file);
} commands[] = {
    {"serve", cli_serve},
    {"migrate", cli_migrate},
};

static int run_command(const char *name, const char *config_file)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return commands[i].run(config_file);
        }
    }
    fprintf(stderr, "product-change-service: unknown command \"%s\" (see --help)\n", name);
    return 2;
}

int main(int argc, char **argv)
{
    const char *config_file = NULL;
    int (*instead)(const char *) = NULL;
    for (int opt; (opt = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (opt) {
        case OPT_CONFIG:
            config_file = optarg;
            break;
        case OPT_CHECK:
            instead = cli_check_config;
            break;
        case OPT_PRINT_CONFIG:
            instead = cli_print_config;
            break;
        case OPT_PRINT_SETTINGS:
            cli_print_settings();
            return EXIT_SUCCESS;
        case OPT_PRINT_ROUTES:
            cli_print_routes();
            return EXIT_SUCCESS;
        case OPT_VERSION:
            puts("product-change-service " PCS_VERSION);
            return EXIT_SUCCESS;
        case OPT_HELP:
        case 'h':
            cli_print_help();
            return EXIT_SUCCESS;
        default:
            return 2;
        }
    }
    if (instead) {
        return instead(config_file);
    }
    if (argc - optind > 1) {
        fprintf(stderr, "product-change-service: unexpected argument \"%s\" (see --help)\n",
                argv[optind + 1]);
        return 2;
    }
    return run_command(optind < argc ? argv[optind] : "serve", config_file);
}
