/*
 * breaker-replay FILE: replays recorded circuit breaker cases and tells which of them hold.
 *
 * FILE is a JSON array of vectors: configuration, steps, and what must be seen after them. One line per
 * vector and a closing "N passed, N failed". Exit 0 if all passed, 1 if one failed, 2 if the file cannot be
 * used at all. What a vector asks for and this program does not know is a failure, never skipped.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "breaker_replay_input.h"

#define NS_PER_MS   UINT64_C(1000000)
#define START_NS    UINT64_C(1000000000000) /* a run begins on a whole second */
#define RATE_MARGIN 0.001
#define COUNT(a)    (sizeof(a) / sizeof *(a))

static const char *const abilities[] = {
    "manual_transition", "events",  "metrics_only",   "config_validation", "forced_open",
    "disabled",          "reset",   "auto_half_open", "backoff",           "initial_state",
    "open_for",          "release", "open_on_result"};

static uint64_t virtual_ns(void *arg)
{
    return ((struct replay *)arg)->now_ns;
}

static void count_event(const struct breaker_event *ev, void *arg)
{
    ((struct replay *)arg)->events[ev->type]++;
}

static bool read_window(struct replay *r, const cJSON *c, struct breaker_config *cfg)
{
    const char *type = get_text(c, "slidingWindowType");

    if (type == NULL || (strcmp(type, "COUNT_BASED") != 0 && strcmp(type, "TIME_BASED") != 0))
        return fail(r, "\"slidingWindowType\" is missing or unknown: %s", type != NULL ? type : "-");
    cfg->window_type = type[0] == 'C' ? BREAKER_WINDOW_COUNT : BREAKER_WINDOW_TIME;
    return get_int(r, c, "slidingWindowSize", &cfg->window_size) &&
           get_int(r, c, "minimumNumberOfCalls", &cfg->minimum_calls) &&
           get_double(r, c, "failureRateThreshold", &cfg->failure_rate) &&
           get_double(r, c, "slowCallRateThreshold", &cfg->slow_call_rate);
}

static bool read_slow(struct replay *r, const cJSON *c, struct breaker_config *cfg)
{
    if (!get_int(r, c, "slowCallDurationThresholdMs", &r->slow_ms))
        return false;
    if (r->slow_ms > MAX_MS)
        return fail(r, "\"slowCallDurationThresholdMs\" is out of range");
    cfg->slow_duration_ns = r->slow_ms > 0 ? r->slow_ms * (int64_t)NS_PER_MS : r->slow_ms;
    return true;
}

static bool read_waits(struct replay *r, const cJSON *c, struct breaker_config *cfg)
{
    const cJSON *max = cJSON_GetObjectItemCaseSensitive(c, "waitMaxMs");

    if (max == NULL)
        return fail(r, "\"waitMaxMs\" is missing");
    if (!cJSON_IsNull(max) && !get_int(r, c, "waitMaxMs", &cfg->wait_max_ms))
        return false;
    if (!cJSON_IsNull(max) && cfg->wait_max_ms == 0)
        cfg->wait_max_ms = -1; /* a cap of 0 ms is an error, while our 0 means none */
    return get_int(r, c, "waitDurationInOpenStateMs", &cfg->wait_ms) &&
           get_double(r, c, "waitBackoffMultiplier", &cfg->wait_multiplier) &&
           get_int(r, c, "permittedNumberOfCallsInHalfOpenState", &cfg->half_open_permits) &&
           get_int(r, c, "maxWaitDurationInHalfOpenStateMs", &cfg->half_open_max_ms) &&
           get_state(r, c, "transitionToStateAfterWaitDuration", &cfg->half_open_max_to);
}

/* Every option is as the vector says; what it cannot name (jitter, lease, …) is off. */
static bool read_config(struct replay *r, const cJSON *vector, struct breaker_config *cfg)
{
    static const char *const keys[] = {"slidingWindowType",
                                       "slidingWindowSize",
                                       "minimumNumberOfCalls",
                                       "failureRateThreshold",
                                       "slowCallRateThreshold",
                                       "slowCallDurationThresholdMs",
                                       "permittedNumberOfCallsInHalfOpenState",
                                       "waitDurationInOpenStateMs",
                                       "waitBackoffMultiplier",
                                       "waitMaxMs",
                                       "maxWaitDurationInHalfOpenStateMs",
                                       "transitionToStateAfterWaitDuration",
                                       "automaticTransitionFromOpenToHalfOpen",
                                       "initialState"};
    const cJSON *c = cJSON_GetObjectItemCaseSensitive(vector, "config");

    if (!cJSON_IsObject(c))
        return fail(r, "\"config\" is missing or no object");
    memset(cfg, 0, sizeof *cfg);
    cfg->lease_grace_ms = -1;
    cfg->mono_ns = virtual_ns;
    cfg->mono_arg = r;
    if (cJSON_GetObjectItemCaseSensitive(c, "automaticTransitionFromOpenToHalfOpen") == NULL)
        return fail(r, "\"automaticTransitionFromOpenToHalfOpen\" is missing");
    return only_keys(r, c, keys, COUNT(keys)) && read_window(r, c, cfg) && read_slow(r, c, cfg) &&
           read_waits(r, c, cfg) && get_state(r, c, "initialState", &cfg->initial_state) &&
           get_bool(r, c, "automaticTransitionFromOpenToHalfOpen", false, &cfg->automatic_half_open);
}

