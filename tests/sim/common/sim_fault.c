/* The table of faults and its control interface. */
#include "sim_exchange.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DELAY_MAX 3600000
#define BYTES_MAX (256 * 1024 * 1024)

/* Kinds and where the effect stands by default: false = the fault comes before it or instead of it. */
static const struct kind {
    const char *name;
    bool after;
    bool fixed; /* "phase" makes no sense */
} kinds[SIM_KINDS] = {
    [SIM_DELAY] = {"delay", false, false},
    [SIM_GATE] = {"gate", false, false},
    [SIM_HANG] = {"hang", false, false},
    [SIM_RESET] = {"reset", false, false},
    [SIM_CLOSE] = {"close", false, false},
    [SIM_RESET_MID_BODY] = {"reset_mid_body", true, true},
    [SIM_TRUNCATED] = {"truncated", true, true},
    [SIM_GARBAGE] = {"garbage", true, false},
    [SIM_HTTP_STATUS] = {"http_status", false, false},
    [SIM_NOT_FOUND_HTML] = {"not_found_html", false, false},
    [SIM_SLOW_DRIP] = {"slow_drip", true, true},
    [SIM_IN_CHUNKS] = {"chunked", true, true},
    [SIM_BIG_BODY] = {"big_body", true, true},
    [SIM_RESULT_CODE] = {"result_code", false, false},
    [SIM_APPLIED_NO_ANSWER] = {"applied_no_answer", true, true},
    [SIM_APPLIED_RESET] = {"applied_reset", true, true},
    [SIM_NULL_DATA] = {"null_data", true, false},
    [SIM_CONTRADICTION] = {"contradiction", true, false},
    [SIM_WRONG_REQUEST_ID] = {"wrong_request_id", true, false},
};

static const char *const members[] = {"operation", "kind",   "lineNumber",  "rate",       "count",
                                      "delayMs",   "status", "resultCode",  "httpStatus", "jitterMs",
                                      "phase",     "body",   "contentType", "headers",    "bytes",
                                      "chunked",   "variant"};

void sim_fault_release_ref(struct sim_fault *fault)
{
    if (!fault || --fault->references)
        return;
    free(fault->body);
    free(fault->type);
    free(fault->headers);
    free(fault);
}

static bool known_members(const cJSON *spec, char error[160])
{
    const cJSON *item;

    cJSON_ArrayForEach(item, spec)
    {
        size_t i = 0;

        while (i < sizeof members / sizeof *members && strcmp(members[i], item->string) != 0)
            i++;
        if (i == sizeof members / sizeof *members) {
            snprintf(error, 160, "unknown member \"%.60s\"", item->string);
            return false;
        }
    }
    return true;
}

static bool number(const cJSON *spec, const char *name, double min, double max, double *value,
                   char error[160])
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(spec, name);

    if (!item)
        return true;
    if (!cJSON_IsNumber(item) || item->valuedouble < min || item->valuedouble > max) {
        snprintf(error, 160, "%s must be a number from %g to %g", name, min, max);
        return false;
    }
    *value = item->valuedouble;
    return true;
}

static bool read_numbers(struct sim_fault *f, const cJSON *spec, char error[160])
{
    double rate = 1, count = -1, delay = 0, jitter = 0, status = 0, bytes = 0;

    if (!number(spec, "rate", 0, 1, &rate, error) || !number(spec, "count", 1, 1e12, &count, error) ||
        !number(spec, "delayMs", 0, DELAY_MAX, &delay, error) ||
        !number(spec, "jitterMs", 0, DELAY_MAX, &jitter, error) ||
        !number(spec, "status", 200, 599, &status, error) ||
        !number(spec, "httpStatus", 200, 599, &status, error) ||
        !number(spec, "bytes", 1, BYTES_MAX, &bytes, error))
        return false;
    f->rate = rate;
    f->remaining = (int64_t)count;
    f->delay_ms = (int)delay;
    f->jitter_ms = (int)jitter;
    f->status = (unsigned)status;
    f->bytes = (size_t)bytes;
    return true;
}

