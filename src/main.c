/* main.c - options and commands; the service itself is in cli/serve.c. */
#include "cli/cli.h"
#include "cli/client.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* jemalloc's settings, which it reads before main(). What a flood of connections took is given back some seconds after it
 * is over, by a thread of jemalloc's own: the C library's malloc would keep it. Without jemalloc (a sanitizer's build) nobody
 * reads this. */
extern const char *malloc_conf;
const char *malloc_conf = "background_thread:true,dirty_decay_ms:5000,muzzy_decay_ms:0";

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

/* clang-format off */
static const struct command {
    const char *name;
    int (*run)(const char *config_file);
    int (*client)(const char *config_file, int argc, char **argv); /* reads its own words and options */
} commands[] = {
    {"serve", cli_serve, NULL},
    {"migrate", cli_migrate, NULL},
    {"status", NULL, cli_status},
    {"breakers", NULL, cli_breakers},
    {"settle", NULL, cli_settle},
    {"deliveries", NULL, cli_deliveries},
    {"trace", NULL, cli_trace},
    {"slots", NULL, cli_slots},
    {"retire", NULL, cli_retire},
    {"forget", NULL, cli_forget},
    {"backup", NULL, cli_backup},
    {"forward", NULL, cli_forward},
    {"verify-history", NULL, cli_verify_history},
};
/* clang-format on */

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    fprintf(stderr, "product-change-service: unknown command \"%s\" (see --help)\n", name);
    return NULL;
}

struct asked {
    const char *config_file;
    int (*instead)(const char *config_file);
};

/* Options up to the next word. -1: go on; else the exit status. */
static int read_options(int argc, char **argv, struct asked *asked)
{
    for (int opt; (opt = getopt_long(argc, argv, "+h", options, NULL)) != -1;) {
        switch (opt) {
        case OPT_CONFIG:
            asked->config_file = optarg;
            break;
        case OPT_CHECK:
            asked->instead = cli_check_config;
            break;
        case OPT_PRINT_CONFIG:
            asked->instead = cli_print_config;
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
    return -1;
}

int main(int argc, char **argv)
{
    struct asked asked = {0};
    const struct command *command = &commands[0];
    int status = read_options(argc, argv, &asked);
    if (status < 0 && optind < argc) {
        command = find_command(argv[optind]);
        if (!command) {
            return 2;
        }
        if (command->client) {
            return command->client(asked.config_file, argc - optind + 1, argv + optind - 1);
        }
        optind++;
        status = read_options(argc, argv, &asked);
    }
    if (status >= 0) {
        return status;
    }
    if (optind < argc) {
        fprintf(stderr, "product-change-service: unexpected argument \"%s\" (see --help)\n", argv[optind]);
        return 2;
    }
    return asked.instead ? asked.instead(asked.config_file) : command->run(asked.config_file);
}