struct result {
    enum breaker_outcome outcome;
    uint64_t duration_ns, open_for_ns;
};

/* The outcome's name decides slowness, whatever durationMs says. */
static bool read_result(struct replay *r, const cJSON *step, struct result *out)
{
    static const struct {
        const char *name;
        enum breaker_outcome outcome;
        bool slow;
    } outcomes[] = {{"success", BREAKER_SUCCESS, false},
                    {"failure", BREAKER_FAILURE, false},
                    {"slow_success", BREAKER_SUCCESS, true},
                    {"slow_failure", BREAKER_FAILURE, true},
                    {"ignored", BREAKER_IGNORED, false}};
    const char *name = get_text(step, "outcome");
    int64_t ms = 0, open_for_ms = 0;
    size_t i = 0;

    while (i < COUNT(outcomes) && (name == NULL || strcmp(name, outcomes[i].name) != 0))
        i++;
    if (i == COUNT(outcomes))
        return fail(r, "\"outcome\" is missing or unknown: %s", name != NULL ? name : "-");
    if (has(step, "durationMs") && !get_ms(r, step, "durationMs", &ms))
        return false;
    if (has(step, "openForMs") && !get_ms(r, step, "openForMs", &open_for_ms))
        return false;
    if (outcomes[i].slow && ms <= r->slow_ms)
        ms = r->slow_ms + 1;
    if (!outcomes[i].slow && ms > r->slow_ms)
        ms = r->slow_ms;
    out->outcome = outcomes[i].outcome;
    out->duration_ns = (uint64_t)ms * NS_PER_MS;
    out->open_for_ns = (uint64_t)open_for_ms * NS_PER_MS;
    return true;
}

static bool acquire(struct replay *r, const cJSON *step, struct breaker_permit *permit, bool *permitted)
{
    bool expected;

    *permitted = breaker_acquire(r->breaker, 0, permit, NULL);
    if (!get_bool(r, step, "expectPermitted", *permitted, &expected))
        return false;
    return expected == *permitted || fail(r, "%s, expected %s", *permitted ? "permitted" : "rejected",
                                          expected ? "permitted" : "rejected");
}

static bool step_call(struct replay *r, const cJSON *step)
{
    struct breaker_permit permit;
    struct result result;
    bool permitted;

    if (!read_result(r, step, &result) || !acquire(r, step, &permit, &permitted))
        return false;
    if (permitted)
        breaker_complete_open_for(r->breaker, &permit, result.outcome, result.duration_ns, NULL,
                                  result.open_for_ns);
    return true;
}

static bool step_acquire(struct replay *r, const cJSON *step)
{
    struct breaker_permit permit;
    bool permitted;

    if (!acquire(r, step, &permit, &permitted))
        return false;
    if (!permitted)
        return true;
    struct held *held = calloc(1, sizeof *held), **end = &r->held;
    if (held == NULL)
        return fail(r, "out of memory");
    held->id = get_text(step, "id");
    held->permit = permit;
    while (*end != NULL)
        end = &(*end)->next;
    *end = held;
    return true;
}

/* The oldest open acquire of that id, or without one. */
static bool take_held(struct replay *r, const cJSON *step, struct breaker_permit *permit)
{
    const char *id = get_text(step, "id");

    for (struct held **at = &r->held; *at != NULL; at = &(*at)->next) {
        struct held *held = *at;
        if (id == NULL ? held->id != NULL : held->id == NULL || strcmp(id, held->id) != 0)
            continue;
        *permit = held->permit;
        *at = held->next;
        free(held);
        return true;
    }
    return fail(r, "no permitted acquire %s is open", id != NULL ? id : "without id");
}

static bool step_complete(struct replay *r, const cJSON *step)
{
    struct breaker_permit permit;
    struct result result;

    if (!read_result(r, step, &result) || !take_held(r, step, &permit))
        return false;
    breaker_complete_open_for(r->breaker, &permit, result.outcome, result.duration_ns, NULL,
                              result.open_for_ns);
    return true;
}

static bool step_release(struct replay *r, const cJSON *step)
{
    struct breaker_permit permit;

    if (!take_held(r, step, &permit))
        return false;
    breaker_release(r->breaker, &permit);
    return true;
}

