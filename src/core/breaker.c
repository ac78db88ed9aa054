/* Circuit breaker: life, mutex and events, and what callers do: acquire, complete, release. */
#include "pcs/core/breaker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/breaker_impl.h"

static uint64_t system_mono_ns(void *arg)
{
    (void)arg;
    return clock_mono_ns();
}

void breaker_copy_text(char *dst, size_t size, const char *src)
{
    size_t n = src != NULL ? strnlen(src, size - 1) : 0;

    if (n > 0)
        memcpy(dst, src, n);
    while (n > 0 && n == size - 1 && ((unsigned char)src[n] & 0xC0) == 0x80)
        n--; /* not within a UTF-8 character */
    dst[n] = '\0';
}

static struct breaker *refuse(char *err, size_t errlen, const char *text)
{
    if (err != NULL && errlen > 0)
        snprintf(err, errlen, "%s", text);
    return NULL;
}

static uint64_t seed(const void *salt)
{
    uint64_t s = 0;

    if (getrandom(&s, sizeof s, GRND_NONBLOCK) != (ssize_t)sizeof s)
        s = system_mono_ns(NULL) ^ (uint64_t)(uintptr_t)salt;
    return s != 0 ? s : 1;
}

/* The first state is entered like any other, from CLOSED, with nobody listening; attempt 1 where a later
 * entry would count one. */
static void start(struct breaker *b)
{
    struct breaker_outbox none = {0};
    enum breaker_state to = b->cfg.initial_state;

    b->now_ns = b->cfg.mono_ns(b->cfg.mono_arg);
    b->shown = &b->closed;
    b->state = to;
    b->attempt = to == BREAKER_HALF_OPEN ? 1 : 0;
    breaker_state_enter(b, &none, to, "start", UINT64_MAX, b->now_ns);
}

struct breaker *breaker_create(const char *name, const struct breaker_config *cfg, char *err, size_t errlen)
{
    if (name == NULL || name[0] == '\0' || strlen(name) >= BREAKER_NAME_MAX)
        return refuse(err, errlen, "a breaker's name must have 1 to 63 bytes");
    if (!breaker_config_check(cfg, err, errlen))
        return NULL;
    struct breaker *b = calloc(1, sizeof *b);
    if (b == NULL)
        return refuse(err, errlen, "out of memory");
    b->cfg = *cfg;
    if (b->cfg.mono_ns == NULL)
        b->cfg.mono_ns = system_mono_ns;
    breaker_copy_text(b->name, sizeof b->name, name);
    b->random_state = seed(b);
    breaker_lease_init(&b->leases);
    pthread_mutex_init(&b->lock, NULL);
    uint64_t second = b->cfg.mono_ns(b->cfg.mono_arg) / NS_PER_SEC;
    if (!breaker_window_init(&b->closed, cfg->window_type == BREAKER_WINDOW_TIME, (uint32_t)cfg->window_size,
                             second) ||
        !breaker_window_init(&b->probes, false, (uint32_t)cfg->half_open_permits, second)) {
        breaker_destroy(b);
        return refuse(err, errlen, "out of memory");
    }
    start(b);
    return b;
}

