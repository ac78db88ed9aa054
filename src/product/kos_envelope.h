/* kos_envelope.h - the outer part of an answer: HTTP, envelope, and the two places where a result code may
 * stand. Private to the kos_answer*.c files. */
#ifndef PRODUCT_KOS_ENVELOPE_H
#define PRODUCT_KOS_ENVELOPE_H

#include "product/kos_answer.h"

struct kos_envelope {
    cJSON *root; /* NULL: unreadable; free with cJSON_Delete() */
    bool success_given, success;
    bool code_given; /* a readable code in the envelope */
    char code[KOS_CODE_MAX + 1];
    bool data_given;      /* present and not null */
    const cJSON *data;    /* NULL unless it is an object */
    bool data_code_given; /* there, readable or not */
    char data_code[KOS_CODE_MAX + 1];
    const char *reason; /* root NULL: why; static text */
};

/* Parses the body, at most max bytes. */
void kos_envelope_read(struct kos_envelope *e, const char *body, size_t len, size_t max);

/* 'x' in pattern is any digit. */
bool kos_code_matches(const char *pattern, const char *code);

/* True: a whole HTTP answer, whatever its status. False: v says what happened instead. */
bool kos_transport_ok(const struct call_result *result, struct kos_verdict *v);

void kos_verdict_set(struct kos_verdict *v, enum kos_outcome outcome, enum breaker_outcome count,
                     const char *reason);

#endif
