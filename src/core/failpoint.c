/* failpoint.c - ends the process at a named place, for the crash tests. Empty unless they are compiled in. */
#ifdef PCS_FAILPOINTS

#include "pcs/core/failpoint.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern const char *__start_pcs_failpoints[] __attribute__((weak));
extern const char *__stop_pcs_failpoints[] __attribute__((weak));

static const char *chosen; /* PCS_FAILPOINT: "name" or "name:n" */
static size_t chosen_len;
static long chosen_passage;
static atomic_long passages;

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
    const char *colon = strchr(text, ':');
    chosen_len = colon ? (size_t)(colon - text) : strlen(text);
    chosen_passage = colon ? strtol(colon + 1, NULL, 10) : 1;
    chosen = text;
}

void failpoint_hit(const char *name)
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

#endif