/* Stops at each due time on the way. */
static bool step_advance(struct replay *r, const cJSON *step)
{
    int64_t ms;

    if (!get_ms(r, step, "ms", &ms))
        return false;
    uint64_t until_ns = r->now_ns + (uint64_t)ms * NS_PER_MS, due_ns;
    while ((due_ns = breaker_next_due_ns(r->breaker)) <= until_ns) {
        r->now_ns = due_ns;
        breaker_tick(r->breaker);
    }
    r->now_ns = until_ns;
    return true;
}

static bool step_transition(struct replay *r, const cJSON *step)
{
    enum breaker_state to;
    int64_t wait_ms = BREAKER_WAIT_CONFIGURED;
    bool error_expected;
    char err[MESSAGE_SIZE];

    if (!get_state(r, step, "to", &to) || !get_bool(r, step, "expectError", false, &error_expected))
        return false;
    if (has(step, "waitMs") && !get_ms(r, step, "waitMs", &wait_ms))
        return false;
    bool done = breaker_transition(r->breaker, to, wait_ms, err, sizeof err);
    if (done && error_expected)
        return fail(r, "transition to %s was allowed, expected an error", breaker_state_name(to));
    return done || error_expected || fail(r, "%s", err);
}

static bool step_reset(struct replay *r, const cJSON *step)
{
    (void)step;
    breaker_reset(r->breaker);
    return true;
}

static bool expect_events(struct replay *r, const cJSON *events)
{
    const cJSON *item;

    if (!cJSON_IsObject(events))
        return fail(r, "\"events\" is no object");
    cJSON_ArrayForEach(item, events)
    {
        int type = 0;
        int64_t wanted;
        while (type < BREAKER_EVENT_COUNT &&
               strcmp(item->string, breaker_event_name((enum breaker_event_type)type)) != 0)
            type++;
        if (type == BREAKER_EVENT_COUNT)
            return fail(r, "unknown event \"%s\"", item->string);
        if (!get_int(r, events, item->string, &wanted))
            return false;
        if (r->events[type] != (uint64_t)wanted)
            return fail(r, "events.%s is %llu, expected %lld", item->string,
                        (unsigned long long)r->events[type], (long long)wanted);
    }
    return true;
}

/* One number or rate of the snapshot. */
static bool expect_number(struct replay *r, const cJSON *item, const struct breaker_snapshot *s)
{
    const struct {
        const char *key;
        double value, margin;
    } seen[] = {{"failureRate", (double)s->failure_rate, RATE_MARGIN},
                {"slowCallRate", (double)s->slow_call_rate, RATE_MARGIN},
                {"buffered", (double)s->buffered, 0},
                {"failed", (double)s->failed, 0},
                {"successful", (double)s->successful, 0},
                {"slow", (double)s->slow, 0},
                {"slowSuccessful", (double)s->slow_successful, 0},
                {"slowFailed", (double)s->slow_failed, 0},
                {"notPermitted", (double)s->not_permitted, 0}};
    size_t i = 0;

    while (i < COUNT(seen) && strcmp(item->string, seen[i].key) != 0)
        i++;
    if (i == COUNT(seen))
        return fail(r, "unknown key \"%s\"", item->string);
    if (!cJSON_IsNumber(item))
        return fail(r, "\"%s\" is no number", item->string);
    return fabs(seen[i].value - item->valuedouble) <= seen[i].margin ||
           fail(r, "%s is %.9g, expected %.9g", item->string, seen[i].value, item->valuedouble);
}

static bool step_expect(struct replay *r, const cJSON *step)
{
    struct breaker_snapshot s;
    const cJSON *item;

    breaker_snapshot(r->breaker, &s);
    cJSON_ArrayForEach(item, step)
    {
        enum breaker_state state;
        if (strcmp(item->string, "op") == 0 || strcmp(item->string, "note") == 0)
            continue;
        if (strcmp(item->string, "events") == 0) {
            if (!expect_events(r, item))
                return false;
        } else if (strcmp(item->string, "state") != 0) {
            if (!expect_number(r, item, &s))
                return false;
        } else if (!get_state(r, step, "state", &state)) {
            return false;
        } else if (state != s.state) {
            return fail(r, "state is %s, expected %s", breaker_state_name(s.state),
                        breaker_state_name(state));
        }
    }
    return true;
}

