/* waker.c - wakers in a list that only grows. */
#include "history/waker.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct waker {
    struct waker *next;
    pthread_mutex_t lock; /* held for one write */
    int fd;               /* -1: put back */
    bool used;
    atomic_bool news;
};

static pthread_mutex_t wakers_lock = PTHREAD_MUTEX_INITIALIZER;
static struct waker *wakers;

static struct waker *find_free(void)
{
    struct waker *w = wakers;
    while (w && w->used) {
        w = w->next;
    }
    if (!w && (w = calloc(1, sizeof *w)) != NULL) {
        pthread_mutex_init(&w->lock, NULL);
        w->fd = -1;
        w->next = wakers;
        wakers = w;
    }
    return w;
}

struct waker *history_waker_take(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) {
        return NULL;
    }
    pthread_mutex_lock(&wakers_lock);
    struct waker *w = find_free();
    if (w) {
        w->used = true;
    }
    pthread_mutex_unlock(&wakers_lock);
    if (!w) {
        close(fd);
        return NULL;
    }
    pthread_mutex_lock(&w->lock);
    w->fd = fd;
    pthread_mutex_unlock(&w->lock);
    return w;
}

void history_waker_put_back(struct waker *w)
{
    if (!w) {
        return;
    }
    pthread_mutex_lock(&w->lock);
    close(w->fd);
    w->fd = -1;
    pthread_mutex_unlock(&w->lock);
    pthread_mutex_lock(&wakers_lock);
    w->used = false;
    pthread_mutex_unlock(&wakers_lock);
}

void history_waker_ring(void *arg)
{
    struct waker *w = arg;
    const uint64_t one = 1;
    pthread_mutex_lock(&w->lock);
    if (w->fd >= 0 && write(w->fd, &one, sizeof one) < 0) {
        /* the counter is full: it is rung already */
    }
    pthread_mutex_unlock(&w->lock);
}

void history_waker_ring_news(void *arg)
{
    struct waker *w = arg;
    if (!atomic_exchange(&w->news, true)) { /* else the bell has been rung, and nobody has looked yet */
        history_waker_ring(w);
    }
}

bool history_waker_take_news(struct waker *w)
{
    return atomic_exchange(&w->news, false);
}

int history_waker_fd(const struct waker *w)
{
    return w->fd;
}
