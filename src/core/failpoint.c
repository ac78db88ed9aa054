/* failpoint.c - ends the process at a named place, for the crash tests. Empty unless they are compiled in. */
#ifdef PCS_FAILPOINTS

#include "pcs/core/failpoint.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHOICE_MAX 512

extern const char *__start_pcs_failpoints[] __attribute__((weak));
extern const char *__stop_pcs_failpoints[] __attribute__((weak));

static const char *chosen; /* PCS_FAILPOINT: "name" or "name:n" */
static size_t chosen_len;
static long chosen_passage;
static atomic_long passages;
static const char *armed_by; /* PCS_FAILPOINT=@file */

size_t failpoint_names(const char **out, size_t max)
{
    size_t n = 0;
    for (const char **p = __start_pcs_failpoints; p < __stop_pcs_failpoints; p++) {
        bool seen = false;
        for (const char **q = __start_pcs_failpoints; q < p && !seen; q++) {
            seen = strcmp(*p, *q) == 0;
        }
        if (!seen) {
            if (n < max) {
                out[n] = *p;
            }
            n++;
        }
    }
    return n;
}

static void choose(const char *text)
{
    const char *colon = strchr(text, ':');
    chosen_len = colon ? (size_t)(colon - text) : strlen(text);
    chosen_passage = colon ? strtol(colon + 1, NULL, 10) : 1;
    chosen = text;
}

/* Before main, so that no thread reads the choice while it is made. */
__attribute__((constructor)) static void failpoint_choose(void)
{
    const char *text = getenv("PCS_FAILPOINT");
    if (!text || !*text) {
        return;
    }
    if (strcmp(text, "list") == 0) {
        const char *names[256];
        size_t n = failpoint_names(names, 256);
        for (size_t i = 0; i < n && i < 256; i++) {
            puts(names[i]);
        }
        fflush(stdout);
        _exit(0);
    }
    if (*text == '@') {
        armed_by = text + 1;
        return;
    }
    choose(text);
}

static void hit(const char *name)
{
    if (!chosen || strlen(name) != chosen_len || memcmp(name, chosen, chosen_len) != 0) {
        return;
    }
    if (atomic_fetch_add(&passages, 1) + 1 == chosen_passage) {
        kill(getpid(), SIGKILL);
        for (;;) {
            pause();
        }
    }
}

/* What the file says now. False: there is none. */
static bool read_choice(char text[CHOICE_MAX])
{
    int fd = open(armed_by, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, CHOICE_MAX - 1);
    if (fd >= 0) {
        close(fd);
    }
    text[n > 0 ? n : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return text[0] != '\0';
}

static void trace(const char *path, const char *name)
{
    char line[128];
    int n = snprintf(line, sizeof line, "%s\n", name);
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) {
        if (write(fd, line, (size_t)n) != n) {
            abort(); /* a trace with gaps would have points left out */
        }
        close(fd);
    }
}

void failpoint_hit(const char *name)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static char current[CHOICE_MAX];
    char text[CHOICE_MAX];
    if (!armed_by) {
        hit(name);
        return;
    }
    if (!read_choice(text)) {
        return;
    }
    if (strncmp(text, "trace ", 6) == 0) {
        trace(text + 6, name);
        return;
    }
    pthread_mutex_lock(&lock);
    if (strcmp(text, current) != 0) {
        memcpy(current, text, sizeof current);
        atomic_store(&passages, 0);
        choose(current);
    }
    hit(name);
    pthread_mutex_unlock(&lock);
}

#endif