static bool read_names(struct sim_faults *t, struct sim_fault *f, const cJSON *spec, char error[160])
{
    const char *operation = sim_json_text(spec, "operation", "*");
    const char *kind = sim_json_text(spec, "kind", "");
    const char *phase = sim_json_text(spec, "phase", NULL);
    const char *const *o = t->operations;
    unsigned k = 0;

    while (*o && strcmp(*o, operation) != 0)
        o++;
    if (!*o && strcmp(operation, "*") != 0) {
        snprintf(error, 160, "operation: \"%.40s\" is not offered", operation);
        return false;
    }
    while (k < t->kinds && strcmp(kinds[k].name, kind) != 0)
        k++;
    if (k == t->kinds) {
        snprintf(error, 160, "kind: \"%.40s\" is not offered", kind);
        return false;
    }
    f->kind = (enum sim_kind)k;
    f->after = kinds[k].after;
    if (phase && ((strcmp(phase, "before") != 0 && strcmp(phase, "after") != 0) ||
                  (kinds[k].fixed && f->after != (strcmp(phase, "after") == 0)))) {
        snprintf(error, 160, "phase: \"%.20s\" is not possible for %s", phase, kind);
        return false;
    }
    if (phase)
        f->after = strcmp(phase, "after") == 0;
    sim_copy(f->operation, sizeof f->operation, operation);
    sim_copy(f->line, sizeof f->line, sim_json_text(spec, "lineNumber", ""));
    sim_copy(f->result_code, sizeof f->result_code, sim_json_text(spec, "resultCode", ""));
    sim_copy(f->variant, sizeof f->variant, sim_json_text(spec, "variant", ""));
    f->chunked = sim_json_bool(spec, "chunked", false);
    return true;
}

static void read_answer(struct sim_fault *f, const cJSON *spec)
{
    const cJSON *body = cJSON_GetObjectItemCaseSensitive(spec, "body");
    const cJSON *headers = cJSON_GetObjectItemCaseSensitive(spec, "headers");
    const cJSON *header;
    struct sim_buf lines = {0};

    if (cJSON_IsString(body))
        f->body = sim_strdup(body->valuestring);
    else if (body)
        f->body = cJSON_PrintUnformatted(body);
    f->type = sim_strdup(sim_json_text(spec, "contentType", NULL));
    cJSON_ArrayForEach(header, headers)
    {
        if (cJSON_IsString(header))
            sim_buf_fmt(&lines, "%s: %s\n", header->string, header->valuestring);
    }
    f->headers = lines.data;
}

struct sim_fault *sim_fault_add(struct sim_faults *t, const cJSON *spec, char error[160])
{
    struct sim_fault *f;
    struct sim_fault **last = &t->first;

    if (t->count >= SIM_FAULTS_MAX) {
        snprintf(error, 160, "there are %d faults already: DELETE /_sim/faults first", SIM_FAULTS_MAX);
        return NULL;
    }
    f = sim_alloc(sizeof *f);
    f->references = 1;
    if (!known_members(spec, error) || !read_names(t, f, spec, error) || !read_numbers(f, spec, error)) {
        sim_fault_release_ref(f);
        return NULL;
    }
    read_answer(f, spec);
    f->id = ++t->last_id;
    t->count++;
    while (*last)
        last = &(*last)->next;
    *last = f;
    return f;
}

static void fault_json(struct sim_buf *out, const struct sim_fault *f)
{
    sim_buf_fmt(out, "{\"id\":%u,\"operation\":\"%s\",\"kind\":\"%s\",\"phase\":\"%s\",\"rate\":%g", f->id,
                f->operation, kinds[f->kind].name, f->after ? "after" : "before", f->rate);
    if (f->line[0]) {
        sim_buf_str(out, ",\"lineNumber\":");
        sim_buf_json(out, f->line);
    }
    if (f->remaining >= 0)
        sim_buf_fmt(out, ",\"remaining\":%lld", (long long)f->remaining);
    if (f->delay_ms || f->jitter_ms)
        sim_buf_fmt(out, ",\"delayMs\":%d,\"jitterMs\":%d", f->delay_ms, f->jitter_ms);
    if (f->status)
        sim_buf_fmt(out, ",\"status\":%u", f->status);
    if (f->result_code[0]) {
        sim_buf_str(out, ",\"resultCode\":");
        sim_buf_json(out, f->result_code);
    }
    sim_buf_fmt(out, ",\"hits\":%llu,\"waiting\":%u}", (unsigned long long)f->hits, f->waiting);
}

