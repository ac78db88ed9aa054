/* State that survives restarts: a file of JSON lines, replayed at the start, appended to afterwards. */
#ifndef SIM_STATE_H
#define SIM_STATE_H

#include "sim_http.h"

struct sim_state {
    int fd; /* -1 = memory only */
    bool sync;
    struct sim_server *server; /* set once it runs; until then every line is synced at once */
    struct sim_timer timer;
};

/* Replays `path` (NULL = memory only, the file may be absent) line by line; an unfinished last line is
 * cut off. `sync`: every line is on disk before sim_state_add returns; otherwise it is handed to the
 * kernel at once (survives kill -9 of the simulator) and synced within 100 ms. Ends the program when the
 * file cannot be used. */
void sim_state_open(struct sim_state *s, const char *path, bool sync, void (*replay)(void *app, cJSON *line),
                    void *app);
void sim_state_add(struct sim_state *s, const char *line, size_t length); /* without the newline */
void sim_state_clear(struct sim_state *s);                                /* forgets everything */
void sim_state_close(struct sim_state *s);

#endif
