/* cli.h - the program's commands: one function each, called by main(). */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "pcs/core/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Settings of the process itself. */
struct process_config {
    int log_level;
    int64_t drain_delay_ms; /* after SIGTERM: not ready, still accepting, so that a balancer can notice */
    const char *sql_path;   /* where `migrate` finds the numbered files */
    bool example_secrets;   /* well-known secrets are accepted: a stack on one's own machine */
};
extern const struct config_section process_config_section;

/* All sections of the program, joined. */
extern const struct config_section *const cli_sections[];
extern const size_t cli_section_count;
/* Registers every module's metrics. Main thread, before others start. */
void cli_register_metrics(void);

/* Reads the configuration from file (NULL: none) and environment; NULL with every problem in err. */
struct config *cli_read(const char *file, char *err, size_t errlen);
/* Loads the configuration from file (NULL: none) and environment; NULL after printing what is wrong. */
struct config *cli_load(const char *file);

/* For a command that is no daemon: an operator's shell, or a Job, need not have the carrier's address and the key that
 * verifies tokens; what of these is missing is filled in. NULL: what is wrong is in err. */
struct config *cli_load_for_command(const char *file, char *err, size_t errlen);

/* Logs which secrets in force are well-known ones (accepted by insecure.example_secrets, or a neighbour's password). */
void cli_warn_secrets(const struct config *c);

/* Each returns the process's exit status. */
int cli_serve(const char *config_file);
int cli_migrate(const char *config_file);
int cli_check_config(const char *config_file);
int cli_print_config(const char *config_file);
void cli_print_help(void);
void cli_print_settings(void); /* the README's table */
void cli_print_routes(void);

#endif
