/* process_metrics.c - the process itself on a scrape, under the names that Prometheus' own clients use, and its
 * version. Open files are not counted: that is a walk over a folder with an entry for each connection, on a reactor. */
#include "cli/serve.h"

#include "pcs/core/clock.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static int64_t started_at_ms;

/* Field 2 of /proc/self/statm, in pages. */
static int64_t resident_bytes(void)
{
    char text[128] = "", *end;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    if (got <= 0) {
        return 0;
    }
    (void)strtoll(text, &end, 10); /* the address space */
    return strtoll(end, NULL, 10) * sysconf(_SC_PAGESIZE);
}

static void put_head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s", name, help, name, type, name);
}

static void print_process(struct buf *out, void *arg)
{
    struct rusage used;
    (void)arg;
    put_head(out, "pcs_build_info", "gauge", "Always 1; the version is its label.");
    buf_puts(out, "{version=\"" PCS_VERSION "\"} 1\n");
    put_head(out, "process_start_time_seconds", "gauge", "Start of the process, Unix time.");
    buf_printf(out, " %.3f\n", (double)started_at_ms / 1e3);
    put_head(out, "process_resident_memory_bytes", "gauge", "Resident memory.");
    buf_printf(out, " %" PRId64 "\n", resident_bytes());
    if (getrusage(RUSAGE_SELF, &used) == 0) {
        put_head(out, "process_cpu_seconds_total", "counter", "User and system CPU time spent.");
        buf_printf(out, " %.6f\n",
                   (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                       (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
    }
}

void process_metrics_start(void)
{
    started_at_ms = clock_wall_ms();
    metrics_on_print(print_process, NULL);
}
