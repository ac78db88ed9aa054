/* kos-sim: a stand-in for KOS-Order, the carrier's order system. See tests/sim/README.md. */
#include "kos.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ORDERS_DEFAULT 2000000

static const struct option long_options[] = {
    SIM_LONG_OPTIONS,
    {"data", required_argument, NULL, 'd'},
    {"generate", required_argument, NULL, 'g'},
    {"state", required_argument, NULL, 's'},
    {"state-sync", no_argument, NULL, 'y'},
    {"dedup", no_argument, NULL, 'u'},
    {"delay-ms", required_argument, NULL, 'l'},
    {"max-orders", required_argument, NULL, 'm'},
    {NULL, 0, NULL, 0},
};

static void usage(FILE *to)
{
    fputs(
        "usage: kos-sim --data FILE [options]\n"
        "Simulates KOS-Order: inquiry, product list, change order; controlled at /_sim/.\n\n" SIM_OPTIONS_HELP
        "  --data FILE       products and customers (tests/sim/data/kos.json)\n"
        "  --generate N      add N customers, lines from 01010000000\n"
        "  --state FILE      keep orders and changed products through restarts\n"
        "  --state-sync      sync the state file before every answer\n"
        "  --dedup           recognise a repeated requestId: answer as before, do not apply again\n"
        "  --delay-ms N      every answer takes N ms (a delay fault that can be deleted)\n"
        "  --max-orders N    orders kept at most; then answers 9900 (default 2000000)\n",
        to);
}

struct start {
    struct sim_options options;
    const char *state;
    bool sync;
    long delay_ms;
};

static void read_options(struct kos *k, struct start *s, int argc, char **argv)
{
    int option;

    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (sim_option(&s->options, option, optarg))
            continue;
        if (option == 'd')
            k->data_path = optarg;
        else if (option == 'g')
            k->generate = sim_number_option("--generate", optarg, 0, KOS_GENERATE_MAX);
        else if (option == 's')
            s->state = optarg;
        else if (option == 'y')
            s->sync = true;
        else if (option == 'u')
            k->initial.deduplicate = true;
        else if (option == 'l')
            s->delay_ms = sim_number_option("--delay-ms", optarg, 0, 600000);
        else if (option == 'm')
            k->max_orders = (size_t)sim_number_option("--max-orders", optarg, 1, 100000000);
        else {
            usage(option == 'h' ? stdout : stderr);
            exit(option == 'h' ? 0 : 64);
        }
    }
    if (optind < argc)
        sim_die("unexpected argument %s", argv[optind]);
    if (!k->data_path)
        sim_die("--data FILE is needed");
}

static void add_delay(struct kos *k, long ms)
{
    cJSON *spec = cJSON_CreateObject();
    char error[160];

    cJSON_AddStringToObject(spec, "kind", "delay");
    cJSON_AddNumberToObject(spec, "delayMs", (double)ms);
    if (!sim_fault_add(&k->faults, spec, error))
        sim_die("--delay-ms: %s", error);
    cJSON_Delete(spec);
}

int main(int argc, char **argv)
{
    static struct kos k = {.max_orders = ORDERS_DEFAULT};
    struct start start = {.options = {.bind = "127.0.0.1"}};
    struct sim_server *server;

    read_options(&k, &start, argc, argv);
    k.settings = k.initial;
    k.calls = sim_alloc(KOS_CALLS_MAX * sizeof *k.calls);
    k.faults.operations = kos_operation_names;
    k.faults.kinds = SIM_KINDS;
    kos_load(&k);
    sim_state_open(&k.state, start.state, start.sync, kos_replay, &k);
    server = sim_server_start(&start.options, kos_routes, &k);
    k.faults.server = server;
    k.state.server = server;
    if (start.delay_ms)
        add_delay(&k, start.delay_ms);
    sim_server_run(server);
    sim_faults_clear(&k.faults, true);
    sim_server_stop(server); /* may still accept what had arrived: the state file comes after it */
    k.state.server = NULL;
    sim_state_close(&k.state);
    kos_orders_clear(&k);
    kos_unload(&k);
    free(k.calls);
    return 0;
}