void sim_faults_post(struct sim_faults *t, struct sim_req *req)
{
    cJSON *spec = sim_req_json(req);
    struct sim_buf out = {0};
    struct sim_fault *f;
    char error[160];

    if (!spec)
        return;
    f = sim_fault_add(t, spec, error);
    cJSON_Delete(spec);
    if (!f) {
        sim_reply_error(req, 400, "%s", error);
        return;
    }
    fault_json(&out, f);
    sim_reply_json(req, 201, &out);
}

void sim_faults_get(struct sim_faults *t, struct sim_req *req)
{
    struct sim_buf out = {0};
    const struct sim_fault *f;

    sim_buf_str(&out, "{\"faults\":[");
    for (f = t->first; f; f = f->next) {
        fault_json(&out, f);
        if (f->next)
            sim_buf_str(&out, ",");
    }
    sim_buf_str(&out, "]}");
    sim_reply_json(req, 200, &out);
}

/* Takes the fault out of the table; requests that it holds keep it until they are released. */
static bool remove_fault(struct sim_faults *t, unsigned id)
{
    struct sim_fault **at = &t->first;
    struct sim_fault *f;

    while (*at && (*at)->id != id)
        at = &(*at)->next;
    f = *at;
    if (!f)
        return false;
    *at = f->next;
    t->count--;
    sim_fault_release_ref(f);
    return true;
}

void sim_faults_delete(struct sim_faults *t, struct sim_req *req)
{
    const char *id = sim_req_query(req, "id");

    if (!id)
        sim_faults_clear(t, false);
    else if (!remove_fault(t, (unsigned)strtoul(id, NULL, 10))) {
        sim_reply_error(req, 404, "there is no fault %s", id);
        return;
    }
    sim_reply_ok(req);
}

static struct sim_exchange *next_held(struct sim_faults *t, unsigned id, const char *line)
{
    struct sim_exchange *x;

    for (x = t->live; x; x = x->next)
        if (x->held_by && (!id || x->held_by->id == id) && (!*line || strcmp(line, x->line) == 0))
            return x;
    return NULL;
}

/* {id | all, lineNumber?, count?, keep?}: lets requests go on, oldest first. The gate stays open (its
 * fault is removed) unless only some are released (count, lineNumber) or keep is true. */
void sim_faults_release(struct sim_faults *t, struct sim_req *req)
{
    cJSON *spec = sim_req_json(req);
    struct sim_buf out = {0};
    struct sim_exchange *x;
    unsigned id, released = 0, most;
    char line[16];
    bool keep, all;

    if (!spec)
        return;
    id = (unsigned)sim_json_number(spec, "id", 0);
    all = sim_json_bool(spec, "all", false);
    most = (unsigned)sim_json_number(spec, "count", 0);
    sim_copy(line, sizeof line, sim_json_text(spec, "lineNumber", ""));
    keep = sim_json_bool(spec, "keep", most || line[0]);
    cJSON_Delete(spec);
    if (!id && !all) {
        sim_reply_error(req, 400, "name a fault by id, or give all: true");
        return;
    }
    if (!keep && id)
        remove_fault(t, id);
    for (x = t->live; !keep && !id && x; x = x->next)
        if (x->held_by)
            remove_fault(t, x->held_by->id);
    while ((!most || released < most) && (x = next_held(t, id, line))) {
        released++;
        sim_exchange_go_on(x);
    }
    sim_buf_fmt(&out, "{\"released\":%u}", released);
    sim_reply_json(req, 200, &out);
}

void sim_faults_held(struct sim_faults *t, struct sim_req *req)
{
    struct sim_buf out = {0};
    const struct sim_exchange *x;
    int64_t now = sim_mono_ms();
    bool first = true;

    sim_buf_str(&out, "{\"held\":[");
    for (x = t->live; x; x = x->next) {
        if (!x->held_by)
            continue;
        sim_buf_fmt(&out, "%s{\"faultId\":%u,\"operation\":\"%s\",\"lineNumber\":", first ? "" : ",",
                    x->held_by->id, x->operation);
        sim_buf_json(&out, x->line);
        sim_buf_fmt(&out, ",\"forMs\":%lld,\"clientGone\":%s}", (long long)(now - x->since_ms),
                    x->req->connection && !x->req->gone ? "false" : "true");
        first = false;
    }
    sim_buf_str(&out, "]}");
    sim_reply_json(req, 200, &out);
}
