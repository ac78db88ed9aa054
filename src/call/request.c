/* request.c - the options of a call (PITFALLS of libcurl 7.88 are answered here, each where it bites). */
#include "call/client.h"

#include "pcs/core/clock.h"

#include <stdlib.h>
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

#define set_of(easy, option, value) ok = ok && curl_easy_setopt((easy), (option), (value)) == CURLE_OK
#define set(option, value)          set_of(call->easy, option, value)

bool request_make_model(struct call_client *c)
{
    bool ok = (c->model = curl_easy_init()) != NULL;
    set_of(c->model, CURLOPT_NOSIGNAL, 1L);
    set_of(c->model, CURLOPT_PROXY, "");          /* never from the environment */
    set_of(c->model, CURLOPT_PROXY_CAINFO, NULL); /* its authorities are copied twice a call */
    set_of(c->model, CURLOPT_PROXY_CAPATH, NULL);
    set_of(c->model, CURLOPT_PROTOCOLS_STR, "http,https");
    set_of(c->model, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    set_of(c->model, CURLOPT_QUICK_EXIT,
           1L); /* a deadline during a look-up must not wait for the resolver's thread */
    set_of(c->model, CURLOPT_DNS_CACHE_TIMEOUT, (long)DNS_CACHE_S);
    set_of(c->model, CURLOPT_PATH_AS_IS, 1L);
    set_of(c->model, CURLOPT_PREREQFUNCTION, on_about_to_write);
    set_of(c->model, CURLOPT_HEADERFUNCTION, on_head);
    set_of(c->model, CURLOPT_WRITEFUNCTION, on_answer);
    return ok && sockets_own(c, c->model);
}

void request_free_model(struct call_client *c)
{
    curl_easy_cleanup(c->model);
    while (c->url_count > 0) {
        struct call_url *url = &c->urls[--c->url_count];
        free(url->text);
        curl_url_cleanup(url->parts);
    }
}

static bool set_own(struct call *call)
{
    bool ok = true;
    call->error[0] = '\0';
    set(CURLOPT_PRIVATE, call);
    set(CURLOPT_ERRORBUFFER, call->error);
    set(CURLOPT_PREREQDATA, call);
    set(CURLOPT_HEADERDATA, call);
    set(CURLOPT_WRITEDATA, call);
    return ok;
}

/* As curl parses what CURLOPT_URL gives. NULL: curl will say what is wrong. An address with a zone is left to curl as well:
 * 7.88 forgets the zone when it copies the parts. */
static CURLU *parse_url(const char *text)
{
    CURLU *parts = curl_url();
    char *zone = NULL;
    if (parts &&
        curl_url_set(parts, CURLUPART_URL, text,
                     CURLU_GUESS_SCHEME | CURLU_NON_SUPPORT_SCHEME | CURLU_PATH_AS_IS) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_ZONEID, &zone, 0) == CURLUE_NO_ZONEID) {
        return parts;
    }
    curl_free(zone);
    curl_url_cleanup(parts);
    return NULL;
}

/* The parts of a URL that has been called before, or is from now on; NULL: not kept. They live as long as the client. */
static CURLU *parts_of(struct call_client *c, const char *text)
{
    for (unsigned i = 0; i < c->url_count; i++) {
        if (strcmp(c->urls[i].text, text) == 0) {
            return c->urls[i].parts;
        }
    }
    struct call_url url = {0};
    if (c->url_count == CALL_URLS_MAX || !(url.parts = parse_url(text))) {
        return NULL;
    }
    if (!(url.text = strdup(text))) {
        curl_url_cleanup(url.parts);
        return NULL;
    }
    c->urls[c->url_count++] = url;
    return url.parts;
}

/* The parts spare curl to parse the same few URLs for every call. Without the text beside them it would put them together
 * again. */
static bool set_url(struct call *call, const char *text)
{
    bool ok = true;
    CURLU *parts = parts_of(call->client, text);
    set(CURLOPT_URL, text);
    if (parts) {
        set(CURLOPT_CURLU, parts);
    }
    return ok;
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

static char user_agent[] = "User-Agent: product-change-service/" PCS_VERSION;
static char no_expect[] = "Expect:"; /* no waiting for 100 Continue */

static void put_line(struct call *call, size_t *count, char *line)
{
    call->headers[*count] = (struct curl_slist){.data = line};
    if (*count > 0) {
        call->headers[*count - 1].next = &call->headers[*count];
    }
    ++*count;
}

/* The header lines stand in one buffer, their list in the call: nothing is allocated for a call that is reused. curl only
 * reads the list. User-Agent is one of the lines because curl prints what CURLOPT_USERAGENT gives twice, and its printing is
 * what a call is dear for. */
static bool set_headers(struct call *call, const char *const *lines)
{
    size_t count = 0, given = 0, at[CALL_HEADERS_MAX - 2];
    bool ok = true;
    buf_reset(&call->head);
    for (; lines && *lines; lines++) {
        if (given == sizeof at / sizeof *at) {
            call->head.failed = true;
            break;
        }
        at[given++] = call->head.len;
        buf_put(&call->head, *lines, strlen(*lines) + 1);
    }
    if (!buf_ok(&call->head)) {
        return false;
    }
    put_line(call, &count, user_agent);
    for (size_t i = 0; i < given; i++) {
        put_line(call, &count, call->head.data + at[i]);
    }
    put_line(call, &count, no_expect);
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
    ok = set_own(call) && set_url(call, request->url) && set_endpoint(call, request->endpoint) &&
         set_headers(call, request->headers) && set_body(call, request) && set_limits(call, request, now_ns);
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