void breaker_destroy(struct breaker *b)
{
    if (b == NULL)
        return;
    breaker_window_free(&b->closed);
    breaker_window_free(&b->probes);
    breaker_lease_free(&b->leases);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

static void deliver(struct breaker_outbox *box)
{
    for (unsigned i = 0; i < box->count; i++)
        box->listener(&box->event[i], box->listener_arg);
    box->count = 0;
}

uint64_t breaker_enter(struct breaker *b, struct breaker_outbox *box)
{
    box->count = 0;
    pthread_mutex_lock(&b->lock);
    for (unsigned fired = 0;; fired++) {
        uint64_t now_ns = b->cfg.mono_ns(b->cfg.mono_arg);
        if (now_ns > b->now_ns)
            b->now_ns = now_ns;
        if (!breaker_state_fire_due(b, box, b->now_ns, fired))
            return b->now_ns;
        if (box->count > 0) {
            pthread_mutex_unlock(&b->lock);
            deliver(box);
            pthread_mutex_lock(&b->lock);
        }
    }
}

void breaker_leave(struct breaker *b, struct breaker_outbox *box)
{
    pthread_mutex_unlock(&b->lock);
    deliver(box);
}

/* OPEN: until it ends, at least 1 ns as 0 means "not known". */
static uint64_t open_left_ns(const struct breaker *b, uint64_t now_ns)
{
    if (b->state != BREAKER_OPEN)
        return 0;
    return b->open_until_ns > now_ns ? b->open_until_ns - now_ns : 1;
}

/* OPEN and lazy: over when now is strictly after the wait. */
static bool open_is_over(const struct breaker *b, uint64_t now_ns)
{
    return b->state == BREAKER_OPEN && now_ns > b->open_until_ns;
}

static void reject(struct breaker *b, struct breaker_outbox *box, uint64_t now_ns, uint64_t *open_for_ns)
{
    uint64_t left = open_left_ns(b, now_ns);

    b->not_permitted++;
    b->rejected += b->state != BREAKER_FORCED_OPEN ? 1 : 0;
    struct breaker_event *ev = breaker_outbox_add(b, box, BREAKER_EVENT_NOT_PERMITTED, now_ns);
    if (ev != NULL)
        ev->open_for_ns = left;
    if (open_for_ns != NULL)
        *open_for_ns = left;
}

static void grant(struct breaker *b, uint64_t now_ns, uint64_t deadline_ns, struct breaker_permit *permit)
{
    permit->epoch = b->epoch;
    if (b->state == BREAKER_HALF_OPEN)
        b->permits_taken++;
    if (b->state == BREAKER_DISABLED || deadline_ns == 0 || b->cfg.lease_grace_ms < 0)
        return;
    uint64_t due_ns = breaker_add_ns(deadline_ns, breaker_ms_to_ns(b->cfg.lease_grace_ms));
    /* A deadline already past is lost at the next call, not in this one. */
    permit->lease =
        breaker_lease_take(&b->leases, due_ns > now_ns ? due_ns : now_ns + 1, now_ns, &permit->lease_use);
}

bool breaker_acquire(struct breaker *b, uint64_t deadline_ns, struct breaker_permit *permit,
                     uint64_t *open_for_ns)
{
    struct breaker_outbox box;
    uint64_t now_ns = breaker_enter(b, &box);

    memset(permit, 0, sizeof *permit);
    if (open_for_ns != NULL)
        *open_for_ns = 0;
    if (open_is_over(b, now_ns))
        breaker_state_enter(b, &box, BREAKER_HALF_OPEN, "wait_over", 0, now_ns);
    bool free_permit = b->state != BREAKER_HALF_OPEN || b->permits_taken < (uint64_t)b->cfg.half_open_permits;
    bool permitted = free_permit && b->state != BREAKER_OPEN && b->state != BREAKER_FORCED_OPEN;
    if (permitted)
        grant(b, now_ns, deadline_ns, permit);
    else
        reject(b, &box, now_ns, open_for_ns);
    breaker_leave(b, &box);
    return permitted;
}

bool breaker_would_permit(struct breaker *b, uint64_t *open_for_ns)
{
    struct breaker_outbox box;
    uint64_t now_ns = breaker_enter(b, &box);
    bool open = (b->state == BREAKER_OPEN && !open_is_over(b, now_ns)) || b->state == BREAKER_FORCED_OPEN;

    if (open_for_ns != NULL)
        *open_for_ns = open ? open_left_ns(b, now_ns) : 0;
    breaker_leave(b, &box);
    return !open;
}

/* Takes the permit from its holder. False: it is of an older state, or was taken back as lost. */
static bool consume(struct breaker *b, const struct breaker_permit *p)
{
    if (p->epoch != b->epoch)
        return false;
    return p->lease == 0 || breaker_lease_end(&b->leases, p->lease, p->lease_use);
}

static void give_back(struct breaker *b)
{
    if (b->state == BREAKER_HALF_OPEN && b->permits_taken > 0)
        b->permits_taken--;
}

static void complete_ignored(struct breaker *b, struct breaker_outbox *box, uint64_t duration_ns,
                             uint64_t now_ns)
{
    give_back(b);
    if (b->state == BREAKER_DISABLED)
        return;
    b->calls[BREAKER_IGNORED]++;
    b->duration_ns[BREAKER_IGNORED] += duration_ns;
    struct breaker_event *ev = breaker_outbox_add(b, box, BREAKER_EVENT_IGNORED_ERROR, now_ns);
    if (ev != NULL) {
        ev->outcome = BREAKER_IGNORED;
        ev->duration_ns = duration_ns;
    }
}

static void complete_late(struct breaker *b, struct breaker_outbox *box, enum breaker_outcome outcome,
                          uint64_t duration_ns, uint64_t now_ns)
{
    b->late++;
    struct breaker_event *ev = breaker_outbox_add(b, box, BREAKER_EVENT_LATE, now_ns);
    if (ev != NULL) {
        ev->outcome = outcome;
        ev->duration_ns = duration_ns;
    }
}

void breaker_complete_open_for(struct breaker *b, struct breaker_permit *permit, enum breaker_outcome outcome,
                               uint64_t duration_ns, const char *cause, uint64_t open_for_ns)
{
    struct breaker_outbox box;
    struct breaker_permit p = *permit;

    memset(permit, 0, sizeof *permit);
    if (p.epoch == 0)
        return;
    uint64_t now_ns = breaker_enter(b, &box);
    if (!consume(b, &p)) {
        complete_late(b, &box, outcome, duration_ns, now_ns);
    } else if (outcome != BREAKER_SUCCESS && outcome != BREAKER_FAILURE) {
        complete_ignored(b, &box, duration_ns, now_ns);
    } else {
        breaker_state_record(b, &box, outcome, duration_ns, cause, now_ns);
        if (open_for_ns > 0 && b->state == BREAKER_CLOSED) {
            uint64_t limit = breaker_ms_to_ns(BREAKER_WAIT_LIMIT_MS);
            breaker_state_enter(b, &box, BREAKER_OPEN, "open_for", open_for_ns < limit ? open_for_ns : limit,
                                now_ns);
        }
    }
    breaker_leave(b, &box);
}

void breaker_complete(struct breaker *b, struct breaker_permit *permit, enum breaker_outcome outcome,
                      uint64_t duration_ns, const char *cause)
{
    breaker_complete_open_for(b, permit, outcome, duration_ns, cause, 0);
}

void breaker_release(struct breaker *b, struct breaker_permit *permit)
{
    struct breaker_outbox box;
    struct breaker_permit p = *permit;

    memset(permit, 0, sizeof *permit);
    if (p.epoch == 0)
        return;
    breaker_enter(b, &box);
    if (consume(b, &p))
        give_back(b);
    breaker_leave(b, &box);
}

void breaker_tick(struct breaker *b)
{
    struct breaker_outbox box;

    breaker_enter(b, &box);
    breaker_leave(b, &box);
}

uint64_t breaker_next_due_ns(struct breaker *b)
{
    struct breaker_outbox box;

    breaker_enter(b, &box);
    uint64_t state_due = breaker_state_due_ns(b), lease_due = breaker_lease_next_due(&b->leases);
    breaker_leave(b, &box);
    return state_due < lease_due ? state_due : lease_due;
}
