/* resolve.c - getaddrinfo() on a detached thread. */
#include "history/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* Look-ups left behind at the same time; a resolver gives up by itself after some tens of seconds. */
#define LEFT_BEHIND_MAX 16

/* Shared by the thread and whoever waits; the last one frees it. */
struct lookup {
    atomic_int refs;
    int done_fd;
    atomic_bool done;   /* list and failed are written; done_fd only wakes */
    const char *failed; /* why the last name did not resolve */
    struct resolve_list list;
    char hosts[];
};

static atomic_int lookups;

static void lookup_unref(struct lookup *k)
{
    if (atomic_fetch_sub(&k->refs, 1) == 1) {
        close(k->done_fd);
        free(k);
    }
}

static void add_addresses(struct lookup *k, const char *host, int flags)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags}, *found;
    int rc = getaddrinfo(host, NULL, &hints, &found);
    if (rc != 0) {
        k->failed = gai_strerror(rc);
        return;
    }
    for (const struct addrinfo *a = found; a && k->list.count < RESOLVE_MAX; a = a->ai_next) {
        struct resolve_address *at = &k->list.at[k->list.count];
        if (getnameinfo(a->ai_addr, a->ai_addrlen, at->address, sizeof at->address, NULL, 0,
                        NI_NUMERICHOST) == 0) {
            snprintf(at->host, sizeof at->host, "%s", host);
            k->list.count++;
        }
    }
    freeaddrinfo(found);
}

/* Calls getaddrinfo() for each host with the flags; directories of sockets are taken as they are. */
static void add_hosts(struct lookup *k, int flags)
{
    char *save = NULL, *hosts = strdup(k->hosts);
    for (char *host = hosts ? strtok_r(hosts, ", ", &save) : NULL; host; host = strtok_r(NULL, ", ", &save)) {
        if (host[0] != '/') {
            add_addresses(k, host, flags);
        } else if (k->list.count < RESOLVE_MAX) {
            struct resolve_address *at = &k->list.at[k->list.count++];
            snprintf(at->host, sizeof at->host, "%s", host);
            at->address[0] = '\0';
        }
    }
    free(hosts);
}

static void *lookup_thread(void *arg)
{
    struct lookup *k = arg;
    const uint64_t one = 1;
    add_hosts(k, 0);
    atomic_store(&k->done, true);
    if (write(k->done_fd, &one, sizeof one) < 0) {
        /* an eventfd of ours with a zero counter takes it */
    }
    lookup_unref(k);
    atomic_fetch_sub(&lookups, 1);
    return NULL;
}

static bool lookup_start(struct lookup *k)
{
    pthread_t thread;
    pthread_attr_t detached;
    if (atomic_fetch_add(&lookups, 1) >= LEFT_BEHIND_MAX) {
        atomic_fetch_sub(&lookups, 1);
        return false;
    }
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    atomic_store(&k->refs, 2);
    bool ok = pthread_create(&thread, &detached, lookup_thread, k) == 0;
    pthread_attr_destroy(&detached);
    if (!ok) {
        atomic_store(&k->refs, 1);
        atomic_fetch_sub(&lookups, 1);
    }
    return ok;
}

/* Are all of them addresses or directories? Then nothing can block. */
static bool all_numeric(const char *hosts)
{
    char copy[1024], *save = NULL;
    snprintf(copy, sizeof copy, "%s", hosts);
    for (char *host = strtok_r(copy, ", ", &save); host; host = strtok_r(NULL, ", ", &save)) {
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *found;
        if (host[0] == '/') {
            continue;
        }
        if (getaddrinfo(host, NULL, &hints, &found) != 0) {
            return false;
        }
        freeaddrinfo(found);
    }
    return true;
}

bool history_resolve_hosts(struct pglink *l, const char *hosts, uint64_t deadline_ns,
                           struct resolve_list *out)
{
    size_t len = strlen(hosts);
    struct lookup *k = calloc(1, sizeof *k + len + 1);
    out->count = 0;
    if (!k || (k->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0) {
        free(k);
        snprintf(l->error, sizeof l->error, "no memory or descriptor to look up the host");
        return false;
    }
    memcpy(k->hosts, hosts, len + 1);
    atomic_store(&k->refs, 1);
    bool ok = true;
    if (all_numeric(hosts)) {
        add_hosts(k, AI_NUMERICHOST);
    } else if (!lookup_start(k)) {
        snprintf(l->error, sizeof l->error, "no thread to look up the host, or too many look-ups hang");
        ok = false;
    } else if (pglink_wait(l, k->done_fd, POLLIN, deadline_ns) != FAULT_NONE || !atomic_load(&k->done)) {
        snprintf(l->error, sizeof l->error, "the host's name did not resolve in time");
        ok = false;
    }
    if (ok) {
        *out = k->list;
        ok = out->count > 0;
        if (!ok) {
            snprintf(l->error, sizeof l->error, "the host does not resolve (%s)",
                     k->failed ? k->failed : "no host");
        }
    }
    lookup_unref(k);
    return ok;
}
