/* The guard against request smuggling (issue 5, point 2; PITFALLS 1): raw bytes of one connection through libmicrohttpd
 * and our server. Whatever reaches a handler, a strict reading of the same bytes (RFC 9112, nothing lenient) must see as
 * that very request: method, target, body. So nobody in front of us can have taken it for something else. */
#include "fuzz/fuzz.h"
#include "http/internal.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <strings.h>
#include <sys/socket.h>

#define HANDLED_MAX 64
#define ROUNDS      400

static struct handled {
    char *method, *target, *body;
    size_t body_len;
} handled[HANDLED_MAX];
static size_t handled_count;

static void on_request(struct http_request *rq)
{
    const struct request *r = (const struct request *)rq;
    struct handled *h = &handled[handled_count++];
    FUZZ_CHECK(handled_count < HANDLED_MAX);
    FUZZ_CHECK(asprintf(&h->target, "%s%s%s", rq->path, r->query ? "?" : "", r->query ? r->query : "") > 0);
    h->method = strdup(rq->method);
    h->body = fuzz_text(rq->body, rq->body_len);
    h->body_len = rq->body_len;
    http_reply_static(rq, 200, "application/json", "{}", 2);
}

static const struct http_route routes[] = {
    {.method = "GET", .path = "/a", .handler = on_request, .flags = HTTP_OPEN},
    {.method = "POST", .path = "/b", .handler = on_request, .flags = HTTP_OPEN | HTTP_BODY},
    {.method = "DELETE", .path = "/c/{id}", .handler = on_request, .flags = HTTP_OPEN},
};

static const struct http_config config = {.bind = "127.0.0.1",
                                          .public_prefix = "",
                                          .threads = 1,
                                          .connection_limit = 100,
                                          .header_timeout_ms = 3600000,
                                          .body_timeout_ms = 3600000,
                                          .idle_timeout_ms = 3600000};
static struct reactor reactor;
static struct http_server *server;

static void start(void)
{
    char err[200];
    int64_t port = 0;
    FUZZ_CHECK(reactor_init(&reactor, 0, err, sizeof err));
    int fd = http_listen(config.bind, &port, err, sizeof err);
    FUZZ_CHECK(fd >= 0);
    server = http_server_create(&reactor, &config, fd, routes, 3, NULL, NULL, err, sizeof err);
    FUZZ_CHECK(server);
}

static void turn(void)
{
    uv_run(&reactor.loop, UV_RUN_NOWAIT);
    server->need_run = true;
    server->hook.end_of_turn(&server->hook);
}

/* Sends the bytes and reads answers until the server ends the connection or has nothing more to say. */
static void converse(const uint8_t *data, size_t size)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int ends[2], quiet = 0;
    char answer[16384];
    size_t sent = 0;
    bool ended = false;
    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    FUZZ_CHECK(MHD_add_connection(server->daemon, ends[1], (struct sockaddr *)&address, sizeof address) ==
               MHD_YES);
    for (int round = 0; round < ROUNDS && !ended && quiet < 6; round++, quiet++) {
        ssize_t n = sent < size ? send(ends[0], data + sent, size - sent, MSG_NOSIGNAL) : 0;
        if (n > 0) {
            sent += (size_t)n;
            quiet = 0;
        }
        if (sent == size) {
            shutdown(ends[0], SHUT_WR);
        }
        turn();
        while ((n = recv(ends[0], answer, sizeof answer, 0)) > 0) {
            quiet = 0;
        }
        ended = n == 0;
    }
    close(ends[0]);
    for (int round = 0; round < 8 || (server->live && round < ROUNDS); round++) {
        turn();
    }
    linger_sweep(server, UINT64_MAX);
    FUZZ_CHECK(server->pending == 0 && !server->live);
}

/* ---- the strict reading ---- */

struct strict {
    const char *at, *end;
    char *method, *target;
    const char *body;
    size_t body_len;
};

static bool is_token(const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c <= ' ' || c >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", c)) {
            return false;
        }
    }
    return len > 0;
}

