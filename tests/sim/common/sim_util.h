/* Small tools shared by the simulators: memory that ends the program when it runs out, a growing
 * text buffer, a string map, a timer heap, clocks and JSON helpers. One thread, no locks. */
#ifndef SIM_UTIL_H
#define SIM_UTIL_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Memory. A simulator that is out of memory says so and exits with 70. */
void *sim_alloc(size_t size); /* zeroed */
void *sim_realloc(void *p, size_t size);
char *sim_strdup(const char *s); /* NULL stays NULL */
void sim_die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* Copies at most `size` - 1 bytes of `text` (NULL counts as ""), always terminated. */
void sim_copy(char *out, size_t size, const char *text);

/* A growing byte buffer; `data` is NUL-terminated when it is not NULL. */
struct sim_buf {
    char *data;
    size_t length;
    size_t size;
};
void sim_buf_add(struct sim_buf *b, const void *bytes, size_t length);
void sim_buf_str(struct sim_buf *b, const char *text);
void sim_buf_fmt(struct sim_buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_buf_json(struct sim_buf *b, const char *text); /* quoted and escaped; NULL gives null */
void sim_buf_free(struct sim_buf *b);

/* Clocks. Monotonic and wall time in milliseconds; the contract's two ways to write a time. */
#define SIM_TIME_SIZE 40
int64_t sim_mono_ms(void);
int64_t sim_wall_ms(void);
const char *sim_time_utc(char out[SIM_TIME_SIZE], int64_t wall_ms);   /* RFC 3339, UTC, milliseconds */
const char *sim_time_seoul(char out[SIM_TIME_SIZE], int64_t wall_ms); /* local time without a zone */
const char *sim_date_seoul(char out[SIM_TIME_SIZE], int64_t wall_ms); /* yyyyMMdd */

/* A map from text to a pointer. Keys are borrowed: they must live as long as their entry. */
struct sim_map {
    struct sim_map_entry *entries;
    size_t size;
    size_t used; /* with removed entries */
    size_t count;
};
void *sim_map_get(const struct sim_map *m, const char *key);
void sim_map_put(struct sim_map *m, const char *key, void *value); /* replaces key and value */
void sim_map_remove(struct sim_map *m, const char *key);
/* Walks the values in no order: start with *at = 0, ends with NULL. */
void *sim_map_next(const struct sim_map *m, size_t *at);
void sim_map_free(struct sim_map *m); /* not the values */

/* Timers: a binary heap ordered by due time. The timer is embedded in its owner. */
struct sim_timer {
    int64_t due_ms; /* monotonic */
    size_t slot;    /* place in the heap + 1; 0 = not armed */
    void (*fire)(void *arg);
    void *arg;
};
struct sim_timers {
    struct sim_timer **heap;
    size_t count;
    size_t size;
};
void sim_timer_start(struct sim_timers *t, struct sim_timer *timer, int64_t due_ms, void (*fire)(void *),
                     void *arg);
void sim_timer_stop(struct sim_timers *t, struct sim_timer *timer);
void sim_timers_run(struct sim_timers *t, int64_t now_ms);
int sim_timers_wait(const struct sim_timers *t, int64_t now_ms); /* ms until the next one, -1 = none */

/* JSON members with a default; the text stays the tree's. */
const char *sim_json_text(const cJSON *object, const char *name, const char *fallback);
double sim_json_number(const cJSON *object, const char *name, double fallback);
bool sim_json_bool(const cJSON *object, const char *name, bool fallback);
/* Reads a whole file as JSON; ends the program with a sentence naming the file when it cannot. */
cJSON *sim_json_load(const char *path);
/* Replaces every {"$raw": "text"} in the tree by that text, unchanged: numbers such as 4.5E4. */
void sim_json_raw(cJSON *tree);

/* Random number in 0 (included) .. 1 (excluded); seeded by the clock. */
double sim_random(void);

#endif
