/* mvno-sim: a stand-in for MVNO AP, the operator's application server. See tests/sim/README.md. */
#include "mvno.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const operations[] = {"results", NULL};

static const struct option long_options[] = {
    SIM_LONG_OPTIONS,
    {"secret", required_argument, NULL, 'k'},
    {"state", required_argument, NULL, 's'},
    {"state-sync", no_argument, NULL, 'y'},
    {"lax", no_argument, NULL, 'x'},
    {"max-events", required_argument, NULL, 'm'},
    {NULL, 0, NULL, 0},
};

static void usage(FILE *to)
{
    fputs("usage: mvno-sim [options]\n"
          "Simulates MVNO AP: receives product change results; controlled at /_sim/.\n\n" SIM_OPTIONS_HELP
          "  --secret SECRET   webhook secret, raw or whsec_… (or MVNO_WEBHOOK_SECRET); without one\n"
          "                    signatures are not checked\n"
          "  --state FILE      keep events through restarts\n"
          "  --state-sync      sync the state file before every answer\n"
          "  --lax             do not check the body against the contract\n"
          "  --max-events N    events kept at most, the newest (default 200000)\n",
          to);
}

struct start {
    struct sim_options options;
    const char *state;
    const char *secret;
    bool sync;
};

static void read_options(struct mvno *m, struct start *s, int argc, char **argv)
{
    int option;

    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (sim_option(&s->options, option, optarg))
            continue;
        if (option == 'k')
            s->secret = optarg;
        else if (option == 's')
            s->state = optarg;
        else if (option == 'y')
            s->sync = true;
        else if (option == 'x')
            m->lax = true;
        else if (option == 'm')
            m->max_events = (size_t)sim_number_option("--max-events", optarg, 1, 10000000);
        else {
            usage(option == 'h' ? stdout : stderr);
            exit(option == 'h' ? 0 : 64);
        }
    }
    if (optind < argc)
        sim_die("unexpected argument %s", argv[optind]);
}

int main(int argc, char **argv)
{
    static struct mvno m = {.max_events = MVNO_EVENTS_MAX};
    struct start start = {.options = {.bind = "127.0.0.1"}, .secret = getenv("MVNO_WEBHOOK_SECRET")};
    struct sim_server *server;

    read_options(&m, &start, argc, argv);
    if (start.secret && *start.secret)
        mvno_set_secret(&m, start.secret);
    m.events = sim_alloc(m.max_events * sizeof(struct mvno_event *));
    m.attempts = sim_alloc(MVNO_ATTEMPTS_MAX * sizeof *m.attempts);
    m.faults.operations = operations;
    m.faults.kinds = SIM_RESULT_CODE;
    sim_state_open(&m.state, start.state, start.sync, mvno_replay, &m);
    server = sim_server_start(&start.options, mvno_routes, &m);
    m.faults.server = server;
    m.state.server = server;
    sim_server_run(server);
    sim_faults_clear(&m.faults, true);
    sim_server_stop(server); /* may still accept what had arrived: the state file comes after it */
    m.state.server = NULL;
    sim_state_close(&m.state);
    mvno_clear(&m);
    free(m.events);
    free(m.attempts);
    free(m.key);
    return 0;
}
