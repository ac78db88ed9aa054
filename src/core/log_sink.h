/* log_sink.h - where collected lines go: one descriptor for the whole process, written without ever waiting for its
 * reader. */
#ifndef PCS_SRC_CORE_LOG_SINK_H
#define PCS_SRC_CORE_LOG_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Any thread. lines: whole ones, each with its LF; len 0 only tries what is kept. Returns how many lines were dropped
 * since that was last told, once the reader has caught up; else 0. */
uint64_t log_sink_put(const char *lines, size_t len);
/* Is something kept for a reader that is behind? */
bool log_sink_behind(void);
/* -1: stderr. What is kept for the old descriptor is dropped. */
void log_sink_set_fd(int fd);
/* Waits up to so long for the reader to take what is kept. Returns as log_sink_put() does. */
uint64_t log_sink_drain(unsigned wait_ms);
/* Lines that were never written, since the start. */
uint64_t log_sink_dropped(void);

#endif
