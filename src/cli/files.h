/* files.h - files that must be there before the service starts. */
#ifndef CLI_FILES_H
#define CLI_FILES_H

#include "pcs/core/config.h"

#include <stdbool.h>
#include <stddef.h>

/* Whether every file of kos.tls, mvno.tls and db.tls that is set can be read; else err names setting, file and reason. */
bool cli_check_files(const struct config *c, char *err, size_t errlen);

#endif
