/* failpoint.h - named places where the crash tests end the process as a power cut would.
 *
 *   FAILPOINT("journal.before_commit");
 *
 * Compiles to nothing unless PCS_FAILPOINTS is defined (never in a release). Compiled in, the environment
 * PCS_FAILPOINT=name or name:n sends SIGKILL to the own process at the n-th passage (default the first) of
 * that name, counted over all threads; PCS_FAILPOINT=list prints all names of the program, one per line, and
 * exits 0 before main. PCS_FAILPOINT=@file reads the choice from that file at every passage, so that a test may
 * arm a running process: "name:n" counts from the moment that this text is first seen, "trace path" appends the
 * name of every passage to path, no file is no choice. Several places may share a name. Any thread. */
#ifndef PCS_CORE_FAILPOINT_H
#define PCS_CORE_FAILPOINT_H

#include <stddef.h>

#ifdef PCS_FAILPOINTS

void failpoint_hit(const char *name);
/* The distinct names linked into this program, in no order. Returns how many there are; writes at most max.
 */
size_t failpoint_names(const char **out, size_t max);

/* The names are collected by the linker: a section that is a C identifier has start and stop symbols. */
#define FAILPOINT(name_)                                                                                     \
    do {                                                                                                     \
        static const char *failpoint_name_ __attribute__((section("pcs_failpoints"), used)) = (name_);       \
        failpoint_hit(failpoint_name_);                                                                      \
    } while (0)

#else
#define FAILPOINT(name_) ((void)0)
#endif

#endif