static const struct operation {
    const char *name;
    bool (*run)(struct replay *r, const cJSON *step);
    const char *keys[8]; /* it may have; none = it checks them itself */
} operations[] = {
    {"call", step_call, {"op", "note", "outcome", "durationMs", "expectPermitted", "openForMs"}},
    {"acquire", step_acquire, {"op", "note", "id", "expectPermitted"}},
    {"complete", step_complete, {"op", "note", "id", "outcome", "durationMs", "openForMs"}},
    {"release", step_release, {"op", "note", "id"}},
    {"advance", step_advance, {"op", "note", "ms"}},
    {"transition", step_transition, {"op", "note", "to", "waitMs", "expectError"}},
    {"reset", step_reset, {"op", "note"}},
    {"expect", step_expect, {NULL}},
};

static bool run_step(struct replay *r, const cJSON *step)
{
    const char *name = get_text(step, "op");
    size_t i = 0, keys = 0;

    while (i < COUNT(operations) && (name == NULL || strcmp(name, operations[i].name) != 0))
        i++;
    if (i == COUNT(operations))
        return fail(r, "\"op\" is missing or unknown: %s", name != NULL ? name : "-");
    while (keys < COUNT(operations[i].keys) && operations[i].keys[keys] != NULL)
        keys++;
    if (keys > 0 && !only_keys(r, step, operations[i].keys, keys))
        return false;
    return operations[i].run(r, step);
}

static bool run_steps(struct replay *r, const cJSON *vector)
{
    const cJSON *steps = cJSON_GetObjectItemCaseSensitive(vector, "steps"), *step;
    int number = 0;

    if (!cJSON_IsArray(steps))
        return fail(r, "\"steps\" is missing or no array");
    cJSON_ArrayForEach(step, steps)
    {
        char why[MESSAGE_SIZE];
        number++;
        if (run_step(r, step))
            continue;
        memcpy(why, r->why, sizeof why);
        const char *op = get_text(step, "op");
        return fail(r, "step %d (%.20s): %.200s", number, op != NULL ? op : "?", why);
    }
    return true;
}

static bool check_requires(struct replay *r, const cJSON *vector)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(vector, "requires"), *item;

    if (!cJSON_IsArray(list))
        return fail(r, "\"requires\" is missing or no array");
    cJSON_ArrayForEach(item, list)
    {
        size_t i = 0;
        if (!cJSON_IsString(item))
            return fail(r, "\"requires\" holds something that is no text");
        while (i < COUNT(abilities) && strcmp(item->valuestring, abilities[i]) != 0)
            i++;
        if (i == COUNT(abilities))
            return fail(r, "requires an unknown ability: %s", item->valuestring);
    }
    return true;
}

/* Keys that only describe may be anything; an unknown expectation may not be passed over. */
static bool check_keys(struct replay *r, const cJSON *vector)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, vector)
    {
        if (strncmp(item->string, "expect", 6) == 0 && strcmp(item->string, "expectConfigError") != 0)
            return fail(r, "unknown key \"%s\"", item->string);
    }
    return true;
}

static bool run_vector(struct replay *r, const cJSON *vector)
{
    struct breaker_config cfg;
    bool error_expected;
    char err[MESSAGE_SIZE] = "";

    if (!cJSON_IsObject(vector))
        return fail(r, "is no object");
    if (!check_keys(r, vector) || !check_requires(r, vector) || !read_config(r, vector, &cfg) ||
        !get_bool(r, vector, "expectConfigError", false, &error_expected))
        return false;
    r->now_ns = START_NS;
    r->breaker = breaker_create("replay", &cfg, err, sizeof err);
    if (r->breaker == NULL)
        return error_expected || fail(r, "configuration refused: %.200s", err);
    if (error_expected)
        return fail(r, "configuration was accepted, expected an error");
    breaker_set_listener(r->breaker, count_event, r);
    return run_steps(r, vector);
}

static void replay_end(struct replay *r)
{
    while (r->held != NULL) {
        struct held *held = r->held;
        r->held = held->next;
        free(held);
    }
    breaker_destroy(r->breaker);
}

int main(int argc, char **argv)
{
    int passed = 0, failed = 0, number = 0;

    if (argc != 2) {
        fprintf(stderr, "usage: breaker-replay FILE\n");
        return 2;
    }
    cJSON *vectors = load(argv[1]);
    if (vectors == NULL)
        return 2;
    const cJSON *vector;
    cJSON_ArrayForEach(vector, vectors)
    {
        struct replay r = {0};
        const char *name = get_text(vector, "name");
        bool ok = run_vector(&r, vector);
        number++;
        printf("%s %d %s%s%s\n", ok ? "ok" : "FAIL", number, name != NULL ? name : "(no name)",
               ok ? "" : ": ", ok ? "" : r.why);
        passed += ok ? 1 : 0;
        failed += ok ? 0 : 1;
        replay_end(&r);
    }
    cJSON_Delete(vectors);
    printf("%d passed, %d failed\n", passed, failed);
    if (number == 0) {
        fprintf(stderr, "%s: holds no vectors\n", argv[1]);
        return 2;
    }
    return failed == 0 ? 0 : 1;
}
