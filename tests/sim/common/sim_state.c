/* The state file of a simulator: append-only JSON lines. */
#include "sim_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define SYNC_MS 100

static long replay_file(const char *path, void (*replay)(void *app, cJSON *line), void *app)
{
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t size = 0;
    ssize_t n;
    long good = 0;

    if (!f)
        return 0;
    while ((n = getline(&line, &size, f)) > 0 && line[n - 1] == '\n') {
        cJSON *tree = cJSON_ParseWithLength(line, (size_t)n);

        if (!tree)
            sim_die("state file %s: no JSON in the line at byte %ld", path, good);
        replay(app, tree);
        cJSON_Delete(tree);
        good += n;
    }
    free(line);
    fclose(f);
    return good;
}

void sim_state_open(struct sim_state *s, const char *path, bool sync, void (*replay)(void *app, cJSON *line),
                    void *app)
{
    long good;

    *s = (struct sim_state){.fd = -1, .sync = sync};
    if (!path)
        return;
    good = replay_file(path, replay, app);
    s->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (s->fd < 0 || ftruncate(s->fd, good) != 0)
        sim_die("cannot write the state file %s: %s", path, strerror(errno));
}

static void sync_now(void *arg)
{
    struct sim_state *s = arg;

    if (fdatasync(s->fd) != 0)
        sim_die("cannot sync the state file: %s", strerror(errno));
}

void sim_state_add(struct sim_state *s, const char *line, size_t length)
{
    struct iovec parts[2] = {{.iov_base = (void *)(uintptr_t)line, .iov_len = length},
                             {.iov_base = (void *)(uintptr_t) "\n", .iov_len = 1}};

    if (s->fd < 0)
        return;
    if (writev(s->fd, parts, 2) != (ssize_t)length + 1)
        sim_die("cannot write the state file: %s", strerror(errno));
    if (s->sync || !s->server)
        sync_now(s);
    else if (!s->timer.slot)
        sim_timer_start(sim_server_timers(s->server), &s->timer, sim_mono_ms() + SYNC_MS, sync_now, s);
}

void sim_state_clear(struct sim_state *s)
{
    if (s->fd >= 0 && ftruncate(s->fd, 0) != 0)
        sim_die("cannot empty the state file: %s", strerror(errno));
}

void sim_state_close(struct sim_state *s)
{
    if (s->fd < 0)
        return;
    if (s->server)
        sim_timer_stop(sim_server_timers(s->server), &s->timer);
    sync_now(s);
    close(s->fd);
    s->fd = -1;
}
