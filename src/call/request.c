/* request.c - the options of a call (PITFALLS of libcurl 7.88 are answered here, each where it bites). */
#include "call/client.h"

#include "pcs/core/clock.h"

#include <string.h>

#define DNS_CACHE_S 300

/* ---- what curl calls ---- */

/* curl is about to write the request, on a new connection or an old one; for an order never a second time,
 * not even when the first time nothing but the head was written. */
static int on_about_to_write(void *arg, char *primary_ip, char *local_ip, int primary_port, int local_port)
{
    struct call *call = arg;
    long written = 0, connects = 0;
    (void)primary_ip;
    (void)local_ip;
    curl_easy_getinfo(call->easy, CURLINFO_NUM_CONNECTS, &connects);
    if (connects > 0) {
        sockets_established(call->client, local_port, primary_port);
    }
    curl_easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &written);
    if (call->once && (written > 0 || call->body_read)) {
        return CURL_PREREQFUNC_ABORT;
    }
    /* curl 7.88 takes a connection with bytes to read for a live one, and would read them as the answer: an answer to
     * somebody else's request, or a 408 that came while it was idle. call.c begins again on a new one. */
    if (connects == 0 && call->attempts == 0 && sockets_stirred(call->client, local_port, primary_port)) {
        call->stirred = true;
        return CURL_PREREQFUNC_ABORT;
    }
    call->attempts++;
    return CURL_PREREQFUNC_OK;
}

/* The body of an order. Asked again after its end, or from the start, curl gets an error instead of the body.
 */
static size_t on_body_wanted(char *out, size_t size, size_t count, void *arg)
{
    struct call *call = arg;
    size_t room = size * count, left = call->body_len - call->body_at;
    size_t n = left < room ? left : room;
    if (n == 0 && call->body_len > 0) {
        return CURL_READFUNC_ABORT;
    }
    call->body_read = true;
    memcpy(out, call->body.data + call->body_at, n);
    call->body_at += n;
    return n;
}

/* curl rewinds in order to send a second time: it must not. */
static int on_rewind(void *arg, curl_off_t offset, int origin)
{
    (void)arg;
    (void)offset;
    (void)origin;
    return CURL_SEEKFUNC_FAIL;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "HTTP/1.1 200 OK". curl takes any number for a status and cuts it to 32 bits, so that 4294967496 would be 200. */
static bool is_status_line(const char *line, size_t len)
{
    const char *p = line + 5, *end = line + len; /* behind "HTTP/" */
    size_t digits = 0;
    bool version = p < end && is_digit(*p++);
    if (version && p < end && *p == '.') {
        p++;
        version = p < end && is_digit(*p++);
    }
    const char *blank = p;
    while (p < end && *p == ' ') {
        p++;
    }
    while (p + digits < end && is_digit(p[digits])) {
        digits++;
    }
    bool ended = p + digits == end || strchr(" \r\n", p[digits]);
    return version && p > blank && digits == 3 && *p != '0' && ended;
}

/* One line at a time. curl takes a head that breaks off for an answer; whether it ended is noted here. */
static size_t on_head(char *data, size_t size, size_t count, void *arg)
{
    struct call *call = arg;
    size_t n = size * count;
    call->head_bytes += n;
    if (call->head_bytes > CALL_ANSWER_HEAD) {
        call->too_large = true;
        return 0;
    }
    if (n >= 5 && memcmp(data, "HTTP/", 5) == 0) {
        call->head_ended = false;
        call->no_http = !is_status_line(data, n);
        if (call->no_http) {
            return 0;
        }
    } else if (n == 1 || (n == 2 && data[0] == '\r')) {
        call->head_ended = true;
    }
    return n;
}

static size_t on_answer(char *data, size_t size, size_t count, void *arg)
{
    struct call *call = arg;
    size_t n = size * count, room = call->answer.max - call->answer.len;
    call->too_large = n > room;
    if (call->too_large && call->cut) {
        buf_put(&call->answer, data, room);
        return 0;
    }
    buf_put(&call->answer, data, n);
    return buf_ok(&call->answer) ? n : 0;
}

/* ---- options ---- */

#define set(option, value) ok = ok && curl_easy_setopt(call->easy, (option), (value)) == CURLE_OK

static bool set_always(struct call *call)
{
    CURL *easy = call->easy;
    bool ok = true;
    curl_easy_reset(easy);
    call->error[0] = '\0';
    set(CURLOPT_PRIVATE, call);
    set(CURLOPT_ERRORBUFFER, call->error);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_PROXY, ""); /* never from the environment */
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    set(CURLOPT_QUICK_EXIT, 1L); /* a deadline during a look-up must not wait for the resolver's thread */
    set(CURLOPT_DNS_CACHE_TIMEOUT, (long)DNS_CACHE_S);
    set(CURLOPT_MAXAGE_CONN, (long)call->client->idle_s);
    set(CURLOPT_PATH_AS_IS, 1L);
    set(CURLOPT_USERAGENT, "product-change-service/" PCS_VERSION);
    set(CURLOPT_PREREQFUNCTION, on_about_to_write);
    set(CURLOPT_PREREQDATA, call);
    set(CURLOPT_HEADERFUNCTION, on_head);
    set(CURLOPT_HEADERDATA, call);
    set(CURLOPT_WRITEFUNCTION, on_answer);
    set(CURLOPT_WRITEDATA, call);
    return ok && sockets_own(call->client, easy);
}