/* One header line without its CRLF. */
static bool header(const char *line, size_t len, bool *has_length, size_t *length)
{
    const char *colon = memchr(line, ':', len);
    if (!colon || !is_token(line, (size_t)(colon - line))) {
        return false;
    }
    size_t name = (size_t)(colon - line);
    const char *value = colon + 1, *end = line + len;
    for (const char *p = value; p < end; p++) {
        if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7f) {
            return false;
        }
    }
    while (value < end && (*value == ' ' || *value == '\t')) {
        value++;
    }
    if (name == 17 && strncasecmp(line, "transfer-encoding", name) == 0) {
        return false; /* nothing of the kind is ever handled here */
    }
    if (name == 14 && strncasecmp(line, "content-length", name) == 0) {
        if (*has_length || value == end || end - value > 9) {
            return false;
        }
        *length = 0;
        for (; value < end; value++) {
            if (*value < '0' || *value > '9') {
                return false;
            }
            *length = *length * 10 + (size_t)(*value - '0');
        }
        *has_length = true;
    }
    return true;
}

static const char *crlf(const char *p, const char *end)
{
    for (; p + 1 < end; p++) {
        if (*p == '\n') {
            return NULL; /* a bare one */
        }
        if (p[0] == '\r') {
            return p[1] == '\n' ? p : NULL;
        }
    }
    return NULL;
}

/* The next request; false: there is none, or it is not beyond doubt. */
static bool next_request(struct strict *s)
{
    while (s->at < s->end && (*s->at == '\r' || *s->at == '\n')) {
        s->at++; /* empty lines before a request are nobody's (RFC 9112 2.2) */
    }
    const char *line = s->at, *eol = crlf(line, s->end);
    const char *first = eol ? memchr(line, ' ', (size_t)(eol - line)) : NULL;
    const char *second = first ? memchr(first + 1, ' ', (size_t)(eol - first - 1)) : NULL;
    bool has_length = false;
    size_t length = 0;
    if (!second || eol - second != 9 || memcmp(second + 1, "HTTP/1.", 7) != 0 ||
        (second[8] != '0' && second[8] != '1') || !is_token(line, (size_t)(first - line)) ||
        first[1] != '/') {
        return false;
    }
    for (const char *p = first + 1; p < second; p++) {
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f) {
            return false;
        }
    }
    s->method = fuzz_text(line, (size_t)(first - line));
    s->target = fuzz_text(first + 1, (size_t)(second - first - 1));
    bool sound = true;
    for (line = eol + 2;; line = eol + 2) {
        /* ":" and a bare LF end a head too: another pair that libmicrohttpd overwrites with the same two NULs */
        bool colon = s->end - line >= 2 && line[0] == ':' && line[1] == '\n';
        eol = colon ? line : crlf(line, s->end);
        if (!eol || eol == line) {
            break;
        }
        sound = sound && header(line, (size_t)(eol - line), &has_length, &length);
    }
    s->body = eol ? eol + 2 : NULL;
    s->body_len = length;
    return sound && eol && length <= (size_t)(s->end - s->body);
}

static void compare(const char *text, size_t size)
{
    struct strict s = {.at = text, .end = text + size};
    size_t found = 0;
    while (found < handled_count) {
        struct handled *h = &handled[found];
        s.method = s.target = NULL;
        bool ok = next_request(&s);
        FUZZ_CHECK(ok); /* else a handler has seen a request that is not there */
        bool with_body = strcmp(h->method, "POST") == 0;
        /* one that no handler has seen was refused, and another of the same target may come behind it */
        if (strcmp(h->method, s.method) == 0 && strcmp(h->target, s.target) == 0 &&
            (!with_body || (h->body_len == s.body_len && memcmp(h->body, s.body, s.body_len) == 0))) {
            found++;
        }
        s.at = s.body + s.body_len;
        free(s.method);
        free(s.target);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!server) {
        start();
    }
    if (size > 60000) {
        return -1;
    }
    converse(data, size);
    /* libmicrohttpd writes NUL over line ends and so cannot tell them from NULs that came: with those, only that
     * nothing breaks */
    if (!memchr(data, '\0', size)) {
        char *text = fuzz_text(data, size);
        compare(text, size);
        free(text);
    }
    for (; handled_count; handled_count--) {
        struct handled *h = &handled[handled_count - 1];
        free(h->method);
        free(h->target);
        free(h->body);
    }
    return 0;
}
