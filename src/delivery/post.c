/* post.c - one attempt: the request as MVNO AP expects it, and what its end means (CONTRACT.md 3). */
#include "delivery/internal.h"
#include "pcs/core/clock.h"
#include "pcs/core/failpoint.h"
#include "pcs/core/id.h"
#include "pcs/core/log.h"
#include "pcs/core/text.h"

#include <string.h>

#define HEADER_MAX 200

struct head {
    char lines[8][HEADER_MAX];
    const char *list[9]; /* ended by NULL */
    size_t count;
};

/* name: with ": " behind it. */
static void put_header(struct head *h, const char *name, const char *value)
{
    if (text_join(h->lines[h->count], HEADER_MAX, name, value) < HEADER_MAX) {
        h->list[h->count] = h->lines[h->count];
        h->count++;
    }
}

static bool fill_head(struct head *h, struct lane *lane)
{
    char room[TEXT_I64_SIZE], signature[SIGNATURE_LEN + 1], trace[TRACEPARENT_LEN + 1];
    int64_t now = clock_wall_ms() / 1000;
    put_header(h, "Content-Type: ", "application/json");
    put_header(h, "X-Service-Name: ", "product-change-service");
    put_header(h, "webhook-id: ", lane->event_id);
    put_header(h, "webhook-timestamp: ", text_i64(room, now));
    if (lane->d->signer) {
        if (!signer_sign(lane->d->signer, lane->event_id, now, lane->body, lane->body_len, signature)) {
            return false;
        }
        put_header(h, "webhook-signature: ", signature);
    }
    /* the ids come from our own journal; what does not look like one is not put into a header */
    if (lane->request_id && request_id_valid(lane->request_id, strlen(lane->request_id))) {
        put_header(h, "X-Request-ID: ", lane->request_id);
    }
    if (lane->traceparent) {
        traceparent_child(lane->traceparent, strlen(lane->traceparent), trace);
        put_header(h, "traceparent: ", trace);
    }
    return true;
}

static void on_called(void *arg, const struct call_result *result)
{
    struct lane *lane = arg;
    lane->call = NULL;
    FAILPOINT("delivery.answered");
    delivery_called(lane, result);
}

bool post_start(struct lane *lane)
{
    struct delivery *d = lane->d;
    struct head head = {0};
    if (!fill_head(&head, lane)) {
        return false;
    }
    lane->started_ns = clock_mono_ns();
    const struct call_request request = {
        .method = "POST",
        .url = d->url,
        .headers = head.list,
        .body = lane->body,
        .body_len = lane->body_len,
        .deadline_ns = lane->started_ns + (uint64_t)d->config.deadline_ms * NS_PER_MS,
        .connect_timeout_ms = (uint32_t)d->config.connect_timeout_ms,
        .max_answer = ANSWER_MAX,
        .cut = true,
        .endpoint = &d->endpoint,
    };
    FAILPOINT("delivery.before_post");
    lane->op.attempt = (struct journal_attempt){.seq = lane->seq, .at = clock_wall_ms()};
    lane->call = call_start(d->client, &request, on_called, lane);
    return lane->call != NULL;
}

static enum post_outcome judge_status(const struct call_result *result)
{
    int status = result->status;
    if (status >= 200 && status <= 299) {
        return POST_DELIVERED;
    }
    if (status == 400 || status == 410 || status == 422) {
        return POST_DEAD;
    }
    if (status == 429 || (status == 503 && result->retry_after_s >= 0)) {
        return POST_PUSHED_BACK;
    }
    return POST_STATUS;
}

enum post_outcome post_judge(const struct call_result *result)
{
    if (result->reach == CALL_ANSWERED) {
        return judge_status(result);
    }
    if (result->reach == CALL_NOT_SENT && result->error != CALL_TIMEOUT && result->error != CALL_NO_MEMORY) {
        return POST_UNREACHED;
    }
    return result->error == CALL_TIMEOUT ? POST_TIMEOUT : POST_TRANSPORT;
}