static bool set_endpoint(struct call *call, const struct call_endpoint *endpoint)
{
    bool ok = true;
    if (!endpoint) {
        return true;
    }
    if (endpoint->ca_file) {
        set(CURLOPT_CAINFO, endpoint->ca_file);
    }
    if (endpoint->client_cert) {
        set(CURLOPT_SSLCERT, endpoint->client_cert);
    }
    if (endpoint->client_key) {
        set(CURLOPT_SSLKEY, endpoint->client_key);
    }
    if (endpoint->insecure) {
        set(CURLOPT_SSL_VERIFYPEER, 0L);
        set(CURLOPT_SSL_VERIFYHOST, 0L);
    }
    return ok;
}

/* The header lines stand in one buffer, their list in the call: nothing is allocated for a call that is
 * reused. curl only reads the list. */
static bool set_headers(struct call *call, const char *const *lines)
{
    size_t count = 0, at[CALL_HEADERS_MAX];
    bool ok = true;
    buf_reset(&call->head);
    buf_put(&call->head, "Expect:", sizeof "Expect:"); /* no waiting for 100 Continue */
    at[count++] = 0;
    for (; lines && *lines; lines++) {
        if (count == CALL_HEADERS_MAX) {
            call->head.failed = true;
            break;
        }
        at[count++] = call->head.len;
        buf_put(&call->head, *lines, strlen(*lines) + 1);
    }
    if (!buf_ok(&call->head)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        call->headers[i].data = call->head.data + at[i];
        call->headers[i].next = i + 1 < count ? &call->headers[i + 1] : NULL;
    }
    set(CURLOPT_HTTPHEADER, call->headers);
    return ok;
}

static bool set_body(struct call *call, const struct call_request *request)
{
    bool ok = true;
    call->once = request->once;
    call->body_len = request->body ? request->body_len : 0;
    call->body_at = 0;
    if (strcmp(request->method, "GET") == 0 && !request->body) {
        set(CURLOPT_HTTPGET, 1L);
        return ok;
    }
    buf_reset(&call->body);
    call->body.max = call->body_len;
    buf_put(&call->body, request->body ? request->body : "", call->body_len);
    ok = buf_ok(&call->body);
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_len);
    if (call->once) {
        set(CURLOPT_READFUNCTION, on_body_wanted);
        set(CURLOPT_READDATA, call);
        set(CURLOPT_SEEKFUNCTION, on_rewind);
        set(CURLOPT_SEEKDATA, call);
    } else {
        set(CURLOPT_POSTFIELDS, call->body_len ? call->body.data : "");
    }
    if (strcmp(request->method, "POST") != 0) {
        set(CURLOPT_CUSTOMREQUEST, request->method);
    }
    return ok;
}

static bool set_deadline(struct call *call, uint64_t left_ns)
{
    long left_ms = (long)((left_ns + NS_PER_MS - 1) / NS_PER_MS), connect_ms = call->connect_ms;
    bool ok = true;
    set(CURLOPT_TIMEOUT_MS, left_ms);
    set(CURLOPT_CONNECTTIMEOUT_MS, connect_ms > 0 && connect_ms < left_ms ? connect_ms : left_ms);
    return ok;
}

static bool set_limits(struct call *call, const struct call_request *request, uint64_t now_ns)
{
    call->deadline_ns = request->deadline_ns;
    call->connect_ms = (long)request->connect_timeout_ms;
    bool ok = set_deadline(call, call->deadline_ns - now_ns);
    buf_reset(&call->answer);
    call->answer.max = request->max_answer;
    call->cut = request->cut;
    if (!call->cut) { /* refuses a Content-Length over the limit at once; chunked answers are cut in on_answer() */
        set(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)request->max_answer);
    }
    return ok;
}

enum call_error request_set_up(struct call *call, const struct call_request *request, uint64_t now_ns)
{
    bool ok = true;
    call->too_large = call->no_http = call->body_read = call->head_ended = call->stirred = false;
    call->attempts = 0;
    call->head_bytes = 0;
    if (request->deadline_ns <= now_ns) {
        return CALL_TIMEOUT;
    }
    ok = set_always(call) && set_endpoint(call, request->endpoint) && set_headers(call, request->headers) &&
         set_body(call, request) && set_limits(call, request, now_ns);
    set(CURLOPT_URL, request->url);
    if (call->head.failed) {
        return CALL_PROTOCOL; /* more header lines than a request of ours can have */
    }
    return ok ? CALL_OK : CALL_NO_MEMORY;
}

bool request_set_up_afresh(struct call *call, uint64_t now_ns)
{
    bool ok = call->deadline_ns > now_ns && set_deadline(call, call->deadline_ns - now_ns);
    set(CURLOPT_FRESH_CONNECT, 1L);
    call->stirred = false;
    return ok;
}
