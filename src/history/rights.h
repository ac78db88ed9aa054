/* rights.h - what the service's role may do: least rights, installed by `migrate` (CONTRACT.md 5). */
#ifndef HISTORY_RIGHTS_H
#define HISTORY_RIGHTS_H

#include "history/pglink.h"
#include "pcs/core/buf.h"

/* For the role `service`, by the owner who is connected: USAGE of the schema; SELECT and INSERT on its tables
 * (not on partitions, which are reached through their table; schema_migrations is only to be read); EXECUTE
 * on its SECURITY DEFINER functions. Everything else that was granted to it or to PUBLIC is revoked, in one
 * transaction. If the owner is that role, nothing is done. Tells out what was done, and warns when the role
 * has more by other ways (superuser, member of the owner). Error: the role does not exist (42704). */
enum fault history_rights_install(struct pglink *l, const char *service, struct buf *out);

#endif
