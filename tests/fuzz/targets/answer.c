/* HTTP answers of KOS and MVNO AP (issue 5, point 4: size caps, also chunked): the input is what the other side says,
 * byte for byte, over a real connection. One callback; what is handed on is a whole answer within its bounds. */
#include "fuzz/fuzz.h"

#include "pcs/call/call.h"
#include "pcs/core/clock.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <strings.h>
#include <sys/socket.h>

#define ANSWER_MAX 2000

static struct reactor reactor;
static struct call_client *client;
static int listener = -1;
static char url[64];
static unsigned told;
static const uint8_t *said;
static size_t said_len;

static void run_hooks(uv_prepare_t *handle)
{
    (void)handle;
    bool again = true;
    for (int round = 0; again && round < 16; round++) {
        again = false;
        for (struct reactor_hook *h = reactor.hooks; h; h = h->next) {
            again |= h->end_of_turn(h);
        }
    }
}

static void start(void)
{
    static uv_prepare_t turn_end;
    char err[200];
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    signal(SIGPIPE, SIG_IGN);
    FUZZ_CHECK(reactor_init(&reactor, 0, err, sizeof err));
    uv_prepare_init(&reactor.loop, &turn_end);
    uv_prepare_start(&turn_end, run_hooks);
    client = call_client_create(&reactor, 4, err, sizeof err);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    FUZZ_CHECK(client && listener >= 0 && bind(listener, (struct sockaddr *)&at, sizeof at) == 0);
    FUZZ_CHECK(listen(listener, 16) == 0 && getsockname(listener, (struct sockaddr *)&at, &len) == 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/x", ntohs(at.sin_port));
}

static void on_done(void *arg, const struct call_result *r)
{
    (void)arg;
    told++;
    FUZZ_CHECK(r->body && r->content_type && r->reason && r->retry_after_s >= -1 && r->len <= ANSWER_MAX);
    FUZZ_CHECK((r->reach == CALL_ANSWERED) == (r->error == CALL_OK));
    FUZZ_CHECK(r->reach != CALL_NOT_SENT || r->error == CALL_TIMEOUT || r->error == CALL_CONNECT_TIMEOUT);
    if (r->reach == CALL_ANSWERED) {
        FUZZ_CHECK(r->status >= 100 && r->status <= 999);
        char *text = fuzz_text(said, said_len);
        FUZZ_CHECK(strncasecmp(text, "HTTP/", 5) == 0);
        free(text);
        FUZZ_CHECK(r->len <= said_len); /* nothing is unpacked */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    bool order = fuzz_byte(&in) & 1;
    char request[8192];
    int peer = -1;
    size_t sent = 0;
    bool asked = false;
    if (!client) {
        start();
    }
    said = in.at;
    said_len = in.left;
    told = 0;
    const struct call_request rq = {.method = order ? "POST" : "GET",
                                    .url = url,
                                    .body = order ? "{}" : NULL,
                                    .body_len = order ? 2 : 0,
                                    .deadline_ns = clock_mono_ns() + 2 * NS_PER_SEC,
                                    .connect_timeout_ms = 1000,
                                    .max_answer = ANSWER_MAX,
                                    .once = order};
    FUZZ_CHECK(call_start(client, &rq, on_done, NULL) && told == 0);
    for (unsigned round = 0; !told; round++) {
        uv_run(&reactor.loop, UV_RUN_NOWAIT);
        if (peer < 0) {
            peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            asked = false;
            sent = 0;
        }
        asked = asked || (peer >= 0 && recv(peer, request, sizeof request, 0) > 0);
        ssize_t n = asked && sent < in.left ? send(peer, in.at + sent, in.left - sent, MSG_NOSIGNAL) : 0;
        sent += n > 0 ? (size_t)n : 0;
        if (asked && (sent == in.left || n < 0)) {
            /* the end, by reset: no port is left waiting */
            shutdown(peer, SHUT_WR);
            uv_run(&reactor.loop, UV_RUN_NOWAIT);
            setsockopt(peer, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
            close(peer);
            peer = -1;
        }
    }
    if (peer >= 0) {
        setsockopt(peer, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
        close(peer);
    }
    FUZZ_CHECK(told == 1 && call_client_in_flight(client) == 0);
    return 0;
}
